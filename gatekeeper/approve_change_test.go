package gatekeeper_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const approvePlan = `version: 1
roles: {managers: [alice, bob, carol]}
artifacts: {server: {type: file}}
environments: {staging: {class: standing}}
stages:
  unit: {run: "true"}
  build: {run: "true", produces: {server: version.txt}}
  staging: {after: [wanted], environment: staging, deploy: {artifact: server, run: ./server}}
gates:
  tested: {after: [unit], require: [{stages: passed}]}
  accepted: {after: [build], require: [{stages: passed}, {approve: {min: 1, by: [managers], not: [author]}}], bypassable: {by: [managers], reason: required}}
  wanted: {after: [land], require: [{approve: {min: 1, by: [managers]}}]}
land: {after: [tested, accepted], how: merge}
`

// approveAt says what somebody thinks of a change at a gate.
func (w *world) approveAt(who, gate, what string) gatekeeper.Approved {
	w.Helper()
	done, err := w.control.Approve(w.ctx, w.people[who], w.place(), gatekeeper.Approval{Gate: gate, What: what, Note: "tried it"})
	w.must(err)
	return done
}

// requirement is what a gate or the queue says of a change.
func requirement(e gatekeeper.Explanation, name string) gatekeeper.Requirement {
	for _, r := range e.Requirements {
		if r.Name == name {
			return r
		}
	}
	return gatekeeper.Requirement{}
}

// A change stands before the queue until somebody who may approves the patch set, and lands then by
// itself; what is built of it has to be approved for itself.
func TestApproveBeforeTheLanding(t *testing.T) {
	w := newWorld(t, approvePlan)
	w.stages.set(w.builds(100))
	id := w.propose("alice", "version.txt", "one\n", "submit")
	w.stage(id, "build", plan.Passed)
	e := w.state(id, gatekeeper.Open)
	r := requirement(e, "accepted")
	if !r.Approval || strings.Join(r.Who, " ") != "bob carol" || r.Next != "gate approve hello accepted 1" || !strings.Contains(e.Summary, "accepted: needs approval from managers, not from the author, has 0") {
		t.Errorf("%s; %+v", e.Summary, r)
	}
	if done := w.approveAt("alice", "accepted", "1"); done.Counts || !strings.Contains(done.Why, "alice is the author") || done.Verdict.State != plan.Closed {
		t.Errorf("the author's: %+v", done)
	}
	w.state(id, gatekeeper.Open)
	if done := w.approveAt("bob", "accepted", "1/1"); !done.Counts || done.PatchSet != 1 || done.Change != id || done.Verdict.State != plan.Open {
		t.Errorf("bob's: %+v", done)
	}
	w.state(id, gatekeeper.Landed)
	if entered, ejected := w.events("queue.entered"), w.events("queue.ejected"); len(entered) != 1 || len(ejected) != 0 {
		t.Errorf("it entered the queue %d times and was put out of it %d times", len(entered), len(ejected))
	}
	if told := w.events("change.approved"); len(told) != 2 || told[1]["gate"] != "accepted" || told[1]["ps"] != "1" || told[1]["note"] != "tried it" {
		t.Errorf("the journal: %+v", told)
	}
	d, err := w.control.DeliveryOfChange(w.ctx, w.people["carol"], id)
	w.must(err)
	i := slices.IndexFunc(d.Gates, func(v plan.Verdict) bool { return v.Gate == "wanted" })
	if i < 0 || d.Gates[i].State != plan.Closed {
		t.Errorf("the artifact: %+v", d.Gates)
	}
	// And what is said of the artifact says nothing at the gate about the change.
	_, err = w.control.Approve(w.ctx, w.people["bob"], w.place(), gatekeeper.Approval{Gate: "accepted", What: "1"})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "asks nobody to approve an artifact") {
		t.Errorf("of what has landed: %v", err)
	}
	if done := w.approveAt("bob", "wanted", "1"); !done.Counts || len(done.Digests) != 1 || done.PatchSet != 0 {
		t.Errorf("the artifact: %+v", done)
	}
}

