package queue

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Step takes one event in and says what to do next. It changes nothing of s.
func Step(s State, e Event, now time.Time) (State, []Action) {
	next := s.clone()
	stale, quiet := next.take(e, now)
	v := view(&next, now)
	v.actions = stale
	v.forget()
	if quiet {
		return next, v.actions
	}
	v.eject()
	v.plan()
	return next, v.actions
}

// clone copies what a step may write. What the elements point to is never written, and the
// entries are copied by those events that write them.
func (s State) clone() State {
	s.Branches = slices.Clone(s.Branches)
	s.Candidates = slices.Clone(s.Candidates)
	s.Landed = slices.Clone(s.Landed)
	s.Landings = slices.Clone(s.Landings)
	return s
}

// take writes the event into the state, and stops what came too late to be of use. It is
// quiet when it changed nothing that a decision rests on.
func (s *State) take(e Event, now time.Time) (stale []Action, quiet bool) {
	switch e.(type) {
	case Enqueued, Removed, LandDone:
		s.Entries = slices.Clone(s.Entries)
	}
	switch e := e.(type) {
	case Enqueued:
		s.enqueue(e.Entry, now)
	case Removed:
		s.remove(e.Change, e.Landed)
	case BranchSet:
		s.setBranch(e.Branch)
	case WorkersSet:
		s.Workers = e.Workers
	case Tried:
		return s.tried(e, now)
	case RunEnded:
		s.ended(e, now)
	case LandDone:
		s.landDone(e)
	case Tick:
	default:
		panic(fmt.Sprintf("queue: unknown event %T", e))
	}
	return nil, false
}

func (s *State) enqueue(entry Entry, now time.Time) {
	i := slices.IndexFunc(s.Entries, func(have Entry) bool { return have.Change == entry.Change })
	if i >= 0 && entry.PS == s.Entries[i].PS {
		entry.EnqueuedAt = s.Entries[i].EnqueuedAt
	} else if entry.EnqueuedAt.IsZero() {
		entry.EnqueuedAt = now
	}
	switch {
	case i < 0:
		s.Entries = append(s.Entries, entry)
	case entry.PS >= s.Entries[i].PS:
		s.Entries[i] = entry
	}
}

// remove takes a change out. One that has landed holds nobody up any more.
func (s *State) remove(change int64, landed bool) {
	s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return e.Change == change })
	if !landed {
		return
	}
	gone := func(p int64) bool { return p == change }
	for i, e := range s.Entries {
		if slices.Contains(e.Parents, change) {
			s.Entries[i].Parents = slices.DeleteFunc(slices.Clone(e.Parents), gone)
		}
		if slices.Contains(e.With, change) {
			s.Entries[i].With = slices.DeleteFunc(slices.Clone(e.With), gone)
		}
	}
}

func (s *State) branch(name string) *Branch {
	for i := range s.Branches {
		if s.Branches[i].Name == name {
			return &s.Branches[i]
		}
	}
	return nil
}

func (s *State) entry(change int64) *Entry {
	for i := range s.Entries {
		if s.Entries[i].Change == change {
			return &s.Entries[i]
		}
	}
	return nil
}

// setBranch takes in what is so about a branch. A tip that the queue did not make voids what
// was tried below it: a landing that conflicts with everybody is written into the story.
func (s *State) setBranch(b Branch) {
	have := s.branch(b.Name)
	if have == nil {
		s.Branches = append(s.Branches, b)
		return
	}
	if have.Tip != b.Tip {
		b.Seq, b.Proven = max(b.Seq, have.Seq+1), false
	}
	if b.Seq > have.Seq && !slices.ContainsFunc(s.Landed, func(l Landed) bool { return l.Branch == b.Name && l.Seq == b.Seq }) {
		s.Landed = append(s.Landed, Landed{Branch: b.Name, Seq: b.Seq, Barrier: true})
	}
	*have = b
}

// MostGreens is how many runs that passed are remembered of a branch.
const MostGreens = 8

// greens takes note of a run that passed.
func (s *State) greens(k *Candidate, now time.Time) {
	g := Green{From: k.Run.StartedAt, To: now, Seq: k.Seq}
	for _, m := range slices.Concat(k.On, k.Members) {
		g.In = append(g.In, m.Change)
	}
	had := s.Greens[k.Branch]
	s.Greens = maps.Clone(s.Greens)
	if s.Greens == nil {
		s.Greens = map[string][]Green{}
	}
	s.Greens[k.Branch] = append([]Green{g}, had[:min(len(had), MostGreens-1)]...)
}

