package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// world is a controller with its rows and its branch, which can lose all but the rows at any
// moment. It checks the invariants on every action.
type world struct {
	t   *rapid.T
	now time.Time

	// What survives a crash.
	log        []string // the branch, oldest first; the last is the tip
	entries    map[int64]Entry
	current    map[int64]int // newest patch set of each change
	parents    map[int64][]int64
	landed     map[int64]bool
	candidates []*candidateRow
	runs       []*runRow
	intent     *Landing

	// What does not.
	state   State
	pending []Action // to be carried out
	inbox   []Event  // to be delivered
	history []Event  // delivered before: duplicates come from here

	rebuilds bool // the controller throws the state away after every step
	fair     bool // nothing goes wrong any more
}

type candidateRow struct {
	id                     int64
	change                 int64
	ps                     int
	base, commit, conflict string
}

type runRow struct {
	id, candidate int64
	state         RunState // "" is superseded
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: noon, log: []string{"root"}, entries: map[int64]Entry{}, current: map[int64]int{},
		parents: map[int64][]int64{}, landed: map[int64]bool{}, rebuilds: rapid.Bool().Draw(t, "rebuilds")}
	w.state = w.rebuild()
	return w
}

func (w *world) tip() string { return w.log[len(w.log)-1] }

// rebuild makes a state from the rows, as the controller does on every look.
func (w *world) rebuild() State {
	s := State{Branch: "main", Tip: w.tip()}
	for _, e := range w.entries {
		e.Parents = w.open(e.Change)
		s.Entries = append(s.Entries, e)
	}
	slices.SortFunc(s.Entries, func(a, b Entry) int { return int(b.Change - a.Change) }) // any order
	for _, row := range w.candidates {
		if e, queued := w.entries[row.change]; !queued || e.PS != row.ps {
			continue
		}
		k := Candidate{ID: row.id, Change: row.change, PS: row.ps, Base: row.base, Commit: row.commit, Conflict: row.conflict}
		for _, r := range w.runs {
			if r.candidate != row.id || r.state == RunNone {
				continue
			}
			k.Run.ID, k.Run.State = r.id, r.state
			if r.state == RunErrored {
				k.Run.Errors++
			}
		}
		s.Candidates = append(s.Candidates, k)
	}
	if w.intent != nil {
		intent := *w.intent
		s.Landing = &intent
	}
	return s
}

// open lists the parents of a change that have not landed.
func (w *world) open(change int64) []int64 {
	var open []int64
	for _, p := range w.parents[change] {
		if !w.landed[p] {
			open = append(open, p)
		}
	}
	return open
}

// step feeds an event to the queue and checks what comes back.
func (w *world) step(e Event) {
	if w.rebuilds {
		w.state, w.pending = w.rebuild(), nil
	}
	before, copied := w.state, w.state.clone()
	after, actions := Step(before, e, w.now)
	if diff := cmp.Diff(copied, before); diff != "" {
		w.t.Fatalf("Step changed its argument: %s", diff)
	}
	if again, same := Step(before, e, w.now); !cmp.Equal(after, again) || !cmp.Equal(actions, same) {
		w.t.Fatalf("Step gave two answers")
	}
	lands := 0
	for _, a := range actions {
		if land, ok := a.(Land); ok {
			lands++
			w.checkLand(after, land)
		}
	}
	if lands > 1 || lands == 1 && before.Landing != nil && after.Landing.Commit == before.Landing.Commit && !answered(e) {
		w.t.Fatalf("%d landings while %+v is outstanding", lands, before.Landing)
	}
	w.state = after
	w.pending = append(w.pending, actions...)
	w.history = append(w.history, e)
}

func answered(e Event) bool { _, ok := e.(LandDone); return ok }

// checkLand holds a Land against the rows: exactly this commit passed on exactly this base.
func (w *world) checkLand(s State, a Land) {
	i := slices.IndexFunc(s.Entries, func(e Entry) bool { return e.Change == a.Change })
	if i < 0 || s.Entries[i].PS != a.PS || len(s.Entries[i].Parents) > 0 || a.Old != s.Tip {
		w.t.Fatalf("%+v does not fit the state %+v", a, s)
	}
	if w.landed[a.Change] {
		w.t.Fatalf("change %d has landed and is to land again", a.Change)
	}
	if !w.passed(a) {
		w.t.Fatalf("%+v did not pass its run", a)
	}
}

func (w *world) passed(a Land) bool {
	return slices.ContainsFunc(w.candidates, func(k *candidateRow) bool {
		return k.id == a.Candidate && k.change == a.Change && k.ps == a.PS && k.base == a.Old && k.commit == a.Commit &&
			slices.ContainsFunc(w.runs, func(r *runRow) bool { return r.id == a.Run && r.candidate == k.id && r.state == RunPassed })
	})
}

