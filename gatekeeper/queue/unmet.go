package queue

import "slices"

// unmet counts those that an entry conflicts with and that have landed since it last passed, and
// were not in what passed.
func (v *look) unmet(i int, with []int, cleared int64) int {
	e := v.order[i]
	s := v.stories[e.Branch]
	if s == nil || !v.lanes {
		return 0
	}
	met := func(change int64) bool {
		return slices.ContainsFunc(with, func(n int) bool {
			k := &v.Candidates[n]
			return has(k.On, change) || has(k.Members, change)
		})
	}
	count := 0
	for at, t := range e.Targets {
		for x := s.byTarget[t]; x > 0 && s.all[s.touches[x-1].n].Seq > cleared; x = s.touches[x-1].before {
			l := &s.all[s.touches[x-1].n]
			again := slices.ContainsFunc(e.Targets[:at], func(o string) bool { return slices.Contains(l.Targets, o) })
			if !again && !met(l.Change) {
				count++
			}
		}
	}
	return count
}

// unclear counts those of the others that an entry conflicts with and has not passed with.
func (v *look) unclear(i int, others []Member, all []belief) int {
	count := 0
	e := v.order[i]
	for _, m := range others {
		if j, queued := v.at[m.Change]; queued {
			if v.conflicts(i, j) && !shared(all[i].with, all[j].with) {
				count++
			}
		} else if s := v.stories[e.Branch]; s != nil { // it has landed since
			if n, landed := s.at[m.Change]; landed && conflict(e.Branch, s.all[n].Targets, s.all[n].Barrier, e) {
				count++
			}
		}
	}
	return count
}

// shared says that two sorted lists have one in common.
func shared(a, b []int) bool {
	for x, y := 0, 0; x < len(a) && y < len(b); {
		switch {
		case a[x] == b[y]:
			return true
		case a[x] < b[y]:
			x++
		default:
			y++
		}
	}
	return false
}
