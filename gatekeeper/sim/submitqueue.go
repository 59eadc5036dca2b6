package sim

import "math"

// worthwhile is the probability of being needed from which SubmitQueue builds: below it the minutes
// buy nothing that the traces' percentiles show.
const worthwhile = .01

// NewSubmitQueue is the queue of Ananthanarayanan et al., "Keeping Master Green at Scale"
// (EuroSys 2019): builds chosen by the probability that they are needed, from a predictor that
// is warmed with the trace's history and goes on learning, and from the builds that have ended.
func NewSubmitQueue(t *Trace, _ int) Policy {
	learner := newPredictor(t.History)
	tr := newTree(t, func(i int) float64 { return learner.passes(t.Changes[i]) })
	tr.preempt, tr.worth = true, math.Log(worthwhile)
	tr.told = func(i int, landed bool) { learner.learn(t.Changes[i], landed) }
	return tr
}
