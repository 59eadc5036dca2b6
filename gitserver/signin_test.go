package gitserver

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

func TestHTTPSignIn(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	w.newRepo("secret", true)
	alice, bob := w.people["alice"], w.people["bob"]
	basic := func(name, password string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(name, password)
		return r.Header.Get("Authorization")
	}
	const fetch, push = "/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack"
	tests := []struct {
		name, auth, path string
		want             int
	}{
		{"anybody fetches what is public", "", "/hello" + fetch, 200},
		{"nobody pushes unnamed", "", "/hello" + push, 401},
		{"a private repository asks for a name", "", "/secret" + fetch, 401},
		{"and so does a missing one", "", "/missing" + fetch, 401},
		{"its owner", basic("alice", alice.token), "/secret" + fetch, 200},
		{"its owner with Bearer", "Bearer " + alice.token, "/secret" + push, 200},
		{"somebody else", basic("bob", bob.token), "/secret" + fetch, 404},
		{"somebody else pushing", basic("bob", bob.token), "/secret" + push, 404},
		{"somebody else, missing", basic("bob", bob.token), "/missing" + fetch, 404},
		{"another's token", basic("alice", bob.token), "/hello" + fetch, 401},
		{"another's token, other way", basic("bob", alice.token), "/secret" + fetch, 401},
		{"no name", basic("", alice.token), "/secret" + fetch, 401},
		{"the token as name", basic(alice.token, ""), "/secret" + fetch, 401},
		{"the token as name and x-oauth", basic(alice.token, "x-oauth-basic"), "/secret" + fetch, 401},
		{"a wrong token even where none is needed", basic("alice", "gate_wrong"), "/hello" + fetch, 401},
		{"no password", basic("alice", ""), "/hello" + fetch, 401},
		{"another scheme", "Digest username=alice", "/hello" + fetch, 401},
		{"garbage", "Basic !!!", "/hello" + fetch, 401},
		{"a very long one", "Bearer " + strings.Repeat("x", 4096), "/hello" + fetch, 401},
		{"case of the scheme", "bearer " + alice.token, "/secret" + fetch, 200},
	}
	answers := map[int]string{}
	for _, tt := range tests {
		resp, text := w.get("", tt.path, "Authorization", tt.auth)
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.want)
		}
		if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != `Basic realm="Gatehouse"` {
			t.Errorf("%s: challenge %q", tt.name, resp.Header.Get("WWW-Authenticate"))
		}
		if tt.want == 404 {
			if before, ok := answers[404]; ok && before != text {
				t.Errorf("%s: %q tells it from %q", tt.name, text, before)
			}
			answers[404] = text
		}
	}
	_, missing := w.get("", "/missing"+fetch)
	if _, secret := w.get("", "/secret"+fetch); secret != missing {
		t.Errorf("%q tells a private repository from a missing one: %q", secret, missing)
	}
	for _, p := range w.people {
		if strings.Contains(w.log.String(), p.token) {
			t.Error("a token is in the log")
		}
	}
}

func TestRevokedTokenAndDisabledAccount(t *testing.T) {
	w := newWorld(t)
	w.newRepo("secret", true)
	const path = "/secret/info/refs?service=git-upload-pack"
	if resp, _ := w.get("alice", path); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	w.transact(func(tx *db.Tx) error { return w.server.Accounts.RevokeSecret(w.ctx, tx, w.people["alice"].token) })
	if resp, _ := w.get("alice", path); resp.StatusCode != 401 {
		t.Errorf("revoked: %s", resp.Status)
	}
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.SetDisabled(w.ctx, tx, w.people["bob"].account.ID, true)
	})
	if resp, _ := w.get("bob", path); resp.StatusCode != 401 {
		t.Errorf("disabled: %s", resp.Status)
	}
	if _, err := w.tryGit("", "ls-remote", w.sshURL("bob", "secret")); err == nil {
		t.Error("a disabled account signs in over SSH")
	}
}

func TestReadersMayFetchAndNotPush(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("secret", true)
	bob := account.Subject{Kind: account.ToAccount, ID: w.people["bob"].account.ID}
	w.transact(func(tx *db.Tx) error { return w.server.Accounts.Grant(w.ctx, tx, r.ID, bob, "", account.RoleRead) })
	for _, to := range []string{w.httpURL("bob", "secret"), w.sshURL("bob", "secret")} {
		dir := w.clone(to)
		w.commit(dir, "new", "x\n")
		if out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/for/main"); err == nil {
			t.Errorf("a reader pushed: %s", out)
		}
	}
	if resp, text := w.get("bob", "/secret/info/refs?service=git-receive-pack"); resp.StatusCode != 403 || !strings.Contains(text, "alice") {
		t.Errorf("%s %q does not say whom to ask", resp.Status, text)
	}
	// Who may propose on one branch may open a push; the rest is the Decider's.
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.Grant(w.ctx, tx, r.ID, bob, "release/*", account.RoleWrite)
	})
	if resp, _ := w.get("bob", "/secret/info/refs?service=git-receive-pack"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}
