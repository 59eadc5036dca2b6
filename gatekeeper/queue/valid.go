package queue

import "slices"

func has(list []Member, change int64) bool {
	return slices.ContainsFunc(list, func(m Member) bool { return m.Change == change })
}

// standing is what has become of a candidate's ground.
type standing int

const (
	void   standing = iota // what would land is not what it tests
	hoped                  // it assumes changes that are still in the queue
	ground                 // all that it stands on has landed
)

// past is what has landed on one branch, the oldest first.
type past struct {
	all      []Landed
	barriers []int // indexes into all
	touches  []touch
	byTarget map[string]int // the last touch of a target + 1
	at       map[int64]int  // by change
}

// touch is that one of a past touches a target, chained with the one before it.
type touch struct{ n, before int }

// newPast has room for so many landings.
func newPast(room int) *past {
	return &past{all: make([]Landed, 0, room), touches: make([]touch, 0, room), byTarget: make(map[string]int, room), at: make(map[int64]int, room)}
}

func (s *past) add(l Landed) {
	n := len(s.all)
	s.all = append(s.all, l)
	s.at[l.Change] = n
	if l.Barrier {
		s.barriers = append(s.barriers, n)
	}
	for _, t := range l.Targets {
		s.touches = append(s.touches, touch{n, s.byTarget[t]})
		s.byTarget[t] = len(s.touches)
	}
}

// seqOf is what the landing of one that has landed made the branch's.
func (s *past) seqOf(change int64) int64 { return s.all[s.at[change]].Seq }

// forgetLast takes back what add added last.
func (s *past) forgetLast() {
	l := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	delete(s.at, l.Change)
	if l.Barrier {
		s.barriers = s.barriers[:len(s.barriers)-1]
	}
	for _, t := range slices.Backward(l.Targets) {
		last := len(s.touches) - 1
		s.byTarget[t] = s.touches[last].before
		s.touches = s.touches[:last]
	}
}

// stands compares what has landed since the candidate was made, as far as it conflicts with
// the members, with what it assumed.
func (v *look) stands(k *Candidate) standing {
	s := v.stories[k.Branch]
	if s == nil {
		return void
	}
	for _, m := range k.Members {
		if !v.queued(k.Branch, m) && !v.hasLanded(k, m) {
			return void
		}
	}
	all := ground
	for _, on := range k.On {
		switch {
		case v.queued(k.Branch, on):
			all = hoped
		case k.asked(): // which of them had landed when it was made, its answer will tell
		case !v.hasLanded(k, on):
			return void
		}
	}
	if !k.asked() && !v.undisturbed(k, s) {
		return void
	}
	return all
}

// queued says whether just that patch set is in the queue for the branch.
func (v *look) queued(branch string, m Member) bool {
	i, queued := v.at[m.Change]
	return queued && v.order[i].PS == m.PS && v.order[i].Branch == branch
}

// undisturbed says that all which has landed since and conflicts with the members is in the
// candidate.
func (v *look) undisturbed(k *Candidate, s *past) bool {
	if n := len(s.all); n == 0 || s.all[n-1].Seq <= k.Seq {
		return true
	}
	if len(k.Members) == 0 {
		return false
	}
	foreign := func(n int) bool {
		l := &s.all[n]
		return !has(k.On, l.Change) && !has(k.Members, l.Change)
	}
	for x := len(s.barriers) - 1; x >= 0 && s.all[s.barriers[x]].Seq > k.Seq; x-- {
		if foreign(s.barriers[x]) {
			return false
		}
	}
	for _, m := range k.Members {
		barrier, targets := false, []string(nil)
		if i, queued := v.at[m.Change]; queued {
			barrier, targets = v.order[i].Barrier, v.order[i].Targets
		} else if n, landed := s.at[m.Change]; landed {
			barrier, targets = s.all[n].Barrier, s.all[n].Targets
		}
		if barrier {
			for n := len(s.all) - 1; n >= 0 && s.all[n].Seq > k.Seq; n-- {
				if foreign(n) {
					return false
				}
			}
		}
		for _, t := range targets {
			for x := s.byTarget[t]; x > 0 && s.all[s.touches[x-1].n].Seq > k.Seq; x = s.touches[x-1].before {
				if foreign(s.touches[x-1].n) {
					return false
				}
			}
		}
	}
	return true
}

