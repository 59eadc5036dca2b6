package forge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/review/reviewtest"
	"gatehouse/web/forge"
	"gatehouse/web/forge/forgetest"
)

const patience = 30 * time.Second

// world is a server with both entrances, and a forge of one vendor at the second.
type world struct {
	*entrance.Service
	t       *testing.T
	ctx     context.Context
	people  map[string]account.Actor
	control *gatekeeper.Controller
	hooks   *forge.Service
	server  *httptest.Server
	repo    repo.Repository
	bare    *git.Repo
	work    string
	verdict atomic.Value
	vendor  *forgetest.Forge
	e       entrance.Entrance
	serial  int
}

const unitPlan = `version: 1
outcomes:
  preview: {reach: [tested]}
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [review, tested], how: merge}
`

type stages struct{ w *world }

func (stages) Identity() string { return "" }

func (s stages) Run(_ context.Context, r runner.Request) runner.Result {
	_, _ = io.WriteString(r.Log, "ran\n")
	if v, ok := s.w.verdict.Load().(string); ok && v != "" {
		return runner.Result{State: v, ExitCode: 1}
	}
	return runner.Result{State: string(plan.Passed)}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, kind string, change func(n *entrance.NewEntrance)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), people: map[string]account.Actor{}, vendor: forgetest.New(t, kind)}
	dir := t.TempDir()
	rooms := reviewtest.Open(t, dir, "http://gate.test", time.Now)
	d, accounts, repos, reviews, bus := rooms.DB, rooms.Accounts, rooms.Repos, rooms.Review, rooms.Bus
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	jobs, err := job.New(w.ctx, d, log)
	must(t, err)
	blobs, err := blob.New(filepath.Join(dir, "blobs"))
	must(t, err)
	w.control = gatekeeper.New(gatekeeper.Config{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Jobs: jobs, Blobs: blobs, Runner: stages{w}, Bus: bus,
		Mirrors: &mirror.Store{DB: d, Repos: repos, Dir: filepath.Join(dir, "mirrors"), Now: time.Now, Bus: bus, Log: log},
		Now:     time.Now, Log: log, URL: "http://gate.test", Workers: 2,
	})
	w.Service = &entrance.Service{DB: d, Accounts: accounts, Repos: repos, Review: reviews, Gate: w.control, Bus: bus, Now: time.Now, Log: log, Dir: filepath.Join(dir, "entrances")}
	w.control.Primary = w.Service
	w.hooks = &forge.Service{Entrances: w.Service, Gate: w.control, Bus: bus, Now: time.Now, Log: log, URL: "http://gate.test",
		Client: func(bool) *http.Client { return &http.Client{Timeout: patience} }}
	w.API = w.hooks
	for kind, handle := range w.Handlers() {
		jobs.Handle(kind, 2, handle)
	}
	for kind, handle := range w.hooks.Handlers() {
		jobs.Handle(kind, 2, handle)
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		must(t, d.Transact(w.ctx, func(tx *db.Tx) error {
			a, err := accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.test"})
			if err == nil {
				w.people[name], err = accounts.Actor(w.ctx, tx, a.ID, "token")
			}
			return err
		}))
	}
	w.work = filepath.Join(dir, "work")
	w.git("init", "-q", "-b", "main", w.work)
	w.write("README.md", "hello\n")
	w.write(plan.File, unitPlan)
	w.git("add", "-A")
	w.git("commit", "-qm", "begin")
	w.git("push", "-q", w.vendor.Dir, "HEAD:refs/heads/main")
	w.repo, err = repos.Create(w.ctx, repo.NewRepository{Name: "hello", DefaultBranch: "main", Owner: w.people["carol"].ID})
	must(t, err)
	w.bare, err = repos.Open(w.repo)
	must(t, err)
	n := entrance.NewEntrance{Forge: entrance.Forge(kind), Address: w.vendor.Address(), API: w.vendor.API(), Project: forgetest.Project, Username: "gate",
		Secret: w.vendor.Secret, Token: forgetest.Token, AllowLocal: true}
	if change != nil {
		change(&n)
	}
	w.e, _, err = w.Add(w.ctx, w.repo, w.people["carol"], n)
	must(t, err)
	r := mux.NewRouter()
	w.hooks.Routes(r)
	w.server = httptest.NewServer(r)
	t.Cleanup(w.server.Close)
	must(t, w.control.Recover(w.ctx))
	must(t, jobs.Start(w.ctx))
	told := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(told)
		w.hooks.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-told
		_ = jobs.Stop(context.Background())
	})
	w.until("main is taken over", func() bool { return w.here() == w.vendor.Tip("main") })
	return w
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	if _, err := os.Stat(w.work); err == nil {
		cmd.Dir = w.work
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=dave", "GIT_AUTHOR_EMAIL=dave@example.test", "GIT_COMMITTER_NAME=dave", "GIT_COMMITTER_EMAIL=dave@example.test",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.work, name), []byte(text), 0o644))
}

