package queue

import "slices"

// refutes says that a candidate which passed shows that the failure of another was not due to
// what was in it: it tested all of that, and more. So it was luck, or the branch.
func (s *State) refutes(passed, failed *Candidate) bool {
	if passed.Branch != failed.Branch || passed.Run.State != RunPassed {
		return false
	}
	b := s.branch(failed.Branch)
	whole := b != nil && b.Whole
	landed := func(m Member) bool {
		return passed.Seq > failed.Seq && slices.ContainsFunc(s.Landed, func(l Landed) bool {
			return l.Change == m.Change && l.PS == m.PS && l.Branch == failed.Branch && l.Seq > failed.Seq && l.Seq <= passed.Seq
		})
	}
	if passed.Seq < failed.Seq && slices.ContainsFunc(s.Landed, func(l Landed) bool { // it lacks what the failed one was on
		m := Member{l.Change, l.PS} // another patch set of it is another change
		return l.Branch == failed.Branch && l.Seq > passed.Seq && l.Seq <= failed.Seq && !slices.Contains(passed.On, m) && !slices.Contains(passed.Members, m)
	}) {
		return false
	}
	for _, m := range failed.Members {
		if !slices.Contains(passed.Members, m) && !(whole && slices.Contains(passed.On, m)) && !landed(m) {
			return false
		}
	}
	for _, m := range failed.On {
		if !slices.Contains(passed.On, m) && !slices.Contains(passed.Members, m) && !landed(m) {
			return false
		}
	}
	return len(failed.Members) > 0
}

// disproved counts the failed runs of other candidates that one which just passed shows to have
// been luck, and no other did before.
func (s *State) disproved(passed int) int {
	p := s.Candidates[passed]
	p.Run.State = RunPassed
	count := 0
	for n := range s.Candidates {
		k := &s.Candidates[n]
		if n == passed || k.Run.Refusals == 0 || k.Run.State == RunPassed || !s.refutes(&p, k) {
			continue
		}
		before := slices.ContainsFunc(s.Candidates, func(o Candidate) bool { return o.ID != p.ID && s.refutes(&o, k) })
		if !before {
			count += k.Run.Refusals
		}
	}
	return count
}

// lucky says that a failure of a candidate was not due to what was in it, for that has passed.
func (v *look) lucky(k *Candidate, all []belief) bool {
	for _, m := range k.Members {
		if i, queued := v.at[m.Change]; queued {
			return slices.ContainsFunc(all[i].with, func(n int) bool { return v.refutes(&v.Candidates[n], k) })
		}
	}
	return false
}
