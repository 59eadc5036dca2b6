package queue

import (
	"slices"
	"strconv"
)

// start starts what is wanted, and stops what is not needed any more.
func (p *planner) start() {
	for n := range p.live {
		l := p.live[n]
		switch {
		case p.dispensable(l) && (len(l.on) > 0 || len(l.members) > 1) && p.repeats(l):
			p.stop(l, "it tries again what has failed")
		case p.dispensable(l) && p.needed(l) < worthless && !p.tells(l) && !p.wanted(l):
			p.stop(l, "it is not needed any more")
		case p.scarce && p.doomed(l):
			p.stop(l, "it will hardly pass, and others wait for a worker")
		}
	}
	p.lookAtBare(nil)
	shut := map[string]bool{} // no want changes it
	for _, b := range p.Branches {
		shut[b.Name] = p.red(b.Name) || p.busy(b.Name)
	}
	for _, w := range p.wants {
		if !shut[p.order[w.members[0]].Branch] {
			p.try(w)
		}
	}
	p.lookAtBare(p.tested)
	p.unlock()
}

// doomed says that a run of several will hardly pass.
func (p *planner) doomed(l *alive) bool {
	k := &p.Candidates[l.n]
	if l.passed || k.Run.ID == 0 || len(l.on)+len(l.members) < 2 {
		return false
	}
	good := 1.0
	for _, list := range [][]int{l.on, l.members} {
		for _, i := range list {
			good *= p.beliefs[i].passes
		}
	}
	return good < hardly
}

// wanted says that a run would be asked for again if it were stopped: as one of those that are
// wanted, or because nothing else is under way.
func (p *planner) wanted(l *alive) bool {
	if p.running == 1 {
		return true
	}
	k := &p.Candidates[l.n]
	return slices.ContainsFunc(p.wants, func(w want) bool {
		return slices.Equal(w.members, l.members) && p.order[w.members[0]].Branch == k.Branch && p.find(k.Branch, w) == k
	})
}

// unlock tries the first change by itself that has not been, when nothing else is under way:
// those in the line may wait for each other in a circle, over several branches.
func (p *planner) unlock() {
	for i := range p.n {
		if p.running > 0 || len(p.Landings) > 0 || p.Workers == 0 {
			return
		}
		if !p.barred(i) && !p.red(p.order[i].Branch) {
			w := want{members: p.group(i)}
			w.on = p.ancestors(w.members)
			p.try(w)
		}
	}
}

// ancestors are the parents of the entries that are in the queue for their branch, and theirs.
func (p *planner) ancestors(members []int) []int {
	found := slices.Clone(members)
	for n := 0; n < len(found); n++ {
		e := p.order[found[n]]
		for _, c := range e.Parents {
			if j, queued := p.at[c]; queued && p.order[j].Branch == e.Branch && !slices.Contains(found, j) {
				found = append(found, j)
			}
		}
	}
	on := found[len(members):]
	slices.Sort(on)
	return on
}

func (p *planner) provedAll(list []int) bool {
	return !slices.ContainsFunc(list, func(i int) bool { return !p.beliefs[i].proved })
}

// tells says that a run shows whether its members are good, wherever they land: nobody knows
// yet, and what they stand on is likely good.
func (p *planner) tells(l *alive) bool {
	if p.provedAll(l.members) {
		return len(l.on) == 0 && (p.waited(l.members[0], longAgo) || p.lonely(l.members[0])) // it may land as it is
	}
	if len(l.on) == 0 {
		return true
	}
	good := 1.0
	for _, j := range l.on {
		good *= p.beliefs[j].passes
	}
	return len(l.members) == 1 && good >= likelyLands
}

// needed is how likely a candidate's ground comes true.
func (p *planner) needed(l *alive) float64 {
	if !l.weighed {
		l.need, l.weighed = p.weighNeed(l), true
	}
	return l.need
}

func (p *planner) weighNeed(l *alive) float64 {
	needed := 1.0
	for _, j := range l.on {
		if p.place[j] == 0 {
			needed *= p.beliefs[j].passes
		} else {
			needed *= p.lands[j]
		}
	}
	// Those before it that it leaves out must not land: of each stop, one at least fails.
	var stops []int
	left := map[int]float64{}
	seen := map[int]bool{}
	for _, i := range l.members {
		for _, j := range p.lined(i) {
			if !seen[j] && (p.place[i] == 0 || p.place[j] < p.place[i]) && !slices.Contains(l.on, j) && !slices.Contains(l.members, j) {
				seen[j] = true
				at := p.stopOf[j]
				if _, known := left[at]; !known {
					stops, left[at] = append(stops, at), 1
				}
				left[at] *= p.lands[j]
			}
		}
	}
	for _, at := range stops {
		needed *= 1 - left[at]
	}
	return needed
}

// spoilt says that all of a candidate which has failed is in the members, on no more than
// they stand on: they would fail again.
func (p *planner) spoilt(on, members []int) bool {
	in := func(m Member, lists ...[]int) bool {
		i, queued := p.at[m.Change]
		return !queued || slices.ContainsFunc(lists, func(l []int) bool { return slices.Contains(l, i) })
	}
	for _, i := range members {
		for _, n := range p.byLast[i] {
			k := &p.Candidates[n]
			if k.Run.Refusals == 0 && k.Conflict == "" || k.Run.State == RunPassed || len(k.Members) < 2 || p.moved(k) {
				continue
			}
			if !slices.ContainsFunc(k.Members, func(m Member) bool { return !in(m, members) }) && !slices.ContainsFunc(k.On, func(m Member) bool { return !in(m, members, on) }) {
				return true
			}
		}
	}
	return false
}

