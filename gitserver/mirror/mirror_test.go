package mirror_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
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

func TestDivergedStopsAndNeverForces(t *testing.T) {
	for name, diverge := range map[string]func(w *world, up string) (ref string){
		"foreign commit": func(w *world, up string) string {
			other := w.t.TempDir()
			run(w.t, other, "clone", "-q", up, ".")
			run(w.t, other, "commit", "-q", "--allow-empty", "-m", "foreign")
			run(w.t, other, "push", "-q", "origin", "main")
			return "refs/heads/main"
		},
		"force-pushed": func(w *world, up string) string {
			other := w.t.TempDir()
			run(w.t, other, "init", "-q", "-b", "main")
			run(w.t, other, "commit", "-q", "--allow-empty", "-m", "rewritten")
			run(w.t, other, "push", "-q", "-f", up, "main")
			return "refs/heads/main"
		},
		"known but elsewhere": func(w *world, up string) string {
			run(w.t, w.work, "checkout", "-q", "-b", "side", "main~1")
			run(w.t, w.work, "commit", "-q", "--allow-empty", "-m", "side")
			run(w.t, w.work, "push", "-q", "gate", "side")
			run(w.t, w.work, "push", "-q", "-f", up, "side:main")
			run(w.t, w.work, "checkout", "-q", "main")
			return "refs/heads/main"
		},
		"tag moved": func(w *world, up string) string {
			run(w.t, w.work, "push", "-q", up, "-f", "main~1:refs/tags/v1")
			return "refs/tags/v1"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			up := w.upstream()
			m := w.add(up)
			w.land("one")
			w.land("two")
			run(t, w.work, "tag", "v1")
			run(t, w.work, "push", "-q", "gate", "v1")
			w.sync(m)
			ref := diverge(w, up)
			theirs := refs(t, up)
			w.land("three")
			if again := w.sync(m); again != 0 {
				t.Errorf("a diverged mirror is tried again in %v", again)
			}
			now := w.is(m, mirror.Diverged)
			here := refs(t, w.dir())
			for _, word := range []string{here[ref][:10], theirs[ref][:10], "retry"} {
				if !strings.Contains(now.Reason, word) {
					t.Errorf("%q does not say %s", now.Reason, word)
				}
			}
			if diff := cmp.Diff(theirs, refs(t, up)); diff != "" {
				t.Errorf("upstream was changed:\n%s", diff)
			}
			w.jobs = nil
			w.land("four")
			w.sync(m)
			if w.is(m, mirror.Diverged); len(w.jobs) != 0 || !cmp.Equal(theirs, refs(t, up)) {
				t.Error("a stopped mirror goes on")
			}
			if diff := cmp.Diff([]string{"mirror.synced", "mirror.diverged"}, w.events()); diff != "" {
				t.Error(diff)
			}
			run(t, up, "update-ref", "-d", ref) // what the reason says
			w.tx(func(tx *db.Tx) error { return w.Retry(w.ctx, tx, m.ID) })
			w.sync(m)
			w.is(m, mirror.Synced)
			if got := refs(t, up); got["refs/heads/main"] != run(t, w.work, "rev-parse", "main") || got["refs/tags/v1"] != here["refs/tags/v1"] {
				t.Errorf("after the retry upstream has %v", got)
			}
		})
	}
}

// TestBehindIsNotDiverged rewinds the upstream, as a restore from a backup does.
func TestBehindIsNotDiverged(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	w.land("two")
	w.sync(m)
	run(t, up, "update-ref", "refs/heads/main", "main~1")
	tip := w.land("three")
	w.sync(m)
	if w.is(m, mirror.Synced); refs(t, up)["refs/heads/main"] != string(tip) {
		t.Errorf("upstream has %v", refs(t, up))
	}
}

