package repo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

type world struct {
	*repo.Store
	t   *testing.T
	ctx context.Context
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g, err := git.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	d := dbtest.Open(t)
	now := func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }
	return &world{t: t, ctx: t.Context(), Store: &repo.Store{
		DB: d, Git: g, Root: filepath.Join(t.TempDir(), "repositories"), Now: now, Accounts: &account.Store{DB: d, Now: now},
	}}
}

func (w *world) create(n repo.NewRepository) repo.Repository {
	w.t.Helper()
	r, err := w.Create(w.ctx, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) account(name string) account.Account {
	w.t.Helper()
	var a account.Account
	err := w.DB.Transact(w.ctx, func(tx *db.Tx) (err error) {
		a, err = w.Accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.org"})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) folders() []string {
	w.t.Helper()
	entries, err := os.ReadDir(w.Root)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
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

func TestCreate(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	r := w.create(repo.NewRepository{Name: "team/hello", Description: "greets", Owner: alice.ID})
	want := repo.Repository{ID: r.ID, Name: "team/hello", Description: "greets", DefaultBranch: "main", Gated: []string{"main"},
		DefaultRole: account.RoleWrite, DirectPush: repo.HoldDirect, CreatedAt: w.Now()}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	byName, err := w.ByName(w.ctx, w.DB.Read(), "team/hello")
	if diff := cmp.Diff(want, byName); err != nil || diff != "" {
		t.Errorf("by name: %v\n%s", err, diff)
	}
	byID, err := w.ByID(w.ctx, w.DB.Read(), r.ID)
	if diff := cmp.Diff(want, byID); err != nil || diff != "" {
		t.Errorf("by id: %v\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("%010d.git", r.ID)}, w.folders()); diff != "" {
		t.Error(diff)
	}
	g, err := w.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Open(r); err != nil || again != g {
		t.Errorf("opened twice: %p, %p, %v", g, again, err)
	}
	if head, err := g.Head(w.ctx); err != nil || head != "refs/heads/main" {
		t.Errorf("HEAD is %q, %v", head, err)
	}
	actor, err := w.Accounts.Actor(w.ctx, w.DB.Read(), alice.ID, account.MethodKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Accounts.May(w.ctx, w.DB.Read(), actor, account.Own, r.Resource("")); err != nil {
		t.Errorf("the owner: %v", err)
	}

	secret := w.create(repo.NewRepository{Name: "secret", Private: true, DefaultBranch: "trunk", DirectPush: repo.RefuseDirect, TopicIdentity: true})
	if !secret.Private || secret.DefaultRole != account.RoleNone || !secret.Gates("trunk") || secret.Gates("main") || !secret.TopicIdentity {
		t.Errorf("%+v", secret)
	}
	all, err := w.List(w.ctx, w.DB.Read())
	if diff := cmp.Diff([]repo.Repository{secret, r}, all); err != nil || diff != "" {
		t.Errorf("list: %v\n%s", err, diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t)
	w.create(repo.NewRepository{Name: "hello"})
	before := w.folders()
	for name, c := range map[string]struct {
		n    repo.NewRepository
		kind fault.Kind
	}{
		"taken":       {repo.NewRepository{Name: "hello"}, fault.Conflict},
		"case":        {repo.NewRepository{Name: "Hello"}, fault.Conflict},
		"name":        {repo.NewRepository{Name: "../hello"}, fault.Invalid},
		"reserved":    {repo.NewRepository{Name: "api/x"}, fault.Invalid},
		"branch":      {repo.NewRepository{Name: "x", DefaultBranch: "a..b"}, fault.Invalid},
		"branch 2":    {repo.NewRepository{Name: "x", DefaultBranch: "-x"}, fault.Invalid},
		"description": {repo.NewRepository{Name: "x", Description: "a\nb"}, fault.Invalid},
		"direct":      {repo.NewRepository{Name: "x", DirectPush: "allow"}, fault.Invalid},
		"owner":       {repo.NewRepository{Name: "x", Owner: 99999}, fault.NotFound},
	} {
		if _, err := w.Create(w.ctx, c.n); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, w.folders()); diff != "" {
		t.Errorf("refusals left folders:\n%s", diff)
	}
}

// TestCreateAtOnce has eight requests ask for one name.
func TestCreateAtOnce(t *testing.T) {
	w := newWorld(t)
	const attempts = 8
	errs := make([]error, attempts)
	var wg sync.WaitGroup
	for i := range attempts {
		wg.Go(func() { _, errs[i] = w.Create(w.ctx, repo.NewRepository{Name: "hello"}) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
	}
	if made != 1 || len(w.folders()) != 1 {
		t.Errorf("%d were made, folders %v", made, w.folders())
	}
}

func TestCreateStepsOverOrphans(t *testing.T) {
	w := newWorld(t)
	first := w.create(repo.NewRepository{Name: "first"})
	for i := int64(1); i <= 3; i++ { // as after a database was restored from yesterday's backup
		if err := os.Mkdir(filepath.Join(w.Root, fmt.Sprintf("%010d.git", first.ID+i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(w.Root, ".new-0000000099.git")
	if err := os.MkdirAll(filepath.Join(left, "objects"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := w.create(repo.NewRepository{Name: "second"})
	if second.ID != first.ID+4 {
		t.Errorf("the second has the id %d", second.ID)
	}
	if err := w.Janitor(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the janitor left %s: %v", left, err)
	}
	if len(w.folders()) != 5 {
		t.Errorf("the janitor took too much: %v", w.folders())
	}
}

func TestUpdate(t *testing.T) {
	w := newWorld(t)
	r, other := w.create(repo.NewRepository{Name: "hello"}), w.create(repo.NewRepository{Name: "other"})
	update := func(r repo.Repository) error {
		return w.DB.Transact(w.ctx, func(tx *db.Tx) error { return w.Update(w.ctx, tx, r) })
	}
	r.Name, r.Description, r.Private, r.Gated = "Hello2", "new", true, []string{"main", "release/*"}
	r.DefaultRole, r.DirectPush, r.TopicIdentity = account.RoleRead, repo.RefuseDirect, true
	if err := update(r); err != nil {
		t.Fatal(err)
	}
	got, err := w.ByID(w.ctx, w.DB.Read(), r.ID)
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !got.Gates("release/1") || got.Gates("release/1/2") || got.Gates("feature") {
		t.Error("gates the wrong branches")
	}
	if _, err := w.ByName(w.ctx, w.DB.Read(), "hello"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old name: %v", err)
	}
	for name, c := range map[string]struct {
		change func(r *repo.Repository)
		kind   fault.Kind
	}{
		"name":    {func(r *repo.Repository) { r.Name = "OTHER" }, fault.Conflict},
		"role":    {func(r *repo.Repository) { r.DefaultRole = account.RoleOwn }, fault.Invalid},
		"role 2":  {func(r *repo.Repository) { r.DefaultRole = "emperor" }, fault.Invalid},
		"gated":   {func(r *repo.Repository) { r.Gated = []string{"a b"} }, fault.Invalid},
		"many":    {func(r *repo.Repository) { r.Gated = strings.Split(strings.Repeat("x,", 60)+"x", ",") }, fault.TooLarge},
		"missing": {func(r *repo.Repository) { r.ID, r.Name = 99999, "fresh" }, fault.NotFound},
	} {
		bad := r
		c.change(&bad)
		if err := update(bad); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := w.ByID(w.ctx, w.DB.Read(), other.ID); err != nil || !cmp.Equal(other, again) {
		t.Errorf("the other repository changed: %+v, %v", again, err)
	}
}

func TestMissingTellsNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.ByName(w.ctx, w.DB.Read(), "nothing")
	secret := w.create(repo.NewRepository{Name: "secret", Private: true})
	hidden := w.Accounts.May(w.ctx, w.DB.Read(), account.Actor{}, account.Read, secret.Resource(""))
	if !fault.Is(err, fault.NotFound) || !fault.Is(hidden, fault.NotFound) || fault.Sentence(err) != fault.Sentence(hidden) {
		t.Errorf("%q differs from %q", fault.Sentence(err), fault.Sentence(hidden))
	}
}

func TestBranchKey(t *testing.T) {
	job := repo.BranchJob(12, "release/1:2")
	id, branch, err := repo.ParseBranchKey(job.Key)
	if err != nil || id != 12 || branch != "release/1:2" || job.Kind != repo.JobBranch {
		t.Errorf("%d %q %v", id, branch, err)
	}
	for _, key := range []string{"", "12", ":", "12:", "x:main", "-1:main", "0:main"} {
		if _, _, err := repo.ParseBranchKey(key); err == nil {
			t.Errorf("%q is taken for a key", key)
		}
	}
}
