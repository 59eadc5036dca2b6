package queue_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

// crowd is a queue that is kept at one length: who lands or leaves is replaced, runs end in the
// order in which they were started, one in twenty badly, and all else is answered at once.
type crowd struct {
	state  queue.State
	lanes  int
	number int64
	ids    int64
	runs   []queue.RunEnded
	ended  int
	took   []time.Duration
	now    time.Time
}

func newCrowd(entries, workers, lanes int) *crowd {
	c := &crowd{lanes: lanes, now: noon}
	c.state = queue.State{Workers: workers, Branches: []queue.Branch{{Name: "main", Tip: "t", MaxBatch: 8, BatchCost: 0.1, Whole: lanes == 1}}}
	for range entries {
		c.state.Entries = append(c.state.Entries, c.entry())
	}
	return c
}

func (c *crowd) entry() queue.Entry {
	c.number++
	e := queue.Entry{Change: c.number, PS: 1, Branch: "main", EnqueuedAt: noon.Add(time.Duration(c.number) * time.Second), Takes: 10 * time.Minute,
		Author: strconv.FormatInt(c.number%97, 10), Size: float64(c.number % 11), Barrier: c.lanes == 1}
	for n := range int64(2) {
		e.Targets = append(e.Targets, "t"+strconv.FormatInt(c.number*(7+4*n)%int64(c.lanes), 10))
	}
	return e
}

// start takes all that the queue asks for at first for running, as its rows would say.
func (c *crowd) start() {
	c.state, _ = queue.Step(c.state, queue.Tick{}, c.now)
	for i := range c.state.Candidates {
		k := &c.state.Candidates[i]
		c.ids++
		k.ID, k.Base, k.Commit, k.Run.ID = c.ids, "b", "c"+strconv.FormatInt(c.ids, 10), c.ids
		c.runs = append(c.runs, queue.RunEnded{Candidate: k.ID, Run: k.Run.ID, Commit: k.Commit})
	}
}

// step is timed; what it asks for is answered, each answer a step too.
func (c *crowd) step(e queue.Event) {
	for events := []queue.Event{e}; len(events) > 0; events = events[1:] {
		begin := time.Now()
		next, actions := queue.Step(c.state, events[0], c.now)
		c.took = append(c.took, time.Since(begin))
		c.state = next
		for _, a := range actions {
			events = append(events, c.answer(a)...)
		}
	}
}

func (c *crowd) answer(a queue.Action) []queue.Event {
	switch a := a.(type) {
	case queue.Try:
		c.ids++
		id := c.ids
		for _, k := range c.state.Candidates { // another run of one that is known
			if k.ID != 0 && k.Run.State == queue.RunRunning && k.Run.ID == 0 && slices.Equal(k.Members, a.Members) && slices.Equal(k.On, a.On) {
				id = k.ID
			}
		}
		commit := "c" + strconv.FormatInt(id, 10)
		c.runs = append(c.runs, queue.RunEnded{Candidate: id, Run: c.ids, Commit: commit})
		b := c.state.Branches[0]
		return []queue.Event{queue.Tried{Ask: a.Ask, Seq: b.Seq, Proven: b.Proven, Branch: a.Branch, Members: a.Members, On: a.On, ID: id, Run: c.ids, Base: "b", Commit: commit}}
	case queue.Land:
		return []queue.Event{queue.LandDone{Parts: a.Parts, Ask: a.Ask, Landed: true, Tips: map[string]string{"main": "t" + strconv.Itoa(len(c.took))}}, queue.Enqueued{Entry: c.entry()}}
	case queue.Eject:
		return []queue.Event{queue.Enqueued{Entry: c.entry()}}
	case queue.Cancel:
		c.runs = slices.DeleteFunc(c.runs, func(r queue.RunEnded) bool { return r.Run == a.Run })
	}
	return nil
}

// next ends the oldest run.
func (c *crowd) next() {
	c.now = c.now.Add(time.Second)
	if len(c.runs) == 0 {
		c.step(queue.Tick{})
		return
	}
	end := c.runs[0]
	c.runs = c.runs[1:]
	c.ended++
	end.State = queue.RunPassed
	if c.ended%20 == 0 {
		end.State, end.Reason = queue.RunRefused, "unit failed"
	}
	c.step(end)
}

// BenchmarkStep is the time of one step in a queue that stays as long, at its 99th percentile
// too, and what one entry keeps in memory.
func BenchmarkStep(b *testing.B) {
	for _, size := range []struct{ entries, workers, lanes int }{{1000, 500, 400}, {1000, 500, 1}, {10000, 500, 4000}, {10000, 500, 1}} {
		b.Run(fmt.Sprintf("entries=%d/workers=%d/lanes=%d", size.entries, size.workers, size.lanes), func(b *testing.B) {
			before := heap()
			c := newCrowd(size.entries, size.workers, size.lanes)
			c.start()
			kept := heap() - before
			c.took = c.took[:0]
			b.ResetTimer()
			for b.Loop() {
				c.next()
			}
			b.StopTimer()
			slices.Sort(c.took)
			b.ReportMetric(float64(c.took[len(c.took)*99/100].Microseconds()), "µs-p99/step")
			b.ReportMetric(float64(c.took[len(c.took)/2].Microseconds()), "µs-p50/step")
			b.ReportMetric(float64(kept)/float64(len(c.state.Entries)), "B/entry")
		})
	}
}

// heap is what is kept in memory.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from the limit
}
