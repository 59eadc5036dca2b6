package entrance_test

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
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
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

// world is a controller with an entrance to a plain bare repository, which is the primary.
type world struct {
	*entrance.Service
	t       *testing.T
	ctx     context.Context
	people  map[string]account.Actor
	control *gatekeeper.Controller
	jobs    *job.Engine
	repo    repo.Repository
	bare    *git.Repo
	up      string // the primary
	work    string // a clone of it
	verdict atomic.Value
	ahead   atomic.Int64
	e       entrance.Entrance
}

const unitPlan = `version: 1
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [review, tested], how: merge}
`

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// stages is a runner whose verdict the test says.
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

// newWorld makes a primary with one commit and an entrance to it.
func newWorld(t *testing.T, change func(n *entrance.NewEntrance)) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), people: map[string]account.Actor{}}
	d, dir := dbtest.Open(t), t.TempDir()
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	found, err := git.Find(w.ctx)
	must(t, err)
	bus := &event.Bus{}
	accounts := &account.Store{DB: d, Now: w.now}
	repos := &repo.Store{DB: d, Git: found, Root: filepath.Join(dir, "repositories"), Now: w.now, Accounts: accounts}
	reviews := &review.Service{DB: d, Accounts: accounts, Repos: repos, Bus: bus, Now: w.now, URL: "http://gate.test"}
	w.jobs, err = job.New(w.ctx, d, log)
	must(t, err)
	blobs, err := blob.New(filepath.Join(dir, "blobs"))
	must(t, err)
	w.control = gatekeeper.New(gatekeeper.Config{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Jobs: w.jobs, Blobs: blobs, Runner: stages{w}, Bus: bus,
		Mirrors: &mirror.Store{DB: d, Repos: repos, Dir: filepath.Join(dir, "mirrors"), Now: w.now, Bus: bus, Log: log},
		Now:     w.now, Log: log, URL: "http://gate.test", Workers: 2,
	})
	w.Service = &entrance.Service{DB: d, Accounts: accounts, Repos: repos, Review: reviews, Gate: w.control, Bus: bus, Now: w.now, Log: log, Dir: filepath.Join(dir, "entrances")}
	w.control.Primary = w.Service
	for kind, handle := range w.Handlers() {
		w.jobs.Handle(kind, 2, handle)
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
	w.up, w.work = filepath.Join(dir, "up.git"), filepath.Join(dir, "work")
	w.git("init", "-q", "--bare", "-b", "main", w.up)
	w.git("init", "-q", "-b", "main", w.work)
	w.write("README.md", "hello\n")
	w.write(plan.File, unitPlan)
	w.git("add", "-A")
	w.git("commit", "-qm", "begin")
	w.git("push", "-q", w.up, "HEAD:refs/heads/main")
	w.repo, err = repos.Create(w.ctx, repo.NewRepository{Name: "hello", DefaultBranch: "main", Owner: w.people["carol"].ID})
	must(t, err)
	w.bare, err = repos.Open(w.repo)
	must(t, err)
	n := entrance.NewEntrance{Forge: entrance.Plain, Address: w.up, AllowLocal: true}
	if change != nil {
		change(&n)
	}
	w.e, _, err = w.Add(w.ctx, w.repo, w.people["carol"], n)
	must(t, err)
	must(t, w.control.Recover(w.ctx))
	must(t, w.jobs.Start(w.ctx))
	t.Cleanup(func() { _ = w.jobs.Stop(context.Background()) })
	if n.Lands == "" || n.Lands == entrance.LandsPush {
		w.until("main is taken over", func() bool { return w.here() == w.there() })
	}
	return w
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	return w.gitAs("dave", args...)
}

func (w *world) gitAs(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	if _, err := os.Stat(w.work); err == nil {
		cmd.Dir = w.work
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+name+"@example.test", "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+name+"@example.test")
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

// commit commits a file on what the primary's main is, or on the work tree's HEAD with more.
func (w *world) commit(name, text string, more ...bool) git.OID {
	w.t.Helper()
	if len(more) == 0 {
		w.git("checkout", "-q", "--detach", w.git("ls-remote", w.up, "refs/heads/main")[:40])
	}
	w.write(name, text)
	w.git("add", "-A")
	w.git("commit", "-qm", "change "+name)
	return git.OID(w.git("rev-parse", "HEAD"))
}

// proposes puts HEAD where a forge keeps a pull request.
func (w *world) proposes(number int) {
	w.t.Helper()
	w.git("push", "-q", "-f", w.up, fmt.Sprintf("HEAD:refs/pull/%d/head", number))
}

// look looks at the entrance and waits until all that it found was acted upon.
func (w *world) look() {
	w.t.Helper()
	must(w.t, w.Look(w.ctx, w.e))
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

func (w *world) here() git.OID {
	w.t.Helper()
	at, err := w.bare.RefOID(w.ctx, "refs/heads/main")
	must(w.t, err)
	return at
}

func (w *world) there() git.OID {
	w.t.Helper()
	out, _, _ := strings.Cut(w.git("ls-remote", w.up, "refs/heads/main"), "\t")
	return git.OID(out)
}

func (w *world) open() []review.Change {
	w.t.Helper()
	all, err := w.Review.OpenOn(w.ctx, w.DB.Read(), w.repo.ID, "main")
	must(w.t, err)
	return all
}

func (w *world) change(id int64) review.Change {
	w.t.Helper()
	c, err := w.Review.Load(w.ctx, w.DB.Read(), id)
	must(w.t, err)
	return c
}

func (w *world) state(id int64) gatekeeper.State { return w.explain(id).State }

func (w *world) explain(id int64) gatekeeper.Explanation {
	w.t.Helper()
	e, err := w.control.Explain(w.ctx, w.people["carol"], id)
	must(w.t, err)
	return e
}

// approves votes for a change and asks to land it.
func (w *world) approves(who string, id int64) {
	w.t.Helper()
	must(w.t, w.Review.Vote(w.ctx, w.people[who], id, 0, map[string]int{"Code-Review": 2}, "", nil))
	must(w.t, w.Review.RequestSubmit(w.ctx, w.people[who], id))
}

func (w *world) lands(id int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("change %d lands", id), func() bool {
		return w.state(id) == gatekeeper.Landed
	})
}
