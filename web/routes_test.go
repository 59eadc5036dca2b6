package web

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// samples is one address for each route, about change 1 of the repository "closed" and its
// stage run 11, with the form that a changing one takes. A route without a sample fails
// TestEveryRouteHasASample, so that nobody adds one that the other tests never see.
func samples(commit string) map[string]sample {
	return map[string]sample{
		"asset": {path: "/static/x/gate.css"}, "favicon": {path: "/favicon.ico"}, "robots": {path: "/robots.txt"}, "hook": {path: "/tools/hooks/commit-msg"},
		"signin": {path: "/signin"}, "signin.do": {path: "/signin", form: "name=nobody&password=wrong"},
		"link": {path: "/signin/none"}, "link.do": {path: "/signin/none", form: "x=y"}, "signout.do": {path: "/signout", form: "x=y"},
		"dashboard": {path: "/"}, "repositories": {path: "/repositories"},
		"search": {path: "/changes?q=is:open"}, "bulk.do": {path: "/changes/act", form: "act=star&change=999999"}, "search.save.do": {path: "/changes/save", form: "name=x&query=is:open"},
		"search.forget.do": {path: "/changes/forget", form: "name=none"}, "watches": {path: "/settings/watches"}, "watches.add.do": {path: "/settings/watches/add", form: "query=is:open"},
		"watches.remove.do": {path: "/settings/watches/remove", form: "watch=999999"}, "change.reviewers": {path: "/c/1/reviewers"}, "change.reviewers.do": {path: "/c/1/reviewers", form: "who=bob"},
		"change.unreview.do": {path: "/c/1/reviewers/remove", form: "account=999999"}, "change.turn.do": {path: "/c/1/turn", form: "who=bob"}, "change.unturn.do": {path: "/c/1/turn/remove", form: "account=1"},
		"change.star.do": {path: "/c/1/star", form: "on=1"},
		"settings":       {path: "/settings"}, "settings.key.do": {path: "/settings/keys", form: "key=none"},
		"settings.unkey.do": {path: "/settings/keys/remove", form: "key_id=1"}, "settings.token.do": {path: "/settings/tokens", form: "label=x&days=1"},
		"settings.revoke.do": {path: "/settings/tokens/revoke", form: "token_id=999999"}, "language.do": {path: "/settings/language", form: "language=en"}, "settings.password.do": {path: "/settings/password", form: "old=x&new=x"},
		"notifications": {path: "/notifications"}, "notifications.events": {path: "/notifications/events", stream: true}, "notifications.read.do": {path: "/notifications/read", form: "upto=1"},
		"settings.notify": {path: "/settings/notifications"}, "settings.notify.do": {path: "/settings/notifications/save", form: "mail=turn&comments=soon"},
		"unsubscribe": {path: "/unsubscribe/none"}, "unsubscribe.do": {path: "/unsubscribe/none", form: "List-Unsubscribe=One-Click"}, "change.mute.do": {path: "/c/1/mute", form: "mute=1"},
		"repo.webhooks": {path: "/closed/-/webhooks"}, "repo.webhooks.add.do": {path: "/closed/-/webhooks/add", form: "kind=generic&url=nowhere"},
		"repo.webhook": {path: "/closed/-/webhooks/999999"}, "repo.webhook.do": {path: "/closed/-/webhooks/999999", form: "do=test"},
		"stage": {path: "/stage/11/log"}, "stage.events": {path: "/stage/11/events"},
		"change": {path: "/c/1"}, "change.events": {path: "/c/1/events", stream: true},
		"change.vote.do":    {path: "/c/1/vote", form: "ps=1&label.Code-Review=1"},
		"change.comment.do": {path: "/c/1/comment", form: "ps=1&path=a.txt&side=new&line=1&body=hm"},
		"change.draft.do":   {path: "/c/1/draft", form: "draft=1&do=drop"},
		"change.apply.do":   {path: "/c/1/apply", form: "pick=1.0"},
		"change.stack":      {path: "/c/1/stack"},
		"change.file":       {path: "/c/1/file?file=a.txt"}, "change.viewed.do": {path: "/c/1/viewed", form: "ps=1&view=a.txt"}, "repo.lines": {path: "/closed/-/lines/main/a.txt?id=f0&cols=4&gap=1-1"},
		"stage.stop.do": {path: "/stage/11/stop", form: "x=y"}, "change.recheck.do": {path: "/c/1/recheck", form: "x=y"}, "change.wip.do": {path: "/c/1/wip", form: "x=y"}, "change.ready.do": {path: "/c/1/ready", form: "x=y"},
		"change.submit.do": {path: "/c/1/submit", form: "x=y"}, "change.withdraw.do": {path: "/c/1/withdraw", form: "x=y"},
		"change.abandon.do": {path: "/c/1/abandon", form: "x=y"}, "change.restore.do": {path: "/c/1/restore", form: "x=y"},
		"change.acts": {path: "/c/1/acts"}, "change.edit": {path: "/c/1/edit"}, "change.edit.do": {path: "/c/1/edit", form: "ps=1&message=New"},
		"change.edit.file": {path: "/c/1/edit/a.txt"}, "change.edit.file.do": {path: "/c/1/edit/a.txt", form: "ps=1&content=three&to=a.txt"},
		"change.rebase.do": {path: "/c/1/rebase", form: "onto="}, "change.pick.do": {path: "/c/1/pick", form: "branch=main"}, "change.revert.do": {path: "/c/1/revert", form: "reason=x"},
		"change.move.do": {path: "/c/1/move", form: "branch=main"}, "change.topic.do": {path: "/c/1/topic", form: "topic=x"}, "change.hashtags.do": {path: "/c/1/hashtags", form: "hashtags=x"},
		"change.private.do": {path: "/c/1/private", form: "x=y"}, "change.public.do": {path: "/c/1/public", form: "x=y"},
		"change.short": {path: "/c/1/1"}, "change.gerrit": {path: "/c/closed/+/1"}, "change.gerrit.ps": {path: "/c/closed/+/1/1"},
		"repo": {path: "/closed"}, "repo.go": {path: "/closed/-/go?rev=main"}, "repo.tree": {path: "/closed/-/tree/main"},
		"repo.file": {path: "/closed/-/file/main/a.txt"}, "repo.raw": {path: "/closed/-/raw/main/a.txt"},
		"repo.log.default": {path: "/closed/-/log"}, "repo.log": {path: "/closed/-/log/main"}, "repo.commit": {path: "/closed/-/commit/" + commit},
		"repo.branches": {path: "/closed/-/branches"}, "repo.changes": {path: "/closed/-/changes"}, "repo.queue": {path: "/closed/-/queue/main"}, "repo.flakes": {path: "/closed/-/flakes"}, "repo.tests": {path: "/closed/-/tests"},
		"repo.environments": {path: "/closed/-/environments"}, "repo.environments.do": {path: "/closed/-/environments", form: "environment=production&do=promote"},
		"repo.environments.events": {path: "/closed/-/environments-events", stream: true}, "repo.deliveries": {path: "/closed/-/deliveries"}, "repo.delivery": {path: "/closed/-/deliveries/999999"},
		"repo.delivery.do": {path: "/closed/-/deliveries/999999", form: "gate=accepted"}, "repo.delivery.events": {path: "/closed/-/deliveries/999999/events", stream: true},
		"repo.artifact": {path: "/closed/-/artifacts/sha256:" + strings.Repeat("0", 64)}, "repo.artifact.content": {path: "/closed/-/artifacts/sha256:" + strings.Repeat("0", 64) + "/content"},
		"repo.artifact.statement": {path: "/closed/-/artifacts/sha256:" + strings.Repeat("0", 64) + "/statement"}, "repo.figures": {path: "/closed/-/figures"},
		"change.way": {path: "/c/1/delivery"}, "change.outcome.do": {path: "/c/1/outcome", form: "outcome=preview"}, "change.approve.do": {path: "/c/1/approve", form: "gate=review&ps=1&do=approve"}, "change.bypass.do": {path: "/c/1/bypass", form: "node=unit&reason=x"},
		"repo.queue.events": {path: "/closed/-/queue-events/main", stream: true}, "repo.settings": {path: "/closed/-/settings"}, "repo.retry.do": {path: "/closed/-/retry", form: "mirror=1"},
	}
}

