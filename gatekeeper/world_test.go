package gatekeeper_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
	"gatehouse/review"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// world is a controller with everything below it, on real git and a real database; only the
// sandbox is replaced by a scripted one.
type world struct {
	testing.TB
	ctx     context.Context
	db      *db.DB
	people  map[string]account.Actor
	account *account.Store
	review  *review.Service
	repos   *repo.Store
	repo    repo.Repository
	bare    *git.Repo
	bus     *event.Bus
	control *gatekeeper.Controller
	jobs    *job.Engine
	stages  *scripted
	work    string
	serial  int
	ahead   atomic.Int64 // by how much the controller's clock is ahead
	// What is delivered goes here.
	artifacts *artifact.Store
	driver    *places
	delivery  *deliver.Service
}

// now is the controller's clock.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// pass lets time pass for the controller.
func (w *world) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// scripted is a runner whose verdicts the test writes.
type scripted struct {
	mu      sync.Mutex
	verdict func(r runner.Request) runner.Result
	until   func(ctx context.Context, r runner.Request) runner.Result // in place of verdict
	ran     []string                                                  // "stage commit", in the order of starting
	machine string
}

func (s *scripted) identify(machine string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine = machine
}

func (s *scripted) Identity() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine
}

func (s *scripted) Run(ctx context.Context, r runner.Request) runner.Result {
	s.mu.Lock()
	s.ran = append(s.ran, r.Stage.Name+" "+string(r.Commit))
	verdict, until := s.verdict, s.until
	s.mu.Unlock()
	_, _ = io.WriteString(r.Log, "ran "+r.Stage.Name+"\n")
	switch {
	case until != nil:
		return until(ctx, r)
	case verdict == nil:
		return passed()
	}
	return verdict(r)
}

func (s *scripted) runs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ran...)
}

func (s *scripted) set(verdict func(r runner.Request) runner.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict = verdict
}

// setContext has stages end as the test says, which is told when they are to stop.
func (s *scripted) setContext(until func(ctx context.Context, r runner.Request) runner.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = until
}

// but is a verdict on every candidate; the branch itself passes, as it does where nobody is to
// blame but the change.
func (w *world) but(result func() runner.Result) func(runner.Request) runner.Result {
	return func(r runner.Request) runner.Result {
		if tip, err := w.bare.RefOID(context.Background(), "refs/heads/main"); err == nil && tip == r.Commit {
			return passed()
		}
		return result()
	}
}

func passed() runner.Result {
	return runner.Result{State: string(plan.Passed), Tests: &plan.Tests{Passed: 3}}
}

func failed() runner.Result {
	return runner.Result{State: string(plan.Failed), ExitCode: 1, Tests: &plan.Tests{Passed: 2, Failed: 1, Cases: []plan.Case{{Name: "TestAdd", Status: plan.CaseFailed}}}}
}

const unitPlan = `version: 1
stages:
  unit: {run: "true", results: {gotest: unit.json}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
land: {after: [review, tested], how: HOW}
`

