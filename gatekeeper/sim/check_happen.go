package sim

import (
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
)

// happen makes one thing happen, if it can.
func (p *player) happen(x happening) {
	p.pass(time.Duration(x.c%120) * time.Second)
	switch x.kind {
	case hapProgress:
		p.progress(x)
	case hapArrive:
		p.arrive(x)
	case hapTick:
		p.step(queue.Tick{})
	case hapWorkers:
		p.workers = int(x.a % 5)
		p.send(streamWorkers, queue.WorkersSet{Workers: p.workers})
	case hapClock: // a clock that was set wrong, or right again
		p.now = p.now.Add(time.Duration(int64(x.a%(48*3600))-24*3600) * time.Second)
	case hapCrash:
		p.crash(x.a%2 == 0)
	case hapRepeat:
		p.repeat(x)
	case hapCompare:
		p.compare()
	case hapFreeze, hapPush, hapLandOutside:
		p.disturbBranch(x, p.branches[int(x.a)%len(p.branches)])
	default:
		p.disturbChange(x)
	}
}

// pass lets time pass.
func (p *player) pass(d time.Duration) {
	p.now = p.now.Add(d)
	if p.now.After(p.latest) {
		p.latest = p.now
	}
}

// progress carries an action out, tells a message, or ends a run; now and then late, or not at all.
func (p *player) progress(x happening) {
	odd := x.c%8 == 0
	running := p.running()
	ways := []int{len(p.pending) * 2, len(p.inbox) * 2, len(running)}
	at := x.a % uint32(max(1, ways[0]+ways[1]+ways[2])) //nolint:gosec // small and not negative
	pick := func(n int) int {
		if odd {
			return int(x.b) % n
		}
		return 0
	}
	switch n := int(at); {
	case ways[0]+ways[1]+ways[2] == 0:
		p.step(queue.Tick{})
	case n < ways[0]:
		p.carry(pick(len(p.pending)), x.b%16 == 1)
	case n < ways[0]+ways[1]:
		p.hear(pick(len(p.inbox)), x)
	default:
		p.finish(running[int(x.b)%len(running)], x.c)
	}
}

// hear tells a message, unless it gets lost: then only the rows know.
func (p *player) hear(i int, x happening) {
	for j := range i { // those of one stream come in their order
		if p.inbox[j].stream == p.inbox[i].stream {
			i = j
			break
		}
	}
	if x.b%64 == 2 {
		p.lost = true
		p.inbox = append(p.inbox[:i:i], p.inbox[i+1:]...)
		return
	}
	p.deliver(i)
}

// finish ends a run as the truth has it, or as bad luck has it.
func (p *player) finish(r *modelRun, luck uint32) {
	switch roll := float64(luck%1000) / 1000; {
	case roll < p.config.errored:
		p.end(r, queue.RunErrored)
	case roll < p.config.errored+p.config.gone:
		p.end(r, queue.RunNone)
	case !p.passes(r.of):
		p.end(r, queue.RunRefused)
	case roll < p.config.errored+p.config.gone+p.config.flake:
		r.flaked = true
		p.end(r, queue.RunRefused)
	default:
		p.end(r, queue.RunPassed)
	}
}

// repeat tells an answer again that was told, or one that never was true.
func (p *player) repeat(x happening) {
	if len(p.answers) == 0 {
		return
	}
	e := p.answers[int(x.a)%len(p.answers)]
	if end, ok := e.(queue.RunEnded); ok {
		switch x.b % 8 {
		case 1:
			end.Commit = "cx"
		case 2:
			end.Run += 1000
		case 3:
			end.Candidate += 1000
		case 4:
			end.State = queue.RunPassed
		}
		if p.told.live(end) { // it would be true
			return
		}
		e = end
	}
	p.step(e)
}

// arrive makes a change ask to land.
func (p *player) arrive(x happening) {
	if len(p.changes) >= mostChanges {
		return
	}
	number := int64(len(p.changes) + 1)
	b := p.branches[int(x.a>>8)%len(p.branches)]
	c := &modelChange{number: number, branch: b, ps: 1, status: queued, at: p.now, takes: time.Duration(1+x.b%10) * time.Minute}
	for n := range 1 + x.b>>4%2 {
		c.core = append(c.core, "t"+strconv.FormatUint(uint64((x.b>>8+n*3)%uint32(p.config.targets)), 10)) //nolint:gosec // at least one
	}
	c.wide = float64(x.b>>12%1000)/1000 < p.config.wide
	if x.c>>4%8 == 0 {
		c.at = time.Time{}
	}
	switch x.c >> 8 % 16 {
	case 0:
		c.priority = queue.Hotfix
	case 1:
		c.priority = 5
	case 2:
		c.held = "wait for the release"
	}
	p.changes = append(p.changes, c)
	p.relate(c, x.a)
	if broken := p.broken(b); broken != 0 && x.c>>12%2 == 0 {
		c.mends = broken
	}
	if x.c>>16%4 == 0 {
		p.checked(c, x)
	}
	p.tell(c)
}

// relate makes a change a part of a stack, a dependent, or one of those that land together.
func (p *player) relate(c *modelChange, how uint32) {
	if c.number == 1 {
		return
	}
	other := p.change(1 + int64(how>>16)%(c.number-1))
	switch how % 8 {
	case 0, 1: // written on top of it
		if other.branch == c.branch {
			c.stack = other.number
		}
		c.parents = append(c.parents, other.number)
	case 2: // lands with the one before it
		mate := p.change(c.number - 1)
		if mate.status != queued {
			return
		}
		if mate.group == 0 {
			mate.group = mate.number
		}
		c.group = mate.group
		for _, m := range p.changes[:c.number-1] {
			if m.group == c.group && m.status == queued {
				m.with = append(m.with, c.number)
				c.with = append(c.with, m.number)
				p.tell(m)
			}
		}
	}
}

// broken is the item that breaks the branch, 0 when none does.
func (p *player) broken(b *modelBranch) int64 {
	if !p.red(b.tip) {
		return 0
	}
	items := b.tip.items()
	for i := len(items) - 1; i >= 0; i-- {
		if items[i].PS == itemRed && items[i].Change < 0 {
			return items[i].Change
		}
	}
	return 0
}

// checked gives a change the candidate and the run that it had before it asked to land.
func (p *player) checked(c *modelChange, x happening) {
	b := c.branch
	k := &modelCandidate{branch: b, members: []queue.Member{c.member()}, seq: b.seq, whole: b.whole, proven: b.proven, base: b.tip}
	if up := c.stack; up != 0 && p.change(up).status == queued {
		on := p.change(up).member()
		if k.base, k.conflict = p.fold(b.tip, []queue.Member{on}); k.base == nil {
			return
		}
		k.on = []queue.Member{on}
	}
	if k.commit, k.conflict = p.fold(k.base, k.members); k.commit == nil {
		return
	}
	k = p.keep(k)
	p.hidden = true
	if k.newest() == nil {
		if r := p.run(k); x.c>>18%2 == 0 {
			p.finish(r, x.c)
		}
	}
}
