package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestNext(t *testing.T) {
	p := mustParse(t, `version: 1
stages:
  lint: {run: lint, paths: ["*.go"]}
  unit: {run: unit, after: [lint]}
  docs: {run: docs, paths: [docs/]}
  last: {run: last, after: [g, docs]}
gates:
  g: {after: [unit], require: [{stages: passed}]}
  h: {after: [last], require: [{stages: passed}]}
`)
	type states = map[string]StageState
	for _, c := range []struct {
		name        string
		states      states
		changed     string
		start, skip []string
		done        bool
	}{
		{"first", nil, "a.go", []string{"lint"}, []string{"docs"}, false},
		{"first of unknown paths", nil, "", []string{"lint", "docs"}, nil, false},
		{"docs only", nil, "docs/a.md", []string{"docs"}, []string{"lint"}, false},
		{"after a skipped one", states{"lint": Skipped, "docs": Running}, "docs/a.md", []string{"unit"}, nil, false},
		{"waiting", states{"lint": Running, "docs": Skipped}, "a.go", nil, nil, false},
		{"behind a gate", states{"lint": Passed, "unit": Running, "docs": Passed}, "", nil, nil, false},
		{"gate's stages passed", states{"lint": Passed, "unit": Passed, "docs": Passed}, "", []string{"last"}, nil, false},
		{"failed, others run", states{"lint": Failed, "docs": Running}, "", nil, nil, false},
		{"failed, nothing left", states{"lint": Failed, "docs": Passed}, "", nil, nil, true},
		{"errored, nothing left", states{"lint": Passed, "unit": Errored, "docs": Passed}, "", nil, nil, true},
		{"blocked is not started", states{"lint": Blocked, "unit": Blocked, "docs": Passed}, "a.go", []string{"lint"}, nil, false},
		{"all done", states{"lint": Passed, "unit": Passed, "docs": Skipped, "last": Passed}, "a.go", nil, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Next(p, Evidence{Stages: c.states, Changed: strings.Fields(c.changed)}, noon)
			if !slices.Equal(got.Start, c.start) || !slices.Equal(got.Skip, c.skip) || got.Done != c.done {
				t.Errorf("%+v; want start %v skip %v done %t", got, c.start, c.skip, c.done)
			}
		})
	}
}

func TestRunVerdict(t *testing.T) {
	p := mustParse(t, `version: 1
stages: {unit: {run: unit}, info: {run: info}}
gates:
  review: {require: [{review: {min: 1}}]}
  tested: {after: [unit], require: [{stages: passed}]}
`)
	type states = map[string]StageState
	for _, c := range []struct {
		name   string
		states states
		want   RunState
		words  string
	}{
		{"nothing yet", nil, RunRunning, "unit has not started"},
		{"information still runs", states{"unit": Passed, "info": Running}, RunRunning, ""},
		{"information failed", states{"unit": Passed, "info": Failed}, RunPassed, ""},
		{"refused before the rest is done", states{"unit": Failed, "info": Running}, RunRefused, "unit failed"},
		{"machinery", states{"unit": Errored, "info": Passed}, RunErrored, "unit could not be run; that says nothing about the change"},
		{"machinery, while the rest runs", states{"unit": Errored, "info": Running}, RunRunning, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, reasons := RunVerdict(p, Evidence{Stages: c.states}, noon)
			if state != c.want || !strings.Contains(Summary(reasons), c.words) {
				t.Errorf("%s %s; want %s %s", state, Summary(reasons), c.want, c.words)
			}
		})
	}
	if state, _ := RunVerdict(Default(), Evidence{}, noon); state != RunPassed {
		t.Errorf("without stages the run is %s", state)
	}
}

