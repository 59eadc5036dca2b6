package mirror_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

// world is a repository called hello with a main branch, a place for upstreams, and a clock
// that only the test moves.
type world struct {
	*mirror.Store
	t    *testing.T
	ctx  context.Context
	at   atomic.Int64
	jobs []db.Job // as they were asked for
	repo repo.Repository
	work string // a clone that pushes straight into the repository: a landing
}

// EnqueueTx keeps the jobs in memory.
func (w *world) EnqueueTx(_ context.Context, _ *db.Tx, job db.Job) error {
	w.jobs = append(w.jobs, job)
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g, err := git.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	w := &world{t: t, ctx: t.Context(), work: t.TempDir()}
	w.at.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixMicro())
	now := func() time.Time { return db.Time(w.at.Load()) }
	d := dbtest.Open(t)
	d.SetEnqueuer(w)
	repos := &repo.Store{DB: d, Git: g, Root: filepath.Join(t.TempDir(), "repositories"), Now: now, Accounts: &account.Store{DB: d, Now: now}}
	w.Store = &mirror.Store{DB: d, Repos: repos, Dir: filepath.Join(t.TempDir(), "mirrors"), Now: now, Bus: &event.Bus{}}
	if w.repo, err = repos.Create(w.ctx, repo.NewRepository{Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	run(t, w.work, "init", "-q", "-b", "main")
	run(t, w.work, "remote", "add", "gate", w.dir())
	return w
}

// run runs the real git as a stranger to the server would.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=2026-11-01T10:00:00Z", "GIT_COMMITTER_DATE=2026-11-01T10:00:00Z"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) dir() string {
	w.t.Helper()
	g, err := w.Repos.Open(w.repo)
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Dir()
}

// land puts an empty commit with a message on main, and asks for mirroring as a landing does.
func (w *world) land(message string) git.OID {
	w.t.Helper()
	run(w.t, w.work, "commit", "-q", "--allow-empty", "-m", message)
	run(w.t, w.work, "push", "-q", "gate", "main")
	w.tx(func(tx *db.Tx) error { return w.EnqueueAll(w.ctx, tx, w.repo.ID) })
	return git.OID(run(w.t, w.work, "rev-parse", "HEAD"))
}

func (w *world) tx(f func(tx *db.Tx) error) {
	w.t.Helper()
	if err := w.DB.Transact(w.ctx, f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) upstream() string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "upstream.git")
	run(w.t, w.t.TempDir(), "init", "-q", "--bare", "-b", "main", dir)
	return dir
}