// act carries out one pending action; its answer goes into the inbox.
func (w *world) act(a Action) {
	switch a := a.(type) {
	case MakeCandidate:
		w.make(a)
	case StartRun:
		w.startRun(a)
	case Land:
		w.land(a)
	case Eject:
		if e, ok := w.entries[a.Change]; ok && e.PS == a.PS {
			delete(w.entries, a.Change)
		}
	case CancelRun:
		for _, r := range w.runs {
			if r.id == a.Run && r.state == RunRunning {
				r.state = RunNone
			}
		}
	default:
		w.t.Fatalf("unknown action %T", a)
	}
}

func (w *world) make(a MakeCandidate) {
	i := slices.IndexFunc(w.candidates, func(k *candidateRow) bool {
		return k.change == a.Change && k.ps == a.PS && k.base == a.Base
	})
	if i < 0 {
		i = len(w.candidates)
		k := &candidateRow{id: int64(1000 + i), change: a.Change, ps: a.PS, base: a.Base}
		if !w.fair && rapid.IntRange(0, 9).Draw(w.t, "conflicts") == 0 {
			k.conflict = "conflicts in a.go"
		} else {
			k.commit = fmt.Sprintf("%d.%d on %s", a.Change, a.PS, a.Base)
		}
		w.candidates = append(w.candidates, k)
	}
	k := w.candidates[i]
	w.inbox = append(w.inbox, CandidateMade{ID: k.id, Change: k.change, PS: k.ps, Base: k.base, Commit: k.commit, Conflict: k.conflict})
}

func (w *world) startRun(a StartRun) {
	for _, r := range w.runs {
		if r.candidate == a.Candidate && (r.state == RunRunning || r.state == RunPassed) {
			w.inbox = append(w.inbox, RunStarted{a.Candidate, r.id})
			return
		}
	}
	r := &runRow{id: int64(5000 + len(w.runs)), candidate: a.Candidate, state: RunRunning}
	w.runs = append(w.runs, r)
	w.inbox = append(w.inbox, RunStarted{a.Candidate, r.id})
}

// endRun gives a verdict, as a worker does.
func (w *world) endRun(r *runRow, state RunState) {
	if r.state != RunRunning {
		return
	}
	r.state = state
	for _, k := range w.candidates {
		if k.id == r.candidate {
			w.inbox = append(w.inbox, RunEnded{Candidate: k.id, Run: r.id, Base: k.base, Commit: k.commit, State: state, Reason: "because"})
		}
	}
}

// land writes the intent after looking at the rows again; the branch moves in moveBranch.
func (w *world) land(a Land) {
	if w.intent != nil {
		w.t.Fatalf("a second landing while %+v is open", w.intent)
	}
	e, queued := w.entries[a.Change]
	if !queued || e.PS != a.PS || !w.passed(a) || len(w.open(a.Change)) > 0 {
		w.inbox = append(w.inbox, LandDone{Change: a.Change, Commit: a.Commit, Tip: w.tip()})
		return
	}
	w.intent = &Landing{Change: a.Change, PS: a.PS, Candidate: a.Candidate, Commit: a.Commit, Old: a.Old}
}

// moveBranch finishes an open intent: the compare-and-swap and its outcome, or, after a crash
// between the two, the outcome alone.
func (w *world) moveBranch(crashBetween bool) {
	in := w.intent
	if in == nil {
		return
	}
	done := slices.Contains(w.log, in.Commit)
	if !done && w.tip() == in.Old {
		w.checkStack(in)
		w.log = append(w.log, in.Commit)
		done = true
		if crashBetween {
			return
		}
	}
	w.intent = nil
	if done {
		if w.landed[in.Change] {
			w.t.Fatalf("change %d landed twice", in.Change)
		}
		w.landed[in.Change] = true
		delete(w.entries, in.Change)
	}
	w.inbox = append(w.inbox, LandDone{Change: in.Change, Commit: in.Commit, Landed: done, Tip: w.tip()})
}

func (w *world) checkStack(in *Landing) {
	if open := w.open(in.Change); len(open) > 0 {
		w.t.Fatalf("change %d lands before %v", in.Change, open)
	}
}

func (w *world) crash() {
	w.pending, w.inbox = nil, nil
	w.state = w.rebuild()
}

// deliver takes one event out of the inbox, in any order.
func (w *world) deliver() {
	if len(w.inbox) == 0 {
		w.step(Tick{})
		return
	}
	i := rapid.IntRange(0, len(w.inbox)-1).Draw(w.t, "event")
	e := w.inbox[i]
	w.inbox = slices.Delete(w.inbox, i, i+1)
	w.step(e)
}

// push makes a change or a new patch set of one; whoever pushed asks to land it.
func (w *world) push() {
	const most = 6
	change := int64(rapid.IntRange(1, most).Draw(w.t, "change"))
	if w.landed[change] {
		return
	}
	if w.current[change] == 0 && change > 1 && rapid.Bool().Draw(w.t, "stacked") {
		w.parents[change] = []int64{change - 1}
	}
	w.current[change]++
	w.enqueue(change)
}

func (w *world) enqueue(change int64) {
	if w.landed[change] || w.current[change] == 0 {
		return
	}
	if e, queued := w.entries[change]; queued && e.PS == w.current[change] {
		return
	}
	w.now = w.now.Add(time.Second)
	e := Entry{Change: change, PS: w.current[change], EnqueuedAt: w.now, Parents: w.open(change)}
	w.entries[change] = e
	w.inbox = append(w.inbox, Enqueued{e})
}

