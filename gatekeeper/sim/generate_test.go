package sim

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

// summary is what is compared between kinds and the traces that they are named after.
type summary struct {
	changes        int
	ok             float64 // share that pass alone
	p5, p50, p95   float64 // minutes
	share          float64 // of pairs that share a module
	conflicts      float64 // a change
	authors        int
	flakes         float64 // a change
	history        int
	workers        int
	oneModule      float64 // share of changes that touch one module
	riskiestAuthor float64 // share of the changes of the riskiest author in ten that fail
}

func summarize(t *Trace) summary {
	n := float64(len(t.Changes))
	s := summary{changes: len(t.Changes), history: len(t.History), workers: t.Workers[0]}
	var minutes []float64
	type record struct{ failed, all float64 }
	authors, all := map[int]bool{}, map[int]*record{}
	for i, c := range t.Changes {
		minutes = append(minutes, c.Minutes)
		s.ok += float64(c.OK) / n
		s.conflicts += float64(len(c.Conflicts)) / n
		s.flakes += float64(len(c.Flakes)) / n
		authors[c.Author] = true
		if len(c.Modules) == 1 {
			s.oneModule += 1 / n
		}
		for j := range i {
			if slices.ContainsFunc(c.Modules, func(m int) bool { return slices.Contains(t.Changes[j].Modules, m) }) {
				s.share += 2 / n / n
			}
		}
	}
	for _, c := range slices.Concat(t.History, t.Changes) {
		if all[c.Author] == nil {
			all[c.Author] = &record{}
		}
		all[c.Author].all++
		all[c.Author].failed += float64(1 - c.OK)
	}
	slices.Sort(minutes)
	at := func(q float64) float64 { return minutes[int(q*n)] }
	s.p5, s.p50, s.p95, s.authors = at(.05), at(.5), at(.95), len(authors)
	var rates []float64
	for _, r := range all {
		rates = append(rates, r.failed/r.all)
	}
	slices.Sort(rates)
	for _, r := range rates[len(rates)*9/10:] {
		s.riskiestAuthor += r / float64(len(rates)-len(rates)*9/10)
	}
	return s
}

// The summaries of the traces that the kinds are named after.
var originals = map[string]summary{
	"p500w500": {1064, .938, 9.18, 25.95, 72.05, .0130, .0301, 200, 0, 1500, 500, .540, .384},
	"p500w200": {1064, .938, 9.18, 25.95, 72.05, .0130, .0301, 200, 0, 1500, 200, .540, .384},
	"p300w300": {625, .933, 9.18, 25.04, 71.5, .0095, .0064, 194, 0, 1500, 300, .586, .402},
	"flaky2":   {625, .933, 9.18, 25.04, 71.5, .0095, .0064, 194, 1.245, 1500, 300, .586, .402},
	"beta5":    {625, .933, 9.18, 25.04, 71.5, .0095, .0064, 194, 0, 1500, 120, .586, .402},
	"fail20":   {625, .811, 9.18, 25.04, 71.5, .0095, .0064, 194, 0, 1500, 300, .586, .572},
	"hot500":   {1006, .935, 9.78, 25.78, 68.48, .0429, .1024, 196, 0, 1500, 500, .535, .356},
	"s10w4":    {204, .936, 11.9, 14.6, 17.84, .145, .0392, 15, 0, 600, 4, .549, .407},
	"s10w4fl":  {204, .936, 11.9, 14.6, 17.84, .145, .0392, 15, 1.206, 600, 4, .549, .407},
	"s20w4":    {437, .945, 11.48, 14.6, 18.28, .147, .0824, 15, 0, 600, 4, .584, .4},
	"s20w16":   {437, .945, 11.48, 14.6, 18.28, .147, .0824, 15, 0, 600, 16, .584, .4},
}

// On average over seeds, every kind looks like the trace that it is named after. The traces are one draw
// each, so what is rare may be off by what is to be expected of one draw.
func TestGeneratedLooksLikeTheOriginal(t *testing.T) {
	const seeds = 12
	if got, want := len(Kinds()), len(originals); got != want {
		t.Fatalf("%d kinds, want %d", got, want)
	}
	for name, want := range originals {
		var all []summary
		for seed := range int64(seeds) {
			trace, err := Generate(name, seed)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, summarize(trace))
		}
		near := func(what string, want, slack float64, of func(s summary) float64) {
			mean := 0.0
			for _, s := range all {
				mean += of(s) / seeds
			}
			if math.Abs(mean-want) > slack {
				t.Errorf("%s: %s is %.4f on average, want %.4f ± %.4f", name, what, mean, want, slack)
			}
		}
		n := float64(want.changes)
		near("changes", n, 3*math.Sqrt(n), func(s summary) float64 { return float64(s.changes) })
		near("ok", want.ok, .02, func(s summary) float64 { return s.ok })
		near("p5", want.p5, .08*want.p5, func(s summary) float64 { return s.p5 })
		near("p50", want.p50, .05*want.p50, func(s summary) float64 { return s.p50 })
		near("p95", want.p95, .08*want.p95, func(s summary) float64 { return s.p95 })
		near("share", want.share, .15*want.share, func(s summary) float64 { return s.share })
		near("conflicts", want.conflicts, 3*math.Sqrt(want.conflicts/n), func(s summary) float64 { return s.conflicts })
		near("authors", float64(want.authors), .03*float64(want.authors), func(s summary) float64 { return float64(s.authors) })
		near("flakes", want.flakes, .08*want.flakes, func(s summary) float64 { return s.flakes })
		near("one module", want.oneModule, .04, func(s summary) float64 { return s.oneModule })
		near("riskiest author", want.riskiestAuthor, .15*want.riskiestAuthor, func(s summary) float64 { return s.riskiestAuthor })
		if all[0].history != want.history || all[0].workers != want.workers {
			t.Errorf("%s: %d of history and %d workers, want %d and %d", name, all[0].history, all[0].workers, want.history, want.workers)
		}
	}
}

// A seed draws the same again and another draws something else; kinds that differ in one respect
// are drawn alike in the others.
func TestGeneratedBySeed(t *testing.T) {
	draw := func(name string, seed int64) *Trace {
		trace, err := Generate(name, seed)
		if err != nil {
			t.Fatal(err)
		}
		return trace
	}
	one := draw("p300w300", 7)
	if !reflect.DeepEqual(one, draw("p300w300", 7)) {
		t.Error("the same seed drew something else")
	}
	if other := draw("p300w300", 8); other.Changes[0].Arrival == one.Changes[0].Arrival {
		t.Error("another seed drew the same arrivals")
	}
	if flaky := draw("flaky2", 7); flaky.Changes[5].Minutes != one.Changes[5].Minutes || flaky.Changes[5].OK != one.Changes[5].OK {
		t.Error("flaky2 differs from p300w300 in more than flakes")
	}
	if _, err := Generate("p9", 1); err == nil {
		t.Error("a kind that does not exist was drawn")
	}
}
