package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/promote"
)

// order posts one form of the environments page.
func (c *client) order(pairs ...string) answer {
	c.w.t.Helper()
	form := url.Values{"branch": {"main"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return c.post("/team/shop/-/environments", form)
}

// The forms of an environment, each by who may: promote, hotfix, rollback, pin, veto, freeze, lift
// and withdraw, and each refusal where the form was.
func TestEnvironmentForms(t *testing.T) {
	w, r := shop(t)
	first := w.sail(r, "Sell by the dozen", "one")
	second := w.sail(r, "Show prices with tax", "two")
	digest := map[int64]string{}
	for _, p := range w.environments()[2].Past {
		digest[p.Change] = p.Digest
	}
	page := "/team/shop/-/environments"
	bob, carol, nobody := w.session("bob"), w.session("carol"), w.session("")

	// Who may not is not offered a form, and is refused.
	if text := carol.get(page).ok(http.StatusOK).body; strings.Contains(text, `name="do"`) {
		t.Error("carol, who may not deploy, is offered a form")
	}
	for _, do := range []string{"promote", "hotfix", "rollback", "pin", "veto", "freeze", "lift", "cancel"} {
		a := carol.order("environment", "production", "do", do, "what", digest[first], "reason", "because", "kind", "freeze", "promotion", "1")
		if a.status != http.StatusForbidden && !(do == "cancel" && a.status == http.StatusNotFound) {
			t.Errorf("%s by carol: status %d", do, a.status)
		}
		if a := nobody.order("environment", "production", "do", do); a.status != http.StatusUnauthorized {
			t.Errorf("%s by nobody: status %d", do, a.status)
		}
	}

	// What cannot be done is told at the environment, with what was typed.
	for _, bad := range []struct {
		want  string
		pairs []string
	}{
		{"Nothing waits to enter production", []string{"do", "promote"}},
		{"A hotfix needs a reason", []string{"do", "hotfix", "what", digest[first]}},
		{"A rollback needs a reason", []string{"do", "rollback"}},
		{"A pin needs a reason", []string{"do", "pin", "what", digest[first]}},
		{"A veto is about one artifact", []string{"do", "veto", "reason", "it is slow"}},
		{"No artifact sha256:00000000 was ever", []string{"do", "pin", "what", "sha256:00000000", "reason", "typed words stay"}},
		{"A freeze needs a reason", []string{"do", "freeze"}},
		{"is no time that an order can hold", []string{"do", "freeze", "reason", "x", "for", "for ever"}},
		{"There is no freeze on production", []string{"do", "lift", "kind", "freeze"}},
		{"The form does not say which promotion", []string{"do", "cancel"}},
		{"There is no promotion 999999", []string{"do", "cancel", "promotion", "999999"}},
		{"The form does not say what to do", []string{"do", "dance"}},
	} {
		a := bob.order(append([]string{"environment", "production"}, bad.pairs...)...)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, bad.want) || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%v: status %d, without %q", bad.pairs, a.status, bad.want)
		}
		if strings.Contains(strings.Join(bad.pairs, " "), "typed words stay") && !strings.Contains(a.body, `value="typed words stay"`) {
			t.Error("what was typed is lost")
		}
	}
	if a := bob.order("environment", "nowhere", "do", "promote"); a.status != http.StatusNotFound {
		t.Errorf("an environment that there is not: status %d", a.status)
	}

	// What can be done is.
	done := func(pairs ...string) {
		t.Helper()
		if a := bob.order(append([]string{"environment", "production"}, pairs...)...); a.status != http.StatusSeeOther {
			t.Fatalf("%v: status %d", pairs, a.status)
		}
	}
	production := func() gatekeeper.EnvironmentView { return w.environments()[2] }
	done("do", "freeze", "reason", "stocktaking", "for", "4h")
	if o := production().Orders; len(o) != 1 || o[0].Kind != deliver.OrderFreeze || o[0].By != "bob" || o[0].Until.Sub(w.clock()).Round(time.Hour) != 4*time.Hour {
		t.Errorf("the freeze is %+v", o)
	}
	done("do", "rollback", "reason", "prices are wrong")
	w.environment("production", "the first runs again", func(v gatekeeper.EnvironmentView) bool {
		return v.Current.Change == first && v.Current.Kind == promote.Rollback && v.Current.By == "bob" && v.Entering == nil
	})
	done("do", "lift", "kind", "freeze")
	done("do", "veto", "what", digest[second], "reason", "prices are wrong")
	done("do", "pin", "what", digest[first], "reason", "until it is mended", "for", "7d")
	if o := production().Orders; len(o) != 2 {
		t.Errorf("the orders are %+v", o)
	}
	done("do", "promote", "what", digest[second])
	waiting := production().Next
	if len(waiting) != 1 || !strings.Contains(waiting[0].Words, "pin") && !strings.Contains(waiting[0].Words, "veto") {
		t.Fatalf("what is vetoed waits: %+v", waiting)
	}
	text := bob.get(page).ok(http.StatusOK).body
	for _, want := range []string{"prices are wrong", "until it is mended", "Pinned", "Vetoed", "Withdraw"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	done("do", "cancel", "promotion", fmt.Sprint(waiting[0].ID))
	if next := production().Next; len(next) != 0 {
		t.Errorf("what was withdrawn waits: %+v", next)
	}
}

// Approvals, outcomes and bypasses by their forms.
func TestApproveChooseAndLeaveOut(t *testing.T) {
	w, r := shop(t)
	id := w.offer(r, "alice", "Sell by the dozen", "one")
	w.land(id)
	w.runsIn("staging", id)
	w.accept(id)
	d, err := w.ship.control.DeliveryOfChange(t.Context(), w.actor("alice"), id)
	w.must(err)
	page := fmt.Sprintf("/team/shop/-/deliveries/%d", d.Run)
	approve := func(who, gate, do string) answer {
		return w.session(who).post(page, url.Values{"gate": {gate}, "do": {do}, "note": {"looked at it"}})
	}
	if a := approve("", "accepted", "approve"); a.status != http.StatusUnauthorized {
		t.Errorf("nobody approves: status %d", a.status)
	}
	if a := approve("bob", "performance", "approve"); a.status != http.StatusBadRequest || !strings.Contains(a.body, "asks nobody to approve") {
		t.Errorf("a gate that asks nobody: status %d", a.status)
	}
	if a := approve("alice", "accepted", "approve"); a.status != http.StatusConflict || !strings.Contains(a.body, "alice is the author") {
		t.Errorf("the author approves: status %d", a.status)
	}
	if a := approve("bob", "accepted", "approve"); a.status != http.StatusSeeOther {
		t.Errorf("bob approves: status %d", a.status)
	}
	if text := w.session("bob").get(page).ok(http.StatusOK).body; !strings.Contains(text, "you have approved") || !strings.Contains(text, "has 1") {
		t.Error("the page does not tell of bob's approval")
	}
	if a := approve("bob", "accepted", "withdraw"); a.status != http.StatusSeeOther {
		t.Errorf("bob withdraws: status %d", a.status)
	}
	if a := w.session("bob").get("/team/shop/-/deliveries/999999"); a.status != http.StatusNotFound {
		t.Errorf("a delivery that there is not: status %d", a.status)
	}

	open := w.offer(r, "alice", "Show prices with tax", "two")
	at := fmt.Sprintf("/c/%d/", open)
	for _, bad := range []struct {
		who, path, want string
		form            url.Values
	}{
		{"bob", "outcome", "There is no outcome", url.Values{"outcome": {"far"}}},
		{"bob", "outcome", "needs a reason", url.Values{"outcome": {"preview-untested"}}},
		{"carol", "outcome", "may not", url.Values{"outcome": {"preview-untested"}, "reason": {"x"}}},
		{"bob", "bypass", "A bypass needs a reason", url.Values{"node": {"unit"}}},
		{"bob", "bypass", "does not let anybody leave out", url.Values{"node": {"build"}, "reason": {"typed words stay"}}},
		{"carol", "bypass", "may not leave out unit", url.Values{"node": {"unit"}, "reason": {"x"}}},
	} {
		a := w.session(bad.who).post(at+bad.path, bad.form)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, bad.want) || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s of %v by %s: status %d without %q", bad.path, bad.form, bad.who, a.status, bad.want)
		}
		if bad.form.Get("reason") == "typed words stay" && !strings.Contains(a.body, `value="typed words stay"`) {
			t.Error("what was typed is lost")
		}
	}
	for path, form := range map[string]url.Values{"outcome": {"outcome": {"check"}}, "bypass": {"node": {"lint"}, "reason": {"the linter is broken"}}} {
		if a := w.session("bob").post(at+path, form); a.status != http.StatusSeeOther {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	for _, page := range []string{at + "delivery", fmt.Sprintf("/c/%d", open)} {
		text := w.session("bob").get(page).ok(http.StatusOK).body
		for _, want := range []string{"was left out by", "the linter is broken", "check", `class="graph"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", page, want)
			}
		}
	}
}

// An artifact is handed out as a file that no browser runs, and only to who may read it.
func TestArtifactIsAFile(t *testing.T) {
	w, r := shop(t)
	id := w.sail(r, "Sell by the dozen", "<script>alert(1)</script>")
	digest := w.environments()[2].Current.Digest
	at := "/team/shop/-/artifacts/" + digest
	text := w.session("").get(at).ok(http.StatusOK).body
	for _, want := range []string{digest, "looked at it in staging", "production", fmt.Sprintf("/c/%d", id), "build"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	a := w.session("").get(at + "/content")
	if a.status != http.StatusOK || a.body != "<script>alert(1)</script>\n" {
		t.Fatalf("the content: status %d, %q", a.status, a.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment; filename=server", "Content-Security-Policy": "sandbox; default-src 'none'"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a := w.session("").get(at + "/statement"); a.status != http.StatusOK || !strings.Contains(a.body, strings.TrimPrefix(digest, "sha256:")) || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the statement: status %d, %s", a.status, a.body)
	}
	for _, bad := range []string{"sha256:" + strings.Repeat("0", 64), "sha256:..%2f..%2fetc", "%2e%2e", strings.Repeat("f", 4000)} {
		if a := w.session("").get("/team/shop/-/artifacts/" + bad + "/content"); a.status != http.StatusNotFound && a.status != http.StatusBadRequest && a.status != http.StatusMovedPermanently {
			t.Errorf("%.40s: status %d", bad, a.status)
		}
	}
}

// What a private repository delivers is told to nobody else, not even that there is something.
func TestPrivateDeliveries(t *testing.T) {
	w, r := shopFor(t, true)
	id := w.sail(r, "Sell by the dozen", "one")
	digest := w.environments()[2].Current.Digest
	d, err := w.ship.control.DeliveryOfChange(t.Context(), w.actor("alice"), id)
	w.must(err)
	w.person("dave")
	at := "/team/shop/-/"
	for _, page := range []string{"environments", "deliveries", fmt.Sprint("deliveries/", d.Run), "artifacts/" + digest, "artifacts/" + digest + "/content", "artifacts/" + digest + "/statement", "figures"} {
		if a := w.session("bob").get(at + page); a.status != http.StatusOK {
			t.Errorf("%s by bob: status %d", page, a.status)
		}
		for _, who := range []string{"", "dave"} {
			if a := w.session(who).get(at + page); a.status != http.StatusNotFound {
				t.Errorf("%s by %q: status %d", page, who, a.status)
			}
		}
	}
	w.repo("other", "bob", false, map[string]string{"a.txt": "a\n"})
	for _, page := range []string{fmt.Sprint("deliveries/", d.Run), "artifacts/" + digest, "artifacts/" + digest + "/content"} {
		if a := w.session("bob").get("/other/-/" + page); a.status != http.StatusNotFound {
			t.Errorf("%s of another repository: status %d", page, a.status)
		}
	}
}

// What people and plans write, and where assemblies say that they answer, is inert on every page.
func TestHostileDeliveries(t *testing.T) {
	w, r := shop(t)
	ctx := t.Context()
	w.ship.driver.Answer("javascript:alert(1)//http://ok.test")
	id := w.offer(r, "alice", hostile[0]+hostile[1], "one")
	w.land(id)
	w.runsIn("staging", id)
	for i, h := range hostile {
		if strings.ContainsAny(h, "\x00") {
			continue
		}
		w.must(w.ship.control.Order(ctx, w.actor("bob"), "team/shop", "main", deliver.Order{Environment: "staging", Kind: deliver.OrderFreeze, Reason: h}))
		open := w.offer(r, "alice", h, fmt.Sprint("two", i))
		w.must(w.ship.control.Bypass(ctx, w.actor("bob"), open, "lint", h))
		for _, who := range []string{"", "bob"} {
			for _, page := range []string{"/team/shop/-/environments", fmt.Sprintf("/c/%d/delivery", open)} {
				a := w.session(who).get(page)
				if a.status >= 500 {
					t.Errorf("%s: status %d", page, a.status)
				}
				inert(t, page, a.page())
			}
		}
	}
	d, err := w.ship.control.DeliveryOfChange(ctx, w.actor("alice"), id)
	w.must(err)
	for _, page := range []string{"/team/shop/-/deliveries", fmt.Sprintf("/team/shop/-/deliveries/%d", d.Run), "/team/shop/-/artifacts/" + d.Artifacts[0].Digest, fmt.Sprintf("/c/%d", id),
		"/team/shop/-/figures?environment=" + url.QueryEscape(hostile[1]), "/team/shop/-/environments?branch=" + url.QueryEscape(hostile[1])} {
		a := w.session("bob").get(page)
		if a.status >= 500 {
			t.Errorf("%s: status %d", page, a.status)
		}
		inert(t, page, a.page())
	}
	if text := w.session("bob").get("/team/shop/-/environments").ok(200).body; !strings.Contains(text, "javascript:alert(1)") || strings.Contains(text, `href="javascript:`) {
		t.Error("an address that is none is not shown as text alone")
	}
}
