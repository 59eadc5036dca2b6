package queue

import "slices"

// spares wants, for each candidate of the line that may well fail, those that come after it without
// it: together, and each by itself, for another of them may fail too.
func (p *planner) spares() {
	free := p.Workers*8/10 - p.running - len(p.wants)
	if free <= 0 {
		return
	}
	var found []want
	for at := range p.line {
		s := &p.line[at]
		fails := 1 - s.passes
		if fails < worthless {
			continue
		}
		if w, ok := p.without(at); ok {
			found = append(found, w)
		}
	}
	for at := range p.line {
		found = p.withoutOne(at, found)
	}
	slices.SortStableFunc(found, func(a, b want) int {
		switch {
		case a.value > b.value:
			return -1
		case a.value < b.value:
			return 1
		}
		return 0
	})
	p.wants = append(p.wants, found...)
	if !p.lanes {
		p.alone()
	}
}

// leastSaved is how many landings an alternate must save on average.
func (p *planner) leastSaved() float64 {
	if p.lanes {
		return laneSpare
	}
	return worthSpare
}

// alone wants each of those that wait for long, by itself on what has landed: where the line
// does not hold, that ends somebody's waiting all the same.
func (p *planner) alone() {
	for i := range p.n {
		if !p.waited(i, longAgo) || p.tested[i] || p.barred(i) || p.below(i) || p.place[i] == 0 && p.suspected(i) {
			continue
		}
		if p.place[i] != 0 && p.hoped(p.line[p.stopOf[i]].on) > likelyLands {
			continue
		}
		w := want{members: p.group(i), value: p.beliefs[i].passes * worthless, spare: true}
		if !p.spoilt(nil, w.members) {
			p.wants = append(p.wants, w)
		}
	}
}

// without is the alternate that leaves one candidate of the line out.
func (p *planner) without(at int) (want, bool) {
	out := p.line[at].members
	w := want{spare: true}
	passes := 1.0
	b := p.branches[p.order[out[0]].Branch]
	gone := map[int]bool{}
	for _, i := range out {
		gone[i] = true
	}
	for _, s := range p.line[at+1:] {
		if !slices.ContainsFunc(s.on, func(j int) bool { return gone[j] }) || p.order[s.members[0]].Branch != b.Name {
			continue
		}
		if p.coveredWithout(s.members, gone) || slices.ContainsFunc(s.members, p.tied) {
			continue
		}
		if len(w.members)+len(s.members) > max(1, b.MaxBatch) || passes*s.passes < jointly {
			continue
		}
		passes *= s.passes
		w.members = append(w.members, s.members...)
	}
	if len(w.members) == 0 {
		return w, false
	}
	for _, i := range w.members {
		for _, j := range p.lined(i) {
			if p.place[j] < p.place[i] && !gone[j] && !slices.Contains(w.members, j) && !slices.Contains(w.on, j) {
				w.on = append(w.on, j)
			}
		}
	}
	// Those it stands on must not stand on what is left out.
	slices.SortFunc(w.on, func(a, b int) int { return p.place[a] - p.place[b] })
	needed := p.needed(&alive{on: w.on, members: w.members})
	w.value = needed * passes * float64(len(w.members))
	return w, needed > 2*worthless && w.value >= p.leastSaved() && !p.spoilt(w.on, w.members)
}

// withoutOne adds the alternates of a candidate of the line that leave out one of those before it,
// where they land often enough.
func (p *planner) withoutOne(at int, found []want) []want {
	s := &p.line[at]
	if slices.ContainsFunc(s.members, p.tied) {
		return found
	}
	all := p.hoped(s.on)
	for _, j := range s.on {
		out := p.line[p.stopOf[j]].members
		if j != out[0] || p.tied(j) {
			continue
		}
		lands := p.hoped(out)
		w := want{members: s.members, value: all / lands * (1 - lands) * s.passes * float64(len(s.members)), spare: true}
		if w.value < p.leastSaved() {
			continue
		}
		for _, k := range s.on {
			if !slices.Contains(out, k) {
				w.on = append(w.on, k)
			}
		}
		if !p.spoilt(w.on, w.members) {
			found = append(found, w)
		}
	}
	return found
}

// coveredWithout says whether a candidate that runs tests the members without those.
func (p *planner) coveredWithout(members []int, gone map[int]bool) bool {
	for n := range p.live {
		l := p.live[n]
		if slices.Contains(l.members, members[0]) &&
			!slices.ContainsFunc(l.on, func(j int) bool { return gone[j] }) && !slices.ContainsFunc(l.members, func(j int) bool { return gone[j] }) {
			return true
		}
	}
	return false
}

// tied says that the entry lands with others, or after parents that are in the queue.
func (p *planner) tied(i int) bool { return len(p.order[i].With) > 0 || p.below(i) }
