package queue

import "slices"

// cycles are the changes that wait for themselves: by parents, where those that land together
// wait for what each of them waits for. A parent that lands with its child is no cycle.
func (v *look) cycles() map[int64]bool {
	found := map[int64]bool{}
	t := tangle{look: v, number: map[int64]int{}, low: map[int64]int{}, knot: map[int64]int{}}
	for _, e := range v.order {
		if len(e.Parents) > 0 && t.number[e.Change] == 0 {
			t.visit(e)
		}
	}
	for _, e := range v.order {
		for _, c := range e.Parents {
			if _, queued := v.at[c]; queued && t.knot[c] == t.knot[e.Change] && !slices.Contains(e.With, c) {
				found[e.Change] = true
			}
		}
	}
	return found
}

// tangle finds the strongly connected changes (Tarjan: Depth-first search and linear graph
// algorithms, 1972).
type tangle struct {
	*look
	number, low map[int64]int // in the order of the visits, from 1
	knot        map[int64]int // which changes are connected, both ways
	open        []int64
}

func (t *tangle) visit(e *Entry) {
	n := len(t.number) + 1
	t.number[e.Change], t.low[e.Change] = n, n
	t.open = append(t.open, e.Change)
	for _, list := range [][]int64{e.Parents, e.With} {
		for _, c := range list {
			i, queued := t.at[c]
			switch {
			case !queued:
			case t.number[c] == 0:
				t.visit(t.order[i])
				t.low[e.Change] = min(t.low[e.Change], t.low[c])
			case t.knot[c] == 0: // still open
				t.low[e.Change] = min(t.low[e.Change], t.number[c])
			}
		}
	}
	if t.low[e.Change] != n {
		return
	}
	for {
		last := t.open[len(t.open)-1]
		t.open = t.open[:len(t.open)-1]
		t.knot[last] = n
		if last == e.Change {
			return
		}
	}
}
