package sim

import "slices"

// reach says how far a policy can see that changes do not touch each other.
type reach bool

const (
	lanes   reach = true  // only changes that share a module stand in each other's way
	oneLane reach = false // everybody stands in everybody's way
)

// line holds the undecided changes of a policy in their order, and who among them waits for whom.
type line struct {
	trace   *Trace
	reach   reach
	waiting []int
	before  [][]int // by change: the undecided ones before it that it may conflict with, in order
	after   [][]int // by change: those it is before
}

func newLine(t *Trace, r reach) line {
	n := len(t.Changes)
	return line{trace: t, reach: r, before: make([][]int, n), after: make([][]int, n)}
}

// arrive puts a change at the end.
func (l *line) arrive(i int) {
	for _, j := range l.waiting {
		if l.reach == oneLane || l.trace.Share(i, j) {
			l.before[i] = append(l.before[i], j)
			l.after[j] = append(l.after[j], i)
		}
	}
	l.waiting = append(l.waiting, i)
}

// land lands the members of a build that has passed.
func (l *line) land(w *World, members []int, proof *Build) {
	w.Land(members, proof)
	for _, i := range members {
		l.leave(i)
	}
}

// reject sends a change away.
func (l *line) reject(w *World, i int) {
	w.Reject(i)
	l.leave(i)
}

func (l *line) leave(i int) {
	at, _ := slices.BinarySearch(l.waiting, i)
	l.waiting = slices.Delete(l.waiting, at, at+1)
	for _, k := range l.after[i] {
		at, _ := slices.BinarySearch(l.before[k], i)
		l.before[k] = slices.Delete(l.before[k], at, at+1)
	}
	for _, j := range l.before[i] {
		at, _ := slices.BinarySearch(l.after[j], i)
		l.after[j] = slices.Delete(l.after[j], at, at+1)
	}
	l.before[i] = nil
}

// pass calls f for the waiting changes in order until it says no. f may decide the change
// that it is called for.
func (l *line) pass(f func(i int) bool) {
	for at := 0; at < len(l.waiting); {
		i := l.waiting[at]
		if !f(i) {
			return
		}
		if at < len(l.waiting) && l.waiting[at] == i {
			at++
		}
	}
}
