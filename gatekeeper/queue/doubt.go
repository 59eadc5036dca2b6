package queue

import "slices"

// doubt finds those who are tried by themselves: who has failed, and where workers are few, who
// will hardly pass.
func (p *planner) doubt() {
	waiting := 0
	for i := range p.n {
		if !p.known[i] && !p.barred(i) {
			waiting++
		}
	}
	p.scarce = waiting > p.Workers-p.running
	p.doubted = make([]bool, len(p.order))
	for i := range p.order {
		b := &p.beliefs[i]
		p.doubted[i] = p.suspected(i) || p.scarce && !b.proved && b.passes < doubtful && !p.tied(i)
	}
}

// anyDoubted says that one of the entries is doubted.
func (p *planner) anyDoubted(list []int) bool {
	return slices.ContainsFunc(list, func(i int) bool { return p.doubted[i] })
}

// drawDoubted wants a look at each of those who are doubted, who waits longest first: where they
// are more than workers, at several at once, on what has landed.
func (p *planner) drawDoubted() {
	var open []int
	for i := range p.n {
		if p.place[i] != 0 || p.barred(i) || !p.doubted[i] || p.tested[i] {
			continue
		}
		if _, sentenced := p.sentenced(i); sentenced {
			continue // what is missing is only whether the branch is green
		}
		open = append(open, i)
	}
	slices.SortStableFunc(open, func(a, b int) int { return p.order[a].EnqueuedAt.Compare(p.order[b].EnqueuedAt) })
	many := len(open) > max(1, p.Workers-p.running)
	for _, i := range open {
		group := p.group(i)
		if slices.ContainsFunc(group, func(j int) bool { return p.orphan(j) || p.barred(j) || j < i && p.doubted[j] }) {
			continue
		}
		if len(group) == 1 && many && p.joinLook(i) {
			continue
		}
		w := want{members: group, on: p.under(group), value: worthLook, spare: true}
		if many || len(w.on) > maxDepth || p.beliefs[i].passes < likelyLands || p.hoped(w.on) < likelyLands {
			if w.on = nil; p.below(i) {
				continue
			}
		}
		p.looks = append(p.looks, w)
	}
}

// joinLook adds an entry to a look at others.
func (p *planner) joinLook(i int) bool {
	b := p.branches[p.order[i].Branch]
	for n := range p.looks {
		l := &p.looks[n]
		first := l.members[0]
		if len(l.on) > 0 || p.order[first].Branch != b.Name || len(l.members) >= b.MaxBatch || p.tied(first) || p.tied(i) {
			continue
		}
		if !slices.ContainsFunc(l.members, func(j int) bool { return p.conflicts(i, j) }) {
			continue // it would only fail for them
		}
		members := append(slices.Clone(l.members), i)
		if p.joint(nil, members) >= jointProof && !p.spoilt(nil, members) && p.pays(l.members, i, b) {
			l.members = members
			return true
		}
	}
	return false
}
