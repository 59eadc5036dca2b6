package plan

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v4"
)

// Quarantine keeps a stage's failures from refusing changes until a day. The stage runs and
// its failure is shown all the same. Only the target branch's plan can give one.
type Quarantine struct {
	Owner  string    // who mends the stage: an account, or group:NAME
	Until  time.Time // midnight UTC at the start of the last day on which it holds
	Reason string    // may be ""
}

// dayLayout is how a plan writes a day.
const dayLayout = "2006-01-02"

// InForce reports whether the quarantine holds: its last day, by UTC, has not ended.
func (q *Quarantine) InForce(now time.Time) bool {
	return q != nil && now.Before(q.ends())
}

// ends is the first moment at which it does not hold any more.
func (q *Quarantine) ends() time.Time { return q.Until.AddDate(0, 0, 1) }

// words tells of a failure that does not count.
func (q *Quarantine) words(what string) string {
	text := fmt.Sprintf("%s; that does not count: it is in quarantine until %s, %s sees to it", what, q.Until.Format(dayLayout), q.Owner)
	if q.Reason != "" {
		text += " (" + q.Reason + ")"
	}
	return text
}

// forgives reports whether the stage did not pass and a quarantine keeps that from counting.
// Only verdicts about the code are forgiven: ERRORED is none, and is tried again instead.
func (e Evidence) forgives(stage string) bool {
	state := e.Stages[stage]
	return e.quarantined[stage] != nil && (state == Failed || state == TimedOut)
}

// forgivesTests reports whether failing tests of the stage, or missing ones, do not count.
func (e Evidence) forgivesTests(stage string, reported Tests) bool {
	return e.forgives(stage) || e.quarantined[stage] != nil && e.Stages[stage] == Passed && reported.Failed > 0
}

// quarantined finds the stages of a gate that are in quarantine now. One that the candidate's
// plan lacks is not: a quarantine does not allow to remove a stage.
func (g Gate) quarantined(now time.Time) map[string]*Quarantine {
	all := map[string]*Quarantine{}
	for _, n := range g.Needs {
		if n.Quarantine.InForce(now) && !n.Removed {
			all[n.Stage] = n.Quarantine
		}
	}
	return all
}

// quarantined finds the stages of the plan that are in quarantine now.
func (p *Plan) quarantined(now time.Time) map[string]*Quarantine {
	all := map[string]*Quarantine{}
	for _, s := range p.Stages {
		if s.Quarantine.InForce(now) && !s.Removed {
			all[s.Name] = s.Quarantine
		}
	}
	return all
}

// sameQuarantine compares what two quarantines say.
func sameQuarantine(a, b *Quarantine) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (r *reader) quarantine(n *yaml.Node, what, at string) *Quarantine {
	var q Quarantine
	hasOwner, hasUntil := false, false
	r.fields(n, "`quarantine` of "+what, at, map[string]field{
		"owner": func(n *yaml.Node) {
			hasOwner = true
			name, ok := r.text(n, "`owner` of the quarantine of "+what)
			if ok && !memberName.MatchString(name) {
				r.bad(n, "write an account's name, or `group:NAME`", "`%s` cannot own a quarantine", clip(name))
			}
			q.Owner = name
		},
		"until": func(n *yaml.Node) {
			hasUntil = true
			day, err := time.Parse(dayLayout, n.Value)
			if n.Kind != yaml.ScalarNode || err != nil {
				r.bad(n, "write the last day as `until: 2026-12-24`", "`until` of the quarantine of %s must be a day", what)
			}
			q.Until = day
		},
		"reason": func(n *yaml.Node) { q.Reason, _ = r.text(n, "`reason` of the quarantine of "+what) },
	}, nil)
	if n.Kind == yaml.MappingNode && !hasOwner {
		r.bad(n, "write `owner: NAME`", "nobody owns the quarantine of %s: name who mends it", what)
	}
	if n.Kind == yaml.MappingNode && !hasUntil {
		r.bad(n, "write `until: YYYY-MM-DD`", "the quarantine of %s has no end", what)
	}
	return &q
}