// genPlan writes a random plan without problems: stages and gates wait only for what was
// written before them.
func genPlan(t *rapid.T, label string) *Plan {
	names := []string{"a", "b", "c", "d", "e", "f"}
	order := rapid.Permutation(names).Draw(t, label+" order")[:rapid.IntRange(0, len(names)).Draw(t, label+" stages")]
	var b strings.Builder
	b.WriteString("version: 1\n")
	some := func(from []string, what string) []string {
		var picked []string
		for _, name := range from {
			if rapid.IntRange(0, 2).Draw(t, what) == 0 {
				picked = append(picked, name)
			}
		}
		return picked
	}
	targets := genTargets(t, &b, label, names)
	inputs := make([]strings.Builder, len(order))
	if len(order) > 0 {
		b.WriteString("stages:\n")
	}
	for i, name := range order {
		if len(targets) > 0 && rapid.IntRange(0, 2).Draw(t, label+" inputs") == 0 {
			fmt.Fprintf(&inputs[i], ", inputs: {targets: [%s], paths: [%s/]}", rapid.SampledFrom(targets).Draw(t, "input"), rapid.SampledFrom(names).Draw(t, "input path"))
		}
		if rapid.IntRange(0, 2).Draw(t, label+" quarantine") == 0 {
			fmt.Fprintf(&inputs[i], ", quarantine: {owner: o, until: %s}", rapid.SampledFrom([]string{"2026-11-22", "2026-11-23"}).Draw(t, "until"))
		}
		fmt.Fprintf(&b, "  %s: {run: run-%s, timeout: %dm", name, name, rapid.IntRange(1, 30).Draw(t, label+" timeout"))
		if after := some(order[:i], label+" after"); len(after) > 0 {
			fmt.Fprintf(&b, ", after: [%s]", strings.Join(after, ", "))
		}
		if rapid.Bool().Draw(t, label+" paths") {
			fmt.Fprintf(&b, ", paths: [%s/]", rapid.SampledFrom(names).Draw(t, label+" path"))
		}
		if rapid.Bool().Draw(t, label+" results") {
			b.WriteString(", results: {tap: out.tap}")
		}
		fmt.Fprintf(&b, ", network: %t%s}\n", rapid.Bool().Draw(t, label+" network"), inputs[i].String())
	}
	judged := some(order, label+" judged")
	b.WriteString("gates:\n  review: {require: [{review: {min: 1}}]}\n")
	if len(judged) > 0 {
		fmt.Fprintf(&b, "  g: {after: [%s], require: [{stages: passed}]}\n  h: {after: [g], require: [{review: {min: 1}}]}\n", strings.Join(judged, ", "))
	}
	p, problems := Parse(File, []byte(b.String()))
	if len(problems) > 0 {
		t.Fatalf("%s\n%v", b.String(), problems)
	}
	return p
}

// genTargets writes random targets, barriers and lanes, and gives the names of the targets.
func genTargets(t *rapid.T, b *strings.Builder, label string, folders []string) []string {
	var targets []string
	lanes := []string{LanesBranch, LanesFiles}
	for i := range rapid.IntRange(0, 4).Draw(t, label+" targets") {
		if i == 0 {
			b.WriteString("targets:\n")
			lanes = append(lanes, LanesTargets, LanesTargets)
		}
		name := fmt.Sprint("t", i)
		fmt.Fprintf(b, "  %s: {paths: [%s/, \"!%s/b/\"]", name, rapid.SampledFrom(folders).Draw(t, "path"), rapid.SampledFrom(folders).Draw(t, "but"))
		if i > 0 && rapid.Bool().Draw(t, "needs") {
			fmt.Fprintf(b, ", needs: [%s]", rapid.SampledFrom(targets).Draw(t, "need"))
		}
		b.WriteString("}\n")
		targets = append(targets, name)
	}
	if rapid.Bool().Draw(t, label+" barriers") {
		fmt.Fprintf(b, "barriers: [%s/x, \"!go.mod\"]\n", rapid.SampledFrom(folders).Draw(t, "barrier"))
	}
	fmt.Fprintf(b, "land: {lanes: %s, batch: %d, queue: %s}\n", rapid.SampledFrom(lanes).Draw(t, label+" lanes"), rapid.IntRange(2, 16).Draw(t, "batch"), label)
	return targets
}

