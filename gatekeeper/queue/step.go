package queue

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Step takes one event in and says what to do next. It changes nothing of s.
func Step(s State, e Event, now time.Time) (State, []Action) {
	next := s.clone()
	next.take(e, now)
	actions := next.dropGone()
	return next, append(actions, next.decide()...)
}

func (s State) clone() State {
	s.Entries = slices.Clone(s.Entries)
	for i := range s.Entries {
		s.Entries[i].Parents = slices.Clone(s.Entries[i].Parents)
	}
	s.Candidates = slices.Clone(s.Candidates)
	if s.Landing != nil {
		landing := *s.Landing
		s.Landing = &landing
	}
	return s
}

// take writes the event into the state.
func (s *State) take(e Event, now time.Time) {
	switch e := e.(type) {
	case Enqueued:
		s.enqueue(e.Entry, now)
	case Removed:
		s.remove(e.Change, e.Landed)
	case TipMoved:
		s.Tip = e.Tip
	case CandidateMade:
		s.made(e)
	case RunStarted:
		for i := range s.Candidates {
			k := &s.Candidates[i]
			if k.ID == e.Candidate && k.Run.State == RunRunning && k.Run.ID == 0 {
				k.Run.ID = e.Run
			}
		}
	case RunEnded:
		s.ended(e)
	case LandDone:
		s.landed(e)
	case Tick:
	default:
		panic(fmt.Sprintf("queue: unknown event %T", e))
	}
}

func (s *State) enqueue(entry Entry, now time.Time) {
	if entry.EnqueuedAt.IsZero() {
		entry.EnqueuedAt = now
	}
	entry.Parents = slices.Clone(entry.Parents)
	i := slices.IndexFunc(s.Entries, func(have Entry) bool { return have.Change == entry.Change })
	switch {
	case i < 0:
		s.Entries = append(s.Entries, entry)
	case entry.PS > s.Entries[i].PS:
		s.Entries[i] = entry
	}
}

// remove takes a change out. One that has landed holds nobody up any more.
func (s *State) remove(change int64, landed bool) {
	s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return e.Change == change })
	if !landed {
		return
	}
	for i := range s.Entries {
		s.Entries[i].Parents = slices.DeleteFunc(s.Entries[i].Parents, func(p int64) bool { return p == change })
	}
}

// made fills in the candidate that was asked for; any other is stale.
func (s *State) made(e CandidateMade) {
	for i := range s.Candidates {
		k := &s.Candidates[i]
		if k.ID == 0 && k.Change == e.Change && k.PS == e.PS && k.Base == e.Base {
			k.ID, k.Commit, k.Conflict = e.ID, e.Commit, e.Conflict
			return
		}
	}
}

// ended takes in a verdict for exactly the run that is under way.
func (s *State) ended(e RunEnded) {
	for i := range s.Candidates {
		k := &s.Candidates[i]
		live := k.Run.State == RunRunning && k.Run.ID != 0
		if !live || k.ID != e.Candidate || k.Run.ID != e.Run || k.Base != e.Base || k.Commit != e.Commit {
			continue
		}
		switch e.State {
		case RunPassed, RunRefused:
		case RunErrored:
			k.Run.Errors++
		default:
			panic(fmt.Sprintf("queue: a run cannot end as %q", e.State))
		}
		k.Run.State, k.Run.Reason = e.State, e.Reason
	}
}

// landed takes in the answer to the Land that is outstanding; any other is stale.
func (s *State) landed(e LandDone) {
	if s.Landing == nil || s.Landing.Change != e.Change || s.Landing.Commit != e.Commit {
		return
	}
	s.Landing = nil
	s.Tip = e.Tip
	if e.Landed {
		s.remove(e.Change, true)
	}
}

// dropGone forgets the candidates of patch sets that are not queued.
func (s *State) dropGone() []Action {
	queued := map[int64]Entry{}
	for _, e := range s.Entries {
		queued[e.Change] = e
	}
	var actions []Action
	s.Candidates = slices.DeleteFunc(s.Candidates, func(k Candidate) bool {
		switch entry, ok := queued[k.Change]; {
		case !ok:
			actions = append(actions, k.cancel(fmt.Sprintf("change %d left the queue", k.Change))...)
		case entry.PS != k.PS:
			actions = append(actions, k.cancel(fmt.Sprintf("patch set %d replaced it", entry.PS))...)
		default:
			return false
		}
		return true
	})
	return actions
}

