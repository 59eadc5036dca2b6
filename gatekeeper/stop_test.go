package gatekeeper_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

const stopPlan = `version: 1
stages:
  unit: {run: "true"}
  slow: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit, slow], require: [{stages: passed}]}
land: {after: [review, tested], how: merge}
`

// heldUp has the stage slow run until somebody stops it, and everything when open is closed.
type heldUp struct {
	began chan struct{}
	open  chan struct{}
}

func (w *world) holdsUp() *heldUp {
	h := &heldUp{began: make(chan struct{}, 100), open: make(chan struct{})}
	w.stages.setContext(func(ctx context.Context, r runner.Request) runner.Result {
		if r.Stage.Name != "slow" {
			return passed()
		}
		h.began <- struct{}{}
		select {
		case <-ctx.Done():
			return runner.Result{State: string(plan.Canceled), Reason: "its context ended"}
		case <-h.open:
			return passed()
		}
	})
	return h
}

func (w *world) runningStage(change int64) int64 {
	w.Helper()
	var id int64
	w.until(change, "slow runs", func(e gatekeeper.Explanation) bool {
		for _, r := range e.Requirements {
			if r.Name == "slow" && r.State == string(plan.Running) {
				id = r.StageRun
			}
		}
		return id != 0
	})
	return id
}

// A person stops a stage: it is CANCELED with who and why, that is no verdict, it does not begin
// again by itself, what passed is kept, and a recheck runs it.
func TestAStageIsStopped(t *testing.T) {
	w := newWorld(t, stopPlan)
	h := w.holdsUp()
	id := w.propose("alice", "a.txt", "a\n")
	s := w.runningStage(id)
	<-h.began
	w.stage(id, "unit", plan.Passed)
	if err := w.control.Stop(w.ctx, account.Actor{}, gatekeeper.Stop{StageRun: s}); err == nil {
		t.Error("nobody stopped it")
	}
	if err := w.control.Stop(w.ctx, w.people["alice"], gatekeeper.Stop{StageRun: s, Reason: "two\nlines"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a reason of two lines: %v", err)
	}
	w.must(w.control.Stop(w.ctx, w.people["alice"], gatekeeper.Stop{StageRun: s, Reason: "it hangs"}))
	e := w.until(id, "its run has ended", func(e gatekeeper.Explanation) bool {
		runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
		w.must(err)
		return runs[0].State == gatekeeper.RunCanceled
	})
	if e.State != gatekeeper.Open || !strings.Contains(e.Summary, "slow was cancelled; that says nothing about the change") {
		t.Errorf("%s: %s", e.State, e.Summary)
	}
	for _, r := range e.Requirements {
		switch r.Name {
		case "slow":
			if r.State != string(plan.Canceled) || r.Reason != "stopped by alice: it hangs" {
				t.Errorf("%+v", r)
			}
		case "tested":
			if r.State != string(plan.GateErrored) || !strings.Contains(r.Next, "recheck") {
				t.Errorf("%+v", r)
			}
		}
	}
	if err := w.control.Stop(w.ctx, w.people["alice"], gatekeeper.Stop{StageRun: s}); !fault.Is(err, fault.Conflict) {
		t.Errorf("once more: %v", err)
	}
	messages, err := w.review.Messages(w.ctx, w.db.Read(), id)
	w.must(err)
	if !slices.ContainsFunc(messages, func(m review.Message) bool {
		return strings.Contains(m.Body, "alice stopped slow of patch set 1: it hangs") && strings.Contains(m.Body, fmt.Sprint("gate recheck ", id))
	}) {
		t.Errorf("its story: %+v", messages)
	}
	before := w.stages.runs()
	close(h.open)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.stage(id, "slow", plan.Passed)
	var again []string
	for _, ran := range w.stages.runs()[len(before):] {
		again = append(again, strings.Fields(ran)[0])
	}
	if !slices.Equal(again, []string{"slow"}) {
		t.Errorf("%q ran again", again)
	}
}

// A whole run is stopped at once, also before its stages begin.
func TestARunIsStopped(t *testing.T) {
	w := newWorld(t, stopPlan)
	h := w.holdsUp()
	id := w.propose("alice", "a.txt", "a\n")
	s := w.runningStage(id)
	<-h.began
	w.must(w.control.Stop(w.ctx, w.people["carol"], gatekeeper.Stop{StageRun: s, All: true}))
	runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	if len(runs) != 1 || runs[0].State != gatekeeper.RunCanceled || runs[0].Reason != "its stages were stopped by carol" {
		t.Errorf("%+v", runs)
	}
	w.vote("bob", id, 2)
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], id))
	if e := w.explain(id); e.State == gatekeeper.Refused || e.State == gatekeeper.Queued {
		t.Errorf("%s: %s", e.State, e.Summary)
	}
	close(h.open)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.state(id, gatekeeper.Landed)
}

// What the queue tries is stopped whole and held back in its place; nobody is put out, and a
// recheck lets it go on.
func TestACandidateOfTheQueueIsStopped(t *testing.T) {
	w := newWorld(t, stopPlan)
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "slow", plan.Passed)
	w.fromTip()
	other := w.propose("bob", "b.txt", "b\n") // lands below it, so that the queue tests anew
	w.stage(other, "slow", plan.Passed)
	w.vote("bob", id, 2)
	w.vote("carol", other, 2)
	w.must(w.review.RequestSubmit(w.ctx, w.people["bob"], other))
	w.state(other, gatekeeper.Landed)
	h := w.holdsUp()
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], id))
	s := w.runningStage(id)
	<-h.began
	w.must(w.control.Stop(w.ctx, w.people["carol"], gatekeeper.Stop{StageRun: s, Reason: "the rig is needed"}))
	e := w.until(id, "it is held", func(e gatekeeper.Explanation) bool {
		return slices.ContainsFunc(e.Requirements, func(r gatekeeper.Requirement) bool {
			return strings.Contains(r.Reason+r.Evidence, "stopped: the rig is needed")
		})
	})
	if e.State != gatekeeper.Queued {
		t.Errorf("%s: %s", e.State, e.Summary)
	}
	ran := len(w.stages.runs())
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if now := w.stages.runs(); len(now) != ran {
		t.Errorf("it began anew: %q", now[ran:])
	}
	close(h.open)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.state(id, gatekeeper.Landed)
}
