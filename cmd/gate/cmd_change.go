package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

type changeListCmd struct {
	target
	reading
	Repo     string `placeholder:"NAME" help:"Only of this repository."`
	Branch   string `placeholder:"B" help:"Only for this branch."`
	Owner    string `placeholder:"NAME" help:"Only of this account; self is you."`
	Reviewer string `placeholder:"NAME" help:"Only those that this account reviews; self is you."`
	Status   string `enum:"open,landed,abandoned,all," default:"" help:"open, landed, abandoned or all; without a search open ones are meant."`
	Query    string `short:"q" placeholder:"SEARCH" help:"Only what this search finds, last touched first: gate change list -q 'is:open file:web/'."`
	After    string `placeholder:"PLACE" help:"With a search: the next page, as the one before says."`
	Limit    int    `default:"50" help:"At most so many."`
	Before   int64  `placeholder:"N" help:"Only changes with a smaller number: the next page."`
}

func (c *changeListCmd) Run(p *process) error {
	q := url.Values{}
	if c.Status == "" && c.Query == "" {
		c.Status = "open"
	}
	for name, value := range map[string]string{"repository": c.Repo, "branch": c.Branch, "owner": c.Owner, "reviewer": c.Reviewer, "status": c.Status, "q": c.Query, "after": c.After} {
		if value != "" && value != "all" {
			q.Set(name, value)
		}
	}
	q.Set("limit", strconv.Itoa(c.Limit))
	if c.Before != 0 {
		q.Set("before", strconv.FormatInt(c.Before, 10))
	}
	return c.with(p, func(cl *client) error {
		var found struct {
			Items []api.Change `json:"items"`
			Next  string       `json:"next"`
		}
		if err := cl.do(http.MethodGet, "/changes?"+q.Encode(), nil, &found); err != nil {
			return err
		}
		show := func() error { return showChanges(p.stdout, found.Items) }
		if c.JSON {
			show = func() error { return printJSON(p.stdout, found.Items) }
		}
		if err := show(); err != nil || found.Next == "" {
			return err
		}
		return line(p.stderr, "more: --after %s", found.Next)
	})
}

// showChanges prints a table of changes.
func showChanges(w io.Writer, all []api.Change) error {
	var rows [][]string
	for _, ch := range all {
		status := ch.Status
		if ch.WIP {
			status = "wip"
		}
		rows = append(rows, []string{number(ch.Number), ch.Repository, ch.Branch, status, ch.Owner, ch.Subject})
	}
	return printTable(w, "CHANGE REPOSITORY BRANCH STATUS OWNER SUBJECT", rows)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func changePath(n int64, rest string) string { return "/changes/" + number(n) + rest }

type changeShowCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *changeShowCmd) Run(p *process) error {
	return fetch(p, c.target, c.reading, changePath(c.Number, ""), showChange)
}

