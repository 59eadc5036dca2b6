package queue

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// The weights of the planner. They were chosen by trying them on workloads of many kinds;
// none of them decides what may land.
const (
	maxDepth     = 64   // changes ahead that a candidate may stand on
	worthMain    = 0.45 // how likely all that a candidate stands on must land
	worthSpare   = 0.15 // how many landings an alternate must save on average
	worthless    = 0.02 // a run that is needed less likely than this is stopped
	jointly      = 0.75 // how likely a batch must pass
	jointProof   = 0.5  // how likely a group must pass that proves itself
	likelyLands  = 0.5  // whom others are built upon
	doubtful     = 0.8  // who is less likely good goes last where workers are few
	likely       = 0.9  // and who is less likely good than this, before those
	suspectAt    = 0.75 // who is less likely good after a failure lets the others pass
	paying       = 0.7  // of the time that its members take apart that a batch may take
	longAgo      = 3    // times its run after which one that waits is looked at by itself
	starving     = 24   // the same, of one that hardly passes, where workers are few
	quicker      = 0.6  // of the time of what runs that one which comes later may take to pass it
	worthKeeping = 0.2  // landings that an alternate must stand for to keep its worker from the line
	horizon      = 4    // entries looked at for each worker
	leastSearch  = 64   // and at least
	worthLook    = 0.1  // landings that knowing about one change is worth
	worthProven  = 0.15 // how likely the ground of one must be that has passed before
)

// planner plans one step. It draws the line: the candidates in the order in which they are
// expected to land, those that run before those that are wanted.
type planner struct {
	*look
	beliefs []belief
	clash   float64
	n       int             // entries looked at
	known   []bool          // entries that a candidate tries
	tested  []bool          // entries that a run tries by themselves
	byLast  map[int64][]int // candidates by their last member
	live    []*alive
	strays  []int // candidates whose runs can land nothing, and still tell of their change
	line    []stop
	place   []int     // position in the line of its branch + 1, by entry
	stopOf  []int     // index in the line, by entry
	lands   []float64 // probability that an entry in the line lands
	inLane  map[laneKey][]int
	inBar   map[string][]int
	inAll   map[string][]int
	// What is wanted: of the line, of those that have failed, of those too deep in the line.
	wants, looks, proofs []want
}

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
}

// stop is one candidate in the line.
type stop struct {
	on, members []int
	alive       int // index in live, -1 for one that is wanted
	passes      float64
}

// want is a candidate that would be of use.
type want struct {
	on, members []int
	value       float64
	spare       bool
	urgent      bool // it may take the worker of one that is needed less
}

// plan draws the line, lands what it can, and starts what is missing.
func (v *look) plan() {
	p := v.planner()
	p.draw()
	p.land()
	if !slices.ContainsFunc(p.Branches, func(b Branch) bool { return !p.busy(b.Name) }) {
		return // what lands changes what is wanted
	}
	p.rank()
	p.spares()
	p.start()
}

// rank puts what is wanted in order: by priority; the line, before it those that failed long
// ago, after it the other ones that failed, then those who may prove themselves.
func (p *planner) rank() {
	var old, young []want
	for _, w := range p.looks {
		if i := w.members[0]; p.beliefs[i].passes < likelyLands || p.waited(i, longAgo) {
			old = append(old, w)
		} else {
			young = append(young, w)
		}
	}
	for _, s := range p.line {
		if s.alive < 0 {
			p.wants = append(p.wants, want{on: s.on, members: s.members, value: p.hoped(s.on) * s.passes * float64(len(s.members)), urgent: true})
		}
	}
	p.wants = slices.Concat(old, p.wants, young, p.proofs)
	slices.SortStableFunc(p.wants, func(a, b want) int { return cmp.Compare(p.priority(b.members), p.priority(a.members)) })
}

// waited says that an entry has waited for so many times what its run takes.
func (p *planner) waited(i, times int) bool {
	return p.now.Sub(p.order[i].EnqueuedAt) > time.Duration(times)*p.order[i].Takes
}

func (p *planner) priority(members []int) int {
	highest := p.priorityOf(p.order[members[0]])
	for _, i := range members {
		highest = max(highest, p.priorityOf(p.order[i]))
	}
	return highest
}