// hasLanded says whether just that patch set has landed since the candidate was made.
func (v *look) hasLanded(k *Candidate, m Member) bool {
	s := v.stories[k.Branch]
	if s == nil {
		return false
	}
	n, landed := s.at[m.Change]
	return landed && s.all[n].Seq > k.Seq && s.all[n].PS == m.PS
}

// moved says whether the branch was moved past the queue since the candidate was made.
func (v *look) moved(k *Candidate) bool {
	s := v.stories[k.Branch]
	if s == nil {
		return false
	}
	n, was := s.at[0]
	return was && s.all[n].Seq > k.Seq
}

// forget drops the candidates that are of no use any more, and stops their runs. One that
// has failed or passed is kept while one of its members is queued: it tells of them.
func (v *look) forget() {
	kept := v.Candidates[:0]
	v.st = v.st[:0]
	oldest := map[string]int64{}
	for n := range v.Candidates {
		k := v.Candidates[n]
		st := v.stands(&k)
		if !k.asked() { // else it is dropped when it is answered
			if why := v.useless(&k, st); why != "" {
				v.cancel(&k, why)
				continue
			}
			if k.Run.State == RunRunning && st == void && len(k.Members) > 0 && !v.confirms(&k) {
				v.halt(&k, "the branch moved on")
			}
		}
		if seq, seen := oldest[k.Branch]; !seen || k.Seq < seq {
			oldest[k.Branch] = k.Seq
		}
		kept, v.st = append(kept, k), append(v.st, st)
	}
	clear(v.Candidates[len(kept):])
	v.Candidates = kept
	v.Landed = slices.DeleteFunc(v.Landed, func(l Landed) bool {
		seq, seen := oldest[l.Branch]
		return !seen || l.Seq <= seq
	})
}

// useless says why nobody needs a candidate, "" when somebody may.
func (v *look) useless(k *Candidate, st standing) string {
	if len(k.Members) == 0 {
		newest := v.bare(k.Branch)
		switch {
		case v.stories[k.Branch] == nil || newest != nil && newest.Seq > k.Seq:
			return "the branch was looked at again"
		case k.Run.State == RunRunning && st == void && v.moved(k):
			return "the branch moved on"
		}
		return "" // on what has landed since, nobody has been refused either
	}
	waits := func(m Member) bool { return v.queued(k.Branch, m) }
	told := k.Run.Refusals > 0 || k.Run.State == RunPassed || k.Conflict != ""
	switch {
	case !slices.ContainsFunc(k.Members, waits) && (k.Run.Refusals == 0 || k.Run.State == RunRunning || !slices.ContainsFunc(k.On, waits)):
		return "its changes have left the queue"
	case told || st != void && (k.Run.State == RunRunning || k.Run.Errors > 0):
		return ""
	case k.Run.State == RunRunning && v.confirms(k):
		return ""
	default:
		return "it is of no use any more"
	}
}

// halt stops a run, and keeps what earlier runs of the candidate said.
func (v *look) halt(k *Candidate, why string) {
	v.cancel(k, why)
	k.Run = Run{Errors: k.Run.Errors, Refusals: k.Run.Refusals, Reason: k.Run.Reason, StartedAt: k.Run.StartedAt}
}

// confirms says that a run tests changes on what has landed, and nothing else: its verdict
// tells of them wherever the branch is by then.
func (v *look) confirms(k *Candidate) bool {
	for _, m := range k.On {
		if !v.hasLanded(k, m) {
			return false
		}
	}
	for _, m := range k.Members {
		if !v.queued(k.Branch, m) {
			return false
		}
	}
	return len(k.Members) > 0 && !v.moved(k)
}

// cancel asks to stop the candidate's run, if it has one that is known to run.
func (v *look) cancel(k *Candidate, why string) {
	if k.Run.State != RunRunning {
		return
	}
	v.running--
	if k.Run.ID != 0 {
		v.actions = append(v.actions, Cancel{Candidate: k.ID, Run: k.Run.ID, Reason: why})
	}
}
