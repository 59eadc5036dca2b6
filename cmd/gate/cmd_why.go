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
)

type whyCmd struct {
	target
	reading
	What   string   `arg:"" name:"change" help:"The change's number; with --commit the repository."`
	Commit string   `placeholder:"C" help:"A landed commit of the repository, by the beginning of its name: where what was built from it is."`
	Branch string   `placeholder:"B" help:"With --commit: the branch; without it the default branch."`
	If     []string `sep:"none" placeholder:"WHAT" help:"Say what would become of it if 'alice approves', 'unit passes', 'change 11 lands'; joined by 'and', or given more than once. For programs: vote:alice=+2, stage:unit=passed, change:11=landed, submit, ready, public."`
}

func (c *whyCmd) Run(p *process) error {
	if c.Commit != "" {
		return c.ofCommit(p)
	}
	change, err := strconv.ParseInt(c.What, 10, 64)
	if err != nil || change <= 0 {
		return fault.New(fault.Invalid, "gate.why", fmt.Sprintf("%q is not the number of a change", c.What), "gate change list has them; a repository needs --commit")
	}
	if c.Branch != "" {
		return fault.New(fault.Invalid, "gate.why", "--branch goes with --commit", "a change knows its branch")
	}
	if len(c.If) > 0 {
		return fetch(p, c.target, c.reading, changePath(change, "/explain?"+url.Values{"if": c.If}.Encode()), showWhatIf)
	}
	return c.ofChange(p, change)
}

// whyAnswer is why a change has not landed or, when it has, where it is.
type whyAnswer struct {
	gatekeeper.Explanation
	Delivery *gatekeeper.Delivery `json:"delivery,omitempty"`
}

func (c *whyCmd) ofChange(p *process, change int64) error {
	return c.with(p, func(cl *client) error {
		var e whyAnswer
		if err := cl.do(http.MethodGet, changePath(change, "/explain"), nil, &e.Explanation); err != nil {
			return err
		}
		if e.State == gatekeeper.Landed {
			var d gatekeeper.Delivery
			err := cl.do(http.MethodGet, changePath(change, "/delivery"), nil, &d)
			switch {
			case err == nil:
				e.Delivery = &d
			case !fault.Is(err, fault.NotFound): // nothing comes after its landing
				return err
			}
		}
		if c.JSON {
			return printJSON(p.stdout, e)
		}
		if err := showExplanation(p.stdout, e.Explanation); err != nil || e.Delivery == nil {
			return err
		}
		return showDelivery(p.stdout, *e.Delivery)
	})
}

// ofCommit asks where a landed commit is.
func (c *whyCmd) ofCommit(p *process) error {
	if len(c.If) > 0 {
		return fault.New(fault.Invalid, "gate.why", "--if is about a change", "gate why CHANGE --if …")
	}
	at := ofBranch{c.What, c.Branch}
	return c.with(p, func(cl *client) error {
		var found items[gatekeeper.Delivery]
		if err := cl.do(http.MethodGet, at.path("/deliveries", "commit", c.Commit), nil, &found); err != nil {
			return err
		}
		if len(found.Items) == 0 {
			return fault.New(fault.NotFound, "gate.why", fmt.Sprintf("nothing called %q was delivered of %s", c.Commit, c.What), "a change that has not landed is asked for by its number")
		}
		for _, d := range found.Items {
			if d.Commit != found.Items[0].Commit {
				return fault.New(fault.Invalid, "gate.why", c.Commit+" is the beginning of several commits", "write more of it")
			}
		}
		d := found.Items[0]
		if c.JSON {
			return printJSON(p.stdout, d)
		}
		if err := line(p.stdout, "commit %s of %s %s: %s", d.Commit, clean(d.Repository), clean(d.Branch), d.State); err != nil {
			return err
		}
		return showDelivery(p.stdout, d)
	})
}

// showDelivery prints where what landed is, and what it waits for: the environments, then the gates
// and stages that are not through.
func showDelivery(w io.Writer, d gatekeeper.Delivery) error {
	for _, a := range d.Artifacts {
		if err := line(w, "  %-14s %-8s %s", clean(a.Name), strings.ToLower(a.State), a.Digest); err != nil {
			return err
		}
	}
	if len(d.Stops) == 0 {
		if err := line(w, "  %s", clean(d.Summary)); err != nil {
			return err
		}
	}
	for _, s := range d.Stops {
		r := gatekeeper.Requirement{Name: s.Environment, State: orNone(strings.ToLower(string(s.State))), Reason: s.Words + againWords(s.Until)}
		if s.Runs {
			r.State = "runs"
		}
		if err := showRequirement(w, r); err != nil {
			return err
		}
	}
	for _, v := range d.Gates {
		if !v.State.Passes() {
			if err := showVerdict(w, v); err != nil {
				return err
			}
		}
	}
	for _, s := range d.Stages {
		if s.State == plan.Passed || s.State == plan.Skipped || s.State == plan.Bypassed || s.StageRun == 0 {
			continue
		}
		if err := showRequirement(w, gatekeeper.Requirement{Name: s.Stage, State: string(s.State), Reason: s.Reason, StageRun: s.StageRun}); err != nil {
			return err
		}
	}
	return nil
}
