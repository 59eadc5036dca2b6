package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/review/reviewtest"
	"gatehouse/web/notify"
)

// world is a server with real rooms below the pages, and a gate that tests can turn.
type world struct {
	t      testing.TB
	web    *Web
	gate   *fakeGate
	rooms  reviewtest.Rooms
	server *httptest.Server
	people map[string]account.Account
	mu     sync.Mutex
	now    time.Time
	work   string // a clone that commits are made in
	hookID int64  // the showcase's webhook
	ship   *shipyard
	wrote  time.Time // when commits are written; zero is a time of all tests
}

const password = "correct horse battery"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), people: map[string]account.Account{}}
	w.rooms = reviewtest.Open(t, t.TempDir(), "http://gate.test", w.clock)
	d, accounts, repos, reviews, bus := w.rooms.DB, w.rooms.Accounts, w.rooms.Repos, w.rooms.Review, w.rooms.Bus
	quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.gate = &fakeGate{w: w, logs: map[int64]*fakeLog{}, runs: map[int64][]gatekeeper.Run{}, needs: map[int64][]gatekeeper.Requirement{}}
	w.web = &Web{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Gate: w.gate, Bus: bus, Now: w.clock, Log: quiet,
		Mirrors: &mirror.Store{DB: d, Repos: repos, Dir: t.TempDir(), Now: w.clock, Bus: bus, Log: quiet},
		SSHURL:  "ssh://gate.test:29418",
	}
	w.openDelivery()
	w.web.Notify = &notify.Service{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Explain: w.gate, Bus: bus, Now: w.clock, Log: quiet, URL: "http://gate.test", Dir: t.TempDir(),
		Mail: &notify.Mailer{Server: "mail.gate.test:587", TLS: notify.TLSStart, From: "gate@gate.test"}, Quiet: notify.QuietTime,
	}
	router := mux.NewRouter()
	w.server = httptest.NewUnstartedServer(router)
	w.web.URL = "http://" + w.server.Listener.Addr().String()
	w.web.Routes(router)
	w.server.Start()
	t.Cleanup(func() { w.server.CloseClientConnections(); w.server.Close() })
	for _, name := range []string{"alice", "bob", "carol", "admin"} {
		w.person(name)
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// clock moves on by a second with each look, so that things happen one after another.
func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) transact(f func(tx *db.Tx) error) {
	w.t.Helper()
	w.must(w.web.DB.Transact(context.Background(), f))
}

func (w *world) person(name string) account.Account {
	w.t.Helper()
	secret := ""
	if name == "alice" {
		secret = password
	}
	a := w.rooms.Person(w.t, name, secret)
	w.people[name] = a
	return a
}

func (w *world) actor(name string) account.Actor {
	w.t.Helper()
	return w.rooms.Actor(w.t, w.people[name])
}

// repo makes a repository that owner owns; files become the first commit of main.
func (w *world) repo(name, owner string, private bool, files map[string]string) repo.Repository {
	w.t.Helper()
	r, err := w.web.Repos.Create(context.Background(), repo.NewRepository{Name: name, Description: "A small service that says hello", Private: private, Owner: w.people[owner].ID})
	w.must(err)
	if files == nil {
		return r
	}
	w.clone(name)
	w.commit("alice", "Begin the service", files)
	w.git("push", "-q", w.dir(r), "HEAD:refs/heads/main")
	return r
}

func (w *world) dir(r repo.Repository) string {
	w.t.Helper()
	g, err := w.web.Repos.Open(r)
	w.must(err)
	return g.Dir()
}

