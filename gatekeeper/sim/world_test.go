package sim

import (
	"slices"
	"strings"
	"testing"
)

// Two changes that share a module: the second lands on the first, not before it.
func TestOracleLandsInOrder(t *testing.T) {
	w := NewWorld(&Trace{Name: "two", Hours: 1, Analyzer: true, Changes: []Change{
		{Arrival: 0, Minutes: 10, OK: 1, Modules: []int{1}},
		{Arrival: 1, Minutes: 2, OK: 1, Modules: []int{1}},
		{Arrival: 2, Minutes: 3, OK: 1, Modules: []int{2}},
		{Arrival: 3, Minutes: 3, OK: 0, Modules: []int{2}},
	}}, 4)
	w.Play(NewOracle(w.Trace, 4), 1e9)
	r := w.Measure("oracle")
	if r.Landed != 3 || r.Rejected != 1 || r.FalseRejections != 0 || r.P50 != 9 || r.WorkerMinutes != 18 {
		t.Errorf("%+v", r)
	}
}

// rogue does at every arrival and at every end what a test says.
type rogue struct {
	arrive func(w *World, change int)
	ended  func(w *World, b *Build)
}

func (r rogue) Arrive(w *World, change int) {
	if r.arrive != nil {
		r.arrive(w, change)
	}
}

func (r rogue) Ended(w *World, b *Build, _ bool) {
	if r.ended != nil {
		r.ended(w, b)
	}
}

// Every rule that a policy can break is a panic that names it.
func TestWorldHoldsPoliciesToTheRules(t *testing.T) {
	alone := func(w *World, i int) { w.Start(nil, []int{i}, 0) }
	land := func(w *World, b *Build) { w.Land(b.Members, b) }
	together := func(w *World, i int) {
		if i == 1 {
			w.Start(nil, []int{0, 1}, 0)
		}
	}
	two := func() *Trace { return tiny(good(0, 10), good(0, 4)) }
	for _, c := range []struct {
		rule  string
		trace *Trace
		rogue rogue
	}{
		{"a build without a worker", tiny(good(0, 1), good(0, 1), good(0, 1)), rogue{arrive: alone}},
		{"has not passed", tiny(bad(0, 1)), rogue{arrive: alone, ended: land}},
		{"has not passed", two(), rogue{arrive: func(w *World, i int) { land(w, w.Start(nil, []int{i}, 0)) }}},
		// The second passed without the first, which has landed since.
		{"is not what would land", tiny(good(0, 4), good(0, 10)), rogue{arrive: alone, ended: land}},
		// It stands on one that was sent away.
		{"is not what would land", two(), rogue{arrive: func(w *World, i int) {
			if i == 1 {
				w.Start([]int{0}, []int{1}, 0)
				w.Reject(0)
			}
		}, ended: land}},
		{"which they stand on", two(), rogue{arrive: func(w *World, i int) {
			if i == 1 {
				w.Start([]int{0}, []int{1}, 0)
			}
		}, ended: land}},
		{"may not land", tiny(good(0, 1)), rogue{arrive: alone, ended: func(w *World, b *Build) { land(w, b); land(w, b) }}},
		{"may not land", two(), rogue{arrive: func(w *World, i int) {
			if i == 0 {
				alone(w, i)
			}
		}, ended: func(w *World, b *Build) { w.Land([]int{0, 1}, b) }}},
		{"left out of its build", two(), rogue{arrive: together, ended: func(w *World, b *Build) { w.Land([]int{0}, b) }}},
		{"rejected twice", tiny(good(0, 1)), rogue{arrive: func(w *World, i int) { w.Reject(i); w.Reject(i) }}},
		{"rejected twice", tiny(good(0, 1)), rogue{arrive: alone, ended: func(w *World, b *Build) { land(w, b); w.Reject(0) }}},
	} {
		func() {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, c.rule) {
					t.Errorf("want a panic about %q, got %q", c.rule, said)
				}
			}()
			NewWorld(c.trace, 2).Play(c.rogue, 1e6)
		}()
	}
}

// What a build finds: failures of its members and of those they stand on, conflicts inside and with what
// has landed, and flakes by the run of its last member.
func TestWorldPasses(t *testing.T) {
	trace := tiny(good(0, 1), good(0, 1), bad(0, 1), good(0, 1))
	trace.Changes[1].Conflicts = []int{0}
	trace.Changes[3].Flakes = []int{1}
	w := NewWorld(trace, 100)
	for _, c := range []struct {
		on, members []int
		want        bool
	}{
		{nil, []int{0}, true},
		{nil, []int{1}, true},
		{nil, []int{2}, false},
		{[]int{2}, []int{0}, false},
		{[]int{0}, []int{1}, false},
		{nil, []int{0, 1}, false},
		{nil, []int{0, 3}, true},  // run 0 of 3
		{nil, []int{0, 3}, false}, // run 1: a flake
		{nil, []int{3, 0}, true},  // the run is of the last member
		{nil, []int{3}, true},
		{nil, nil, true},
	} {
		if b := w.Start(c.on, c.members, 5); b.pass != c.want {
			t.Errorf("%v on %v: passes %v, want %v", c.members, c.on, b.pass, c.want)
		}
	}
	w = NewWorld(trace, 100)
	w.Play(rogue{arrive: func(w *World, i int) {
		if i == 0 {
			w.Start(nil, []int{0}, 0)
		}
	}, ended: func(w *World, b *Build) { w.Land(b.Members, b) }}, 1e6)
	if w.Start(nil, []int{1}, 0).pass {
		t.Error("a change passes although it conflicts with one that has landed")
	}
	if !w.Start([]int{0}, []int{3}, 0).pass {
		t.Error("a change does not pass on one that has landed")
	}
}

