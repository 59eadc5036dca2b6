package forge

import (
	"gatehouse/gatekeeper/entrance"
)

// githubBody is what we read of GitHub's payloads ("Webhook events and payloads"). All else in
// them, addresses above all, is left alone.
type githubBody struct {
	Action      string      `json:"action"`
	Number      int64       `json:"number"`
	Ref         string      `json:"ref"`
	Deleted     bool        `json:"deleted"`
	PullRequest *githubPull `json:"pull_request"`
	Repository  struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Sender githubUser `json:"sender"`
	Label  struct {
		Name string `json:"name"`
	} `json:"label"`
	Issue struct {
		Number      int64     `json:"number"`
		PullRequest *struct{} `json:"pull_request"`
	} `json:"issue"`
	Comment *struct {
		Body        string     `json:"body"`
		CommitID    string     `json:"commit_id"`
		User        githubUser `json:"user"`
		Association string     `json:"author_association"`
	} `json:"comment"`
	Review *struct {
		State    string     `json:"state"`
		CommitID string     `json:"commit_id"`
		User     githubUser `json:"user"`
	} `json:"review"`
	MergeGroup *struct {
		HeadSHA string `json:"head_sha"`
		HeadRef string `json:"head_ref"`
		BaseRef string `json:"base_ref"`
		BaseSHA string `json:"base_sha"`
	} `json:"merge_group"`
}

type githubUser struct {
	Login string `json:"login"`
}

type githubPull struct {
	Number  int64  `json:"number"`
	HTMLURL string `json:"html_url"`
	Draft   bool   `json:"draft"`
	Merged  bool   `json:"merged"`
	MergeTo string `json:"merge_commit_sha"`
	Head    struct {
		SHA string `json:"sha"`
	} `json:"head"`
	Base struct {
		Ref string `json:"ref"`
	} `json:"base"`
	User githubUser `json:"user"`
}

func (p *githubPull) notice(kind entrance.Kind, login string) *entrance.Notice {
	return &entrance.Notice{Kind: kind, Number: p.Number, Branch: p.Base.Ref, Head: fullOID(p.Head.SHA), URL: p.HTMLURL,
		Author: p.User.Login, Login: login, Draft: p.Draft}
}

// readGitHub reads GitHub's shape. Solum's trigger was sent the same bodies without a word on
// which event it is: then what is in them says it.
func readGitHub(e entrance.Entrance, event string, body []byte) (*entrance.Notice, string, error) {
	var b githubBody
	if err := decode(body, &b); err != nil {
		return nil, "", err
	}
	if why, other := elsewhere(e, b.Repository.FullName); other {
		return nothing("%s", why)
	}
	if event == "" {
		event = b.guess()
	}
	switch event {
	case "ping":
		return nothing("it only says that the webhook works")
	case "pull_request":
		return b.pull()
	case "push":
		branch, ok := branchOf(b.Ref)
		if !ok || b.Deleted {
			return nothing("it is no branch that moved")
		}
		return &entrance.Notice{Kind: entrance.Pushed, Branch: branch, Login: b.Sender.Login}, "", nil
	case "merge_group":
		return b.group()
	case "issue_comment", "commit_comment":
		return b.comment(event)
	case "pull_request_review":
		return b.review()
	default:
		return nothing("nothing is done about %q", event)
	}
}

// guess tells the event by what is in the body.
func (b *githubBody) guess() string {
	switch {
	case b.Comment != nil && b.Comment.CommitID != "":
		return "commit_comment"
	case b.Comment != nil:
		return "issue_comment"
	case b.Review != nil:
		return "pull_request_review"
	case b.PullRequest != nil:
		return "pull_request"
	case b.MergeGroup != nil:
		return "merge_group"
	case b.Ref != "":
		return "push"
	}
	return ""
}

func (b *githubBody) pull() (*entrance.Notice, string, error) {
	p := b.PullRequest
	if p == nil {
		return nothing("it has no pull request in it")
	}
	switch b.Action {
	case "created", "opened", "reopened", "synchronize", "edited", "ready_for_review", "converted_to_draft":
		return p.notice(entrance.Proposed, b.Sender.Login), "", nil
	case "closed":
		n := p.notice(entrance.Closed, b.Sender.Login)
		if n.Merged = p.Merged; p.Merged {
			n.Base = fullOID(p.MergeTo)
		}
		return n, "", nil
	case "labeled":
		n := p.notice(entrance.Labelled, b.Sender.Login)
		n.Label = b.Label.Name
		return n, "", nil
	default:
		return nothing("nothing is done when a pull request is %q", b.Action)
	}
}

func (b *githubBody) group() (*entrance.Notice, string, error) {
	g := b.MergeGroup
	if g == nil || b.Action != "checks_requested" {
		return nothing("the merge queue asks for nothing")
	}
	branch, ok := branchOf(g.BaseRef)
	if !ok {
		return nothing("it is for no branch")
	}
	return &entrance.Notice{Kind: entrance.Grouped, Branch: branch, Ref: g.HeadRef, Head: fullOID(g.HeadSHA), Base: fullOID(g.BaseSHA)}, "", nil
}

// comment reads what was said, when it was said: an edited comment is no command, because
// nobody saw it given.
func (b *githubBody) comment(event string) (*entrance.Notice, string, error) {
	c := b.Comment
	if c == nil || b.Action != "created" {
		return nothing("only new comments are read")
	}
	n := &entrance.Notice{Kind: entrance.Commented, Number: b.Issue.Number, Login: c.User.Login, Text: c.Body}
	switch c.Association {
	case "OWNER", "MEMBER", "COLLABORATOR":
		n.Trusted = true
	}
	if event == "commit_comment" {
		n.Number, n.Head = 0, fullOID(c.CommitID)
		return n, "", nil
	}
	if b.Issue.PullRequest == nil {
		return nothing("it is on an issue, not on a pull request")
	}
	return n, "", nil
}

func (b *githubBody) review() (*entrance.Notice, string, error) {
	if b.Review == nil || b.PullRequest == nil {
		return nothing("it has no review in it")
	}
	n := b.PullRequest.notice(entrance.Reviewed, b.Review.User.Login)
	n.Head = fullOID(b.Review.CommitID)
	switch {
	case b.Action == "submitted" && b.Review.State == "approved":
		n.Vote = 1
	case b.Action == "submitted" && b.Review.State == "changes_requested":
		n.Vote = -1
	case b.Action == "dismissed":
	default:
		return nothing("the review says neither yes nor no")
	}
	return n, "", nil
}
