package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/web/api"
)

type inboxCmd struct {
	target
	reading
}

func (c *inboxCmd) Run(p *process) error {
	return fetch(p, c.target, c.reading, "/self/dashboard", showDashboard)
}

// showDashboard prints what waits for the caller first, and why.
func showDashboard(w io.Writer, d api.Dashboard) error {
	if err := line(w, "My turn"); err != nil {
		return err
	}
	var rows [][]string
	for _, t := range d.Turn {
		rows = append(rows, []string{number(t.Number), t.Repository, t.Owner, date(t.Since), strings.TrimSpace(t.By + " " + t.Reason), t.Subject})
	}
	if err := printOrNone(w, "CHANGE REPOSITORY OWNER SINCE WHY SUBJECT", rows, "nothing waits for you"); err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		changes []api.Change
	}{{"Waiting on others", d.Waiting}, {"Nobody is asked", d.Unasked}, {"Mine", d.Mine}, {"Watched", d.Watched}, {"Recently landed", d.Landed}} {
		if len(part.changes) == 0 {
			continue
		}
		if err := line(w, "\n%s", part.name); err != nil {
			return err
		}
		if err := showChanges(w, part.changes); err != nil {
			return err
		}
	}
	return nil
}

func printOrNone(w io.Writer, heading string, rows [][]string, none string) error {
	if len(rows) == 0 {
		return line(w, "%s", none)
	}
	return printTable(w, heading, rows)
}

type reviewerListCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *reviewerListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, changePath(c.Number, "/reviewers"), showReviewers)
}

func showReviewers(w io.Writer, all []api.Reviewer) error {
	var rows [][]string
	for _, r := range all {
		as := "reviewer"
		if r.CC {
			as = "cc"
		}
		rows = append(rows, []string{r.Account, as})
	}
	return printTable(w, "ACCOUNT AS", rows)
}

type reviewerAddCmd struct {
	target
	reading
	Number   int64    `arg:"" help:"The change's number."`
	Accounts []string `arg:"" help:"Whom to ask: names or e-mail addresses."`
	CC       bool     `name:"cc" help:"Only let them know."`
}

func (c *reviewerAddCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var all struct {
			Items []api.Reviewer `json:"items"`
		}
		if err := cl.do(http.MethodPost, changePath(c.Number, "/reviewers"), api.NewReviewers{Accounts: c.Accounts, CC: c.CC}, &all); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, all.Items)
		}
		return showReviewers(p.stdout, all.Items)
	})
}

type reviewerRemoveCmd struct {
	target
	Number   int64    `arg:"" help:"The change's number."`
	Accounts []string `arg:"" help:"Whom to remove; self is you. Their votes on the current patch set go too."`
}

func (c *reviewerRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		for _, name := range c.Accounts {
			if err := cl.do(http.MethodDelete, changePath(c.Number, "/reviewers/"+url.PathEscape(name)), nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

type reviewerSuggestCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *reviewerSuggestCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, changePath(c.Number, "/suggested-reviewers"), func(w io.Writer, all []api.SuggestedReviewer) error {
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.Account, strings.Join(s.Why, "; ")})
		}
		return printOrNone(w, "ACCOUNT WHY", rows, "nobody comes to mind")
	})
}

type attentionListCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *attentionListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, changePath(c.Number, "/attention"), func(w io.Writer, all []api.Attention) error {
		var rows [][]string
		for _, a := range all {
			rows = append(rows, []string{a.Account, date(a.Since), strings.TrimSpace(a.By + " " + a.Reason)})
		}
		return printOrNone(w, "ACCOUNT SINCE WHY", rows, "it is nobody's turn")
	})
}

type attentionAddCmd struct {
	target
	Number  int64  `arg:"" help:"The change's number."`
	Account string `arg:"" help:"Whose turn it is; self is you."`
	Reason  string `short:"m" placeholder:"TEXT" help:"Why."`
}

func (c *attentionAddCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, changePath(c.Number, "/attention"), api.NewAttention{Account: c.Account, Reason: c.Reason}, nil)
	})
}

type attentionRemoveCmd struct {
	target
	Number  int64  `arg:"" help:"The change's number."`
	Account string `arg:"" default:"self" help:"Whose turn it is not; without it, yours."`
}

func (c *attentionRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, changePath(c.Number, "/attention/"+url.PathEscape(c.Account)), nil, nil)
	})
}

type starCmd struct {
	target
	Number int64 `arg:"" help:"The change's number."`
	Off    bool  `help:"Take the star away."`
}

func (c *starCmd) Run(p *process) error {
	method := http.MethodPut
	if c.Off {
		method = http.MethodDelete
	}
	return c.with(p, func(cl *client) error { return cl.do(method, changePath(c.Number, "/star"), nil, nil) })
}

type watchListCmd struct {
	target
	reading
}

func (c *watchListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/self/watches", func(w io.Writer, all []api.Watch) error {
		var rows [][]string
		for _, one := range all {
			rows = append(rows, []string{number(one.ID), one.Repository, one.Branch, one.Path, one.Query})
		}
		return printOrNone(w, "ID REPOSITORY BRANCH PATH SEARCH", rows, "you watch nothing")
	})
}

type watchAddCmd struct {
	target
	Repo   string `placeholder:"NAME" help:"Changes of this repository."`
	Branch string `placeholder:"B" help:"Changes for this branch."`
	Path   string `placeholder:"PATH" help:"Changes that touch this path, folder, name or *.EXT."`
	Query  string `placeholder:"SEARCH" help:"Changes that this search finds."`
}

func (c *watchAddCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, "/self/watches", api.Watch{Repository: c.Repo, Branch: c.Branch, Path: c.Path, Query: c.Query}, nil)
	})
}

type watchRemoveCmd struct {
	target
	ID int64 `arg:"" name:"id" help:"As gate watch list shows it."`
}

func (c *watchRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, "/self/watches/"+number(c.ID), nil, nil)
	})
}
