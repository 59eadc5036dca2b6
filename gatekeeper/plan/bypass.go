package plan

import (
	"slices"
	"time"
)

// inForce reports whether a bypass of a node counts now. A person's counts where the plan still
// says that the node may be left out, and only with a name and a reason; an outcome's where the
// outcome still leaves the node out. What ran out does not count.
func (b Bypass) inForce(rule *Bypassable, leftOutBy []string, now time.Time) bool {
	allowed := slices.Contains(leftOutBy, b.Outcome)
	if b.Outcome == "" {
		allowed = rule != nil && b.By != "" && b.Reason != ""
	}
	ends := b.ends(rule)
	return allowed && (ends.IsZero() || now.Before(ends))
}

// ends is when the bypass runs out, zero for never.
func (b Bypass) ends(rule *Bypassable) time.Time {
	ends := b.Until
	if rule != nil && rule.Expires > 0 {
		if limit := b.At.Add(rule.Expires); ends.IsZero() || limit.Before(ends) {
			ends = limit
		}
	}
	return ends
}

// bypassOf finds the bypass of a node that counts longest, its Until the time at which it runs
// out.
func (e Evidence) bypassOf(node string, rule *Bypassable, leftOutBy []string, now time.Time) (Bypass, bool) {
	var best Bypass
	found := false
	for _, b := range e.Bypasses {
		if b.Node != node || !b.inForce(rule, leftOutBy, now) {
			continue
		}
		b.Until = b.ends(rule)
		if !found || !best.Until.IsZero() && (b.Until.IsZero() || b.Until.After(best.Until)) {
			best, found = b, true
		}
	}
	return best, found
}

// words tells who left something out, and why.
func (b Bypass) words(node string) string {
	text := node + " was left out"
	if b.By != "" {
		text += " by " + b.By
	}
	if b.Outcome != "" {
		text += " with outcome " + b.Outcome
	}
	if !b.Until.IsZero() {
		text += " until " + b.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	return text
}

// reason is why a gate or a stage counts as passed though it did not.
func (b Bypass) reason(kind, node string, line int) Reason {
	r := Reason{Kind: kind, State: GateBypassed, What: b.words(node), Line: line, At: b.Until}
	if b.By != "" {
		r.Who = []string{b.By}
	}
	return r
}

// MayBypass are the roles that may leave out a stage or a gate; ok is false when nobody may.
func (p *Plan) MayBypass(node string) (by []string, ok bool) {
	if s, is := p.Stage(node); is && s.Bypassable != nil {
		return s.Bypassable.By, true
	}
	if g, is := p.Gate(node); is && g.Bypassable != nil {
		return g.Bypassable.By, true
	}
	return nil, false
}

// leftOutBy are the outcomes that leave out a node.
func (p *Plan) leftOutBy(node string) []string {
	var names []string
	for _, o := range p.Outcomes {
		if slices.Contains(o.Bypass, node) {
			names = append(names, o.Name)
		}
	}
	return names
}

// leftOut are the stages of the plan that a bypass leaves out now.
func (p *Plan) leftOut(e Evidence, now time.Time) map[string]Bypass {
	all := map[string]Bypass{}
	for _, s := range p.Stages {
		if b, ok := e.bypassOf(s.Name, s.Bypassable, p.leftOutBy(s.Name), now); ok && !s.Removed {
			all[s.Name] = b
		}
	}
	return all
}

// leftOut are the stages that the gate waits for and that a bypass leaves out now.
func (g Gate) leftOut(e Evidence, now time.Time) map[string]Bypass {
	all := map[string]Bypass{}
	for _, n := range g.Needs {
		if b, ok := e.bypassOf(n.Stage, n.Bypassable, n.LeftOutBy, now); ok && !n.Removed {
			all[n.Stage] = b
		}
	}
	return all
}

// passed reports whether what comes after the stage may go on: it passed, was skipped or left
// out, or failed in its quarantine.
func (e Evidence) passed(stage string) bool {
	state := e.Stages[stage]
	_, left := e.left[stage]
	return state == Passed || state == Skipped || left || e.forgives(stage)
}
