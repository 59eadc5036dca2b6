package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
)

// Who may approve the patch set does so on the page of the change, and takes it back there; the
// others are told who may.
func TestApproveTheChangeByForm(t *testing.T) {
	w := newWorld(t)
	w.wrote = w.clock()
	r := w.repo("team/site", "alice", false, map[string]string{plan.File: `version: 1
roles: {managers: [alice, bob]}
gates:
  accepted: {require: [{approve: {min: 1, by: [managers], not: [author]}}]}
land: {after: [accepted]}
`})
	w.grant(r, "bob", "write")
	id := w.offer(r, "alice", "Say it politely", "one")
	at, page := fmt.Sprintf("/c/%d/approve", id), fmt.Sprintf("/c/%d", id)
	need := gatekeeper.Requirement{Name: "accepted", Kind: "gate", State: string(plan.Closed), Reason: "needs approval from managers, not from the author, has 0",
		Who: []string{"bob"}, Next: fmt.Sprintf("gate approve team/site accepted %d", id), Approval: true}
	w.gate.set(id, []gatekeeper.Requirement{need}, nil)
	form := "#why form[action=" + at + "]"
	for who, want := range map[string]int{"bob": 1, "alice": 0, "": 0} {
		if got := w.session(who).get(page).ok(http.StatusOK).find(form); len(got) != want {
			t.Errorf("%q sees %d forms, want %d", who, len(got), want)
		}
	}
	if got := wordsOf(w.session("bob").get(page).ok(http.StatusOK).find("#why .needs li")[0]); !strings.Contains(got, "you can "+need.Next+" Approve patch set 1") {
		t.Errorf("bob is told %q", got)
	}
	for _, c := range []struct {
		who, gate, ps string
		status        int
		words         string
	}{
		{"", "accepted", "1", http.StatusUnauthorized, ""},
		{"bob", "accepted", "", http.StatusBadRequest, "which patch set"},
		{"bob", "accepted", "2", http.StatusConflict, "not the current one"},
		{"bob", "other", "1", http.StatusBadRequest, "asks nobody to approve a change"},
		{"alice", "accepted", "1", http.StatusConflict, "alice is the author"},
		{"bob", "accepted", "1", http.StatusSeeOther, ""},
	} {
		a := w.session(c.who).post(at, url.Values{"gate": {c.gate}, "ps": {c.ps}, "do": {"approve"}})
		if a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%+v: status %d", c, a.status)
		}
	}
	need.State, need.Evidence = string(plan.Open), "approved by bob; does not count: alice is the author"
	w.gate.set(id, []gatekeeper.Requirement{need}, nil)
	if got := wordsOf(w.session("bob").get(page).ok(http.StatusOK).find(form)[0]); got != "Withdraw my approval" {
		t.Errorf("bob is offered %q", got)
	}
	done := w.session("bob").post(at, url.Values{"gate": {"accepted"}, "ps": {"1"}, "do": {"withdraw"}}).ok(http.StatusSeeOther)
	if got := done.header.Get("Location"); got != page+"?done=unapproved" {
		t.Errorf("leads to %q", got)
	}
}
