package queue

import (
	"slices"
	"time"
)

// land asks for every landing that can be made now.
func (v *planner) land() {
	for i := range v.Branches {
		b := &v.Branches[i]
		if b.Frozen != "" || v.busy(b.Name) {
			continue
		}
		if part, ok := v.gather(b); ok {
			for _, m := range part.Members {
				pairs, _ := v.before(v.at[m.Change], maxDepth)
				v.Model = v.Model.LearnPairs(len(pairs), 0)
			}
			v.Landings = append(v.Landings, Landing{Parts: []Part{part}})
			v.actions = append(v.actions, Land{Parts: []Part{part}})
		}
	}
}

func (v *look) busy(branch string) bool {
	return slices.ContainsFunc(v.Landings, func(l Landing) bool {
		return slices.ContainsFunc(l.Parts, func(p Part) bool { return p.Branch == branch })
	})
}

// gather collects what can land on a branch now, one candidate after the other.
func (v *planner) gather(b *Branch) (Part, bool) {
	part := Part{Branch: b.Name, Old: b.Tip}
	type ready struct {
		k     *Candidate
		first int
	}
	var passed []ready
	for n := range v.live {
		l := &v.live[n]
		k := &v.Candidates[l.n]
		if k.Branch != b.Name || !l.passed || !l.lined && !v.worth(l) {
			continue
		}
		first := len(v.order)
		for _, m := range k.Members {
			if i, queued := v.at[m.Change]; queued {
				first = min(first, i)
			}
		}
		if first < len(v.order) {
			passed = append(passed, ready{k, first})
		}
	}
	slices.SortFunc(passed, func(a, b ready) int { return a.first - b.first })
	story := v.stories[b.Name]
	known := len(story.all)
	seq := b.Seq
	for moved := true; moved; {
		moved = false
		for _, r := range passed {
			members := v.remaining(r.k, part.Members)
			if len(members) == 0 || v.standsWith(r.k, part.Members) != ground || !v.parentsLanded(members, part.Members) {
				continue
			}
			part.Candidates = append(part.Candidates, r.k.ID)
			part.Members = append(part.Members, members...)
			for _, m := range members { // as if they had landed
				seq++
				e := v.order[v.at[m.Change]]
				story.add(Landed{Branch: b.Name, Seq: seq, Change: m.Change, Targets: e.Targets, Barrier: e.Barrier})
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

func (v *look) parentsLanded(members, now []Member) bool {
	for n, m := range members {
		for _, p := range v.order[v.at[m.Change]].Parents {
			if !has(now, p) && !has(members[:n], p) {
				return false
			}
		}
	}
	return true
}

// worth says whether a candidate that passed out of its turn should land all the same: what
// runs in the line without it is lost, what it would wait for else is saved.
func (p *planner) worth(l *alive) bool {
	lost, saved := time.Duration(0), time.Duration(0)
	for _, s := range p.line {
		if s.alive < 0 || !p.voids(l, s) {
			continue
		}
		r := &p.live[s.alive]
		k := &p.Candidates[r.n]
		if r.passed {
			lost += time.Duration(len(s.members)) * p.takes(s.members, p.branches[k.Branch])
			continue
		}
		ran := p.now.Sub(k.Run.StartedAt)
		lost += ran * time.Duration(len(s.members))
		saved = max(saved, p.takes(s.members, p.branches[k.Branch])-ran)
	}
	return saved*time.Duration(len(l.members)) >= lost
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
