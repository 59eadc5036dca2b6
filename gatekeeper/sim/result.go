package sim

import (
	"slices"
)

// Result is how a policy did on a trace. Times are minutes.
type Result struct {
	Policy          string  `json:"policy"`
	Trace           string  `json:"trace"`
	Workers         int     `json:"workers"`
	P50             float64 `json:"p50"`
	P95             float64 `json:"p95"`
	P99             float64 `json:"p99"`
	Landed          int     `json:"landed"`
	Rejected        int     `json:"rejected"`
	FalseRejections int     `json:"false_rejections"`
	Undecided       int     `json:"undecided"`
	// Unfinished says that the run was stopped at its limit; the undecided count as decided then.
	Unfinished bool `json:"unfinished"`
	// LandedPerHour counts what landed within the hours of arrivals.
	LandedPerHour   float64 `json:"landed_per_hour"`
	WorkerMinutes   float64 `json:"worker_minutes"`
	PerLandedCost   float64 `json:"per_landed_cost"`
	BuildsPerChange float64 `json:"builds_per_change"`
	// Makespan is from the first arrival to the last decision.
	Makespan      float64 `json:"makespan"`
	DecisionUSP99 float64 `json:"decision_us_p99"`
}

// Measure sums up a world that has been played.
func (w *World) Measure(policy string) Result {
	r := Result{Policy: policy, Trace: w.Trace.Name, Workers: w.Workers, WorkerMinutes: w.spent}
	var turnarounds []float64
	within := 0
	for i, c := range w.Trace.Changes {
		switch w.state[i] {
		case Landed:
			r.Landed++
			if w.decided[i] <= w.Trace.Hours*60 {
				within++
			}
		case Rejected:
			r.Rejected++
			// Whoever breaks one that has landed, or one before it that does land, would not have passed.
			broke := func(j int) bool { return w.state[j] == Landed && (j < i || w.decided[j] <= w.decided[i]) }
			if c.OK == 1 && !slices.ContainsFunc(w.rival[i], broke) {
				r.FalseRejections++
			}
		default:
			r.Undecided++
			w.decided[i] = w.Now
		}
		turnarounds = append(turnarounds, w.decided[i]-c.Arrival)
		r.Makespan = max(r.Makespan, w.decided[i]-w.Trace.Changes[0].Arrival)
	}
	r.Unfinished = r.Undecided > 0
	slices.Sort(turnarounds)
	at := func(q float64) float64 {
		if len(turnarounds) == 0 {
			return 0
		}
		return turnarounds[min(len(turnarounds)-1, int(q*float64(len(turnarounds))))]
	}
	r.P50, r.P95, r.P99 = at(.5), at(.95), at(.99)
	if w.Trace.Hours > 0 {
		r.LandedPerHour = float64(within) / w.Trace.Hours
	}
	if r.Landed > 0 {
		r.PerLandedCost = w.spent / float64(r.Landed)
	}
	r.BuildsPerChange = float64(w.started) / float64(len(w.Trace.Changes))
	return r
}
