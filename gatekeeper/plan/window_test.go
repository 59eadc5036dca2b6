package plan

import (
	"testing"
	"time"
)

// An approval before the landing is of the patch set: the gate is about the change though an
// artifact was made before it, and no approval of an artifact counts there.
func TestApproveTheChange(t *testing.T) {
	p := mustParse(t, `version: 1
artifacts: {app: {}}
roles: {managers: [carol, dan]}
stages:
  build: {run: make, produces: {app: app}}
gates:
  g: {after: [build], require: [{stages: passed}, {approve: {min: 1, by: [managers], not: [author]}}]}
`)
	g, _ := p.Gate("g")
	if g.Subject != SubjectChange {
		t.Fatalf("it is about %q", g.Subject)
	}
	for _, c := range []struct {
		name  string
		given Approval
		want  GateState
	}{
		{"of the patch set", Approval{Gate: "g", By: "carol", At: noon, OfChange: true}, Open},
		{"of an artifact", Approval{Gate: "g", By: "carol", At: noon}, Closed},
		{"at another gate", Approval{Gate: "h", By: "carol", At: noon, OfChange: true}, Closed},
		{"by its author", Approval{Gate: "g", By: "carol", At: noon, OfChange: true, Is: []string{Author}}, Closed},
		{"by a stranger", Approval{Gate: "g", By: "mallory", At: noon, OfChange: true}, Closed},
	} {
		e := Evidence{Stages: map[string]StageState{"build": Passed}, Approvals: []Approval{c.given}}
		if v := Evaluate(g, e, noon); v.State != c.want {
			t.Errorf("%s: %s, want %s", c.name, v.State, c.want)
		}
	}
}

// A change waits for the window that opens last, unless it was left out.
func TestShutWindow(t *testing.T) { // noon is a Monday
	p := mustParse(t, `version: 1
roles: {managers: [carol]}
gates:
  early: {require: [{window: {deny: ["MON 00:00-MON 13:00"]}}]}
  late: {require: [{window: {deny: ["MON 00:00-MON 18:00"]}}, {review: {min: 1}}], bypassable: {by: [managers]}}
  never: {require: [{window: {deny: ["2026-12-01 00:00-2028-12-01 00:00"]}}]}
`)
	left := []Bypass{{Node: "late", By: "carol", Reason: "urgent", At: noon}}
	for _, c := range []struct {
		now      time.Time
		bypasses []Bypass
		words    string
		opens    time.Time
	}{
		{noon, nil, "waits for window late, opens 2026-11-23 18:00 UTC (MON 00:00-MON 18:00 UTC)", noon.Add(6 * time.Hour)},
		{noon, left, "waits for window early, opens 2026-11-23 13:00 UTC (MON 00:00-MON 13:00 UTC)", noon.Add(time.Hour)},
		{noon.Add(time.Hour), left, "", time.Time{}},
		{noon.Add(6*time.Hour - 1), nil, "waits for window late, opens 2026-11-23 18:00 UTC (MON 00:00-MON 18:00 UTC)", noon.Add(6 * time.Hour)},
		{noon.Add(6 * time.Hour), nil, "", time.Time{}},
		{noon.Add(14 * 24 * time.Hour), nil, "waits for window never, which does not open within a year (2026-12-01 00:00-2028-12-01 00:00 UTC)", time.Time{}},
	} {
		if words, opens := p.ShutWindow(c.bypasses, c.now); words != c.words || !opens.Equal(c.opens) {
			t.Errorf("%s: %q until %s, want %q until %s", c.now, words, opens, c.words, c.opens)
		}
	}
}
