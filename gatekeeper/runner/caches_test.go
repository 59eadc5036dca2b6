package runner

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// cacheFiles are the folders that are kept.
func cacheFiles(t *testing.T, f *fixture) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(f.Cache, cachedFolders, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A folder outlives its stage when that passed, for stages of the same repository and trust.
func TestFoldersOutliveTheirStage(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		run := func(repo int64, trust, script, state string) Result {
			t.Helper()
			result, log := f.run(t, Request{RepoID: repo, Trust: trust, Stage: plan.Stage{Run: script, Caches: []string{"node/modules", "target"}}})
			wantState(t, result, log, state)
			if len(result.Notes) != 0 {
				t.Errorf("notes %q", result.Notes)
			}
			return result
		}
		const fresh, have = `test ! -e node`, `test "$(cat node/modules/a/f)" = kept`
		make := `set -e; mkdir -p node/modules/a; echo kept > node/modules/a/f; chmod 755 node/modules/a/f; touch -d @1000000000 node/modules/a/f
			ln -s /usr/bin/perl node/modules/perl; mkdir node/modules/ro; chmod 500 node/modules/ro; mkfifo node/modules/pipe`
		run(1, "", fresh+"; "+make+"; exit 1", failed)
		run(1, "", fresh+"; "+make, passed)
		run(1, "", have+` && test "$(stat -c %Y.%a node/modules/a/f)" = 1000000000.755 && test "$(readlink node/modules/perl)" = /usr/bin/perl &&
			touch node/modules/a/new && test "$(stat -c %u node/modules/a)" = "$(id -u)"`, passed)
		run(1, "", have+" && test -e node/modules/a/new && rm -r node", passed)
		run(1, "", have, passed) // that it was removed is not kept, as a folder that was never there is not
		run(2, "", fresh, passed)
		run(1, "queue", fresh+"; mkdir -p node/modules/a; echo evil > node/modules/a/f", passed)
		run(1, "", have, passed)
		run(1, "queue", "grep evil node/modules/a/f", passed)
		run(0, "", fresh, passed)
	})
}

// What nobody has approved cannot reach the cache of what is about to land, whatever it does.
func TestCachesArePoisonedOnlyForTheirOwn(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		stage := func(trust, script string) (Result, string) {
			return f.run(t, Request{RepoID: 1, Trust: trust, Stage: plan.Stage{Run: script, Caches: []string{"c"}}})
		}
		result, log := stage("queue", "mkdir c; echo good > c/f")
		wantState(t, result, log, passed)
		for _, attack := range []string{
			"mkdir c; echo evil > c/f",
			"ln -s ../../../cache/folders/1-queue c",
			"ln -s / c",
			"mkdir c; ln -s ../../cache/folders/1-queue c/f",
			`for d in /cache/../folders /cache/folders "$XDG_CACHE_HOME/../../folders"; do for f in $(ls $d/*/* 2>/dev/null); do : > $f; done; done; true`,
		} {
			if mode == None && strings.Contains(attack, "for d in") {
				continue // without walls nothing keeps it out
			}
			result, log := stage("", "rm -rf c; "+attack)
			wantState(t, result, log, passed)
			result, log = stage("queue", "cat c/f")
			wantState(t, result, log, passed)
			if log != "good\n" {
				t.Errorf("after %q: %q", attack, log)
			}
		}
	})
}

// treeWithLink is a source in which the folder of the cache is a link.
type treeWithLink struct{ to string }

func (s treeWithLink) Checkout(_ context.Context, _ git.OID, dir string) error {
	return os.Symlink(s.to, filepath.Join(dir, "c"))
}

