package sim

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// kind is how a workload is drawn. Arrivals are Poisson, modules Zipf, minutes lognormal and longer
// for larger changes; authors come in three classes of risk.
type kind struct {
	hours, rate float64 // rate is arrivals in an hour
	workers     int
	analyzer    bool
	beta        float64 // by how much of its time a batch grows with each member
	flake       float64 // probability that a run fails by flake
	history     int     // decided changes to warm a learner with

	authors int
	risks   [len(riskShares)]float64 // of failing alone, by class, at the usual size
	median  float64                  // minutes
	spread  float64                  // of the logarithm of the minutes
	bySize  float64                  // correlation of the logarithm of the minutes with the size
	modules int
	skew    float64 // exponent of Zipf's law
	clash   float64 // probability that two changes that may conflict do
}

// What is the same for all kinds; the figures are those of the traces that the kinds are named after.
const (
	// clashWithin is how far apart, in minutes, the arrivals of two changes that conflict may be.
	clashWithin = 60
	// sizeMean and sizeSpread are of the logarithm (base 2) of changed lines.
	sizeMean, sizeSpread = 4.5, 2
	// riskBySize is by how much the logarithm of the odds to fail grows with the size.
	riskBySize = .2
	// shortest and longest bound the minutes; longest is in medians.
	shortest, longest = 3, 6.43
	// flakeRuns is how many runs of each change have their flakes drawn.
	flakeRuns = 64
)

var (
	// riskShares are the shares of the authors in each class of risk.
	riskShares = [...]float64{.7, .2, .1}
	// moduleCounts are the shares of changes that touch one module, two, and so on.
	moduleCounts = [...]float64{.56, .31, .105, .02, .005}
)

// kinds are the workloads by name: p… a large company's (arrivals in an hour, w and workers), hot500
// with dense conflicts, s… small shops with one lane; fl and flaky2 with 2 % flakes, fail20 where a fifth
// fails, beta5 where batches cost half as much again for each member.
var kinds = func() map[string]kind {
	usual := [...]float64{.015, .06, .35}
	large := kind{hours: 2, rate: 500, workers: 500, analyzer: true, history: 1500, authors: 200, risks: usual,
		median: 25.2, spread: .625, bySize: .43, modules: 600, skew: .65, clash: .006}
	small := kind{hours: 24, rate: 10, workers: 4, history: 600, authors: 15, risks: [...]float64{.012, .04, .4},
		median: 14.55, spread: .139, bySize: .48, modules: 20, skew: .55, clash: .004}
	with := func(k kind, change func(k *kind)) kind { change(&k); return k }
	p300 := with(large, func(k *kind) { k.rate, k.workers, k.skew, k.clash = 300, 300, .57, .003 })
	return map[string]kind{
		"p500w500": large,
		"p500w200": with(large, func(k *kind) { k.workers = 200 }),
		"hot500":   with(large, func(k *kind) { k.modules, k.skew = 300, .8 }),
		"p300w300": p300,
		"flaky2":   with(p300, func(k *kind) { k.flake = .02 }),
		"fail20":   with(p300, func(k *kind) { k.risks = [...]float64{.09, .3, .6} }),
		"beta5":    with(p300, func(k *kind) { k.workers, k.beta = 120, .5 }),
		"s10w4":    small,
		"s10w4fl":  with(small, func(k *kind) { k.flake = .02 }),
		"s20w4":    with(small, func(k *kind) { k.rate = 20 }),
		"s20w16":   with(small, func(k *kind) { k.rate, k.workers = 20, 16 }),
	}
}()

// Kinds lists the workloads that Generate knows, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Generate draws a workload of a kind. The same seed draws the same; kinds that differ in one respect
// are drawn alike in the others.
func Generate(name string, seed int64) (*Trace, error) {
	k, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("sim: there is no kind of workload %q: choose one of %s", name, strings.Join(Kinds(), ", "))
	}
	t := &Trace{Name: name, Seed: seed, RatePerHour: k.rate, Hours: k.hours, Workers: []int{k.workers}, BatchBeta: k.beta, FlakeP: k.flake, Analyzer: k.analyzer}
	d := newDrawer(k, seed)
	for range k.history {
		t.History = append(t.History, d.change())
	}
	for at := d.gap(); at < k.hours*60; at += d.gap() {
		c := d.change()
		c.Arrival = round(at, 1000)
		t.Changes = append(t.Changes, c)
		i := len(t.Changes) - 1
		for j := i - 1; j >= 0 && at-t.Changes[j].Arrival <= clashWithin; j-- {
			if t.Share(i, j) && d.clashes.Float64() < k.clash {
				t.Changes[i].Conflicts = append(t.Changes[i].Conflicts, j)
			}
		}
		slices.Sort(t.Changes[i].Conflicts)
		for run := range flakeRuns {
			if d.flakes.Float64() < k.flake {
				t.Changes[i].Flakes = append(t.Changes[i].Flakes, run)
			}
		}
	}
	return t, t.check()
}

// drawer draws changes; each kind of luck has a source of its own, so that one more draw of one
// does not move the others.
type drawer struct {
	kind
	arrivals, shapes, outcomes, clashes, flakes *rand.Rand

	class []int     // of each author
	zipf  []float64 // the probability of a module up to this one
}

func newDrawer(k kind, seed int64) *drawer {
	source := func(stream uint64) *rand.Rand {
		return rand.New(rand.NewPCG(uint64(seed), stream)) //nolint:gosec // a simulation wants to be repeated
	}
	d := &drawer{kind: k, arrivals: source(1), shapes: source(2), outcomes: source(3), clashes: source(4), flakes: source(5)}
	// Exact shares of the classes, so that a small shop has its risky author under every seed.
	upTo := 0.0
	for class, share := range riskShares {
		upTo += share
		for len(d.class) < int(math.Round(upTo*float64(k.authors))) {
			d.class = append(d.class, class)
		}
	}
	total := 0.0
	for m := range k.modules {
		total += math.Pow(float64(m+1), -k.skew)
		d.zipf = append(d.zipf, total)
	}
	return d
}

// gap is the minutes until the next arrival.
func (d *drawer) gap() float64 { return d.arrivals.ExpFloat64() * 60 / d.rate }

// change draws one without its arrival, conflicts and flakes.
func (d *drawer) change() Change {
	c := Change{Author: d.shapes.IntN(d.authors)}
	off := d.shapes.NormFloat64()
	c.Size = math.Max(0, math.Round(sizeMean+sizeSpread*off))
	luck := d.shapes.NormFloat64()
	c.Minutes = d.median * math.Exp(d.spread*(d.bySize*off+math.Sqrt(1-d.bySize*d.bySize)*luck))
	c.Minutes = round(min(longest*d.median, max(shortest, c.Minutes)), 100)
	count, u := 1, d.shapes.Float64()
	for u -= moduleCounts[0]; u > 0 && count < len(moduleCounts); count++ {
		u -= moduleCounts[count]
	}
	for len(c.Modules) < count {
		m, _ := slices.BinarySearch(d.zipf, d.shapes.Float64()*d.zipf[len(d.zipf)-1])
		if !slices.Contains(c.Modules, m) {
			c.Modules = append(c.Modules, m)
		}
	}
	slices.Sort(c.Modules)
	risk := d.risks[d.class[c.Author]]
	odds := risk / (1 - risk) * math.Exp(riskBySize*(c.Size-sizeMean))
	if d.outcomes.Float64() >= odds/(1+odds) {
		c.OK = 1
	}
	return c
}

func round(x, by float64) float64 { return math.Round(x*by) / by }
