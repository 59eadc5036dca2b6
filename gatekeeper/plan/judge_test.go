package plan

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// accept is a plan whose gate `g`, after the landing, requires the given criterion.
func accept(t testing.TB, criterion string) *Plan {
	return mustParse(t, `version: 1
artifacts: {app: {}}
environments: {staging: {class: standing}, production: {class: standing}}
stages:
  build: {run: make, produces: {app: app}}
  staging: {after: [land], environment: staging, deploy: {artifact: app, run: ./app}}
  load: {after: [staging], run: load, results: {metrics: load.json}, paths: ["*.go"], bypassable: {by: [managers]}}
  production: {after: [g], environment: production, deploy: {artifact: app, run: ./app}}
gates:
  built: {after: [build], require: [{stages: passed}, {review: {min: 1}}]}
  g: {subject: artifact, after: [load], require: [{stages: passed}, `+criterion+`], bypassable: {by: [managers], expires: 1d}}
roles: {managers: [carol, dan, "group:core"]}
`).Delivering("")
}

// judgedCase is evidence for gate g beside stages that passed, and what it comes to.
type judgedCase struct {
	name  string
	e     Evidence
	want  GateState
	words string // in a reason of the criterion
	next  time.Duration
}

func wantJudged(t *testing.T, p *Plan, kind string, cases []judgedCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.e.Stages == nil {
				c.e.Stages = map[string]StageState{"staging": Passed, "load": Passed}
			}
			i := slices.IndexFunc(Judge(p, c.e, noon), func(v Verdict) bool { return v.Gate == "g" })
			v := Judge(p, c.e, noon)[i]
			var words []string
			for _, r := range v.Reasons {
				if r.Kind != kind {
					continue
				}
				words = append(words, r.What+" | "+r.Evidence)
				acts := len(r.Who) > 0 || !r.At.IsZero() || r.Next != "" || r.State == Waiting
				if !r.State.Passes() && !acts {
					t.Errorf("nobody can act: %+v", r)
				}
				if r.Line == 0 {
					t.Errorf("without a line: %+v", r)
				}
			}
			if v.State != c.want || !strings.Contains(strings.Join(words, "\n"), c.words) {
				t.Errorf("%s %q, want %s %q", v.State, words, c.want, c.words)
			}
			want := time.Time{}
			if c.next != 0 {
				want = noon.Add(c.next)
			}
			if !v.Next.Equal(want) {
				t.Errorf("changes at %s, want %s", v.Next, want)
			}
		})
	}
}

func TestApprove(t *testing.T) {
	at := func(gate, by string, ago time.Duration, is ...string) Approval {
		return Approval{Gate: gate, By: by, At: noon.Add(-ago), Is: is}
	}
	p := accept(t, "{approve: {min: 2, by: [managers], not: [author, uploader], expires: 72h}}")
	wantJudged(t, p, "approve", []judgedCase{
		{"nobody", Evidence{}, Closed, "needs 2 approvals from managers, not from the author or uploader, has 0", 0},
		{"one", Evidence{Approvals: []Approval{at("g", "carol", 0)}}, Closed, "approved by carol", 0},
		{"two", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "dan", time.Hour)}}, Open, "approved by carol, dan", 71 * time.Hour},
		{"one twice", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "carol", time.Hour)}}, Closed, "has 1", 0},
		{"given again", Evidence{Approvals: []Approval{at("g", "carol", 73*time.Hour), at("g", "carol", 0), at("g", "dan", 0)}}, Open, "", 72 * time.Hour},
		{"at another gate", Evidence{Approvals: []Approval{at("g", "carol", 0), at("built", "dan", 0)}}, Closed, "has 1", 0},
		{"the author", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "dan", 0, Author)}}, Closed, "does not count: dan is the author", 0},
		{"a stranger", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "mallory", 0)}}, Closed, "mallory is not in managers", 0},
		{"of a group", Evidence{Approvals: []Approval{at("g", "carol", 0), {Gate: "g", By: "erin", Groups: []string{"core"}, At: noon}}}, Open, "carol, erin", 72 * time.Hour},
		{"of the patch set, where an artifact is asked for", Evidence{Approvals: []Approval{at("g", "carol", 0), {Gate: "g", By: "dan", At: noon, OfChange: true}}}, Closed, "has 1", 0},
		{"ran out", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "dan", 72*time.Hour)}}, Closed, "dan's approval ran out", 0},
		{"a moment before", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "dan", 72*time.Hour-1)}}, Open, "", 1},
		{"the third carries it", Evidence{Approvals: []Approval{at("g", "carol", 0), at("g", "dan", 71*time.Hour), {Gate: "g", By: "erin", Groups: []string{"core"}, At: noon.Add(-time.Hour)}}}, Open, "", 71 * time.Hour},
	})
	wantJudged(t, accept(t, "{approve: {min: 1}}"), "approve", []judgedCase{
		{"nobody", Evidence{}, Closed, "needs approval, has 0", 0},
		{"anybody, for ever", Evidence{Approvals: []Approval{at("g", "mallory", 9000*time.Hour, Author)}}, Open, "", 0},
	})
}

