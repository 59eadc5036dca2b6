package queue

import (
	"testing"
	"time"
)

// line is a queue of one lane with four changes, each run taking ten minutes.
func line(workers int, candidates ...Candidate) State {
	s := State{Workers: workers, Branches: []Branch{{Name: "main", Tip: "t"}}, Candidates: candidates}
	for i := range int64(4) {
		s.Entries = append(s.Entries, Entry{Change: 10 + i, PS: 1, Branch: "main", Targets: []string{"ui"}, Takes: 10 * time.Minute, EnqueuedAt: boardStart.Add(time.Duration(i) * time.Minute)})
	}
	return s
}

func tried(id int64, state RunState, started time.Duration, members, on []int64) Candidate {
	k := Candidate{ID: id, Branch: "main", Commit: "c", Run: Run{ID: id, State: state, StartedAt: boardStart.Add(started)}}
	for _, m := range members {
		k.Members = append(k.Members, Member{m, 1})
	}
	for _, m := range on {
		k.On = append(k.On, Member{m, 1})
	}
	return k
}

func TestStandings(t *testing.T) {
	now := boardStart.Add(20 * time.Minute)
	running := func() []Candidate {
		return []Candidate{
			tried(1, RunRunning, 16*time.Minute, []int64{10}, nil),
			tried(2, RunRunning, 18*time.Minute, []int64{11}, []int64{10}),
		}
	}
	held := line(2, running()...)
	held.Entries[1].Held = "bob: docs first"
	named := line(2, running()...)
	named.Entries[1].Held = "held by bob: docs first"
	frozen := line(2, tried(1, RunPassed, 0, []int64{10}, nil))
	frozen.Branches[0].Frozen = "release week"
	frozen.Entries[1].Priority = Hotfix
	landing := line(2, tried(1, RunPassed, 0, []int64{10}, nil), running()[1])
	landing.Landings = []Landing{{Parts: []Part{{Branch: "main", Members: []Member{{10, 1}}}}}}
	stack := line(2)
	stack.Entries[1].Parents = []int64{77}
	stack.Entries[2].Parents = []int64{11}
	lanes := line(2, running()[0])
	lanes.Entries[3].Targets = []string{"api"}
	lanes.Candidates = append(lanes.Candidates, tried(4, RunPassed, 0, []int64{13}, nil))
	old := line(1, tried(1, RunRunning, -50*time.Minute, []int64{10}, nil))
	moved := line(2, tried(1, RunPassed, 0, []int64{10}, []int64{9}))
	batch := line(2, tried(1, RunRunning, 15*time.Minute, []int64{10, 11, 12, 13}, nil))
	for _, c := range []struct {
		name   string
		state  State
		change int64
		want   string
	}{
		{"first", line(2, running()...), 10, "number 1: being tested, lands in 6–16 min"},
		{"on top of another", line(2, running()...), 11, "number 2: being tested on top of change 10, lands in 8–18 min"},
		{"no worker", line(2, running()...), 12, "number 3: waits for a free worker, behind changes 10 and 11, lands in 16–26 min"},
		{"behind three", line(2, running()...), 13, "number 4: waits for a free worker, behind changes 10, 11 and 12, lands in 18–28 min"},
		{"not there", line(2), 99, "not in the queue"},
		{"held", held, 11, "number 2: held: bob: docs first"},
		{"held, in a sentence", named, 11, "number 2: held: by bob: docs first"},
		{"a held one holds nobody up", held, 12, "number 3: waits for a free worker, behind change 10, lands in 16–26 min"},
		{"frozen", frozen, 10, "number 2: tested and good, behind change 11, and the branch is frozen: release week"},
		{"a hotfix in a freeze", frozen, 11, "number 1: waits for its turn, lands in 10–20 min"},
		{"landing", landing, 10, "landing now"},
		{"behind a landing", landing, 11, "number 2: being tested on top of change 10, lands in 8–18 min"},
		{"no parent", stack, 11, "number 2: stands on change 77, which is not in the queue"},
		{"child of one without a parent", stack, 12, "number 3: waits for its turn, behind changes 10 and 11"},
		{"passed in a lane of its own", lanes, 13, "number 4: tested and good, lands in under a minute"},
		{"overdue", old, 10, "number 1: being tested, lands in 1–11 min"},
		{"what it stood on is gone", moved, 10, "number 1: waits for its turn, lands in 10–20 min"},
		{"a batch", batch, 12, "number 3: being tested together with changes 10, 11 and 13, lands in 5–15 min"},
	} {
		st := Words(c.state, c.change, now)
		if st.Sentence != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, st.Sentence, c.want)
		}
		if st.Known && (st.Low > st.High || st.ETA == "") || !st.Known && st.ETA != "" {
			t.Errorf("%s: from %s to %s, %q", c.name, st.Low, st.High, st.ETA)
		}
	}
}

// Who comes later lands no sooner, in a lane; and many risks widen the range.
func TestEstimatesGrow(t *testing.T) {
	s := State{Workers: 4, Branches: []Branch{{Name: "main"}}}
	for i := range int64(60) {
		s.Entries = append(s.Entries, Entry{Change: i + 1, PS: 1, Branch: "main", Barrier: true, Takes: 10 * time.Minute, EnqueuedAt: boardStart.Add(time.Duration(i))})
	}
	all := Standings(s, boardStart)
	for i := range all[1:] {
		if all[i+1].Low < all[i].Low || all[i+1].High < all[i].High {
			t.Errorf("number %d: %s–%s, number %d: %s–%s", i+1, all[i].Low, all[i].High, i+2, all[i+1].Low, all[i+1].High)
		}
	}
	if first, last := all[0].High-all[0].Low, all[59].High-all[59].Low; first != 10*time.Minute || last < 3*first {
		t.Errorf("the first may be tried again for %s, the last for %s", first, last)
	}
	if all[59].Ahead != 59 || all[59].Position != 60 {
		t.Errorf("the last is number %d behind %d", all[59].Position, all[59].Ahead)
	}
}

func TestStandingsLeaveTheStateAlone(t *testing.T) {
	s := line(2, tried(1, RunRunning, 0, []int64{10}, nil))
	s.Entries[0], s.Entries[3] = s.Entries[3], s.Entries[0]
	Standings(s, boardStart)
	if s.Entries[0].Change != 13 || len(s.Candidates) != 1 {
		t.Error("the state was changed")
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		low, high time.Duration
		want      string
	}{
		{0, 30 * time.Second, "under a minute"}, {20 * time.Second, 3 * time.Minute, "under 3 min"}, {4*time.Minute + 50*time.Second, 8*time.Minute + time.Second, "4–9 min"},
		{5 * time.Minute, 5 * time.Minute, "5 min"}, {70 * time.Minute, 140 * time.Minute, "1–2.5 h"}, {26 * time.Hour, 80 * time.Hour, "1–4 days"},
	} {
		if got := timeSpan(c.low, c.high); got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.low, c.high, got, c.want)
		}
	}
}
