package gatekeeper_test

import (
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
)

const outsidePlan = `version: 1
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
  windows: {require: [{external: {context: ci/windows}}]}
land: {after: [review, tested, windows], how: merge}
`

// post says what an outside system found about the change's current patch set.
func (w *world) post(change int64, state plan.StageState) {
	w.Helper()
	ps, err := w.review.PatchSets(w.ctx, w.db.Read(), change)
	w.must(err)
	w.must(w.control.PostStatus(w.ctx, w.people["carol"], w.repo.ID, gatekeeper.NewStatus{
		Subject: string(ps[len(ps)-1].Commit), Context: "ci/windows", State: state}))
}

// Who tests elsewhere knows the commit that was pushed, and no other: what is said of that opens
// a gate about the change. Until then the change stands before the queue, as it does for votes.
func TestStatusOfThePatchSet(t *testing.T) {
	w := newWorld(t, outsidePlan)
	id := w.propose("alice", "a", "1\n", "submit")
	w.vote("bob", id, 2)
	w.stage(id, "unit", plan.Passed)
	if e := w.state(id, gatekeeper.Open); !strings.Contains(e.Summary, "waits for the status ci/windows") {
		t.Errorf("%q", e.Summary)
	}
	w.post(id, plan.Running)
	w.state(id, gatekeeper.Open)
	w.post(id, plan.Failed)
	if e := w.state(id, gatekeeper.Refused); !strings.Contains(e.Summary, "ci/windows failed") {
		t.Errorf("%q", e.Summary)
	}
	w.post(id, plan.Passed)
	w.state(id, gatekeeper.Landed)
	if entered := w.events("queue.entered"); len(entered) != 1 {
		t.Errorf("it entered the queue %d times", len(entered))
	}
}

// What is said of one patch set says nothing of the next.
func TestStatusOfAnOlderPatchSet(t *testing.T) {
	w := newWorld(t, outsidePlan)
	id := w.propose("alice", "a", "1\n", "submit")
	w.post(id, plan.Passed)
	w.again("alice", "another")
	w.vote("bob", id, 2)
	w.submit(id)
	w.stage(id, "unit", plan.Passed)
	if e := w.state(id, gatekeeper.Open); !strings.Contains(e.Summary, "waits for the status ci/windows") {
		t.Errorf("%q", e.Summary)
	}
}
