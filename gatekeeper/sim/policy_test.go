package sim

import (
	"math"
	"slices"
	"testing"
)

// tiny is a trace of changes in one lane, unless they name modules.
func tiny(changes ...Change) *Trace {
	for i := range changes {
		if changes[i].Modules == nil {
			changes[i].Modules = []int{1}
		}
	}
	return &Trace{Name: "tiny", Hours: 1, Analyzer: true, Changes: changes}
}

func good(at, minutes float64, modules ...int) Change {
	return Change{Arrival: at, Minutes: minutes, OK: 1, Modules: modules}
}

func bad(at, minutes float64, modules ...int) Change {
	return Change{Arrival: at, Minutes: minutes, Modules: modules}
}

// play plays a policy and holds it to when each change was decided and how; want is minus the time of a
// rejection.
func play(t *testing.T, name string, trace *Trace, workers int, want []float64, builds int, spent float64) *World {
	t.Helper()
	w := NewWorld(trace, workers)
	w.Play(policies[name](trace, workers), 1e6)
	var got []float64
	for i := range trace.Changes {
		at := w.decided[i]
		if w.state[i] == Rejected {
			at = -at
		}
		got = append(got, at)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: decided at %v, want %v", name, got, want)
	}
	if w.started != builds || math.Abs(w.spent-spent) > 1e-9 {
		t.Errorf("%s: %d builds and %v minutes, want %d and %v", name, w.started, w.spent, builds, spent)
	}
	for _, b := range w.builds {
		if !b.done {
			t.Errorf("%s: build %d of %v on %v was left running", name, b.ID, b.Members, b.On)
		}
	}
	return w
}

// A good one, a bad one and a good one in a lane, and one in another lane. Without speculation each
// waits for those before it: 10, then 5, then 7. An optimist builds all at once; the bad one's failure
// is found at 5 and the third starts again on the first alone, to 12.
func TestBadOneInTheMiddle(t *testing.T) {
	trace := func() *Trace { return tiny(good(0, 10), bad(0, 5), good(0, 7), good(0, 3, 2)) }
	play(t, "oracle", trace(), 4, []float64{10, -5, 10, 3}, 4, 25)
	play(t, "serial", trace(), 4, []float64{10, -15, 22, 3}, 4, 25)
	play(t, "optimistic", trace(), 4, []float64{10, -10, 12, 3}, 5, 30)
	// Zuul has one queue: the other lane waits as well, and starts again as well. It lands at 10 with
	// what was built from 5 to 8.
	play(t, "zuul", trace(), 4, []float64{10, -10, 12, 12}, 6, 33)
	play(t, "batch", trace(), 4, []float64{10, -10, 12, 3}, 5, 30)
}

// With one worker nobody speculates in vain, and two that wait together are one batch.
func TestOneWorker(t *testing.T) {
	trace := func() *Trace { return tiny(good(0, 10), good(1, 4), good(2, 6)) }
	for _, name := range []string{"oracle", "serial", "optimistic", "zuul", "submitqueue"} {
		play(t, name, trace(), 1, []float64{10, 14, 20}, 3, 20)
	}
	play(t, "batch", trace(), 1, []float64{10, 16, 16}, 2, 16)
}

// A change that failed only because it stood on a bad one is built again and lands.
func TestFailedOnABadOne(t *testing.T) {
	trace := func() *Trace { return tiny(bad(0, 10), good(0, 4)) }
	play(t, "serial", trace(), 2, []float64{-10, 14}, 2, 14)
	play(t, "optimistic", trace(), 2, []float64{-10, 14}, 3, 18)
	play(t, "zuul", trace(), 2, []float64{-10, 14}, 3, 18)
	play(t, "batch", trace(), 2, []float64{-10, 14}, 3, 18)
	// Both branches at once: with two workers the second build begins when the first of the two ends.
	play(t, "specall", trace(), 2, []float64{-10, 10}, 3, 18)
	play(t, "specall", trace(), 3, []float64{-10, 10}, 3, 18)
}