func TestMetric(t *testing.T) {
	value := func(v float64, stage string) map[string]Measured {
		return map[string]Measured{"p95": {Value: v, Stage: stage}}
	}
	stages := func(load StageState) map[string]StageState {
		return map[string]StageState{"staging": Passed, "load": load}
	}
	base := func(v float64) map[string]map[string]float64 {
		return map[string]map[string]float64{"production": {"p95": v}}
	}
	wantJudged(t, accept(t, "{metric: {name: p95, max: 120, min: 1, better: lower, regression: {against: production, max: 10%}}}"), kindMetric, []judgedCase{
		{"within", Evidence{Metrics: value(120, "load")}, Open, "p95 is 120; nothing runs in production to compare it with", 0},
		{"above", Evidence{Metrics: value(120.5, "load")}, Refused, "p95 is 120.5, at most 120 is allowed", 0},
		{"below", Evidence{Metrics: value(0.5, "load")}, Refused, "at least 1 is asked for", 0},
		{"no number", Evidence{Metrics: value(math.NaN(), "load")}, Inconclusive, "is no number", 0},
		{"no end", Evidence{Metrics: value(math.Inf(-1), "load")}, Inconclusive, "is no number", 0},
		{"missing", Evidence{}, Inconclusive, "nothing measured p95", 0},
		{"of a stage that is not before", Evidence{Metrics: value(100, "other")}, Inconclusive, "nothing measured p95", 0},
		{"still running", Evidence{Stages: stages(Running)}, Waiting, "no p95: load is running", 0},
		{"an old value while it runs", Evidence{Stages: stages(Running), Metrics: value(100, "load")}, Waiting, "load is running", 0},
		{"of a stage that failed", Evidence{Stages: stages(Failed), Metrics: value(100, "load")}, Refused, "load failed", 0},
		{"machinery", Evidence{Stages: stages(Errored)}, GateErrored, "load could not be run", 0},
		{"a little worse", Evidence{Metrics: value(110, "load"), Baselines: base(100)}, Open, "in production it is 100", 0},
		{"too much worse", Evidence{Metrics: value(111, "load"), Baselines: base(100)}, Refused, "worse than 110, which is 10% worse", 0},
		{"better", Evidence{Metrics: value(1, "load"), Baselines: base(100)}, Open, "", 0},
		{"worse than nothing", Evidence{Metrics: value(1, "load"), Baselines: base(0)}, Refused, "", 0},
		{"below zero", Evidence{Metrics: value(1, "load"), Baselines: base(-10)}, Refused, "worse than -9", 0},
		{"a base that is no number", Evidence{Metrics: value(100, "load"), Baselines: base(math.NaN())}, Open, "nothing runs in production", 0},
		{"another base", Evidence{Metrics: value(100, "load"), Baselines: map[string]map[string]float64{"staging": {"p95": 1}}}, Open, "nothing runs in production", 0},
		{"left out", Evidence{Stages: stages(""), Bypasses: []Bypass{{Node: "load", By: "carol", Reason: "rig is down", At: noon}}}, Open, "p95 was not measured: load was left out by carol: rig is down", 0},
	})
	wantJudged(t, accept(t, "{metric: {name: p95, min: 5, regression: {against: production, max: 50%}}}"), kindMetric, []judgedCase{
		{"higher is better", Evidence{Metrics: value(50, "load"), Baselines: base(100)}, Open, "", 0},
		{"too low", Evidence{Metrics: value(49, "load"), Baselines: base(100)}, Refused, "worse than 50", 0},
	})
}

