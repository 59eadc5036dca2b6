package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Steps is what can be done about the stages of a candidate.
type Steps struct {
	// Start are the stages that can start now, Skip those that the change or the branch does not
	// need and that nothing before them holds up, Bypass those that a bypass leaves out and that
	// have not started.
	Start, Skip, Bypass []string
	// Held says which gate a stage waits for, in words: it could start otherwise.
	Held map[string]string
	// Done says that no stage can change any more.
	Done bool
}

// Next says what to do about the stages of a candidate. The evidence holds the newest state of
// each stage, and all that gates before stages ask for.
//
// A stage can start when the stages in its `after` have PASSED, were skipped or left out, or
// did not pass in a quarantine that holds now; and when every gate before it, back to the
// landing, is open or was left out. A stage behind one that did not pass, or behind a gate that
// refuses, never starts. ERRORED and CANCELED end a stage here: trying again means a new
// attempt, whose state the caller puts into the evidence. Stages after the landing start only
// in a plan that [Plan.Delivering] gave.
func Next(p *Plan, e Evidence, now time.Time) Steps {
	e, said := p.judge(e, now)
	steps := Steps{Held: map[string]string{}, Done: true}
	waits := map[string]waiting{}
	for _, s := range p.Stages {
		waits[s.Name] = waiting{removed: s.Removed, stages: p.directly(s), gates: p.behind(s)}
	}
	lost := lostStages(waits, e)
	for _, name := range p.StageOrder() {
		s, _ := p.Stage(name)
		if !p.Landed && p.afterLand(name) {
			continue
		}
		switch e.Stages[name] {
		case "", Blocked:
		case Queued, Running:
			steps.Done = false
			continue
		default:
			continue
		}
		_, left := e.left[name]
		held := p.held(waits[name], e, said)
		switch {
		case left:
			steps.Bypass, steps.Done = append(steps.Bypass, name), false
		case lost[name]: // it never starts
		case slices.ContainsFunc(waits[name].stages, func(n string) bool { return !e.passed(n) }):
			steps.Done = false
		case held != "":
			steps.Held[name], steps.Done = held, false
		case s.Matches(e.Changed) && branchMatches(s.When, e.Branch):
			steps.Start, steps.Done = append(steps.Start, name), false
		default:
			steps.Skip, steps.Done = append(steps.Skip, name), false
		}
	}
	return steps
}

// held says which gate holds a stage up, "" for none.
func (p *Plan) held(w waiting, e Evidence, said map[string]Verdict) string {
	for _, gate := range w.gates {
		if e.Gates[gate].Passes() {
			continue
		}
		text := "waits for gate " + gate
		if deciding := only(said[gate].Reasons, said[gate].State); len(deciding) > 0 {
			text += ": " + deciding[0].What
		}
		return text
	}
	return ""
}

// waiting is what a stage waits for.
type waiting struct {
	removed bool // it was lost before anything ran
	stages  []string
	gates   []string
}

// lostStages finds the stages that will not pass any more: they were removed, ended
// otherwise, or wait for one that is lost or for a gate that stays shut.
func lostStages(waits map[string]waiting, e Evidence) map[string]bool {
	lost := map[string]bool{}
	known := map[string]bool{}
	shut := func(gate string) bool { return e.Gates[gate] == Refused || e.stuck[gate] }
	var visit func(name string) bool
	visit = func(name string) bool {
		if known[name] {
			return lost[name]
		}
		known[name] = true
		w := waits[name]
		switch state := e.Stages[name]; {
		case w.removed:
			lost[name] = true
		case e.passed(name), state == Queued, state == Running:
		case state == "" || state == Blocked:
			lost[name] = slices.ContainsFunc(w.stages, visit) || slices.ContainsFunc(w.gates, shut)
		default:
			lost[name] = true
		}
		return lost[name]
	}
	for name := range waits {
		visit(name)
	}
	return lost
}

// RunVerdict says what the stages of a candidate come to: the verdict of all gates before the
// landing, or of those after it in a plan that has landed. What people, outsiders and clocks
// decide is left out. In a plan that does not land, or that has landed, the stages that it is
// for must pass too. reasons are why it is so: those of the criteria that decide.
//
// REFUSED is known as soon as one criterion says no, though other stages may still run. PASSED
// and ERRORED are known when no stage can change any more: who adds a stage wants to see it
// run before it counts.
func RunVerdict(p *Plan, e Evidence, now time.Time) (RunState, []Reason) {
	known, said := p.judge(e, now)
	gates := p.Landing()
	if p.Landed {
		gates = p.judged()
	}
	all := p.aimReasons(known)
	for _, g := range gates {
		for _, r := range said[g.Name].Reasons {
			if ofStages(r.Kind) && said[g.Name].State != GateBypassed || r.Kind == kindBypass {
				all = append(all, r)
			}
		}
	}
	state := conjunction(all)
	if len(all) == 0 {
		state = Open // the gates ask nothing of stages; people are asked elsewhere
	}
	done := Next(p, e, now).Done
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

// aimReasons are about the stages that a plan is for which does not land or has landed.
func (p *Plan) aimReasons(e Evidence) []Reason {
	var aims []string
	for _, s := range p.Stages {
		if p.Landed || slices.Contains(p.Aims, s.Name) {
			aims = append(aims, s.Name)
		}
	}
	if len(aims) == 0 {
		return nil
	}
	g := Gate{Name: "the outcome"}
	for _, s := range p.Stages {
		g.Needs = append(g.Needs, p.need(s))
	}
	return evaluateStages(g, Stages{Names: aims}, e)
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
		if r.Evidence != "" && !strings.Contains(strings.ToLower(r.What), strings.ToLower(r.Evidence)) {
			text = fmt.Sprintf("%s (%s)", r.What, r.Evidence)
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}
