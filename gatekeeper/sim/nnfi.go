package sim

import "slices"

// nnfi is the heart of queues that build every change once on the assumption that those before
// it land, and again when that turns out wrong: each change stands on the nearest ones before it
// that do not fail. A change that fails stays until those before it are decided, because it
// may have failed on one of them; it is sent away when it failed on exactly what landed.
type nnfi struct {
	line
	build   []*Build
	failing []bool
	stale   []bool // whether what a change stands on must be looked at again
	// window is how many from the head of the line may be built; decided tells of every decision.
	window  func() int
	decided func(landed bool)
}

func newNNFI(t *Trace, r reach) nnfi {
	n := len(t.Changes)
	return nnfi{line: newLine(t, r), build: make([]*Build, n), failing: make([]bool, n), stale: make([]bool, n),
		window: func() int { return n }, decided: func(bool) {}}
}

func (q *nnfi) Arrive(w *World, change int) {
	q.arrive(change)
	q.start(w)
}

func (q *nnfi) Ended(w *World, b *Build, passed bool) {
	i := b.Members[0]
	q.stale[i] = true
	q.fails(i, !passed)
	q.settle(w)
	q.start(w)
}

// fails notes whether a change fails, and that those behind it must look again.
func (q *nnfi) fails(i int, failing bool) {
	if q.failing[i] != failing {
		q.failing[i] = failing
		q.alarm(i)
	}
}

func (q *nnfi) alarm(i int) {
	for _, k := range q.after[i] {
		q.stale[k] = true
	}
}

// settle resets who stands on the wrong ones, and decides who has nobody before it.
func (q *nnfi) settle(w *World) {
	q.pass(func(i int) bool {
		if !q.stale[i] {
			return true
		}
		q.stale[i] = false
		b := q.build[i]
		if b == nil {
			return true
		}
		if !q.stands(w, i) {
			w.Cancel(b)
			q.build[i] = nil
			q.fails(i, false)
			return true
		}
		if !b.done || len(q.before[i]) > 0 {
			return true
		}
		q.alarm(i)
		landed := b.pass
		if landed {
			q.land(w, b.Members, b)
		} else {
			q.reject(w, i)
		}
		q.decided(landed)
		return true
	})
}

// stands says whether the build of a change is on what has landed and those before it that
// do not fail.
func (q *nnfi) stands(w *World, i int) bool {
	var on []int
	for _, a := range q.build[i].On {
		switch w.State(a) {
		case Rejected:
			return false
		case Waiting:
			on = append(on, a)
		case Landed:
		}
	}
	return slices.Equal(on, q.healthy(i)) && w.Good(q.build[i])
}

// healthy lists those before a change that do not fail.
func (q *nnfi) healthy(i int) []int {
	var on []int
	for _, j := range q.before[i] {
		if !q.failing[j] {
			on = append(on, j)
		}
	}
	return on
}

// start builds, from the head of the line, who has no build.
func (q *nnfi) start(w *World) {
	at := 0
	q.pass(func(i int) bool {
		if w.Free() == 0 || at == q.window() {
			return false
		}
		at++
		if q.build[i] == nil {
			q.build[i] = w.Start(q.healthy(i), []int{i}, 0)
		}
		return true
	})
}