func showChange(w io.Writer, c api.ChangeDetail) error {
	var b strings.Builder
	fmt.Fprintf(&b, "change %d  %s\n", c.Number, clean(c.Subject))
	fmt.Fprintf(&b, "  %s %s, %s, by %s, patch set %d\n", c.Repository, clean(c.Branch), c.Status, c.Owner, c.PatchSet)
	if c.LandedCommit != "" {
		fmt.Fprintf(&b, "  landed as %s\n", c.LandedCommit)
	}
	if c.Private {
		b.WriteString("  private\n")
	}
	if c.Topic != "" {
		fmt.Fprintf(&b, "  topic %s\n", clean(c.Topic))
	}
	if len(c.Hashtags) > 0 {
		fmt.Fprintf(&b, "  #%s\n", clean(strings.Join(c.Hashtags, " #")))
	}
	fmt.Fprintf(&b, "  %s\n", c.URL)
	for _, ps := range c.PatchSets {
		fmt.Fprintf(&b, "\npatch set %d  %s  by %s, %s\n  git fetch REMOTE %s\n", ps.Number, ps.Commit, ps.Uploader, date(ps.CreatedAt), ps.Ref)
		if ps.Number == c.PatchSet {
			b.WriteString(indent(ps.Message, "    ") + "\n")
		}
		for _, v := range c.Votes {
			if v.PatchSet == ps.Number {
				fmt.Fprintf(&b, "  %s%+d by %s\n", v.Label, v.Value, v.Account)
			}
		}
	}
	for _, m := range c.Messages {
		author := m.Author
		if author == "" {
			author = "Gatehouse"
		}
		fmt.Fprintf(&b, "\n%s, %s, on patch set %d:\n%s\n", author, date(m.CreatedAt), m.PatchSet, indent(m.Body, "  "))
	}
	for _, cm := range c.Comments {
		place := "patch set"
		if cm.Path != "" {
			place = spotWords(cm.Spot)
		}
		fmt.Fprintf(&b, "\n%s on %s (%s), comment %d:\n%s\n", cm.Author, place, yes(cm.Unresolved, "unresolved"), cm.ID, indent(cm.Body, "  "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// showWhatIf prints what would become of a change, and what would still be missing.
func showWhatIf(w io.Writer, e gatekeeper.Explanation) error {
	if e.WhatIf == nil {
		return showExplanation(w, e)
	}
	if err := line(w, "change %d: %s", e.Change, clean(e.WhatIf.Sentence())); err != nil {
		return err
	}
	for _, m := range e.WhatIf.Missing {
		if err := line(w, "  missing then: %s", clean(m)); err != nil {
			return err
		}
	}
	return nil
}

// showExplanation prints why a change has not landed: a line for each requirement, and below
// it what to do when it is open.
func showExplanation(w io.Writer, e gatekeeper.Explanation) error {
	if err := line(w, "change %d, patch set %d: %s\n%s", e.Change, e.PatchSet, e.State, indent(e.Summary, "  ")); err != nil {
		return err
	}
	for _, r := range e.Requirements {
		if err := showRequirement(w, r); err != nil {
			return err
		}
	}
	for _, note := range e.Notes {
		if err := line(w, "  note: %s", clean(note)); err != nil {
			return err
		}
	}
	if e.WhatIf != nil {
		if err := line(w, "  %s", clean(e.WhatIf.Sentence())); err != nil {
			return err
		}
	}
	if e.LandedCommit != "" {
		return line(w, "  landed as %s", e.LandedCommit)
	}
	return nil
}

// underRequirement is where the lines below a requirement begin.
const underRequirement = 18

func showRequirement(w io.Writer, r gatekeeper.Requirement) error {
	text := fmt.Sprintf("  %-14s %-8s %s", clean(r.Name), strings.ToLower(r.State), clean(r.Reason))
	if r.Source != "" {
		text += " (" + clean(r.Source) + ")"
	}
	lines := []string{strings.TrimRight(text, " ")}
	under := func(what, text string) {
		if text != "" && text != r.Reason && !strings.EqualFold(text, r.State) {
			lines = append(lines, indent(text, strings.Repeat(" ", underRequirement-1)+what))
		}
	}
	under("", r.Evidence)
	under("time left: ", r.Left)
	if r.StageRun != 0 && r.State != string(plan.Passed) {
		under("log: ", fmt.Sprintf("gate log %d", r.StageRun))
	}
	if r.State != string(plan.Open) {
		under("who: ", strings.Join(r.Who, ", "))
		under("next: ", r.Next)
	}
	return line(w, "%s", strings.Join(lines, "\n"))
}

type voteCmd struct {
	target
	reading
	Number   int64    `arg:"" help:"The change's number."`
	Label    []string `required:"" sep:"none" placeholder:"LABEL=VALUE" help:"As Code-Review=+2; may be given more than once."`
	Message  string   `short:"m" placeholder:"TEXT" help:"What to say with it."`
	PatchSet int      `name:"patch-set" placeholder:"P" help:"The patch set that you looked at; the vote is refused when it is not current any more."`
	Drafts   bool     `help:"Publish your drafts on the change with it."`
}

func (c *voteCmd) Run(p *process) error {
	votes := map[string]int{}
	for _, text := range c.Label {
		label, value, ok := strings.Cut(text, "=")
		n, err := strconv.Atoi(value)
		if !ok || label == "" || err != nil {
			return fault.New(fault.Invalid, "gate.vote", fmt.Sprintf("%q is not a vote", text), "write it as --label Code-Review=+2")
		}
		votes[label] = n
	}
	return c.act(p, c.Number, http.MethodPost, "/votes", api.Review{PatchSet: c.PatchSet, Votes: votes, Message: c.Message, Drafts: c.Drafts}, c.reading)
}

// act does something to a change and says where it stands then.
func (t target) act(p *process, change int64, method, what string, in any, r reading) error {
	return t.with(p, func(cl *client) error {
		var e gatekeeper.Explanation
		if err := cl.do(method, changePath(change, what), in, &e); err != nil {
			return err
		}
		if r.JSON {
			return printJSON(p.stdout, e)
		}
		return showExplanation(p.stdout, e)
	})
}

type submitCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
	Off    bool  `help:"Take the wish back."`
}

func (c *submitCmd) Run(p *process) error {
	method := http.MethodPost
	if c.Off {
		method = http.MethodDelete
	}
	return c.act(p, c.Number, method, "/submit", nil, c.reading)
}

type abandonCmd struct {
	target
	reading
	Number  int64  `arg:"" help:"The change's number."`
	Message string `short:"m" placeholder:"TEXT" help:"Why."`
}

func (c *abandonCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/abandon", api.Reason{Message: c.Message}, c.reading)
}

type restoreCmd struct {
	target
	reading
	Number  int64  `arg:"" help:"The change's number."`
	Message string `short:"m" placeholder:"TEXT" help:"Why."`
}

func (c *restoreCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/restore", api.Reason{Message: c.Message}, c.reading)
}

type wipCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
	Off    bool  `help:"It is ready."`
}

func (c *wipCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/wip", api.Progress{WIP: !c.Off}, c.reading)
}
