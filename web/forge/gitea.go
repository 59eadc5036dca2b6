package forge

import (
	"strings"

	"gatehouse/gatekeeper/entrance"
)

// giteaBody is what we read of Gitea's and Forgejo's payloads (modules/structs/hook.go there).
type giteaBody struct {
	Action     string `json:"action"`
	Number     int64  `json:"number"`
	Ref        string `json:"ref"`
	After      string `json:"after"`
	IsPull     bool   `json:"is_pull"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Sender      githubUser `json:"sender"`
	PullRequest *giteaPull `json:"pull_request"`
	Issue       struct {
		Number int64 `json:"number"`
	} `json:"issue"`
	Comment *struct {
		Body string     `json:"body"`
		User githubUser `json:"user"`
	} `json:"comment"`
	Review *struct {
		Type string `json:"type"`
	} `json:"review"`
}

type giteaPull struct {
	githubPull
	MergedAs string `json:"merged_commit_id"`
	Labels   []struct {
		Name string `json:"name"`
	} `json:"labels"`
}

func readGitea(e entrance.Entrance, event string, body []byte) (*entrance.Notice, string, error) {
	var b giteaBody
	if err := decode(body, &b); err != nil {
		return nil, "", err
	}
	if why, other := elsewhere(e, b.Repository.FullName); other {
		return nothing("%s", why)
	}
	switch {
	case event == "push":
		branch, ok := branchOf(b.Ref)
		if !ok || strings.Trim(b.After, "0") == "" {
			return nothing("it is no branch that moved")
		}
		return &entrance.Notice{Kind: entrance.Pushed, Branch: branch, Login: b.Sender.Login}, "", nil
	case b.Review != nil && b.PullRequest != nil:
		return b.review()
	case event == "issue_comment" || event == "pull_request_comment":
		return b.comment()
	case strings.HasPrefix(event, "pull_request"):
		return b.pull()
	default:
		return nothing("nothing is done about %q", event)
	}
}

func (b *giteaBody) pull() (*entrance.Notice, string, error) {
	p := b.PullRequest
	if p == nil {
		return nothing("it has no pull request in it")
	}
	switch b.Action {
	case "opened", "reopened", "synchronized", "edited":
		return p.notice(entrance.Proposed, b.Sender.Login), "", nil
	case "closed":
		n := p.notice(entrance.Closed, b.Sender.Login)
		if n.Merged = p.Merged; p.Merged {
			if n.Base = fullOID(p.MergeTo); n.Base == "" {
				n.Base = fullOID(p.MergedAs)
			}
		}
		return n, "", nil
	case "label_updated":
		for _, l := range p.Labels {
			if strings.HasPrefix(l.Name, outcomeLabel) {
				n := p.notice(entrance.Labelled, b.Sender.Login)
				n.Label = l.Name
				return n, "", nil
			}
		}
		return nothing("no label names an outcome")
	default:
		return nothing("nothing is done when a pull request is %q", b.Action)
	}
}

func (b *giteaBody) comment() (*entrance.Notice, string, error) {
	switch {
	case b.Comment == nil || b.Action != "created":
		return nothing("only new comments are read")
	case !b.IsPull:
		return nothing("it is on an issue, not on a pull request")
	}
	return &entrance.Notice{Kind: entrance.Commented, Number: b.Issue.Number, Login: b.Comment.User.Login, Text: b.Comment.Body}, "", nil
}

func (b *giteaBody) review() (*entrance.Notice, string, error) {
	n := b.PullRequest.notice(entrance.Reviewed, b.Sender.Login)
	switch {
	case strings.HasSuffix(b.Review.Type, "approved"):
		n.Vote = 1
	case strings.HasSuffix(b.Review.Type, "rejected"):
		n.Vote = -1
	default:
		return nothing("the review says neither yes nor no")
	}
	return n, "", nil
}