func TestCachesStayInTheTree(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		outside := t.TempDir()
		req := Request{RepoID: 1, Stage: plan.Stage{Run: "mkdir -p c/d; echo x > c/d/f", Caches: []string{"c"}}}
		result, log := f.run(t, req)
		wantState(t, result, log, passed)
		for _, folder := range []string{"c", "c/d"} {
			req.Stage.Run, req.Stage.Caches, req.Repo = "true", []string{folder}, treeWithLink{outside}
			if folder == "c/d" { // one is kept for it too
				result, log := f.run(t, Request{RepoID: 1, Stage: plan.Stage{Run: "mkdir -p c/d; echo x > c/d/f", Caches: []string{"c/d"}}})
				wantState(t, result, log, passed)
			}
			result, log = f.run(t, req)
			wantState(t, result, log, passed)
			if text := strings.Join(result.Notes, "\n"); !strings.Contains(text, "was not restored") || !strings.Contains(text, "was not kept") {
				t.Errorf("%s: notes %q", folder, result.Notes)
			}
		}
		if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
			t.Errorf("written outside: %v, %v", left, err)
		}
		for _, folder := range []string{"../c", "/tmp/c", ".", ""} {
			result, log := f.run(t, Request{RepoID: 1, Stage: plan.Stage{Run: "true", Caches: []string{folder}}})
			wantState(t, result, log, failed)
		}
		// A folder of the commit is not mixed with the cache's.
		result, log = f.run(t, Request{RepoID: 1, Repo: files{"c/own": "x"}, Stage: plan.Stage{Run: "test ! -e c/d && exit 1", Caches: []string{"c"}}})
		wantState(t, result, log, failed)
		if len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "there is something already") {
			t.Errorf("notes %q", result.Notes)
		}
	})
}

func TestCachesAreBounded(t *testing.T) {
	needMode(t, Embedded)
	f := newFixture(t, Embedded)
	f.Limits.CacheFolder, f.Limits.Caches = 100_000, 200_000
	clock := time.Unix(1_000_000_000, 0)
	f.Now = func() time.Time { return clock }
	run := func(repo int64, script string) Result {
		t.Helper()
		result, log := f.run(t, Request{RepoID: repo, Stage: plan.Stage{Run: script, Caches: []string{"c"}}})
		wantState(t, result, log, passed)
		return result
	}

	const fill = "mkdir -p c; head -c 80000 /dev/zero > c/f"
	result := run(1, "mkdir c; head -c 200000 /dev/zero > c/f")
	if len(result.Notes) != 1 || !strings.Contains(result.Notes[0], `its cache "c" was not kept: it is larger than 100000 bytes`) {
		t.Errorf("notes %q", result.Notes)
	}
	if left := cacheFiles(t, f); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	age := func(repo string, by time.Duration) {
		t.Helper()
		old := time.Now().Add(-by)
		for _, name := range cacheFiles(t, f) {
			if filepath.Base(filepath.Dir(name)) == repo {
				if err := os.Chtimes(name, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	run(1, fill)
	run(2, fill)
	age("1", 2*time.Hour)
	age("2", 3*time.Hour)
	clock = time.Now()
	used, log := f.run(t, Request{RepoID: 2, Stage: plan.Stage{Run: "test -e c/f && exit 1", Caches: []string{"c"}}})
	wantState(t, used, log, failed) // it is used, and not kept anew
	run(3, fill)
	var repos []string
	for _, name := range cacheFiles(t, f) {
		repos = append(repos, filepath.Base(filepath.Dir(name)))
	}
	if strings.Join(repos, " ") != "2 3" {
		t.Errorf("kept those of %q; the first was not used for longest", repos)
	}
	// One that is damaged is noted, removed, and not there by half.
	for _, name := range cacheFiles(t, f) {
		if err := os.Truncate(name, 40_000); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+".X"+draftEnd, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	result = run(3, "test ! -e c")
	if len(result.Notes) != 1 || !strings.Contains(result.Notes[0], "was not restored") {
		t.Errorf("notes %q", result.Notes)
	}
	if err := f.Janitor(); err != nil {
		t.Fatal(err)
	}
	if left := cacheFiles(t, f); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// Stages that run at once each find a whole folder of one of them.
func TestCachesOfStagesAtOnce(t *testing.T) {
	needMode(t, Embedded)
	f := newFixture(t, Embedded)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				var log syncBuffer
				result := f.Run(context.Background(), Request{RepoID: 1, Repo: files{}, Log: &log, Stage: plan.Stage{Caches: []string{"c"}, Run: `set -e
if test -e c; then test "$(cat c/* | sort -u | wc -l)" = 1; test "$(ls c | wc -l)" = 20; fi
mkdir -p c; for n in $(seq 20); do echo "$RUN" > c/$n; done`,
					Env: map[string]string{"RUN": time.Now().String()}}})
				if result.State != passed || len(result.Notes) != 0 {
					t.Errorf("%+v\n%s", result, log.String())
				}
			}
		})
	}
	wg.Wait()
	if left := cacheFiles(t, f); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}