// Changes that share no module do not invalidate each other's builds; in one lane all do.
func TestWorldGood(t *testing.T) {
	for _, analyzer := range []bool{true, false} {
		trace := tiny(good(0, 1, 1), good(0, 2, 2))
		trace.Analyzer = analyzer
		w := NewWorld(trace, 2)
		var still bool
		w.Play(rogue{arrive: func(w *World, i int) { w.Start(nil, []int{i}, 0) }, ended: func(w *World, b *Build) {
			if b.Members[0] == 0 {
				w.Land(b.Members, b)
			} else {
				still = w.Good(b)
			}
		}}, 1e6)
		if still != analyzer {
			t.Errorf("analyzer %v: the other build is good: %v", analyzer, still)
		}
	}
}

// A batch takes longer with each member, but never longer than one after the other.
func TestMinutes(t *testing.T) {
	trace := tiny(good(0, 10), good(0, 4), good(0, 1))
	for _, c := range []struct {
		beta float64
		want float64
	}{{0, 10}, {.1, 12}, {.5, 15}} {
		trace.BatchBeta = c.beta
		if got := trace.Minutes([]int{0, 1, 2}); got != c.want {
			t.Errorf("beta %v: %v minutes, want %v", c.beta, got, c.want)
		}
	}
}

// At its limit a run is stopped, and the undecided count as decided then.
func TestUnfinished(t *testing.T) {
	trace := tiny(good(0, 10), good(0, 100))
	w := NewWorld(trace, 1)
	w.Play(NewSerial(trace, 1), 50)
	r := w.Measure("serial")
	if !r.Unfinished || r.Undecided != 1 || r.Landed != 1 || r.P99 != 50 || r.WorkerMinutes != 50 {
		t.Errorf("%+v", r)
	}
}

// A rejection is false unless the change fails alone or conflicts with one that landed before.
func TestFalseRejections(t *testing.T) {
	trace := tiny(good(0, 1), good(0, 1), good(0, 1), bad(0, 1))
	trace.Changes[1].Conflicts = []int{0}
	w := NewWorld(trace, 1)
	w.Play(rogue{arrive: func(w *World, i int) {
		if i == 0 {
			w.Start(nil, []int{0}, 0)
		}
	}, ended: func(w *World, b *Build) {
		w.Land(b.Members, b)
		for i := 1; i < 4; i++ {
			w.Reject(i)
		}
	}}, 1e6)
	if r := w.Measure("rogue"); r.FalseRejections != 1 || r.Rejected != 3 {
		t.Errorf("%+v", r)
	}
}

// What cannot be played is refused, with the place.
func TestTraceCheck(t *testing.T) {
	for want, changes := range map[string][]Change{
		"takes 0 minutes":          {{}},
		"arrives before":           {good(2, 1), good(1, 1)},
		"which is no earlier":      {{Minutes: 1, Conflicts: []int{0}}},
		"conflicts with -1, which": {{Minutes: 1, Conflicts: []int{-1}}},
	} {
		if err := tiny(changes...).check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Every policy decides everybody on drawn workloads, without breaking a rule, and the same way twice.
func TestPoliciesOnDrawnWorkloads(t *testing.T) {
	for _, kind := range []string{"s20w16", "s10w4fl", "beta5"} {
		trace, err := Generate(kind, 5)
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := Run(trace, "oracle", 0, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.DeleteFunc(Policies(), func(name string) bool { return name == "ours" }) {
			first, err := Run(trace, name, 0, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if again, _ := Run(trace, name, 0, Options{}); again != first {
				t.Errorf("%s on %s: %+v, then %+v", name, kind, first, again)
			}
			if first.Landed+first.Rejected+first.Undecided != len(trace.Changes) || first.Undecided > 0 && !first.Unfinished {
				t.Errorf("%s on %s: %+v of %d changes", name, kind, first, len(trace.Changes))
			}
			if trace.FlakeP == 0 && first.FalseRejections > 0 {
				t.Errorf("%s on %s: %d good changes were sent away", name, kind, first.FalseRejections)
			}
			if first.LandedPerHour > oracle.LandedPerHour*1.1 {
				t.Errorf("%s on %s lands %v in an hour, the oracle %v", name, kind, first.LandedPerHour, oracle.LandedPerHour)
			}
		}
	}
}

func TestRunRefuses(t *testing.T) {
	if _, err := Run(tiny(good(0, 1)), "best", 1, Options{}); err == nil || !strings.Contains(err.Error(), "choose one of batch") {
		t.Errorf("an unknown policy: %v", err)
	}
	if _, err := Run(tiny(good(0, 1)), "serial", 0, Options{}); err == nil || !strings.Contains(err.Error(), "names no number of workers") {
		t.Errorf("no workers: %v", err)
	}
}
