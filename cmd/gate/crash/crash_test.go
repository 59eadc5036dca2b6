// Package crash_test kills the server, again and again, at every named crash point and at
// random moments, and holds it to its promise afterwards: no acknowledged push is lost,
// nothing lands ungated, nothing lands twice, the restart picks everything up.
package crash_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gate/gatetest"
)

// rounds is how often each part of the life of a push is killed.
const rounds = 20

const planText = `version: 1
stages:
  unit: {run: "sh test.sh"}
gates:
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [tested], how: merge}
`

// testText lets a change through unless it holds a file "bad"; it takes long enough to be
// killed in the middle when the test asks for that with a file "slow".
const testText = "test ! -e slow || sleep 2\ntest ! -e bad\n"

// The crash points, by the part of the life that they cut.
var points = map[string][]string{
	"push":    {"push.decided", "git.migrate.before", "git.migrate.after", "push.migrated", "git.refs.before", "git.refs.after", "review.hold.numbers", "review.hold.refs", "review.hold.rows", "push.durable"},
	"stage":   {"stage.claimed", "stage.executed"},
	"landing": {"land.intent.written", "land.ref.moved", "land.outcome.written"},
	"mirror":  {"mirror.pushed", "mirror.recorded"},
}

// crashWorld is a server with one repository that is mirrored, and a working copy.
type crashWorld struct {
	*gatetest.World
	work, upstream string
	held           string // the server's repository, read without the server
	serial         int
	landed, bad    []string // Change-Ids
}

func newWorld(t *testing.T) *crashWorld {
	w := &crashWorld{World: gatetest.New(t)}
	w.Flags = []string{"--sandbox=none"}
	w.work, w.upstream = filepath.Join(w.Dir, "work"), filepath.Join(w.Dir, "upstream.git")
	w.Git(w.Dir, "init", "-q", "-b", "main", w.work)
	w.Git(w.Dir, "init", "-q", "--bare", w.upstream)
	w.write("gatehouse.yaml", planText)
	w.write("test.sh", testText)
	w.Git(w.work, "add", "-A")
	w.Git(w.work, "commit", "-qm", "begin")
	w.Local("repo", "create", "hello", "--import", w.work, "--mirror", w.upstream)
	w.Start()
	w.held = w.RepositoryDir("hello")
	w.Stop()
	return w
}

func (w *crashWorld) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.work, name), []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

// commit makes a change on top of the branch and returns its Change-Id. It asks the disk, not
// the server, which may be dead by now of a mirroring that was left over.
func (w *crashWorld) commit(files ...string) string {
	w.Helper()
	w.serial++
	id := fmt.Sprintf("I%040x", w.serial)
	w.Git(w.work, "fetch", "-q", w.held, "main")
	w.Git(w.work, "checkout", "-q", "--detach", "FETCH_HEAD")
	for _, name := range append(files, fmt.Sprintf("file%d", w.serial)) {
		w.write(name, id)
	}
	w.Git(w.work, "add", "-A")
	w.Git(w.work, "commit", "-qm", fmt.Sprintf("change %d\n\nChange-Id: %s", w.serial, id))
	return id
}

// push sends HEAD to be landed and reports whether the server acknowledged it.
func (w *crashWorld) push() (acknowledged bool, output string) {
	_, err := w.Run(w.work, nil, "git", "push", "-o", "submit", w.HTTPRemote("hello"), "HEAD:refs/for/main")
	if err != nil {
		return false, err.Error()
	}
	return true, ""
}

// retry pushes again what was not acknowledged: it is held now, or was all along.
func (w *crashWorld) retry() {
	w.Helper()
	ok, output := w.push()
	if !ok && !strings.Contains(output, "no new changes") {
		w.Fatalf("retried push: %s", output)
	}
}

// change is what the API says of a change.
type change struct {
	Number       int64  `json:"number"`
	Key          string `json:"key"`
	Status       string `json:"status"`
	LandedCommit string `json:"landed_commit"`
}

