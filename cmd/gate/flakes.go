package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"gatehouse/gatekeeper"
	"gatehouse/web/api"
)

type flakesCmd struct {
	target
	reading
	Repo string `arg:"" optional:"" help:"The repository; without it all that you may read."`
}

func (c *flakesCmd) Run(p *process) error {
	if c.Repo != "" {
		return fetch(p, c.target, c.reading, "/repositories/"+inPath(c.Repo)+"/flakes", showFlakes)
	}
	return c.with(p, func(cl *client) error {
		var repos items[api.Repository]
		if err := cl.do(http.MethodGet, "/repositories", nil, &repos); err != nil {
			return err
		}
		reports := []gatekeeper.FlakeReport{}
		for _, r := range repos.Items {
			var report gatekeeper.FlakeReport
			if err := cl.do(http.MethodGet, "/repositories/"+inPath(r.Name)+"/flakes", nil, &report); err != nil {
				return err
			}
			reports = append(reports, report)
		}
		if c.JSON {
			return printJSON(p.stdout, reports)
		}
		for _, report := range reports {
			if err := showFlakes(p.stdout, report); err != nil {
				return err
			}
		}
		return nil
	})
}

func showFlakes(w io.Writer, f gatekeeper.FlakeReport) error {
	if err := line(w, "%s since %s: %d stages ran, %d tests flaked", clean(f.Repository), date(f.Since), len(f.Stages), len(f.Tests)); err != nil {
		return err
	}
	var rows [][]string
	for _, s := range append(f.Stages, f.Tests...) {
		rows = append(rows, []string{percent(s.Rate), strconv.Itoa(s.Flakes), strconv.Itoa(s.Failures), strconv.Itoa(s.Runs), date(s.LastSeen), s.Stage, s.Test})
	}
	if err := printTable(w, "RATE FLAKES FAILURES RUNS LAST STAGE TEST", rows); err != nil {
		return err
	}
	rows = nil
	for _, q := range f.Quarantines {
		rows = append(rows, []string{q.Until, q.State, q.Owner, q.Branch, q.Stage, q.Reason})
	}
	return printTable(w, "QUARANTINE-UNTIL STATE OWNER BRANCH STAGE REASON", rows)
}

// percent is a share with the precision that a month of runs can have.
func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }
