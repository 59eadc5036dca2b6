package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gate/gatetest"
)

// itselfPlan is the plan that this project's own repository is put behind: it vets all of it and
// tests the rooms at the bottom, which takes a minute or two and not as long as everything.
const itselfPlan = `version: 1
stages:
  go:
    run: |
      echo "tested $GATE_COMMIT $(go version)"
      go vet ./... && go test -short -json ./docs ./migrations/... ./gitserver/git ./gitserver/event ./review/diff ./review/owners \
        ./gatekeeper/plan ./gatekeeper/queue ./gatekeeper/job ./gatekeeper/annotate > unit.json && exit
      # The log shows what failed; the results have the rest.
      grep -h '"Action":"fail"' unit.json
      grep -h '"Action":"output"' unit.json | grep -E 'FAIL|_test.go|panic' | tail -n 200
      exit 1
    results: {gotest: unit.json}
    timeout: 25m
    memory: 6GiB
gates:
  tested: {after: [go], require: [{stages: passed}, {tests: {failed: 0, min: 100}}]}
land: {after: [tested], how: merge}
`

// stagePatience bounds the stage, which vets all of this project and tests a good part.
const stagePatience = 25 * time.Minute

// TestGatehouseBehindItself puts the repository of this very project behind a fresh gate, at
// the commit before the last, pushes the last commit as a change, and has it vetted, tested,
// landed and mirrored.
func TestGatehouseBehindItself(t *testing.T) {
	if testing.Short() {
		t.Skip("vets the whole project in a stage; make test does it")
	}
	source := ownRepository(t)
	w := gatetest.New(t)
	w.Flags = goFlags(t)
	w.Start()
	work, upstream := filepath.Join(w.Dir, "gatehouse"), filepath.Join(w.Dir, "upstream.git")
	begin, change := rewind(w, source, work)
	w.Git(w.Dir, "init", "-q", "--bare", upstream)
	w.Gate("repo", "create", "gatehouse", "--import", work, "--mirror", upstream)
	dir := w.RepositoryDir("gatehouse")
	warmCache(t, filepath.Join(w.Data, "cache", strings.TrimLeft(strings.TrimSuffix(filepath.Base(dir), ".git"), "0")))

	w.Git(work, "push", "-q", "-o", "submit", w.HTTPRemote("gatehouse"), change+":refs/for/main")
	landed := awaitLanding(t, w)

	if tip := w.Git(dir, "rev-parse", "refs/heads/main"); tip != landed {
		t.Errorf("main is %s, and %s has landed", tip, landed)
	}
	if got, want := w.Git(dir, "show", "-s", "--format=%P", landed), begin+" "+change; got != want {
		t.Errorf("what landed stands on %q, want %q", got, want)
	}
	if got, want := w.Git(dir, "rev-parse", landed+"^{tree}"), w.Git(work, "rev-parse", change+"^{tree}"); got != want {
		t.Errorf("the tree that landed is %s, and %s was pushed", got, want)
	}
	stage, tests := ownStage(t, w)
	if log := w.Gate("log", fmt.Sprint(stage)); !strings.Contains(log, "tested "+landed+" go version") {
		t.Errorf("%s has landed, and the stage ran on another commit:\n%s", landed, log)
	}
	t.Logf("landed %s: %s", landed, tests)
	w.Until("the mirror follows", func() bool {
		tip, err := w.Run(upstream, nil, "git", "rev-parse", "-q", "--verify", "refs/heads/main")
		return err == nil && tip == landed
	})
	if here, there := w.Git(dir, "cat-file", "commit", landed), w.Git(upstream, "cat-file", "commit", landed); here != there {
		t.Errorf("the mirror has another commit of that name:\n%s\n%s", here, there)
	}
}

// ownRepository is the checkout that this test belongs to, with a last commit and one before.
func ownRepository(t *testing.T) string {
	t.Helper()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err == nil {
		err = exec.Command("git", "rev-parse", "-q", "--verify", "HEAD~1^{commit}").Run()
	}
	if err != nil {
		const words = "this test needs the project's own history: run it in a git checkout with at least two commits (in continuous integration, without --depth 1)"
		if os.Getenv("CI") != "" {
			t.Fatal(words)
		}
		t.Skip(words)
	}
	return strings.TrimSpace(string(top))
}