// commit commits a file on the primary's main, with a Change-Id.
func (w *world) commit(id int, name, text string) string {
	w.t.Helper()
	w.git("fetch", "-q", w.vendor.Dir, "refs/heads/main")
	w.git("checkout", "-q", "--detach", "FETCH_HEAD")
	w.write(name, text)
	w.git("add", "-A")
	w.git("commit", "-qm", fmt.Sprintf("change %s\n\nChange-Id: I%040x", name, id))
	return w.git("rev-parse", "HEAD")
}

// proposes puts HEAD where the forge keeps a proposal.
func (w *world) proposes(number int64) forgetest.Proposal {
	w.t.Helper()
	w.git("push", "-q", "-f", w.vendor.Dir, "HEAD:"+w.vendor.Ref(number))
	w.serial++
	return forgetest.Proposal{Number: number, Head: w.git("rev-parse", "HEAD"), Branch: "main", Author: "octocat", Title: fmt.Sprint("title ", w.serial)}
}

func (w *world) hook() string { return fmt.Sprintf("%s/hooks/%d", w.server.URL, w.e.ID) }

// answered is what a hook said.
type answered struct {
	Code               int
	State, Will, Error string
}

func (w *world) send(r *http.Request) answered {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	must(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	a := answered{Code: resp.StatusCode}
	_ = json.NewDecoder(resp.Body).Decode(&a)
	return a
}

// delivers sends an event and wants it taken, and waits until it was acted upon.
func (w *world) delivers(name, event string, body []byte) {
	w.t.Helper()
	if a := w.send(w.vendor.Request(w.hook(), name, event, body)); a.Code != http.StatusAccepted {
		w.t.Fatalf("%s: %+v", name, a)
	}
	w.settled()
}

func (w *world) settled() {
	w.t.Helper()
	w.until("the deliveries are acted upon", func() bool {
		for _, d := range w.deliveries() {
			if d.State == entrance.Verified {
				return false
			}
		}
		return true
	})
}

func (w *world) deliveries() []entrance.Delivery {
	w.t.Helper()
	all, err := w.Deliveries(w.ctx, w.e)
	must(w.t, err)
	return all
}

func (w *world) until(what string, met func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !met() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *world) here() string {
	w.t.Helper()
	at, err := w.bare.RefOID(w.ctx, "refs/heads/main")
	must(w.t, err)
	return string(at)
}

func (w *world) open() []review.Change {
	w.t.Helper()
	all, err := w.Review.OpenOn(w.ctx, w.DB.Read(), w.repo.ID, "main")
	must(w.t, err)
	return all
}

func (w *world) explain(id int64) gatekeeper.Explanation {
	w.t.Helper()
	e, err := w.control.Explain(w.ctx, w.people["carol"], id)
	must(w.t, err)
	return e
}

// push hands HEAD to the first entrance, as the transport would.
func (w *world) push(who string) gitserver.Result {
	w.t.Helper()
	q, err := w.bare.Quarantine(w.ctx)
	must(w.t, err)
	defer func() { _ = q.Discard() }()
	tip := git.OID(w.git("rev-parse", "HEAD"))
	cmd := exec.Command("git", "-C", w.work, "pack-objects", "--revs", "--stdout", "-q")
	cmd.Stdin = strings.NewReader(string(tip) + "\n")
	pack, err := cmd.Output()
	must(w.t, err)
	must(w.t, q.TakePack(w.ctx, bytes.NewReader(pack), git.PackLimits{}, io.Discard))
	must(w.t, q.Check(w.ctx, []git.OID{tip}))
	return w.control.Receive(w.ctx, &gitserver.Push{Repo: w.repo, Git: q.Repo(), Quarantine: q, Actor: w.people[who],
		Commands: []gitserver.Command{{Ref: "refs/for/main", Old: git.Zero, New: tip}}, Tell: func(string) {}})[0]
}

func (w *world) approves(who string, id int64) {
	w.t.Helper()
	must(w.t, w.Review.Vote(w.ctx, w.people[who], id, 0, map[string]int{"Code-Review": 2}, "", nil))
	must(w.t, w.Review.RequestSubmit(w.ctx, w.people[who], id))
}

// tested waits until the gate of the stages has its verdict.
func (w *world) tested(id int64, state plan.GateState) {
	w.t.Helper()
	w.until(fmt.Sprintf("the stages of change %d are %s", id, state), func() bool {
		for _, r := range w.explain(id).Requirements {
			if r.Kind == "gate" && r.Name == "tested" {
				return r.State == string(state)
			}
		}
		return false
	})
}

func (w *world) lands(id int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("change %d lands", id), func() bool { return w.explain(id).State == gatekeeper.Landed })
}
