package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The guesses of a change are all subsets of those before it, the likeliest first, with the probabilities
// that going through all subsets finds, also when some builds have ended.
func TestGuessesAreAllSubsetsInOrder(t *testing.T) {
	const n = 6
	luck := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		changes := make([]Change, n+1)
		for i := range changes {
			changes[i] = good(0, 1)
		}
		trace := tiny(changes...)
		tr := newTree(trace, nil)
		tr.worth = math.Inf(-1)
		pass := make([]float64, n+1)
		tr.passes = func(i int) float64 { return pass[i] }
		for i := range changes {
			pass[i] = .05 + .9*luck.Float64()
			tr.arrive(i)
			tr.stale[i] = true
			if luck.IntN(2) == 0 {
				p := &path{build: &Build{done: true, pass: luck.IntN(2) == 0}}
				for _, j := range tr.before[i] {
					if luck.IntN(2) == 0 {
						p.open = append(p.open, j)
					}
				}
				tr.paths[i] = append(tr.paths[i], p)
			}
		}
		tr.think(tr.guesses)
		want := subsets(tr, n)
		var got []float64
		marks := map[uint64]bool{}
		for rank := 0; ; rank++ {
			g, ok := tr.guesses[n].at(&tr.beliefs, n, rank)
			if !ok {
				break
			}
			got = append(got, math.Exp(g.need))
			marks[g.mark] = true
			sum := uint64(0)
			for _, j := range tr.guesses[n].assumed(tr.before[n], g) {
				sum ^= mark(j)
			}
			if sum != g.mark {
				t.Fatalf("guess %d assumes %v, which is not what its mark says", rank, tr.guesses[n].assumed(tr.before[n], g))
			}
		}
		if len(got) != 1<<n || len(marks) != 1<<n {
			t.Fatalf("%d guesses, %d of them different, want %d", len(got), len(marks), 1<<n)
		}
		for rank := range got {
			if math.Abs(got[rank]-want[rank]) > 1e-9 {
				t.Fatalf("guess %d has %v, want %v", rank, got[rank], want[rank])
			}
		}
		if !slices.Equal(tr.sure, tr.lands) {
			t.Fatal("something is still supposed")
		}
	}
}

// subsets are the probabilities of all subsets of those before a change, the largest first.
func subsets(tr *tree, i int) []float64 {
	before := tr.before[i]
	var all []float64
	for bits := range 1 << len(before) {
		p := 1.0
		for k, j := range before {
			lands := bits>>k&1 == 1
			if q := tr.given(j); lands {
				p *= q
			} else {
				p *= 1 - q
			}
			tr.assume(j, lands)
		}
		tr.forget(before)
		all = append(all, p)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// What ended builds say: one that passed where its path comes true is certain, one that failed is blamed on
// the change the more, the surer those are that it stood on.
func TestBeliefsFollowBuilds(t *testing.T) {
	tr := newTree(tiny(good(0, 1), good(0, 1)), func(i int) float64 { return []float64{.9, .8}[i] })
	ask := func(paths ...*path) float64 {
		tr.paths[1] = paths
		tr.stale[0], tr.stale[1] = true, true
		tr.think(tr.guesses)
		return tr.lands[1]
	}
	tr.arrive(0)
	tr.arrive(1)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > .01 {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	on := func(pass bool, open ...int) *path { return &path{build: &Build{done: true, pass: pass}, open: open} }
	near("nothing known", ask(), .8*.991)
	near("running", ask(&path{build: &Build{}, open: []int{0}}), .8*.991)
	near("passed on it", ask(on(true, 0)), .9+.1*.991)
	near("failed on it", ask(on(false, 0)), .1*.8*.109/(.8*.109+.2)*.991)
	near("failed without it", ask(on(false)), .9*.8*.009/(.8*.009+.2)*.991)
	near("passed on it, failed without it", ask(on(true, 0), on(false)), .9)
}

// The predictor learns who is risky, and that large changes are, from the history and from each outcome.
func TestPredictorLearns(t *testing.T) {
	trace, err := Generate("s20w4", 2)
	if err != nil {
		t.Fatal(err)
	}
	cold, warm := newPredictor(nil), newPredictor(trace.History)
	loss := func(p *predictor, c Change) float64 {
		if q := p.passes(c); c.OK == 1 {
			return -math.Log(q)
		} else {
			return -math.Log(1 - q)
		}
	}
	base, known := 0.0, 0.0
	for _, c := range trace.Changes {
		base += loss(cold, c)
		known += loss(warm, c)
	}
	if known > .9*base {
		t.Errorf("a warm predictor loses %.1f, a cold one %.1f: want a tenth less", known, base)
	}
	if small, large := warm.passes(Change{Size: 1}), warm.passes(Change{Size: 9}); small <= large {
		t.Errorf("a small change passes with %.3f, a large one with %.3f", small, large)
	}
	before := warm.passes(Change{Author: 99})
	for range 5 {
		warm.learn(Change{Author: 99}, false)
	}
	if after := warm.passes(Change{Author: 99}); after > before-.1 {
		t.Errorf("five failures move a new author from %.3f to %.3f", before, after)
	}
}
