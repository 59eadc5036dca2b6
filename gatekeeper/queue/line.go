package queue

import (
	"slices"
)

// stop is one candidate in the line.
type stop struct {
	on, members []int
	alive       int // index in live, -1 for one that is wanted
	passes      float64
}

// barred says that an entry may not be tried: it is held, or waits for a change that is not
// in the queue, or goes with one that may not be tried, or stands on one.
func (p *planner) barred(i int) bool { return p.bars[i] }

// bar finds out who is barred. It follows parents and those that land together, for whoever
// stands on somebody who cannot land cannot land either, and a run of it would tell nobody
// anything that can be acted upon.
func (p *planner) bar() {
	p.bars = make([]bool, len(p.order))
	waits := map[int64][]int{} // who cannot land without a change
	var next []int
	for i, e := range p.order {
		barred := e.Held != ""
		for _, list := range [][]int64{e.Parents, e.With} {
			for _, c := range list {
				waits[c] = append(waits[c], i)
				_, queued := p.at[c]
				barred = barred || !queued
			}
		}
		if barred {
			p.bars[i], next = true, append(next, i)
		}
	}
	for len(next) > 0 {
		e := p.order[next[0]]
		next = next[1:]
		for _, i := range waits[e.Change] {
			if !p.bars[i] {
				p.bars[i], next = true, append(next, i)
			}
		}
	}
}

// orphan says that a parent of the entry is not in the line before it.
func (p *planner) orphan(i int) bool {
	e := p.order[i]
	return slices.ContainsFunc(e.Parents, func(c int64) bool {
		j := p.at[c]
		return p.order[j].Branch == e.Branch && p.place[j] == 0 && !slices.Contains(e.With, c)
	})
}

// group is an entry with those of its branch that land with it, in their order.
func (p *planner) group(i int) []int {
	e := p.order[i]
	all := []int{i}
	for _, c := range e.With {
		if j, queued := p.at[c]; queued && p.order[j].Branch == e.Branch && j != i {
			all = append(all, j)
		}
	}
	slices.Sort(all)
	return all
}

// under is what a group would stand on in the line.
func (p *planner) under(group []int) []int {
	if len(group) == 1 { // as good as always
		on := p.lined(group[0])
		return slices.DeleteFunc(on, func(j int) bool { return j == group[0] })
	}
	var on []int
	for _, i := range group {
		for _, j := range p.lined(i) {
			if !slices.Contains(on, j) && !slices.Contains(group, j) {
				on = append(on, j)
			}
		}
	}
	slices.SortFunc(on, func(a, b int) int { return p.place[a] - p.place[b] })
	return on
}

// usualGround is how many a change seldom stands on more than: room is made for them at once.
const usualGround = 32

// lined are those in the line that the entry conflicts with, in the order of the line.
func (p *planner) lined(i int) []int {
	room := usualGround
	if e := p.order[i]; e.Barrier {
		room = len(p.inAll[e.Branch])
	}
	found := p.conflicting(i, make([]int, 0, room))
	slices.SortFunc(found, func(a, b int) int { return p.place[a] - p.place[b] })
	return slices.Compact(found)
}

// conflicting adds those in the line that the entry conflicts with, in no order, some twice.
func (p *planner) conflicting(i int, found []int) []int {
	e := p.order[i]
	found = p.inItsLanes(e, found)
	found = p.withParents(found, e)
	for n := 0; n < len(found); n++ { // what it stands on does not stand without its parents
		found = p.withParents(found, p.order[found[n]])
	}
	return found
}

// inItsLanes adds those in the line that share a lane with an entry, some twice.
func (p *planner) inItsLanes(e *Entry, found []int) []int {
	if e.Barrier {
		return append(found, p.inAll[e.Branch]...)
	}
	found = append(found, p.inBar[e.Branch]...)
	for _, t := range e.Targets {
		found = append(found, p.inLane[laneKey{e.Branch, t}]...)
	}
	return found
}

// withParents adds the entry's parents in the line of its branch.
func (p *planner) withParents(found []int, e *Entry) []int {
	for _, c := range e.Parents {
		if j, queued := p.at[c]; queued && p.place[j] != 0 && p.order[j].Branch == e.Branch && !slices.Contains(found, j) {
			found = append(found, j)
		}
	}
	return found
}

func (p *planner) add(s stop) {
	p.line = append(p.line, s)
	for _, i := range s.members {
		p.enter(i, len(p.line)-1)
	}
}

// enter gives an entry its place in the line.
func (p *planner) enter(i, stop int) {
	e := p.order[i]
	p.stopOf[i] = stop
	p.lands[i] = p.landsOn(i, p.line[stop].on)
	p.inAll[e.Branch] = append(p.inAll[e.Branch], i)
	p.place[i] = len(p.inAll[e.Branch])
	if e.Barrier {
		p.inBar[e.Branch] = append(p.inBar[e.Branch], i)
	}
	for _, t := range e.Targets {
		key := laneKey{e.Branch, t}
		p.inLane[key] = append(p.inLane[key], i)
	}
}

// landsOn is how likely an entry lands after those it conflicts with.
func (p *planner) landsOn(i int, on []int) float64 {
	if p.landing(p.order[i].Change) {
		return 1
	}
	lands := p.beliefs[i].passes
	for _, j := range on {
		if !p.together(i, j) {
			lands *= 1 - p.clash
		}
	}
	return lands
}

// joint is how likely all members pass on what they stand on, if that lands.
func (p *planner) joint(on, members []int) float64 {
	passes := 1.0
	for n, i := range members {
		passes *= p.landsOn(i, on)
		for _, j := range members[:n] {
			if !p.together(i, j) && p.conflicts(i, j) {
				passes *= 1 - p.clash
			}
		}
	}
	return passes
}

// hoped is how likely all of them land.
func (p *planner) hoped(on []int) float64 {
	all := 1.0
	for _, j := range on {
		all *= p.lands[j]
	}
	return all
}

// together says whether two entries have passed with each other.
func (p *planner) together(i, j int) bool {
	return shared(p.beliefs[i].with, p.beliefs[j].with)
}

// below says that the entry has parents in the queue for its branch.
func (p *planner) below(i int) bool {
	return slices.ContainsFunc(p.order[i].Parents, func(c int64) bool { return p.order[p.at[c]].Branch == p.order[i].Branch })
}
