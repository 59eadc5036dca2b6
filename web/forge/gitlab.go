package forge

import (
	"strings"

	"gatehouse/gatekeeper/entrance"
)

// gitlabBody is what we read of GitLab's payloads ("Webhook events").
type gitlabBody struct {
	Kind    string `json:"object_kind"`
	Ref     string `json:"ref"`
	After   string `json:"after"`
	Project struct {
		Path string `json:"path_with_namespace"`
	} `json:"project"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Pusher       string        `json:"user_username"`
	Attributes   gitlabObject  `json:"object_attributes"`
	MergeRequest *gitlabObject `json:"merge_request"` // of a note
	Changes      struct {
		Labels *struct {
			Previous []gitlabLabel `json:"previous"`
			Current  []gitlabLabel `json:"current"`
		} `json:"labels"`
	} `json:"changes"`
}

type gitlabObject struct {
	IID        int64  `json:"iid"`
	Action     string `json:"action"`
	Target     string `json:"target_branch"`
	URL        string `json:"url"`
	Draft      bool   `json:"draft"`
	OldDraft   bool   `json:"work_in_progress"`
	State      string `json:"state"`
	MergeTo    string `json:"merge_commit_sha"`
	Note       string `json:"note"`
	On         string `json:"noteable_type"`
	LastCommit struct {
		ID string `json:"id"`
	} `json:"last_commit"`
}

type gitlabLabel struct {
	Title string `json:"title"`
}

func (o *gitlabObject) notice(kind entrance.Kind, login string) *entrance.Notice {
	return &entrance.Notice{Kind: kind, Number: o.IID, Branch: o.Target, Head: fullOID(o.LastCommit.ID), URL: o.URL, Login: login, Draft: o.Draft || o.OldDraft}
}

func readGitLab(e entrance.Entrance, body []byte) (*entrance.Notice, string, error) {
	var b gitlabBody
	if err := decode(body, &b); err != nil {
		return nil, "", err
	}
	if why, other := elsewhere(e, b.Project.Path); other {
		return nothing("%s", why)
	}
	switch b.Kind {
	case "merge_request":
		return b.merge()
	case "push":
		branch, ok := branchOf(b.Ref)
		if !ok || strings.Trim(b.After, "0") == "" {
			return nothing("it is no branch that moved")
		}
		return &entrance.Notice{Kind: entrance.Pushed, Branch: branch, Login: b.Pusher}, "", nil
	case "note":
		if b.Attributes.On != "MergeRequest" || b.MergeRequest == nil || b.Attributes.Action == "update" {
			return nothing("only new comments on merge requests are read")
		}
		n := b.MergeRequest.notice(entrance.Commented, b.User.Username)
		n.Text = b.Attributes.Note
		return n, "", nil
	default:
		return nothing("nothing is done about %q", b.Kind)
	}
}

func (b *gitlabBody) merge() (*entrance.Notice, string, error) {
	o, login := &b.Attributes, b.User.Username
	switch o.Action {
	case "open":
		n := o.notice(entrance.Proposed, login)
		n.Author = login
		return n, "", nil
	case "reopen":
		return o.notice(entrance.Proposed, login), "", nil
	case "update":
		if label := b.newOutcome(); label != "" {
			n := o.notice(entrance.Labelled, login)
			n.Label = label
			return n, "", nil
		}
		return o.notice(entrance.Proposed, login), "", nil
	case "close":
		return o.notice(entrance.Closed, login), "", nil
	case "merge":
		n := o.notice(entrance.Closed, login)
		n.Merged, n.Base = true, fullOID(o.MergeTo)
		return n, "", nil
	case "approved", "approval":
		n := o.notice(entrance.Reviewed, login)
		n.Vote = 1
		return n, "", nil
	case "unapproved", "unapproval":
		return o.notice(entrance.Reviewed, login), "", nil
	default:
		return nothing("nothing is done when a merge request is %q", o.Action)
	}
}

// newOutcome is a label that names an outcome and was not there before.
func (b *gitlabBody) newOutcome() string {
	if b.Changes.Labels == nil {
		return ""
	}
	before := map[string]bool{}
	for _, l := range b.Changes.Labels.Previous {
		before[l.Title] = true
	}
	for _, l := range b.Changes.Labels.Current {
		if !before[l.Title] && strings.HasPrefix(l.Title, outcomeLabel) {
			return l.Title
		}
	}
	return ""
}