// disturb does one thing that a queue must live with.
func (w *world) disturb() {
	switch rapid.IntRange(0, 9).Draw(w.t, "what") {
	case 0, 1, 2:
		w.push()
	case 3:
		w.enqueue(int64(rapid.IntRange(1, 6).Draw(w.t, "again")))
	case 4:
		change := int64(rapid.IntRange(1, 6).Draw(w.t, "gone"))
		if w.intent == nil || w.intent.Change != change {
			delete(w.entries, change)
			w.inbox = append(w.inbox, Removed{Change: change, Reason: "abandoned"})
		}
	case 5:
		w.log = append(w.log, fmt.Sprintf("outside %d", len(w.log)))
		w.inbox = append(w.inbox, TipMoved{w.tip()})
	case 6:
		w.crash()
	case 7:
		w.moveBranch(true)
		w.crash()
	case 8:
		if len(w.history) > 0 {
			w.inbox = append(w.inbox, rapid.SampledFrom(w.history).Draw(w.t, "again"))
		}
	case 9:
		w.step(Tick{})
	}
}

// work does one thing that the controller and the workers do by themselves.
func (w *world) work() {
	switch rapid.IntRange(0, 3).Draw(w.t, "work") {
	case 0:
		w.deliver()
	case 1:
		if len(w.pending) > 0 {
			a := w.pending[0]
			w.pending = w.pending[1:]
			w.act(a)
		}
	case 2:
		if len(w.runs) > 0 {
			ends := []RunState{RunPassed, RunPassed, RunPassed, RunRefused, RunErrored}
			w.endRun(rapid.SampledFrom(w.runs).Draw(w.t, "run"), rapid.SampledFrom(ends).Draw(w.t, "ends"))
		}
	case 3:
		w.moveBranch(false)
	}
}

// duplicates of old tips, entries and landings are no truth about the rows; a controller never
// makes them. What may come twice are the answers.
func (w *world) forgetUntruths() {
	w.history = slices.DeleteFunc(w.history, func(e Event) bool {
		switch e.(type) {
		case CandidateMade, RunStarted, RunEnded, LandDone:
			return false
		}
		return true
	})
}

// settle lets every action and every run come to an end, until nothing moves any more.
func (w *world) settle() {
	w.fair = true
	w.crash()
	ends := rapid.SampledFrom([]RunState{RunPassed, RunPassed, RunRefused, RunErrored})
	const enough = 100 // each of six changes takes a handful of rounds
	for range enough {
		w.step(Tick{})
		actions := w.pending
		w.pending = nil
		for _, a := range actions {
			w.act(a)
		}
		for _, r := range w.runs {
			if r.state == RunRunning {
				w.endRun(r, ends.Draw(w.t, "ends"))
			}
		}
		w.moveBranch(false)
		for len(w.inbox) > 0 {
			e := w.inbox[0]
			w.inbox = w.inbox[1:]
			w.step(e)
		}
	}
	_, stuck := w.rebuild().Turns()
	if len(w.entries) != len(stuck) {
		w.t.Fatalf("the queue does not drain: entries %v, stuck %v, state %+v", w.entries, stuck, w.state)
	}
}

func TestWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
				w.disturb()
			} else {
				w.work()
			}
			w.forgetUntruths()
		}
		w.settle()
		w.checkLog()
	})
}

// checkLog holds the branch against the rows: a chain of commits, each made for the one
// before it, each of a change at most once, children after their parents.
func (w *world) checkLog() {
	at := map[int64]int{}
	for i, commit := range w.log {
		for _, k := range w.candidates {
			if k.commit != commit {
				continue
			}
			if k.base != w.log[i-1] {
				w.t.Fatalf("%q landed on %q", commit, w.log[i-1])
			}
			if before, twice := at[k.change]; twice {
				w.t.Fatalf("change %d landed at %d and %d", k.change, before, i)
			}
			at[k.change] = i
		}
	}
	for change, i := range at {
		for _, p := range w.parents[change] {
			if j, ok := at[p]; !ok || j > i {
				w.t.Fatalf("change %d landed without its parent %d: %v", change, p, w.log)
			}
		}
	}
}

// Ten thousand entries that all conflict are out in one step, and the one that does not is tried.
func TestPoison(t *testing.T) {
	const many = 10_000
	s := State{Tip: "t"}
	for i := int64(1); i <= many; i++ {
		s.Entries = append(s.Entries, entry(i))
		s.Candidates = append(s.Candidates, Candidate{ID: i, Change: i, PS: 1, Base: "t", Conflict: "conflict"})
	}
	s.Entries = append(s.Entries, entry(many+1))
	after, actions := Step(s, Tick{}, noon)
	if len(actions) != many+1 || len(after.Entries) != 1 {
		t.Errorf("%d actions, %d entries left", len(actions), len(after.Entries))
	}
}
