package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
)

// ours plays the production queue: it carries out what Step asks for, at once.
type ours struct {
	state  queue.State
	builds map[int64]*Build // by candidate
	tried  map[*Build]int64 // and the other way
	took   []time.Duration
	serial int64
	micro  func() time.Duration
}

// branch is the one branch of a trace.
const branch = "main"

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// NewOurs is the production queue, warmed with the trace's history. clock measures how long
// decisions take; it has no part in them.
func NewOurs(t *Trace, workers int, clock func() time.Duration) Policy {
	o := &ours{builds: map[int64]*Build{}, tried: map[*Build]int64{}, micro: clock}
	o.state = queue.State{Workers: workers, Branches: []queue.Branch{{Name: branch, Tip: "0", MaxBatch: maxBatch, BatchCost: t.BatchBeta, Whole: !t.Analyzer}}}
	for i, c := range t.History {
		e := t.entry(c, -int64(i)-1)
		o.state.Model = o.state.Model.Learn(&e, c.OK == 1)
	}
	return o
}

// typicalMinutes is how long a build of the bare branch takes.
const typicalMinutes = 15

// maxBatch is how many changes of a trace may be tried at once.
const maxBatch = 16

func (t *Trace) entry(c Change, number int64) queue.Entry {
	e := queue.Entry{Change: number, PS: 1, Branch: branch, Takes: time.Duration(c.Minutes * float64(time.Minute)),
		Author: strconv.Itoa(c.Author), Size: c.Size, Barrier: !t.Analyzer}
	for _, m := range c.Modules {
		e.Targets = append(e.Targets, strconv.Itoa(m))
	}
	return e
}

func (o *ours) now(w *World) time.Time {
	return epoch.Add(time.Duration(w.Now * float64(time.Minute)))
}

func (o *ours) Arrive(w *World, i int) {
	o.step(w, queue.Enqueued{Entry: w.Trace.entry(w.Trace.Changes[i], number(i))})
}

func (o *ours) Ended(w *World, b *Build, passed bool) {
	state := queue.RunRefused
	if passed {
		state = queue.RunPassed
	}
	candidate := o.tried[b]
	o.step(w, queue.RunEnded{Candidate: candidate, Run: int64(b.ID), Commit: "c" + strconv.FormatInt(candidate, 10), State: state})
}

func (o *ours) step(w *World, e queue.Event) {
	events := []queue.Event{e}
	for len(events) > 0 {
		e, events = events[0], events[1:]
		start := o.micro()
		next, actions := queue.Step(o.state, e, o.now(w))
		o.took = append(o.took, o.micro()-start)
		o.state = next
		for _, a := range actions {
			switch answer := o.act(w, a).(type) {
			case nil:
			case queue.LandDone: // what was asked for before it is answered before it
				events = append(events, answer)
			default:
				events = slices.Insert(events, 0, answer)
			}
		}
	}
}

func (o *ours) act(w *World, a queue.Action) queue.Event {
	switch a := a.(type) {
	case queue.Try:
		var before queue.Run
		on, members := changes(a.On), changes(a.Members)
		b := w.Start(on, members, typicalMinutes)
		o.serial++
		id := o.serial
		for _, k := range o.state.Candidates {
			if k.ID != 0 && slices.Equal(k.Members, a.Members) && slices.Equal(k.On, a.On) && k.Run.State == queue.RunRunning && k.Run.ID == 0 {
				id, before = k.ID, k.Run
			}
		}
		o.builds[id], o.tried[b] = b, id
		return queue.Tried{Ask: a.Ask, Branch: a.Branch, Members: a.Members, On: a.On, ID: id, Seq: int64(len(w.landed)), Proven: len(w.landed) > 0, Run: int64(b.ID), Base: "x", Commit: "c" + strconv.FormatInt(id, 10),
			Refusals: before.Refusals, Errors: before.Errors}
	case queue.Cancel:
		w.Cancel(o.builds[a.Candidate])
	case queue.Eject:
		w.Reject(change(a.Change))
	case queue.Land:
		for _, p := range a.Parts {
			left := p.Members
			for _, id := range p.Candidates {
				var now []int
				for len(left) > 0 && slices.Contains(o.builds[id].Members, change(left[0].Change)) {
					now = append(now, change(left[0].Change))
					left = left[1:]
				}
				w.Land(now, o.builds[id])
			}
		}
		return queue.LandDone{Parts: a.Parts, Ask: a.Ask, Landed: true, Tips: map[string]string{branch: fmt.Sprint(len(w.landed))}}
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
	return nil
}

// The queue knows change i of a trace by the number i+1: 0 is none.
func number(change int) int64 { return int64(change) + 1 }
func change(number int64) int { return int(number) - 1 }

func changes(members []queue.Member) []int {
	all := make([]int, 0, len(members))
	for _, m := range members {
		all = append(all, change(m.Change))
	}
	return all
}

// DecisionP99 is the time that all but one in a hundred steps stayed under.
func (o *ours) DecisionP99() time.Duration {
	if len(o.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(o.took))
	return sorted[len(sorted)*99/100]
}
