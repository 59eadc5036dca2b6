package queue_test

import (
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

func change(e queue.Entry, how func(*queue.Entry)) queue.Entry {
	how(&e)
	return e
}

func parents(list ...int64) func(*queue.Entry) {
	return func(e *queue.Entry) { e.Parents = list }
}

func mates(list ...int64) func(*queue.Entry) { return func(e *queue.Entry) { e.With = list } }

func hotfix(e *queue.Entry) { e.Priority = queue.Hotfix }

func barrier(e *queue.Entry) { e.Barrier = true }

func held(e *queue.Entry) { e.Held = "ask first" }

// landed is a landing on main after the candidates of the tests were made.
func landed(change int64, targets ...string) queue.Landed {
	return queue.Landed{Branch: "main", Seq: 6, Change: change, PS: 1, Targets: targets}
}

func after(s queue.State, landings ...queue.Landed) queue.State {
	s.Landed = landings
	s.Branches[0].Seq, s.Branches[0].Tip = 5+int64(len(landings)), "u"
	return s
}

func frozen(s queue.State) queue.State {
	s.Branches[0].Frozen = "release"
	return s
}

// Only what passed lands, on what it passed on as far as that matters, where it may.
func TestWhatLands(t *testing.T) {
	passed := func(id int64, tried ...int64) queue.Candidate { return ran(id, queue.RunPassed, tried...) }
	pushed := queue.Landed{Branch: "main", Seq: 6, Barrier: true}
	oldPS := passed(1, 1)
	oldPS.Members[0].PS = 0
	onOldPS := on(passed(2, 2), 1)
	onOldPS.On[0].PS = 0
	elsewhere := passed(1, 1)
	elsewhere.Branch = "v1"
	conflict := passed(1, 1)
	conflict.Commit, conflict.Conflict, conflict.Run = "", "in a.go", queue.Run{}
	busy := with(start(entry(1, "a"), entry(2, "b")), passed(1, 1), passed(2, 2))
	busy.Landings = []queue.Landing{{Parts: []queue.Part{{Branch: "main", Old: "t", Candidates: []int64{2}, Members: members(2)}}}}
	noWorkers := with(start(entry(1, "a")), passed(1, 1))
	noWorkers.Workers = 0
	for _, c := range []struct {
		name  string
		state queue.State
		want  []int64
	}{
		{"passed", with(start(entry(1, "a")), passed(1, 1)), []int64{1}},
		{"passed, and nobody can run anything", noWorkers, []int64{1}},
		{"runs", with(start(entry(1, "a")), ran(1, queue.RunRunning, 1)), nil},
		{"refused", with(start(entry(1, "a")), ran(1, queue.RunRefused, 1)), nil},
		{"errored", with(start(entry(1, "a")), ran(1, queue.RunErrored, 1)), nil},
		{"has no run", with(start(entry(1, "a")), ran(1, queue.RunNone, 1)), nil},
		{"conflicts", with(start(entry(1, "a")), conflict), nil},
		{"left", with(start(), passed(1, 1)), nil},
		{"another patch set passed", with(start(entry(1, "a")), oldPS), nil},
		{"passed for another branch", with(start(entry(1, "a")), elsewhere), nil},
		{"a landing is under way", busy, nil},

		{"something else landed", after(with(start(entry(1, "a")), passed(1, 1)), landed(8, "b")), []int64{1}},
		{"what it touches was changed", after(with(start(entry(1, "a")), passed(1, 1)), landed(8, "b", "a")), nil},
		{"a barrier landed", after(with(start(entry(1, "a")), passed(1, 1)), queue.Landed{Branch: "main", Seq: 6, Change: 8, Barrier: true}), nil},
		{"it is a barrier, and something landed", after(with(start(change(entry(1, "a"), barrier)), passed(1, 1)), landed(8, "b")), nil},
		{"the branch was pushed to", after(with(start(entry(1, "a")), passed(1, 1)), pushed), nil},
		{"another branch was pushed to", after(with(start(entry(1, "a")), passed(1, 1)), queue.Landed{Branch: "v1", Seq: 6, Barrier: true}), []int64{1}},

		{"stands on one that is queued", with(start(entry(1, "a"), entry(2, "a")), on(passed(2, 2), 1)), nil},
		{"stands on one that is queued and touches something else", with(start(entry(1, "a"), entry(2, "b")), on(passed(2, 2), 1)), nil},
		{"stands on one that landed", after(with(start(entry(2, "a")), on(passed(2, 2), 1)), landed(1, "a")), []int64{2}},
		{"stands on one that left", with(start(entry(2, "a")), on(passed(2, 2), 1)), nil},
		{"stands on an older patch set", with(start(entry(1, "a"), entry(2, "a")), passed(1, 1), onOldPS), []int64{1}},
		{"stands on an older patch set than landed", after(with(start(entry(2, "a")), onOldPS), landed(1, "a")), nil},
		{"stands on one of two that landed", after(with(start(entry(3, "a")), on(passed(3, 3), 1)), landed(1, "a"), queue.Landed{Branch: "main", Seq: 7, Change: 2, PS: 1, Targets: []string{"a"}}), nil},
		{"the one it stands on lands with it", with(start(entry(1, "a"), entry(2, "a")), passed(1, 1), on(passed(2, 2), 1)), []int64{1, 2}},

		{"a batch", with(start(entry(1, "a"), entry(2, "a")), passed(1, 1, 2)), []int64{1, 2}},
		{"a batch that somebody left", with(start(entry(1, "a")), passed(1, 1, 2)), nil},
		{"a batch of which one landed", after(with(start(entry(2, "a")), passed(1, 1, 2)), landed(1, "a")), []int64{2}},
		{"a batch of which one landed, and another", after(with(start(entry(2, "a")), passed(1, 1, 2)), landed(1, "a"), queue.Landed{Branch: "main", Seq: 7, Change: 9, Targets: []string{"a"}}), nil},

		{"its parent has not passed", with(start(entry(1, "a"), change(entry(2, "b"), parents(1))), passed(2, 2)), nil},
		{"its parent is outside", with(start(change(entry(2, "b"), parents(1))), passed(2, 2)), nil},
		{"its parent passed too", with(start(entry(1, "a"), change(entry(2, "b"), parents(1))), passed(1, 1), on(passed(2, 2), 1)), []int64{1, 2}},
		{"its parent is behind it", with(start(change(entry(1, "a"), parents(2)), entry(2, "b")), passed(2, 2), on(passed(1, 1), 2)), []int64{2, 1}},

		{"frozen", frozen(with(start(entry(1, "a")), passed(1, 1))), nil},
		{"frozen, and a hotfix", frozen(with(start(entry(1, "a"), change(entry(2, "b"), hotfix)), passed(1, 1), passed(2, 2))), []int64{2}},
		{"frozen, and a batch with a hotfix", frozen(with(start(entry(1, "a"), change(entry(2, "b"), hotfix)), passed(1, 2, 1))), nil},
		{"frozen, and a hotfix on another", frozen(with(start(entry(1, "a"), change(entry(2, "a"), hotfix)), passed(1, 1), on(passed(2, 2), 1))), nil},

		{"goes with one that has not passed", with(start(change(entry(1, "a"), mates(2)), change(entry(2, "b"), mates(1))), passed(1, 1)), nil},
		{"goes with one that is outside", with(start(change(entry(1, "a"), mates(2))), passed(1, 1)), nil},
		{"goes with one that passed too", with(start(change(entry(1, "a"), mates(2)), change(entry(2, "b"), mates(1))), passed(1, 1, 2)), []int64{1, 2}},
		{"goes with one that does not ask for it", with(start(change(entry(1, "a"), mates(2)), entry(2, "b")), passed(1, 1)), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, actions := step(t, c.state, queue.Tick{})
			var got []int64
			for _, l := range find[queue.Land](actions) {
				for _, p := range l.Parts {
					if p.Branch != "main" || p.Old != c.state.Branches[0].Tip {
						t.Errorf("lands on %s from %s", p.Branch, p.Old)
					}
					for _, m := range p.Members {
						got = append(got, m.Change)
					}
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("lands %v, want %v: %+v", got, c.want, actions)
			}
		})
	}
}

// Changes for several branches that go together land in one landing, or not at all.
func TestLandsTogether(t *testing.T) {
	other := change(entry(2, "b"), mates(1))
	other.Branch = "v1"
	k := ran(2, queue.RunPassed, 2)
	k.Branch = "v1"
	s := with(start(change(entry(1, "a"), mates(2)), other), ran(1, queue.RunPassed, 1), k)
	s.Branches = append(s.Branches, queue.Branch{Name: "v1", Tip: "t1", Seq: 5})
	_, actions := step(t, s, queue.Tick{})
	got := find[queue.Land](actions)
	if len(got) != 1 || len(got[0].Parts) != 2 {
		t.Fatalf("%+v", actions)
	}
	for _, p := range got[0].Parts {
		want := map[string]queue.Part{"main": {Old: "t", Members: members(1), Candidates: []int64{1}}, "v1": {Old: "t1", Members: members(2), Candidates: []int64{2}}}[p.Branch]
		if p.Old != want.Old || !slices.Equal(p.Members, want.Members) || !slices.Equal(p.Candidates, want.Candidates) {
			t.Errorf("%+v", p)
		}
	}
	s.Branches[1].Frozen = "release"
	if _, actions := step(t, s, queue.Tick{}); len(find[queue.Land](actions)) != 0 {
		t.Errorf("one branch is frozen: %+v", actions)
	}
}

// refused is a candidate whose runs failed so often.
func refused(id int64, times int, tried ...int64) queue.Candidate {
	k := ran(id, queue.RunRefused, tried...)
	k.Run.Refusals = times
	return k
}

// Nobody leaves for one failed run, for others, for a red branch, or for lost runs.
func TestWhoIsSentAway(t *testing.T) {
	bare := func(state queue.RunState) queue.Candidate {
		k := ran(9, state)
		k.Commit = "t"
		return k
	}
	green := func(entries ...queue.Entry) queue.State { return with(start(entries...), bare(queue.RunPassed)) }
	conflict := func(id int64, tried ...int64) queue.Candidate {
		k := ran(id, queue.RunNone, tried...)
		k.Commit, k.Conflict, k.Run = "", "in a.go", queue.Run{}
		return k
	}
	errored := func(times int) queue.Candidate {
		k := ran(1, queue.RunErrored, 1)
		k.Run.Errors = times
		return k
	}
	since := func(landings ...queue.Landed) queue.State { // refused twice on 1, on a tip that came past the queue, and passed by others later
		for n := range landings {
			landings[n].Seq += int64(n)
		}
		s := after(with(start(entry(2, "a")), on(refused(2, 2, 2), 1)), landings...)
		s.Branches[0].Proven, s.Branches[0].GreenAt = true, noon.Add(-time.Minute)
		s.Candidates[0].Run.StartedAt = noon.Add(-time.Hour)
		return s
	}
	all := func(s queue.State) queue.State { // runs test all that is in their candidates
		s.Branches[0].Whole = true
		return s
	}
	// One passed on an older patch set of what landed then, and failed on that.
	newer := after(with(start(entry(2, "a")), on(ran(1, queue.RunPassed, 2), 1), refused(2, 4, 2)), landed(1, "a"))
	newer.Landed[0].PS, newer.Branches[0].Proven, newer.Branches[0].GreenAt = 2, true, noon.Add(-time.Minute)
	newer.Candidates[1].Seq, newer.Candidates[1].Proven, newer.Candidates[1].Run.StartedAt = 6, true, noon.Add(-time.Hour)
	unlucky := with(green(entry(1, "a"), entry(2, "a")), refused(1, 4, 1), on(ran(2, queue.RunPassed, 2), 1))
	unlucky.Branches[0].Whole = true
	whole := with(green(entry(1, "a"), entry(2, "a")), errored(3), on(ran(2, queue.RunPassed, 2), 1))
	whole.Branches[0].Whole = true
	older := refused(1, 2, 1)
	older.Members[0].PS = 0
	landing := with(green(entry(1, "a")), refused(1, 2, 1), ran(2, queue.RunPassed, 1))
	landing.Landings = []queue.Landing{{Parts: []queue.Part{{Branch: "main", Old: "t", Candidates: []int64{2}, Members: members(1)}}}}
	mended := after(with(start(entry(1, "a")), refused(1, 2, 1)), queue.Landed{Branch: "main", Seq: 6, Barrier: true})
	mended.Branches[0].GreenAt = noon.Add(time.Hour)
	careless := with(green(entry(1, "a")), refused(1, 1, 1))
	for range 40 { // whose changes are refused more often than not: one failed run more is no luck
		careless.Model = careless.Model.Learn(&careless.Entries[0], false)
	}
	red := with(start(entry(1, "a")), refused(1, 2, 1)) // on a tip that came past the queue
	red.Branches[0].Seq, red.Branches[0].Proven, red.Branches[0].GreenAt = 6, true, noon.Add(time.Hour)
	red.Landed = []queue.Landed{landed(2, "b")}
	for _, c := range []struct {
		name   string
		state  queue.State
		want   []int64
		reason queue.EjectReason
	}{
		{"refused once, and nobody expected better", careless, []int64{1}, queue.EjectRefused},
		{"refused twice on a tip that may have been red, and has been mended since", red, nil, ""},
		{"refused once", with(green(entry(1, "a")), refused(1, 1, 1)), nil, ""},
		{"refused twice", with(green(entry(1, "a")), refused(1, 2, 1)), []int64{1}, queue.EjectRefused},
		{"refused twice as an older patch set", with(green(entry(1, "a")), older), nil, ""},
		{"refused twice on one that may be to blame", with(green(entry(1, "a"), entry(2, "a")), on(refused(2, 2, 2), 1)), nil, ""},
		{"refused twice on one that landed", all(after(with(green(entry(2, "a")), on(refused(2, 2, 2), 1)), landed(1, "a"))), []int64{2}, queue.EjectRefused},
		{"refused twice on one that landed on just that tip, and had passed with all of it", all(since(landed(1, "a"))), []int64{2}, queue.EjectRefused},
		{"refused twice on one that landed on just that tip, of which its run may have tested little", since(landed(1, "a")), nil, ""},
		{"refused twice on one that landed after another, which may have mended the tip", since(landed(3, "a"), landed(1, "a")), nil, ""},
		{"refused again and again on another patch set than it passed on", newer, []int64{2}, queue.EjectRefused},
		{"refused by luck, again and again", unlucky, []int64{1}, queue.EjectRefused},
		{"refused by luck, again and again, and passed with another", with(green(entry(1, "a"), entry(2, "a")), refused(1, 4, 1), ran(2, queue.RunPassed, 1, 2)), nil, ""},
		{"refused twice, and the branch is red", with(start(entry(1, "a")), refused(1, 2, 1), bare(queue.RunRefused)), nil, ""},
		{"refused twice before the branch was pushed to", mended, nil, ""},
		{"a batch refused twice", with(green(entry(1, "a"), entry(2, "a")), refused(1, 2, 1, 2)), nil, ""},
		{"refused twice, and lands", landing, nil, ""},
		{"conflicts with the branch", with(green(entry(1, "a")), conflict(1, 1)), []int64{1}, queue.EjectConflict},
		{"conflicts with one that is queued", with(green(entry(1, "a"), entry(2, "a")), on(conflict(2, 2), 1)), nil, ""},
		{"a batch conflicts", with(green(entry(1, "a"), entry(2, "a")), conflict(1, 1, 2)), nil, ""},
		{"a batch conflicts, and one of it passed", with(green(entry(1, "a"), entry(2, "a"), change(entry(3), barrier)), conflict(1, 1, 2), on(ran(2, queue.RunPassed, 2), 3)), nil, ""},
		{"errored twice", with(green(entry(1, "a")), errored(2)), nil, ""},
		{"errored again and again", with(green(entry(1, "a")), errored(50)), []int64{1}, queue.EjectErrored},
		{"errored again and again, and one on it passed with all that it holds", whole, []int64{1}, queue.EjectErrored},
		{"errored again and again, and passed with another", with(green(entry(1, "a"), entry(2, "a")), errored(3), ran(2, queue.RunPassed, 1, 2)), nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, actions := step(t, c.state, queue.Tick{})
			var got []int64
			for _, e := range find[queue.Eject](actions) {
				got = append(got, e.Change)
				if e.Reason != c.reason || e.Words == "" || e.PS != 1 {
					t.Errorf("%+v", e)
				}
				if entryOf(next, e.Change) != nil {
					t.Errorf("%d is still queued", e.Change)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("sends away %v, want %v: %+v", got, c.want, actions)
			}
		})
	}
}

// Those that wait for each other for ever are told so.
func TestCycleIsSentAway(t *testing.T) {
	_, actions := step(t, start(change(entry(1, "a"), parents(2)), change(entry(2, "b"), parents(1)), entry(3, "c")), queue.Tick{})
	got := find[queue.Eject](actions)
	if len(got) == 0 {
		t.Fatalf("%+v", actions)
	}
	for _, e := range got {
		if e.Reason != queue.EjectCycle || e.Change == 3 || e.Words == "" {
			t.Errorf("%+v", e)
		}
	}
}

func TestWhatIsTried(t *testing.T) {
	full := with(start(entry(1, "a"), entry(2, "b")), ran(1, queue.RunRunning, 1))
	full.Workers = 1
	none := start(entry(1, "a"))
	none.Workers = 0
	single := start(entry(1, "a"), entry(2, "a"), entry(3, "a"), entry(4, "a"))
	single.Workers, single.Branches[0].MaxBatch = 1, 1
	asked := ran(0, queue.RunRunning, 1)
	asked.Run.ID, asked.Commit, asked.Base = 0, "", ""
	again := ran(1, queue.RunNone, 1) // after it left for the machinery and came back
	again.Run.Errors = queue.MaxErrors
	for _, c := range []struct {
		name  string
		state queue.State
		tried []int64 // that must be among the members
		not   []int64 // that must not
	}{
		{"everybody in its lane", start(entry(1, "a"), entry(2, "b")), []int64{1, 2}, nil},
		{"held", start(change(entry(1, "a"), held), entry(2, "b")), []int64{2}, []int64{1}},
		{"held after a failure", with(start(change(entry(1, "a"), held)), refused(1, 1, 1)), nil, []int64{1}},
		{"waits for a parent outside, and blocks nobody", start(change(entry(1, "a"), parents(7)), entry(2, "a")), []int64{2}, []int64{1}},
		{"no workers", none, nil, []int64{1}},
		{"no free workers", full, nil, []int64{1, 2}},
		{"one at a time", single, []int64{1}, []int64{2, 3, 4}},
		{"asked for already", with(start(entry(1, "a")), asked), nil, []int64{1}},
		{"lost", with(start(entry(1, "a")), ran(1, queue.RunNone, 1)), []int64{1}, nil},
		{"errored", with(start(entry(1, "a")), ran(1, queue.RunErrored, 1)), []int64{1}, nil},
		{"lost after the machinery had failed too often", with(start(entry(1, "a")), again), []int64{1}, nil},
		{"the branch was pushed to", after(with(start(entry(1, "a")), ran(1, queue.RunPassed, 1)), queue.Landed{Branch: "main", Seq: 6, Barrier: true}), []int64{1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, actions := step(t, c.state, queue.Tick{})
			in := map[int64]bool{}
			tries := find[queue.Try](actions)
			for _, a := range tries {
				for _, m := range a.Members {
					in[m.Change] = true
				}
				if len(a.Members) > max(1, c.state.Branches[0].MaxBatch) {
					t.Errorf("a batch of %d: %+v", len(a.Members), a)
				}
			}
			if len(tries) > c.state.Workers {
				t.Errorf("%d tries for %d workers", len(tries), c.state.Workers)
			}
			for _, want := range c.tried {
				if !in[want] {
					t.Errorf("%d is not tried: %+v", want, actions)
				}
			}
			for _, not := range c.not {
				if in[not] {
					t.Errorf("%d is tried: %+v", not, actions)
				}
			}
		})
	}
}

// A child is never tried without its parent, however unlikely that is to land.
func TestChildStandsOnItsParent(t *testing.T) {
	s := with(start(entry(1, "a"), change(entry(2, "b"), parents(1))), refused(1, 1, 1))
	_, actions := step(t, s, queue.Tick{})
	for _, a := range find[queue.Try](actions) {
		all := slices.Concat(a.On, a.Members)
		child := slices.Index(all, queue.Member{Change: 2, PS: 1})
		if parent := slices.Index(all, queue.Member{Change: 1, PS: 1}); child >= 0 && (parent < 0 || parent > child) {
			t.Errorf("%+v", a)
		}
	}
}

// A hotfix does not wait for a worker.
func TestHotfixTakesAWorker(t *testing.T) {
	s := with(start(entry(1, "a")), ran(1, queue.RunRunning, 1))
	s.Workers = 1
	_, actions := step(t, s, queue.Enqueued{Entry: change(entry(2, "b"), hotfix)})
	stopped, tries := find[queue.Cancel](actions), find[queue.Try](actions)
	if len(stopped) != 1 || stopped[0].Run != 101 || len(tries) != 1 || !slices.Contains(tries[0].Members, queue.Member{Change: 2, PS: 1}) {
		t.Errorf("%+v", actions)
	}
}
