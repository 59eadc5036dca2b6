package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

func TestRepositoryPages(t *testing.T) {
	w, _ := hello(t)
	c := w.session("bob")
	home := c.get("/hello").ok(200)
	if got := home.one(".readme h1"); got != "Hello" {
		t.Errorf("README %q", got)
	}
	if got := attr(home.find(".readme a")[0], "href"); got != "/hello/-/tree/main/main.go" {
		t.Errorf("a link of the README leads to %q", got)
	}
	c.get("/hello/-/tree/main/main.go").ok(303) // a file has a page of its own
	var names []string
	for _, a := range home.find("section tbody a") {
		names = append(names, wordsOf(a))
	}
	if got := strings.Join(names, " "); got != "docs README.md logo.png main.go" {
		t.Errorf("files %q", got)
	}
	file := c.get("/hello/-/file/main/main.go").ok(200)
	if got := len(file.find("table.file-view tr[id]")); got != 12 {
		t.Errorf("%d lines", got)
	}
	if got := wordsOf(file.find("#L6 td.c")[0]); got != "func greet (name string ) string {" {
		t.Errorf("line 6: %q", got)
	}
	if len(c.get("/hello/-/file/main/logo.png").ok(200).find(".picture img")) != 1 {
		t.Error("a picture is not shown")
	}
	if got := c.get("/hello/-/log").ok(200).one("tbody .title"); got != "Begin the service" {
		t.Errorf("history %q", got)
	}
	commit := c.get("/hello/-/commit/" + w.git("rev-parse", "HEAD")).ok(200)
	if got := commit.one("#commit-h"); got != "Greet politely" {
		t.Errorf("commit %q", got)
	}
	if len(commit.find("td.a")) == 0 {
		t.Error("a commit shows no difference")
	}
	if got := c.get("/hello/-/branches").ok(200).one("tbody tr"); !strings.HasPrefix(got, "main default gated") {
		t.Errorf("branches %q", got)
	}
	if got := c.get("/hello/-/changes").ok(200).one("tbody .title"); got != "Greet politely" {
		t.Errorf("changes %q", got)
	}
	if got := c.get("/hello/-/changes?status=landed").ok(200).one(".empty strong"); got != "No change is landed" {
		t.Errorf("landed changes %q", got)
	}
	if got := c.get("/repositories").ok(200).one("tbody tr"); got != "hello A small service that says hello main 1" {
		t.Errorf("repositories %q", got)
	}
	settings := w.session("alice").get("/hello/-/settings").ok(200)
	if got := settings.one("tbody tr"); got != "alice own" {
		t.Errorf("grants %q", got)
	}
	empty := w.repo("fresh", "alice", false, nil)
	if got := c.get("/" + empty.Name).ok(200).one("#empty-h"); got != "This repository is empty" {
		t.Errorf("an empty repository: %q", got)
	}
	c.get("/fresh/-/log").ok(200)
}