// cancel asks to stop the candidate's run, if it has one that is known to run.
func (k Candidate) cancel(why string) []Action {
	if k.Run.State != RunRunning || k.Run.ID == 0 {
		return nil
	}
	return []Action{CancelRun{Candidate: k.ID, Run: k.Run.ID, Reason: why}}
}

// decide moves the first entry that can move, and ejects those before it that cannot land.
func (s *State) decide() []Action {
	if s.Landing != nil {
		return nil
	}
	of := map[int64][]int{} // candidates of each change, by index: a long queue is walked once
	for i, k := range s.Candidates {
		of[k.Change] = append(of[k.Change], i)
	}
	var actions []Action
	void := map[Candidate]bool{}
	ejected := map[int64]bool{}
	for _, e := range s.sorted() {
		if len(e.Parents) > 0 {
			continue
		}
		var candidate *Candidate
		for _, i := range of[e.Change] {
			if k := &s.Candidates[i]; k.Base == s.Tip {
				candidate = k
			} else {
				void[*k] = true
				actions = append(actions, k.cancel("the branch moved on")...)
			}
		}
		action := s.move(e, candidate)
		if action != nil {
			actions = append(actions, action)
		}
		if _, out := action.(Eject); !out {
			break
		}
		ejected[e.Change] = true
	}
	s.Entries = slices.DeleteFunc(s.Entries, func(e Entry) bool { return ejected[e.Change] })
	s.Candidates = slices.DeleteFunc(s.Candidates, func(k Candidate) bool { return ejected[k.Change] || void[k] })
	return actions
}

// candidate finds the entry's candidate on the tip, nil when there is none.
func (s *State) candidate(e Entry) *Candidate {
	for i := range s.Candidates {
		k := &s.Candidates[i]
		if k.Change == e.Change && k.PS == e.PS && k.Base == s.Tip {
			return k
		}
	}
	return nil
}

// move is the one next action for an entry whose turn it is, nil while it waits for an answer.
func (s *State) move(e Entry, k *Candidate) Action {
	switch {
	case k == nil:
		s.Candidates = append(s.Candidates, Candidate{Change: e.Change, PS: e.PS, Base: s.Tip})
		return MakeCandidate{Change: e.Change, PS: e.PS, Base: s.Tip}
	case k.Conflict != "":
		return Eject{Change: e.Change, PS: e.PS, Reason: EjectConflict, Words: k.Conflict}
	case k.Commit == "":
		return nil
	}
	switch k.Run.State {
	case RunNone:
		return k.start()
	case RunRunning:
		return nil
	case RunPassed:
		s.Landing = &Landing{Change: k.Change, PS: k.PS, Candidate: k.ID, Commit: k.Commit, Old: k.Base}
		return Land{Change: k.Change, PS: k.PS, Candidate: k.ID, Run: k.Run.ID, Commit: k.Commit, Old: k.Base}
	case RunRefused:
		return Eject{Change: e.Change, PS: e.PS, Reason: EjectRefused, Words: k.Run.words("its stages refused it"), Run: k.Run.ID}
	case RunErrored:
		if k.Run.Errors < MaxErrors {
			return k.start()
		}
		words := fmt.Sprintf("its stages could not be run, %d times: %s", k.Run.Errors, k.Run.words("the machinery failed"))
		return Eject{Change: e.Change, PS: e.PS, Reason: EjectErrored, Words: words, Run: k.Run.ID}
	default:
		panic(fmt.Sprintf("queue: unknown run state %q", k.Run.State))
	}
}

// start asks for the next run of the candidate.
func (k *Candidate) start() Action {
	k.Run = Run{State: RunRunning, Errors: k.Run.Errors}
	return StartRun{Candidate: k.ID, Change: k.Change, PS: k.PS, Base: k.Base, Commit: k.Commit, Attempt: k.Run.Errors + 1}
}

func (r Run) words(otherwise string) string { return cmp.Or(r.Reason, otherwise) }
