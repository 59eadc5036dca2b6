package queue_test

import (
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

// since says that a run began so many minutes ago.
func since(k queue.Candidate, minutes int) queue.Candidate {
	k.Run.StartedAt = noon.Add(-time.Duration(minutes) * time.Minute)
	return k
}

// long takes an hour, and came at noon.
func long(e *queue.Entry) { e.Takes, e.EnqueuedAt = time.Hour, noon }

// risky has an author whose changes are mostly refused.
func risky(e *queue.Entry) { e.Author = "eve" }

// warned is a queue that knows how often the changes of eve were refused, and that those of others hardly ever are.
func warned(s queue.State, refused, passed int) queue.State {
	e, others := queue.Entry{Author: "eve", Size: 5}, queue.Entry{Size: 5}
	for range 10 * (refused + passed) {
		s.Model = s.Model.Learn(&others, true)
	}
	for range refused {
		s.Model = s.Model.Learn(&e, false)
	}
	for range passed {
		s.Model = s.Model.Learn(&e, true)
	}
	return s
}

// triedOn is what a change is asked to be tried on by itself, each time.
func triedOn(actions []queue.Action, change int64) [][]queue.Member {
	var all [][]queue.Member
	for _, a := range find[queue.Try](actions) {
		if len(a.Members) == 1 && a.Members[0].Change == change {
			all = append(all, a.On)
		}
	}
	return all
}

// Who is done much sooner passes what runs, but not when that costs others more than it would wait.
func TestWhoIsDoneSoonerPasses(t *testing.T) {
	s := with(start(change(entry(1, "a"), long)), since(ran(1, queue.RunRunning, 1), 10))
	s.Workers = 20
	quick := change(entry(9, "a"), func(e *queue.Entry) { e.EnqueuedAt, e.Takes = noon, 5*time.Minute })
	_, actions := step(t, s, queue.Enqueued{Entry: quick})
	if got := triedOn(actions, 9); !slices.ContainsFunc(got, func(on []queue.Member) bool { return len(on) == 0 }) {
		t.Errorf("it does not pass one that has just begun: %+v", actions)
	}
	var before []int64
	for n := range int64(7) {
		before = append(before, n+1)
		s.Entries = append(s.Entries, change(entry(n+2, "a"), long))
		s = with(s, since(on(ran(n+2, queue.RunRunning, n+2), before...), 10))
	}
	_, actions = step(t, s, queue.Enqueued{Entry: quick})
	if got := triedOn(actions, 9); slices.ContainsFunc(got, func(on []queue.Member) bool { return len(on) == 0 }) {
		t.Errorf("it passes one that seven others stand on: %+v", actions)
	}
}

// Who was doubtful, and has passed by itself, goes behind those that went on without it.
func TestLateProofGoesBehind(t *testing.T) {
	s := warned(start(change(entry(1, "a"), risky), entry(2, "a"), entry(3, "a"), entry(4, "a")), 30, 0)
	s.Workers = 20
	proof := ran(9, queue.RunPassed, 1) // before somebody else landed
	proof.Seq = 4
	s.Landed = []queue.Landed{{Branch: "main", Seq: 5, Change: 90, PS: 1, Targets: []string{"a"}}}
	again := since(ran(1, queue.RunRunning, 1), 8) // by itself, beside the line
	again.Spare = true
	s = with(s, proof, again, since(ran(2, queue.RunRunning, 2), 7),
		since(on(ran(3, queue.RunRunning, 3), 2), 7), since(on(ran(4, queue.RunRunning, 4), 2, 3), 7))
	_, actions := step(t, s, queue.Tick{})
	if got := triedOn(actions, 1); len(got) == 0 || !slices.Equal(got[0], members(2, 3, 4)) {
		t.Errorf("it is not tried on those: %+v", actions)
	}
	if stopped := find[queue.Cancel](actions); slices.ContainsFunc(stopped, func(c queue.Cancel) bool { return c.Candidate != 1 }) {
		t.Errorf("%+v", stopped)
	}
}

// Where workers are idle, those behind one that may fail are tried without it one by one: another of them
// may fail too.
func TestAlternatesOneByOne(t *testing.T) {
	s := warned(start(change(entry(1, "a"), risky), entry(2, "a"), entry(3, "a")), 9, 10)
	s.Workers, s.Branches[0].MaxBatch = 20, 1
	s = with(s, ran(1, queue.RunRunning, 1), on(ran(2, queue.RunRunning, 2), 1), on(ran(3, queue.RunRunning, 3), 1, 2))
	_, actions := step(t, s, queue.Tick{})
	if got := triedOn(actions, 3); !slices.ContainsFunc(got, func(on []queue.Member) bool { return slices.Equal(on, members(2)) }) {
		t.Errorf("change 3 is not tried without 1: %+v", actions)
	}
}
