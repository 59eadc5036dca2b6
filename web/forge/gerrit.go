package forge

import (
	"strings"

	"gatehouse/gatekeeper/entrance"
)

// gerritBody is what we read of an event of Gerrit, from its webhooks plugin or its stream,
// which have one schema (Documentation/cmd-stream-events.txt and json.txt there).
type gerritBody struct {
	Type    string `json:"type"`
	Project string `json:"project"`
	Change  struct {
		Project string     `json:"project"`
		Branch  string     `json:"branch"`
		Number  int64      `json:"number"`
		URL     string     `json:"url"`
		WIP     bool       `json:"wip"`
		Private bool       `json:"private"`
		Owner   gerritUser `json:"owner"`
	} `json:"change"`
	PatchSet struct {
		Revision string `json:"revision"`
	} `json:"patchSet"`
	Uploader  gerritUser `json:"uploader"`
	Author    gerritUser `json:"author"`
	Abandoner gerritUser `json:"abandoner"`
	Submitter gerritUser `json:"submitter"`
	Comment   string     `json:"comment"`
	NewRev    string     `json:"newRev"`
	Approvals []struct {
		Type     string `json:"type"`
		Value    string `json:"value"`
		OldValue string `json:"oldValue"`
	} `json:"approvals"`
	RefUpdate struct {
		Ref     string `json:"refName"`
		NewRev  string `json:"newRev"`
		Project string `json:"project"`
	} `json:"refUpdate"`
}

type gerritUser struct {
	Username string `json:"username"`
}

func (b *gerritBody) notice(kind entrance.Kind, login string) *entrance.Notice {
	c := b.Change
	return &entrance.Notice{Kind: kind, Number: c.Number, Branch: strings.TrimPrefix(c.Branch, "refs/heads/"), Head: fullOID(b.PatchSet.Revision),
		URL: c.URL, Author: c.Owner.Username, Login: login, Draft: c.WIP}
}

func readGerrit(e entrance.Entrance, body []byte) (*entrance.Notice, string, error) {
	var b gerritBody
	if err := decode(body, &b); err != nil {
		return nil, "", err
	}
	for _, name := range []string{b.Change.Project, b.RefUpdate.Project} {
		if why, other := elsewhere(e, name); other {
			return nothing("%s", why)
		}
	}
	if b.Change.Private {
		return nothing("private changes are not brought here")
	}
	switch b.Type {
	case "patchset-created", "change-restored", "wip-state-changed":
		return b.notice(entrance.Proposed, b.Uploader.Username), "", nil
	case "change-abandoned", "change-deleted":
		return b.notice(entrance.Closed, b.Abandoner.Username), "", nil
	case "change-merged":
		n := b.notice(entrance.Closed, b.Submitter.Username)
		n.Merged, n.Base = true, fullOID(b.NewRev)
		return n, "", nil
	case "comment-added":
		return b.comment()
	case "ref-updated":
		ref := b.RefUpdate.Ref
		if !strings.HasPrefix(ref, "refs/") { // Gerrit leaves it out of branches
			ref = "refs/heads/" + ref
		}
		branch, ok := branchOf(ref)
		if !ok || strings.Trim(b.RefUpdate.NewRev, "0") == "" {
			return nothing("it is no branch that moved")
		}
		return &entrance.Notice{Kind: entrance.Pushed, Branch: branch}, "", nil
	default:
		return nothing("nothing is done about %q", b.Type)
	}
}

// comment is a vote, or what was said below Gerrit's own first paragraph ("Patch Set 2: …").
func (b *gerritBody) comment() (*entrance.Notice, string, error) {
	for _, a := range b.Approvals {
		if a.Type != "Code-Review" || a.OldValue == "" {
			continue
		}
		n := b.notice(entrance.Reviewed, b.Author.Username)
		switch a.Value {
		case "2":
			n.Vote = 1
		case "-1", "-2":
			n.Vote = -1
		}
		return n, "", nil
	}
	text := b.Comment
	if strings.HasPrefix(text, "Patch Set ") {
		_, text, _ = strings.Cut(text, "\n")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "(") && strings.HasSuffix(line, ")") { // "(2 comments)"
			continue
		}
		n := b.notice(entrance.Commented, b.Author.Username)
		n.Text = line
		return n, "", nil
	}
	return nothing("it says nothing")
}