// tried fills in the candidate that was asked for. Any other answer is stale: a run that
// nobody knows is stopped, an answer that was given before changes nothing.
func (s *State) tried(e Tried, now time.Time) (stale []Action, quiet bool) {
	i := slices.IndexFunc(s.Candidates, func(k Candidate) bool {
		return k.asked() && k.Run.Ask == e.Ask && k.Branch == e.Branch && slices.Equal(k.Members, e.Members) && slices.Equal(k.On, e.On)
	})
	if i < 0 {
		if e.Run == 0 || slices.ContainsFunc(s.Candidates, func(k Candidate) bool { return k.Run.ID == e.Run || k.Run.Ask == e.Ask }) {
			return nil, false
		}
		return []Action{Cancel{Candidate: e.ID, Run: e.Run, Reason: "nobody needs it any more"}}, false
	}
	k := &s.Candidates[i]
	k.Run.Refusals, k.Run.Errors = e.Refusals, e.Errors
	k.ID, k.Seq, k.Proven, k.Base, k.Commit, k.Conflict = e.ID, e.Seq, e.Proven, e.Base, e.Commit, e.Conflict
	if e.Conflict != "" {
		k.Run = Run{}
		return nil, false
	}
	k.Run.ID, k.Run.StartedAt = e.Run, now
	return nil, s.same(i)
}

// same makes one of two ways to ask for the same: what stood on those that have landed meanwhile
// is what stands on nothing now. It says that there were none.
func (s *State) same(i int) bool {
	k := s.Candidates[i]
	n := slices.IndexFunc(s.Candidates, func(o Candidate) bool { return o.ID == k.ID && o.Run.Ask != k.Run.Ask })
	switch {
	case n < 0:
		return true
	case s.Candidates[n].asked(): // its answer is yet to come, and will be the same run
		if o := s.Candidates[n]; len(o.On) < len(k.On) {
			s.Candidates[i].On = o.On
		}
	case s.Candidates[n].Run.State == RunRunning:
		s.Candidates = slices.Delete(s.Candidates, i, i+1)
	default: // the answer knew what was known of it
		s.Candidates = slices.Delete(s.Candidates, n, n+1)
	}
	return false
}

// asked says that a run of the candidate was asked for and has no answer yet.
func (k *Candidate) asked() bool { return k.Run.State == RunRunning && k.Run.ID == 0 }

// ended takes in a verdict for exactly the run that is under way.
func (s *State) ended(e RunEnded, now time.Time) {
	for i := range s.Candidates {
		k := &s.Candidates[i]
		live := k.Run.State == RunRunning && k.Run.ID != 0
		if !live || k.ID != e.Candidate || k.Run.ID != e.Run || k.Commit != e.Commit {
			continue
		}
		switch e.State {
		case RunPassed:
			s.Model = s.Model.LearnRuns(k.Run.Refusals + s.disproved(i))
			if b := s.branch(k.Branch); b != nil && b.GreenAt.Before(now) {
				b.GreenAt = now
				s.greens(k, now)
			}
		case RunNone:
		case RunRefused:
			k.Run.Refusals++
		case RunErrored:
			k.Run.Errors++
		default:
			panic(fmt.Sprintf("queue: a run cannot end as %q", e.State))
		}
		k.Run.State, k.Run.EndedAt = e.State, now
		if e.State != RunNone {
			k.Run.Reason = e.Reason
		}
	}
}

// landDone takes in the answer to a Land that is outstanding; any other is stale.
func (s *State) landDone(e LandDone) {
	i := slices.IndexFunc(s.Landings, func(l Landing) bool { return l.Ask == e.Ask && samePart(l.Parts, e.Parts) })
	if i < 0 {
		return
	}
	s.Landings = slices.Delete(s.Landings, i, i+1)
	if !e.Landed {
		s.notLanded(e)
		return
	}
	for _, p := range e.Parts {
		b := s.branch(p.Branch)
		for _, m := range p.Members {
			b.Seq++
			l := Landed{Branch: p.Branch, Seq: b.Seq, Change: m.Change, PS: m.PS}
			if entry := s.entry(m.Change); entry != nil {
				l.Targets, l.Barrier = entry.Targets, entry.Barrier
				s.Model = s.Model.Learn(entry, true)
			}
			s.Landed = append(s.Landed, l)
			s.remove(m.Change, true)
		}
		b.Tip, b.Proven = e.Tips[p.Branch], true
	}
}

// notLanded gives up the candidates of a landing that could not be made: what they were
// tested as is not what would land. A branch that moved meanwhile is taken note of.
func (s *State) notLanded(e LandDone) {
	for _, p := range e.Parts {
		s.Candidates = slices.DeleteFunc(s.Candidates, func(k Candidate) bool { return slices.Contains(p.Candidates, k.ID) })
		if b := s.branch(p.Branch); b != nil && e.Tips[p.Branch] != b.Tip {
			moved := *b
			moved.Tip = e.Tips[p.Branch]
			s.setBranch(moved)
		}
	}
}

func samePart(a, b []Part) bool {
	return slices.EqualFunc(a, b, func(x, y Part) bool {
		return x.Branch == y.Branch && x.Old == y.Old && slices.Equal(x.Candidates, y.Candidates) && slices.Equal(x.Members, y.Members)
	})
}
