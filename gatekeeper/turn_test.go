package gatekeeper_test

import (
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
)

// whoseTurn is the attention set of a change: "alice: bob voted Code-Review+2".
func (w *world) whoseTurn(change int64) string {
	w.Helper()
	all, err := w.review.Attention(w.ctx, w.db.Read(), change)
	w.must(err)
	var parts []string
	for _, a := range all {
		for name, who := range w.people {
			if who.ID == a.Account {
				parts = append(parts, name+": "+a.Reason)
			}
		}
	}
	return strings.Join(parts, "; ")
}

// turns waits until the attention set says what it should.
func (w *world) turns(change int64, want string) {
	w.Helper()
	w.until(change, "turn "+want, func(gatekeeper.Explanation) bool { return strings.HasPrefix(w.whoseTurn(change), want) })
}

// A refusing stage, and being ready, are the owner's turn; asking to land ends it.
func TestWhatTheGateFindsIsTheOwnersTurn(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.stages.set(w.but(func() runner.Result { return failed() }))
	id := w.propose("alice", "a.txt", "a\n")
	w.turns(id, "alice: its stages refused it")
	w.stages.set(nil)
	w.must(w.review.TakeTurn(w.ctx, w.people["alice"], id, w.people["alice"].ID, ""))
	other := w.propose("alice", "b.txt", "b\n")
	w.stage(other, "unit", plan.Passed)
	if got := w.whoseTurn(other); got != "" {
		t.Errorf("before any vote: %s", got)
	}
	w.vote("bob", other, 2)
	w.turns(other, "alice: it is ready: ask to land it")
	w.must(w.review.TakeTurn(w.ctx, w.people["alice"], other, w.people["alice"].ID, ""))
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if got := w.whoseTurn(other); got != "" {
		t.Errorf("told twice: %s", got)
	}
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], other))
	w.state(other, gatekeeper.Landed)
	if got := w.whoseTurn(other); got != "" {
		t.Errorf("a landed change waits for %s", got)
	}
}

// Every path needs an owner of it, as the branch's file says, whatever the change's own says.
func TestOwnersApproveTheirPaths(t *testing.T) {
	w := newWorld(t, "version: 1\ngates: {owned: {require: [{owners: {not: [author, uploader]}}]}}\n")
	w.fromTip()
	w.write("CODEOWNERS", "web/ @carol\n*.md bob@example.test\n")
	w.git("add", "-A")
	w.git("commit", "-qm", "Say who owns what\n\nChange-Id: I00000000000000000000000000000000000000a1")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	first := w.newest()
	if e := w.explain(first); !hasReason(e, "owned", "CODEOWNERS needs anybody (nobody owns it)") {
		t.Errorf("before there is a file: %+v", e.Requirements)
	}
	w.vote("bob", first, 2)
	w.state(first, gatekeeper.Landed)

	w.fromTip()
	w.write("web/a.js", "a\n")
	w.write("x.md", "x\n")
	w.write("CODEOWNERS", "* @dan\n") // its own file counts for nothing yet
	w.git("add", "-A")
	w.git("commit", "-qm", "Change much\n\nChange-Id: I00000000000000000000000000000000000000a2")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id := w.newest()
	w.vote("bob", id, 2)
	e := w.until(id, "carol to be needed", func(e gatekeeper.Explanation) bool {
		return hasReason(e, "owned", "web/a.js needs @carol (CODEOWNERS:1)")
	})
	for _, r := range e.Requirements {
		if r.Name == "owned" && (strings.Join(r.Who, ",") != "carol" || r.Evidence != "approved by bob" || r.State != "CLOSED") {
			t.Errorf("%+v", r)
		}
	}
	w.vote("carol", id, 2)
	w.state(id, gatekeeper.Landed)
}

func hasReason(e gatekeeper.Explanation, name, reason string) bool {
	for _, r := range e.Requirements {
		if r.Name == name && strings.Contains(r.Reason, reason) {
			return true
		}
	}
	return false
}

// Who leaves the queue is the owner's turn to mend.
func TestAnEjectedChangeIsTheOwnersTurn(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	_, release := w.queued(1)
	rivals := []int64{w.propose("alice", "same.txt", "one\n", "submit"), w.propose("alice", "same.txt", "two\n", "submit")}
	for _, id := range rivals {
		w.vote("bob", id, 2)
		w.state(id, gatekeeper.Queued)
	}
	release()
	w.state(rivals[0], gatekeeper.Landed)
	w.turns(rivals[1], "alice: it left the queue: ")
}
