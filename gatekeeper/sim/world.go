package sim

import (
	"container/heap"
	"fmt"
	"slices"
)

// World is what a policy acts on: it keeps the clock, runs builds, and holds every policy to
// the same rules. It panics when one is broken: that is a mistake in the policy.
type World struct {
	Trace   *Trace
	Workers int
	Now     float64 // minutes

	builds   []*Build
	running  int
	events   eventHeap
	landed   []int // in their order
	seat     []int // position in landed + 1, 0 when not landed
	state    []Fate
	decided  []float64
	rival    [][]int // who really conflicts with whom, both ways
	runs     []int   // builds started by last member
	spent    float64
	started  int
	noFlakes bool // the oracle's builds do not flake
}

// Fate is what became of a change.
type Fate int

// What becomes of a change.
const (
	Waiting Fate = iota
	Landed
	Rejected
)

// Build is one verification of the members on what they stand on.
type Build struct {
	ID      int
	On      []int
	Members []int
	Start   float64
	End     float64
	since   int // len(landed) at its start
	pass    bool
	done    bool
}

// Policy is a merge queue.
type Policy interface {
	// Arrive says that a change arrived.
	Arrive(w *World, change int)
	// Ended says that a build ended, and how.
	Ended(w *World, b *Build, passed bool)
}

type event struct {
	at    float64
	order int // arrivals in order, then builds in order
	build *Build
	id    int
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// NewWorld is the world of a trace before the first change arrives.
func NewWorld(t *Trace, workers int) *World {
	n := len(t.Changes)
	w := &World{Trace: t, Workers: workers, seat: make([]int, n), state: make([]Fate, n), decided: make([]float64, n),
		rival: make([][]int, n), runs: make([]int, n)}
	for i, c := range t.Changes {
		for _, j := range c.Conflicts {
			w.rival[i] = append(w.rival[i], j)
			w.rival[j] = append(w.rival[j], i)
		}
		w.events = append(w.events, event{at: c.Arrival, order: i, id: i})
	}
	heap.Init(&w.events)
	return w
}

// Play runs the policy until nothing is left to happen, or until the limit in minutes, when what
// still runs is stopped.
func (w *World) Play(p Policy, limit float64) {
	for len(w.events) > 0 && w.events[0].at <= limit {
		e := heap.Pop(&w.events).(event)
		if e.build == nil {
			w.Now = e.at
			p.Arrive(w, e.id)
			continue
		}
		if e.build.done { // cancelled
			continue
		}
		w.Now = e.at
		w.finish(e.build)
		p.Ended(w, e.build, e.build.pass)
	}
	if len(w.events) == 0 {
		return
	}
	w.Now = limit
	for _, b := range w.builds {
		w.Cancel(b)
	}
}

// Minutes is how long a build of the members takes.
func (t *Trace) Minutes(members []int) float64 {
	longest, sum := 0.0, 0.0
	for _, i := range members {
		longest, sum = max(longest, t.Changes[i].Minutes), sum+t.Changes[i].Minutes
	}
	return min(longest*(1+t.BatchBeta*float64(len(members)-1)), sum)
}

// Free is how many workers have nothing to do.
func (w *World) Free() int { return w.Workers - w.running }

// Start builds the members on what they stand on and the branch as landed so far. A build of
// no members is one of the branch alone, and takes as long as given.
func (w *World) Start(on, members []int, minutes float64) *Build {
	if w.Free() <= 0 {
		panic("sim: a build without a worker")
	}
	if len(members) > 0 {
		minutes = w.Trace.Minutes(members)
	}
	b := &Build{ID: len(w.builds) + 1, On: on, Members: members, Start: w.Now, End: w.Now + minutes, since: len(w.landed)}
	b.pass = w.passes(b)
	w.builds = append(w.builds, b)
	w.running++
	w.started++
	heap.Push(&w.events, event{at: b.End, order: len(w.Trace.Changes) + b.ID, build: b})
	return b
}

func (w *World) passes(b *Build) bool {
	ok := true
	in := map[int]bool{}
	for _, i := range slices.Concat(b.On, b.Members) {
		in[i] = true
	}
	for i := range in {
		ok = ok && w.Trace.Changes[i].OK == 1
		for _, j := range w.rival[i] {
			ok = ok && !in[j] && (w.state[j] != Landed || w.state[i] == Landed)
		}
	}
	if n := len(b.Members); n > 0 {
		last := b.Members[n-1]
		if !w.noFlakes && slices.Contains(w.Trace.Changes[last].Flakes, w.runs[last]) {
			ok = false
		}
		w.runs[last]++
	}
	return ok
}

// Cancel stops a build; the minutes that it took are spent.
func (w *World) Cancel(b *Build) {
	if !b.done {
		w.finish(b)
	}
}

func (w *World) finish(b *Build) {
	b.done = true
	w.running--
	w.spent += w.Now - b.Start
}

// Share says whether two changes may conflict as far as a policy can see.
func (t *Trace) Share(i, j int) bool {
	if !t.Analyzer {
		return true
	}
	for _, m := range t.Changes[i].Modules {
		if slices.Contains(t.Changes[j].Modules, m) {
			return true
		}
	}
	return false
}

// Good says whether what has landed since the build began is exactly what it stands on, as
// far as it may conflict with the members.
func (w *World) Good(b *Build) bool {
	for _, a := range b.On {
		if w.state[a] == Rejected {
			return false
		}
	}
	for _, l := range w.landed[b.since:] {
		if slices.Contains(b.On, l) || slices.Contains(b.Members, l) {
			continue
		}
		for _, m := range b.Members {
			if w.Trace.Share(l, m) {
				return false
			}
		}
	}
	return true
}

// Land lands the members of builds, in their order, or panics if they may not.
func (w *World) Land(members []int, proof *Build) {
	if !proof.done || !proof.pass || w.Now < proof.End {
		panic("sim: landing on a build that has not passed")
	}
	if !w.Good(proof) {
		panic(fmt.Sprintf("sim: build %d of %v on %v is not what would land", proof.ID, proof.Members, proof.On))
	}
	for _, a := range proof.On {
		if w.state[a] != Landed {
			panic(fmt.Sprintf("sim: %v land before %d, which they stand on", members, a))
		}
	}
	for _, i := range members {
		if w.state[i] != Waiting || !slices.Contains(proof.Members, i) {
			panic(fmt.Sprintf("sim: %d may not land", i))
		}
	}
	for _, m := range proof.Members { // all of them land, or have
		if w.state[m] != Landed && !slices.Contains(members, m) {
			panic(fmt.Sprintf("sim: %d is left out of its build", m))
		}
	}
	for _, i := range members {
		w.landed = append(w.landed, i)
		w.seat[i] = len(w.landed)
		w.state[i], w.decided[i] = Landed, w.Now
	}
}

// Reject sends a change away.
func (w *World) Reject(i int) {
	if w.state[i] != Waiting {
		panic(fmt.Sprintf("sim: %d is rejected twice", i))
	}
	w.state[i], w.decided[i] = Rejected, w.Now
}

// State is what became of a change so far.
func (w *World) State(i int) Fate { return w.state[i] }
