package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

// A hotfix into a queue of fifty, whose workers are all taken, waits for nobody: its test begins
// at once on nothing but what has landed, it lands when that passes, and nine in ten of the runs
// that have nothing to do with it go on.
func TestHotfixIntoAFullQueue(t *testing.T) {
	const queued, lanes, workers = 50, 10, 20
	lane := func(n int64) string { return fmt.Sprintf("lane%d", n%lanes) }
	s := start()
	s.Workers = workers
	now := noon
	var log []queue.Action
	next := func(e queue.Event) []queue.Action {
		t.Helper()
		var actions []queue.Action
		s, actions = queue.Step(s, e, now)
		for i := 0; i < len(actions); i++ {
			if a, is := actions[i].(queue.Try); is {
				var more []queue.Action
				s, more = queue.Step(s, answer(a, int64(len(log)+i+1)), now)
				actions = append(actions, more...)
			}
		}
		log = append(log, actions...)
		return actions
	}
	for n := range int64(queued) {
		next(queue.Enqueued{Entry: entry(n+1, lane(n+1))})
	}
	now = now.Add(5 * time.Minute)
	running := func() (list []queue.Candidate) {
		for _, k := range s.Candidates {
			if k.Run.State == queue.RunRunning {
				list = append(list, k)
			}
		}
		return list
	}
	before := running()
	if len(before) != workers {
		t.Fatalf("%d runs are under way before it comes, want %d", len(before), workers)
	}

	fix := change(entry(99, lane(1)), hotfix)
	actions := next(queue.Enqueued{Entry: fix})
	tries := find[queue.Try](actions)
	if len(tries) == 0 || !slices.Equal(tries[0].Members, members(99)) || len(tries[0].On) > 0 {
		t.Fatalf("it is not tried first, by itself: %+v", actions)
	}
	apart, kept := 0, 0
	for _, k := range before {
		if slices.ContainsFunc(k.Members, func(m queue.Member) bool { return lane(m.Change) == lane(1) }) {
			continue
		}
		apart++
		if slices.ContainsFunc(running(), func(r queue.Candidate) bool { return r.ID == k.ID && r.Run.ID == k.Run.ID }) {
			kept++
		}
	}
	if kept*10 < apart*9 {
		t.Errorf("%d of %d runs that have nothing to do with it go on", kept, apart)
	}

	now = now.Add(fix.Takes)
	tried := s.Candidates[slices.IndexFunc(s.Candidates, func(k queue.Candidate) bool { return slices.Equal(k.Members, members(99)) })]
	lands := find[queue.Land](next(queue.RunEnded{Candidate: tried.ID, Run: tried.Run.ID, Commit: tried.Commit, State: queue.RunPassed}))
	if len(lands) != 1 || !slices.Equal(lands[0].Parts[0].Members, members(99)) {
		t.Errorf("its run has passed, and %+v lands", lands)
	}
}