func (w *crashWorld) find(key string) (change, bool) {
	w.Helper()
	out := w.Gate("change", "list", "--repo", "hello", "--status", "all", "--limit", "100", "--json")
	var all []change
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		w.Fatal(err)
	}
	for _, c := range all {
		if c.Key == key {
			return c, true
		}
	}
	return change{}, false
}

// state is where `gate why` says that a change stands.
func (w *crashWorld) state(c change) string {
	w.Helper()
	var e struct{ State string }
	if err := json.Unmarshal([]byte(w.Gate("why", fmt.Sprint(c.Number), "--json")), &e); err != nil {
		w.Fatal(err)
	}
	return e.State
}

// settle waits until the change has landed and the mirror has it.
func (w *crashWorld) settle(key string) {
	w.Helper()
	var c change
	w.Until("change "+key+" lands", func() bool {
		var ok bool
		c, ok = w.find(key)
		return ok && c.Status == "landed"
	})
	w.landed = append(w.landed, key)
	w.Until("the mirror has "+c.LandedCommit, func() bool {
		out, err := w.Run(w.upstream, nil, "git", "rev-parse", "refs/heads/main")
		if err != nil {
			return false
		}
		_, err = w.Run(w.upstream, nil, "git", "merge-base", "--is-ancestor", c.LandedCommit, strings.TrimSpace(out))
		return err == nil
	})
}

func TestKilledAtEveryCrashPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; make test runs it")
	}
	for part, names := range points {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for round := range rounds {
				point := names[round%len(names)]
				w.Start("GATE_CRASH_AT=" + point)
				key := w.commit()
				acknowledged, output := w.push()
				w.Died()
				w.Start()
				held := true
				if _, held = w.find(key); acknowledged && !held {
					t.Fatalf("%s: an acknowledged push is lost\n%s", point, output)
				}
				if !acknowledged {
					w.retry()
				}
				w.settle(key)
				w.Stop()
			}
			w.audit()
		})
	}
}

// A server killed at random moments, stages in the middle included, while good and bad
// changes are pushed.
func TestKilledAtRandomMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; make test runs it")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	for range rounds {
		w.Start()
		good := w.commit("slow")
		acknowledged, _ := w.push()
		bad := w.commit("bad")
		_, _ = w.push()
		w.bad = append(w.bad, bad)
		// The moment is random on purpose: the condition is the passing of time itself.
		<-time.After(time.Duration(random.IntN(2500)) * time.Millisecond)
		w.Kill()
		w.Start()
		if _, held := w.find(good); acknowledged && !held {
			t.Fatal("an acknowledged push is lost")
		}
		w.settle(good)
		w.Until("the bad change is refused", func() bool {
			c, ok := w.find(bad)
			return !ok || w.state(c) == "REFUSED"
		})
		w.Stop()
	}
	w.audit()
}

// audit compares what the server says with what its repository holds.
func (w *crashWorld) audit() {
	w.Helper()
	dir := w.held
	w.Git(dir, "fsck", "--full", "--strict") // while no server writes beside it
	w.Start()
	chain := strings.Fields(w.Git(dir, "rev-list", "--first-parent", "refs/heads/main"))
	if want := len(w.landed) + 1; len(chain) != want {
		w.Errorf("main has %d first-parent commits, want %d: one per landed change and the first", len(chain), want)
	}
	count := map[string]int{}
	for _, oid := range chain {
		count[oid]++
	}
	for _, key := range w.landed {
		c, ok := w.find(key)
		if !ok || count[c.LandedCommit] != 1 {
			w.Errorf("change %s landed as %q, which main holds %d times", key, c.LandedCommit, count[c.LandedCommit])
		}
	}
	for _, key := range w.bad {
		if c, ok := w.find(key); ok && c.Status == "landed" {
			w.Errorf("the bad change %s landed", key)
		}
	}
	if out := w.Git(dir, "ls-tree", "--name-only", "refs/heads/main"); strings.Contains(out, "bad") {
		w.Error("main holds a bad file")
	}
	for _, leftover := range []string{"incoming-*", "tmp_objdir-*"} {
		if found, _ := filepath.Glob(filepath.Join(dir, "objects", leftover)); len(found) > 0 {
			w.Errorf("left over: %v", found)
		}
	}
	w.Stop()
}