// Two good ones that break each other: the later one goes, also when it passed without the earlier.
func TestConflict(t *testing.T) {
	trace := func() *Trace {
		tr := tiny(good(0, 10), good(0, 4))
		tr.Changes[1].Conflicts = []int{0}
		return tr
	}
	play(t, "oracle", trace(), 3, []float64{10, -4}, 2, 14)
	play(t, "serial", trace(), 3, []float64{10, -14}, 2, 14)
	play(t, "optimistic", trace(), 3, []float64{10, -10}, 2, 14)
	play(t, "zuul", trace(), 3, []float64{10, -10}, 2, 14)
	play(t, "batch", trace(), 3, []float64{10, -10}, 2, 14)
	for _, name := range []string{"specall", "submitqueue"} {
		w := play(t, name, trace(), 3, []float64{10, -10}, 3, 18)
		if r := w.Measure(name); r.FalseRejections != 0 {
			t.Errorf("%s: a conflict counts as a false rejection: %+v", name, r)
		}
	}
}

// Peers do not try again: one flake sends a good change away, and that is counted.
func TestFlake(t *testing.T) {
	for _, name := range []string{"serial", "optimistic", "zuul", "batch", "specall", "submitqueue"} {
		trace := tiny(good(0, 10))
		trace.Changes[0].Flakes = []int{0}
		w := play(t, name, trace, 1, []float64{-10}, 1, 10)
		if r := w.Measure(name); r.FalseRejections != 1 || r.Landed != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	trace := tiny(good(0, 10))
	trace.Changes[0].Flakes = []int{0}
	play(t, "oracle", trace, 1, []float64{10}, 1, 10)
}

// The window begins at 20 and grows with each that lands; every failure halves it.
func TestZuulWindow(t *testing.T) {
	var changes []Change
	for range 24 {
		changes = append(changes, good(0, 10))
	}
	at := func(first, second int) []float64 {
		return slices.Concat(slices.Repeat([]float64{10}, first), slices.Repeat([]float64{20}, second))
	}
	play(t, "zuul", tiny(changes...), 100, at(20, 4), 24, 240)
	play(t, "optimistic", tiny(changes...), 100, at(24, 0), 24, 240)

	// Ten bad ones at the head, ten good ones behind them: one bad one goes every ten minutes, and those
	// behind it start again, as far as the window reaches: 20, 10, 5, and then 3. At 100 the last of them
	// goes; the good ones follow as three, six (the window has grown with each) and one.
	changes = slices.Repeat([]Change{bad(0, 10)}, 10)
	changes = append(changes, slices.Repeat([]Change{good(0, 10)}, 10)...)
	want := []float64{-10, -20, -30, -40, -50, -60, -70, -80, -90, -100, 110, 110, 110, 120, 120, 120, 120, 120, 120, 130}
	play(t, "zuul", tiny(changes...), 100, want, 20+10+5+8*3+6+1, 660)
}

// When the batch of all that waited fails, its members are tried one by one.
func TestBatchIsTakenApart(t *testing.T) {
	// 0 runs alone from 0 to 10, while 1, 2 and 3 gather. Their batch runs to 16 and fails; then 1 to 20,
	// 2 to 25 and 3 to 31.
	trace := tiny(good(0, 10), good(1, 4), bad(1, 5), good(1, 6))
	play(t, "batch", trace, 1, []float64{10, 20, -25, 31}, 5, 31)

	// A batch costs what the trace says: half as much again for a second member.
	trace = tiny(good(0, 10), good(1, 4), good(1, 6))
	trace.BatchBeta = .5
	play(t, "batch", trace, 1, []float64{10, 19, 19}, 2, 19)

	// Changes that share nothing are no batch.
	trace = tiny(good(0, 10), good(1, 4, 2), good(1, 6, 3))
	play(t, "batch", trace, 1, []float64{10, 14, 20}, 3, 20)
}

// SubmitQueue knows the risky author: it builds the next change without theirs first.
func TestSubmitQueueDoubtsTheRiskyAuthor(t *testing.T) {
	trace := tiny(bad(0, 10), good(0, 4))
	trace.Changes[0].Author = 7
	for range 40 {
		trace.History = append(trace.History, Change{Author: 7, Minutes: 1, Modules: []int{1}}, Change{Author: 0, OK: 1, Minutes: 1, Modules: []int{1}})
	}
	w := NewWorld(trace, 2)
	w.Play(NewSubmitQueue(trace, 2), 1e6)
	if w.decided[1] != 10 || w.state[1] != Landed {
		t.Errorf("the good one: %v at %v, want landed at 10", w.state[1], w.decided[1])
	}
	if first := w.builds[1]; len(first.On) != 0 {
		t.Errorf("the first build of the good one stands on %v, want nothing", first.On)
	}
}