func TestSoak(t *testing.T) {
	soaks := func(s Soaked) Evidence { return Evidence{Soaks: map[string]Soaked{"staging": s}} }
	wantJudged(t, accept(t, "{soak: {environment: staging, min: 12h}}"), "soak", []judgedCase{
		{"never", Evidence{}, Closed, "does not serve in staging", 0},
		{"on its way", Evidence{Stages: map[string]StageState{"staging": Running}}, Waiting, "not in staging: staging is running", 0},
		{"did not come up", Evidence{Stages: map[string]StageState{"staging": Failed}}, Refused, "staging failed", 0},
		{"serves", soaks(Soaked{Ready: true, Since: noon.Add(-time.Hour)}), Waiting, "for 1h of 12h", 11 * time.Hour},
		{"a moment before", soaks(Soaked{Ready: true, Since: noon.Add(-12*time.Hour + 1)}), Waiting, "", 1},
		{"long enough", soaks(Soaked{Ready: true, Since: noon.Add(-12 * time.Hour)}), Open, "served in staging for 12h", 0},
		{"once long enough", soaks(Soaked{Since: noon.Add(-100 * time.Hour), For: 12 * time.Hour}), Open, "", 0},
		{"broke", soaks(Soaked{Since: noon.Add(-100 * time.Hour), For: 11 * time.Hour}), Closed, "served there for 11h of 12h", 0},
		{"again, from the start", soaks(Soaked{Ready: true, Since: noon}), Waiting, "for 0s of 12h", 12 * time.Hour},
	})
}

func TestGateEvidence(t *testing.T) {
	gates := func(state GateState, ago time.Duration) Evidence {
		e := Evidence{Gates: map[string]GateState{"built": state}, Opened: map[string]time.Time{}}
		if ago >= 0 {
			e.Opened["built"] = noon.Add(-ago)
		}
		return e
	}
	wantJudged(t, accept(t, "{evidence: {gates: [built], fresh: 14d, bypassed: false}}"), "evidence", []judgedCase{
		{"unknown", Evidence{}, Closed, "nothing is known of gate built", 0},
		{"open", gates(Open, 13*day), Open, "built is OPEN", day},
		{"stale", gates(Open, 14*day), Closed, "opened more than 14d ago", 0},
		{"since when", gates(Open, -1), Inconclusive, "since when gate built is open is not known", 0},
		{"left out", gates(GateBypassed, 0), Closed, "that is not enough here", 0},
		{"refused", gates(Refused, 0), Refused, "refuses", 0},
		{"closed", gates(Closed, 0), Closed, "not open", 0},
		{"waiting", gates(Waiting, 0), Waiting, "waits", 0},
		{"errored", gates(GateErrored, 0), GateErrored, "no verdict", 0},
		{"inconclusive", gates(Inconclusive, 0), Inconclusive, "no verdict", 0},
		{"from the future", gates("NEW", 0), Closed, "not open", 0},
	})
	wantJudged(t, accept(t, "{evidence: {gates: [built]}}"), "evidence", []judgedCase{
		{"left out", gates(GateBypassed, -1), Open, "built is BYPASSED", 0},
		{"of any age", gates(Open, -1), Open, "", 0},
	})
}

