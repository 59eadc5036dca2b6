package gatekeeper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

const aimPlan = `version: 1
outcomes: {look: {reach: [unit]}}
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [review, tested], how: merge}
`

// An attack: somebody who may propose says how far another's change goes, and so keeps it from
// landing. By the API, with its commit in a push, and with one of their own on top of it.
func TestTheOutcomeOfAnothersChange(t *testing.T) {
	w := newWorld(t, aimPlan)
	id := w.propose("alice", "a.txt", "a\n")
	outcome := func() string {
		t.Helper()
		c, err := w.review.Load(w.ctx, w.db.Read(), id)
		w.must(err)
		return c.Outcome
	}
	if err := w.control.SetOutcome(w.ctx, w.people["bob"], id, "look", ""); !fault.Is(err, fault.Denied) || outcome() != "" {
		t.Errorf("by the API: %v, and it is %q", err, outcome())
	}
	if r := w.push("bob", "refs/for/main", "HEAD", "outcome=look", "submit"); r.Reason == "" || outcome() != "" {
		t.Errorf("with its commit: %q, and it is %q", r.Reason, outcome())
	}
	w.commit(0, "b.txt", "b\n")
	if r := w.push("bob", "refs/for/main", "HEAD", "outcome=look"); r.Reason != "" || outcome() != "" {
		t.Errorf("with one on top: %q, and it is %q", r.Reason, outcome())
	}
	mine, err := w.review.Load(w.ctx, w.db.Read(), w.newest())
	w.must(err)
	if mine.ID == id || mine.Outcome != "look" {
		t.Errorf("the one on top: %+v", mine)
	}
	aim, err := w.control.Aim(w.ctx, w.people["bob"], id)
	w.must(err)
	if len(aim.Outcomes) != 1 || aim.Outcomes[0].May {
		t.Errorf("bob is offered %+v", aim.Outcomes)
	}
	// Its owner may, by either way, and so may who maintains the repository.
	w.git("checkout", "-q", "--detach", "HEAD^")
	if r := w.push("alice", "refs/for/main", "HEAD", "outcome=look", "submit"); r.Reason != "" || outcome() != "look" {
		t.Errorf("the owner's push: %q, and it is %q", r.Reason, outcome())
	}
	if e := w.explain(id); !strings.Contains(e.Summary, "look stops before landing") || strings.Contains(fmt.Sprint(e.Requirements), "gate submit") {
		t.Errorf("%q of %+v", e.Summary, e.Requirements)
	}
	if w.must(w.control.SetOutcome(w.ctx, w.people["carol"], id, "", "")); outcome() != "" {
		t.Errorf("it is %q", outcome())
	}
}

// What of a change's own plan does not hold yet is said, also of stages that run after the landing.
func TestWhatDoesNotHoldYet(t *testing.T) {
	w := newWorld(t, aimPlan)
	w.fromTip()
	w.write("gatehouse.yaml", strings.Replace(aimPlan, "gates:\n", "  later: {after: [land], run: \"true\", network: true}\ngates:\n", 1))
	w.commit(0, "a.txt", "a\n")
	result, told := w.pushTold("alice", "refs/for/main", "HEAD")
	if result.Reason != "" {
		t.Fatal(result.Reason)
	}
	want := []string{"later is new: no gate waits for it until this change has landed", "later has no network until this change has landed"}
	if e := w.explain(w.newest()); !slices.Equal(e.Notes, want) {
		t.Errorf("%q", e.Notes)
	}
	if !strings.Contains(told, "note: "+want[1]) {
		t.Errorf("the push is told\n%s", told)
	}
	if e := w.explain(w.propose("alice", "b.txt", "b\n")); len(e.Notes) != 0 {
		t.Errorf("of a change that leaves the plan alone: %q", e.Notes)
	}
}
