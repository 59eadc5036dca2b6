package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Next says what to do about the stages of a candidate: start lists those that can start now,
// skip those that the change does not touch and that nothing before them holds up; done says
// that no stage can change any more. states holds the newest state of each stage, changed the
// paths that the candidate changes against its base.
//
// A stage can start when all that it waits for has PASSED or was SKIPPED, or did not pass in a
// quarantine that holds now; a gate in `after`
// stands for the stages that come before it. A stage behind one that did not pass never
// starts. ERRORED and CANCELED end a stage here: trying again means a new attempt, whose
// state the caller puts into states.
func Next(p *Plan, states map[string]StageState, changed []string, now time.Time) (start, skip []string, done bool) {
	e := Evidence{Stages: states, quarantined: p.quarantined(now)}
	done = true
	waits := map[string][]string{}
	for _, s := range p.Stages {
		waits[s.Name] = p.waitsFor(s)
	}
	lost := lostStages(p.lostBefore(), waits, e)
	for _, name := range p.StageOrder() {
		s, _ := p.Stage(name)
		switch state := states[name]; state {
		case "", Blocked:
		case Queued, Running:
			done = false
			continue
		default:
			continue
		}
		passed := func(n string) bool { return states[n] == Passed || states[n] == Skipped || e.forgives(n) }
		switch {
		case lost[name]: // it never starts
		case slices.ContainsFunc(waits[name], func(n string) bool { return !passed(n) }):
			done = false
		case s.Matches(changed):
			start, done = append(start, name), false
		default:
			skip, done = append(skip, name), false
		}
	}
	return start, skip, done
}

// lostBefore is the stages that were lost before anything ran.
func (p *Plan) lostBefore() map[string]bool {
	removed := map[string]bool{}
	for _, s := range p.Stages {
		removed[s.Name] = s.Removed
	}
	return removed
}

// lostStages finds the stages that will not pass any more: they were removed, ended
// otherwise, or wait for one that is lost. waits names what each stage waits for.
func lostStages(removed map[string]bool, waits map[string][]string, e Evidence) map[string]bool {
	lost := map[string]bool{}
	known := map[string]bool{}
	var visit func(name string) bool
	visit = func(name string) bool {
		if known[name] {
			return lost[name]
		}
		known[name] = true
		switch e.Stages[name] {
		case Passed, Skipped, Queued, Running:
			lost[name] = removed[name]
		case "", Blocked:
			lost[name] = removed[name] || slices.ContainsFunc(waits[name], visit)
		default:
			lost[name] = removed[name] || !e.forgives(name)
		}
		return lost[name]
	}
	for name := range waits {
		visit(name)
	}
	return lost
}

// RunVerdict says what the stages of a candidate come to: the verdict of all gates before the
// landing, reviews left out. reasons are why it is so: those of the criteria that decide.
//
// REFUSED is known as soon as one criterion says no, though other stages may still run. PASSED
// and ERRORED are known when no stage can change any more: who adds a stage wants to see it
// run before it counts.
func RunVerdict(p *Plan, e Evidence, now time.Time) (RunState, []Reason) {
	var all []Reason
	for _, g := range p.Landing() {
		e.quarantined = g.quarantined(now)
		for _, c := range g.Require {
			if !isReview(c) {
				all = append(all, evaluate(g, c, e)...)
			}
		}
	}
	state := conjunction(all)
	if len(all) == 0 {
		state = Open // the gates ask nothing of stages; people are asked elsewhere
	}
	_, _, done := Next(p, e.Stages, e.Changed, now)
	deciding := only(all, state)
	switch {
	case state == Refused:
		return RunRefused, deciding
	case !done:
		return RunRunning, deciding
	case state == Open:
		return RunPassed, all
	default:
		// Nothing runs and something is missing or broken: that is no verdict about the code.
		return RunErrored, deciding
	}
}

// only picks the reasons of one state.
func only(all []Reason, state GateState) []Reason {
	var some []Reason
	for _, r := range all {
		if r.State == state {
			some = append(some, r)
		}
	}
	return some
}

// Summary puts reasons into one line, each once.
func Summary(reasons []Reason) string {
	var parts []string
	for _, r := range reasons {
		text := r.What
		if r.Evidence != "" {
			text = fmt.Sprintf("%s (%s)", r.What, r.Evidence)
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}
