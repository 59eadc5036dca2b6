package queue

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
)

// compare is the order of the queue.
func compare(a, b Entry) int {
	return cmp.Or(a.EnqueuedAt.Compare(b.EnqueuedAt), cmp.Compare(a.Change, b.Change))
}

func (s *State) sorted() []Entry {
	all := slices.Clone(s.Entries)
	slices.SortFunc(all, compare)
	return all
}

// ready is a heap of entries in the order of the queue.
type ready []Entry

func (r ready) Len() int           { return len(r) }
func (r ready) Less(i, j int) bool { return compare(r[i], r[j]) < 0 }
func (r ready) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ready) Push(x any)        { *r = append(*r, x.(Entry)) }
func (r *ready) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// Turns is the order in which the entries land if all of them pass: time of entry, then
// change number, each after its parents. stuck are those that wait for a parent outside of
// the queue, or for one that is stuck itself.
func (s State) Turns() (turns, stuck []Entry) {
	waiting := map[int64]int{}
	children := map[int64][]Entry{}
	var next ready
	for _, e := range s.sorted() {
		waiting[e.Change] = len(e.Parents)
		for _, p := range e.Parents {
			children[p] = append(children[p], e)
		}
		if len(e.Parents) == 0 {
			heap.Push(&next, e)
		}
	}
	placed := map[int64]bool{}
	for next.Len() > 0 {
		e := heap.Pop(&next).(Entry)
		turns = append(turns, e)
		placed[e.Change] = true
		for _, child := range children[e.Change] {
			if waiting[child.Change]--; waiting[child.Change] == 0 {
				heap.Push(&next, child)
			}
		}
	}
	for _, e := range s.sorted() {
		if !placed[e.Change] {
			stuck = append(stuck, e)
		}
	}
	return turns, stuck
}

// Position is how many changes land before this one, and in words what it waits for. A change
// that is not in the queue has -1 ahead.
func Position(s State, change int64) (ahead int, why string) {
	turns, stuck := s.Turns()
	is := func(e Entry) bool { return e.Change == change }
	if i := slices.IndexFunc(turns, is); i >= 0 {
		return i, s.why(turns, i)
	}
	i := slices.IndexFunc(stuck, is)
	if i < 0 {
		return -1, "it is not in the queue"
	}
	for _, p := range stuck[i].Parents {
		if !slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.Change == p }) {
			return len(turns) + i, fmt.Sprintf("it waits for change %d, which is not in the queue", p)
		}
	}
	return len(turns) + i, fmt.Sprintf("it waits for change %d", stuck[i].Parents[0])
}

// why says what the entry at a turn waits for.
func (s State) why(turns []Entry, i int) string {
	e := turns[i]
	switch {
	case s.Landing != nil && s.Landing.Change == e.Change:
		return "it is landing"
	case len(e.Parents) > 0:
		return fmt.Sprintf("it waits for change %d", e.Parents[0])
	case i == 1:
		return fmt.Sprintf("change %d is ahead of it", turns[0].Change)
	case i > 1:
		return fmt.Sprintf("%d changes are ahead of it", i)
	}
	k := s.candidate(e)
	switch {
	case k != nil && k.Conflict != "":
		return leaving
	case k == nil || k.Commit == "":
		return "its candidate is being made"
	}
	switch k.Run.State {
	case RunNone:
		return "its run is about to start"
	case RunRunning:
		return "its candidate is being tested"
	case RunPassed:
		return "it has passed and is about to land"
	case RunErrored:
		return "its run is about to be tried again"
	default:
		return leaving
	}
}

// leaving is said of an entry that the next step ejects.
const leaving = "it is about to leave the queue"