// clone begins a work folder; later commits go there.
func (w *world) clone(name string) {
	w.t.Helper()
	w.work = filepath.Join(w.t.TempDir(), strings.ReplaceAll(name, "/", "-"))
	w.must(os.MkdirAll(w.work, 0o755))
	w.git("init", "-q", "-b", "main", ".")
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	date := "1795339200 +0000"
	if !w.wrote.IsZero() {
		date = fmt.Sprint(w.wrote.Unix(), " +0000")
	}
	cmd := exec.Command("git", args...)
	cmd.Dir = w.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Alice Example", "GIT_AUTHOR_EMAIL=alice@example.test", "GIT_COMMITTER_NAME=Alice Example", "GIT_COMMITTER_EMAIL=alice@example.test",
		"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date, "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files ("" deletes one) and commits them; who is the author's account.
func (w *world) commit(who, message string, files map[string]string) git.OID {
	w.t.Helper()
	for _, name := range sortedKeys(files) {
		full := filepath.Join(w.work, name)
		if files[name] == "" {
			w.must(os.Remove(full))
			continue
		}
		w.must(os.MkdirAll(filepath.Dir(full), 0o755))
		w.must(os.WriteFile(full, []byte(files[name]), 0o644))
	}
	w.git("add", "-A")
	author := strings.ToUpper(who[:1]) + who[1:] + " Example <" + who + "@example.test>"
	w.git("commit", "-q", "--allow-empty", "--author", author, "-m", message)
	return git.OID(w.git("rev-parse", "HEAD"))
}

// propose pushes HEAD of the work folder as changes for main.
func (w *world) propose(r repo.Repository, who string, o review.PushOptions) []review.Held {
	w.t.Helper()
	tip := git.OID(w.git("rev-parse", "HEAD"))
	// The objects arrive under a ref that is taken away again, as a quarantine would bring them.
	w.git("push", "-q", "-f", w.dir(r), "HEAD:refs/incoming/test")
	g, err := w.web.Repos.Open(r)
	w.must(err)
	prep, err := w.web.Review.Prepare(context.Background(), review.Proposal{Repo: r, Git: g, Actor: w.actor(who), Branch: "main", Tip: tip, Options: o})
	w.must(err)
	held, err := w.web.Review.Hold(context.Background(), prep)
	w.must(err)
	return held
}

func changeID(n int) string { return fmt.Sprintf("Change-Id: I%040x", n) }

// session signs name in and returns a client that carries the cookie.
func (w *world) session(name string) *client {
	w.t.Helper()
	c := &client{w: w}
	if name == "" {
		return c
	}
	w.transact(func(tx *db.Tx) (err error) {
		c.secret, err = w.web.Accounts.NewToken(context.Background(), tx, w.people[name].ID, account.SessionToken, "test", 0)
		return err
	})
	return c
}

// client is a browser without script: it sends the cookie and, with forms, the origin.
type client struct {
	w      *world
	secret string
}

type answer struct {
	status int
	header http.Header
	body   string
	t      testing.TB
}

func (c *client) do(req *http.Request) answer {
	c.w.t.Helper()
	if c.secret != "" {
		req.AddCookie(&http.Cookie{Name: "gate_session", Value: c.secret})
	}
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := plain.Do(req)
	c.w.must(err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	c.w.must(err)
	return answer{res.StatusCode, res.Header, string(body), c.w.t}
}

func (c *client) get(path string) answer {
	c.w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.w.server.URL+path, nil)
	c.w.must(err)
	return c.do(req)
}

func (c *client) post(path string, form url.Values) answer {
	c.w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.w.server.URL+path, strings.NewReader(form.Encode()))
	c.w.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", c.w.server.URL)
	return c.do(req)
}

// grant gives somebody a role on a repository.
func (w *world) grant(r repo.Repository, who string, role account.Role) {
	w.t.Helper()
	w.rooms.Grant(w.t, r.ID, w.people[who], role)
}

func reviewOptions() review.PushOptions { return review.PushOptions{} }

func newMirror() mirror.NewMirror {
	return mirror.NewMirror{URL: "https://git.example.test/hello.git", Username: "mirror", Token: "secret"}
}

func (w *world) revoke(r repo.Repository, who string) {
	w.t.Helper()
	w.rooms.Revoke(w.t, r.ID, w.people[who])
}