// An approval is of one patch set; it can be taken back until that has landed.
func TestApprovalOfOnePatchSet(t *testing.T) {
	w := newWorld(t, approvePlan)
	w.stages.set(w.builds(100))
	id := w.propose("alice", "version.txt", "one\n")
	w.stage(id, "build", plan.Passed)
	w.approveAt("bob", "accepted", "1")
	w.state(id, gatekeeper.Ready)
	w.again("alice", "two")
	w.stage(id, "build", plan.Passed)
	if e := w.state(id, gatekeeper.Open); !strings.Contains(e.Summary, "accepted: needs approval") {
		t.Errorf("another patch set: %s", e.Summary)
	}
	take := func(who, gate, what string, back bool) error {
		_, err := w.control.Approve(w.ctx, w.people[who], w.place(), gatekeeper.Approval{Gate: gate, What: what, Withdraw: back})
		return err
	}
	for _, c := range []struct {
		who, gate, what string
		back            bool
		kind            fault.Kind
		words           string
	}{
		{"bob", "accepted", "1/1", false, fault.Conflict, "patch set 1 of change 1 is not the current one"},
		{"bob", "accepted", "1/x", false, fault.Invalid, "names no patch set"},
		{"bob", "accepted", "", false, fault.Invalid, "is about a change, and none is named"},
		{"bob", "tested", "1", false, fault.Invalid, "asks nobody to approve a change"},
		{"bob", "wanted", "1", false, fault.Refused, "is about what is built of change 1 once it has landed"},
		{"bob", "accepted", "1", true, fault.Conflict, "you have not approved patch set 2"},
	} {
		if err := take(c.who, c.gate, c.what, c.back); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	w.must(take("bob", "accepted", "1/2", false))
	w.state(id, gatekeeper.Ready)
	w.must(take("bob", "accepted", "1", true))
	w.state(id, gatekeeper.Open)
	if told := w.events("change.approval.withdrawn"); len(told) != 1 || told[0]["ps"] != "2" {
		t.Errorf("the journal: %+v", told)
	}
	// Who may not vote any more has approved nothing.
	w.must(take("bob", "accepted", "1", false))
	w.state(id, gatekeeper.Ready)
	w.disable("bob", true)
	w.state(id, gatekeeper.Open)
	// Left out, it asks nobody.
	w.must(w.control.Bypass(w.ctx, w.people["carol"], id, "accepted", "she is right"))
	w.submit(id)
	w.state(id, gatekeeper.Landed)
}

// Who may not see a change, or vote on it, approves nothing, and learns nothing of it.
func TestWhoMayApproveAChange(t *testing.T) {
	w := newWorld(t, approvePlan)
	w.stages.set(w.builds(100))
	w.propose("alice", "version.txt", "one\n", "private")
	_, err := w.control.Approve(w.ctx, w.people["bob"], w.place(), gatekeeper.Approval{Gate: "accepted", What: "1"})
	_, none := w.control.Approve(w.ctx, w.people["bob"], w.place(), gatekeeper.Approval{Gate: "accepted", What: "2"})
	if !fault.Is(err, fault.NotFound) || strings.ReplaceAll(err.Error(), `"1"`, `"2"`) != none.Error() {
		t.Errorf("%v; of none: %v", err, none)
	}
	if told := w.events("change.approved"); len(told) != 0 {
		t.Errorf("%+v", told)
	}
}

// A stage behind an approval runs on the patch set that was approved, and so does one behind a window
// when that opens; neither refuses the change meanwhile.
func TestStagesBehindApprovalsAndWindows(t *testing.T) {
	deny, _ := around(time.Now())
	w := newWorld(t, `version: 1
stages:
  try: {after: [wanted], run: "true"}
  late: {after: [hours], run: "true"}
gates:
  wanted: {require: [{approve: {min: 1, not: [author]}}]}
  hours: {require: [{window: {deny: ["`+deny+`"]}}]}
  tested: {after: [try, late], require: [{stages: passed}]}
land: {after: [tested], how: merge}
`)
	id := w.propose("alice", "a", "1\n", "submit")
	e := w.until(id, "its stages wait", func(e gatekeeper.Explanation) bool {
		return strings.HasPrefix(requirement(e, "try").Reason, "waits for gate wanted: needs approval") && strings.HasPrefix(requirement(e, "late").Reason, "waits for gate hours: waits for window hours")
	})
	if r := requirement(e, "wanted"); e.State != gatekeeper.Open || r.Next != "gate approve hello wanted 1" {
		t.Errorf("%s: %s; %+v", e.State, e.Summary, r)
	}
	w.approveAt("bob", "wanted", "1")
	w.stage(id, "try", plan.Passed)
	w.pass(time.Hour)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	w.state(id, gatekeeper.Landed)
}

const windowPlan = `version: 1
roles: {managers: [bob]}
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
  hours: {require: [{window: {deny: ["DENY"], tz: UTC}}], bypassable: {by: [managers], reason: required}}
land: {after: [review, tested, hours], how: merge}
`

// around is a window around the controller's time, shut for an hour yet, and when it opens.
func around(now time.Time) (deny string, opens time.Time) {
	const shown = "2006-01-02 15:04"
	opens = now.UTC().Truncate(time.Minute).Add(time.Hour)
	return now.UTC().Add(-time.Hour).Format(shown) + "-" + opens.Format(shown), opens
}

// A window that is shut refuses nothing: the change keeps its place in the queue and lands when it
// opens, without anybody asking again.
func TestWindowBeforeTheLanding(t *testing.T) {
	deny, opens := around(time.Now())
	w := newWorld(t, strings.Replace(windowPlan, "DENY", deny, 1))
	id := w.propose("alice", "a", "1\n", "submit")
	w.vote("bob", id, 2)
	words := "waits for window hours, opens " + opens.Format("2006-01-02 15:04 UTC")
	e := w.until(id, "it is held", func(e gatekeeper.Explanation) bool {
		return e.State == gatekeeper.Queued && strings.Contains(e.Summary, words)
	})
	if r := requirement(e, "queue"); !strings.HasPrefix(r.Reason, words) || r.Evidence != "waits for the window" {
		t.Errorf("%+v", r)
	}
	if r := requirement(e, "hours"); r.State != string(plan.Waiting) || !strings.HasPrefix(r.Reason, words) {
		t.Errorf("%+v", r)
	}
	status, err := w.control.QueueStatus(w.ctx, w.people["carol"], "hello", "main")
	w.must(err)
	if len(status.Entries) != 1 || !strings.HasPrefix(status.Entries[0].Words, "number 1: "+words) || status.Entries[0].Held != "" {
		t.Errorf("%+v", status.Entries)
	}
	view, err := w.control.Queue(w.ctx, w.people["carol"], "hello", "main")
	w.must(err)
	if len(view.Entries) != 1 || !strings.HasPrefix(view.Entries[0].Why, words) {
		t.Errorf("%+v", view.Entries)
	}
	// What is left out for one change is shut for the others.
	other := w.propose("alice", "b", "1\n", "submit")
	w.vote("bob", other, 2)
	w.until(other, "it is held", func(e gatekeeper.Explanation) bool { return strings.Contains(e.Summary, words) })
	w.must(w.control.Bypass(w.ctx, w.people["bob"], other, "hours", "it cannot wait"))
	w.state(other, gatekeeper.Landed)
	w.state(id, gatekeeper.Queued)
	w.pass(time.Hour)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	w.state(id, gatekeeper.Landed)
	if entered, left := w.events("queue.entered"), append(w.events("queue.left"), w.events("queue.ejected")...); len(entered) != 2 || len(left) != 0 {
		t.Errorf("entered: %+v; left: %+v", entered, left)
	}
}

// A look is asked for at the moment at which the window opens.
func TestWindowWakesTheBranch(t *testing.T) {
	deny, opens := around(time.Now())
	w := newWorld(t, strings.Replace(windowPlan, "DENY", deny, 1))
	w.still()
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if at := w.control.LookAt(w.repo.ID, "main"); !at.Equal(opens) {
		t.Errorf("the next look is at %s, the window opens at %s", at, opens)
	}
}
