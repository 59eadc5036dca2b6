package gatekeeper_test

import (
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// A change that is moved is tested anew on the branch that it is for now, needs its votes
// again, and lands there; while it stands in a queue it cannot be moved.
func TestMoveToAnotherBranch(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(unitPlan, "HOW", "merge"))
	w.repo.Gated = []string{"main"}
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) }))
	if r := w.push("carol", "refs/heads/stable", "HEAD"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.repo.Gated = []string{"main", "stable"}
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) }))
	id := w.propose("alice", "a", "1\n")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Ready)
	w.stage(id, "unit", plan.Passed)
	stageRun := func(e gatekeeper.Explanation) (id int64) {
		for _, r := range e.Requirements {
			if r.Kind == "stage" {
				id = r.StageRun
			}
		}
		return id
	}
	before := stageRun(w.explain(id))
	w.must(w.review.Retarget(w.ctx, w.people["alice"], id, "stable"))
	w.until(id, "its votes are void and it is tested anew", func(e gatekeeper.Explanation) bool {
		return e.Branch == "stable" && e.State == gatekeeper.Open && stageRun(e) > before
	})
	w.stage(id, "unit", plan.Passed)
	hold := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-hold; return passed() })
	w.fromTip()
	w.vote("bob", id, 2)
	tip := w.tip()
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], id))
	w.until(id, "it is in the queue, or has landed", func(e gatekeeper.Explanation) bool {
		return e.State == gatekeeper.Queued || e.State == gatekeeper.Landing || e.State == gatekeeper.Landed
	})
	if err := w.review.Retarget(w.ctx, w.people["alice"], id, "main"); !fault.Is(err, fault.Conflict) {
		t.Errorf("moved out of a queue: %v", err)
	}
	close(hold)
	w.state(id, gatekeeper.Landed)
	landed, err := w.bare.RefOID(w.ctx, "refs/heads/stable")
	w.must(err)
	if e := w.explain(id); e.LandedCommit != landed || w.tip() != tip {
		t.Errorf("it landed as %s; stable is %s, main went from %s to %s", e.LandedCommit, landed, tip, w.tip())
	}
}