func TestWindow(t *testing.T) { // noon is a Monday, 13:00 in Berlin
	wantJudged(t, accept(t, `{window: {deny: ["FRI 15:00-MON 14:00", "MON 14:00-MON 15:30"], tz: Europe/Berlin}}`), "window", []judgedCase{
		{"shut until both have ended", Evidence{}, Waiting, "waits for window g, opens 2026-11-23 14:30 UTC (FRI 15:00-MON 14:00 Europe/Berlin)", 150 * time.Minute},
	})
	wantJudged(t, accept(t, `{window: {deny: ["FRI 15:00-MON 13:00"], tz: Europe/Berlin}}`), "window", []judgedCase{
		{"open until Friday", Evidence{}, Open, "the time is right", 4*day + 2*time.Hour},
	})
	wantJudged(t, accept(t, `{window: {deny: ["2026-01-01 00:00-2028-01-01 00:00"]}}`), "window", []judgedCase{
		{"years", Evidence{}, Closed, "does not open within a year", 0},
	})
	p := accept(t, `{window: {deny: ["SAT 00:00-SUN 02:30"], tz: Europe/Berlin}}`)
	// On the last Sunday of March 2027 the clocks skip from 2 to 3: the window ends at the skip.
	// On that of October they show 2:30 twice: it ends at the second time.
	for _, c := range []struct{ now, want time.Time }{
		{time.Date(2027, 3, 27, 12, 0, 0, 0, time.UTC), time.Date(2027, 3, 28, 1, 0, 0, 0, time.UTC)},
		{time.Date(2027, 10, 30, 12, 0, 0, 0, time.UTC), time.Date(2027, 10, 31, 1, 30, 0, 0, time.UTC)},
	} {
		v := Evaluate(Gate{Require: []Criterion{lastCriterion(p)}}, Evidence{}, c.now)
		if v.State != Waiting || !v.Next.Equal(c.want) {
			t.Errorf("%s: %s until %s, want %s", c.now, v.State, v.Next, c.want)
		}
	}
}

// lastCriterion is the one that was given to accept.
func lastCriterion(p *Plan) Criterion {
	g, _ := p.Gate("g")
	return g.Require[len(g.Require)-1]
}

func TestExternal(t *testing.T) {
	status := func(state StageState, by string, ago time.Duration) Status {
		return Status{Context: "ci/build", State: state, By: by, At: noon.Add(-ago)}
	}
	wantJudged(t, accept(t, "{external: {context: ci/build, by: [managers]}}"), "external", []judgedCase{
		{"none", Evidence{}, Waiting, "waits for the status ci/build", 0},
		{"passed", Evidence{Statuses: []Status{status(Passed, "carol", 0)}}, Open, "ci/build passed", 0},
		{"of a stranger", Evidence{Statuses: []Status{status(Passed, "mallory", 0)}}, Waiting, "", 0},
		{"of another", Evidence{Statuses: []Status{{Context: "ci", State: Passed, By: "carol"}}}, Waiting, "", 0},
		{"the newest counts", Evidence{Statuses: []Status{status(Failed, "carol", 0), status(Passed, "dan", time.Hour)}}, Refused, "ci/build failed", 0},
		{"a stranger's no", Evidence{Statuses: []Status{status(Passed, "carol", time.Hour), status(Failed, "mallory", 0)}}, Open, "", 0},
		{"running", Evidence{Statuses: []Status{status(Passed, "carol", time.Hour), status(Running, "carol", 0)}}, Waiting, "is running", 0},
		{"errored", Evidence{Statuses: []Status{status(Errored, "carol", 0)}}, GateErrored, "could not be run", 0},
		{"about the patch set, where an artifact is asked for", Evidence{Statuses: []Status{{Context: "ci/build", State: Passed, By: "carol", At: noon, OfChange: true}}}, Waiting, "", 0},
		{"of the future", Evidence{Statuses: []Status{status("NEW", "carol", 0)}}, Inconclusive, "does not know", 0},
	})
}

