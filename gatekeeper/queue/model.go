package queue

import (
	"maps"
	"math"
	"strconv"
)

// Model is what has been learnt of who lands: how often the changes of each author, and those
// that touch each target, were refused, beside how often all were; and how much larger ones
// are refused more often. It is never changed, only replaced.
type Model struct {
	all   tally
	by    map[string]tally // authors and targets
	slope float64          // of the size
	// Of those decided lately: how many there were, were refused, and were expected to be by what
	// is known of their authors and targets.
	lately, refused, expected float64
	// pairs and clashes count how often changes that may conflict did.
	pairs, clashes float64
	// runs counts those of good code, flakes how many of them failed.
	runs, flakes float64
}

// tally counts decided changes.
type tally struct{ seen, refused float64 }

const (
	startRefused = 0.1   // how often changes are refused in a queue that knows nothing
	startSeen    = 10.0  // how many changes that is worth
	authorWeight = 4.0   // changes of an author after which half is believed of what they tell
	targetWeight = 25.0  // and of those that touch a target
	forgetting   = 0.01  // how much of what was counted each further change makes forgotten
	slopeRate    = 0.02  // how far one outcome moves the slope
	sizeMean     = 5.0   // sizes are logarithms of lines
	maxTallies   = 20000 // authors and targets that are remembered
	leastPass    = 0.02
	mostPass     = 0.985
	startMeets   = 0.95  // how likely a change goes with what landed since it was written, in a queue that knows nothing
	meetsSeen    = 40.0  // how many changes that is worth
	passing      = 0.02  // how much of what was so lately each further change makes forgotten
	startPairs   = 400.0 // pairs that a queue which knows nothing is taken to have seen
	startClash   = 2.0   // how many of those conflicted
	startRuns    = 100.0 // runs of good code that a queue which knows nothing is taken to have seen
	startFlakes  = 1.0   // how many of those failed
)

// refusedBy is how often the changes of a tally are refused, when it is worth what so many of the
// others are until it has seen as many itself.
func (t tally) refusedBy(others, weight float64) float64 {
	return (t.refused + others*weight) / (t.seen + weight)
}

func (t tally) with(refused bool, keep float64) tally {
	t.seen, t.refused = t.seen*keep+1, t.refused*keep
	if refused {
		t.refused++
	}
	return t
}

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

// Passes is the probability that the entry passes on what has landed.
func (m *Model) Passes(e *Entry) float64 {
	if m == nil {
		return 1 - startRefused
	}
	return min(mostPass, max(leastPass, (1-m.refuses(e))*m.meets()))
}

// meets is how likely a change that is good goes with what has landed since it was written: more of
// those that were decided lately were refused than their authors and targets make expect.
func (m *Model) meets() float64 {
	return 1 - max(0, m.refused-m.expected+meetsSeen*(1-startMeets))/(m.lately+meetsSeen)
}

func (m *Model) refuses(e *Entry) float64 {
	all := m.all.refusedBy(startRefused, startSeen)
	z := logit(m.by["author "+e.Author].refusedBy(all, authorWeight)) + m.slope*(e.Size-sizeMean)
	usual := logit(all)
	for _, t := range e.Targets {
		z += (logit(m.by["target "+t].refusedBy(all, targetWeight)) - usual) / float64(len(e.Targets))
	}
	return 1 / (1 + math.Exp(-z))
}

// Learn is the model after a change was decided.
func (m *Model) Learn(e *Entry, passed bool) *Model {
	next := &Model{by: map[string]tally{}}
	if m != nil {
		*next = *m
		next.by = maps.Clone(m.by)
	}
	wrong := -next.refuses(e)
	next.lately, next.refused, next.expected = next.lately*(1-passing)+1, next.refused*(1-passing), next.expected*(1-passing)-wrong
	if !passed {
		wrong++
		next.refused++
	}
	next.slope += slopeRate * wrong * (e.Size - sizeMean) / math.Sqrt(1+next.all.seen/100)
	next.all = next.all.with(!passed, 1-forgetting/10)
	tell := func(key string) {
		if had, known := next.by[key]; known || len(next.by) < maxTallies {
			next.by[key] = had.with(!passed, 1-forgetting)
		}
	}
	tell("author " + e.Author)
	for _, t := range e.Targets {
		tell("target " + t)
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
	next := &Model{by: map[string]tally{}}
	if m != nil {
		*next = *m
	}
	next.pairs += float64(pairs)
	next.clashes += float64(clashes)
	return next
}

// Flakes is how often a run of good code fails.
func (m *Model) Flakes() float64 {
	if m == nil {
		return startFlakes / startRuns
	}
	return (m.flakes + startFlakes) / (m.runs + startRuns)
}

// LearnRuns is the model after a candidate passed, and so many failed runs turned out to be luck.
func (m *Model) LearnRuns(failed int) *Model { return m.LearnFlakes(1, failed) }

// LearnFlakes is the model after so many runs passed, and so many more failed by luck.
func (m *Model) LearnFlakes(passed, failed int) *Model {
	next := &Model{by: map[string]tally{}}
	if m != nil {
		*next = *m
	}
	next.runs += float64(passed + failed)
	next.flakes += float64(failed)
	return next
}

// String sums the model up for people.
func (m *Model) String() string {
	if m == nil {
		return "nothing learnt"
	}
	return strconv.Itoa(int(m.all.seen)) + " decided changes learnt from"
}
