package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReview(t *testing.T) {
	p := mustParse(t, `version: 1
gates: {review: {require: [{review: {min: 2, by: [owners], not: [author, uploader]}}]}}
roles: {owners: [alice, bob, carol, "group:core"]}
`)
	vote := func(by string, value int, is ...string) Vote {
		return Vote{Label: CodeReview, Value: value, By: by, Is: is}
	}
	cases := []struct {
		name  string
		votes []Vote
		want  GateState
		words string
	}{
		{"nobody", nil, Closed, "needs 2 × Code-Review+2 from owners, not from the author or uploader, has 0"},
		{"one of two", []Vote{vote("alice", 2)}, Closed, "has 1"},
		{"two", []Vote{vote("alice", 2), vote("bob", 2)}, Open, "has 2 × Code-Review+2"},
		{"one twice", []Vote{vote("alice", 2), vote("alice", 2)}, Closed, "has 1"},
		{"too weak", []Vote{vote("alice", 1), vote("bob", 1)}, Closed, "has 0"},
		{"the author", []Vote{vote("alice", 2, Author), vote("bob", 2)}, Closed, "has 1"},
		{"the uploader", []Vote{vote("alice", 2, Uploader), vote("bob", 2)}, Closed, "has 1"},
		{"the committer counts, the plan does not exclude it", []Vote{vote("alice", 2, Committer), vote("bob", 2)}, Open, ""},
		{"a stranger", []Vote{vote("mallory", 2), vote("bob", 2)}, Closed, "has 1"},
		{"a stranger called like a group", []Vote{vote("group:core", 2), vote("core", 2), vote("bob", 2)}, Closed, "has 1"},
		{"by group", []Vote{{Label: CodeReview, Value: 2, By: "erin", Groups: []string{"core"}}, vote("bob", 2)}, Open, ""},
		{"a group called like an account", []Vote{{Label: CodeReview, Value: 2, By: "erin", Groups: []string{"alice"}}, vote("bob", 2)}, Closed, "has 1"},
		{"another label", []Vote{{Label: "Security", Value: 2, By: "alice"}, vote("bob", 2)}, Closed, "has 1"},
		{"no but no veto", []Vote{vote("alice", 2), vote("bob", 2), vote("carol", -1)}, Open, ""},
		{"veto", []Vote{vote("alice", 2), vote("bob", 2), vote("carol", -2)}, Refused, "carol refused with Code-Review-2"},
		{"veto of a stranger", []Vote{vote("alice", 2), vote("bob", 2), vote("dan", -2)}, Refused, "dan refused"},
		{"own veto", []Vote{vote("alice", 2), vote("bob", 2), vote("carol", -2, Author)}, Refused, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := Evaluate(p.Gates[0], Evidence{Votes: c.votes}, noon)
			if v.State != c.want || !strings.Contains(v.Reasons[0].What, c.words) {
				t.Errorf("%s: %+v, want %s %q", v.State, v.Reasons, c.want, c.words)
			}
			if c.want == Closed && (len(v.Reasons[0].Who) == 0 || v.Reasons[0].Next == "" || v.Reasons[0].Line != 2) {
				t.Errorf("nobody is told what to do: %+v", v.Reasons[0])
			}
		})
	}
}

func TestReviewWithoutVeto(t *testing.T) {
	p := mustParse(t, "version: 1\nlabels: {Code-Review: {veto: false}}\n")
	votes := []Vote{{Label: CodeReview, Value: 2, By: "bob"}, {Label: CodeReview, Value: -2, By: "carol"}}
	if v := Evaluate(p.Gates[0], Evidence{Votes: votes}, noon); v.State != Open {
		t.Errorf("%s: %+v", v.State, v.Reasons)
	}
}

const gated = `version: 1
stages:
  lint: {run: lint, paths: ["**/*.go"]}
  unit: {run: unit, after: [lint], results: {gotest: unit.json}, paths: ["**/*.go"]}
gates:
  tested: {after: [unit], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
`

