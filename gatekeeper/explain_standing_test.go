package gatekeeper_test

import (
	"fmt"
	"slices"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/review"
)

// What is:submittable and is:mergeable find agrees with what Explain says, state by state.
func TestSearchAgreesWithExplain(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	finds := func(query string, change int64) bool {
		t.Helper()
		page, err := w.review.Search(w.ctx, w.people["carol"], review.Search{Query: query})
		w.must(err)
		return slices.ContainsFunc(page.Changes, func(c review.Change) bool { return c.ID == change })
	}
	seen := map[gatekeeper.State]bool{}
	agree := func(change int64, want gatekeeper.State) {
		t.Helper()
		w.state(change, want)
		seen[want] = true
		ready := want == gatekeeper.Ready || want == gatekeeper.Queued
		open := want != gatekeeper.Landed && want != gatekeeper.Abandoned
		for query, is := range map[string]bool{
			"is:submittable": ready, "-is:submittable": !ready, "is:mergeable": open,
			fmt.Sprintf("change:%d (is:submittable OR is:closed)", change): ready || !open,
		} {
			if got := finds(query, change); got != is {
				t.Errorf("change %d is %s: %q finds it: %v", change, want, query, got)
			}
		}
	}
	ready := w.propose("alice", "a.txt", "a\n")
	w.stage(ready, "unit", plan.Passed)
	agree(ready, gatekeeper.Open)
	w.vote("bob", ready, 2)
	agree(ready, gatekeeper.Ready)
	w.must(w.review.SetWIP(w.ctx, w.people["alice"], ready, true))
	agree(ready, gatekeeper.Open)
	w.must(w.review.SetWIP(w.ctx, w.people["alice"], ready, false))
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], ready))
	agree(ready, gatekeeper.Landed)
	gone := w.propose("alice", "b.txt", "b\n")
	w.must(w.review.Abandon(w.ctx, w.people["alice"], gone, ""))
	agree(gone, gatekeeper.Abandoned)
	if len(seen) != 4 {
		t.Errorf("seen %v", seen)
	}
}
