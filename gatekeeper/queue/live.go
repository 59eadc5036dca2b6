package queue

import (
	"slices"
	"time"
)

// alive is a candidate that runs or has passed, and whose ground may still come true.
type alive struct {
	n           int // index of the candidate
	on, members []int
	due         time.Time // its place in the order
	oldest      time.Time // when the first of its members came
	passed      bool
	lined       bool
	weighed     bool
	need        float64 // how likely its ground comes true, once weighed
	spare       bool
	priority    int
	own         float64 // minutes that would have to run again without it
	stake       float64 // and those of all that stand on it
}

// findLive lists the candidates that run or passed, in the order of their places; alternates last.
func (p *planner) findLive() {
	found := make([]alive, 0, len(p.Candidates)) // never more: they are pointed to
	p.live = make([]*alive, 0, len(p.Candidates))
	p.sortByLast()
	for n := range p.Candidates {
		k := &p.Candidates[n]
		if len(k.Members) == 0 {
			continue
		}
		if k.Conflict != "" || k.Run.State != RunRunning && k.Run.State != RunPassed {
			continue
		}
		if k.Run.State == RunRunning && (len(k.Members) == 1 || p.confirms(k)) {
			for _, i := range p.positions(k.Members) {
				p.tested[i] = true
			}
		}
		if p.st[n] == void {
			if k.Run.State == RunRunning {
				p.strays = append(p.strays, n)
			}
			continue
		}
		l := p.aliveOf(n)
		if len(l.members) == 0 {
			continue // it was asked for, and its changes have left meanwhile
		}
		found = append(found, l)
		p.live = append(p.live, &found[len(found)-1])
		for _, i := range l.members {
			p.known[i] = true
		}
	}
	slices.SortStableFunc(p.live, func(a, b *alive) int {
		if a.spare != b.spare {
			if a.spare {
				return 1
			}
			return -1
		}
		if p.lanes {
			return p.Candidates[a.n].Run.StartedAt.Compare(p.Candidates[b.n].Run.StartedAt)
		}
		return a.due.Compare(b.due)
	})
	p.weighStakes()
}

func (p *planner) aliveOf(n int) alive {
	k := &p.Candidates[n]
	l := alive{n: n, passed: k.Run.State == RunPassed, spare: k.Spare, on: p.positions(k.On), members: p.positions(k.Members)}
	if len(l.members) == 0 {
		return l
	}
	l.priority = p.priority(l.members)
	l.due, l.oldest = k.Run.StartedAt, k.Run.StartedAt
	for _, i := range l.members {
		if at := p.order[i].EnqueuedAt; at.Before(l.oldest) {
			l.oldest = at
		}
	}
	if len(l.members) == 1 {
		l.due = due(k.Run.StartedAt, p.order[l.members[0]].Takes)
	}
	return l
}

// sortByLast sorts the candidates by their last member.
func (p *planner) sortByLast() {
	last := make([]int, len(p.Candidates)) // + 1
	count := make([]int, len(p.order))
	for n := range p.Candidates {
		if members := p.Candidates[n].Members; len(members) > 0 {
			if i, queued := p.at[members[len(members)-1].Change]; queued {
				last[n] = i + 1
				count[i]++
			}
		}
	}
	room := make([]int, len(p.Candidates))
	for i, n := range count {
		p.byLast[i], room = room[:0:n], room[n:]
	}
	for n, i := range last {
		if i > 0 {
			p.byLast[i-1] = append(p.byLast[i-1], n)
		}
	}
}

// due is the place of what begins at a time and takes long: it lets those pass that begin a
// little later and are done sooner.
func due(begins time.Time, takes time.Duration) time.Time {
	return begins.Add(time.Duration(patience * float64(takes)))
}

// takes is how long a run of the members is expected to take.
func (p *planner) takes(members []int, b *Branch) time.Duration {
	longest, sum := time.Duration(0), time.Duration(0)
	for _, i := range members {
		longest, sum = max(longest, p.order[i].Takes), sum+p.order[i].Takes
	}
	return min(sum, time.Duration(float64(longest)*(1+b.BatchCost*float64(len(members)-1))))
}

func (p *planner) drawLive(from, to int) {
	priority := p.priorityOf(p.order[from])
	var fresh []int // who just came, and may be quicker than what runs
	for i := from; i < to; i++ {
		if !p.known[i] && !p.barred(i) && !p.suspected(i) && len(p.order[i].With) == 0 && len(p.order[i].Parents) == 0 {
			fresh = append(fresh, i)
		}
	}
	if p.lanes {
		p.drawLanes(priority, fresh)
		return
	}
	for p.lineUp(priority, fresh, true) || p.lineUp(priority, fresh, false) {
		continue
	}
}

