package queue

import (
	"cmp"
	"slices"
	"time"
)

// look is one step's view of the state: the entries in their order, with indexes. Entries
// are named by their position in the order.
type look struct {
	*State
	now     time.Time
	actions []Action

	order    []*Entry
	raised   map[int64]int // priorities of parents whose children have higher ones
	at       map[int64]int // position by change
	stories  map[string]*past
	branches map[string]*Branch
	running  int
	lanes    bool       // not everybody is in everybody's way
	st       []standing // of the candidates, as forget left them
	beliefs  []belief   // of the entries, once eject has weighed them
}

type laneKey struct{ branch, target string }

// patience is how much of the time that its run takes a change waits for shorter ones.
const patience = 0.5

// due is the place of an entry in the order: by the time of entry, where a change that takes
// long lets those pass that enter a little later and are done sooner.
func (v *look) due(e *Entry) time.Time {
	if v.lanes {
		return e.EnqueuedAt.Add(time.Duration(lanePatience * float64(e.Takes)))
	}
	return due(e.EnqueuedAt, e.Takes)
}

func view(s *State, now time.Time) *look {
	v := &look{State: s, now: now}
	v.index()
	return v
}

// index sorts the entries, each after its parents.
func (v *look) index() {
	v.branches = map[string]*Branch{}
	for i := range v.Branches {
		v.branches[v.Branches[i].Name] = &v.Branches[i]
	}
	v.stories = map[string]*past{}
	for _, b := range v.Branches {
		v.stories[b.Name] = newPast(len(v.Landed) / len(v.Branches))
	}
	for _, l := range v.Landed {
		if s := v.stories[l.Branch]; s != nil {
			s.add(l)
		}
	}
	v.order = make([]*Entry, 0, len(v.Entries))
	for i := range v.Entries {
		if v.branches[v.Entries[i].Branch] != nil {
			v.order = append(v.order, &v.Entries[i])
		}
	}
	v.lanes = slices.ContainsFunc(v.order, func(e *Entry) bool { return !e.Barrier })
	v.raise()
	slices.SortFunc(v.order, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(v.priorityOf(b), v.priorityOf(a)), v.due(a).Compare(v.due(b)), cmp.Compare(a.Change, b.Change))
	})
	v.parentsFirst()
	v.at = make(map[int64]int, len(v.order))
	for i, e := range v.order {
		v.at[e.Change] = i
	}
	v.running = 0
	for i := range v.Candidates {
		if v.Candidates[i].Run.State == RunRunning {
			v.running++
		}
	}
}

// raise gives parents the priority of their children: nobody can land before them.
func (v *look) raise() {
	v.raised = map[int64]int{}
	if !slices.ContainsFunc(v.order, func(e *Entry) bool { return len(e.Parents) > 0 }) {
		return
	}
	entries := map[int64]*Entry{}
	for _, e := range v.order {
		entries[e.Change] = e
	}
	var lift func(e *Entry, to int)
	lift = func(e *Entry, to int) {
		for _, c := range e.Parents {
			if parent := entries[c]; parent != nil && v.priorityOf(parent) < to {
				v.raised[c] = to
				lift(parent, to)
			}
		}
	}
	for _, e := range v.order {
		if len(e.Parents) > 0 {
			lift(e, v.priorityOf(e))
		}
	}
}

func (v *look) priorityOf(e *Entry) int {
	if raised, ok := v.raised[e.Change]; ok {
		return max(raised, e.Priority)
	}
	return e.Priority
}

// parentsFirst moves each entry behind its parents, which changes nothing for most queues.
func (v *look) parentsFirst() {
	if !slices.ContainsFunc(v.order, func(e *Entry) bool { return len(e.Parents) > 0 }) {
		return
	}
	position := make(map[int64]int, len(v.order))
	for i, e := range v.order {
		position[e.Change] = i
	}
	if !slices.ContainsFunc(v.order, func(e *Entry) bool {
		return slices.ContainsFunc(e.Parents, func(p int64) bool { return position[p] > position[e.Change] })
	}) {
		return
	}
	done := make([]int, len(v.order)) // 0 new, 1 under way, 2 placed
	sorted := make([]*Entry, 0, len(v.order))
	var place func(i int)
	place = func(i int) {
		if done[i] != 0 {
			return
		}
		done[i] = 1
		for _, p := range v.order[i].Parents {
			if j, ok := position[p]; ok {
				place(j)
			}
		}
		done[i] = 2
		sorted = append(sorted, v.order[i])
	}
	for i := range v.order {
		place(i)
	}
	v.order = sorted
}

// conflict says whether two changes may affect each other.
func conflict(aBranch string, aTargets []string, aBarrier bool, b *Entry) bool {
	if aBranch != b.Branch {
		return false
	}
	if aBarrier || b.Barrier {
		return true
	}
	for _, t := range aTargets {
		if slices.Contains(b.Targets, t) {
			return true
		}
	}
	return false
}

func (v *look) conflicts(i, j int) bool {
	a := v.order[i]
	return conflict(a.Branch, a.Targets, a.Barrier, v.order[j]) || slices.Contains(a.Parents, v.order[j].Change) || slices.Contains(v.order[j].Parents, a.Change)
}

// positions are those of the members that are queued.
func (v *look) positions(members []Member) []int {
	if len(members) == 0 {
		return nil
	}
	found := make([]int, 0, len(members))
	for _, m := range members {
		if i, queued := v.at[m.Change]; queued {
			found = append(found, i)
		}
	}
	return found
}
