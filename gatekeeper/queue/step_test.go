package queue_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Events that every test makes of these: change n is patch set 1 for main, queued n minutes
// after noon; candidate n is run 100+n of commit "kn".

func entry(change int64, targets ...string) queue.Entry {
	return queue.Entry{Change: change, PS: 1, Branch: "main", Targets: targets, EnqueuedAt: noon.Add(time.Duration(change) * time.Minute), Takes: 10 * time.Minute}
}

func members(changes ...int64) []queue.Member {
	var all []queue.Member
	for _, c := range changes {
		all = append(all, queue.Member{Change: c, PS: 1})
	}
	return all
}

// ran is a candidate made at the 5th landing on main, when that pointed to t.
func ran(id int64, state queue.RunState, tried ...int64) queue.Candidate {
	k := queue.Candidate{ID: id, Branch: "main", Members: members(tried...), Seq: 5, Base: "t", Commit: commit(id),
		Run: queue.Run{ID: 100 + id, State: state, StartedAt: noon}}
	switch state {
	case queue.RunRefused:
		k.Run.Refusals, k.Run.Reason = 1, "unit failed"
	case queue.RunErrored:
		k.Run.Errors, k.Run.Reason = 1, "no worker"
	case queue.RunNone, queue.RunRunning, queue.RunPassed:
	}
	return k
}

func commit(id int64) string { return "k" + string(rune('0'+id)) }

func on(k queue.Candidate, changes ...int64) queue.Candidate {
	k.On = members(changes...)
	return k
}

// start is a queue on main, which points to t after 5 landings.
func start(entries ...queue.Entry) queue.State {
	return queue.State{Workers: 4, Branches: []queue.Branch{{Name: "main", Tip: "t", Seq: 5, MaxBatch: 4}}, Entries: entries}
}

func with(s queue.State, candidates ...queue.Candidate) queue.State {
	s.Candidates = append(slices.Clone(s.Candidates), candidates...)
	return s
}

// step is Step, held to what is said of it always: it is pure, and it asks for nothing twice.
func step(t *testing.T, s queue.State, e queue.Event) (queue.State, []queue.Action) {
	t.Helper()
	given := copied(s)
	next, actions := queue.Step(s, e, noon)
	if !reflect.DeepEqual(given, copied(s)) {
		t.Fatalf("%T: the state that was given changed from\n%+v to\n%+v", e, given, s)
	}
	again, same := queue.Step(s, e, noon)
	if !reflect.DeepEqual(next, again) || !reflect.DeepEqual(actions, same) {
		t.Fatalf("%T: %+v the first time, %+v the second", e, actions, same)
	}
	_, twice := queue.Step(next, queue.Tick{}, noon)
	for _, a := range twice {
		if slices.ContainsFunc(actions, func(b queue.Action) bool { return reflect.DeepEqual(a, b) }) {
			t.Fatalf("%T: asked for again before it is answered: %+v", e, a)
		}
	}
	return next, actions
}

// copied shares nothing with s that a step may write to.
func copied(s queue.State) queue.State {
	s.Branches, s.Landed = slices.Clone(s.Branches), slices.Clone(s.Landed)
	s.Entries, s.Candidates, s.Landings = slices.Clone(s.Entries), slices.Clone(s.Candidates), slices.Clone(s.Landings)
	for i, e := range s.Entries {
		e.Targets, e.Parents, e.With = slices.Clone(e.Targets), slices.Clone(e.Parents), slices.Clone(e.With)
		s.Entries[i] = e
	}
	for i, k := range s.Candidates {
		k.Members, k.On = slices.Clone(k.Members), slices.Clone(k.On)
		s.Candidates[i] = k
	}
	for i, l := range s.Landings {
		s.Landings[i].Parts = slices.Clone(l.Parts)
	}
	return s
}

func find[A queue.Action](actions []queue.Action) []A {
	var all []A
	for _, a := range actions {
		if one, ok := a.(A); ok {
			all = append(all, one)
		}
	}
	return all
}

func entryOf(s queue.State, change int64) *queue.Entry {
	for i := range s.Entries {
		if s.Entries[i].Change == change {
			return &s.Entries[i]
		}
	}
	return nil
}

func candidateOf(s queue.State, id int64) *queue.Candidate {
	for i := range s.Candidates {
		if s.Candidates[i].ID == id {
			return &s.Candidates[i]
		}
	}
	return nil
}

