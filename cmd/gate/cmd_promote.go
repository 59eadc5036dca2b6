package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/web/api"
)

type promoteCmd struct {
	target
	reading
	ofEnvironment
	What   string `arg:"" optional:"" help:"The artifact, by its digest, its commit or its change; without it the newest that waits."`
	Hotfix bool   `help:"Before others, and also in a freeze. Its gates stay what they are."`
	Reason string `placeholder:"TEXT" help:"Why; needed for a hotfix."`
}

func (c *promoteCmd) Run(p *process) error {
	return c.ask(p, c.target, c.reading, "/promote", api.NewPromotion{What: c.What, Hotfix: c.Hotfix, Reason: c.Reason})
}

type rollbackCmd struct {
	target
	reading
	ofEnvironment
	What   string `arg:"" optional:"" help:"What ran well there, by its digest, its commit or its change; without it the last before what runs."`
	Reason string `required:"" placeholder:"TEXT" help:"What is wrong with what runs."`
}

func (c *rollbackCmd) Run(p *process) error {
	return c.ask(p, c.target, c.reading, "/rollback", api.NewRollback{What: c.What, Reason: c.Reason})
}

// ask asks for a promotion and says what keeps it out, if anything does.
func (o ofEnvironment) ask(p *process, t target, r reading, how string, in any) error {
	return t.with(p, func(cl *client) error {
		var made deliver.Promotion
		if err := cl.do(http.MethodPost, o.at(how), in, &made); err != nil {
			return err
		}
		if r.JSON {
			return printJSON(p.stdout, made)
		}
		var v gatekeeper.EnvironmentView
		if err := cl.do(http.MethodGet, o.at(""), nil, &v); err != nil {
			return err
		}
		return line(p.stdout, "promotion %d of %s (%s) into %s: %s", made.ID, what(made), shortDigest(made.Digest), clean(o.Env), clean(standWords(made, v)))
	})
}

// standWords say how a promotion stands in its environment now.
func standWords(made deliver.Promotion, v gatekeeper.EnvironmentView) string {
	for _, n := range v.Next {
		if n.ID == made.ID {
			return n.Words
		}
	}
	if v.Entering != nil && v.Entering.ID == made.ID {
		return v.Entering.Why
	}
	if v.Current != nil && v.Current.ID == made.ID {
		return "it runs there"
	}
	for _, past := range v.Past {
		if past.ID == made.ID {
			return strings.TrimSuffix(strings.ToLower(string(past.State))+": "+past.Why, ": ")
		}
	}
	return strings.ToLower(string(promote.Requested))
}

type envCancelCmd struct {
	target
	reading
	Repo      string `arg:"" help:"The repository."`
	Promotion int64  `arg:"" help:"The promotion, as gate env show has it."`
	Reason    string `placeholder:"TEXT" help:"Why."`
}

func (c *envCancelCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var over deliver.Promotion
		if err := cl.do(http.MethodPost, "/repositories/"+inPath(c.Repo)+"/promotions/"+number(c.Promotion)+"/cancel", api.Reason{Message: c.Reason}, &over); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, over)
		}
		return line(p.stdout, "promotion %d into %s: %s", over.ID, clean(over.Environment), clean(over.Why))
	})
}

type envFiguresCmd struct {
	target
	reading
	ofBranch
	Env   string `arg:"" optional:"" help:"The environment; without it the last in which something always runs."`
	Weeks int    `placeholder:"N" help:"Of so many weeks, up to this one; without it 12."`
}

func (c *envFiguresCmd) Run(p *process) error {
	weeks := ""
	if c.Weeks != 0 {
		weeks = strconv.Itoa(c.Weeks)
	}
	return fetch(p, c.target, c.reading, c.path("/figures", "environment", c.Env, "weeks", weeks), func(w io.Writer, f gatekeeper.Figures) error {
		if err := line(w, "%s of %s %s", clean(f.Environment), clean(f.Repository), clean(f.Branch)); err != nil {
			return err
		}
		var rows [][]string
		for _, one := range f.Weeks {
			rows = append(rows, figureRow(one.From.Format(time.DateOnly), one))
		}
		return printTable(w, "WEEK DEPLOYS PER-WEEK FAILED LEAD-TIME FROM-LANDING RESTORE", append(rows, figureRow("all", f.All)))
	})
}

func figureRow(name string, f gatekeeper.Figure) []string {
	row := []string{name, strconv.Itoa(f.Deploys), fmt.Sprintf("%.1f", f.PerWeek), "-", "-", "-", "-"}
	if f.Deploys > 0 {
		row[3] = fmt.Sprintf("%d (%.0f %%)", f.Failures, 100*f.FailRate)
	}
	if f.Changes > 0 {
		row[4], row[5] = span(f.LeadTime), span(f.FromLanding)
	}
	if f.Restored > 0 {
		row[6] = span(f.Restore)
	}
	if f.Unrestored > 0 {
		row[6] += fmt.Sprintf(" (%d not yet)", f.Unrestored)
	}
	return row
}