func (w *world) add(url string) mirror.Mirror {
	w.t.Helper()
	m, err := w.Add(w.ctx, w.repo.ID, mirror.NewMirror{URL: url, AllowLocal: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) sync(m mirror.Mirror) time.Duration {
	w.t.Helper()
	again, err := w.Sync(w.ctx, m.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return again
}

// is reads the mirror and checks its state.
func (w *world) is(m mirror.Mirror, state string) mirror.Mirror {
	w.t.Helper()
	now, err := w.ByID(w.ctx, w.DB.Read(), m.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if now.State != state {
		w.t.Fatalf("the mirror is %s (%s), want %s", now.State, now.Reason, state)
	}
	return now
}

func (w *world) events() []string {
	w.t.Helper()
	rows, err := w.DB.Read().QueryContext(w.ctx, `SELECT kind, data FROM events ORDER BY id`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var kind, data string
		if err := rows.Scan(&kind, &data); err != nil {
			w.t.Fatal(err)
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(data), &fields); err != nil || fields["mirror"] == "" || fields["url"] == "" {
			w.t.Errorf("%s has %s, %v", kind, data, err)
		}
		all = append(all, kind)
	}
	return all
}

func refs(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, line := range strings.Fields(run(t, dir, "for-each-ref", "--format=%(refname)=%(objectname)")) {
		name, oid, _ := strings.Cut(line, "=")
		all[name] = oid
	}
	return all
}

func TestSyncPushesWhatLandedAndNothingElse(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	w.land("one")
	for _, args := range []string{
		"tag light", "tag -a -m heavy v1", "push -q gate light v1",
		"checkout -q -b feature", "commit -q --allow-empty -m ungated", "tag wild", "push -q gate feature wild", "push -q gate feature:refs/changes/01/1/1",
		"checkout -q main", "branch release/1", "push -q gate release/1",
	} {
		run(t, w.work, strings.Fields(args)...)
	}
	blob := run(t, w.work, "rev-parse", "v1^{tree}") // a tag of a tree is in no history
	run(t, w.work, "tag", "tree", blob)
	run(t, w.work, "push", "-q", "gate", "tree")
	w.repo.Gated = []string{"main", "release/*"}
	w.tx(func(tx *db.Tx) error { return w.Repos.Update(w.ctx, tx, w.repo) })

	m := w.add(up)
	w.is(m, mirror.Pending)
	if again := w.sync(m); again != 0 {
		t.Errorf("again in %v", again)
	}
	head := run(t, w.work, "rev-parse", "main")
	want := map[string]string{"refs/heads/main": head, "refs/heads/release/1": head, "refs/tags/light": head, "refs/tags/v1": run(t, w.work, "rev-parse", "v1")}
	if diff := cmp.Diff(want, refs(t, up)); diff != "" {
		t.Errorf("upstream has:\n%s", diff)
	}
	now := w.is(m, mirror.Synced)
	if string(now.LastOID) != head || !now.LastSync.Equal(w.Now()) || now.Attempts != 0 || now.Reason != "" {
		t.Errorf("%+v", now)
	}

	w.sync(m) // nothing new: no event
	w.land("two")
	w.is(m, mirror.Pending)
	w.sync(m)
	w.is(m, mirror.Synced)
	if got := refs(t, up)["refs/heads/main"]; got != run(t, w.work, "rev-parse", "main") {
		t.Errorf("main upstream is %s", got)
	}
	if diff := cmp.Diff([]string{"mirror.synced", "mirror.synced"}, w.events()); diff != "" {
		t.Error(diff)
	}
}

func TestSyncOfNothing(t *testing.T) {
	w := newWorld(t)
	m := w.add(w.upstream())
	w.sync(m)
	w.is(m, mirror.Synced)
	if again, err := w.Sync(w.ctx, 99999); again != 0 || err != nil {
		t.Errorf("a mirror that was removed: %v, %v", again, err)
	}
}

func TestMirrorsAreAskedInOrder(t *testing.T) {
	w := newWorld(t)
	var all []mirror.Mirror
	for range 3 {
		all = append(all, w.add(w.upstream()))
	}
	stopped := all[1]
	w.tx(func(tx *db.Tx) error {
		return w.Pause(w.ctx, tx, stopped.ID, account.Actor{Name: "alice"})
	})
	w.jobs = nil
	w.land("one")
	if diff := cmp.Diff([]db.Job{mirror.SyncJob(all[0].ID), mirror.SyncJob(all[2].ID)}, w.jobs); diff != "" {
		t.Error(diff)
	}
	list, err := w.List(w.ctx, w.DB.Read(), w.repo.ID)
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, m := range list {
		if m.ID != all[i].ID || m.Position != i+1 {
			t.Errorf("%d is %+v", i, m)
		}
	}
	if again := w.sync(stopped); again != 0 || len(refs(t, stopped.URL)) != 0 {
		t.Error("a paused mirror was synced")
	}
	if now := w.is(stopped, mirror.Paused); !strings.Contains(now.Reason, "alice") {
		t.Errorf("paused because %q", now.Reason)
	}
	w.jobs = nil
	w.tx(func(tx *db.Tx) error { return w.Retry(w.ctx, tx, stopped.ID) })
	if diff := cmp.Diff([]db.Job{mirror.SyncJob(stopped.ID)}, w.jobs); diff != "" {
		t.Error(diff)
	}
	w.sync(stopped)
	w.is(stopped, mirror.Synced)
}
