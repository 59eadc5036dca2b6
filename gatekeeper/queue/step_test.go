package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func entry(change int64, parents ...int64) Entry {
	return Entry{Change: change, PS: 1, EnqueuedAt: noon.Add(time.Duration(change) * time.Minute), Parents: parents}
}

// made is the candidate of a change on a base, with the state of its run.
func made(change int64, base string, run RunState) Candidate {
	k := Candidate{ID: 10 * change, Change: change, PS: 1, Base: base, Commit: fmt.Sprintf("c%d", change), Run: Run{State: run}}
	if run != RunNone {
		k.Run.ID = 100 * change
	}
	return k
}

// A tick alone reaches the next action from every state that rows can give.
func TestTickOnRebuiltStates(t *testing.T) {
	conflicting := Candidate{ID: 10, Change: 1, PS: 1, Base: "t", Conflict: "conflicts in a.go"}
	errored := func(times int) Candidate {
		k := made(1, "t", RunErrored)
		k.Run.Errors, k.Run.Reason = times, "no worker"
		return k
	}
	refused := made(1, "t", RunRefused)
	refused.Run.Reason = "unit failed"
	make2 := MakeCandidate{Change: 2, PS: 1, Base: "t"}
	land1 := Land{Change: 1, PS: 1, Candidate: 10, Run: 100, Commit: "c1", Old: "t"}
	older := made(1, "t", RunPassed)
	older.PS = 0
	for _, c := range []struct {
		name  string
		state State
		want  []Action
	}{
		{"empty", State{}, nil},
		{"entered", State{Entries: []Entry{entry(1), entry(2)}}, []Action{MakeCandidate{Change: 1, PS: 1, Base: "t"}}},
		{"has a candidate", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{made(1, "t", RunNone)}},
			[]Action{StartRun{Candidate: 10, Change: 1, PS: 1, Base: "t", Commit: "c1", Attempt: 1}}},
		{"runs", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{made(1, "t", RunRunning)}}, nil},
		{"passed", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{made(1, "t", RunPassed)}}, []Action{land1}},
		{"passed on another base", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{made(1, "s", RunPassed)}},
			[]Action{MakeCandidate{Change: 1, PS: 1, Base: "t"}}},
		{"passed for another patch set", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{older}},
			[]Action{MakeCandidate{Change: 1, PS: 1, Base: "t"}}},
		{"runs on another base", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{made(1, "s", RunRunning)}},
			[]Action{CancelRun{Candidate: 10, Run: 100, Reason: "the branch moved on"}, MakeCandidate{Change: 1, PS: 1, Base: "t"}}},
		{"runs on another base, and it is not its turn", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{made(1, "t", RunRunning), made(2, "s", RunRunning)}}, nil},
		{"runs, and left", State{Candidates: []Candidate{made(1, "t", RunRunning)}}, []Action{CancelRun{Candidate: 10, Run: 100, Reason: "change 1 left the queue"}}},
		{"conflict", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{conflicting}},
			[]Action{Eject{Change: 1, PS: 1, Reason: EjectConflict, Words: "conflicts in a.go"}, make2}},
		{"refused", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{refused}},
			[]Action{Eject{Change: 1, PS: 1, Reason: EjectRefused, Words: "unit failed", Run: 100}, make2}},
		{"errored once", State{Entries: []Entry{entry(1)}, Candidates: []Candidate{errored(1)}},
			[]Action{StartRun{Candidate: 10, Change: 1, PS: 1, Base: "t", Commit: "c1", Attempt: 2}}},
		{"errored too often", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{errored(MaxErrors)}},
			[]Action{Eject{Change: 1, PS: 1, Reason: EjectErrored, Words: "its stages could not be run, 3 times: no worker", Run: 100}, make2}},
		{"waits for a parent and blocks nobody", State{Entries: []Entry{entry(1, 7), entry(2)}}, []Action{make2}},
		{"waits for a parent behind it", State{Entries: []Entry{entry(1, 2), entry(2)}}, []Action{make2}},
		{"only waits", State{Entries: []Entry{entry(1, 7)}}, nil},
		{"passed on its parent's candidate, which has not landed", State{Entries: []Entry{entry(1, 7)}, Candidates: []Candidate{made(1, "t", RunPassed)}}, nil},
		{"lands already", State{Entries: []Entry{entry(1), entry(2)}, Candidates: []Candidate{made(1, "t", RunPassed), refused},
			Landing: &Landing{Change: 1, PS: 1, Commit: "c1", Old: "t"}}, nil},
		{"the number decides between equal times", State{Entries: []Entry{{Change: 5, PS: 1, EnqueuedAt: noon}, {Change: 4, PS: 1, EnqueuedAt: noon}}},
			[]Action{MakeCandidate{Change: 4, PS: 1, Base: "t"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.state.Tip = "t"
			after, got := Step(c.state, Tick{}, noon)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatalf("actions (-want +got):\n%s", diff)
			}
			// What was asked for is not asked for again, but a retry is as good as new.
			if _, again := Step(after, Tick{}, noon); len(again) > 0 {
				t.Errorf("asks again: %v", again)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	step := func(s State, events ...Event) (State, []Action) {
		var last []Action
		for _, e := range events {
			s, last = Step(s, e, noon)
		}
		return s, last
	}
	start := State{Tip: "t"}
	t.Run("one change lands", func(t *testing.T) {
		s, got := step(start, Enqueued{entry(1)}, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "t", Commit: "c1"}, RunStarted{10, 100},
			RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c1", State: RunPassed})
		if diff := cmp.Diff([]Action{Land{Change: 1, PS: 1, Candidate: 10, Run: 100, Commit: "c1", Old: "t"}}, got); diff != "" {
			t.Fatal(diff)
		}
		s, got = step(s, LandDone{Change: 1, Commit: "c1", Landed: true, Tip: "c1"})
		if diff := cmp.Diff(State{Tip: "c1", Entries: []Entry{}, Candidates: []Candidate{}}, s); diff != "" || len(got) > 0 {
			t.Errorf("%v %s", got, diff)
		}
	})
	t.Run("stale answers change nothing", func(t *testing.T) {
		s, _ := step(start, Enqueued{entry(1)}, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "t", Commit: "c1"}, RunStarted{10, 100})
		for _, e := range []Event{
			RunEnded{Candidate: 11, Run: 100, Base: "t", Commit: "c1", State: RunPassed},
			RunEnded{Candidate: 10, Run: 101, Base: "t", Commit: "c1", State: RunPassed},
			RunEnded{Candidate: 10, Run: 100, Base: "s", Commit: "c1", State: RunPassed},
			RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c2", State: RunPassed},
			RunEnded{Candidate: 10, Run: 0, Base: "t", Commit: "c1", State: RunPassed},
			CandidateMade{ID: 12, Change: 1, PS: 1, Base: "t", Commit: "c9"},
			CandidateMade{ID: 12, Change: 2, PS: 1, Base: "t", Commit: "c9"},
			RunStarted{10, 200}, LandDone{Change: 1, Commit: "c1", Landed: true, Tip: "c1"},
			Removed{Change: 9}, Enqueued{entry(1)}, Enqueued{Entry{Change: 1, PS: 0}}, TipMoved{"t"}, Tick{},
		} {
			after, got := Step(s, e, noon)
			if diff := cmp.Diff(s, after); diff != "" || len(got) > 0 {
				t.Errorf("%T %+v: %v %s", e, e, got, diff)
			}
		}
	})
	t.Run("a candidate on another base is stale", func(t *testing.T) {
		s, _ := step(start, Enqueued{entry(1)})
		after, got := step(s, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "s", Commit: "c1"})
		if diff := cmp.Diff(s, after); diff != "" || len(got) > 0 {
			t.Errorf("%v %s", got, diff)
		}
	})
	t.Run("a result of the run before does not count for the retry", func(t *testing.T) {
		s, got := step(start, Enqueued{entry(1)}, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "t", Commit: "c1"}, RunStarted{10, 100},
			RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c1", State: RunErrored})
		if len(got) != 1 || got[0].(StartRun).Attempt != 2 {
			t.Fatalf("%v", got)
		}
		for _, before := range []Event{Tick{}, RunStarted{10, 101}} {
			s, _ = step(s, before)
			if _, got = step(s, RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c1", State: RunPassed}); len(got) > 0 {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("a new patch set replaces the old one", func(t *testing.T) {
		s, _ := step(start, Enqueued{entry(1)}, Enqueued{entry(2)}, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "t", Commit: "c1"}, RunStarted{10, 100})
		_, got := step(s, Enqueued{Entry{Change: 1, PS: 2, EnqueuedAt: noon.Add(time.Hour)}})
		want := []Action{CancelRun{Candidate: 10, Run: 100, Reason: "patch set 2 replaced it"}, MakeCandidate{Change: 2, PS: 1, Base: "t"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the tip moves while it lands", func(t *testing.T) {
		s, _ := step(start, Enqueued{entry(1)}, CandidateMade{ID: 10, Change: 1, PS: 1, Base: "t", Commit: "c1"}, RunStarted{10, 100},
			RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c1", State: RunPassed})
		s, got := step(s, TipMoved{"u"})
		if len(got) > 0 {
			t.Fatalf("%v while a landing is outstanding", got)
		}
		_, got = step(s, LandDone{Change: 1, Commit: "c1", Landed: false, Tip: "u"})
		if diff := cmp.Diff([]Action{MakeCandidate{Change: 1, PS: 1, Base: "u"}}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a parent that landed holds nobody up", func(t *testing.T) {
		s, got := step(start, Enqueued{entry(2, 1)})
		if len(got) > 0 {
			t.Fatal(got)
		}
		if _, got = step(s, Removed{Change: 1, Landed: true}); len(got) != 1 {
			t.Errorf("%v after the parent landed elsewhere", got)
		}
		if _, got = step(s, Removed{Change: 1}); len(got) != 0 {
			t.Errorf("%v after the parent was abandoned", got)
		}
	})
	t.Run("an entry without a time enters now", func(t *testing.T) {
		s, _ := step(start, Enqueued{Entry{Change: 1, PS: 1}})
		if !s.Entries[0].EnqueuedAt.Equal(noon) {
			t.Errorf("entered at %s", s.Entries[0].EnqueuedAt)
		}
	})
}

type strange struct{ Tick }

func TestUnknownPanics(t *testing.T) {
	withRun := func(state RunState) State {
		return State{Tip: "t", Entries: []Entry{entry(1)}, Candidates: []Candidate{made(1, "t", state)}}
	}
	for name, f := range map[string]func(){
		"event":     func() { Step(State{}, strange{}, noon) },
		"nil event": func() { Step(State{}, nil, noon) },
		"run state": func() { Step(withRun("BYPASSED"), Tick{}, noon) },
		"run end": func() {
			Step(withRun(RunRunning), RunEnded{Candidate: 10, Run: 100, Base: "t", Commit: "c1", State: RunRunning}, noon)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func TestPosition(t *testing.T) {
	s := State{Tip: "t", Entries: []Entry{entry(1, 3), entry(2, 9), entry(3), entry(4, 2), entry(5)}}
	with := func(k ...Candidate) State { s := s; s.Candidates = k; return s }
	landing := with(made(3, "t", RunPassed))
	landing.Landing = &Landing{Change: 3}
	conflict := with(Candidate{ID: 30, Change: 3, PS: 1, Base: "t", Conflict: "x"})
	for _, c := range []struct {
		state  State
		change int64
		ahead  int
		why    string
	}{
		{s, 3, 0, "its candidate is being made"},
		{with(Candidate{Change: 3, PS: 1, Base: "t"}), 3, 0, "its candidate is being made"},
		{with(made(3, "t", RunNone)), 3, 0, "its run is about to start"},
		{with(made(3, "t", RunRunning)), 3, 0, "its candidate is being tested"},
		{with(made(3, "t", RunPassed)), 3, 0, "it has passed and is about to land"},
		{with(made(3, "t", RunErrored)), 3, 0, "its run is about to be tried again"},
		{with(made(3, "t", RunRefused)), 3, 0, "it is about to leave the queue"},
		{conflict, 3, 0, "it is about to leave the queue"},
		{landing, 3, 0, "it is landing"},
		{s, 1, 1, "it waits for change 3"},
		{s, 5, 2, "2 changes are ahead of it"},
		{s, 2, 3, "it waits for change 9, which is not in the queue"},
		{s, 4, 4, "it waits for change 2"},
		{s, 8, -1, "it is not in the queue"},
		{State{Tip: "t", Entries: []Entry{entry(1), entry(2)}}, 2, 1, "change 1 is ahead of it"},
	} {
		ahead, why := Position(c.state, c.change)
		if ahead != c.ahead || why != c.why {
			t.Errorf("change %d: %d ahead, %q; want %d, %q", c.change, ahead, why, c.ahead, c.why)
		}
	}
}