type sample struct {
	path, form string
	stream     bool // stays open when it is allowed
}

// closed is a server with a private repository of alice's in which bob may write, and one
// open change in it.
func closed(t testing.TB) (*world, repo.Repository, string) {
	t.Helper()
	w := newWorld(t)
	r := w.repo("closed", "alice", true, map[string]string{"a.txt": "one\n"})
	w.grant(r, "bob", "write")
	w.commit("alice", "Two\n\n"+changeID(1), map[string]string{"a.txt": "two\n"})
	w.propose(r, "alice", review.PushOptions{})
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, PS: 1, State: gatekeeper.RunPassed, Stages: []gatekeeper.StageRun{{ID: 11, Change: 1, Stage: "unit", State: plan.Passed}}}})
	w.gate.write(11, "done\n", true)
	return w, r, w.git("rev-parse", "HEAD")
}

func TestEveryRouteHasASample(t *testing.T) {
	w := newWorld(t)
	router := mux.NewRouter()
	w.web.Routes(router)
	have := samples("0")
	seen := map[string]bool{}
	err := router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		name := r.GetName()
		if _, ok := have[name]; !ok {
			path, _ := r.GetPathTemplate()
			t.Errorf("route %q (%s) has no sample", name, path)
		}
		if seen[name] {
			t.Errorf("two routes are called %q", name)
		}
		seen[name] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range have {
		if !seen[name] {
			t.Errorf("sample %q has no route", name)
		}
	}
}

