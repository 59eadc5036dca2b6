package plan

import (
	"maps"
	"slices"
	"time"
)

// Judge is what the gates of the plan say, in the order of the file. What one says is evidence
// for those after it. In a plan that has landed the gates before the landing are not asked
// again: for them the evidence's own Gates and Opened count.
func Judge(p *Plan, e Evidence, now time.Time) []Verdict {
	_, said := p.judge(e, now)
	var all []Verdict
	for _, g := range p.Gates {
		if v, ok := said[g.Name]; ok {
			all = append(all, v)
		}
	}
	return all
}

// judge asks each gate after those that come before it, and gives the evidence with all that
// follows from it.
func (p *Plan) judge(e Evidence, now time.Time) (Evidence, map[string]Verdict) {
	given := e.Gates
	e.Gates, e.stuck = map[string]GateState{}, map[string]bool{}
	if p.Landed {
		maps.Copy(e.Gates, given)
	}
	said := map[string]Verdict{}
	for _, g := range p.judged() {
		v := Evaluate(g, e, now)
		said[g.Name], e.Gates[g.Name] = v, v.State
		e.stuck[g.Name] = stuck(v)
	}
	e.quarantined, e.left = p.quarantined(now), p.leftOut(e, now)
	return e, said
}

// judged is the gates that are asked, each after all that come before it.
func (p *Plan) judged() []Gate {
	up := map[string]bool{}
	if p.Landed {
		up = p.upstream(LandNode)
	}
	before := map[string]int{}
	var all []Gate
	for _, g := range p.Gates {
		if up[g.Name] {
			continue
		}
		all = append(all, g)
		before[g.Name] = len(p.upstream(g.Name)) // whoever comes later has more before it
	}
	slices.SortStableFunc(all, func(a, b Gate) int { return before[a.Name] - before[b.Name] })
	return all
}

// stuck reports whether no stage can open the gate any more, though it says no no: what the
// machinery broke stays broken in this run.
func stuck(v Verdict) bool {
	return !v.State.Passes() && slices.ContainsFunc(v.Reasons, func(r Reason) bool {
		return ofStages(r.Kind) && (r.State == GateErrored || r.State == Inconclusive)
	})
}

// Kinds of reasons that stages decide: a run knows them when its stages have ended.
const (
	kindStages = "stages"
	kindTests  = "tests"
	kindMetric = "metric"
)

// kindWindow is the kind of a reason that the clock decides.
const kindWindow = "window"

func ofStages(kind string) bool {
	return kind == kindStages || kind == kindTests || kind == kindMetric
}

// directly lists the stages among the names in `after` of a stage.
func (p *Plan) directly(s Stage) []string {
	var names []string
	for _, name := range s.After {
		if _, is := p.Stage(name); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// behind lists the gates that must be open before a stage starts, sorted: all that come before
// it, directly or not, back to the landing.
func (p *Plan) behind(s Stage) []string {
	seen := map[string]bool{}
	todo := slices.Clone(s.After)
	var gates []string
	settled := map[string]bool{}
	if p.Landed {
		settled = p.upstream(LandNode)
	}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[name] || name == LandNode || settled[name] {
			continue
		}
		seen[name] = true
		if _, is := p.Gate(name); is {
			gates = append(gates, name)
		}
		todo = append(todo, p.after(name)...)
	}
	slices.Sort(gates)
	return gates
}