func TestStagesAndTests(t *testing.T) {
	p := mustParse(t, gated)
	type states = map[string]StageState
	green := map[string]Tests{"unit": {Passed: 3}}
	cases := []struct {
		name    string
		states  states
		tests   map[string]Tests
		changed []string
		want    GateState
		words   string // in one of the reasons of that state
	}{
		{"nothing yet", nil, nil, nil, Waiting, "lint has not started"},
		{"running", states{"lint": Passed, "unit": Running}, nil, nil, Waiting, "unit is running"},
		{"queued", states{"lint": Queued}, nil, nil, Waiting, "lint waits for a worker"},
		{"green", states{"lint": Passed, "unit": Passed}, green, nil, Open, "3 tests passed"},
		{"failed", states{"lint": Passed, "unit": Failed}, map[string]Tests{"unit": {Passed: 2, Failed: 1, Cases: []Case{{Name: "TestAdd", Status: CaseFailed}}}}, nil, Refused, "1 test failed, at most 0 may"},
		{"failed stage with green tests", states{"lint": Passed, "unit": Failed}, green, nil, Refused, "unit failed"},
		{"passed stage with red tests", states{"lint": Passed, "unit": Passed}, map[string]Tests{"unit": {Passed: 9, Failed: 1}}, nil, Refused, "1 test failed"},
		{"passed stage without results", states{"lint": Passed, "unit": Passed}, nil, nil, Refused, "unit left no test results"},
		{"no tests ran", states{"lint": Passed, "unit": Passed}, map[string]Tests{"unit": {Skipped: 5}}, nil, Refused, "0 tests ran, at least 1 must"},
		{"before it failed", states{"lint": Failed}, nil, nil, Refused, "unit cannot start: lint did not pass"},
		{"timed out", states{"lint": Passed, "unit": TimedOut}, green, nil, Refused, "unit ran out of time"},
		{"machinery", states{"lint": Passed, "unit": Errored}, green, nil, GateErrored, "could not be run"},
		{"cancelled", states{"lint": Passed, "unit": Canceled}, green, nil, GateErrored, "was cancelled"},
		{"machinery before it", states{"lint": Errored}, nil, nil, GateErrored, "unit cannot start: lint could not be run"},
		{"a no beats the machinery", states{"lint": Errored, "unit": Failed}, nil, nil, Refused, "unit failed"},
		{"skipped rightly", states{"lint": Skipped, "unit": Skipped}, nil, []string{"README.md"}, Open, "the change touches no paths of unit"},
		{"skipped wrongly", states{"lint": Skipped, "unit": Skipped}, nil, []string{"a/b.go"}, Inconclusive, "the plan does not allow that"},
		{"skipped though the plan changed", states{"lint": Skipped, "unit": Skipped}, nil, []string{"README.md", File}, Inconclusive, "does not allow"},
		{"skipped with nothing known", states{"lint": Skipped, "unit": Skipped}, nil, nil, Inconclusive, "does not allow"},
		{"a state from the future", states{"lint": Passed, "unit": "HIBERNATING"}, green, nil, Inconclusive, "does not know"},
		{"left out by nobody", states{"lint": Passed, "unit": Bypassed}, green, nil, Inconclusive, "no bypass says by whom"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := Evidence{Stages: c.states, Tests: c.tests, Changed: c.changed}
			v := Evaluate(p.Gates[0], e, noon)
			var words []string
			for _, r := range only(v.Reasons, c.want) {
				words = append(words, r.What)
			}
			if v.State != c.want || !strings.Contains(strings.Join(words, "\n"), c.words) {
				t.Errorf("%s %q, want %s %q; all: %+v", v.State, words, c.want, c.words, v.Reasons)
			}
			want := map[GateState]RunState{Open: RunPassed, Refused: RunRefused, GateErrored: RunErrored, Inconclusive: RunErrored, Waiting: RunRunning}[c.want]
			if got, _ := RunVerdict(p, e, noon); got != want {
				t.Errorf("the run is %s, want %s", got, want)
			}
		})
	}
}

// A gate that judges only tests must not be opened by what keeps the tests from running.
func TestTestsAlone(t *testing.T) {
	p := mustParse(t, strings.Replace(gated, "{stages: passed}, {tests: {failed: 0, min: 1}}", "{tests: {failed: 2, min: 3}}", 1))
	type states = map[string]StageState
	for _, c := range []struct {
		name   string
		states states
		tests  map[string]Tests
		want   GateState
	}{
		{"some may fail", states{"lint": Passed, "unit": Failed}, map[string]Tests{"unit": {Passed: 8, Failed: 2}}, Open},
		{"too many fail", states{"lint": Passed, "unit": Failed}, map[string]Tests{"unit": {Passed: 8, Failed: 3}}, Refused},
		{"too few ran", states{"lint": Passed, "unit": Passed}, map[string]Tests{"unit": {Passed: 2, Skipped: 7}}, Refused},
		{"failed without results", states{"lint": Passed, "unit": Failed}, nil, Refused},
		{"never started", states{"lint": Failed}, nil, Refused},
		{"timed out", states{"lint": Passed, "unit": TimedOut}, map[string]Tests{"unit": {Passed: 8}}, Refused},
		{"running", states{"lint": Passed, "unit": Running}, map[string]Tests{"unit": {Passed: 8}}, Waiting},
		{"errored", states{"lint": Passed, "unit": Errored}, map[string]Tests{"unit": {Passed: 8}}, GateErrored},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := Evaluate(p.Gates[0], Evidence{Stages: c.states, Tests: c.tests}, noon); v.State != c.want {
				t.Errorf("%s, want %s: %+v", v.State, c.want, v.Reasons)
			}
		})
	}
}

func TestConjunction(t *testing.T) {
	of := func(states ...GateState) GateState {
		var all []Reason
		for _, s := range states {
			all = append(all, Reason{State: s})
		}
		return conjunction(all)
	}
	for _, c := range []struct {
		got, want GateState
	}{
		{of(), Closed},
		{of(Open, Open), Open},
		{of(Open, "NEW"), Closed},
		{of(Open, Waiting), Waiting},
		{of(Closed, Waiting), Closed},
		{of(Closed, Inconclusive), Inconclusive},
		{of(GateErrored, Inconclusive), GateErrored},
		{of(GateErrored, Refused, Open), Refused},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestSummary(t *testing.T) {
	got := Summary([]Reason{{What: "unit failed", Evidence: "FAILED"}, {What: "unit failed", Evidence: "FAILED"}, {What: "lint failed"}})
	if diff := cmp.Diff("unit failed; lint failed", got); diff != "" {
		t.Error(diff)
	}
}
