package sim

import (
	"fmt"
	"slices"

	"gatehouse/gatekeeper/queue"
)

// carryOut does what the queue asked for, as the controller does, and puts the answer on its
// way. refuse makes a landing fail that could be made.
func (m *model) carryOut(a queue.Action, refuse bool) {
	switch a := a.(type) {
	case queue.Try:
		m.try(a)
	case queue.Cancel:
		m.cancel(a)
	case queue.Eject:
		if c := m.change(a.Change); c.status == queued && c.ps == a.PS {
			m.leave(c)
		}
	case queue.Land:
		m.land(a, refuse)
	default:
		panic(fmt.Sprintf("sim: unknown action %T", a))
	}
}

// try makes the candidate, or finds the one that is just that, and a run of it.
func (m *model) try(a queue.Try) {
	b := m.branch(a.Branch)
	k := &modelCandidate{branch: b, members: a.Members, seq: b.seq, whole: b.whole, proven: b.proven}
	k.base, k.conflict = m.fold(b.tip, a.On)
	if k.base != nil {
		k.commit, k.conflict = m.fold(k.base, a.Members)
	} else {
		k.base = b.tip
	}
	for _, x := range a.On { // who has landed meanwhile is ground
		if !b.tip.has(x) {
			k.on = append(k.on, x)
		}
	}
	k = m.keep(k)
	answer := queue.Tried{Ask: a.Ask, Branch: a.Branch, Members: a.Members, On: a.On, ID: k.id, Seq: b.seq, Proven: b.proven, Base: k.base.id, Conflict: k.conflict}
	if k.commit == nil {
		m.send(-k.id, answer)
		return
	}
	r := k.newest()
	if r == nil || r.state != queue.RunRunning && (r.state != queue.RunPassed || len(a.Members) == 0) {
		r = m.run(k)
	}
	answer.Commit, answer.Run = k.commit.id, r.id
	for _, before := range k.runs[:len(k.runs)-1] {
		switch before.state {
		case queue.RunRefused:
			answer.Refusals++
		case queue.RunErrored:
			answer.Errors++
		case queue.RunNone, queue.RunRunning, queue.RunPassed:
		}
	}
	m.send(-k.id, answer)
	if r.state != queue.RunRunning {
		m.send(-k.id, verdict(r))
	}
}

// keep is the row of a candidate: the one that is there, if any.
func (m *model) keep(k *modelCandidate) *modelCandidate {
	for _, have := range m.candidates {
		if have.branch == k.branch && have.base == k.base && have.commit == k.commit && slices.Equal(have.members, k.members) {
			return have
		}
	}
	m.candidates = append(m.candidates, k)
	k.id = int64(len(m.candidates))
	return k
}

func (m *model) run(k *modelCandidate) *modelRun {
	m.runs++
	r := &modelRun{id: 100 + m.runs, of: k, state: queue.RunRunning, started: m.now}
	k.runs = append(k.runs, r)
	return r
}

// verdict is what the queue is told of a run that has ended.
func verdict(r *modelRun) queue.RunEnded {
	e := queue.RunEnded{Candidate: r.of.id, Run: r.id, Commit: r.of.commit.id, State: r.state}
	if r.state == queue.RunRefused {
		e.Reason = refusedWords
	}
	return e
}

// end ends a run.
func (m *model) end(r *modelRun, state queue.RunState) {
	r.state, r.ended = state, m.now
	if b := r.of.branch; state == queue.RunPassed && b.green.Before(m.now) {
		b.green = m.now
	}
	m.send(-r.of.id, verdict(r))
}

func (m *model) cancel(a queue.Cancel) {
	k := m.candidate(a.Candidate)
	if k == nil {
		return
	}
	for _, r := range k.runs {
		if r.id == a.Run && r.state == queue.RunRunning {
			m.end(r, queue.RunNone)
		}
	}
}

// land moves the branches, all or none.
func (m *model) land(a queue.Land, refuse bool) {
	ok := !refuse
	var tips []*modelCommit
	for _, p := range a.Parts {
		b := m.branch(p.Branch)
		ok = ok && b.tip.id == p.Old
		for _, x := range p.Members {
			c := m.change(x.Change)
			ok = ok && c.status == queued && c.ps == x.PS && c.branch == b && (b.frozen == "" || c.priority >= queue.Hotfix)
		}
		tip, conflict := m.fold(b.tip, p.Members)
		ok = ok && conflict == ""
		tips = append(tips, tip)
	}
	done := queue.LandDone{Parts: a.Parts, Ask: a.Ask, Landed: ok, Tips: map[string]string{}}
	for n, p := range a.Parts {
		b := m.branch(p.Branch)
		if ok {
			m.landPart(b, p, tips[n])
		} else if refuse {
			m.supersede(p)
		}
		done.Tips[p.Branch] = b.tip.id
	}
	m.send(streamBranches, done)
}

func (m *model) landPart(b *modelBranch, p queue.Part, tip *modelCommit) {
	for _, x := range p.Members {
		c := m.change(x.Change)
		b.seq++
		c.status = landedNow
		m.landed = append(m.landed, queue.Landed{Branch: b.name, Seq: b.seq, Change: x.Change, PS: x.PS, Targets: c.targets(), Barrier: c.wide || c.barrier})
		m.soundly(b, x)
	}
	b.tip, b.proven = tip, true
}

// soundly is what it is all for: what lands is good on what it lands on.
func (m *model) soundly(b *modelBranch, x queue.Member) {
	if m.bad(x) {
		fail("sound", "%d.%d landed and is bad", x.Change, x.PS)
	}
	for _, l := range m.landed {
		if c := l.Change; c != 0 && l.Branch == b.name && c != x.Change && m.clash(x, m.change(c).member()) && b.tip.has(m.change(c).member()) {
			fail("sound", "%d.%d landed on %d, with which it fails", x.Change, x.PS, c)
		}
	}
}

// supersede gives up the runs of a landing whose stages would have to run again.
func (m *model) supersede(p queue.Part) {
	for _, id := range p.Candidates {
		if r := m.candidate(id).newest(); r != nil && r.state == queue.RunPassed {
			r.state = queue.RunNone
		}
	}
}