func (v *look) planner() *planner {
	p := &planner{look: v, beliefs: v.beliefs, clash: v.Model.Clash()}
	p.n = min(len(v.order), max(leastSearch, horizon*v.Workers))
	p.known, p.tested, p.byLast = make([]bool, len(v.order)), make([]bool, len(v.order)), map[int64][]int{}
	p.place, p.stopOf, p.lands = make([]int, len(v.order)), make([]int, len(v.order)), make([]float64, len(v.order))
	p.inLane, p.inBar, p.inAll = map[laneKey][]int{}, map[string][]int{}, map[string][]int{}
	p.findLive()
	return p
}

// findLive lists the candidates that run or passed, the sooner they end the earlier.
func (p *planner) findLive() {
	for n := range p.Candidates {
		k := &p.Candidates[n]
		if len(k.Members) == 0 {
			continue
		}
		last := k.Members[len(k.Members)-1].Change
		p.byLast[last] = append(p.byLast[last], n)
		if k.Conflict != "" || k.Run.State != RunRunning && k.Run.State != RunPassed {
			continue
		}
		if k.Run.State == RunRunning && (len(k.Members) == 1 || p.confirms(k)) {
			for _, m := range k.Members {
				if i, queued := p.at[m.Change]; queued {
					p.tested[i] = true
				}
			}
		}
		if p.st[n] == void {
			if k.Run.State == RunRunning {
				p.strays = append(p.strays, n)
			}
			continue
		}
		l := &alive{n: n, priority: math.MinInt, passed: k.Run.State == RunPassed, spare: k.Spare}
		for _, m := range k.On {
			if j, queued := p.at[m.Change]; queued {
				l.on = append(l.on, j)
			}
		}
		for _, m := range k.Members {
			if i, queued := p.at[m.Change]; queued {
				l.members = append(l.members, i)
				l.priority = max(l.priority, p.priorityOf(p.order[i]))
			}
		}
		if len(l.members) == 0 {
			continue // it was asked for, and its changes have left meanwhile
		}
		l.due, l.oldest = k.Run.StartedAt, k.Run.StartedAt
		for _, i := range l.members {
			if at := p.order[i].EnqueuedAt; at.Before(l.oldest) {
				l.oldest = at
			}
		}
		if len(l.members) == 1 {
			l.due = due(k.Run.StartedAt, p.order[l.members[0]].Takes)
		}
		p.live = append(p.live, l)
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
		return a.due.Compare(b.due)
	})
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

// draw draws the line, the higher priority first: what runs in the order in which it ends,
// then what waits, in its order.
func (p *planner) draw() {
	from := 0
	for from < p.n {
		to := from
		for to < p.n && p.priorityOf(p.order[to]) == p.priorityOf(p.order[from]) {
			to++
		}
		p.drawLive(from, to)
		p.drawWaiting(from, to)
		from = to
	}
	p.drawSuspects()
}

