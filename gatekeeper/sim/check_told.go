package sim

import (
	"slices"
	"time"

	"gatehouse/gatekeeper/queue"
)

// told is what the queue can know: what it has been told and what it has asked for, kept by
// the plainest means.
type told struct {
	workers  int
	branches map[string]queue.Branch
	entries  map[int64]queue.Entry
	asked    []queue.Try    // not answered
	runs     []liveRun      // that it knows to be under way
	over     map[int64]bool // runs that it knows to have ended
	landings []queue.Land
	landed   map[int64]queue.Landed // as what they were queued when they landed
}

type liveRun struct {
	candidate, run int64
	commit, branch string
}

// learn is what is known from rows.
func learn(s queue.State, landed []queue.Landed) *told {
	t := &told{workers: s.Workers, branches: map[string]queue.Branch{}, entries: map[int64]queue.Entry{}, landed: map[int64]queue.Landed{}, over: map[int64]bool{}}
	for _, l := range landed {
		t.landed[l.Change] = l
	}
	for _, b := range s.Branches {
		t.branches[b.Name] = b
	}
	for _, e := range s.Entries {
		t.entries[e.Change] = e
	}
	for _, k := range s.Candidates {
		if k.Run.State == queue.RunRunning {
			t.runs = append(t.runs, liveRun{k.ID, k.Run.ID, k.Commit, k.Branch})
		}
	}
	for _, l := range s.Landings {
		t.landings = append(t.landings, queue.Land(l))
	}
	return t
}

// take notes an event; it says whether the event is no news.
func (t *told) take(e queue.Event, now time.Time) (stale bool) {
	switch e := e.(type) {
	case queue.Enqueued:
		return t.enqueued(e.Entry, now)
	case queue.Removed:
		_, known := t.entries[e.Change]
		return !t.gone(e.Change, e.Landed) && !known
	case queue.BranchSet:
		return t.branchSet(e.Branch)
	case queue.WorkersSet:
		stale = t.workers == e.Workers
		t.workers = e.Workers
		return stale
	case queue.Tried:
		return t.tried(e)
	case queue.RunEnded:
		return t.runEnded(e, now)
	case queue.LandDone:
		return t.landDone(e)
	default:
		return true
	}
}

func (t *told) enqueued(e queue.Entry, now time.Time) bool {
	have, known := t.entries[e.Change]
	if known && e.PS < have.PS {
		return true
	}
	if known && e.PS == have.PS {
		e.EnqueuedAt = have.EnqueuedAt
	}
	if e.EnqueuedAt.IsZero() {
		e.EnqueuedAt = now
	}
	t.entries[e.Change] = e
	return known && sameEntry(have, e)
}

// live says whether a run is under way, and just that.
func (t *told) live(e queue.RunEnded) bool { return t.find(e) >= 0 }

func (t *told) find(e queue.RunEnded) int {
	return slices.IndexFunc(t.runs, func(r liveRun) bool { return r.candidate == e.Candidate && r.run == e.Run && r.commit == e.Commit })
}

func (t *told) runEnded(e queue.RunEnded, now time.Time) bool {
	i := t.find(e)
	if i < 0 {
		return true
	}
	if b := t.branches[t.runs[i].branch]; e.State == queue.RunPassed && b.GreenAt.Before(now) {
		b.GreenAt = now
		t.branches[b.Name] = b
	}
	t.runs = slices.DeleteFunc(t.runs, func(r liveRun) bool { return r.run == e.Run })
	t.over[e.Run] = true
	return false
}

// gone takes a change out; it says whether others waited for its landing. What has landed is
// waited for no more.
func (t *told) gone(change int64, landed bool) bool {
	delete(t.entries, change)
	waited := false
	for c, e := range t.entries {
		if landed && slices.Contains(slices.Concat(e.Parents, e.With), change) {
			is := func(p int64) bool { return p == change }
			e.Parents, e.With = slices.DeleteFunc(slices.Clone(e.Parents), is), slices.DeleteFunc(slices.Clone(e.With), is)
			t.entries[c] = e
			waited = true
		}
	}
	return waited
}

func (t *told) branchSet(b queue.Branch) bool {
	have := t.branches[b.Name]
	if have.Tip != b.Tip {
		b.Seq, b.Proven = max(b.Seq, have.Seq+1), false
	}
	t.branches[b.Name] = b
	return have == b
}

func (t *told) tried(e queue.Tried) bool {
	i := slices.IndexFunc(t.asked, func(a queue.Try) bool {
		return a.Ask == e.Ask && a.Branch == e.Branch && slices.Equal(a.Members, e.Members) && slices.Equal(a.On, e.On)
	})
	if i < 0 {
		return true
	}
	t.asked = slices.Delete(t.asked, i, i+1)
	if r := (liveRun{e.ID, e.Run, e.Commit, e.Branch}); e.Conflict == "" && !slices.Contains(t.runs, r) {
		t.runs = append(t.runs, r)
	}
	return false
}

