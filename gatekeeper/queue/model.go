package queue

import (
	"maps"
	"math"
	"strconv"
)

// Model is what has been learnt of who lands: a logistic regression that learns with each
// decided change, by author, size and targets. It is never changed, only replaced.
type Model struct {
	weights map[string]float64
	seen    float64
	// pairs and clashes count how often changes that may conflict did.
	pairs, clashes float64
}

const (
	startBias   = 2.2   // of a queue that knows nothing: nine in ten pass
	learnRate   = 0.12  // how far one outcome moves a weight
	weightDecay = 0.002 // how fast what is not seen again is forgotten
	sizeScale   = 8.0   // sizes are logarithms of lines: most are below this
	maxWeights  = 20000 // authors and targets that are remembered
	leastPass   = 0.02
	mostPass    = 0.985
	startPairs  = 400.0 // pairs that a queue which knows nothing is taken to have seen
	startClash  = 2.0   // how many of those conflicted
)

func features(e *Entry) []string {
	f := make([]string, 0, len(e.Targets)+1)
	f = append(f, "author "+e.Author)
	for _, t := range e.Targets {
		f = append(f, "target "+t)
	}
	return f
}

// Passes is the probability that the entry passes on its own.
func (m *Model) Passes(e *Entry) float64 {
	if m == nil {
		return 1 / (1 + math.Exp(-startBias))
	}
	return min(mostPass, max(leastPass, 1/(1+math.Exp(-m.score(e)))))
}

func (m *Model) score(e *Entry) float64 {
	z := startBias + m.weights["bias"] + m.weights["size"]*e.Size/sizeScale
	for _, f := range features(e) {
		z += m.weights[f]
	}
	return z
}

// Learn is the model after a change was decided.
func (m *Model) Learn(e *Entry, passed bool) *Model {
	next := &Model{weights: map[string]float64{}}
	if m != nil {
		next.weights, next.seen, next.pairs, next.clashes = maps.Clone(m.weights), m.seen, m.pairs, m.clashes
	}
	next.seen++
	wrong := -1 / (1 + math.Exp(-next.score(e)))
	if passed {
		wrong++
	}
	rate := learnRate * max(0.25, 1/math.Sqrt(1+next.seen/200))
	next.weights["bias"] += rate * wrong
	next.weights["size"] += rate * wrong * e.Size / sizeScale
	for _, f := range features(e) {
		if _, known := next.weights[f]; known || len(next.weights) < maxWeights {
			next.weights[f] += rate * (wrong - weightDecay*next.weights[f])
		}
	}
	return next
}

// Clash is the probability that two changes which may conflict do.
func (m *Model) Clash() float64 {
	if m == nil {
		return startClash / startPairs
	}
	return (m.clashes + startClash) / (m.pairs + startPairs)
}

// LearnPairs is the model after pairs of changes that may conflict were decided.
func (m *Model) LearnPairs(pairs, clashes int) *Model {
	next := &Model{weights: map[string]float64{}}
	if m != nil {
		*next = *m
	}
	next.pairs += float64(pairs)
	next.clashes += float64(clashes)
	return next
}

// String sums the model up for people.
func (m *Model) String() string {
	if m == nil {
		return "nothing learnt"
	}
	return strconv.Itoa(int(m.seen)) + " decided changes learnt from"
}
