package sim

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// stickiness is how many times as likely to be needed a build must be to stop another for its
// worker: without it a small change of belief throws away the minutes already spent.
const stickiness = 2

// tree is the heart of queues that build a change on several assumptions about those before it:
// one path for each subset of them that may land. Workers go to the paths that are most
// likely to be needed; a path is dropped, its build cancelled, once it cannot come true.
type tree struct {
	line
	beliefs
	// told hears of every decision.
	told func(i int, landed bool)
	// preempt stops builds for others that are more likely to be needed.
	preempt bool
	guesses []guesses // by change
	rounds  int
}

// path is a build of a change on those of the ones before it that it assumes to land.
type path struct {
	build *Build
	open  []int  // the assumed ones that have not landed yet, in order
	mark  uint64 // of the open ones
	kept  int    // the round that last wanted it
}

func newTree(t *Trace, passes func(i int) float64) *tree {
	n := len(t.Changes)
	tr := &tree{line: newLine(t, lanes), told: func(int, bool) {}, guesses: make([]guesses, n)}
	tr.beliefs = newBeliefs(&tr.line, passes)
	return tr
}

func (t *tree) Arrive(w *World, change int) {
	t.arrive(change)
	t.stale[change] = true
	t.think(t.guesses)
	t.plan(w)
}

func (t *tree) Ended(w *World, b *Build, _ bool) {
	i := b.Members[0]
	t.stale[i] = true
	t.pass(func(i int) bool {
		if len(t.before[i]) == 0 {
			t.decide(w, i)
		}
		return true
	})
	t.think(t.guesses)
	t.plan(w)
}

// decide lands or rejects a change that nobody is before, if the path that came true has ended.
func (t *tree) decide(w *World, i int) {
	at := slices.IndexFunc(t.paths[i], func(p *path) bool { return p.build.done })
	if at < 0 {
		return
	}
	proof, behind := t.paths[i][at].build, slices.Clone(t.after[i])
	if proof.pass {
		t.land(w, proof.Members, proof)
	} else {
		t.reject(w, i)
	}
	t.told(i, proof.pass)
	t.paths[i] = nil
	for _, k := range behind {
		t.stale[k] = true
		t.paths[k] = slices.DeleteFunc(t.paths[k], func(p *path) bool {
			at, assumed := slices.BinarySearch(p.open, i)
			if assumed != proof.pass {
				w.Cancel(p.build)
				return true
			}
			if assumed {
				p.open = slices.Delete(p.open, at, at+1)
				p.mark ^= mark(i)
			}
			return false
		})
	}
}

// plan gives the workers to the paths most likely to be needed.
func (t *tree) plan(w *World) {
	free := w.Free()
	if !t.preempt && free == 0 {
		return
	}
	t.rounds++
	order := contest{tree: t, next: make([]guess, 0, len(t.waiting))}
	for _, i := range t.waiting {
		if g, ok := t.guesses[i].at(&t.beliefs, i, 0); ok {
			order.next = append(order.next, g)
		}
	}
	heap.Init(&order)
	var wanted []guess
	for used := 0; order.Len() > 0 && used < w.Workers && (t.preempt || len(wanted) < free); {
		g := order.next[0]
		p := t.find(g)
		switch {
		case p == nil:
			wanted = append(wanted, g)
			used++
		case !p.build.done:
			p.kept = t.rounds
			used++
		}
		if more, ok := t.guesses[g.change].at(&t.beliefs, g.change, g.rank+1); ok {
			order.next[0] = more
			heap.Fix(&order, 0)
		} else {
			heap.Pop(&order)
		}
	}
	spare := t.spare(len(wanted) - free)
	for _, g := range wanted {
		if w.Free() == 0 {
			if len(spare) == 0 || spare[0].need+math.Log(stickiness) > g.need {
				break
			}
			t.cancel(w, spare[0])
			spare = spare[1:]
		}
		on := t.guesses[g.change].assumed(t.before[g.change], g)
		b := w.Start(on, []int{g.change}, 0)
		t.paths[g.change] = append(t.paths[g.change], &path{build: b, open: slices.Clone(on), mark: g.mark, kept: t.rounds})
	}
}

type spare struct {
	change int
	p      *path
	need   float64
}

func (t *tree) cancel(w *World, s spare) {
	w.Cancel(s.p.build)
	t.paths[s.change] = slices.DeleteFunc(t.paths[s.change], func(p *path) bool { return p == s.p })
}

// spare lists running builds that this round does not want, the least needed first.
func (t *tree) spare(n int) []spare {
	if n <= 0 || !t.preempt {
		return nil
	}
	var all []spare
	for _, i := range slices.Backward(t.waiting) {
		for _, p := range t.paths[i] {
			if !p.build.done && p.kept != t.rounds {
				all = append(all, spare{i, p, t.need(i, p)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b spare) int { return cmp.Compare(a.need, b.need) })
	return all
}

// need is the logarithm of the probability that a path comes true.
func (t *tree) need(i int, p *path) float64 {
	need, at := 0.0, 0
	for _, j := range t.before[i] {
		lands := at < len(p.open) && p.open[at] == j
		if q := t.given(j); lands {
			need += math.Log(q)
			at++
		} else {
			need += math.Log(1 - q)
		}
		t.assume(j, lands)
	}
	t.forget(t.before[i])
	return need
}

func (t *tree) find(g guess) *path {
	for _, p := range t.paths[g.change] {
		if p.mark == g.mark {
			return p
		}
	}
	return nil
}

// contest is a heap of the next guess of every change, the likeliest first, of equals the oldest
// change's.
type contest struct {
	*tree
	next []guess
}

func (c *contest) Len() int { return len(c.next) }
func (c *contest) Less(i, j int) bool {
	a, b := &c.next[i], &c.next[j]
	return a.need > b.need || a.need == b.need && a.change < b.change
}
func (c *contest) Swap(i, j int) { c.next[i], c.next[j] = c.next[j], c.next[i] }
func (c *contest) Push(x any)    { c.next = append(c.next, x.(guess)) }
func (c *contest) Pop() any {
	last := c.next[len(c.next)-1]
	c.next = c.next[:len(c.next)-1]
	return last
}