// TestDownForHours takes the upstream away while things land, and brings it back.
func TestDownForHours(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	w.sync(m)
	away := up + ".away"
	if err := os.Rename(up, away); err != nil {
		t.Fatal(err)
	}
	w.land("two")
	var waits []time.Duration
	for attempt := 1; attempt <= 12; attempt++ {
		again := w.sync(m)
		now := w.is(m, mirror.Retrying)
		if now.Attempts != attempt || now.Reason == "" || !now.NextTry.Equal(w.Now().Add(again)) {
			t.Fatalf("after attempt %d: %+v, again in %v", attempt, now, again)
		}
		waits = append(waits, again)
		w.at.Add(again.Microseconds())
		if attempt == 5 {
			w.land("three")
			w.is(m, mirror.Retrying) // a landing neither hides the trouble nor stops
		}
	}
	if waits[0] < 5*time.Second || waits[0] > 10*time.Second || waits[11] < 7*time.Minute || waits[11] > 10*time.Minute {
		t.Errorf("waits %v", waits)
	}
	if err := os.Rename(away, up); err != nil {
		t.Fatal(err)
	}
	tip := w.land("four")
	if again := w.sync(m); again != 0 {
		t.Errorf("again in %v", again)
	}
	now := w.is(m, mirror.Synced)
	if now.Attempts != 0 || now.Reason != "" || !now.NextTry.IsZero() || now.LastOID != tip || refs(t, up)["refs/heads/main"] != string(tip) {
		t.Errorf("%+v", now)
	}
	if diff := cmp.Diff([]string{"mirror.synced", "mirror.retrying", "mirror.synced"}, w.events()); diff != "" {
		t.Error(diff)
	}
}