func (t *told) landDone(e queue.LandDone) bool {
	i := slices.IndexFunc(t.landings, func(l queue.Land) bool { return l.Ask == e.Ask && sameParts(l.Parts, e.Parts) })
	if i < 0 {
		return true
	}
	t.landings = slices.Delete(t.landings, i, i+1)
	for _, p := range e.Parts {
		b := t.branches[p.Branch]
		if e.Landed {
			b.Seq += int64(len(p.Members))
			b.Tip, b.Proven = e.Tips[p.Branch], true
			for _, x := range p.Members {
				was := t.entries[x.Change]
				t.landed[x.Change] = queue.Landed{Branch: p.Branch, Change: x.Change, PS: x.PS, Targets: was.Targets, Barrier: was.Barrier}
				t.gone(x.Change, true)
			}
		} else if tip := e.Tips[p.Branch]; tip != b.Tip {
			b.Tip, b.Proven = tip, false
			b.Seq++
		}
		t.branches[p.Branch] = b
	}
	return false
}

func sameParts(a, b []queue.Part) bool {
	return slices.EqualFunc(a, b, func(x, y queue.Part) bool {
		return x.Branch == y.Branch && x.Old == y.Old && slices.Equal(x.Candidates, y.Candidates) && slices.Equal(x.Members, y.Members)
	})
}

func sameEntry(a, b queue.Entry) bool {
	return a.Change == b.Change && a.PS == b.PS && a.Branch == b.Branch && a.EnqueuedAt.Equal(b.EnqueuedAt) &&
		slices.Equal(a.Targets, b.Targets) && a.Barrier == b.Barrier && slices.Equal(a.Parents, b.Parents) && slices.Equal(a.With, b.With) &&
		a.Priority == b.Priority && a.Held == b.Held && a.Takes == b.Takes && a.Author == b.Author && a.Size == b.Size
}

// agrees fails when the state says something else than what it was told.
func (t *told) agrees(s queue.State) {
	if s.Workers != t.workers {
		fail("book", "the state has %d workers, and was told of %d", s.Workers, t.workers)
	}
	if len(s.Branches) != len(t.branches) || len(s.Entries) != len(t.entries) {
		fail("book", "the state has %d branches and %d entries, and was told of %d and %d", len(s.Branches), len(s.Entries), len(t.branches), len(t.entries))
	}
	for _, b := range s.Branches {
		if b != t.branches[b.Name] {
			fail("book", "the state has the branch %+v, and was told %+v", b, t.branches[b.Name])
		}
	}
	for _, e := range s.Entries {
		if !sameEntry(e, t.entries[e.Change]) {
			fail("book", "the state has the entry %+v, and was told %+v", e, t.entries[e.Change])
		}
	}
	if !slices.EqualFunc(s.Landings, t.landings, func(a queue.Landing, b queue.Land) bool { return a.Ask == b.Ask && sameParts(a.Parts, b.Parts) }) {
		fail("book", "the state waits for the landings %v, and asked for %v", s.Landings, t.landings)
	}
	t.runsAgree(s)
}

func (t *told) runsAgree(s queue.State) {
	count := map[liveRun]int{}
	asked := 0
	for _, k := range s.Candidates {
		switch {
		case k.Run.State != queue.RunRunning:
		case k.Run.ID == 0:
			asked++
			if !slices.ContainsFunc(t.asked, func(a queue.Try) bool {
				return a.Branch == k.Branch && slices.Equal(a.Members, k.Members) && slices.Equal(a.On, k.On)
			}) {
				fail("book", "the state waits for %s, which it has not asked for", showTry(k.Branch, k.Members, k.On))
			}
		default:
			count[liveRun{k.ID, k.Run.ID, k.Commit, k.Branch}]++
		}
	}
	for _, r := range t.runs {
		count[r]--
	}
	for _, k := range s.Candidates {
		if count[liveRun{k.ID, k.Run.ID, k.Commit, k.Branch}] > 0 {
			fail("book", "the state has the run %d of candidate %d under way, which is not", k.Run.ID, k.ID)
		}
	}
	for _, r := range t.runs {
		if count[r] < 0 && !t.over[r.run] { // else it was told again of a run that it knows to have ended
			fail("leak", "the run %d of candidate %d is under way, and the state has forgotten it and not stopped it", r.run, r.candidate)
		}
	}
	if asked < len(t.asked) {
		fail("leak", "%d candidates were asked for and not answered, and the state remembers %d of them: their runs will not be counted", len(t.asked), asked)
	}
}
