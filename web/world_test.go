package web

import (
	"bytes"
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
	"golang.org/x/net/html"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
	"gatehouse/review"
)

// world is a server with real rooms below the pages, and a gate that tests can turn.
type world struct {
	t      testing.TB
	web    *Web
	gate   *fakeGate
	server *httptest.Server
	people map[string]account.Account
	mu     sync.Mutex
	now    time.Time
	work   string // a clone that commits are made in
}

const password = "correct horse battery"

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), people: map[string]account.Account{}}
	ctx := context.Background()
	d := dbtest.Open(t)
	g, err := git.Find(ctx)
	w.must(err)
	t.Cleanup(g.Close)
	accounts := &account.Store{DB: d, Now: w.clock}
	repos := &repo.Store{DB: d, Git: g, Root: filepath.Join(t.TempDir(), "repositories"), Now: w.clock, Accounts: accounts}
	bus := &event.Bus{}
	quiet := slog.New(slog.NewTextHandler(t.Output(), nil))
	reviews := &review.Service{DB: d, Accounts: accounts, Repos: repos, Bus: bus, Now: w.clock, URL: "http://gate.test"}
	w.gate = &fakeGate{w: w, logs: map[int64]*fakeLog{}, runs: map[int64][]gatekeeper.Run{}, needs: map[int64][]gatekeeper.Requirement{}}
	w.web = &Web{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Gate: w.gate, Bus: bus, Now: w.clock, Log: quiet,
		Mirrors: &mirror.Store{DB: d, Repos: repos, Dir: t.TempDir(), Now: w.clock, Bus: bus, Log: quiet},
		SSHURL:  "ssh://gate.test:29418",
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
	var a account.Account
	w.transact(func(tx *db.Tx) (err error) {
		n := account.NewAccount{Name: name, Email: name + "@example.test", FullName: strings.ToUpper(name[:1]) + name[1:] + " Example", Admin: name == "admin"}
		if name == "alice" {
			n.Password = password
		}
		a, err = w.web.Accounts.Create(context.Background(), tx, n)
		return err
	})
	w.people[name] = a
	return a
}

func (w *world) actor(name string) account.Actor {
	w.t.Helper()
	a, err := w.web.Accounts.Actor(context.Background(), w.web.DB.Read(), w.people[name].ID, account.MethodSession)
	w.must(err)
	return a
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
	cmd := exec.Command("git", args...)
	cmd.Dir = w.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Alice Example", "GIT_AUTHOR_EMAIL=alice@example.test", "GIT_COMMITTER_NAME=Alice Example", "GIT_COMMITTER_EMAIL=alice@example.test",
		"GIT_AUTHOR_DATE=1795339200 +0000", "GIT_COMMITTER_DATE=1795339200 +0000", "LC_ALL=C"}
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

// ok fails the test unless the answer has the status.
func (a answer) ok(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; Location %q; body:\n%s", a.status, status, a.header.Get("Location"), words(a.page()))
	}
	return a
}

