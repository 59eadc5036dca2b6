package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compose puts together the plan that a candidate is judged by. The policy half comes from
// the target branch's plan: gates, land, outcomes, environments, what artifacts are, labels,
// roles, locks, targets, barriers, which stages there must be, what they wait for, where and
// what they deploy, what they watch, their secrets, which paths and branches excuse them, who
// may leave them out, what they read, whether they are in quarantine, and how much time, memory,
// network, retries, caches and locks they may have. The actions come from the candidate's plan:
// run, results, annotations, coverage, env, services, the paths of artifacts, and whatever makes
// a stage smaller. So a change can develop its own tests and never loosen its own gates.
//
// A stage that only the candidate has runs too, with the defaults for time and memory and
// without network, environment, deploy and secrets, and no gate waits for it until it has
// landed. A stage that only the policy has stays: one that only deploys as it is, any other as
// Removed, and counts as FAILED. problems say what the candidate must put right; the composed
// plan is never nil and refuses the same things by itself.
func Compose(policy, candidate *Plan) (composed *Plan, problems []Problem) {
	p := &Plan{
		File: candidate.File, Version: policy.Version, App: policy.App,
		Labels:  slices.Clone(policy.Labels),
		Land:    policy.Land,
		Roles:   maps.Clone(policy.Roles),
		Targets: slices.Clone(policy.Targets), Barriers: slices.Clone(policy.Barriers),
		Outcomes: slices.Clone(policy.Outcomes), Environments: slices.Clone(policy.Environments), Locks: maps.Clone(policy.Locks),
		Artifacts: slices.Clone(policy.Artifacts),
		lines:     composedLines(policy, candidate),
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
	p.dropIdle(policy)
	problems = append(problems, p.keepRemoved(policy, candidate)...)
	p.composeArtifacts(policy, candidate)
	if p.cycle() != nil {
		p.keepPolicyOrder(policy)
	}
	p.resolve()
	p.keepPolicyResults(policy)
	return p, problems
}

// keepRemoved adds the stages that the candidate lacks and the policy does not let go.
func (p *Plan) keepRemoved(policy, candidate *Plan) (problems []Problem) {
	needed := policy.Required()
	for _, required := range policy.Stages {
		if _, kept := p.Stage(required.Name); kept {
			continue
		}
		after := policy.afterLand(required.Name)
		if !needed[required.Name] && !after {
			continue // it decides nothing, so whoever removes it loosens nothing
		}
		required.After = slices.Clone(required.After)
		required.Removed = required.Run != "" // what the candidate had to say is missing
		p.Stages = append(p.Stages, required)
		if required.Removed && !after {
			problems = append(problems, Problem{File: candidate.File, Line: candidate.lines["stages"], Column: min(1, candidate.lines["stages"]),
				Message: removedWords(required.Name), Fix: removedFix(required.Name)})
		}
	}
	return problems
}

// dropIdle takes out stages of the candidate that have nothing to do under the policy, and the
// new ones that wait for them.
func (p *Plan) dropIdle(policy *Plan) {
	for again := true; again; {
		again = false
		for i, s := range p.Stages {
			gone := func(name string) bool {
				_, stage := p.Stage(name)
				_, gate := p.Gate(name)
				return !stage && !gate && name != LandNode
			}
			required, _ := policy.Stage(s.Name)
			idle := s.Run == "" && (s.Deploy == nil || required.Run != "")
			if idle || s.New && slices.ContainsFunc(s.After, gone) {
				p.Stages = slices.Delete(p.Stages, i, i+1)
				p.Notes = append(p.Notes, s.Name+" has nothing to run until this change has landed")
				again = true
				break
			}
		}
	}
}

// NotesBeside are the notes of the plan, and of those of its stages that another, which was cut
// from it, does not have.
func (p *Plan) NotesBeside(cut *Plan) []string {
	all := slices.Clone(p.Notes)
	for _, s := range p.Stages {
		if _, there := cut.Stage(s.Name); !there {
			all = append(all, s.Notes...)
		}
	}
	return all
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
	s.Results, s.Env, s.Paths = maps.Clone(own.Results), maps.Clone(own.Env), slices.Clone(own.Paths)
	s.Annotations, s.Coverage = slices.Clone(own.Annotations), maps.Clone(own.Coverage)
	required, known := policy.Stage(own.Name)
	s.After = ownAfter(policy, candidate, own)
	if !known {
		note("%s is new: no gate waits for it", s.Name)
		required = Stage{Timeout: DefaultTimeout, Retry: -1, Paths: s.Paths, When: s.When}
		s.New = true
		if candidate.afterLand(own.Name) && !slices.Contains(s.After, LandNode) {
			s.After = append(s.After, LandNode)
		}
	} else {
		extra := slices.DeleteFunc(s.After, func(n string) bool { return n == LandNode || slices.Contains(required.After, n) })
		s.After = slices.Concat(required.After, extra)
	}
	if !slices.Equal(own.Paths, required.Paths) || !slices.Equal(own.When, required.When) {
		note("%s keeps the paths of the target branch's plan", s.Name)
	}
	s.Paths, s.When = slices.Clone(required.Paths), slices.Clone(required.When)
	composeLimits(&s, required, note)
	composeDelivery(&s, own, required, known, note)
	return s
}

// ownAfter is what the candidate has a stage wait for, in the words of the policy: a gate that
// the policy does not have stands for the stages before it.
func ownAfter(policy, candidate *Plan, own Stage) []string {
	var names []string
	for _, name := range own.After {
		_, stage := candidate.Stage(name)
		_, gate := policy.Gate(name)
		if stage != gate || name == LandNode {
			names = append(names, name)
			continue
		}
		for up := range candidate.upstream(name) {
			if _, is := candidate.Stage(up); is && !gate {
				names = append(names, up)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// composeLimits lets a stage have no more than the policy gives it.
func composeLimits(s *Stage, required Stage, note func(format string, args ...any)) {
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
	if !sameInputs(s.Inputs, required.Inputs) {
		note("%s reads what the target branch's plan says", s.Name)
	}
	if !sameQuarantine(s.Quarantine, required.Quarantine) {
		note("%s is in quarantine only as the target branch's plan says", s.Name)
	}
	s.Inputs, s.Quarantine = required.Inputs, required.Quarantine
	if s.Network && !required.Network {
		s.Network = false
		note("%s has no network", s.Name)
	}
	if s.Retry != required.Retry {
		s.Retry = required.Retry
		note("%s is tried again as often as the target branch's plan says", s.Name)
	}
	if !slices.Equal(s.Caches, required.Caches) {
		note("%s has the caches of the target branch's plan", s.Name)
	}
	s.Caches, s.Locks = slices.Clone(required.Caches), slices.Clone(required.Locks)
}

// composeDelivery has the policy alone say what a stage deploys, where, with which secrets, and
// who may leave it out.
func composeDelivery(s *Stage, own, required Stage, known bool, note func(format string, args ...any)) {
	s.Environment, s.Deploy, s.Verify = required.Environment, required.Deploy, required.Verify
	s.Secrets, s.Bypassable = slices.Clone(required.Secrets), required.Bypassable
	for _, part := range []struct {
		what      string
		differs   bool
		new, kept string
	}{
		{"environment", own.Environment != required.Environment, "has no environment", "stays in its environment"},
		{"deploy", !sameJSON(own.Deploy, required.Deploy) || !sameJSON(own.Verify, required.Verify), "deploys nothing", "deploys what the target branch's plan says"},
		{"secrets", !slices.Equal(own.Secrets, required.Secrets), "has no secrets", "has the secrets of the target branch's plan"},
		{"bypassable", !sameJSON(own.Bypassable, required.Bypassable), "may not be left out", "may be left out as the target branch's plan says"},
	} {
		switch {
		case !part.differs:
		case known:
			note("%s %s", s.Name, part.kept)
		default:
			note("%s %s", s.Name, part.new)
		}
	}
}

// sameJSON compares what two parts of a plan say, wherever they stand in their files.
func sameJSON(a, b any) bool {
	one, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("plan: compare: %v", err)) // plain data always marshals
	}
	other, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("plan: compare: %v", err))
	}
	return bytes.Equal(one, other)
}

// composeArtifacts keeps what the policy says is made by whom. Artifacts that only the candidate
// has are made too: nothing is deployed of them until the plan that says so has landed.
func (p *Plan) composeArtifacts(policy, candidate *Plan) {
	for _, a := range candidate.Artifacts {
		_, known := policy.Artifact(a.Name)
		_, made := p.Stage(a.Stage)
		if !known && made && len(p.Artifacts) < MaxArtifacts {
			p.Artifacts = append(p.Artifacts, a)
		}
	}
	for i := range p.Stages {
		s := &p.Stages[i]
		if s.Removed {
			continue
		}
		required, _ := policy.Stage(s.Name)
		produces := map[string]string{}
		for name, file := range required.Produces {
			produces[name] = file
		}
		for name, file := range s.Produces {
			if a, ok := p.Artifact(name); ok && a.Stage == s.Name {
				produces[name] = file
				continue
			}
			s.Notes = append(s.Notes, s.Name+" does not produce "+name+" until this change has landed")
		}
		s.Produces = produces
		if len(produces) == 0 {
			s.Produces = nil
		}
		s.Uses = maps.Clone(s.Uses)
		up := p.upstream(s.Name)
		for name := range s.Uses {
			if a, ok := p.Artifact(name); !ok || !up[a.Stage] {
				delete(s.Uses, name)
				s.Notes = append(s.Notes, s.Name+" does not get "+name+" until this change has landed")
			}
		}
	}
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
			p.Gates[i].Needs[j].Results = known && required.reportsTests()
			p.Gates[i].Needs[j].Metrics = known && required.Results[Metrics] != ""
		}
	}
}
