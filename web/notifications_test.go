package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/review"
	"gatehouse/web/notify"
)

// told makes two changes of alice's, lets bob vote on the first, and tells the story.
func told(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	r := w.repo("hello", "alice", false, map[string]string{"a.txt": "one\n"})
	w.commit("alice", "Greet <b>everybody</b>\n\n"+changeID(1), map[string]string{"a.txt": "two\n"})
	w.propose(r, "alice", review.PushOptions{})
	w.tellPeople()
	w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), 1, 0, map[string]int{"Code-Review": -1}, "@carol, please look\u202e", nil))
	w.tellPeople()
	return w
}

func (w *world) tellPeople() {
	w.t.Helper()
	w.must(w.web.Notify.Tell(context.Background()))
}

func TestNotificationsPage(t *testing.T) {
	w := told(t)
	alice := w.session("alice")
	page := alice.get("/notifications").ok(http.StatusOK)
	if got := page.one("#bell"); !strings.Contains(got, "1 unread") {
		t.Errorf("the bell says %q", got)
	}
	if got := page.one("#news li.unread"); !strings.Contains(got, "1 Greet <b>everybody</b>") || !strings.Contains(got, "bob voted Code-Review-1") || !strings.Contains(got, "your change") {
		t.Errorf("the list says %q", got)
	}
	if strings.Contains(page.body, "<b>everybody") {
		t.Error("the subject is markup")
	}
	alice.post("/notifications/read", url.Values{"change": {"1"}}).ok(http.StatusSeeOther)
	page = alice.get("/notifications").ok(http.StatusOK)
	if len(page.find("#news li.unread")) != 0 || !strings.Contains(page.one("#news"), "Nothing is unread") || strings.Contains(page.one("#bell"), "unread") {
		t.Errorf("after reading: %s", page.one("#news"))
	}
	if got := alice.get("/notifications?all=1").ok(http.StatusOK).one("#news"); !strings.Contains(got, "bob voted Code-Review-1") {
		t.Errorf("all: %q", got)
	}
	for who, want := range map[string]string{"carol": "mentioned you", "bob": "Nothing is unread"} {
		if got := w.session(who).get("/notifications").ok(http.StatusOK).one("#news"); !strings.Contains(got, want) {
			t.Errorf("%s reads %q, want %q", who, got, want)
		}
	}
	w.session("").get("/notifications").ok(http.StatusSeeOther)
	// Nobody reads for somebody else.
	w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), 1, 0, nil, "one more", nil))
	w.tellPeople()
	w.session("bob").post("/notifications/read", url.Values{"upto": {"99999999"}}).ok(http.StatusSeeOther)
	if got := alice.get("/").one("#bell"); !strings.Contains(got, "1 unread") {
		t.Errorf("the bell says %q", got)
	}
}

// The bell rings on a page that is open.
func TestTheBellRings(t *testing.T) {
	w := told(t)
	next, stop := w.session("alice").listenTo("/c/1/events")
	defer stop()
	if _, ok := next(); !ok { // the parts: the stream is open and knows the bell
		t.Fatal("no stream")
	}
	w.must(w.web.Review.Vote(context.Background(), w.actor("bob"), 1, 0, nil, "one more", nil))
	w.tellPeople()
	for {
		m, ok := next()
		if !ok {
			t.Fatal("the bell did not ring")
		}
		if strings.Contains(m.data, `data-unread="2"`) {
			return
		}
	}
}

func TestNotifySettings(t *testing.T) {
	w := newWorld(t)
	alice := w.session("alice")
	checked := func() string {
		var all []string
		for _, n := range alice.get("/settings/notifications").ok(http.StatusOK).find("input[checked]") {
			all = append(all, attr(n, "value"))
		}
		return strings.Join(all, " ")
	}
	if got := checked(); got != "all soon 1" {
		t.Errorf("usual: %q", got)
	}
	alice.post("/settings/notifications/save", url.Values{"mail": {"turn"}, "comments": {"daily"}}).ok(http.StatusSeeOther)
	if got := checked(); got != "turn daily" {
		t.Errorf("chosen: %q", got)
	}
	alice.post("/settings/notifications/save", url.Values{"mail": {"loud"}, "comments": {"daily"}}).ok(http.StatusBadRequest)
	w.web.Notify.Mail = nil
	if got := alice.get("/settings/notifications").ok(http.StatusOK); !strings.Contains(got.one("main"), "This server sends no mail") {
		t.Error("the page does not say that there is no mail")
	}
}

