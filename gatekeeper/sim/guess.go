package sim

import (
	"container/heap"
	"math"
	"slices"
)

// guess is one assumption about all before a change: which of them land.
type guess struct {
	change int
	rank   int     // 0 is the change's likeliest
	mark   uint64  // of those that land
	need   float64 // the logarithm of its probability
	leaf   int32
}

// guesses lists the assumptions about those before a change, the likeliest first, as far as
// somebody has asked. It is a best-first search of the tree of their decisions, in order, where each
// decision's probability is given those above it (A*: what is left is at most as likely as its
// likeliest decisions).
type guesses struct {
	known []guess
	nodes []node
	open  []int32   // a heap of nodes, the likeliest bound first
	rest  []float64 // by depth: the bound on what is left, a logarithm
	begun bool
}

// node is one decision about the change at depth-1 of those before, and through its parent
// about those above.
type node struct {
	parent int32
	depth  int32
	lands  bool
	need   float64 // the logarithm of the probability so far
	bound  float64 // and with the best of what is left
	mark   uint64
}

func (g *guesses) forget() {
	*g = guesses{known: g.known[:0], nodes: g.nodes[:0], open: g.open[:0], rest: g.rest[:0]}
}

// at is the guess of the rank, if there is one worth a thought.
func (g *guesses) at(b *beliefs, i, rank int) (guess, bool) {
	before := b.before[i]
	if !g.begun {
		g.begin(b, before)
	}
	for len(g.known) <= rank {
		if len(g.open) == 0 {
			return guess{}, false
		}
		id := heap.Pop(g).(int32)
		if int(g.nodes[id].depth) < len(before) {
			g.plunge(b, before, id)
			continue
		}
		n := g.nodes[id]
		g.known = append(g.known, guess{i, len(g.known), n.mark, n.need, id})
	}
	return g.known[rank], true
}

func (g *guesses) begin(b *beliefs, before []int) {
	g.begun = true
	g.rest = append(g.rest[:0], make([]float64, len(before)+1)...)
	for d := len(before) - 1; d >= 0; d-- {
		g.rest[d] = g.rest[d+1] + b.bound(before[d])
	}
	if g.rest[0] > b.worth {
		g.nodes = append(g.nodes, node{parent: -1, bound: g.rest[0]})
		heap.Push(g, int32(0))
	}
}

// plunge follows the likelier decision from a node to the end, and leaves the others for later.
func (g *guesses) plunge(b *beliefs, before []int, id int32) {
	b.suppose(before, g.nodes, id)
	defer b.forget(before)
	for d := int(g.nodes[id].depth); d < len(before); d++ {
		j := before[d]
		p := b.given(j)
		lands, stays := g.nodes[id], g.nodes[id]
		lands.lands, lands.mark, lands.need = true, lands.mark^mark(j), lands.need+math.Log(p)
		stays.lands, stays.need = false, stays.need+math.Log(1-p)
		likely, other := lands, stays
		if p < .5 {
			likely, other = stays, lands
		}
		if other.need+g.rest[d+1] > b.worth {
			heap.Push(g, g.add(other, id, g.rest[d+1]))
		}
		if likely.need+g.rest[d+1] < b.worth {
			return
		}
		b.assume(j, likely.lands)
		id = g.add(likely, id, g.rest[d+1])
	}
	heap.Push(g, id)
}

func (g *guesses) add(n node, parent int32, rest float64) int32 {
	n.parent, n.depth, n.bound = parent, n.depth+1, n.need+rest
	g.nodes = append(g.nodes, n)
	return int32(len(g.nodes) - 1) //nolint:gosec // far below 2³¹
}

// assumed lists those who land in a guess.
func (g *guesses) assumed(before []int, of guess) []int {
	var on []int
	for id := of.leaf; g.nodes[id].parent >= 0; id = g.nodes[id].parent {
		if n := g.nodes[id]; n.lands {
			on = append(on, before[n.depth-1])
		}
	}
	slices.Reverse(on)
	return on
}

func (g *guesses) Len() int { return len(g.open) }
func (g *guesses) Less(i, j int) bool {
	a, b := &g.nodes[g.open[i]], &g.nodes[g.open[j]]
	return a.bound > b.bound || a.bound == b.bound && (a.depth > b.depth || a.depth == b.depth && g.open[i] > g.open[j])
}
func (g *guesses) Swap(i, j int) { g.open[i], g.open[j] = g.open[j], g.open[i] }
func (g *guesses) Push(x any)    { g.open = append(g.open, x.(int32)) }
func (g *guesses) Pop() any {
	last := g.open[len(g.open)-1]
	g.open = g.open[:len(g.open)-1]
	return last
}

// mark is a number for a change such that sets can be told apart by the exclusive or of their
// members' (the finalizer of SplitMix64: Steele, Lea, Flood 2014).
func mark(i int) uint64 {
	x := uint64(i) + 0x9e3779b97f4a7c15 //nolint:gosec // an index is not negative
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
