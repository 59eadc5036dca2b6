package sim

import (
	"slices"
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
)

// disturbBranch is what people do to a branch.
func (p *player) disturbBranch(x happening, b *modelBranch) {
	switch x.kind {
	case hapFreeze:
		if b.frozen == "" {
			b.frozen = "release"
		} else {
			b.frozen = ""
		}
		p.tellBranch(b)
	case hapPush:
		switch x.b % 8 {
		case 0: // a push that takes the last one back
			if b.tip.parent.parent != nil {
				p.move(b, p.pushed(b.tip.parent, itemPlain))
			}
		case 1, 2, 3:
			p.move(b, p.pushed(b.tip, itemRed))
		case 4, 5:
			p.move(b, p.pushed(b.tip, itemFix))
		default:
			p.move(b, p.pushed(b.tip, itemPlain))
		}
	case hapLandOutside:
		if c := p.some(x.b, func(c *modelChange) bool { return c.status == queued && c.branch == b }); c != nil {
			p.landOutside(c)
		}
	}
}

// landOutside is an administrator who pushes a good change to the branch himself.
func (p *player) landOutside(c *modelChange) {
	tip, conflict := p.fold(c.branch.tip, []queue.Member{c.member()})
	items := c.branch.tip.items()
	if conflict != "" || p.bad(c.member()) || slices.ContainsFunc(items, func(y queue.Member) bool { return p.clash(c.member(), y) }) {
		return
	}
	c.status = landedNow
	p.move(c.branch, tip)
	p.send(c.number, queue.Removed{Change: c.number, Landed: true})
	for _, mate := range c.with { // it cannot land with them any more
		if m := p.change(mate); m.status == queued {
			p.tell(m)
		}
	}
}

// some is one of the changes that will do.
func (p *player) some(n uint32, good func(*modelChange) bool) *modelChange {
	var all []*modelChange
	for _, c := range p.changes {
		if good(c) {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[int(n)%len(all)]
}

// disturbChange is what people do to a change.
func (p *player) disturbChange(x happening) {
	inQueue := func(c *modelChange) bool { return c.status == queued }
	if x.kind == hapReenter {
		if c := p.some(x.a, func(c *modelChange) bool { return c.status == outside }); c != nil {
			c.status, c.at, p.hidden = queued, p.now, true
			p.tell(c)
		}
		return
	}
	c := p.some(x.a, inQueue)
	if c == nil {
		return
	}
	switch x.kind {
	case hapRepush:
		c.ps++
		c.at = p.now
		if x.b%8 == 0 && c.stack == 0 {
			c.branch = p.branches[int(x.c)%len(p.branches)]
		}
		p.tell(c)
	case hapRemove:
		p.leave(c)
	case hapPlan:
		p.plan(x, c)
	case hapHold:
		if c.held == "" {
			c.held = "ask first"
		} else {
			c.held = ""
		}
		p.tell(c)
	case hapPriority:
		c.priority = []int{0, 5, -5, queue.Hotfix}[x.b%4]
		p.tell(c)
	case hapDepend:
		p.depend(x, c)
	}
}

// plan changes what the plan says about a change, or about its branch.
func (p *player) plan(x happening, c *modelChange) {
	switch x.b % 4 {
	case 0:
		c.extra = nil
	case 1:
		c.extra = append(slices.Clone(c.extra), "t"+strconv.Itoa(int(x.c>>8)%p.config.targets))
	case 2:
		c.barrier = !c.barrier
	default:
		c.branch.batch = int(x.c>>8) % 5
		p.tellBranch(c.branch)
		return
	}
	p.tell(c)
}

// depend makes a change wait for another; now and then the other waits for it already.
func (p *player) depend(x happening, c *modelChange) {
	up := p.some(x.b, func(up *modelChange) bool {
		return up.number != c.number && (up.number < c.number || x.c%8 == 0) && (c.group == 0 || up.group != c.group)
	})
	if up == nil || slices.Contains(c.parents, up.number) {
		return
	}
	c.parents = append(slices.Clone(c.parents), up.number)
	p.tell(c)
}

// The limits of playing on fairly.
const (
	settleRounds = 25 // that each entry is given at most
	calmRounds   = 3  // without anything to do, in which hours pass, before it is over
)

// settle plays on without disturbances and bad luck, until nothing is left to happen. Then
// nobody may be left in the queue who could be decided.
func (p *player) settle() {
	p.now = p.latest
	p.say("settles")
	p.workers = max(1, p.workers)
	p.send(streamWorkers, queue.WorkersSet{Workers: p.workers})
	for _, b := range p.branches {
		b.frozen = ""
		if p.red(b.tip) {
			p.move(b, p.pushed(b.tip, itemFix))
		}
		p.tellBranch(b)
	}
	for _, c := range p.changes {
		if c.status == queued && c.held != "" {
			c.held = ""
			p.tell(c)
		}
	}
	if p.lost {
		p.crash(false)
	}
	calm := 0
	for round := 0; calm < calmRounds; round++ {
		if round > settleRounds*(2+len(p.changes)) {
			fail("endless", "after %d rounds without disturbances there is still something to do: %s", round, p.left())
		}
		if p.round() {
			calm = 0
		} else {
			calm++
			p.pass(time.Hour)
		}
	}
	p.done()
	p.compare()
}

// round does all that there is to do once; it says whether there was anything.
func (p *player) round() bool {
	busy := false
	for n := 0; len(p.pending) > 0 || len(p.inbox) > 0; n++ {
		busy = true
		if n > settleRounds*(2+len(p.changes)) {
			fail("endless", "the queue asks for more and more while time stands still: %s", p.left())
		}
		for len(p.pending) > 0 {
			p.carry(0, false)
		}
		for n := len(p.inbox); n > 0 && len(p.inbox) > 0; n-- {
			p.deliver(0)
		}
	}
	p.pass(time.Minute)
	if running := p.running(); len(running) > 0 {
		busy = true
		r := slices.MinFunc(running, func(a, b *modelRun) int { return int(a.id - b.id) })
		state := queue.RunRefused
		if p.passes(r.of) {
			state = queue.RunPassed
		}
		p.end(r, state)
	}
	p.step(queue.Tick{})
	return busy || len(p.pending) > 0
}

// left lists who is still queued.
func (p *player) left() string {
	s := ""
	for _, c := range p.changes {
		if e, in := p.told.entries[c.number]; in {
			s += " " + showEntry(e) + ";"
		}
	}
	return s
}

// done fails when somebody is left in the queue who waits for nobody outside of it.
func (p *player) done() {
	waits := map[int64]bool{}
	for again := true; again; {
		again = false
		for _, c := range p.changes {
			e, in := p.told.entries[c.number]
			if !in || waits[c.number] {
				continue
			}
			for _, other := range slices.Concat(e.Parents, e.With) {
				if _, in := p.told.entries[other]; !in || waits[other] {
					waits[c.number], again = true, true
				}
			}
		}
	}
	for _, c := range p.changes {
		if e, in := p.told.entries[c.number]; in && !waits[c.number] {
			fail("stuck", "nothing happens any more, and %s is still queued", showEntry(e))
		}
	}
	if n := len(p.told.asked) + len(p.told.runs) + len(p.told.landings); n > 0 {
		fail("stuck", "nothing happens any more, and the queue waits for %d answers", n)
	}
}
