package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// graceHours is how long after its last hour of arrivals a run is stopped, decided or not: three
// days tell a queue that is slow from one that never catches up.
const graceHours = 72

// policies makes every policy by its name.
var policies = map[string]func(t *Trace, workers int) Policy{
	"oracle":      NewOracle,
	"ours":        func(t *Trace, workers int) Policy { return NewOurs(t, workers, func() time.Duration { return 0 }) },
	"serial":      NewSerial,
	"zuul":        NewZuul,
	"optimistic":  NewOptimistic,
	"specall":     NewSpecAll,
	"submitqueue": NewSubmitQueue,
	"batch":       NewBatch,
}

// Policies lists the names that Run knows, sorted.
func Policies() []string { return slices.Sorted(maps.Keys(policies)) }

// Options are what a run may be told beyond its trace.
type Options struct {
	// Clock, when set, times the decisions of the policy; without it they count as instant.
	Clock func() time.Time
}

// Run plays a trace with a policy. A worker count of zero or less is the trace's own.
func Run(t *Trace, policy string, workers int, o Options) (Result, error) {
	make, ok := policies[policy]
	if !ok {
		return Result{}, fmt.Errorf("sim: there is no policy %q: choose one of %s", policy, strings.Join(Policies(), ", "))
	}
	if workers <= 0 && len(t.Workers) > 0 {
		workers = t.Workers[0]
	}
	if workers <= 0 {
		return Result{}, fmt.Errorf("sim: trace %s names no number of workers: give one", t.Name)
	}
	w := NewWorld(t, workers)
	p := make(t, workers)
	clocked := &stopwatch{Policy: p, clock: o.Clock}
	if o.Clock != nil {
		p = clocked
	}
	w.Play(p, (t.Hours+graceHours)*60)
	r := w.Measure(policy)
	r.DecisionUSP99 = clocked.p99()
	return r, nil
}

// stopwatch times every decision of a policy.
type stopwatch struct {
	Policy
	clock func() time.Time
	took  []time.Duration
}

func (s *stopwatch) Arrive(w *World, change int) {
	begin := s.clock()
	s.Policy.Arrive(w, change)
	s.took = append(s.took, s.clock().Sub(begin))
}

func (s *stopwatch) Ended(w *World, b *Build, passed bool) {
	begin := s.clock()
	s.Policy.Ended(w, b, passed)
	s.took = append(s.took, s.clock().Sub(begin))
}

// p99 is the 99th percentile in microseconds.
func (s *stopwatch) p99() float64 {
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return float64(s.took[len(s.took)*99/100].Nanoseconds()) / 1000
}