func TestEnqueued(t *testing.T) {
	old := entry(1, "a")
	old.PS = 2
	for _, c := range []struct {
		name string
		give queue.Entry
		want func(have queue.Entry) bool
	}{
		{"another change", entry(2, "b"), func(have queue.Entry) bool { return have.PS == 2 && have.EnqueuedAt.Equal(old.EnqueuedAt) }},
		{"an older patch set changes nothing", queue.Entry{Change: 1, PS: 1, Branch: "main", Targets: []string{"z"}}, func(have queue.Entry) bool { return reflect.DeepEqual(have, old) }},
		{"the same patch set keeps its place", queue.Entry{Change: 1, PS: 2, Branch: "main", Targets: []string{"z"}, EnqueuedAt: noon.Add(time.Hour)}, func(have queue.Entry) bool {
			return have.Targets[0] == "z" && have.EnqueuedAt.Equal(old.EnqueuedAt)
		}},
		{"a newer one takes a new place", queue.Entry{Change: 1, PS: 3, Branch: "main", EnqueuedAt: noon.Add(time.Hour)}, func(have queue.Entry) bool {
			return have.PS == 3 && have.EnqueuedAt.Equal(noon.Add(time.Hour))
		}},
		{"a newer one without a time enters now", queue.Entry{Change: 1, PS: 3, Branch: "main"}, func(have queue.Entry) bool { return have.PS == 3 && have.EnqueuedAt.Equal(noon) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, _ := step(t, start(old), queue.Enqueued{Entry: c.give})
			if have := entryOf(next, 1); have == nil || !c.want(*have) {
				t.Errorf("%+v", have)
			}
			if have := entryOf(next, c.give.Change); have == nil {
				t.Errorf("%d is not queued", c.give.Change)
			}
		})
	}
}

func TestRemoved(t *testing.T) {
	child, leaf := entry(2, "b"), entry(3, "c")
	child.Parents, leaf.Parents = []int64{1}, []int64{1, 2}
	s := with(start(entry(1, "a"), child, leaf), ran(1, queue.RunRunning, 1))
	left, actions := step(t, s, queue.Removed{Change: 1})
	if entryOf(left, 1) != nil || !slices.Equal(entryOf(left, 2).Parents, []int64{1}) {
		t.Errorf("withdrawn: %+v", left.Entries)
	}
	if want := []queue.Cancel{{Candidate: 1, Run: 101}}; len(find[queue.Cancel](actions)) != 1 || find[queue.Cancel](actions)[0].Run != want[0].Run {
		t.Errorf("withdrawn: its run is not stopped: %+v", actions)
	}
	landed, _ := step(t, s, queue.Removed{Change: 1, Landed: true})
	if entryOf(landed, 1) != nil || len(entryOf(landed, 2).Parents) != 0 || !slices.Equal(entryOf(landed, 3).Parents, []int64{2}) {
		t.Errorf("landed: %+v", landed.Entries)
	}
	if gone, _ := step(t, s, queue.Removed{Change: 9}); len(gone.Entries) != 3 {
		t.Errorf("somebody else: %+v", gone.Entries)
	}
}

func TestBranchSet(t *testing.T) {
	s := with(start(entry(1, "a")), ran(1, queue.RunRunning, 1))
	for _, c := range []struct {
		name  string
		give  queue.Branch
		seq   int64
		moved bool
	}{
		{"the same", s.Branches[0], 5, false},
		{"frozen", queue.Branch{Name: "main", Tip: "t", Seq: 5, Frozen: "release"}, 5, false},
		{"pushed to", queue.Branch{Name: "main", Tip: "x", Seq: 6}, 6, true},
		{"pushed to, and nobody counted", queue.Branch{Name: "main", Tip: "x", Seq: 5}, 6, true},
		{"pushed to, and counted from nothing", queue.Branch{Name: "main", Tip: "x"}, 6, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, actions := step(t, s, queue.BranchSet{Branch: c.give})
			if b := next.Branches[0]; b.Tip != c.give.Tip || b.Seq != c.seq || b.Frozen != c.give.Frozen {
				t.Errorf("%+v", b)
			}
			if stopped := len(find[queue.Cancel](actions)) > 0; stopped != c.moved {
				t.Errorf("the run is stopped: %t, want %t", stopped, c.moved)
			}
		})
	}
	next, _ := step(t, s, queue.BranchSet{Branch: queue.Branch{Name: "v1", Tip: "y", Seq: 3}})
	if len(next.Branches) != 2 || next.Branches[1].Seq != 3 {
		t.Errorf("a new branch: %+v", next.Branches)
	}
}

