package sim

import (
	"slices"

	"gatehouse/gatekeeper/queue"
)

// judgeLand holds a landing to the rules: what lands is exactly what passed, on exactly what
// it passed on as far as that matters, in order, once, and only where it may.
func (m *model) judgeLand(t *told, a queue.Land) {
	if len(a.Parts) == 0 {
		fail("land", "a landing of nothing")
	}
	seen := map[int64]bool{}
	for n, p := range a.Parts {
		for _, l := range append(t.landings, queue.Land{Parts: a.Parts[:n]}) {
			if slices.ContainsFunc(l.Parts, func(q queue.Part) bool { return q.Branch == p.Branch }) {
				fail("twice", "%s gains by two landings at once", p.Branch)
			}
		}
		b, known := t.branches[p.Branch]
		switch {
		case !known:
			fail("land", "there is no branch %s", p.Branch)
		case b.Tip != p.Old:
			fail("moved", "%s is moved from %s, and points to %s", p.Branch, p.Old, b.Tip)
		case len(p.Members) == 0:
			fail("land", "nothing lands on %s", p.Branch)
		}
		for _, x := range p.Members {
			m.judgeMember(t, a, p, b, x)
			if seen[x.Change] {
				fail("once", "%d lands twice in one landing", x.Change)
			}
			seen[x.Change] = true
		}
		m.judgeTested(t, p)
	}
}

// judgeMember is about one change of a landing.
func (m *model) judgeMember(t *told, a queue.Land, p queue.Part, b queue.Branch, x queue.Member) {
	e, in := t.entries[x.Change]
	if !in || e.PS != x.PS || e.Branch != p.Branch {
		fail("once", "%d.%d lands on %s and is not queued for it", x.Change, x.PS, p.Branch)
	}
	if b.Frozen != "" && e.Priority < queue.Hotfix {
		fail("frozen", "%d lands on %s, which is frozen", x.Change, p.Branch)
	}
	for _, up := range e.Parents {
		in, q := lands(a, up)
		if !in {
			fail("parents", "%d lands before its parent %d", x.Change, up)
		}
		at := func(c int64) int {
			return slices.IndexFunc(q.Members, func(y queue.Member) bool { return y.Change == c })
		}
		if q.Branch == p.Branch && at(up) > at(x.Change) {
			fail("parents", "%d lands before its parent %d in one landing", x.Change, up)
		}
	}
	for _, mate := range e.With {
		if in, _ := lands(a, mate); !in {
			fail("with", "%d lands without %d, with which it must", x.Change, mate)
		}
	}
}

// judgeTested is about what was tested and what would land.
func (m *model) judgeTested(t *told, p queue.Part) {
	ground := m.commits[p.Old]
	left := p.Members
	for _, id := range p.Candidates {
		k := m.candidate(id)
		if k == nil || k.branch.name != p.Branch || k.commit == nil {
			fail("tested", "%d is no candidate for %s", id, p.Branch)
		}
		if !slices.ContainsFunc(k.runs, func(r *modelRun) bool { return r.told && r.state == queue.RunPassed }) {
			fail("tested", "candidate %d (%s) lands and has not passed", id, showTry("", k.members, k.on))
		}
		var landing []queue.Member
		for _, x := range k.members {
			next := len(left) > 0 && left[0] == x
			if ground.has(x) && !next {
				continue
			}
			if !next {
				fail("tested", "candidate %d tested %s, and %s land", id, showMembers(k.members), showMembers(p.Members))
			}
			landing, left = append(landing, x), left[1:]
		}
		if len(landing) == 0 {
			fail("land", "nothing of candidate %d is left to land", id)
		}
		m.judgeGround(t, k, ground, landing)
		for _, x := range landing {
			ground = m.with(ground, x)
		}
	}
	if len(left) > 0 {
		fail("tested", "%s land, and no candidate of the landing has them", showMembers(left))
	}
}

// judgeGround compares what a candidate was tested on with what its members land on.
func (m *model) judgeGround(t *told, k *modelCandidate, ground *modelCommit, landing []queue.Member) {
	for _, x := range k.commit.items() {
		if !ground.has(x) && !slices.Contains(k.members, x) {
			fail("tested", "candidate %d was tested with %s, which is not on %s", k.id, showMember(x), k.branch.name)
		}
	}
	for _, y := range ground.items() {
		if k.commit.has(y) {
			continue
		}
		for _, x := range landing {
			if y.Change < 0 || t.conflict(t.entries[x.Change], y.Change) {
				fail("tested", "candidate %d was tested without %s, which is on %s and may conflict with %s", k.id, showMember(y), k.branch.name, showMember(x))
			}
		}
	}
}

// conflict says whether a queued change may conflict with one that landed, or lands now.
func (t *told) conflict(e queue.Entry, other int64) bool {
	targets, barrier := t.entries[other].Targets, t.entries[other].Barrier
	if l, landed := t.landed[other]; landed {
		targets, barrier = l.Targets, l.Barrier
	}
	return barrier || e.Barrier || slices.ContainsFunc(targets, func(t string) bool { return slices.Contains(e.Targets, t) })
}