// What was left out counts while somebody who may has said so, with a reason, and not longer.
func TestBypass(t *testing.T) {
	p := accept(t, "{approve: {min: 1, by: [managers]}}")
	by := func(b Bypass) Evidence {
		b.Node = "g"
		return Evidence{Bypasses: []Bypass{b}}
	}
	wantJudged(t, p, kindBypass, []judgedCase{
		{"with a reason", by(Bypass{By: "carol", Reason: "outage", At: noon}), GateBypassed, "gate g was left out by carol until 2026-11-24 12:00 UTC: outage", day},
		{"until", by(Bypass{By: "carol", Reason: "outage", At: noon, Until: noon.Add(time.Hour)}), GateBypassed, "until 2026-11-23 13:00 UTC", time.Hour},
		{"no longer than the plan says", by(Bypass{By: "carol", Reason: "outage", At: noon, Until: noon.Add(9 * day)}), GateBypassed, "", day},
		{"ran out", by(Bypass{By: "carol", Reason: "outage", At: noon.Add(-day)}), Closed, "", 0},
		{"without a reason", by(Bypass{By: "carol", At: noon}), Closed, "", 0},
		{"by nobody", by(Bypass{Reason: "outage", At: noon}), Closed, "", 0},
		{"by an outcome that does not", by(Bypass{By: "carol", Reason: "outage", Outcome: "quick", At: noon}), Closed, "", 0},
	})
	t.Run("stages", func(t *testing.T) {
		e := Evidence{Stages: map[string]StageState{"staging": Passed, "load": Failed}, Approvals: []Approval{{Gate: "g", By: "dan", At: noon}}}
		e.Bypasses = []Bypass{{Node: "load", By: "carol", Reason: "rig is down", At: noon}}
		if steps := Next(p, e, noon); !slices.Equal(steps.Start, []string{"production"}) {
			t.Errorf("a failure that was left out holds up: %+v", steps)
		}
		e.Stages["production"] = Passed
		state, why := RunVerdict(p, e, noon)
		if state != RunPassed || !strings.Contains(Summary(why), "load was left out by carol: rig is down (FAILED)") {
			t.Errorf("%s %s", state, Summary(why))
		}
		delete(e.Stages, "load")
		if steps := Next(p, e, noon); !slices.Equal(steps.Bypass, []string{"load"}) || steps.Done {
			t.Errorf("%+v", steps)
		}
		e.Stages["load"], e.Bypasses = Bypassed, nil
		if state, why := RunVerdict(p, e, noon); state != RunErrored {
			t.Errorf("left out by nobody: %s %s", state, Summary(why))
		}
	})
	t.Run("tests", func(t *testing.T) {
		smoke, _ := mustParse(t, fiveGates).Gate("smoke")
		e := Evidence{Stages: map[string]StageState{"build": Passed, "preview": Passed, "unit": Failed}, Tests: map[string]Tests{"unit": {Failed: 3}},
			Bypasses: []Bypass{{Node: "unit", By: "alice", Reason: "rig is down", At: noon, Until: noon.Add(time.Hour)}}}
		v := Evaluate(smoke, e, noon)
		if v.State != Open || !v.Next.Equal(noon.Add(time.Hour)) || !strings.Contains(v.Reasons[len(v.Reasons)-1].What, "unit was left out by alice") {
			t.Errorf("%+v", v)
		}
		if v := Evaluate(smoke, e, noon.Add(time.Hour)); v.State != Refused {
			t.Errorf("the bypass ran out: %+v", v)
		}
	})
	t.Run("not bypassable", func(t *testing.T) {
		e := Evidence{Bypasses: []Bypass{{Node: "production", By: "carol", Reason: "x", At: noon}}}
		if steps := Next(p, e, noon); len(steps.Bypass) > 0 {
			t.Errorf("%+v", steps)
		}
		if by, ok := p.MayBypass("production"); ok {
			t.Errorf("%v may", by)
		}
		if by, ok := p.MayBypass("g"); !ok || !slices.Equal(by, []string{"managers"}) {
			t.Errorf("%v may", by)
		}
	})
	t.Run("outcome", func(t *testing.T) {
		p := mustParse(t, fiveGates).Gating("preview-untested")
		e := Evidence{Stages: map[string]StageState{"build": Passed}, Bypasses: []Bypass{{Node: "unit", Outcome: "preview-untested", By: "alice", At: noon}}}
		if steps := Next(p, e, noon); !slices.Equal(steps.Bypass, []string{"unit"}) || !slices.Equal(steps.Start, []string{"preview"}) {
			t.Errorf("%+v", steps)
		}
		e.Stages["unit"], e.Stages["preview"] = Bypassed, Passed
		if state, why := RunVerdict(p, e, noon); state != RunPassed {
			t.Errorf("%s %v", state, why)
		}
		e.Stages["preview"] = Failed
		if state, _ := RunVerdict(p, e, noon); state != RunRefused {
			t.Errorf("a preview that failed: %s", state)
		}
	})
}

