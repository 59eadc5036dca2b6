package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/web/api"
)

type recheckCmd struct {
	target
	reading
	Number int64    `arg:"" help:"The change's number."`
	Stage  []string `short:"s" placeholder:"STAGE" help:"Run this stage again even if it passed. May be repeated."`
	Reason string   `short:"m" placeholder:"TEXT" help:"Why; the change's story keeps it."`
}

func (c *recheckCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/recheck", api.Recheck{Stages: c.Stage, Reason: c.Reason}, c.reading)
}

type stopCmd struct {
	target
	ID     int64  `arg:"" help:"The stage run, as gate log names it."`
	All    bool   `help:"Stop the whole run that it is of."`
	Reason string `short:"m" placeholder:"TEXT" help:"Why; the change's story keeps it."`
}

func (c *stopCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, "/stages/"+number(c.ID)+"/stop", api.StageStop{All: c.All, Reason: c.Reason}, nil)
	})
}

type checksCmd struct {
	target
	reading
	Number   int64 `arg:"" help:"The change's number."`
	PatchSet int   `help:"The patch set; the current one when it is not given."`
}

func (c *checksCmd) Run(p *process) error {
	return fetch(p, c.target, c.reading, "/changes/"+number(c.Number)+"/checks?patch_set="+strconv.Itoa(c.PatchSet), showChecks)
}

// showChecks prints findings as compilers do, so that editors can jump to them.
func showChecks(w io.Writer, checks gatekeeper.Checks) error {
	for _, s := range checks.Stages {
		for _, f := range s.Findings {
			place := clean(f.Path)
			switch {
			case f.Line > 0 && f.Column > 0:
				place = fmt.Sprintf("%s:%d:%d", place, f.Line, f.Column)
			case f.Line > 0:
				place = fmt.Sprintf("%s:%d", place, f.Line)
			case place == "":
				place = "-"
			}
			by := clean(strings.TrimSpace(s.Stage + " " + f.Rule))
			if err := line(w, "%s: %s: %s [%s]", place, f.Severity, clean(strings.ReplaceAll(f.Message, "\n", " ")), by); err != nil {
				return err
			}
		}
		if s.Dropped > 0 {
			if err := line(w, "%s: %d more findings were not kept", clean(s.Stage), s.Dropped); err != nil {
				return err
			}
		}
		for _, note := range s.Notes {
			if err := line(w, "%s: not read: %s", clean(s.Stage), clean(note)); err != nil {
				return err
			}
		}
	}
	for _, f := range checks.Coverage {
		if len(f.Missed) == 0 {
			continue
		}
		if err := line(w, "%s: no test ran the new lines %s", clean(f.Path), numbers(f.Missed)); err != nil {
			return err
		}
	}
	if checks.Added > 0 {
		return line(w, "%d of %d new lines were not run by any test", checks.Missed, checks.Added)
	}
	return nil
}

// numbers is a sorted list of lines with its runs shortened: "3-5, 9".
func numbers(all []int) string {
	var parts []string
	for i := 0; i < len(all); {
		end := i
		for end+1 < len(all) && all[end+1] == all[end]+1 {
			end++
		}
		text := strconv.Itoa(all[i])
		if end > i {
			text += "-" + strconv.Itoa(all[end])
		}
		parts = append(parts, text)
		i = end + 1
	}
	return strings.Join(parts, ", ")
}

type testsCmd struct {
	target
	reading
	Repo  string `arg:"" help:"The repository."`
	Text  string `arg:"" optional:"" help:"A part of the tests' names."`
	Test  string `xor:"what" placeholder:"NAME" help:"Show the history of this test, named with its package."`
	Stage string `help:"The stage of the test, when several have it."`
}

func (c *testsCmd) Run(p *process) error {
	base := "/repositories/" + inPath(c.Repo) + "/tests"
	if c.Test != "" {
		return fetch(p, c.target, c.reading, base+"/history?"+url.Values{"test": {c.Test}, "stage": {c.Stage}}.Encode(), showHistory)
	}
	return fetchAll(p, c.target, c.reading, base+"?"+url.Values{"text": {c.Text}}.Encode(), showTests)
}

func showTests(w io.Writer, tests []gatekeeper.TestCount) error {
	var rows [][]string
	for _, t := range tests {
		rows = append(rows, []string{strconv.Itoa(t.Failures), strconv.Itoa(t.Flakes), strconv.Itoa(t.Runs), t.Mean.String(), date(t.Last), t.Stage, t.Test})
	}
	return printTable(w, "FAILURES FLAKES RUNS MEAN LAST STAGE TEST", rows)
}

func showHistory(w io.Writer, h gatekeeper.TestHistory) error {
	if err := line(w, "%s in stage %s: %d runs, %d failures, %d of them flakes", clean(h.Test), clean(h.Stage), h.Runs, h.Failures, h.Flakes); err != nil {
		return err
	}
	var rows [][]string
	for _, r := range h.Results {
		subject := r.Branch
		if r.Change != 0 {
			subject = fmt.Sprintf("%d,%d", r.Change, r.PatchSet)
		}
		rows = append(rows, []string{date(r.At), string(r.Status), yes(r.Flake != "", "flake"), r.Took.String(), subject, strconv.FormatInt(r.StageRun, 10), r.Message})
	}
	return printTable(w, "AT STATUS FLAKE TOOK CHANGE STAGE-RUN MESSAGE", rows)
}