// A fair run of any plan ends, starts each stage once and only after what it waits for, and
// passes exactly when every stage that landing needs passed or was rightly skipped.
func TestRunsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPlan(t, "plan")
		changed := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a/x", "b/x", "c/x", "z"}), rapid.ID).Draw(t, "changed")
		ends := rapid.SampledFrom([]StageState{Passed, Passed, Passed, Passed, Failed, TimedOut, Errored})
		states := map[string]StageState{}
		for round := 0; ; round++ {
			if round > 3*len(p.Stages)+3 {
				t.Fatalf("no end: %v", states)
			}
			steps := Next(p, Evidence{Stages: states, Changed: changed}, noon)
			start, skip, done := steps.Start, steps.Skip, steps.Done
			for _, name := range append(slices.Clone(start), skip...) {
				s, _ := p.Stage(name)
				for _, before := range p.waitsFor(s) {
					if !passed(p, states, before) {
						t.Fatalf("%s starts while %s is %q", name, before, states[before])
					}
				}
				if states[name] != "" {
					t.Fatalf("%s starts again", name)
				}
			}
			for _, name := range start {
				states[name] = Running
			}
			for _, name := range skip {
				states[name] = Skipped
			}
			if done {
				break
			}
			for _, s := range p.Stages {
				if states[s.Name] == Running && rapid.Bool().Draw(t, "ends") || states[s.Name] == Running && round > len(p.Stages) {
					states[s.Name] = ends.Draw(t, s.Name)
				}
			}
		}
		all, code := true, false
		for name := range p.Required() {
			ok := passed(p, states, name)
			all = all && ok
			code = code || !ok && (states[name] == Failed || states[name] == TimedOut)
		}
		state, reasons := RunVerdict(p, Evidence{Stages: states, Changed: changed}, noon)
		want := map[bool]RunState{true: RunRefused, false: RunErrored}[code]
		if all {
			want = RunPassed
		}
		if state != want {
			t.Fatalf("%s, want %s; states %v reasons %s", state, want, states, Summary(reasons))
		}
	})
}

func TestCompose(t *testing.T) {
	policy := mustParse(t, `version: 1
stages:
  lint: {run: lint, paths: ["*.go"]}
  unit: {run: old, after: [lint], timeout: 10m, memory: 1GiB, results: {tap: unit.tap}}
  extra: {run: extra}
gates: {g: {after: [unit], require: [{stages: passed}, {tests: {min: 1}}]}}
`)
	t.Run("actions from the candidate, limits from the policy", func(t *testing.T) {
		own := mustParse(t, `version: 1
stages:
  new: {run: new, network: true, timeout: 2h, memory: 8GiB}
  lint: {run: lint2, paths: [nothing]}
  unit: {run: fresh, after: [new], timeout: 20m, memory: 2GiB, network: true, env: {A: b}, results: {tap: other.tap}}
gates: {weak: {require: [{review: {min: 1}}]}}
land: {how: squash}
roles: {all: [mallory]}
`)
		p, problems := Compose(policy, own)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		unit, _ := p.Stage("unit")
		unit.Line = 0
		want := Stage{Name: "unit", Run: "fresh", After: []string{"lint", "new"}, Timeout: 600e9, Memory: 1 << 30, Retry: -1,
			Env: map[string]string{"A": "b"}, Results: map[string]string{TAP: "other.tap"},
			Notes: []string{"unit has a timeout of 10m until this change has landed", "unit has 1024MiB of memory until this change has landed", "unit has no network until this change has landed"}}
		if diff := cmp.Diff(want, unit); diff != "" {
			t.Errorf("unit (-want +got):\n%s", diff)
		}
		if lint, _ := p.Stage("lint"); lint.Run != "lint2" || !slices.Equal(lint.Paths, []string{"*.go"}) {
			t.Errorf("lint = %+v", lint)
		}
		if fresh, _ := p.Stage("new"); fresh.Network || fresh.Memory != 0 || fresh.Timeout != DefaultTimeout || len(fresh.Notes) != 4 {
			t.Errorf("new = %+v", fresh)
		}
		if _, kept := p.Stage("extra"); kept {
			t.Error("a stage that decides nothing cannot be removed")
		}
		if len(p.Gates) != 1 || p.Gates[0].Name != "g" || p.Land.How != Merge || len(p.Roles) != 0 {
			t.Errorf("policy = %+v %+v %+v", p.Gates, p.Land, p.Roles)
		}
	})
	t.Run("a removed stage", func(t *testing.T) {
		p, problems := Compose(policy, mustParse(t, "version: 1\nstages:\n  lint: {run: lint}\n"))
		want := []string{"gatehouse.yaml:2:1: the change removes stage unit, which the target branch's plan requires (bring it back; to retire it, land a change that takes it out of the gates first, and remove `unit` after that)"}
		var got []string
		for _, problem := range problems {
			got = append(got, problem.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		if steps := Next(p, Evidence{Stages: map[string]StageState{"lint": Passed}}, noon); len(steps.Start) > 0 {
			t.Errorf("starts %v", steps.Start)
		}
		if state, reasons := RunVerdict(p, Evidence{Stages: map[string]StageState{"lint": Passed, "unit": Passed}}, noon); state != RunRefused {
			t.Errorf("%s: %v", state, reasons)
		}
	})
	t.Run("a removed file", func(t *testing.T) {
		if _, problems := Compose(policy, Default()); len(problems) != 2 {
			t.Errorf("problems %v", problems)
		}
	})
	t.Run("another order", func(t *testing.T) {
		p, problems := Compose(policy, mustParse(t, "version: 1\nstages: {unit: {run: u}, lint: {run: l, after: [unit]}}\n"))
		if got := p.StageOrder(); len(problems) > 0 || !slices.Equal(got, []string{"lint", "unit"}) {
			t.Errorf("order %v, problems %v", got, problems)
		}
	})
	t.Run("a stage with a gate's name", func(t *testing.T) {
		own := mustParse(t, "version: 1\nstages: {lint: {run: l}, g: {run: g}, unit: {run: u, after: [g]}}\n")
		p, problems := Compose(policy, own)
		if len(problems) != 1 || len(p.StageOrder()) != 2 {
			t.Errorf("problems %v, order %v", problems, p.StageOrder())
		}
	})
	t.Run("results dropped", func(t *testing.T) {
		p, _ := Compose(policy, mustParse(t, "version: 1\nstages: {lint: {run: l}, unit: {run: u}}\n"))
		if state, _ := RunVerdict(p, Evidence{Stages: map[string]StageState{"lint": Passed, "unit": Passed}}, noon); state != RunRefused {
			t.Errorf("the run is %s without tests", state)
		}
	})
}

// Whatever the candidate's plan says, landing needs at least what the policy's plan says.
func TestComposeNeverLoosens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy, own := genPlan(t, "policy"), genPlan(t, "own")
		p, problems := Compose(policy, own)
		if len(p.StageOrder()) != len(p.Stages) {
			t.Fatalf("order %v of %d", p.StageOrder(), len(p.Stages))
		}
		if got, want := len(p.Landing()), len(policy.Landing()); got != want {
			t.Fatalf("landing waits for %d gates instead of %d", got, want)
		}
		states := map[string]StageState{}
		for _, s := range p.Stages {
			states[s.Name] = rapid.SampledFrom([]StageState{Passed, Passed, Passed, Skipped, Failed, Running, ""}).Draw(t, s.Name)
		}
		changed := []string{"z"}
		state, _ := RunVerdict(p, Evidence{Stages: states, Changed: changed}, noon)
		removed := false
		for name := range policy.Required() {
			s, _ := policy.Stage(name)
			_, kept := own.Stage(name)
			removed = removed || !kept
			ok := kept && passed(policy, states, name) && (states[name] != Skipped || !s.Matches(changed))
			if state == RunPassed && !ok {
				t.Fatalf("passed with %s %q", name, states[name])
			}
			if mine, ok := p.Stage(name); !ok || mine.Timeout > s.Timeout || mine.Network && !s.Network {
				t.Fatalf("%+v is more than the policy gives", mine)
			}
		}
		sameReading(t, p, policy)
		if removed != (len(problems) > 0) {
			t.Fatalf("removed %t, problems %v", removed, problems)
		}
	})
}

