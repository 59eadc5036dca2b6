package plan

import (
	"slices"
	"time"
)

// Before says whether everything before a stage is as it must be for the stage to start, why it is
// not, and when time alone may change that. It is what decides whether an artifact may enter an
// environment, asked at the moment at which it would.
func (p *Plan) Before(stage string, e Evidence, now time.Time) (open bool, why string, next time.Time) {
	s, ok := p.Stage(stage)
	if !ok {
		return false, "the plan has no stage " + stage + " any more", time.Time{}
	}
	e, said := p.judge(e, now)
	for _, name := range p.directly(s) {
		if !e.passed(name) {
			return false, "waits for stage " + name, time.Time{}
		}
	}
	w := waiting{gates: p.behind(s)}
	if why = p.held(w, e, said); why == "" {
		return true, "", time.Time{}
	}
	for _, gate := range w.gates {
		if at := said[gate].Next; !e.Gates[gate].Passes() && !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return false, why, next
}

// BypassedBefore lists the stages and gates before a stage that were left out, with a bypass that
// counts or counted: what was tested less stays tested less. In a plan that has landed all that
// was left out before the landing is among them.
func (p *Plan) BypassedBefore(stage string, e Evidence) []string {
	up := p.upstream(stage)
	var all []string
	for _, b := range e.Bypasses {
		_, isStage := p.Stage(b.Node)
		_, isGate := p.Gate(b.Node)
		earlier := p.Landed && !isStage && !isGate
		if (up[b.Node] || earlier) && !slices.Contains(all, b.Node) {
			all = append(all, b.Node)
		}
	}
	slices.Sort(all)
	return all
}

// Again is when time alone may change what a gate of the plan says, zero for never.
func (p *Plan) Again(e Evidence, now time.Time) (next time.Time) {
	for _, v := range Judge(p, e, now) {
		if !v.Next.IsZero() && (next.IsZero() || v.Next.Before(next)) {
			next = v.Next
		}
	}
	return next
}

// Admits reports whether an approval comes from somebody whose word counts here.
func (c Approve) Admits(a Approval) bool {
	return inRoles(Review{By: c.By, Members: c.Members}, Vote{By: a.By, Groups: a.Groups})
}

// AsksMore reports whether the plan's gates, or what it lets people leave out, rest on more than
// votes and the results of stages: then all of the evidence must be gathered to judge by it.
func (p *Plan) AsksMore() bool {
	for _, g := range p.Gates {
		for _, c := range g.Require {
			switch c.(type) {
			case Review, Owners, Stages, TestLimits:
			default:
				return true
			}
		}
		if g.Bypassable != nil {
			return true
		}
	}
	return slices.ContainsFunc(p.Stages, func(s Stage) bool { return s.Bypassable != nil || len(p.behind(s)) > 0 }) ||
		slices.ContainsFunc(p.Outcomes, func(o Outcome) bool { return len(o.Bypass) > 0 })
}