// goFlags let stages use this machine's Go and its modules, without network.
func goFlags(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(string(out), "\n")
	root, modules := env[0], env[1]
	dirs := []string{modules}
	if !strings.HasPrefix(root, "/usr/") && !strings.HasPrefix(root, modules+"/") {
		dirs = append(dirs, root)
	}
	return []string{
		"--stage-dirs", strings.Join(dirs, ","),
		"--stage-env", "GOMODCACHE=" + modules + ",GOPROXY=off,GOTOOLCHAIN=local,GOFLAGS=" + env[2] + ",PATH=" + filepath.Join(root, "bin") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
	}
}

// rewind clones source into work, with main at the commit before the last one and the plan
// on top, and returns that and the last commit as a change on it.
func rewind(w *gatetest.World, source, work string) (begin, change string) {
	w.Helper()
	w.Git(w.Dir, "clone", "-q", "--no-checkout", source, work)
	last := w.Git(work, "rev-parse", "HEAD")
	commit := func(tree string, args ...string) {
		w.Git(work, "read-tree", "-u", "--reset", tree)
		if err := os.WriteFile(filepath.Join(work, "gatehouse.yaml"), []byte(itselfPlan), 0o644); err != nil {
			w.Fatal(err)
		}
		w.Git(work, "add", "gatehouse.yaml")
		w.Git(work, append([]string{"commit", "-q", "--allow-empty"}, args...)...)
	}
	w.Git(work, "checkout", "-q", "--detach", last+"~1")
	commit("HEAD", "-m", "put the project behind its own gate")
	begin = w.Git(work, "rev-parse", "HEAD")
	w.Git(work, "branch", "-f", "main", begin)
	commit(last, "-C", last)
	w.Git(work, "-c", "trailer.ifexists=doNothing", "commit", "-q", "--amend", "--no-edit", "--trailer", "Change-Id: I"+last)
	change = w.Git(work, "rev-parse", "HEAD")
	w.Git(work, "checkout", "-q", "main")
	return begin, change
}

// warmCache gives a repository's stages what this machine has compiled already. The files are
// links, which stages may read and, being somebody else's, not write.
func warmCache(t *testing.T, cache string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	from, to := strings.TrimSpace(string(out)), filepath.Join(cache, "go-build")
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir() && d.Name() == "fuzz":
			return filepath.SkipDir
		case d.IsDir():
			return errors.Join(os.MkdirAll(at, 0o700), os.Chmod(at, 0o777)) //nolint:gosec // stages run as somebody else
		case d.Type().IsRegular():
			return ignoreGone(os.Link(path, at))
		default:
			return nil
		}
	})
	if err != nil {
		t.Logf("the stage compiles everything: %v", err) // another file system, most likely
	}
}

// ignoreGone ignores what another go command has just trimmed from the cache.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// awaitLanding waits until the one change has landed, and returns the commit.
func awaitLanding(t *testing.T, w *gatetest.World) string {
	t.Helper()
	deadline := time.NewTimer(stagePatience)
	defer deadline.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		var e struct {
			State        string
			LandedCommit string `json:"landed_commit"`
		}
		out := w.Gate("why", "1", "--json")
		if err := json.Unmarshal([]byte(out), &e); err != nil {
			t.Fatal(err)
		}
		switch e.State {
		case "LANDED":
			return e.LandedCommit
		case "REFUSED", "CONFLICT", "ABANDONED":
			stage, _ := ownStage(t, w)
			t.Fatalf("%s\n%s", out, w.Gate("log", fmt.Sprint(stage)))
		}
		select {
		case <-deadline.C:
			t.Fatalf("not landed after %s: %s", stagePatience, out)
		case <-look.C:
		}
	}
}

// ownStage is the id of the stage run that tested the change, and what its tests came to.
func ownStage(t *testing.T, w *gatetest.World) (id int64, tests string) {
	t.Helper()
	out, err := w.Run(w.Dir, nil, "curl", "-fsS", w.HTTP+"/api/v1/changes/1/runs")
	if err != nil {
		t.Fatal(err)
	}
	var runs struct {
		Items []struct {
			Stages []struct {
				ID    int64
				Tests struct{ Passed, Failed, Skipped int }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &runs); err != nil || len(runs.Items) == 0 || len(runs.Items[0].Stages) == 0 {
		t.Fatalf("no stage has run: %v: %s", err, out)
	}
	stage := runs.Items[0].Stages[0]
	return stage.ID, fmt.Sprintf("%d tests passed, %d failed, %d skipped", stage.Tests.Passed, stage.Tests.Failed, stage.Tests.Skipped)
}