// passed reports whether a stage passed, was skipped, or did not pass in its quarantine.
func passed(p *Plan, states map[string]StageState, name string) bool {
	s, _ := p.Stage(name)
	forgiven := s.Quarantine != nil && s.Quarantine.Until.Day() == noon.Day()
	return states[name] == Passed || states[name] == Skipped || forgiven && (states[name] == Failed || states[name] == TimedOut)
}

// sameReading asserts that a composed plan tells changes apart, and says what the policy's
// stages read and how they land, as the policy does.
func sameReading(t *rapid.T, p, policy *Plan) {
	for _, changed := range [][]string{nil, {"a/x"}, {"b/x", "c/y"}, {"go.mod"}, {"z"}} {
		got, barrier := p.Lanes(changed)
		want, wall := policy.Lanes(changed)
		if barrier != wall || !slices.Equal(got, want) {
			t.Fatalf("%v touches %v %t instead of %v %t", changed, got, barrier, want, wall)
		}
		for _, s := range p.Stages {
			if _, known := policy.Stage(s.Name); !known && s.Inputs == nil && s.Quarantine == nil {
				continue
			}
			set, whole := p.Inputs(s.Name, changed)
			ruled, all := policy.Inputs(s.Name, changed)
			if diff := cmp.Diff(ruled, set); diff != "" || whole != all {
				t.Fatalf("%s for %v reads %v %t instead of %v %t", s.Name, changed, set, whole, ruled, all)
			}
		}
	}
	if diff := cmp.Diff(policy.Land, p.Land, cmpopts.IgnoreUnexported(Freeze{})); diff != "" {
		t.Fatalf("landing (-policy +composed):\n%s", diff)
	}
}
