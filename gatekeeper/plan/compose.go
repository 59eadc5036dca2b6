package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compose puts together the plan that a candidate is judged by. The policy half comes from
// the target branch's plan: gates, land, labels, roles, targets, barriers, which stages there
// must be, which paths excuse them, what they read, whether they are in quarantine, and how
// much time, memory and network they may have. The actions come
// from the candidate's plan: run, results, annotations, coverage, env, and whatever makes a stage smaller. So a
// change can develop its own tests and never loosen its own gates.
//
// A stage that only the candidate has runs too, with the defaults for time and memory and
// without network, and no gate waits for it until it has landed. A stage that only the policy
// has stays, as Removed, and counts as FAILED. problems say what the candidate must put right; the composed plan is never nil and
// refuses the same things by itself.
func Compose(policy, candidate *Plan) (composed *Plan, problems []Problem) {
	p := &Plan{
		File: candidate.File, Version: policy.Version, App: policy.App,
		Labels:  slices.Clone(policy.Labels),
		Land:    policy.Land,
		Roles:   maps.Clone(policy.Roles),
		Targets: slices.Clone(policy.Targets), Barriers: slices.Clone(policy.Barriers),
		lines: composedLines(policy, candidate),
	}
	for _, g := range policy.Gates {
		g.After, g.Require = slices.Clone(g.After), slices.Clone(g.Require)
		p.Gates = append(p.Gates, g)
	}
	for _, own := range candidate.Stages {
		if _, isGate := policy.Gate(own.Name); isGate {
			problems = append(problems, Problem{File: candidate.File, Line: own.Line, Column: 1,
				Message: fmt.Sprintf("stage `%s` has the name of a gate in the target branch's plan", own.Name),
				Fix:     "give the stage another name"})
			continue
		}
		p.Stages = append(p.Stages, composeStage(policy, candidate, own))
	}
	for _, required := range policy.Stages {
		if _, kept := candidate.Stage(required.Name); kept {
			continue
		}
		if !policy.Required()[required.Name] {
			continue // it decides nothing, so whoever removes it loosens nothing
		}
		required.Removed, required.After = true, slices.Clone(required.After)
		p.Stages = append(p.Stages, required)
		problems = append(problems, Problem{File: candidate.File, Line: candidate.lines["stages"], Column: min(1, candidate.lines["stages"]),
			Message: removedWords(required.Name), Fix: removedFix(required.Name)})
	}
	if p.cycle() != nil {
		p.keepPolicyOrder(policy)
	}
	p.resolve()
	p.keepPolicyResults(policy)
	return p, problems
}

// composedLines places stages in the candidate's file and everything else in the policy's.
func composedLines(policy, candidate *Plan) map[string]int {
	lines := map[string]int{}
	isStage := func(path string) bool { return path == "stages" || strings.HasPrefix(path, "stages.") }
	for path, line := range policy.lines {
		if !isStage(path) {
			lines[path] = line
		}
	}
	for path, line := range candidate.lines {
		if isStage(path) {
			lines[path] = line
		}
	}
	return lines
}

// composeStage puts the policy's limits on a stage of the candidate. What it waits for is what
// either plan says: a gate there stays in force, and a new stage before it is waited for.
func composeStage(policy, candidate *Plan, own Stage) Stage {
	s := own
	s.Notes = nil
	note := func(format string, args ...any) {
		s.Notes = append(s.Notes, fmt.Sprintf(format, args...)+" until this change has landed")
	}
	s.After = candidate.waitsFor(own)
	s.Results, s.Env, s.Paths = maps.Clone(own.Results), maps.Clone(own.Env), slices.Clone(own.Paths)
	s.Annotations, s.Coverage = slices.Clone(own.Annotations), maps.Clone(own.Coverage)
	required, known := policy.Stage(own.Name)
	if !known {
		note("%s is new: no gate waits for it", s.Name)
		required = Stage{Timeout: DefaultTimeout}
	} else {
		extra := slices.DeleteFunc(s.After, func(n string) bool { return slices.Contains(required.After, n) })
		s.After = slices.Concat(required.After, extra)
		s.Paths = slices.Clone(required.Paths)
		if !slices.Equal(own.Paths, required.Paths) {
			note("%s keeps the paths of the target branch's plan", s.Name)
		}
	}
	if s.Timeout > required.Timeout {
		s.Timeout = required.Timeout
		note("%s has a timeout of %s", s.Name, shortDuration(s.Timeout))
	}
	switch {
	case required.Memory == 0 && s.Memory != 0:
		s.Memory = 0
		note("%s has the memory that the server gives by default", s.Name)
	case required.Memory != 0 && (s.Memory == 0 || s.Memory > required.Memory):
		s.Memory = required.Memory
		note("%s has %dMiB of memory", s.Name, s.Memory>>20)
	}
	s.Inputs, s.Quarantine = required.Inputs, required.Quarantine
	if !sameInputs(own.Inputs, required.Inputs) {
		note("%s reads what the target branch's plan says", s.Name)
	}
	if !sameQuarantine(own.Quarantine, required.Quarantine) {
		note("%s is in quarantine only as the target branch's plan says", s.Name)
	}
	if s.Network && !required.Network {
		s.Network = false
		note("%s has no network", s.Name)
	}
	return s
}

// keepPolicyOrder drops what the candidate adds to `after` of the policy's stages: together
// with the policy's order it would make them wait for each other.
func (p *Plan) keepPolicyOrder(policy *Plan) {
	for i, s := range p.Stages {
		required, known := policy.Stage(s.Name)
		if known && !s.Removed {
			p.Stages[i].After = slices.Clone(required.After)
			p.Stages[i].Notes = append(s.Notes, s.Name+" keeps its place in the order of the target branch's plan until this change has landed")
		}
	}
}

// keepPolicyResults makes the policy alone say which stages must report tests.
func (p *Plan) keepPolicyResults(policy *Plan) {
	for i := range p.Gates {
		for j, n := range p.Gates[i].Needs {
			required, known := policy.Stage(n.Stage)
			p.Gates[i].Needs[j].Results = known && len(required.Results) > 0
		}
	}
}
