package queue

import "slices"

// weighStakes finds what would have to run again without each candidate: the time that it has
// run, as far as it will hold, for each member; and that of all which stand on it.
func (p *planner) weighStakes() {
	behind := make([]float64, len(p.order))
	for _, l := range p.live {
		k := &p.Candidates[l.n]
		ran, holds := p.takes(l.members, p.branches[k.Branch]), 1.0
		if !l.passed {
			ran, holds = min(ran, max(0, p.now.Sub(k.Run.StartedAt))), p.joint(l.on, l.members)
		}
		for _, j := range l.on {
			holds *= p.beliefs[j].passes
		}
		l.own = float64(len(l.members)) * ran.Minutes() * holds
		l.stake = l.own
		for _, j := range l.on {
			behind[j] += l.stake
		}
	}
	for _, l := range p.live {
		for _, i := range l.members {
			l.stake += behind[i]
		}
	}
}

// outweighed says that another run goes first, of which it is one or the other, and without which
// more would have to run again. It is asked of those that have passed by themselves while another
// run of them goes on: nobody was built upon them as long as they were doubtful, and all that was
// begun without them would be void if they took the place that they had before. An alternate is no
// reason to wait: it leaves others out in case they fail.
func (p *planner) outweighed(l *alive) bool {
	if l.passed || !p.provedAll(l.members) {
		return false
	}
	return slices.ContainsFunc(p.live, func(r *alive) bool {
		return !r.lined && (l.spare || !r.spare) && r.stake > l.stake && p.excludes(r, l) && p.mayFit(r)
	})
}

// excludes says that of two candidates which conflict neither stands on the other, nor tries the same.
func (p *planner) excludes(r, l *alive) bool {
	conflicting := false
	for _, i := range l.members {
		if slices.Contains(r.on, i) || slices.Contains(r.members, i) {
			return false
		}
		conflicting = conflicting || slices.ContainsFunc(r.members, func(j int) bool { return p.conflicts(i, j) })
	}
	return conflicting && !slices.ContainsFunc(r.members, func(j int) bool { return slices.Contains(l.on, j) })
}

// mayFit says that a candidate may get a place in the line yet: those that it stands on are there,
// or have runs of their own, and nobody is there who must be below it.
func (p *planner) mayFit(r *alive) bool {
	if slices.ContainsFunc(r.on, func(j int) bool { return p.place[j] == 0 && (!p.known[j] || p.beliefs[j].passes < likelyLands) }) {
		return false
	}
	for _, i := range r.members {
		if p.place[i] != 0 || p.barred(i) || slices.ContainsFunc(p.lined(i), func(j int) bool { return !slices.Contains(r.on, j) }) {
			return false
		}
	}
	return r.passed || len(r.members) > 1 || p.beliefs[r.members[0]].passes >= likelyLands
}