// newWorld makes a repository whose branch main has the given plan, "" for none.
func newWorld(t testing.TB, planText string) *world {
	t.Helper()
	w := &world{TB: t, ctx: context.Background(), people: map[string]account.Actor{}, stages: &scripted{}, bus: &event.Bus{}}
	w.db = dbtest.Open(t)
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	found, err := git.Find(w.ctx)
	w.must(err)
	dir := t.TempDir()
	accounts := &account.Store{DB: w.db, Now: time.Now}
	w.account = accounts
	w.repos = &repo.Store{DB: w.db, Git: found, Root: filepath.Join(dir, "repositories"), Now: time.Now, Accounts: accounts}
	w.review = &review.Service{DB: w.db, Accounts: accounts, Repos: w.repos, Bus: w.bus, Now: time.Now, URL: "http://gate.test"}
	jobs, err := job.New(w.ctx, w.db, log)
	w.must(err)
	w.jobs = jobs
	blobs, err := blob.New(filepath.Join(dir, "blobs"))
	w.must(err)
	w.openDelivery(dir, log)
	w.control = gatekeeper.New(gatekeeper.Config{
		Delivery: w.delivery, Artifacts: w.artifacts,
		DB: w.db, Accounts: accounts, Repos: w.repos, Review: w.review, Jobs: jobs, Blobs: blobs, Runner: w.stages, Bus: w.bus,
		Mirrors: &mirror.Store{DB: w.db, Repos: w.repos, Dir: filepath.Join(dir, "mirrors"), Now: time.Now, Bus: w.bus, Log: log},
		Now:     w.now, Log: log, URL: "http://gate.test", Workers: 2, KeepAlive: 200 * time.Millisecond,
	})
	for _, name := range []string{"alice", "bob", "carol"} {
		w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
			a, err := accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.test"})
			if err == nil {
				w.people[name], err = accounts.Actor(w.ctx, tx, a.ID, "token")
			}
			return err
		}))
	}
	w.repo, err = w.repos.Create(w.ctx, repo.NewRepository{Name: "hello", DefaultBranch: "main", Owner: w.people["carol"].ID})
	w.must(err)
	w.bare, err = w.repos.Open(w.repo)
	w.must(err)
	w.work = filepath.Join(dir, "work")
	w.git("init", "-q", "-b", "main", w.work)
	w.write("README.md", "hello\n")
	if planText != "" {
		w.write(plan.File, planText)
	}
	w.git("add", "-A")
	w.git("commit", "-qm", "begin")
	if r := w.push("carol", "refs/heads/main", "HEAD"); r.Reason != "" {
		t.Fatalf("first push: %s", r.Reason)
	}
	w.must(w.control.Recover(w.ctx))
	w.must(jobs.Start(w.ctx))
	t.Cleanup(func() { _ = jobs.Stop(context.Background()) })
	return w
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) git(args ...string) string {
	w.Helper()
	return w.gitAs("alice", args...)
}

func (w *world) gitAs(name string, args ...string) string {
	w.Helper()
	cmd := exec.Command("git", args...)
	if _, err := os.Stat(w.work); err == nil {
		cmd.Dir = w.work
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+name+"@example.test", "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+name+"@example.test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) write(name, text string) {
	w.Helper()
	w.must(os.MkdirAll(filepath.Dir(filepath.Join(w.work, name)), 0o755))
	w.must(os.WriteFile(filepath.Join(w.work, name), []byte(text), 0o644))
}

// commit makes a commit with a Change-Id on HEAD; id 0 is a new one.
func (w *world) commit(id int, name, text string) int {
	w.Helper()
	if id == 0 {
		w.serial++
		id = w.serial
	}
	w.write(name, text)
	w.git("add", "-A")
	w.git("commit", "-qm", fmt.Sprintf("change %s\n\nChange-Id: I%040x", name, id))
	return id
}

// push hands one ref to the controller as the transport would, and returns its answer.
func (w *world) push(who, ref, rev string, options ...string) gitserver.Result {
	w.Helper()
	result, _ := w.pushTold(who, ref, rev, options...)
	return result
}

func (w *world) pushTold(who, ref, rev string, options ...string) (gitserver.Result, string) {
	w.Helper()
	g, err := w.repos.Open(w.repo)
	w.must(err)
	cmd := gitserver.Command{Ref: ref, Old: git.Zero, New: git.Zero}
	if strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/") {
		cmd.Old, err = g.RefOID(w.ctx, ref)
		w.must(err)
	}
	var quarantine *git.Quarantine
	if rev != "" {
		cmd.New = git.OID(w.git("rev-parse", rev+"^{}"))
		quarantine, err = g.Quarantine(w.ctx)
		w.must(err)
		defer func() { _ = quarantine.Discard() }()
		w.pack(quarantine, string(cmd.New))
		g = quarantine.Repo()
	}
	var told strings.Builder
	results := w.control.Receive(w.ctx, &gitserver.Push{
		Repo: w.repo, Git: g, Quarantine: quarantine, Actor: w.people[who], Commands: []gitserver.Command{cmd}, Options: options,
		Tell: func(line string) { told.WriteString(line + "\n") },
	})
	return results[0], told.String()
}