func TestRunEnded(t *testing.T) {
	errored := ran(1, queue.RunRunning, 1)
	errored.Run.Errors = 1
	s := with(start(entry(1, "a")), errored)
	s.Workers = 0 // nothing is tried again: what the verdict left is seen
	for _, c := range []struct {
		state             queue.RunState
		refusals, errored int
	}{{queue.RunPassed, 0, 1}, {queue.RunRefused, 1, 1}, {queue.RunErrored, 0, 2}} {
		next, _ := step(t, s, queue.RunEnded{Candidate: 1, Run: 101, Commit: "k1", State: c.state, Reason: "because"})
		k := candidateOf(next, 1)
		if k == nil || k.Run.State != c.state || k.Run.Refusals != c.refusals || k.Run.Errors != c.errored || k.Run.Reason != "because" || !k.Run.EndedAt.Equal(noon) {
			t.Errorf("%s: %+v", c.state, k)
		}
	}
	next, _ := step(t, s, queue.RunEnded{Candidate: 1, Run: 101, Commit: "k1"})
	if k := candidateOf(next, 1); k != nil && (k.Run.State != queue.RunNone || k.Run.Refusals != 0 || k.Run.Errors != 1) {
		t.Errorf("a lost run counts: %+v", k.Run)
	}
}

// What is no news does what a tick does.
func TestStaleEvents(t *testing.T) {
	landing := []queue.Part{{Branch: "main", Old: "t", Candidates: []int64{3}, Members: members(3)}}
	s := with(start(entry(1, "a"), entry(2, "b"), entry(3, "c")), ran(1, queue.RunRunning, 1), ran(2, queue.RunRefused, 2), ran(3, queue.RunPassed, 3))
	s.Landings = []queue.Landing{{Parts: landing}}
	old := entry(1, "z")
	old.PS = 0
	other := slices.Clone(landing)
	other[0].Old = "s"
	wantNext, wantActions := step(t, s, queue.Tick{})
	for name, e := range map[string]queue.Event{
		"another candidate":     queue.RunEnded{Candidate: 9, Run: 101, Commit: "k1", State: queue.RunPassed},
		"another run":           queue.RunEnded{Candidate: 1, Run: 99, Commit: "k1", State: queue.RunPassed},
		"no run":                queue.RunEnded{Candidate: 1, Commit: "k1", State: queue.RunPassed},
		"another commit":        queue.RunEnded{Candidate: 1, Run: 101, Commit: "k9", State: queue.RunPassed},
		"ended, passed again":   queue.RunEnded{Candidate: 3, Run: 103, Commit: "k3", State: queue.RunPassed},
		"ended, refused now":    queue.RunEnded{Candidate: 3, Run: 103, Commit: "k3", State: queue.RunRefused},
		"ended, refused again":  queue.RunEnded{Candidate: 2, Run: 102, Commit: "k2", State: queue.RunRefused},
		"tried again":           queue.Tried{Branch: "main", Members: members(1), ID: 1, Run: 101, Base: "t", Commit: "k1"},
		"a conflict too late":   queue.Tried{Branch: "main", Members: members(1), ID: 1, Base: "t", Conflict: "in a.go"},
		"an unknown conflict":   queue.Tried{Branch: "main", Members: members(7), ID: 7, Base: "t", Conflict: "in a.go"},
		"a landing nobody asks": queue.LandDone{Parts: other, Landed: true, Tips: map[string]string{"main": "x"}},
		"an older patch set":    queue.Enqueued{Entry: old},
		"the same entry":        queue.Enqueued{Entry: entry(1, "a")},
		"nobody left":           queue.Removed{Change: 9, Landed: true},
		"the same branch":       queue.BranchSet{Branch: s.Branches[0]},
		"as many workers":       queue.WorkersSet{Workers: 4},
	} {
		t.Run(name, func(t *testing.T) {
			next, actions := step(t, s, e)
			if !reflect.DeepEqual(next, wantNext) || !reflect.DeepEqual(actions, wantActions) {
				t.Errorf("asks for %+v, and a tick for %+v; state\n%+v\nand after a tick\n%+v", actions, wantActions, next, wantNext)
			}
		})
	}
}

// A run that was started too late for anybody is stopped.
func TestTriedForNobody(t *testing.T) {
	_, actions := step(t, start(), queue.Tried{Branch: "main", Members: members(7), ID: 7, Run: 107, Base: "t", Commit: "k7"})
	if got := find[queue.Cancel](actions); len(got) != 1 || got[0].Candidate != 7 || got[0].Run != 107 {
		t.Errorf("%+v", actions)
	}
}