// A gate holds what comes after it, with the gates before that one: also through stages.
func TestHeld(t *testing.T) {
	p := mustParse(t, `version: 1
stages:
  a: {run: a}
  b: {run: b, after: [g]}
  c: {run: c, after: [b]}
  d: {run: d, when: [main, "release/*"], after: [c]}
gates:
  g: {after: [a], require: [{stages: passed}, {review: {min: 1}}]}
  ci: {after: [b], require: [{stages: passed}, {external: {context: ci}}]}
  end: {require: [{stages: [d]}]}
`)
	vote := []Vote{{Label: CodeReview, Value: 2, By: "bob"}}
	veto := []Vote{{Label: CodeReview, Value: -2, By: "carol"}}
	type states = map[string]StageState
	for _, c := range []struct {
		name  string
		e     Evidence
		want  string // start / skip
		held  string
		done  bool
		state RunState
	}{
		{"nobody has looked", Evidence{Stages: states{"a": Passed}}, "/", "b waits for gate g: needs Code-Review+2, has 0", false, RunRunning},
		{"looked at", Evidence{Stages: states{"a": Passed}, Votes: vote}, "b/", "", false, RunRunning},
		{"refused", Evidence{Stages: states{"a": Passed}, Votes: veto}, "/", "", true, RunRefused},
		{"taken back after b ran", Evidence{Stages: states{"a": Passed, "b": Passed}}, "/", "c waits for gate g: needs Code-Review+2, has 0", false, RunRunning},
		{"machinery", Evidence{Stages: states{"a": Errored}, Votes: vote}, "/", "", true, RunErrored},
		{"on main", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed}, Votes: vote, Branch: "main"}, "d/", "", false, RunRunning},
		{"on a release", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed}, Votes: vote, Branch: "release/1"}, "d/", "", false, RunRunning},
		{"on another branch", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed}, Votes: vote, Branch: "feature/main"}, "/d", "", false, RunRunning},
		{"on some branch", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed}, Votes: vote}, "d/", "", false, RunRunning},
		{"rightly skipped", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed, "d": Skipped}, Votes: vote, Branch: "x"}, "/", "", true, RunPassed},
		{"wrongly skipped", Evidence{Stages: states{"a": Passed, "b": Passed, "c": Passed, "d": Skipped}, Votes: vote, Branch: "main"}, "/", "", true, RunErrored},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Next(p, c.e, noon)
			var held []string
			for _, name := range slices.Sorted(maps.Keys(got.Held)) {
				held = append(held, name+" "+got.Held[name])
			}
			if strings.Join(got.Start, " ")+"/"+strings.Join(got.Skip, " ") != c.want || strings.Join(held, "\n") != c.held || got.Done != c.done {
				t.Errorf("%+v", got)
			}
			if state, why := RunVerdict(p, c.e, noon); state != c.state {
				t.Errorf("the run is %s, want %s: %s", state, c.state, Summary(why))
			}
		})
	}
}

// A gate that other gates stand before opens nothing by itself.
func TestGatesInARow(t *testing.T) {
	p := mustParse(t, `version: 1
stages: {go: {run: x, after: [second]}}
gates:
  first: {require: [{external: {context: one}}]}
  second: {after: [first], require: [{external: {context: two}}]}
  end: {after: [go], require: [{stages: passed}]}
`)
	for state, want := range map[StageState]string{Running: "[] false", Failed: "[] true", Passed: "[go] false"} {
		e := Evidence{Statuses: []Status{{Context: "one", State: state}, {Context: "two", State: Passed}}}
		got := Next(p, e, noon)
		if fmt.Sprint(got.Start, got.Done) != want {
			t.Errorf("%s: %+v", state, got)
		}
	}
}