// TestUpstreamRefuses lets the upstream say no, with what a terminal should not see.
func TestUpstreamRefuses(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	hook := filepath.Join(up, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nprintf 'main is protected \\033[2J\\n' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := w.add(up)
	w.land("one")
	if again := w.sync(m); again == 0 {
		t.Error("not tried again")
	}
	if now := w.is(m, mirror.Retrying); strings.ContainsAny(now.Reason, "\x1b\n") {
		t.Errorf("the reason is %q", now.Reason)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	w.sync(m)
	w.is(m, mirror.Synced)
}

// TestKilledBetweenPushAndRow ends the attempt when upstream has everything and the row knows nothing.
func TestKilledBetweenPushAndRow(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	tip := w.land("one")
	type killed struct{}
	clock := w.Now
	w.Now = func() time.Time { panic(killed{}) } // the first thing asked after the push
	func() {
		defer func() {
			if _, ok := recover().(killed); !ok {
				t.Error("the sync was not cut")
			}
		}()
		_, _ = w.Sync(w.ctx, m.ID)
	}()
	w.Now = clock
	if refs(t, up)["refs/heads/main"] != string(tip) {
		t.Fatal("cut before the push")
	}
	w.is(m, mirror.Pending)
	w.sync(m)
	if now := w.is(m, mirror.Synced); now.LastOID != tip {
		t.Errorf("%+v", now)
	}
	if diff := cmp.Diff([]string{"mirror.synced"}, w.events()); diff != "" {
		t.Error(diff)
	}
}

// TestServerStops ends the context: that is no failure of the upstream.
func TestServerStops(t *testing.T) {
	w := newWorld(t)
	m := w.add(w.upstream())
	w.land("one")
	stopped, stop := context.WithCancel(w.ctx)
	stop()
	if _, err := w.Sync(stopped, m.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if now := w.is(m, mirror.Pending); now.Attempts != 0 {
		t.Errorf("%+v", now)
	}
}

// TestLandingDuringSync lands between the look at the refs and the row.
func TestLandingDuringSync(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	clock := w.Now
	landed := false
	w.Now = func() time.Time {
		if !landed {
			landed = true
			w.land("two")
		}
		return clock()
	}
	w.sync(m)
	w.is(m, mirror.Pending)
	w.sync(m) // the landing's own job
	if now := w.is(m, mirror.Synced); refs(t, up)["refs/heads/main"] != string(now.LastOID) || now.LastOID != git.OID(run(t, w.work, "rev-parse", "main")) {
		t.Errorf("%+v", now)
	}
}

func TestAddOverSSHMakesAKey(t *testing.T) {
	w := newWorld(t)
	m := w.add("git@git.example.org:team/hello.git")
	public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(m.PublicKey))
	if err != nil || public.Type() != ssh.KeyAlgoED25519 || comment != fmt.Sprintf("gatehouse-mirror-%d", m.ID) {
		t.Fatalf("%q: %v", m.PublicKey, err)
	}
	file := filepath.Join(w.Dir, fmt.Sprintf("%d.key", m.ID))
	private, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil || string(signer.PublicKey().Marshal()) != string(public.Marshal()) {
		t.Errorf("the private key is another one: %v", err)
	}
	onlyOurs(t, file, w.Dir)
	other := w.add("git@git.example.org:team/other.git")
	if other.PublicKey == m.PublicKey {
		t.Error("two mirrors share a key")
	}
	if err := w.Remove(w.ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key is still there: %v", err)
	}
	if err := w.Remove(w.ctx, m.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func onlyOurs(t *testing.T, file, dir string) {
	t.Helper()
	for path, want := range map[string]fs.FileMode{file: 0o600, dir: 0o700} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestAddKeepsTheTokenOutOfTheRow(t *testing.T) {
	w := newWorld(t)
	const token = "glpat-very-secret"
	m, err := w.Add(w.ctx, w.repo.ID, mirror.NewMirror{URL: "https://git.example.org/team/hello.git", Token: token})
	if err != nil || m.Username != "git" || m.PublicKey != "" {
		t.Fatalf("%+v, %v", m, err)
	}
	file := filepath.Join(w.Dir, fmt.Sprintf("%d.token", m.ID))
	kept, err := os.ReadFile(file)
	if err != nil || string(kept) != token {
		t.Errorf("%q, %v", kept, err)
	}
	onlyOurs(t, file, w.Dir)
	var row string
	err = w.DB.Read().QueryRowContext(w.ctx, `SELECT url || username || secret_file || public_key || reason FROM mirrors`).Scan(&row)
	if err != nil || strings.Contains(row, token) {
		t.Errorf("the row is %q, %v", row, err)
	}
}

func TestJanitor(t *testing.T) {
	w := newWorld(t)
	if err := w.Janitor(w.ctx); err != nil { // no folder yet
		t.Fatal(err)
	}
	m := w.add("git@git.example.org:team/hello.git")
	for _, name := range []string{"99999.key", "99999.hosts", "99998.token", "README", "7x.key"} {
		if err := os.WriteFile(filepath.Join(w.Dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Janitor(w.ctx); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(w.Dir)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{fmt.Sprintf("%d.key", m.ID), "7x.key", "README"}
	if diff := cmp.Diff(want, left, cmp.Transformer("set", func(names []string) map[string]bool {
		set := map[string]bool{}
		for _, name := range names {
			set[name] = true
		}
		return set
	})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAddRefuses(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	w.add(up)
	for name, c := range map[string]struct {
		n    mirror.NewMirror
		kind fault.Kind
	}{
		"ext":           {mirror.NewMirror{URL: "ext::sh -c id", AllowLocal: true}, fault.Invalid},
		"file":          {mirror.NewMirror{URL: "file://" + up, AllowLocal: true}, fault.Invalid},
		"option":        {mirror.NewMirror{URL: "-oProxyCommand=id:x"}, fault.Invalid},
		"option host":   {mirror.NewMirror{URL: "ssh://-oProxyCommand=id/x"}, fault.Invalid},
		"credentials":   {mirror.NewMirror{URL: "https://bob:secret@example.org/x"}, fault.Invalid},
		"control":       {mirror.NewMirror{URL: "https://example.org/x\ny"}, fault.Invalid},
		"path":          {mirror.NewMirror{URL: "/srv/git/hello.git"}, fault.Denied},
		"twice":         {mirror.NewMirror{URL: up, AllowLocal: true}, fault.Conflict},
		"token and ssh": {mirror.NewMirror{URL: "git@example.org:x", Token: "t"}, fault.Invalid},
		"token newline": {mirror.NewMirror{URL: "https://example.org/x", Token: "t\nHost: y"}, fault.Invalid},
		"long token":    {mirror.NewMirror{URL: "https://example.org/x", Token: strings.Repeat("t", 5000)}, fault.Invalid},
		"user colon":    {mirror.NewMirror{URL: "https://example.org/x", Username: "a:b", Token: "t"}, fault.Invalid},
		"user option":   {mirror.NewMirror{URL: "https://example.org/x", Username: "-a", Token: "t"}, fault.Invalid},
		"user alone":    {mirror.NewMirror{URL: "https://example.org/x", Username: "a"}, fault.Invalid},
	} {
		_, err := w.Add(w.ctx, w.repo.ID, c.n)
		if !fault.Is(err, c.kind) || strings.Contains(fault.Sentence(err), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Add(w.ctx, 99999, mirror.NewMirror{URL: "git@example.org:x"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("no repository: %v", err)
	}
	if entries, err := os.ReadDir(w.Dir); err == nil && len(entries) != 0 {
		t.Errorf("refusals left %v", entries)
	}
}
