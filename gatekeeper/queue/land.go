package queue

import (
	"slices"
)

// land asks for every landing that can be made now. Branches whose changes land together get
// one landing, the others one each.
func (p *planner) land() {
	parts := p.landable(nil)
	for i := 0; i < p.n && len(parts) == 0 && p.running == 0; i++ {
		// Nothing is under way that could change what has passed: those that land together over
		// several branches may be kept apart by others that have passed too, and wait for them.
		if p.linkedOver(i) {
			parts = p.landable(p.circle(i))
		}
	}
	for len(parts) > 0 {
		together := []Part{parts[0]}
		parts = parts[1:]
		for n := 0; n < len(parts); n++ {
			if p.linked(together, parts[n]) {
				together = append(together, parts[n])
				parts = slices.Delete(parts, n, n+1)
				n = -1
			}
		}
		for _, part := range together {
			for _, m := range part.Members {
				p.Model = p.Model.LearnPairs(p.triedWith(part, m), 0)
			}
		}
		p.Asked++
		p.Landings = append(p.Landings, Landing{Parts: together, Ask: p.Asked})
		p.actions = append(p.actions, Land{Parts: together, Ask: p.Asked})
	}
}

// triedWith counts those that a landing change passed with.
func (p *planner) triedWith(part Part, m Member) int {
	for n := range p.live {
		if k := &p.Candidates[p.live[n].n]; slices.Contains(part.Candidates, k.ID) && has(k.Members, m.Change) {
			return len(k.On) + slices.IndexFunc(k.Members, func(o Member) bool { return o.Change == m.Change })
		}
	}
	return 0
}

// complete says whether all that must land with a change, or before it on another branch, does.
func (p *planner) complete(m Member, parts []Part) bool {
	e := p.order[p.at[m.Change]]
	return !slices.ContainsFunc(slices.Concat(e.With, e.Parents), func(c int64) bool {
		return !slices.ContainsFunc(parts, func(part Part) bool { return has(part.Members, c) })
	})
}

// landable are the parts of what can land now: of those changes only, when there are any.
func (p *planner) landable(only map[int64]bool) []Part {
	banned := map[int64]bool{} // candidates
	for {
		var parts []Part
		for i := range p.Branches {
			if b := &p.Branches[i]; !p.busy(b.Name) {
				if part, ok := p.gather(b, banned, only); ok {
					parts = append(parts, part)
				}
			}
		}
		if !p.banOne(parts, banned) {
			return parts
		}
	}
}

// linkedOver says that an entry lands with one on another branch, or after it.
func (p *planner) linkedOver(i int) bool {
	e := p.order[i]
	return !p.barred(i) && slices.ContainsFunc(slices.Concat(e.With, e.Parents), func(c int64) bool {
		j, queued := p.at[c]
		return queued && p.order[j].Branch != e.Branch
	})
}

// circle is a change with all that must land before it or with it.
func (p *planner) circle(i int) map[int64]bool {
	found := map[int64]bool{p.order[i].Change: true}
	next := []int{i}
	for len(next) > 0 {
		e := p.order[next[0]]
		next = next[1:]
		for _, c := range slices.Concat(e.With, e.Parents) {
			if j, queued := p.at[c]; queued && !found[c] {
				found[c], next = true, append(next, j)
			}
		}
	}
	return found
}

// banOne leaves one candidate out whose changes cannot land with these parts, if there is one:
// another may be able to take its place, and complete the others. Who cannot land by any
// candidate that has passed goes first.
func (p *planner) banOne(parts []Part, banned map[int64]bool) bool {
	for _, hopeless := range []bool{true, false} {
		for _, part := range parts {
			for _, m := range part.Members {
				if !p.complete(m, parts) && (!hopeless || p.hopeless(m, banned)) {
					p.ban(part, m, banned)
					return true
				}
			}
		}
	}
	return false
}

// hopeless says that a change which must land with a member, or before it, is in no candidate
// that may land now.
func (p *planner) hopeless(m Member, banned map[int64]bool) bool {
	e := p.order[p.at[m.Change]]
	return slices.ContainsFunc(slices.Concat(e.With, e.Parents), func(c int64) bool {
		return !slices.ContainsFunc(p.live, func(l *alive) bool {
			k := &p.Candidates[l.n]
			return l.passed && !banned[k.ID] && has(k.Members, c)
		})
	})
}

// ban leaves the candidate out that would land the member.
func (p *planner) ban(part Part, m Member, banned map[int64]bool) {
	for n := range p.live {
		if k := &p.Candidates[p.live[n].n]; slices.Contains(part.Candidates, k.ID) && has(k.Members, m.Change) {
			banned[k.ID] = true
		}
	}
}

// linked says whether a change of the part lands with one of the others, or after it.
func (p *planner) linked(together []Part, part Part) bool {
	depends := func(from, on Part) bool {
		return slices.ContainsFunc(from.Members, func(m Member) bool {
			e := p.order[p.at[m.Change]]
			return slices.ContainsFunc(slices.Concat(e.With, e.Parents), func(c int64) bool { return has(on.Members, c) })
		})
	}
	return slices.ContainsFunc(together, func(t Part) bool { return depends(t, part) || depends(part, t) })
}

func (v *look) busy(branch string) bool {
	return slices.ContainsFunc(v.Landings, func(l Landing) bool {
		return slices.ContainsFunc(l.Parts, func(p Part) bool { return p.Branch == branch })
	})
}

