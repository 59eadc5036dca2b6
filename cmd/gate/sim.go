package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/sim"
	"gatehouse/gitserver/fault"
)

// everything stands for all kinds of workloads, and for all policies.
const everything = "all"

type simCmd struct {
	reading
	Trace    []string `sep:"none" placeholder:"FILE" help:"Play this trace, or all of this folder. May be repeated."`
	Generate []string `placeholder:"KIND" help:"Draw a workload of this kind and play it: ${kinds}, or all."`
	Seed     int64    `default:"1" help:"The seed that a workload is drawn from, or the first that is checked."`
	Workers  int      `placeholder:"N" help:"How many builds may run at once; without it as many as the trace says."`
	Policy   []string `default:"ours" placeholder:"NAME" help:"The queue that decides: ${policies}, or all."`

	Check     bool `help:"Instead of playing workloads, hold the queue and the promotions to their rules in random histories."`
	Histories int  `default:"10000" placeholder:"N" help:"How many histories of each are checked, each with the next seed."`
}

// Run plays, or checks.
func (c *simCmd) Run(p *process) error {
	if c.Check {
		return c.check(p)
	}
	policies, err := c.policies()
	if err != nil {
		return err
	}
	traces, err := c.traces()
	if err != nil {
		return err
	}
	o := sim.Options{Clock: time.Now}
	if len(traces) == 1 && len(policies) == 1 {
		r, err := sim.Run(traces[0], policies[0], c.Workers, o)
		if err != nil {
			return simFault(err)
		}
		if c.JSON {
			return printJSON(p.stdout, r)
		}
		return showResult(p.stdout, r)
	}
	var all []sim.Comparison
	for _, t := range traces {
		one, err := sim.Compare(t, policies, c.Workers, o)
		if err != nil {
			return simFault(err)
		}
		all = append(all, one)
		if c.JSON {
			continue
		}
		if err := showComparison(p.stdout, one); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(p.stdout, simReport{all, sim.Means(all)})
	}
	if len(all) == 1 {
		return nil
	}
	if err := line(p.stdout, "geometric means of %d traces", len(all)); err != nil {
		return err
	}
	return showRatios(p.stdout, sim.Means(all))
}

// simReport is what sim answers when there is more than one result.
type simReport struct {
	Traces []sim.Comparison `json:"traces"`
	Means  []sim.Ratio      `json:"means"`
}

func (c *simCmd) policies() ([]string, error) {
	known := sim.Policies()
	if slices.Contains(c.Policy, everything) {
		return known, nil
	}
	for _, name := range c.Policy {
		if !slices.Contains(known, name) {
			return nil, fault.New(fault.Invalid, "gate.sim", fmt.Sprintf("there is no policy %q", name), "choose one of "+strings.Join(known, ", "))
		}
	}
	return c.Policy, nil
}

func (c *simCmd) traces() ([]*sim.Trace, error) {
	var all []*sim.Trace
	for _, path := range c.Trace {
		files, err := traceFiles(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			t, err := sim.Load(file)
			if err != nil {
				return nil, simFault(err)
			}
			all = append(all, t)
		}
	}
	kinds := c.Generate
	if slices.Contains(kinds, everything) {
		kinds = sim.Kinds()
	}
	for _, kind := range kinds {
		t, err := sim.Generate(kind, c.Seed)
		if err != nil {
			return nil, simFault(err)
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "gate.sim", "there is nothing to play", "name a trace with --trace FILE or a workload with --generate KIND")
	}
	return all, nil
}

// traceFiles is the file itself, or the traces of a folder.
func traceFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, simFault(err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fault.New(fault.NotFound, "gate.sim", fmt.Sprintf("there is no trace in %s", path), "a trace is a file that ends in .json")
	}
	return files, nil
}

// simFault is what the simulator or the file system says, as a fault of the command line.
func simFault(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "gate.sim", err.Error(), "name a trace with --trace FILE, or draw one with --generate KIND")
	}
	return fault.New(fault.Invalid, "gate.sim", err.Error(), "gate sim --help")
}

func showResult(w io.Writer, r sim.Result) error {
	rows := [][]string{
		{"decided", fmt.Sprintf("%d landed, %d rejected (%d of them wrongly), %d undecided", r.Landed, r.Rejected, r.FalseRejections, r.Undecided)},
		{"turnaround", fmt.Sprintf("%.1f min P50, %.1f P95, %.1f P99", r.P50, r.P95, r.P99)},
		{"throughput", fmt.Sprintf("%.1f landed in an hour of arrivals", r.LandedPerHour)},
		{"cost", fmt.Sprintf("%.1f worker-minutes for each landed change, %.0f in all, %.2f builds a change", r.PerLandedCost, r.WorkerMinutes, r.BuildsPerChange)},
		{"decisions", fmt.Sprintf("%.0f us at P99", r.DecisionUSP99)},
	}
	if err := line(w, "%s on %s with %d workers%s", r.Policy, clean(r.Trace), r.Workers, unfinished(r.Unfinished)); err != nil {
		return err
	}
	for _, row := range rows {
		if err := line(w, "  %-11s %s", row[0], row[1]); err != nil {
			return err
		}
	}
	return nil
}

func showComparison(w io.Writer, c sim.Comparison) error {
	if err := line(w, "%s: %d workers; oracle P50 %.1f min, P95 %.1f min, %.1f landed/h, %.1f worker-min each", clean(c.Trace), c.Workers,
		c.Oracle.P50, c.Oracle.P95, c.Oracle.LandedPerHour, c.Oracle.PerLandedCost); err != nil {
		return err
	}
	return showRatios(w, c.Ratios)
}

// showRatios is a table of ratios to the oracle.
func showRatios(w io.Writer, ratios []sim.Ratio) error {
	var rows [][]string
	for _, r := range ratios {
		two := func(x float64) string { return fmt.Sprintf("%.2f", x) }
		rows = append(rows, []string{r.Policy + unfinished(r.Unfinished), two(r.P50), two(r.P95), two(r.P99), fmt.Sprintf("%.3f", r.Throughput), two(r.Cost),
			two(r.BuildsPerChange), fmt.Sprint(r.FalseRejections), fmt.Sprintf("%.0f", r.DecisionUSP99)})
	}
	if err := printTable(w, "POLICY P50 P95 P99 THROUGHPUT COST BUILDS/CHANGE FALSE-REJECTIONS DECISION-P99-US", rows); err != nil {
		return err
	}
	return line(w, "")
}

func unfinished(yes bool) string {
	if yes {
		return " (unfinished)"
	}
	return ""
}

// longFlags lets the flags of sim be written with one dash, as programs of the trade do: a single
// dash and more than one letter is the long flag.
func longFlags(args []string) []string {
	if len(args) == 0 || args[0] != "sim" {
		return args
	}
	out := slices.Clone(args)
	for i, arg := range out {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && len(name) > 1 && name[0] >= 'a' && name[0] <= 'z' {
			out[i] = "-" + arg
		}
	}
	return out
}