func (a answer) page() *html.Node {
	a.t.Helper()
	n, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// find gives the elements that a simple selector matches: "tag", ".class", "#id", "tag.class",
// "[attr]", "[attr=value]", and several of those with spaces for descendants.
func (a answer) find(selector string) []*html.Node {
	a.t.Helper()
	return find(a.page(), selector)
}

// one is the text of the only element that the selector matches.
func (a answer) one(selector string) string {
	a.t.Helper()
	all := a.find(selector)
	if len(all) != 1 {
		a.t.Fatalf("%d elements match %s, want 1; page:\n%s", len(all), selector, words(a.page()))
	}
	return words(all[0])
}

func find(root *html.Node, selector string) []*html.Node {
	found := []*html.Node{root}
	for _, step := range strings.Fields(selector) {
		var next []*html.Node
		seen := map[*html.Node]bool{}
		for _, from := range found {
			for n := range from.Descendants() {
				if n.Type == html.ElementNode && matches(n, step) && !seen[n] {
					seen[n] = true
					next = append(next, n)
				}
			}
		}
		found = next
	}
	return found
}

func matches(n *html.Node, step string) bool {
	for step != "" {
		end := strings.IndexAny(step[1:], ".#[") + 1
		if step[0] == '[' {
			end = strings.IndexByte(step, ']') + 1
		}
		if end == 0 {
			end = len(step)
		}
		part := step[:end]
		step = step[end:]
		switch part[0] {
		case '.':
			if !strings.Contains(" "+attr(n, "class")+" ", " "+part[1:]+" ") {
				return false
			}
		case '#':
			if attr(n, "id") != part[1:] {
				return false
			}
		case '[':
			name, value, has := strings.Cut(strings.Trim(part, "[]"), "=")
			if got, ok := attrOK(n, name); !ok || has && got != value {
				return false
			}
		default:
			if n.Data != part {
				return false
			}
		}
	}
	return true
}

func attr(n *html.Node, name string) string {
	v, _ := attrOK(n, name)
	return v
}

func attrOK(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// words is what a reader sees of a node, with single spaces.
func words(n *html.Node) string {
	var b bytes.Buffer
	for d := range n.Descendants() {
		if d.Type == html.TextNode && (d.Parent == nil || d.Parent.Data != "script" && d.Parent.Data != "style") {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// fakeGate is a gatekeeper that keeps state: requirements and runs that a test sets, logs
// that grow. Rights are asked of the real decision point, as the real one does.
type fakeGate struct {
	w     *world
	mu    sync.Mutex
	needs map[int64][]gatekeeper.Requirement
	runs  map[int64][]gatekeeper.Run
	logs  map[int64]*fakeLog
	queue gatekeeper.QueueView
	fail  error
}

type fakeLog struct {
	text []byte
	done bool
}

func (g *fakeGate) Explain(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error) {
	ch, err := g.w.web.Review.Get(ctx, a, change)
	if err != nil {
		return gatekeeper.Explanation{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return gatekeeper.Explanation{}, g.fail
	}
	e := gatekeeper.Explanation{Change: change, PatchSet: ch.Current, Repository: ch.RepoName, Branch: ch.Branch, Subject: ch.Subject, State: gatekeeper.Ready,
		Summary: "ready: every gate before the queue is open; somebody has to ask to land it", Requirements: g.needs[change], LandedCommit: ch.LandedCommit}
	switch ch.Status {
	case review.Landed:
		e.State, e.Summary, e.Requirements = gatekeeper.Landed, "landed on main as "+ch.LandedCommit.Short(), nil
	case review.Abandoned:
		e.State, e.Summary, e.Requirements = gatekeeper.Abandoned, "abandoned", nil
	}
	for _, r := range e.Requirements {
		if r.State == string(plan.Refused) {
			e.State, e.Summary = gatekeeper.Refused, "refused: "+r.Name+": "+r.Reason
			return e, nil
		}
		if r.State != string(plan.Open) && r.State != string(plan.Passed) && r.Kind != "submit" && e.State == gatekeeper.Ready {
			e.State, e.Summary = gatekeeper.Open, r.Name+": "+r.Reason
		}
	}
	if e.State == gatekeeper.Ready && ch.SubmitBy != 0 {
		e.State, e.Summary, e.QueuePosition = gatekeeper.Queued, "number 1 in the queue of main", 1
	}
	return e, nil
}

func (g *fakeGate) Submit(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error) {
	if err := g.w.web.Review.RequestSubmit(ctx, a, change); err != nil {
		return gatekeeper.Explanation{}, err
	}
	return g.Explain(ctx, a, change)
}

func (g *fakeGate) Recheck(ctx context.Context, a account.Actor, change int64) error {
	ch, err := g.w.web.Review.Get(ctx, a, change)
	if err != nil {
		return err
	}
	r, err := g.w.web.Repos.ByID(ctx, g.w.web.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	return g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Propose, r.Resource(ch.Branch))
}

func (g *fakeGate) Runs(ctx context.Context, a account.Actor, change int64) ([]gatekeeper.Run, error) {
	if _, err := g.w.web.Review.Get(ctx, a, change); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[change], nil
}

func (g *fakeGate) Stage(ctx context.Context, a account.Actor, id int64) (gatekeeper.StageRun, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for change, runs := range g.runs {
		for _, r := range runs {
			for _, s := range r.Stages {
				if s.ID == id {
					_, err := g.w.web.Review.Get(ctx, a, change)
					return s, err
				}
			}
		}
	}
	return gatekeeper.StageRun{}, fault.New(fault.NotFound, "fake", "there is no such stage run", "")
}

func (g *fakeGate) StageLog(ctx context.Context, a account.Actor, id, offset int64) (io.ReadCloser, bool, error) {
	if _, err := g.Stage(ctx, a, id); err != nil {
		return nil, false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.logs[id]
	if l == nil {
		return io.NopCloser(strings.NewReader("")), true, nil
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(l.text[min(int(offset), len(l.text)):]))), l.done, nil
}

func (g *fakeGate) Queue(ctx context.Context, a account.Actor, repoName, branch string) (gatekeeper.QueueView, error) {
	r, err := g.w.web.Repos.ByName(ctx, g.w.web.DB.Read(), repoName)
	if err != nil {
		return gatekeeper.QueueView{}, err
	}
	if err := g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Read, r.Resource(branch)); err != nil {
		return gatekeeper.QueueView{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queue
	q.Repository, q.Branch = repoName, branch
	return q, nil
}

// write adds to a log and wakes its readers.
func (g *fakeGate) write(id int64, text string, done bool) {
	g.mu.Lock()
	l := g.logs[id]
	if l == nil {
		l = &fakeLog{}
		g.logs[id] = l
	}
	l.text, l.done = append(l.text, text...), done
	g.mu.Unlock()
	g.w.web.Bus.Wake(event.StageTopic(id))
}

func (g *fakeGate) set(change int64, needs []gatekeeper.Requirement, runs []gatekeeper.Run) {
	g.mu.Lock()
	g.needs[change], g.runs[change] = needs, runs
	g.mu.Unlock()
	g.w.web.Bus.Wake(event.ChangeTopic(change))
}

// grant gives somebody a role on a repository.
func (w *world) grant(r repo.Repository, who string, role account.Role) {
	w.t.Helper()
	w.transact(func(tx *db.Tx) error {
		return w.web.Accounts.Grant(context.Background(), tx, r.ID, account.Subject{Kind: account.ToAccount, ID: w.people[who].ID}, "", role)
	})
}

func reviewOptions() review.PushOptions { return review.PushOptions{} }

func newMirror() mirror.NewMirror {
	return mirror.NewMirror{URL: "https://git.example.test/hello.git", Username: "mirror", Token: "secret"}
}

func (w *world) revoke(r repo.Repository, who string) {
	w.t.Helper()
	w.transact(func(tx *db.Tx) error {
		return w.web.Accounts.Revoke(context.Background(), tx, r.ID, account.Subject{Kind: account.ToAccount, ID: w.people[who].ID}, "")
	})
}