func (w *world) pack(q *git.Quarantine, tip string) {
	w.Helper()
	cmd := exec.Command("git", "-C", w.work, "pack-objects", "--revs", "--stdout", "-q")
	cmd.Stdin = strings.NewReader(tip + "\n")
	pack, err := cmd.Output()
	w.must(err)
	w.must(q.TakePack(w.ctx, bytes.NewReader(pack), git.PackLimits{}, io.Discard))
	w.must(q.Check(w.ctx, []git.OID{git.OID(tip)}))
}

// propose commits a file on the branch's tip and pushes it for review; it returns the change.
func (w *world) propose(who, name, text string, options ...string) int64 {
	w.Helper()
	w.fromTip()
	w.commit(0, name, text)
	if r := w.push(who, "refs/for/main", "HEAD", options...); r.Reason != "" {
		w.Fatalf("push of %s: %s", name, r.Reason)
	}
	return w.newest()
}

// fromTip checks out what the server's main is.
func (w *world) fromTip() {
	w.Helper()
	w.git("fetch", "-q", w.bare.Dir(), "refs/heads/main")
	w.git("checkout", "-q", "--detach", "FETCH_HEAD")
}

func (w *world) newest() int64 {
	w.Helper()
	changes, err := w.review.OpenOn(w.ctx, w.db.Read(), w.repo.ID, "main")
	w.must(err)
	newest := int64(0)
	for _, c := range changes {
		newest = max(newest, c.ID)
	}
	return newest
}

func (w *world) vote(who string, change int64, value int) {
	w.Helper()
	w.must(w.review.Vote(w.ctx, w.people[who], change, 0, map[string]int{"Code-Review": value}, "", nil))
}

func (w *world) disable(who string, disabled bool) {
	w.Helper()
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		return w.account.SetDisabled(w.ctx, tx, w.people[who].ID, disabled)
	}))
}

func (w *world) explain(change int64) gatekeeper.Explanation {
	w.Helper()
	e, err := w.control.Explain(w.ctx, w.people["carol"], change)
	w.must(err)
	return e
}

// until waits until the change's explanation meets the condition.
func (w *world) until(change int64, what string, met func(gatekeeper.Explanation) bool) gatekeeper.Explanation {
	w.Helper()
	woken, stop := w.bus.Listen(event.ChangeTopic(change))
	defer stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		e := w.explain(change)
		if met(e) {
			return e
		}
		select {
		case <-woken:
		case <-again.C:
		case <-deadline.C:
			w.Fatalf("change %d: waited in vain until %s; it is %s: %s\n%+v", change, what, e.State, e.Summary, e.Requirements)
		}
	}
}

func (w *world) state(change int64, want gatekeeper.State) gatekeeper.Explanation {
	w.Helper()
	return w.until(change, "it is "+string(want), func(e gatekeeper.Explanation) bool { return e.State == want })
}

// stage waits until the named stage of the change is in the state.
func (w *world) stage(change int64, name string, want plan.StageState) {
	w.Helper()
	w.until(change, name+" is "+string(want), func(e gatekeeper.Explanation) bool {
		for _, r := range e.Requirements {
			if r.Kind == "stage" && r.Name == name {
				return r.State == string(want)
			}
		}
		return false
	})
}

func (w *world) tip() git.OID {
	w.Helper()
	oid, err := w.bare.RefOID(w.ctx, "refs/heads/main")
	w.must(err)
	return oid
}

// still stops everything that goes on by itself: from here on the test does it.
func (w *world) still() {
	w.Helper()
	w.must(w.jobs.Stop(w.ctx))
}