// gather collects what can land on a branch now, one candidate after the other.
func (p *planner) gather(b *Branch, banned, only map[int64]bool) (Part, bool) {
	part := Part{Branch: b.Name, Old: b.Tip}
	var passed []*Candidate
	for n := range p.live {
		l := p.live[n]
		k := &p.Candidates[l.n]
		if k.Branch == b.Name && k.Seq <= b.Seq && l.passed && !banned[k.ID] && (l.lined || p.worth(l)) && p.among(l, only) {
			passed = append(passed, k)
		}
	}
	first := func(k *Candidate) int {
		at := len(p.order)
		for _, m := range k.Members {
			if i, queued := p.at[m.Change]; queued {
				at = min(at, i)
			}
		}
		return at
	}
	slices.SortStableFunc(passed, func(x, y *Candidate) int { return first(x) - first(y) })
	story := p.stories[b.Name]
	known, seq := len(story.all), b.Seq
	for moved := true; moved; {
		moved = false
		for _, k := range passed {
			members := p.remaining(k, part.Members)
			if len(members) == 0 || p.standsWith(k, part.Members) != ground || !p.mayLand(b, members) || !p.parentsLanded(members, part.Members) {
				continue
			}
			part.Candidates = append(part.Candidates, k.ID)
			part.Members = append(part.Members, members...)
			for _, m := range members { // as if they had landed
				seq++
				e := p.order[p.at[m.Change]]
				story.add(Landed{Branch: b.Name, Seq: seq, Change: m.Change, PS: m.PS, Targets: e.Targets, Barrier: e.Barrier})
			}
			moved = true
			break
		}
	}
	for len(story.all) > known {
		story.forgetLast()
	}
	return part, len(part.Members) > 0
}

// among says that all members of a candidate are among those changes, when there are any.
func (p *planner) among(l *alive, only map[int64]bool) bool {
	return only == nil || !slices.ContainsFunc(l.members, func(i int) bool { return !only[p.order[i].Change] })
}

// mayLand says whether nobody holds the members or what they wait for, and the branch is open
// for them.
func (p *planner) mayLand(b *Branch, members []Member) bool {
	return !slices.ContainsFunc(members, func(m Member) bool {
		e := p.order[p.at[m.Change]]
		return p.barred(p.at[m.Change]) || b.Frozen != "" && e.Priority < Hotfix
	})
}

// standsWith is stands, with those that land just now taken for landed.
func (v *look) standsWith(k *Candidate, now []Member) standing {
	switch v.stands(k) {
	case hoped:
		for _, on := range k.On {
			if _, queued := v.at[on.Change]; queued && !has(now, on.Change) {
				return hoped
			}
		}
		return ground
	case ground:
		return ground
	default:
		return void
	}
}

func (v *look) remaining(k *Candidate, now []Member) []Member {
	var left []Member
	for _, m := range k.Members {
		if _, queued := v.at[m.Change]; queued && !has(now, m.Change) {
			left = append(left, m)
		}
	}
	return left
}

// parentsLanded says whether all parents have landed, or land with the members: before them
// on their branch, or on another.
func (p *planner) parentsLanded(members, now []Member) bool {
	for n, m := range members {
		e := p.order[p.at[m.Change]]
		for _, c := range e.Parents {
			j, queued := p.at[c]
			elsewhere := queued && p.order[j].Branch != e.Branch // complete looks whether it lands too
			if !has(now, c) && !has(members[:n], c) && !elsewhere && !slices.Contains(e.With, c) {
				return false
			}
		}
	}
	return true
}

// worth says whether a candidate that passed out of its turn should land all the same: it saves
// another run of its members, and loses what those in the line have run for that would land else.
func (p *planner) worth(l *alive) bool {
	if p.running == 0 {
		return true // nothing is lost, and others may wait for it
	}
	if p.lanes {
		return !slices.ContainsFunc(p.rivals(l.members), func(at int) bool { return p.voids(l, p.line[at]) })
	}
	branch := p.branches[p.Candidates[l.n].Branch]
	saved := float64(len(l.members)) * float64(p.takes(l.members, branch))
	lost := 0.0
	for _, at := range p.rivals(l.members) {
		s := p.line[at]
		if s.alive < 0 || !p.voids(l, s) {
			continue
		}
		r := p.live[s.alive]
		ran := p.takes(s.members, branch)
		if k := &p.Candidates[r.n]; !r.passed {
			ran = min(ran, p.now.Sub(k.Run.StartedAt))
		}
		if lost += float64(len(s.members)) * float64(ran) * p.hoped(s.on) * s.passes; lost > saved {
			return false
		}
	}
	return true
}

// rivals are the stops of the line with somebody that one of the entries conflicts with.
func (p *planner) rivals(members []int) []int {
	found := p.ground[:0]
	for _, i := range members {
		e := p.order[i]
		found = p.inItsLanes(e, found)
		for _, c := range e.Parents {
			if j, queued := p.at[c]; queued && p.place[j] != 0 {
				found = append(found, j)
			}
		}
		found = append(found, p.linedChildren(e.Change)...)
	}
	p.ground = found
	for n, j := range found {
		found[n] = p.stopOf[j]
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// linedChildren are those in the line that wait for a change.
func (p *planner) linedChildren(change int64) []int {
	if p.children == nil {
		p.children = map[int64][]int{}
		for i, e := range p.order {
			for _, c := range e.Parents {
				p.children[c] = append(p.children[c], i)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(p.children[change]), func(i int) bool { return p.place[i] == 0 })
}

// voids says whether landing a candidate would make a stop of the line worthless.
func (p *planner) voids(l *alive, s stop) bool {
	for _, i := range l.members {
		for _, j := range s.members {
			if i != j && p.conflicts(i, j) && !slices.Contains(s.on, i) && !slices.Contains(s.members, i) {
				return true
			}
		}
	}
	return false
}