func (p *planner) drawLive(from, to int) {
	priority := p.priorityOf(p.order[from])
	var fresh []int // who just came, and may be quicker than what runs
	for i := from; i < to; i++ {
		if !p.known[i] && !p.barred(i) && !p.suspected(i) && len(p.order[i].With) == 0 && len(p.order[i].Parents) == 0 {
			fresh = append(fresh, i)
		}
	}
	for moved := true; moved; {
		moved = false
		for n := range p.live {
			l := p.live[n]
			if l.lined || l.priority != priority || !p.fits(l) {
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
			moved = true
		}
	}
}

// letPass puts those before a candidate that conflict with it and are done much sooner.
func (p *planner) letPass(l *alive, fresh []int) bool {
	passed := false
	if l.passed || p.running >= p.Workers || len(l.members) > 1 {
		return false
	}
	for _, i := range fresh {
		if p.place[i] != 0 || !due(p.now, p.order[i].Takes).Before(due(l.oldest, p.order[l.members[0]].Takes)) || float64(p.order[i].Takes) > quicker*float64(p.takes(l.members, p.branches[p.order[i].Branch])) {
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
		for _, j := range p.lined(i) {
			if !slices.Contains(l.on, j) {
				return false
			}
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

// barred says that an entry may not be tried: it is held, or waits for a change that is not
// in the queue, or goes with one that may not be tried.
func (p *planner) barred(i int) bool {
	e := p.order[i]
	if e.Held != "" || slices.ContainsFunc(e.Parents, func(c int64) bool { _, queued := p.at[c]; return !queued }) {
		return true
	}
	return slices.ContainsFunc(e.With, func(c int64) bool {
		j, queued := p.at[c]
		return !queued || p.order[j].Held != ""
	})
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

// lined are those in the line that the entry conflicts with, in the order of the line.
func (p *planner) lined(i int) []int {
	e := p.order[i]
	var found []int
	if e.Barrier {
		found = slices.Clone(p.inAll[e.Branch])
	} else {
		found = append(found, p.inBar[e.Branch]...)
		for _, t := range e.Targets {
			found = append(found, p.inLane[laneKey{e.Branch, t}]...)
		}
	}
	found = p.withParents(found, e)
	for n := 0; n < len(found); n++ { // what it stands on does not stand without its parents
		found = p.withParents(found, p.order[found[n]])
	}
	slices.SortFunc(found, func(a, b int) int { return p.place[a] - p.place[b] })
	return slices.Compact(found)
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
	a, b := p.beliefs[i].with, p.beliefs[j].with
	for x, y := 0, 0; x < len(a) && y < len(b); {
		switch {
		case a[x] == b[y]:
			return true
		case a[x] < b[y]:
			x++
		default:
			y++
		}
	}
	return false
}

// suspected says that an entry has failed, and most likely by its own fault.
func (p *planner) suspected(i int) bool {
	b := &p.beliefs[i]
	return b.failed > 0 && b.passes < suspectAt
}

// drawWaiting adds those that no candidate in the line holds, alone, or several at once when
// there are more of them than workers.
func (p *planner) drawWaiting(from, to int) {
	var waiting []int
	for i := from; i < to; i++ {
		if p.place[i] == 0 && !p.barred(i) && !p.suspected(i) {
			waiting = append(waiting, i)
		}
	}
	free := p.Workers - p.running + p.unlined()
	// Who has passed goes first: a long line of those who have not would hardly hold.
	// Who will hardly pass goes last, and nobody stands on it.
	class := func(i int) int {
		switch b := &p.beliefs[i]; {
		case b.proved:
			return 0
		case b.passes < likelyLands:
			return 4
		case len(waiting) <= free:
			return 1
		case b.passes < doubtful:
			return 3
		case b.passes < likely:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(waiting, func(a, b int) int { return class(a) - class(b) })
	alone := 0
	for i := range p.tested {
		if p.tested[i] && !p.beliefs[i].proved && p.place[i] == 0 {
			alone++
		}
	}
	var open, deep []int // stops of the line that can still grow, entries too deep for it
	for at, i := range waiting {
		group := p.group(i)
		if p.place[i] != 0 || slices.ContainsFunc(group, func(j int) bool { return p.place[j] != 0 || p.orphan(j) || p.suspected(j) || p.barred(j) }) {
			continue
		}
		if len(waiting) > free && class(i) >= 3 && p.waited(i, starving) && len(group) == 1 && !p.below(i) && len(p.order[i].With) == 0 {
			if !p.underTest(i) && alone < max(1, p.Workers/4) {
				alone++
				p.looks = append(p.looks, want{members: group, value: worthLook, spare: true})
			}
			if p.underTest(i) {
				continue
			}
		}
		on := p.under(group)
		if len(group) == 1 && len(waiting)-at > free-len(open) && p.joinBatch(open, i, on) {
			continue
		}
		least := worthMain
		if p.beliefs[i].proved {
			least = worthProven
		}
		if len(on) > maxDepth || p.hoped(on) < least {
			if len(group) == 1 && !p.below(i) {
				deep = append(deep, i)
			}
			continue
		}
		p.add(stop{on: on, members: group, alive: -1, passes: p.joint(on, group)})
		open = append(open, len(p.line)-1)
	}
	p.prove(deep, free-len(open))
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

// dispensable says that a run is an alternate, and not the test of a change by itself.
func (p *planner) dispensable(l *alive) bool {
	k := &p.Candidates[l.n]
	if l.passed || l.lined || k.Run.ID == 0 {
		return false
	}
	return len(l.members) != 1 || !p.suspected(l.members[0])
}

// prove wants to know how those do that are too deep for the line, by themselves: several at
// once when workers are few.
func (p *planner) prove(deep []int, free int) {
	var groups []want
	for at, i := range deep {
		if p.beliefs[i].proved || p.underTest(i) {
			continue
		}
		e := p.order[i]
		joined := false
		for n := len(groups) - 1; n >= 0 && len(deep)-at > free-len(groups); n-- {
			g := &groups[n]
			b := p.branches[e.Branch]
			if p.order[g.members[0]].Branch != e.Branch || len(g.members) >= b.MaxBatch {
				continue
			}
			if !slices.ContainsFunc(g.members, func(j int) bool { return p.conflicts(i, j) }) {
				continue
			}
			members := append(slices.Clone(g.members), i)
			if p.joint(nil, members) < jointProof || p.spoilt(nil, members) || !p.pays(g.members, i, b) {
				continue
			}
			g.members, joined = members, true
			break
		}
		if !joined {
			groups = append(groups, want{members: []int{i}, value: worthLook, spare: true})
		}
	}
	p.proofs = append(p.proofs, groups...)
}

// underTest says whether a run of the entry by itself is under way.
func (p *planner) underTest(i int) bool { return p.tested[i] }

// joinBatch adds an entry to a batch that it goes with.
func (p *planner) joinBatch(open []int, i int, on []int) bool {
	e := p.order[i]
	b := p.branches[e.Branch]
	// With those that it has nothing to do with it would only fail for them.
	last := -1
	if len(open) > 0 {
		last = open[len(open)-1]
	}
	for n := len(on) - 1; n >= 0; n-- {
		at := p.stopOf[on[n]]
		if n < len(on)-1 && at == p.stopOf[on[n+1]] || p.line[at].alive >= 0 || !slices.Contains(open, at) {
			continue
		}
		s := &p.line[at]
		if p.order[s.members[0]].Branch != e.Branch || len(p.order[s.members[0]].With) > 0 || len(s.members) >= b.MaxBatch {
			continue
		}
		// What it stands on must be in the line before the batch, or in it.
		if slices.ContainsFunc(on, func(j int) bool { return p.place[j] > p.place[s.members[len(s.members)-1]] }) {
			continue
		}
		ground := slices.Clone(s.on)
		for _, j := range on {
			if !slices.Contains(s.members, j) && !slices.Contains(ground, j) {
				ground = append(ground, j)
			}
		}
		members := append(slices.Clone(s.members), i)
		passes := p.joint(ground, members)
		if passes < jointly || p.spoilt(ground, members) || len(ground) > maxDepth || p.hoped(ground) < worthMain || !p.pays(s.members, i, b) {
			continue
		}
		if at != last && p.lateFor(i, s) {
			continue
		}
		slices.SortFunc(ground, func(a, b int) int { return p.place[a] - p.place[b] })
		s.on, s.members, s.passes = ground, members, passes
		p.enter(i, at)
		return true
	}
	return false
}

// lateFor says whether somebody in the line after the batch conflicts with the entry: then it
// cannot land before them.
func (p *planner) lateFor(i int, s *stop) bool {
	last := p.place[s.members[len(s.members)-1]]
	return slices.ContainsFunc(p.lined(i), func(j int) bool { return p.place[j] > last })
}

// pays says whether a member more costs less time than it saves.
func (p *planner) pays(members []int, more int, b *Branch) bool {
	together := p.takes(append(slices.Clone(members), more), b)
	apart := p.takes(members, b) + p.order[more].Takes
	return float64(together) < paying*float64(apart)
}

// below says that the entry has parents in the queue for its branch.
func (p *planner) below(i int) bool {
	return slices.ContainsFunc(p.order[i].Parents, func(c int64) bool { return p.order[p.at[c]].Branch == p.order[i].Branch })
}

// drawSuspects wants one more look at each of those that have failed, behind all others.
func (p *planner) drawSuspects() {
	for i := range p.n {
		if p.place[i] != 0 || p.barred(i) || !p.suspected(i) || p.underTest(i) {
			continue
		}
		if _, sentenced := p.beliefs[i].sentenced(); sentenced {
			continue // what is missing is only whether the branch is green
		}
		group := p.group(i)
		if slices.ContainsFunc(group, func(j int) bool { return p.orphan(j) || p.barred(j) || j < i && p.suspected(j) }) {
			continue
		}
		w := want{members: group, on: p.under(group), value: worthLook, spare: true}
		if len(w.on) > maxDepth || p.beliefs[i].passes < likelyLands || p.hoped(w.on) < likelyLands {
			if w.on = nil; p.below(i) {
				continue
			}
		}
		p.looks = append(p.looks, w)
	}
}
