package main

import (
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// planFile is a plan that a verb reads.
type planFile struct {
	File    string `arg:"" optional:"" default:"gatehouse.yaml" help:"The plan file."`
	Outcome string `placeholder:"NAME" help:"Only what a run of this outcome does."`
}

// parse reads the plan, or tells its problems and fails.
func (f *planFile) parse(p *process) (*plan.Plan, error) {
	text, err := readPlan(f.File)
	if err != nil {
		return nil, err
	}
	parsed, problems := plan.Parse(f.File, text)
	if len(problems) > 0 {
		return nil, tellProblems(p, problems)
	}
	if _, known := parsed.Outcome(f.Outcome); f.Outcome != "" && !known {
		var names []string
		for _, o := range parsed.Outcomes {
			names = append(names, o.Name)
		}
		next := "its outcomes: " + strings.Join(names, ", ")
		if len(names) == 0 {
			next = "it has none: every run reaches everything"
		}
		return nil, fault.New(fault.NotFound, "gate.plan", fmt.Sprintf("%s has no outcome %q", f.File, f.Outcome), next)
	}
	return parsed, nil
}

// tellProblems lists problems and fails.
func tellProblems(p *process, problems []plan.Problem) error {
	for _, problem := range problems {
		say(p.stderr, "%s", problem)
	}
	return exitError(exitFailed)
}

type planExplainCmd struct {
	planFile
	Under string `placeholder:"FILE" help:"The target branch's plan: says what holds of the other before it has landed, and what does not yet."`
	reading
}

// explained is what an outcome does, in words.
type explained struct {
	Outcome string   `json:"outcome"` // "" is that of a change that names none
	Lines   []string `json:"lines"`
	Notes   []string `json:"notes,omitempty"` // with --under: what does not hold yet
}

func (c *planExplainCmd) Run(p *process) error {
	parsed, err := c.parse(p)
	if err != nil {
		return err
	}
	if parsed, err = c.under(p, parsed); err != nil {
		return err
	}
	var all []explained
	outcomes := []string{c.Outcome}
	if c.Outcome == "" {
		for _, o := range parsed.Outcomes {
			if o.Name != plan.DefaultOutcome {
				outcomes = append(outcomes, o.Name)
			}
		}
	}
	for _, name := range outcomes {
		all = append(all, explained{name, plan.Describe(parsed, name), nil})
	}
	// They are about the plan, whatever the outcome: the first says them.
	all[0].Notes = parsed.NotesBeside(&plan.Plan{})
	if c.JSON {
		return printJSON(p.stdout, all)
	}
	for i, one := range all {
		if i > 0 {
			if err := line(p.stdout, ""); err != nil {
				return err
			}
		}
		for _, text := range one.Lines {
			if err := line(p.stdout, "%s", clean(text)); err != nil {
				return err
			}
		}
		for _, note := range one.Notes {
			if err := line(p.stdout, "note: %s", clean(note)); err != nil {
				return err
			}
		}
	}
	return nil
}

// under is what holds of a plan before it has landed.
func (c *planExplainCmd) under(p *process, own *plan.Plan) (*plan.Plan, error) {
	if c.Under == "" {
		return own, nil
	}
	text, err := readPlan(c.Under)
	if err != nil {
		return nil, err
	}
	policy, problems := plan.Parse(c.Under, text)
	if len(problems) > 0 {
		return nil, tellProblems(p, problems)
	}
	composed, problems := plan.Compose(policy, own)
	if len(problems) > 0 {
		return nil, tellProblems(p, problems)
	}
	return composed, nil
}

type planGraphCmd struct {
	planFile
	SVG bool `name:"svg" xor:"form" help:"As a picture, in SVG."`
	Dot bool `xor:"form" help:"In the language of Graphviz."`
}

func (c *planGraphCmd) Run(p *process) error {
	parsed, err := c.parse(p)
	if err != nil {
		return err
	}
	if c.Outcome != "" {
		parsed = parsed.Reaching(c.Outcome)
	}
	text := plan.Graph(parsed)
	switch {
	case c.SVG:
		text = plan.Picture(parsed, nil)
	case c.Dot:
		text = plan.Dot(parsed)
	}
	_, err = p.stdout.Write(text)
	return err
}

type planSchemaCmd struct{}

func (*planSchemaCmd) Run(p *process) error {
	_, err := p.stdout.Write(plan.Schema())
	return err
}

type planImportCmd struct {
	File string `arg:"" help:"An app file or a plan file of OpenStack Solum."`
}

func (c *planImportCmd) Run(p *process) error {
	text, err := readPlan(c.File)
	if err != nil {
		return err
	}
	made, problems := plan.Import(c.File, text)
	if len(problems) > 0 {
		return tellProblems(p, problems)
	}
	if _, err := p.stdout.Write([]byte(made)); err != nil {
		return err
	}
	say(p.stderr, "next: write it to %s, and read what has no equal", plan.File)
	return nil
}
