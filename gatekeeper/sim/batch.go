package sim

import "slices"

// mostBatched is the size of the largest batch. One that fails is taken apart into single changes
// at once: of batches of four, bisecting further costs more than it finds (BatchStop4: Beheshtian,
// Bavand, Rigby, TSE 2021).
const mostBatched = 4

// batch is the optimistic queue with dynamic batches: what waits while workers are scarcer is built
// together, neighbours of one lane only, on all before it that it may conflict with and that do not
// fail. When a batch fails on exactly what landed, its members go behind those that are built
// already, which have long stopped to count on them.
type batch struct {
	near  []set // by change: those that it may conflict with
	queue []*unit
	open  set // those undecided
}

// unit is what is built, landed and taken apart together.
type unit struct {
	members []int
	own     set // the members
	near    set // those that any of them may conflict with
	on      set // what the build stands on
	build   *Build
	failing bool
	suspect bool // a part of a batch that failed
}

// NewBatch is the optimistic queue with batches and bisection.
func NewBatch(t *Trace, _ int) Policy { return &batch{near: t.sharing(), open: newSet(len(t.Changes))} }

func (q *batch) unit(members []int) *unit {
	u := &unit{members: members, own: newSet(len(q.near)), near: newSet(len(q.near))}
	for _, i := range members {
		u.own.add(i)
		u.near.join(q.near[i])
	}
	return u
}

func (q *batch) Arrive(w *World, change int) {
	q.open.add(change)
	q.queue = append(q.queue, q.unit([]int{change}))
	q.start(w)
}

func (q *batch) Ended(w *World, _ *Build, _ bool) {
	q.settle(w)
	q.start(w)
}

// settle resets who stands on the wrong ones, and decides who has nobody before it.
func (q *batch) settle(w *World) {
	waiting, healthy := newSet(len(q.near)), newSet(len(q.near))
	for at := 0; at < len(q.queue); at++ {
		u := q.queue[at]
		if u.build != nil && !q.stands(w, u, healthy) {
			w.Cancel(u.build)
			u.build, u.failing = nil, false
		}
		if b := u.build; b != nil && b.done {
			u.failing = !b.pass
			if !u.near.meets(waiting) {
				q.queue = slices.Delete(q.queue, at, at+1)
				at--
				switch {
				case b.pass:
					w.Land(u.members, b)
					q.decided(u)
				case len(u.members) == 1:
					w.Reject(u.members[0])
					q.decided(u)
				default:
					q.split(u)
				}
				continue
			}
		}
		waiting.join(u.own)
		if !u.failing {
			healthy.join(u.own)
		}
	}
}

func (q *batch) decided(u *unit) {
	for _, i := range u.members {
		q.open.remove(i)
	}
}

// stands says whether a build is on what has landed and those before it that do not fail.
func (q *batch) stands(w *World, u *unit, healthy set) bool {
	for k, word := range u.on {
		if word&q.open[k] != u.near[k]&healthy[k] {
			return false
		}
	}
	return w.Good(u.build)
}

// split puts the members of a batch that failed, one by one, behind all that are being built.
func (q *batch) split(u *unit) {
	at := len(q.queue)
	for at > 0 && q.queue[at-1].build == nil {
		at--
	}
	for k, i := range u.members {
		alone := q.unit([]int{i})
		alone.suspect = true
		q.queue = slices.Insert(q.queue, at+k, alone)
	}
}

// start builds from the head of the line; what waits is gathered first when it exceeds the workers.
func (q *batch) start(w *World) {
	if w.Free() == 0 {
		return
	}
	fresh, free := 0, w.Free()
	for _, u := range q.queue {
		switch {
		case u.fresh():
			fresh++
		case u.build == nil:
			free--
		}
	}
	if free > 0 && fresh > free {
		q.gather(min(mostBatched, (fresh+free-1)/free))
	}
	healthy := newSet(len(q.near))
	for _, u := range q.queue {
		if w.Free() == 0 {
			return
		}
		if u.build == nil {
			on := u.near.and(healthy)
			u.on, u.build = on, w.Start(on.list(), u.members, 0)
		}
		if !u.failing {
			healthy.join(u.own)
		}
	}
}

// fresh says whether a unit may still be put together with others.
func (u *unit) fresh() bool { return u.build == nil && !u.suspect && len(u.members) == 1 }

// gather puts up to so many waiting changes into each batch.
func (q *batch) gather(size int) {
	var queue []*unit
	var last *unit
	for _, u := range q.queue {
		switch {
		case !u.fresh():
			last, queue = nil, append(queue, u)
		case last != nil && len(last.members) < size && last.near.meets(u.own):
			last.members = append(last.members, u.members...)
			last.own.join(u.own)
			last.near.join(u.near)
		default:
			last = u
			queue = append(queue, u)
		}
	}
	q.queue = queue
}
