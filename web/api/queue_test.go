package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/git"
	"gatehouse/web/api"
)

// The queue over HTTP: a branch with a slash, a freeze with each kind of end, an order and its answer.
func TestQueueOverHTTP(t *testing.T) {
	w := newWorld(t)
	r := w.repository("team/tool", false)
	change := w.change(r)
	g, err := w.Repos.Open(r)
	must(t, err)
	tip, err := g.RefOID(w.ctx, "refs/heads/main")
	must(t, err)
	must(t, g.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/release/1", Old: git.Zero, New: tip}}, "test"))
	gated := []string{"main", "release/*"}
	get[api.Repository](w, "owner", http.MethodPatch, "/api/v1/repositories/team~tool", api.RepositoryChange{Gated: &gated})

	at := "/api/v1/queues/team~tool/release~1"
	made := get[gatekeeper.Freeze](w, "maintainer", http.MethodPost, at+"/freeze", api.NewFreeze{Reason: "release", Seconds: 3600})
	if left := time.Until(made.Until); made.By != "maintainer" || made.Reason != "release" || left < 50*time.Minute || left > time.Hour {
		t.Errorf("%+v", made)
	}
	status := get[gatekeeper.QueueStatus](w, "", http.MethodGet, at, nil)
	if status.Repository != "team/tool" || status.Branch != "release/1" || !strings.HasPrefix(status.Frozen, "by maintainer until ") || !status.FrozenUntil.Equal(made.Until.Truncate(time.Microsecond)) || status.Tip != string(tip) {
		t.Errorf("%+v", status)
	}
	all := get[list[gatekeeper.QueueSummary]](w, "", http.MethodGet, "/api/v1/queues", nil)
	if len(all.Items) != 1 || all.Items[0].Branch != "release/1" || all.Items[0].Frozen == "" {
		t.Errorf("%+v", all)
	}
	end := time.Now().Add(time.Hour)
	for _, c := range []struct {
		in   api.NewFreeze
		code int
		want string
	}{
		{api.NewFreeze{Reason: "x", Until: end, Seconds: 60}, http.StatusBadRequest, "two ends"},
		{api.NewFreeze{Reason: "x", Until: end.Add(-2 * time.Hour)}, http.StatusBadRequest, "over already"},
		{api.NewFreeze{}, http.StatusBadRequest, "reason"},
		{api.NewFreeze{Reason: strings.Repeat("x", 501)}, http.StatusBadRequest, "500"},
	} {
		if a := w.ask("maintainer", http.MethodPost, at+"/freeze", c.in); a.Code != c.code || !strings.Contains(a.Body.String(), c.want) {
			t.Errorf("%+v: %d %s, want %d with %q", c.in, a.Code, a.Body, c.code, c.want)
		}
	}
	if a := w.ask("maintainer", http.MethodDelete, at+"/freeze", nil); a.Code != http.StatusNoContent {
		t.Errorf("thaw: %d %s", a.Code, a.Body)
	}
	if a := w.ask("maintainer", http.MethodDelete, at+"/freeze", nil); a.Code != http.StatusConflict || a.problem.Next == "" {
		t.Errorf("thawed twice: %d %s", a.Code, a.Body)
	}
	if a := w.ask("reader", http.MethodGet, "/api/v1/queues/team~tool/nowhere", nil); a.Code != http.StatusNotFound {
		t.Errorf("a branch that is not there: %d %s", a.Code, a.Body)
	}

	order := "/api/v1/changes/" + itoa(change.ID)
	if e := get[gatekeeper.Explanation](w, "author", http.MethodPost, order+"/hold", api.Order{Reason: "not yet"}); e.Change != change.ID {
		t.Errorf("the answer to an order is the change's explanation: %+v", e)
	}
	if a := w.ask("author", http.MethodDelete, order+"/hold", nil); a.Code != http.StatusOK {
		t.Errorf("release: %d %s", a.Code, a.Body)
	}
	if a := w.ask("author", http.MethodDelete, order+"/hold", nil); a.Code != http.StatusConflict {
		t.Errorf("released twice: %d %s", a.Code, a.Body)
	}
}
