package queue

import (
	"slices"
	"time"
)

// Where not everybody is in everybody's way, a lane is a long chain of which each stands on others, and
// every change of its order costs the runs of many. So there the line is kept: who runs keeps its
// place, also when its own run is void and others run on it; nothing lands out of its turn as long as
// that would void another; and who comes late goes before others only when less is lost by
// it than is won.

const (
	// lanePatience is how many times what its run takes a change waits for shorter ones: in a lane
	// of many that is drained by rounds, each as long as its longest run, the short ones go together.
	lanePatience = 4
	// laneSpare is how many landings an alternate must save on average: there are many more of them
	// than in one line, and each is of use to few.
	laneSpare = 0.35
	// regret is what a minute that must run again weighs beside one of waiting: it is paid for twice.
	regret = 1.5
	// stale is how likely good one that has passed must be yet, after all that landed since, to
	// have others stand on it before it has passed again.
	stale = 0.9
)

// drawLanes draws those that run: the line as it was, where it holds; those who lost their run on whom
// others run; then the alternates that fit.
func (p *planner) drawLanes(priority int, fresh []int) {
	for p.lineKept(priority, false, fresh) || p.keepPlace(priority) {
		continue
	}
	for p.lineKept(priority, true, nil) {
		continue
	}
}

// lineKept adds the candidates that fit to the line, in the order in which they began, and says
// whether there were any.
func (p *planner) lineKept(priority int, spare bool, fresh []int) bool {
	moved := false
	for n, l := range p.live {
		if l.lined || l.priority != priority || l.spare != spare || !p.fits(l) || p.repeats(l) {
			continue
		}
		passes := p.joint(l.on, l.members)
		if l.passed {
			passes = 1
		}
		if passes < likelyLands && len(l.members) == 1 || passes < likelyLands/2 {
			continue // others go on without it; it tells how it is all the same
		}
		if moved = true; p.letThrough(l, fresh) {
			continue
		}
		l.lined = true
		p.add(stop{on: l.on, members: l.members, alive: n, passes: passes})
	}
	return moved
}

// keepPlace wants one anew that lost its run and on which others run, at the place that it had.
func (p *planner) keepPlace(priority int) bool {
	first := -1
	for _, l := range p.live {
		if l.lined || l.priority != priority || l.spare || !p.mayFollow(l) || p.repeats(l) {
			continue
		}
		i := p.missing(l)
		if i < 0 || p.hoped(p.lined(i)) < worthMain {
			continue
		}
		if first < 0 {
			first = i
		}
		if !p.precedes(i) {
			first = i
			break
		}
	}
	if first < 0 {
		return false
	}
	on := p.lined(first)
	p.add(stop{on: on, members: []int{first}, alive: -1, passes: p.landsOn(first, on)})
	return true
}

// missing is the first of those that a candidate stands on who is not in the line, -1 when one of
// them cannot be.
func (p *planner) missing(l *alive) int {
	first := -1
	for _, j := range l.on {
		if p.place[j] != 0 {
			continue
		}
		if p.barred(j) || p.tied(j) || p.doubted[j] || p.beliefs[j].passes < likelyLands {
			return -1
		}
		if first < 0 {
			first = j
		}
	}
	return first
}

// mayFollow says that nobody is in the line who is in the way of a candidate, whoever of those that it
// stands on is missing.
func (p *planner) mayFollow(l *alive) bool {
	for _, i := range l.members {
		if p.place[i] != 0 || p.barred(i) {
			return false
		}
		p.ground = p.conflicting(i, p.ground[:0])
		if slices.ContainsFunc(p.ground, func(j int) bool { return !slices.Contains(l.on, j) }) {
			return false
		}
	}
	return l.passed || len(l.members) > 1 || p.beliefs[l.members[0]].passes >= likelyLands
}

// precedes says that a run may get its place yet that goes before an entry.
func (p *planner) precedes(i int) bool {
	return slices.ContainsFunc(p.live, func(r *alive) bool {
		return !r.lined && !r.spare && !slices.Contains(r.on, i) && !slices.Contains(r.members, i) &&
			slices.ContainsFunc(r.members, func(j int) bool { return p.conflicts(i, j) }) && p.mayFit(r)
	})
}

// letThrough puts those before a candidate that conflict with it and are done much sooner, when all
// that would have to run again for it has run shorter than they would wait.
func (p *planner) letThrough(l *alive, fresh []int) bool {
	if len(fresh) == 0 || l.passed || p.running >= p.Workers || len(l.members) > 1 {
		return false
	}
	k := &p.Candidates[l.n]
	took := p.takes(l.members, p.branches[k.Branch])
	left := took - p.now.Sub(k.Run.StartedAt)
	if l.own > left.Minutes() {
		return false
	}
	passed, until := false, p.due(p.order[l.members[0]])
	for _, i := range fresh {
		e := p.order[i]
		if p.place[i] != 0 || float64(e.Takes) > quicker*float64(took) || !p.conflicts(i, l.members[0]) || !p.now.Add(time.Duration(lanePatience*float64(e.Takes))).Before(until) {
			continue
		}
		on := p.lined(i)
		if len(on) > maxDepth || p.hoped(on) < worthMain || regret*p.losses(i) > (left-e.Takes).Minutes() {
			continue
		}
		p.add(stop{on: on, members: []int{i}, alive: -1, passes: p.landsOn(i, on)})
		passed = true
	}
	return passed
}

// losses are the minutes that would run again if an entry came before all that has no place yet.
func (p *planner) losses(i int) float64 {
	sum := 0.0
	for _, r := range p.live {
		if !r.lined && !r.spare && slices.ContainsFunc(r.members, func(j int) bool { return p.conflicts(i, j) }) {
			sum += r.own
		}
	}
	return sum
}

// repeats says that a run tries again what has failed, and more. The only one that runs is left alone:
// it would be asked for again.
func (p *planner) repeats(l *alive) bool {
	return !l.passed && p.running > 1 && p.failedIn(l.on, l.members)
}

// failedIn says that all of a smaller candidate which has failed is in what another tries. Of those
// that land with others it says nothing: only all of them together tell whether they are good.
func (p *planner) failedIn(on, members []int) bool {
	if !p.lanes || slices.ContainsFunc(members, p.tied) {
		return false
	}
	in := func(k *Candidate, m Member) bool {
		i, queued := p.at[m.Change]
		if !queued {
			return p.hasLanded(k, m)
		}
		return slices.Contains(on, i) || slices.Contains(members, i)
	}
	within := func(k *Candidate) bool {
		out := func(m Member) bool { return !in(k, m) }
		return !slices.ContainsFunc(k.Members, out) && !slices.ContainsFunc(k.On, out)
	}
	for _, list := range [][]int{on, members} {
		for _, i := range list {
			for _, n := range p.byLast[i] {
				k := &p.Candidates[n]
				if k.Run.State == RunRefused && len(k.On)+len(k.Members) < len(on)+len(members) && within(k) && !p.moved(k) && !p.told(k) {
					return true
				}
			}
		}
	}
	return false
}

// lonely says that an entry is tried by itself before it gets a place in a lane: it is hardly likely to
// pass, or so much has landed since it passed that it must pass again before others stand on it.
func (p *planner) lonely(i int) bool {
	least := likelyLands
	if p.beliefs[i].proved {
		least = stale
	}
	return p.lanes && p.beliefs[i].passes < least
}
