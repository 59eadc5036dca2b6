package queue

import (
	"slices"
	"time"
)

// waited says that an entry has waited for so many times what its run takes.
func (p *planner) waited(i, times int) bool {
	return p.now.Sub(p.order[i].EnqueuedAt) > time.Duration(times)*p.order[i].Takes
}

// suspected says that an entry has failed, and most likely by its own fault.
func (p *planner) suspected(i int) bool {
	b := &p.beliefs[i]
	return b.failed > 0 && b.passes < suspectAt
}

// drawWaiting adds those that no candidate in the line holds, alone, or several at once when
// there are more of them than workers.
func (p *planner) drawWaiting(from, to int) {
	var waiting []int
	for i := from; i < to; i++ {
		if p.place[i] == 0 && !p.barred(i) && !p.doubted[i] {
			waiting = append(waiting, i)
		}
	}
	free := p.Workers - p.running + p.unlined()
	// Who has passed goes first: a long line of those who have not would hardly hold.
	// Who will hardly pass goes last, and nobody stands on it.
	class := func(i int) int {
		switch b := &p.beliefs[i]; {
		case b.proved:
			return 0
		case b.passes < likelyLands:
			return 4
		case len(waiting) <= free:
			return 1
		case b.passes < doubtful:
			return 3
		case b.passes < likely:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(waiting, func(a, b int) int { return class(a) - class(b) })
	var open, deep []int // stops of the line that can still grow, entries too deep for it
	for at, i := range waiting {
		group := p.group(i)
		if p.place[i] != 0 || slices.ContainsFunc(group, func(j int) bool { return p.place[j] != 0 || p.orphan(j) || p.doubted[j] || p.barred(j) }) {
			continue
		}
		if p.lonely(i) && len(group) == 1 && !p.below(i) {
			deep = append(deep, i)
			continue
		}
		on := p.under(group)
		if len(group) == 1 && len(waiting)-at > free-len(open) && p.joinBatch(open, i, on) {
			continue
		}
		least := worthMain
		if p.beliefs[i].proved {
			least = worthProven
		}
		if len(on) > maxDepth || p.hoped(on) < least {
			if len(group) == 1 && !p.below(i) {
				deep = append(deep, i)
			}
			continue
		}
		p.add(stop{on: on, members: group, alive: -1, passes: p.joint(on, group)})
		open = append(open, len(p.line)-1)
	}
	p.prove(deep, free-len(open))
}

// prove wants to know how those do that are too deep for the line, by themselves: several at
// once when workers are few.
func (p *planner) prove(deep []int, free int) {
	var groups []want
	for at, i := range deep {
		if p.beliefs[i].proved && !p.lonely(i) || p.tested[i] {
			continue
		}
		e := p.order[i]
		joined := false
		for n := len(groups) - 1; n >= 0 && len(deep)-at > free-len(groups); n-- {
			g := &groups[n]
			b := p.branches[e.Branch]
			if p.order[g.members[0]].Branch != e.Branch || len(g.members) >= b.MaxBatch {
				continue
			}
			if !slices.ContainsFunc(g.members, func(j int) bool { return p.conflicts(i, j) }) {
				continue
			}
			members := append(slices.Clone(g.members), i)
			if p.joint(nil, members) < jointProof || p.spoilt(nil, members) || !p.pays(g.members, i, b) {
				continue
			}
			g.members, joined = members, true
			break
		}
		if !joined {
			groups = append(groups, want{members: []int{i}, value: worthLook, spare: true})
		}
	}
	p.proofs = append(p.proofs, groups...)
}

// joinBatch adds an entry to a batch that it goes with.
func (p *planner) joinBatch(open []int, i int, on []int) bool {
	e := p.order[i]
	b := p.branches[e.Branch]
	// With those that it has nothing to do with it would only fail for them.
	last := -1
	if len(open) > 0 {
		last = open[len(open)-1]
	}
	for n := len(on) - 1; n >= 0; n-- {
		at := p.stopOf[on[n]]
		if n < len(on)-1 && at == p.stopOf[on[n+1]] || p.line[at].alive >= 0 || !slices.Contains(open, at) {
			continue
		}
		s := &p.line[at]
		if p.order[s.members[0]].Branch != e.Branch || len(p.order[s.members[0]].With) > 0 || len(s.members) >= b.MaxBatch {
			continue
		}
		// What it stands on must be in the line before the batch, or in it.
		if slices.ContainsFunc(on, func(j int) bool { return p.place[j] > p.place[s.members[len(s.members)-1]] }) {
			continue
		}
		ground := slices.Clone(s.on)
		for _, j := range on {
			if !slices.Contains(s.members, j) && !slices.Contains(ground, j) {
				ground = append(ground, j)
			}
		}
		members := append(slices.Clone(s.members), i)
		passes := p.joint(ground, members)
		if passes < jointBatch || p.spoilt(ground, members) || len(ground) > maxDepth || p.hoped(ground) < worthMain || !p.pays(s.members, i, b) {
			continue
		}
		if at != last && p.lateFor(i, s) {
			continue
		}
		slices.SortFunc(ground, func(a, b int) int { return p.place[a] - p.place[b] })
		s.on, s.members, s.passes = ground, members, passes
		p.enter(i, at)
		return true
	}
	return false
}

// lateFor says whether somebody in the line after the batch conflicts with the entry: then it
// cannot land before them.
func (p *planner) lateFor(i int, s *stop) bool {
	last := p.place[s.members[len(s.members)-1]]
	return slices.ContainsFunc(p.lined(i), func(j int) bool { return p.place[j] > last })
}

// pays says whether a member more costs less time than it saves.
func (p *planner) pays(members []int, more int, b *Branch) bool {
	together := p.takes(append(slices.Clone(members), more), b)
	apart := p.takes(members, b) + p.order[more].Takes
	return float64(together) < paying*float64(apart)
}
