package sim

import "math"

const (
	// surest and least bound what is believed of a change, so that no path becomes impossible.
	surest = 1 - 1e-6
	least  = 1e-6
	// noticed is the change of a belief that makes those behind it think again.
	noticed = 1e-4
	// leastNeed is so small a probability of being needed that nobody would build for it.
	leastNeed = 1e-6
	// pairConflict is the probability that two changes that share a module break each other.
	// SubmitQueue learns it; here it is told about the right one.
	pairConflict = .01
)

// beliefs are the probabilities that changes land, given the builds that have ended.
type beliefs struct {
	*line
	// passes is the probability that a change is right, before any of its builds has ended.
	passes func(i int) float64
	// worth is the logarithm of the probability of being needed below which a build is not worth a
	// thought.
	worth float64
	paths [][]*path
	right []float64 // by change: passes, when it was last asked
	apart []float64 // by change: the probability that it conflicts with nobody who lands before it
	lands []float64 // by change: the probability that it lands, whatever becomes of the others
	ended []bool    // by change: whether a build of it has ended
	stale []bool
	// blind believes the same of everybody at all times.
	blind bool
	sure  []float64 // by change: 1 or 0 where a guess supposes that it lands or not, or lands
}

func newBeliefs(l *line, passes func(i int) float64) beliefs {
	n := len(l.trace.Changes)
	return beliefs{line: l, passes: passes, worth: math.Log(leastNeed), paths: make([][]*path, n), right: make([]float64, n), apart: make([]float64, n),
		lands: make([]float64, n), ended: make([]bool, n), stale: make([]bool, n), sure: make([]float64, n)}
}

// think brings the beliefs about stale changes up to date, in order, so that each knows those
// before it, and forgets the guesses that rested on them.
func (b *beliefs) think(g []guesses) {
	for _, i := range b.waiting {
		if !b.stale[i] {
			continue
		}
		b.stale[i] = false
		g[i].forget()
		rivals := 0.0
		for _, j := range b.before[i] {
			rivals += b.lands[j]
		}
		b.right[i], b.apart[i] = b.passes(i), math.Pow(1-pairConflict, rivals)
		ended := b.ended[i]
		b.ended[i] = false
		for _, p := range b.paths[i] {
			b.ended[i] = !b.blind && (b.ended[i] || p.build.done)
		}
		lands := b.given(i)
		moved := b.ended[i] || ended || math.Abs(lands-b.lands[i]) > noticed
		if !moved {
			continue
		}
		b.lands[i], b.sure[i] = lands, lands
		for _, k := range b.after[i] {
			b.stale[k] = true
		}
	}
}

// given is the probability that a change lands, given what is supposed of those before it: what its ended
// builds say where their path comes true, and elsewhere how likely it is right, given how they
// ended, and conflicts with nobody.
func (b *beliefs) given(i int) float64 {
	right := b.right[i]
	if b.blind {
		return right
	}
	if !b.ended[i] {
		return min(surest, max(least, right*b.apart[i]))
	}
	known, lands, blame := 0.0, 0.0, 1.0
	for _, p := range b.paths[i] {
		if !p.build.done {
			continue
		}
		// How likely the path comes true, and how likely those it assumes are all right.
		true_, others, at := 1.0, 1.0, 0
		for _, j := range b.before[i] {
			if at < len(p.open) && p.open[at] == j {
				true_ *= b.sure[j]
				others *= b.sure[j]
				at++
			} else {
				true_ *= 1 - b.sure[j]
			}
		}
		known += true_
		if p.build.pass {
			lands += true_
			right = 1
		} else {
			blame = min(blame, 1-others*b.apart[i])
		}
	}
	if right < 1 {
		right = right * blame / (right*blame + 1 - right)
	}
	return min(surest, max(least, lands+max(0, 1-known)*right*b.apart[i]))
}

// bound is the logarithm of a bound on the likelier decision about a change.
func (b *beliefs) bound(j int) float64 {
	if b.ended[j] {
		return 0
	}
	return math.Log(max(b.lands[j], 1-b.lands[j]))
}

// suppose takes over what a node and those above it say of those before a change.
func (b *beliefs) suppose(before []int, nodes []node, id int32) {
	for ; nodes[id].parent >= 0; id = nodes[id].parent {
		b.assume(before[nodes[id].depth-1], nodes[id].lands)
	}
}

func (b *beliefs) assume(j int, lands bool) {
	b.sure[j] = 0
	if lands {
		b.sure[j] = 1
	}
}

// forget ends all supposing about those before a change.
func (b *beliefs) forget(before []int) {
	for _, j := range before {
		b.sure[j] = b.lands[j]
	}
}
