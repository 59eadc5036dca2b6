package repo_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// upstream makes a repository with two branches, a tag of each sort and the given HEAD.
func upstream(t *testing.T, head string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "upstream.git")
	work := t.TempDir()
	run(t, work, "init", "-q", "-b", "trunk")
	for _, message := range []string{"one", "two", "three"} {
		run(t, work, "commit", "-q", "--allow-empty", "-m", message)
		if message == "one" {
			run(t, work, "tag", "light")
			run(t, work, "tag", "-a", "-m", "heavy", "v1")
			run(t, work, "branch", "old")
		}
	}
	run(t, work, "branch", "twin") // has HEAD's commit too
	run(t, work, "update-ref", "refs/pull/1/head", "HEAD")
	run(t, work, "clone", "-q", "--mirror", ".", dir)
	run(t, dir, "symbolic-ref", "HEAD", "refs/heads/"+head)
	return dir
}

func refs(t *testing.T, dir string, prefixes ...string) []string {
	t.Helper()
	return strings.Split(run(t, dir, append([]string{"for-each-ref", "--format=%(objectname) %(refname)"}, prefixes...)...), "\n")
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	for _, head := range []string{"trunk", "twin", "old"} {
		from := upstream(t, head)
		r := w.create(repo.NewRepository{Name: "hello-" + head})
		auth := git.Auth{AllowLocal: true}
		for range 2 { // the second changes nothing
			if err := w.Import(w.ctx, r, from, auth); err != nil {
				t.Fatal(err)
			}
			g, err := w.Open(r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(refs(t, from, "refs/heads", "refs/tags"), refs(t, g.Dir())); diff != "" {
				t.Errorf("%s: refs differ:\n%s", head, diff)
			}
			now, err := w.ByID(w.ctx, w.DB.Read(), r.ID)
			want := r
			want.DefaultBranch, want.Gated = head, []string{head}
			if diff := cmp.Diff(want, now); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", head, err, diff)
			}
			if there, err := g.Head(w.ctx); err != nil || there != "refs/heads/"+head {
				t.Errorf("%s: HEAD is %s, %v", head, there, err)
			}
			if err := g.Fsck(w.ctx); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestImportRefuses(t *testing.T) {
	w := newWorld(t)
	from := upstream(t, "trunk")
	empty := filepath.Join(t.TempDir(), "empty.git")
	run(t, t.TempDir(), "init", "-q", "--bare", empty)
	odd := upstream(t, "trunk")
	run(t, odd, "update-ref", "refs/heads/"+strings.Repeat("a", 40), "trunk")
	local := git.Auth{AllowLocal: true}
	r := w.create(repo.NewRepository{Name: "hello"})
	for name, c := range map[string]struct {
		url  string
		auth git.Auth
		kind fault.Kind
	}{
		"ext":      {"ext::sh -c id", local, fault.Invalid},
		"file":     {"file://" + from, local, fault.Invalid},
		"path":     {from, git.Auth{}, fault.Denied},
		"empty":    {empty, local, fault.Refused},
		"ref name": {odd, local, fault.Refused},
	} {
		if err := w.Import(w.ctx, r, c.url, c.auth); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Import(w.ctx, r, filepath.Join(t.TempDir(), "nothing"), local); err == nil {
		t.Error("nothing can be imported")
	}
	g, err := w.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := g.Refs(w.ctx); err != nil || len(left) != 0 {
		t.Errorf("refusals left refs: %v, %v", left, err)
	}
}

// TestImportNeverGoesAroundTheGate imports over something that is there.
func TestImportNeverGoesAroundTheGate(t *testing.T) {
	w := newWorld(t)
	from := upstream(t, "trunk")
	r := w.create(repo.NewRepository{Name: "hello"})
	auth := git.Auth{AllowLocal: true}
	if err := w.Import(w.ctx, r, from, auth); err != nil {
		t.Fatal(err)
	}
	g, err := w.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	before := refs(t, g.Dir())
	work := t.TempDir()
	run(t, work, "clone", "-q", from, ".")
	run(t, work, "commit", "-q", "--allow-empty", "-m", "four")
	run(t, work, "push", "-q", "origin", "HEAD:trunk")
	if err := w.Import(w.ctx, r, from, auth); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second import of something newer: %v", err)
	}
	run(t, from, "update-ref", "refs/heads/trunk", "trunk^")
	run(t, from, "update-ref", "-d", "refs/heads/twin")
	if err := w.Import(w.ctx, r, from, auth); !fault.Is(err, fault.Conflict) {
		t.Errorf("an import that lacks one of our branches: %v", err)
	}
	if diff := cmp.Diff(before, refs(t, g.Dir())); diff != "" {
		t.Errorf("the refs moved:\n%s", diff)
	}
}

// TestImportCut ends an import at each of the two places where refs are written, as a killed
// server does, and imports again.
func TestImportCut(t *testing.T) {
	for _, point := range []string{"git.refs.before", "git.refs.after"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t)
			from := upstream(t, "old")
			r := w.create(repo.NewRepository{Name: "hello"})
			type killed struct{}
			git.CrashPoint = func(name string) {
				if name == point {
					panic(killed{})
				}
			}
			defer func() { git.CrashPoint = nil }()
			func() {
				defer func() {
					if _, ok := recover().(killed); !ok {
						t.Error("the import was not cut")
					}
				}()
				_ = w.Import(w.ctx, r, from, git.Auth{AllowLocal: true})
			}()
			git.CrashPoint = nil
			if err := w.Import(w.ctx, r, from, git.Auth{AllowLocal: true}); err != nil {
				t.Fatal(err)
			}
			g, err := w.Open(r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(refs(t, from, "refs/heads", "refs/tags"), refs(t, g.Dir())); diff != "" {
				t.Error(diff)
			}
			now, err := w.ByID(w.ctx, w.DB.Read(), r.ID)
			if err != nil || now.DefaultBranch != "old" {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

func TestSetDefaultBranch(t *testing.T) {
	w := newWorld(t)
	r := w.create(repo.NewRepository{Name: "hello"})
	r, err := w.SetDefaultBranch(w.ctx, r, "trunk", nil) // nothing there yet
	if err != nil || r.DefaultBranch != "trunk" {
		t.Fatalf("%+v, %v", r, err)
	}
	if diff := cmp.Diff([]string{"main", "trunk"}, r.Gated, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("a gate opened:\n%s", diff)
	}
	if err := w.Import(w.ctx, r, upstream(t, "trunk"), git.Auth{AllowLocal: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SetDefaultBranch(w.ctx, r, "nowhere", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("a branch that is not there: %v", err)
	}
	if _, err := w.SetDefaultBranch(w.ctx, r, "a..b", nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("no branch name: %v", err)
	}
	r, err = w.SetDefaultBranch(w.ctx, r, "old", nil)
	if err != nil || r.DefaultBranch != "old" || !r.Gates("old") || !r.Gates("main") {
		t.Errorf("%+v, %v", r, err)
	}
	// what is done in the same transaction sees both rows, and undoes all with its no
	no := fault.New(fault.Conflict, "test", "no", "")
	_, err = w.SetDefaultBranch(w.ctx, r, "twin", func(_ *db.Tx, before, now repo.Repository) error {
		if before.DefaultBranch != "old" || before.Gates("twin") || now.DefaultBranch != "twin" || !now.Gates("twin") {
			t.Errorf("before %+v, now %+v", before, now)
		}
		return no
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("undone with %v", err)
	}
	g, err := w.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	head, err := g.Head(w.ctx)
	now, err2 := w.ByID(w.ctx, w.DB.Read(), r.ID)
	if err != nil || err2 != nil || head != "refs/heads/old" || now.DefaultBranch != "old" || now.Gates("twin") {
		t.Errorf("HEAD is %s, the row %+v: %v, %v", head, now, err, err2)
	}
}
