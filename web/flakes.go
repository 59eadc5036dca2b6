package web

import (
	"fmt"
	"net/http"

	"gatehouse/gatekeeper"
)

// flakeRow is a stage or a test in the list of flakes.
type flakeRow struct {
	gatekeeper.FlakeCount
	Percent string
}

type flakesView struct {
	repoPage
	Rows        []flakeRow // each stage with its tests below it
	Days        int
	Quarantines []gatekeeper.QuarantineState
}

// flakes shows how reliable the stages and tests of a repository are.
func (w *Web) flakes(c *call) error {
	p, err := w.repoOf(c, "flakes")
	if err != nil {
		return err
	}
	report, err := w.Gate.Flakes(c.ctx(), c.actor, p.Repo.Name)
	if err != nil {
		return err
	}
	v := flakesView{repoPage: p, Quarantines: report.Quarantines, Days: int(w.Now().Sub(report.Since).Hours()/24 + 0.5)}
	row := func(f gatekeeper.FlakeCount) {
		v.Rows = append(v.Rows, flakeRow{f, fmt.Sprintf("%.1f %%", 100*f.Rate)})
	}
	for _, stage := range report.Stages {
		row(stage)
		for _, test := range report.Tests {
			if test.Stage == stage.Stage {
				row(test)
			}
		}
	}
	return w.render(c, http.StatusOK, "flakes", "Flakes of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "")))
}