func TestTried(t *testing.T) {
	s, actions := step(t, start(entry(1, "a")), queue.Tick{})
	asked := find[queue.Try](actions)
	if len(asked) != 1 || !slices.Equal(asked[0].Members, members(1)) || asked[0].Attempt != 1 {
		t.Fatalf("%+v", actions)
	}
	running, _ := step(t, s, answer(asked[0], 1))
	if k := candidateOf(running, 1); k == nil || k.Commit != "k1" || k.Run.ID != 101 || k.Run.State != queue.RunRunning || !k.Run.StartedAt.Equal(noon) {
		t.Errorf("%+v", running.Candidates)
	}
	conflicts, actions := step(t, s, queue.Tried{Ask: asked[0].Ask, Branch: "main", Members: asked[0].Members, On: asked[0].On, ID: 1, Seq: 5, Base: "t", Conflict: "in a.go"})
	ejected := find[queue.Eject](actions)
	if len(ejected) != 1 || ejected[0].Reason != queue.EjectConflict || ejected[0].Words != "in a.go" || ejected[0].Candidate != 1 || entryOf(conflicts, 1) != nil {
		t.Errorf("%+v", actions)
	}
}

func TestLandDone(t *testing.T) {
	child := entry(3, "c")
	child.Parents = []int64{1}
	s := with(start(entry(1, "a"), entry(2, "b"), child), ran(1, queue.RunPassed, 1, 2))
	s, actions := step(t, s, queue.Tick{})
	asked := find[queue.Land](actions)
	if len(asked) != 1 {
		t.Fatalf("%+v", actions)
	}
	landed, _ := step(t, s, queue.LandDone{Parts: asked[0].Parts, Ask: asked[0].Ask, Landed: true, Tips: map[string]string{"main": "k1"}})
	if b := landed.Branches[0]; b.Tip != "k1" || b.Seq != 7 || len(landed.Landings) != 0 {
		t.Errorf("%+v", landed)
	}
	if entryOf(landed, 1) != nil || entryOf(landed, 2) != nil || len(entryOf(landed, 3).Parents) != 0 {
		t.Errorf("%+v", landed.Entries)
	}
	refused, actions := step(t, s, queue.LandDone{Parts: asked[0].Parts, Ask: asked[0].Ask, Tips: map[string]string{"main": "x"}})
	if b := refused.Branches[0]; b.Tip != "x" || b.Seq <= 5 || len(refused.Entries) != 3 {
		t.Errorf("%+v", refused)
	}
	if again := find[queue.Land](actions); len(again) != 0 {
		t.Errorf("lands on a branch that moved: %+v", again)
	}
	same, actions := step(t, s, queue.LandDone{Parts: asked[0].Parts, Ask: asked[0].Ask, Tips: map[string]string{"main": "t"}})
	if again := find[queue.Land](actions); same.Branches[0].Seq != 5 || len(again) != 0 {
		t.Errorf("what was refused lands as it is: %+v, %+v", same.Branches, again)
	}
	twice, _ := step(t, landed, queue.LandDone{Parts: asked[0].Parts, Ask: asked[0].Ask, Landed: true, Tips: map[string]string{"main": "k1"}})
	if twice.Branches[0].Seq != 7 {
		t.Errorf("counted twice: %+v", twice.Branches)
	}
}

// The clock may jump either way: nothing depends on it but the order of those that enter.
func TestClockJumps(t *testing.T) {
	s := with(start(entry(1, "a"), entry(2, "b")), ran(1, queue.RunPassed, 1), ran(2, queue.RunRunning, 2))
	want, wantActions := queue.Step(s, queue.Tick{}, noon)
	for _, now := range []time.Time{{}, noon.AddDate(-30, 0, 0), noon.AddDate(30, 0, 0)} {
		next, actions := queue.Step(s, queue.Tick{}, now)
		if !reflect.DeepEqual(actions, wantActions) || !reflect.DeepEqual(next.Entries, want.Entries) || !reflect.DeepEqual(next.Candidates, want.Candidates) {
			t.Errorf("at %v: %+v, want %+v", now, actions, wantActions)
		}
	}
}

// answer is the answer to a Try whose run was started.
func answer(a queue.Try, id int64) queue.Tried {
	return queue.Tried{Ask: a.Ask, Branch: a.Branch, Members: a.Members, On: a.On, ID: id, Seq: 5, Run: 100 + id, Base: "t", Commit: commit(id)}
}
