package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

type logCmd struct {
	target
	Stage  int64 `arg:"" help:"The stage run's id, as gate why --json and the change's page show it."`
	Follow bool  `short:"f" help:"Stay until the stage has ended."`
	Offset int64 `help:"Begin at this byte."`
	Raw    bool  `help:"Every byte as the stage wrote it; without it a terminal is sent text and colours only."`
}

func (c *logCmd) Run(p *process) error {
	q := url.Values{"offset": {strconv.FormatInt(c.Offset, 10)}, "follow": {strconv.FormatBool(c.Follow)}}
	return c.with(p, func(cl *client) error {
		resp, err := cl.send(http.MethodGet, "/stages/"+number(c.Stage)+"/log?"+q.Encode(), nil)
		if err != nil {
			return err
		}
		return cl.printLog(p, resp, c.Raw)
	})
}

// printLog writes a log that the server sends, as what it is or fit for a terminal.
func (c *client) printLog(p *process, resp *http.Response, raw bool) error {
	defer func() { _ = resp.Body.Close() }()
	var to io.Writer = &tameLog{w: p.stdout}
	if raw {
		to = p.stdout
	}
	if _, err := io.Copy(to, resp.Body); err != nil {
		return c.unreachable(err)
	}
	return nil
}

type planCheckCmd struct {
	replaying
	reading
	File string `arg:"" optional:"" default:"gatehouse.yaml" help:"The plan file."`
}

// planReport is what plan check answers.
type planReport struct {
	OK       bool           `json:"ok"`
	Stages   []string       `json:"stages"`
	Problems []plan.Problem `json:"problems"`
}

func (c *planCheckCmd) Run(p *process) error {
	text, err := readPlan(c.File)
	if err != nil {
		return err
	}
	parsed, problems := plan.Parse(c.File, text)
	report := planReport{OK: len(problems) == 0, Stages: []string{}, Problems: problems}
	if report.OK {
		report.Stages, report.Problems = append(report.Stages, parsed.StageOrder()...), []plan.Problem{}
	}
	if c.Since != "" && report.OK {
		return c.replay(p, text, c.JSON)
	}
	if c.JSON {
		if err := printJSON(p.stdout, report); err != nil {
			return err
		}
	} else if report.OK {
		if err := line(p.stdout, "%s: %s, %s, lands by %s", c.File, counted(len(parsed.Stages), "stage"), counted(len(parsed.Gates), "gate"), parsed.Land.How); err != nil {
			return err
		}
	}
	for _, problem := range problems {
		say(p.stderr, "%s", problem)
	}
	if !report.OK {
		return exitError(exitFailed)
	}
	return nil
}

// readPlan reads a plan file, and a byte more than a plan may have so that Parse says so.
func readPlan(name string) ([]byte, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return nil, fault.New(fault.NotFound, "gate.plan", fmt.Sprintf("there is no file %s", name), "a repository without a plan has one review gate")
	}
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "gate.plan", "the plan cannot be read: %v", err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, plan.MaxFile+1))
}
