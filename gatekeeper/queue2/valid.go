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
	byTarget map[string][]int
	at       map[int64]int // by change
}

func (s *past) add(l Landed) {
	n := len(s.all)
	s.all = append(s.all, l)
	s.at[l.Change] = n
	if l.Barrier {
		s.barriers = append(s.barriers, n)
	}
	for _, t := range l.Targets {
		s.byTarget[t] = append(s.byTarget[t], n)
	}
}

// forgetLast takes back what add added last.
func (s *past) forgetLast() {
	l := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	delete(s.at, l.Change)
	if l.Barrier {
		s.barriers = s.barriers[:len(s.barriers)-1]
	}
	for _, t := range l.Targets {
		s.byTarget[t] = s.byTarget[t][:len(s.byTarget[t])-1]
	}
}

// stands compares what has landed since the candidate was made, as far as it conflicts with
// the members, with what it assumed.
func (v *look) stands(k *Candidate) standing {
	s := v.stories[k.Branch]
	if s != nil && !v.undisturbed(k, s) {
		return void
	}
	all := ground
	for _, on := range k.On {
		switch i, queued := v.at[on.Change]; {
		case queued && v.order[i].PS == on.PS && v.order[i].Branch == k.Branch:
			all = hoped
		case queued, !v.hasLanded(k.Branch, k.Seq, on.Change):
			return void
		}
	}
	return all
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
	since := func(list []int) bool { // whether one of them landed since and is foreign
		for x := len(list) - 1; x >= 0 && s.all[list[x]].Seq > k.Seq; x-- {
			if foreign(list[x]) {
				return true
			}
		}
		return false
	}
	if since(s.barriers) {
		return false
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
			if since(s.byTarget[t]) {
				return false
			}
		}
	}
	return true
}

func (v *look) hasLanded(branch string, since int64, change int64) bool {
	s := v.stories[branch]
	if s == nil {
		return false
	}
	n, landed := s.at[change]
	return landed && s.all[n].Seq > since
}

// forget drops the candidates that are of no use: with a member that is not queued as it was
// then, or that stand on what will not be. Their verdicts on their members are kept as long as
// those are queued, their runs are cancelled.
func (v *look) forget() {
	oldest := map[string]int64{}
	v.Candidates = slices.DeleteFunc(v.Candidates, func(k Candidate) bool {
		why := ""
		left := 0
		for _, m := range k.Members {
			switch i, queued := v.at[m.Change]; {
			case !queued && !v.hasLanded(k.Branch, k.Seq, m.Change):
				why = "a change left the queue"
			case queued && v.order[i].PS != m.PS:
				why = "a newer patch set replaced it"
			case queued:
				left++
			}
		}
		if why == "" && left == 0 && len(k.Members) > 0 {
			why = "its changes have landed"
		}
		if why != "" && !(left > 0 && k.Run.State == RunPassed) {
			v.cancel(&k, why)
			return true
		}
		return false
	})
	for i := range v.Candidates {
		k := &v.Candidates[i]
		if k.Run.State == RunRunning && v.stands(k) == void && !v.confirms(k) {
			v.cancel(k, "the branch moved on")
			k.Run = Run{Errors: k.Run.Errors, Refusals: k.Run.Refusals}
		}
	}
	v.Candidates = slices.DeleteFunc(v.Candidates, func(k Candidate) bool {
		return k.Run.State == RunNone && k.Run.Refusals == 0 && k.Conflict == "" && v.stands(&k) == void
	})
	for i := range v.Candidates {
		k := &v.Candidates[i]
		if seq, seen := oldest[k.Branch]; !seen || k.Seq < seq {
			oldest[k.Branch] = k.Seq
		}
	}
	v.Landed = slices.DeleteFunc(v.Landed, func(l Landed) bool {
		seq, seen := oldest[l.Branch]
		return !seen || l.Seq <= seq
	})
}

// confirms says that a run tests changes on what has landed, and nothing else: its verdict
// tells of them wherever the branch is by then.
func (v *look) confirms(k *Candidate) bool {
	for _, m := range k.On {
		if !v.hasLanded(k.Branch, k.Seq, m.Change) {
			return false
		}
	}
	for _, m := range k.Members {
		if _, queued := v.at[m.Change]; !queued {
			return false
		}
	}
	return len(k.Members) > 0
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