// TestRights holds every route to the golden matrix of who gets what of a private repository:
// each row is a route and what visitors get. "no" is NotFound: they may not know of it.
func TestRights(t *testing.T) {
	visitors := []string{"", "carol", "bob", "alice", "admin"}
	var got strings.Builder
	fmt.Fprintf(&got, "%-22s %-8s %-8s %-8s %-8s %-8s\n", "route", "nobody", "carol", "bob", "alice", "admin")
	w, _, commit := closed(t)
	for _, rt := range routes() {
		if rt.method != http.MethodGet { // acts change the world for those who come later
			w, _, commit = closed(t)
		}
		s := samples(commit)[rt.name]
		fmt.Fprintf(&got, "%-22s", rt.name)
		for _, who := range visitors {
			fmt.Fprintf(&got, " %-8s", w.try(rt, s, who))
		}
		got.WriteString("\n")
	}
	lines := strings.Split(got.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	golden := filepath.Join("testdata", "rights.txt")
	text := strings.Join(lines, "\n")
	if os.Getenv("GATE_UPDATE") != "" {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(golden, []byte(text), 0o644))
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("the matrix differs from %s; look at each line, then GATE_UPDATE=1:\n%s", golden, text)
	}
}

// try is what one visitor gets from one route, in a word.
func (w *world) try(rt route, s sample, who string) string {
	w.t.Helper()
	c := w.session(who)
	method, body := rt.method, strings.NewReader(s.form)
	req, err := http.NewRequest(method, w.server.URL+s.path, body)
	w.must(err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", w.server.URL)
	}
	status, location := 0, ""
	if s.stream {
		status = c.peek(req)
	} else {
		a := c.do(req)
		status, location = a.status, a.header.Get("Location")
	}
	switch {
	case status == 200:
		return "yes"
	case status == 404:
		return "no"
	case status == 303 && strings.HasPrefix(location, "/signin?next="):
		return "signin"
	case status == 302 || status == 303:
		return "done"
	}
	return fmt.Sprint(status)
}

// peek is the status of an answer whose body may never end.
func (c *client) peek(req *http.Request) int {
	c.w.t.Helper()
	if c.secret != "" {
		req.AddCookie(&http.Cookie{Name: "gate_session", Value: c.secret})
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	c.w.must(err)
	c.w.must(res.Body.Close())
	return res.StatusCode
}
