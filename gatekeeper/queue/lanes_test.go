package queue_test

import (
	"slices"
	"testing"

	"gatehouse/gatekeeper/queue"
)

// Who has lost its run keeps its place in the lane when others run on it: their runs go on.
func TestWhoIsStoodOnKeepsItsPlace(t *testing.T) {
	s := start(change(entry(2, "a"), long), entry(3, "a"), entry(4, "a"))
	s.Workers = 20
	s = with(s, since(on(ran(3, queue.RunRunning, 3), 2), 7), since(on(ran(4, queue.RunRunning, 4), 2, 3), 7))
	_, actions := step(t, s, queue.Tick{})
	if got := triedOn(actions, 2); !slices.ContainsFunc(got, func(on []queue.Member) bool { return len(on) == 0 }) {
		t.Errorf("it is not tried at its place: %+v", actions)
	}
	if stopped := find[queue.Cancel](actions); len(stopped) > 0 {
		t.Errorf("those that stand on it are stopped: %+v", stopped)
	}
}

// Nothing lands out of its turn when somebody in the lane would have to run again for it.
func TestNothingLandsOutOfItsTurn(t *testing.T) {
	s := start(entry(1, "a"), entry(2, "a"))
	s.Workers = 20
	late := ran(2, queue.RunPassed, 2)
	late.Spare = true
	s = with(s, since(ran(1, queue.RunRunning, 1), 1), late)
	if _, actions := step(t, s, queue.Tick{}); len(find[queue.Land](actions)) > 0 {
		t.Errorf("it lands before the one that runs: %+v", actions)
	}
	s.Entries[0].Targets = []string{"b"}
	if _, actions := step(t, s, queue.Tick{}); len(find[queue.Land](actions)) != 1 {
		t.Errorf("it does not land beside one of another lane: %+v", actions)
	}
}

// Who passed before much of its lane landed passes once more by itself, before others stand on it.
func TestWhoPassedLongAgoPassesAgain(t *testing.T) {
	landed := func(count int) []queue.Action {
		s := start(entry(1, "a"), entry(2, "a"))
		s.Workers = 20
		s = with(s, ran(1, queue.RunPassed, 1))
		for n := range int64(count) {
			s.Landed = append(s.Landed, queue.Landed{Branch: "main", Seq: s.Branches[0].Seq + n + 1, Change: 100 + n, PS: 1, Targets: []string{"a"}})
		}
		s.Branches[0].Seq += int64(count)
		_, actions := step(t, s, queue.Tick{})
		return actions
	}
	stands := func(actions []queue.Action) bool {
		return slices.ContainsFunc(triedOn(actions, 2), func(on []queue.Member) bool { return has(on, 1) })
	}
	if got := landed(2); !stands(got) {
		t.Errorf("nobody stands on one that passed a little while ago: %+v", got)
	}
	got := landed(60)
	if stands(got) || len(triedOn(got, 1)) != 1 {
		t.Errorf("it is not tried by itself first: %+v", got)
	}
}

func has(list []queue.Member, change int64) bool {
	return slices.ContainsFunc(list, func(m queue.Member) bool { return m.Change == change })
}