// rooted says that all which a want holds has its parents below it.
func (p *planner) rooted(w want) bool {
	all := slices.Concat(w.on, w.members)
	for n, i := range all {
		e := p.order[i]
		for _, c := range e.Parents {
			j, queued := p.at[c]
			if queued && p.order[j].Branch == e.Branch && !slices.Contains(all[:n], j) && !slices.Contains(e.With, c) {
				return false
			}
		}
	}
	return true
}

func (p *planner) try(w want) {
	if !p.rooted(w) || slices.ContainsFunc(w.members, p.barred) {
		return
	}
	branch := p.order[w.members[0]].Branch
	if p.running > 0 && p.failedIn(w.on, w.members) {
		return
	}
	k := p.find(branch, w)
	if k != nil && (k.Run.State == RunRunning || k.Run.State == RunPassed || k.Run.Refusals >= p.tries(k) || k.broken() || k.Conflict != "") {
		return
	}
	if p.running > p.Workers || p.running == p.Workers && (!w.urgent || !p.preempt(w)) {
		return
	}
	if k == nil {
		p.Candidates = append(p.Candidates, Candidate{Branch: branch, Members: p.members(w.members), On: p.members(w.on), Seq: p.branches[branch].Seq})
		k = &p.Candidates[len(p.Candidates)-1]
		last := w.members[len(w.members)-1]
		p.byLast[last] = append(p.byLast[last], len(p.Candidates)-1)
	}
	k.Spare = w.spare
	p.ask(k, w.spare)
}

// told says that the failures of a candidate say nothing any more.
func (p *planner) told(k *Candidate) bool { return p.outdated(k) || p.lucky(k, p.beliefs) }

// tries is how many runs of a candidate may fail: of one on what has landed, as many as it takes
// to be sure of its member.
func (p *planner) tries(k *Candidate) int {
	if len(p.positions(k.On)) == 0 {
		return mostRefusals
	}
	return enoughRefusals
}

// preempt stops the alternate that is needed least, if it is needed less than the wanted one.
func (p *planner) preempt(w want) bool {
	for _, n := range p.strays {
		if p.idle(n) {
			p.halt(&p.Candidates[n], "others are needed more")
			return true
		}
	}
	least, value := -1, w.value/2
	for n := range p.live {
		l := p.live[n]
		if p.Candidates[l.n].Run.State != RunRunning || !p.dispensable(l) {
			continue
		}
		if worth := p.worthOf(l); worth < value {
			least, value = n, worth
		}
	}
	if least < 0 && p.priority(w.members) >= Hotfix {
		least = p.youngest(w)
	}
	if least < 0 {
		return false
	}
	p.stop(p.live[least], "others are needed more")
	return true
}

// worthOf is how many landings a run may bring about, or what it tells is worth.
func (p *planner) worthOf(l *alive) float64 {
	worth := p.needed(l)
	if p.tells(l) {
		worth = max(worth, worthTelling)
	}
	// What the line lands anyhow is worth the less.
	covered := 1.0
	for _, i := range l.members {
		if p.place[i] == 0 || p.line[p.stopOf[i]].alive < 0 {
			covered = 0
			break
		}
		covered = min(covered, p.line[p.stopOf[i]].passes)
	}
	return worth * (1 - covered) * p.joint(l.on, l.members) * float64(len(l.members))
}

// youngest is the run that has come least far of those of lower priority.
func (p *planner) youngest(w want) int {
	found := -1
	for n := range p.live {
		k := &p.Candidates[p.live[n].n]
		if k.Run.State != RunRunning || k.Run.ID == 0 || p.live[n].priority >= p.priority(w.members) || slices.ContainsFunc(p.live[n].members, func(i int) bool { return slices.Contains(w.on, i) }) {
			continue
		}
		if found < 0 || k.Run.StartedAt.After(p.Candidates[p.live[found].n].Run.StartedAt) {
			found = n
		}
	}
	return found
}

// stop cancels the run of a candidate.
func (p *planner) stop(l *alive, why string) { p.halt(&p.Candidates[l.n], why) }

// find is the candidate that still assumes and tries just that.
func (p *planner) find(branch string, w want) *Candidate {
	on := slices.Sorted(slices.Values(w.on))
	name := p.name(on, w.members)
	last := w.members[len(w.members)-1]
	for _, n := range p.byLast[last] {
		k := &p.Candidates[n]
		if k.Branch != branch || len(k.Members) < len(w.members) || len(k.On) < len(w.on) || n < len(p.st) && p.st[n] == void {
			continue
		}
		if k.Run.Refusals > 0 && k.Seq != p.branches[branch].Seq && k.Run.State != RunRunning && k.Run.State != RunPassed && p.told(k) {
			continue
		}
		if k.Run.State != RunRunning && k.Run.State != RunPassed && k.Run.Refusals < p.tries(k) && (k.Seq != p.branches[branch].Seq || p.busy(branch)) {
			continue // its next run would be on another base: that is another candidate
		}
		under, members := p.positions(k.On), p.positions(k.Members)
		if p.name(slices.Sorted(slices.Values(under)), members) == name && (k.Run.State == RunRunning || p.rooted(want{on: under, members: members})) {
			return k // not one in an order that those who stand on each other have left since
		}
	}
	return nil
}

func (p *planner) name(on, members []int) string {
	var s []byte
	for _, i := range on {
		s = strconv.AppendInt(append(s, ' '), int64(i), 10)
	}
	s = append(s, '|')
	for _, i := range members {
		s = strconv.AppendInt(append(s, ' '), int64(i), 10)
	}
	return string(s)
}

func (v *look) members(list []int) []Member {
	all := make([]Member, 0, len(list))
	for _, i := range list {
		all = append(all, Member{v.order[i].Change, v.order[i].PS})
	}
	return all
}
