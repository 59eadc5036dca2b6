package plan

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const quarantinedPlan = `version: 1
stages:
  flaky: {run: f, results: {tap: f.tap}, quarantine: {owner: alice, until: 2026-11-23, reason: "times out on Mondays"}}
  unit: {run: u, results: {tap: u.tap}}
  after: {run: a, after: [flaky]}
gates:
  ran: {after: [flaky, unit, after], require: [{stages: passed}]}
  tested: {after: [flaky, unit], require: [{tests: {min: 3}}]}
`

func TestQuarantine(t *testing.T) {
	p := mustParse(t, quarantinedPlan)
	lastMoment := time.Date(2026, 11, 23, 23, 59, 59, 999999999, time.UTC)
	berlin := time.FixedZone("east", 3600)
	green := map[string]Tests{"unit": {Passed: 3}}
	with := func(flaky Tests) map[string]Tests { return map[string]Tests{"unit": {Passed: 2}, "flaky": flaky} }
	type states = map[string]StageState
	done := func(flaky StageState) states { return states{"flaky": flaky, "unit": Passed, "after": Passed} }
	for _, c := range []struct {
		name   string
		states states
		tests  map[string]Tests
		now    time.Time
		want   RunState
		words  string
	}{
		{"failed", done(Failed), green, noon, RunPassed, "flaky failed; that does not count: it is in quarantine until 2026-11-23, alice sees to it (times out on Mondays)"},
		{"timed out", done(TimedOut), green, noon, RunPassed, "flaky ran out of time; that does not count"},
		{"in its last moment", done(Failed), green, lastMoment, RunPassed, ""},
		{"after its last moment", done(Failed), green, lastMoment.Add(1), RunRefused, "flaky failed"},
		{"by UTC, not by the clock on the wall", done(Failed), green, lastMoment.In(berlin), RunPassed, ""},
		{"passed", done(Passed), with(Tests{Passed: 1}), noon, RunPassed, "flaky passed"},
		{"its failing tests", done(Failed), with(Tests{Passed: 1, Failed: 2}), noon, RunPassed, "3 tests passed; failures of flaky do not count: in quarantine"},
		{"its failing tests after it", done(Failed), with(Tests{Passed: 1, Failed: 2}), lastMoment.Add(1), RunRefused, "2 tests failed"},
		{"failing tests that its exit code hides", done(Passed), with(Tests{Failed: 1}), noon, RunPassed, "2 tests passed; failures of flaky"},
		{"too few tests without its own", done(Failed), with(Tests{}), noon, RunPassed, ""},
		{"too few tests though it passed", done(Passed), with(Tests{}), noon, RunRefused, "2 tests ran, at least 3 must"},
		{"another's failing tests", done(Failed), map[string]Tests{"unit": {Passed: 3, Failed: 1}}, noon, RunRefused, "1 test failed"},
		{"another stage failed", states{"flaky": Passed, "unit": Failed, "after": Passed}, with(Tests{Passed: 9}), noon, RunRefused, "unit failed"},
		{"one behind it failed", states{"flaky": Failed, "unit": Passed, "after": Failed}, green, noon, RunRefused, "after failed"},
		{"one behind it waits", states{"flaky": Failed, "unit": Passed}, green, noon, RunRunning, "after has not started"},
		{"one behind it never starts any more", states{"flaky": Failed, "unit": Passed}, green, lastMoment.Add(1), RunRefused, "after cannot start: flaky did not pass"},
		{"the machinery", done(Errored), green, noon, RunErrored, "flaky could not be run"},
		{"the machinery before one behind it", states{"flaky": Errored, "unit": Passed}, green, noon, RunErrored, "after cannot start: flaky could not be run"},
		{"skipped against the plan", done(Skipped), green, noon, RunErrored, ""},
		{"not yet run", states{"unit": Passed}, green, noon, RunRunning, "flaky has not started"},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, reasons := RunVerdict(p, Evidence{Stages: c.states, Tests: c.tests, Changed: []string{"x"}}, c.now)
			if state != c.want || !strings.Contains(Summary(reasons), c.words) {
				t.Errorf("%s %q; want %s %q", state, Summary(reasons), c.want, c.words)
			}
		})
	}
	t.Run("what can start", func(t *testing.T) {
		failed := states{"flaky": Failed, "unit": Running}
		if got := Next(p, Evidence{Stages: failed}, noon); !slices.Equal(got.Start, []string{"after"}) || got.Done {
			t.Errorf("%+v", got)
		}
		if got := Next(p, Evidence{Stages: failed}, lastMoment.Add(1)); len(got.Start) > 0 {
			t.Errorf("after the quarantine %+v", got)
		}
	})
}

// A change can neither put a stage in quarantine nor use one to remove it.
func TestQuarantineIsPolicy(t *testing.T) {
	strict := mustParse(t, "version: 1\nstages: {unit: {run: u}}\n")
	lax := mustParse(t, "version: 1\nstages: {unit: {run: u, quarantine: {owner: mallory, until: 2099-01-01}}}\n")
	failed := Evidence{Stages: map[string]StageState{"unit": Failed}}
	p, _ := Compose(strict, lax)
	if state, _ := RunVerdict(p, failed, noon); state != RunRefused {
		t.Errorf("a change's own quarantine makes the run %s", state)
	}
	if s, _ := p.Stage("unit"); !slices.Equal(s.Notes, []string{"unit is in quarantine only as the target branch's plan says until this change has landed"}) {
		t.Errorf("notes %q", s.Notes)
	}
	p, _ = Compose(lax, strict)
	if state, _ := RunVerdict(p, failed, noon); state != RunPassed {
		t.Errorf("the branch's quarantine makes the run %s", state)
	}
	p, _ = Compose(lax, mustParse(t, "version: 1\n"))
	if state, _ := RunVerdict(p, failed, noon); state != RunRefused {
		t.Errorf("removing a stage in quarantine makes the run %s", state)
	}
	if got := Next(p, failed, noon); len(got.Start) > 0 || !got.Done {
		t.Errorf("a removed stage: %+v", got)
	}
}