// lineUp adds the candidates that fit to the line, in their order, and says whether there were any.
// Weighing, it leaves those to later for which more would have to run again, or who are doubted; else it adds one of those.
func (p *planner) lineUp(priority int, fresh []int, weighing bool) bool {
	moved := false
	for n := range p.live {
		l := p.live[n]
		if l.lined || l.priority != priority || !p.fits(l) || weighing && (p.outweighed(l) || p.scarce && !l.passed && p.anyDoubted(l.members)) {
			continue
		}
		passes := p.joint(l.on, l.members)
		if l.passed {
			passes = 1
		}
		if passes < likelyLands && len(l.members) == 1 || passes < likelyLands/2 {
			continue // others go on without it; it tells how it is all the same
		}
		if p.letPass(l, fresh) {
			continue
		}
		l.lined = true
		p.add(stop{on: l.on, members: l.members, alive: n, passes: passes})
		if moved = true; !weighing {
			return true
		}
	}
	return moved
}

// adopt finds the runs of what the line wants among those that it was not drawn from: a run
// that is hardly likely to pass is drawn late, in its turn, and is that run all the same.
func (p *planner) adopt() {
	idle := map[int][]int{} // by their last member, the latest first
	for n, l := range slices.Backward(p.live) {
		if !l.lined && p.st[l.n] != void {
			last := l.members[len(l.members)-1]
			idle[last] = append(idle[last], n)
		}
	}
	for at := range p.line {
		s := &p.line[at]
		if s.alive >= 0 {
			continue
		}
		for _, n := range idle[s.members[len(s.members)-1]] {
			l := p.live[n]
			if p.Candidates[l.n].Branch != p.order[s.members[0]].Branch || !slices.Equal(l.members, s.members) || !sameSet(l.on, s.on) {
				continue
			}
			if !l.lined {
				l.lined, s.alive = true, n
				if l.passed {
					s.passes = 1
				}
			}
			break
		}
	}
}

// sameSet says that two lists have the same in them, in any order.
func sameSet(a, b []int) bool {
	return len(a) == len(b) && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// letPass puts those before a candidate that conflict with it and are done much sooner, as long as
// it and those behind it lose less by that than they would wait for it.
func (p *planner) letPass(l *alive, fresh []int) bool {
	passed := false
	if l.passed || p.running >= p.Workers || len(l.members) > 1 {
		return false
	}
	k := &p.Candidates[l.n]
	if l.stake > (p.takes(l.members, p.branches[k.Branch]) - p.now.Sub(k.Run.StartedAt)).Minutes() {
		return false
	}
	at := due(l.oldest, p.order[l.members[0]].Takes)
	for _, i := range fresh {
		if p.place[i] != 0 || !due(p.now, p.order[i].Takes).Before(at) || float64(p.order[i].Takes) > quicker*float64(p.takes(l.members, p.branches[p.order[i].Branch])) {
			continue
		}
		if !slices.ContainsFunc(l.members, func(m int) bool { return p.conflicts(i, m) }) {
			continue
		}
		on := p.lined(i)
		if len(on) > maxDepth || p.hoped(on) < worthMain {
			continue
		}
		p.add(stop{on: on, members: []int{i}, alive: -1, passes: p.landsOn(i, on)})
		passed = true
	}
	return passed
}

// fits says whether a candidate tests what would land if all in the line before it does.
func (p *planner) fits(l *alive) bool {
	for _, j := range l.on {
		if p.place[j] == 0 {
			return false
		}
	}
	for _, i := range l.members {
		if p.place[i] != 0 || p.barred(i) || p.fatherless(i, l) {
			return false
		}
		p.ground = p.conflicting(i, p.ground[:0])
		if slices.ContainsFunc(p.ground, func(j int) bool { return !slices.Contains(l.on, j) }) {
			return false
		}
	}
	return true
}

// fatherless says that a candidate does not hold a parent of the entry, or one that lands with
// it, which may have become so since.
func (p *planner) fatherless(i int, l *alive) bool {
	e := p.order[i]
	return slices.ContainsFunc(e.Parents, func(c int64) bool {
		j, queued := p.at[c]
		return queued && p.order[j].Branch == e.Branch && !slices.Contains(l.on, j) && !slices.Contains(l.members, j)
	}) || slices.ContainsFunc(p.group(i), func(j int) bool { return !slices.Contains(l.members, j) })
}

// unlined counts the runs that may be stopped for others.
func (p *planner) unlined() int {
	count := 0
	for _, n := range p.strays {
		if p.idle(n) {
			count++
		}
	}
	for n := range p.live {
		if l := p.live[n]; p.dispensable(l) && p.worthOf(l) < worthKeeping {
			count++
		}
	}
	return count
}

// idle says that a stray may be stopped: it tests nobody who has failed.
func (p *planner) idle(n int) bool {
	k := &p.Candidates[n]
	if k.Run.State != RunRunning || k.Run.ID == 0 {
		return false
	}
	return !slices.ContainsFunc(k.Members, func(m Member) bool {
		i, queued := p.at[m.Change]
		return queued && !p.beliefs[i].proved
	})
}

// dispensable says that a run is an alternate, and not the test of those who are doubted.
func (p *planner) dispensable(l *alive) bool {
	k := &p.Candidates[l.n]
	if l.passed || l.lined || k.Run.ID == 0 {
		return false
	}
	return slices.ContainsFunc(l.members, func(i int) bool { return !p.doubted[i] })
}