// One click from a mail program: no cookie, no origin, no redirect (RFC 8058).
func TestOneClickUnsubscribe(t *testing.T) {
	w := told(t)
	token, err := w.web.Notify.Token(notify.Subscription{Account: w.people["alice"].ID, Change: 1})
	w.must(err)
	path := "/unsubscribe/" + token
	page := w.session("").get(path).ok(http.StatusOK)
	if text := page.body; strings.Contains(text, "alice") || strings.Contains(text, "Greet") {
		t.Error("the page tells whose mail it is about, or about what")
	}
	req, err := http.NewRequest(http.MethodPost, w.server.URL+path, strings.NewReader("List-Unsubscribe=One-Click"))
	w.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.session("").do(req).ok(http.StatusOK)
	if muted, err := w.web.Notify.Muted(context.Background(), w.people["alice"].ID, 1); err != nil || !muted {
		t.Errorf("muted: %t, %v", muted, err)
	}
	w.session("").post(path, url.Values{"do": {"again"}}).ok(http.StatusOK)
	if muted, err := w.web.Notify.Muted(context.Background(), w.people["alice"].ID, 1); err != nil || muted {
		t.Errorf("muted: %t, %v", muted, err)
	}
	w.session("").post(path, url.Values{"do": {"all"}}).ok(http.StatusOK)
	if p, err := w.web.Notify.Preferences(context.Background(), w.people["alice"].ID); err != nil || p.Mail != notify.MailNone {
		t.Errorf("%+v, %v", p, err)
	}
	w.session("").get(path + "x").ok(http.StatusNotFound)
	w.session("").post(path+"x", url.Values{}).ok(http.StatusNotFound)
	// Other forms still want to come from a page of ours.
	req, err = http.NewRequest(http.MethodPost, w.server.URL+"/notifications/read", strings.NewReader("upto=1"))
	w.must(err)
	w.session("alice").do(req).ok(http.StatusForbidden)
}

func TestWebhookPages(t *testing.T) {
	w := newWorld(t)
	w.repo("hello", "alice", false, nil)
	alice := w.session("alice")
	page := alice.post("/hello/-/webhooks/add", url.Values{"kind": {"generic"}, "url": {"https://hook.test/x"}, "event": {"landed", "vote"}}).ok(http.StatusOK)
	if got := page.one("#secret"); !strings.HasPrefix(got, "whsec_") {
		t.Errorf("the secret is %q", got)
	}
	page = alice.get("/hello/-/webhooks").ok(http.StatusOK)
	if strings.Contains(page.body, "whsec_") || !strings.Contains(page.one("tbody"), "landed, vote") {
		t.Errorf("the list: %s", page.one("tbody"))
	}
	link := attr(page.find("tbody a")[0], "href")
	alice.post(link, url.Values{"do": {"test"}}).ok(http.StatusSeeOther)
	page = alice.get(link).ok(http.StatusOK)
	if got := page.one(".deliveries li"); !strings.Contains(got, "waiting") || !strings.Contains(got, "ping") {
		t.Errorf("the delivery: %q", got)
	}
	for _, do := range []string{"pause", "resume"} {
		alice.post(link, url.Values{"do": {do}}).ok(http.StatusSeeOther)
	}
	alice.post(link, url.Values{"do": {"dance"}}).ok(http.StatusBadRequest)
	alice.post("/hello/-/webhooks/add", url.Values{"kind": {"generic"}, "url": {"https://127.0.0.1/"}}).ok(http.StatusConflict)
	bad := alice.post("/hello/-/webhooks/add", url.Values{"kind": {"slack"}, "url": {`"><script>`}}).ok(http.StatusBadRequest)
	if strings.Contains(bad.body, `"><script>`) {
		t.Error("the form gives markup back")
	}
	w.session("bob").get("/hello/-/webhooks").ok(http.StatusForbidden)
	w.session("bob").post(link, url.Values{"do": {"remove"}}).ok(http.StatusForbidden)
	alice.post(link, url.Values{"do": {"remove"}}).ok(http.StatusSeeOther)
	alice.get(link).ok(http.StatusNotFound)
}