// A branch may hold slashes; what follows it is the path.
func TestBranchesWithSlashes(t *testing.T) {
	w, r := hello(t)
	w.git("push", "-q", w.dir(r), "HEAD:refs/heads/feature/x", "HEAD:refs/tags/v1", "HEAD:refs/tags/feature")
	c := w.session("")
	for path, want := range map[string]int{
		"/hello/-/tree/feature/x": 200, "/hello/-/tree/feature/x/docs": 200, "/hello/-/file/feature/x/docs/guide.md": 200, "/hello/-/tree/v1/docs": 200,
		"/hello/-/tree/feature/docs": 200, "/hello/-/tree/feature/y": 404, "/hello/-/log/feature/x/main.go": 200, "/hello/-/file/feature/x/none": 404,
	} {
		if a := c.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	if got := c.get("/hello/-/go?rev=feature/x&path=docs").ok(303).header.Get("Location"); got != "/hello/-/tree/feature/x/docs" {
		t.Errorf("the list of branches leads to %q", got)
	}
}

func TestDashboard(t *testing.T) {
	w, _ := hello(t)
	w.session("").get("/").ok(303)
	mine := w.session("alice").get("/").ok(200)
	if got := mine.one("[aria-labelledby=mine-h] tbody .title"); got != "Greet politely" {
		t.Errorf("mine: %q", got)
	}
	if got := w.session("bob").get("/").ok(200).one("[aria-labelledby=unasked-h] tbody .title"); got != "Greet politely" {
		t.Errorf("nobody is asked: %q", got)
	}
	w.repo("secret", "alice", true, nil)
	if got := w.session("bob").get("/repositories").ok(200).find("tbody tr"); len(got) != 1 {
		t.Errorf("bob sees %d repositories", len(got))
	}
}

func TestSettings(t *testing.T) {
	w := newWorld(t)
	carol := w.session("carol")
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl carol@laptop"
	carol.post("/settings/keys", url.Values{"key": {"ssh-dss nonsense"}}).ok(400)
	carol.post("/settings/keys", url.Values{"key": {key}}).ok(303)
	page := carol.get("/settings").ok(200)
	if got := page.one("#keys-panel tbody .title"); got != "carol@laptop" {
		t.Errorf("key %q", got)
	}
	again := carol.post("/settings/keys", url.Values{"key": {key}}).ok(409)
	if got := again.one("#key"); got != key {
		t.Errorf("the refused key is not kept: %q", got)
	}
	id := attr(page.find("[name=key_id]")[0], "value")
	w.session("bob").post("/settings/keys/remove", url.Values{"key_id": {id}}).ok(404) // not bob's
	carol.post("/settings/keys/remove", url.Values{"key_id": {id}}).ok(303)

	made := carol.post("/settings/tokens", url.Values{"label": {"laptop"}, "days": {"30"}}).ok(200)
	secret := made.one("#secret")
	actor, err := w.web.Accounts.ActorByToken(context.Background(), w.web.DB.Read(), account.APIToken, secret)
	if err != nil || actor.Name != "carol" {
		t.Errorf("the token signs in as %q, %v", actor.Name, err)
	}
	page = carol.get("/settings").ok(200)
	if strings.Contains(page.body, secret) {
		t.Error("the token is shown a second time")
	}
	tokens := page.find("[name=token_id]")
	carol.post("/settings/tokens/revoke", url.Values{"token_id": {attr(tokens[0], "value")}}).ok(303)
	if _, err := w.web.Accounts.ActorByToken(context.Background(), w.web.DB.Read(), account.APIToken, secret); err == nil {
		t.Error("a revoked token still signs in")
	}
}

func TestPasswordChange(t *testing.T) {
	w := newWorld(t)
	const next = "a whole new phrase"
	alice, other := w.session("alice"), w.session("alice")
	alice.post("/settings/password", url.Values{"old": {"wrong"}, "new": {next}}).ok(403)
	alice.post("/settings/password", url.Values{"old": {password}, "new": {"short"}}).ok(400)
	done := alice.post("/settings/password", url.Values{"old": {password}, "new": {next}}).ok(303)
	other.get("/settings").ok(303) // signed out
	if !strings.Contains(done.header.Get("Set-Cookie"), "gate_session=") {
		t.Error("this browser was signed out as well")
	}
	w.session("").post("/signin", url.Values{"name": {"alice"}, "password": {next}}).ok(303)
	// Who came by a link has no password yet and sets one.
	bob := w.session("bob")
	if len(bob.get("/settings").ok(200).find("#old")) != 0 {
		t.Error("bob is asked for a password that he never had")
	}
	bob.post("/settings/password", url.Values{"new": {next}}).ok(303)
}

func TestMirrorRetry(t *testing.T) {
	w, r := hello(t)
	m, err := w.web.Mirrors.Add(context.Background(), r.ID, newMirror())
	w.must(err)
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(context.Background(), `UPDATE mirrors SET state = 'diverged', reason = 'the upstream has a commit that we have not' WHERE id = $1`, m.ID)
		return err
	})
	if got := w.session("").get("/hello").ok(200).one("[aria-labelledby=mirrors-h] li"); got != "diverged https://git.example.test/hello.git the upstream has a commit that we have not" {
		t.Errorf("mirror %q", got)
	}
	w.session("bob").post("/hello/-/retry", url.Values{"mirror": {fmt.Sprint(m.ID)}}).ok(403)
	w.session("alice").post("/hello/-/retry", url.Values{"mirror": {fmt.Sprint(m.ID)}}).ok(303)
	if got := w.session("").get("/hello").ok(200).one("[aria-labelledby=mirrors-h] li"); !strings.HasPrefix(got, "pending") {
		t.Errorf("mirror %q", got)
	}
}