// span is a number of seconds as people say it.
func span(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

type approveCmd struct {
	target
	reading
	ofBranch
	Gate     string `arg:"" help:"The gate."`
	What     string `arg:"" optional:"" help:"What landed, by its change, its commit, or the digest of something built from it; without it the newest. At a gate before the landing an open change: 17, or 17/3 with the patch set that you looked at."`
	Note     string `placeholder:"TEXT" help:"What to say with it."`
	Withdraw bool   `help:"Take your approval back."`
}

func (c *approveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var done gatekeeper.Approved
		if err := cl.do(http.MethodPost, c.path("/gates/"+url.PathEscape(c.Gate)+"/approve"), api.NewApproval{What: c.What, Note: c.Note, Withdraw: c.Withdraw}, &done); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, done)
		}
		return showApproved(p.stdout, done, c.Withdraw)
	})
}

// showApproved says whether an approval counts, and what its gate says now.
func showApproved(w io.Writer, done gatekeeper.Approved, withdrawn bool) error {
	about := "commit " + cut(done.Commit)
	if done.Change != 0 {
		about = fmt.Sprintf("change %d, %s", done.Change, about)
	}
	if done.PatchSet != 0 {
		about = fmt.Sprintf("patch set %d of change %d", done.PatchSet, done.Change)
	}
	first := fmt.Sprintf("approved %s at %s: it counts", about, done.Gate)
	switch {
	case withdrawn:
		first = fmt.Sprintf("took the approval of %s at %s back", about, done.Gate)
	case !done.Counts:
		first = fmt.Sprintf("approved %s at %s, and it does not count: %s", about, done.Gate, done.Why)
	}
	if err := line(w, "%s", clean(first)); err != nil {
		return err
	}
	return showVerdict(w, done.Verdict)
}

// showVerdict prints what a gate says and, while it is not open, why.
func showVerdict(w io.Writer, v plan.Verdict) error {
	r := gatekeeper.Requirement{Name: v.Gate, State: string(v.State)}
	var evidence []string
	for _, reason := range v.Reasons {
		switch {
		case reason.State != v.State:
			continue
		case r.Reason == "":
			r.Reason, r.Who, r.Next = reason.What, reason.Who, reason.Next
		case v.State.Passes(): // all of it was needed
			r.Reason += "; " + reason.What
		}
		if reason.Evidence != "" && reason.Evidence != reason.What && reason.Stage == "" { // of a stage it is the bare state
			evidence = append(evidence, reason.Evidence)
		}
	}
	r.Evidence = strings.Join(evidence, "; ")
	if err := showRequirement(w, r); err != nil || v.Next.IsZero() || v.State.Passes() {
		return err
	}
	return line(w, "%slooked at again %s", strings.Repeat(" ", underRequirement-1), date(v.Next))
}

type bypassCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Node   string `arg:"" help:"The stage or the gate."`
	Reason string `required:"" placeholder:"TEXT" help:"Why it may be left out: it is shown wherever the change is."`
}

func (c *bypassCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/bypass", api.NewBypass{Node: c.Node, Reason: c.Reason}, c.reading)
}

type outcomeCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Name   string `arg:"" optional:"" help:"One of the plan's outcomes; without it the usual one."`
	Reason string `placeholder:"TEXT" help:"Why; needed where the outcome leaves something out."`
}

func (c *outcomeCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/outcome", api.NewOutcome{Outcome: c.Name, Reason: c.Reason}, c.reading)
}

// statusCmd is what outside systems say.
type statusCmd struct {
	Post statusPostCmd `cmd:"" help:"Say what an outside system found about a commit or an artifact. A gate with an external criterion asks for it."`
}

type statusPostCmd struct {
	target
	Repo        string `arg:"" help:"The repository."`
	Subject     string `arg:"" help:"A full commit name, or sha256: and a full digest."`
	Context     string `arg:"" help:"What says so, such as ci/windows."`
	State       string `arg:"" help:"RUNNING, PASSED, FAILED or ERRORED."`
	Description string `placeholder:"TEXT" help:"One line about it."`
	Link        string `placeholder:"URL" help:"Where to read more."`
}

func (c *statusPostCmd) Run(p *process) error {
	in := api.NewStatus{Subject: c.Subject, Context: c.Context, State: strings.ToUpper(c.State), Description: c.Description, URL: c.Link}
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, "/repositories/"+inPath(c.Repo)+"/statuses", in, nil)
	})
}
