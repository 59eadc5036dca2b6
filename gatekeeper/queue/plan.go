package queue

import (
	"cmp"
	"slices"
)

// The weights of the planner. They were chosen by trying them on workloads of many kinds;
// none of them decides what may land.
const (
	maxDepth     = 64   // changes ahead that a candidate may stand on
	worthMain    = 0.45 // how likely all that a candidate stands on must land
	worthSpare   = 0.15 // how many landings an alternate must save on average
	worthless    = 0.02 // a run that is needed less likely than this is stopped
	jointly      = 0.75 // how likely an alternate of several must pass
	jointBatch   = 0.6  // how likely a batch must pass
	jointProof   = 0.5  // how likely a group must pass that proves itself
	likelyLands  = 0.5  // whom others are built upon
	doubtful     = 0.8  // who is less likely good goes last where workers are few
	likely       = 0.9  // and who is less likely good than this, before those
	suspectAt    = 0.75 // who is less likely good after a failure lets the others pass
	paying       = 0.7  // of the time that its members take apart that a batch may take
	longAgo      = 3    // times its run after which one that waits is looked at by itself
	doubtedShare = 0.5  // of the workers that those who are doubted may take before the line
	quicker      = 0.6  // of the time of what runs that one which comes later may take to pass it
	hardly       = 0.15 // who is less likely to pass than this holds no worker for which others wait
	worthKeeping = 0.2  // landings that an alternate must stand for to keep its worker from the line
	horizon      = 4    // entries looked at for each worker
	leastSearch  = 64   // and at least
	worthTelling = 0.5  // landings that a run which tells of its members is worth, once it runs
	worthLook    = 0.1  // landings that knowing about one change is worth
	worthProven  = 0.15 // how likely the ground of one must be that has passed before
)

// planner plans one step. It draws the line: the candidates in the order in which they are
// expected to land, those that run before those that are wanted.
type planner struct {
	*look
	clash  float64
	n      int    // entries looked at
	bars   []bool // entries that may not be tried
	known  []bool // entries that a candidate tries
	tested []bool // entries that a run tries by themselves
	scarce bool   // more wait for a run than there are workers
	// doubted are those that are tried by themselves, and that nobody is built upon.
	doubted []bool
	byLast  [][]int // candidates by their last member
	ground  []int   // room that is used again and again
	live    []*alive
	strays  []int // candidates whose runs can land nothing, and still tell of their change
	line    []stop
	place   []int     // position in the line of its branch + 1, by entry
	stopOf  []int     // index in the line, by entry
	lands   []float64 // probability that an entry in the line lands
	inLane  map[laneKey][]int
	inBar   map[string][]int
	inAll   map[string][]int
	// children are those that wait for a change, once somebody asked.
	children map[int64][]int
	// What is wanted: of the line, of those that have failed, of those too deep in the line.
	wants, looks, proofs []want
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

// rank puts what is wanted in order: by priority; the line, before it some of those that are doubted
// for long, after it the others of them, then those who may prove themselves.
func (p *planner) rank() {
	room := max(1, int(doubtedShare*float64(p.Workers)))
	for i := range p.n {
		if p.doubted[i] && p.tested[i] {
			room--
		}
	}
	var old, young []want
	for _, w := range p.looks {
		if p.waited(w.members[0], longAgo) && room > 0 {
			old = append(old, w)
			room--
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

func (p *planner) priority(members []int) int {
	highest := p.priorityOf(p.order[members[0]])
	for _, i := range members {
		highest = max(highest, p.priorityOf(p.order[i]))
	}
	return highest
}

func (v *look) planner() *planner {
	p := &planner{look: v, clash: v.Model.Clash()}
	p.n = min(len(v.order), max(leastSearch, horizon*v.Workers))
	p.known, p.tested, p.byLast = make([]bool, len(v.order)), make([]bool, len(v.order)), make([][]int, len(v.order))
	p.place, p.stopOf, p.lands = make([]int, len(v.order)), make([]int, len(v.order)), make([]float64, len(v.order))
	p.line = make([]stop, 0, p.n)
	p.inLane, p.inBar, p.inAll = map[laneKey][]int{}, map[string][]int{}, map[string][]int{}
	p.bar()
	p.findLive()
	p.doubt()
	return p
}

// draw draws the line, the higher priority first: what runs, in the order of its places, then
// what waits.
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
	p.adopt()
	p.drawDoubted()
}
