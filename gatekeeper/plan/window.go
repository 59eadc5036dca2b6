package plan

import (
	"slices"
	"time"
)

// ShutWindow says which window before the landing is shut, in words, "" when all are open or left
// out: until then a change waits in the queue. With several it is the one that opens last. opens is
// when it does, zero when that is more than a year away.
func (p *Plan) ShutWindow(bypasses []Bypass, now time.Time) (words string, opens time.Time) {
	for _, g := range p.Landing() {
		g.Require = slices.DeleteFunc(slices.Clone(g.Require), func(c Criterion) bool { _, is := c.(Window); return !is })
		if len(g.Require) == 0 {
			continue
		}
		v := Evaluate(g, Evidence{Bypasses: bypasses}, now)
		if v.State.Passes() {
			continue
		}
		for _, r := range v.Reasons {
			later := words == "" || !opens.IsZero() && (r.At.IsZero() || r.At.After(opens))
			if !r.State.Passes() && later {
				words, opens = r.What, r.At
			}
		}
	}
	return words, opens
}

// WindowOpens is when the next of the plan's windows opens that are shut, zero when none does.
func (p *Plan) WindowOpens(now time.Time) (opens time.Time) {
	for _, g := range p.Gates {
		for _, c := range g.Require {
			w, is := c.(Window)
			if !is {
				continue
			}
			r := evaluateWindow(g, w, now)
			if r.State == Waiting && (opens.IsZero() || r.At.Before(opens)) {
				opens = r.At
			}
		}
	}
	return opens
}
