package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/cmd/gate/gatetest"
	"gatehouse/gatekeeper/sim"
)

// What the changes of the crowd do.
const (
	fine    = "fine"
	bad     = "bad"     // fails, always
	flaky   = "flaky"   // the first run that has it in it fails
	left    = "left"    // fails together with right, and each passes alone
	right   = "right"   //
	rival   = "rival"   // writes what the other rival writes
	stacked = "stacked" // on the one before it
	needs   = "needs"   // by Depends-On, the one after it
	hurries = "hurries" // is made a hotfix while all others wait
)

const (
	crowdWorkers    = 4
	crowdStageTakes = 8 * time.Second // in the benchmark: a short stage of a small project
)

// crowd is who comes, in this order, in turn for one of three targets.
var crowd = []string{
	fine, fine, fine, flaky, fine, bad, fine, fine, rival, fine, fine, rival, left, fine, flaky, right, fine, bad, fine, fine,
	flaky, fine, stacked, stacked, fine, needs, fine, fine, fine, hurries,
}

const crowdPlan = `version: 1
targets: {a: ["a/**"], b: ["b/**"], c: ["c/**"]}
stages:
  unit: {run: "sh STAGE", timeout: 1m}
gates:
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [tested], how: merge, batch: off}
`

const crowdStage = `set -e
sleep SECONDS
for f in */flaky-*; do
  if [ -e "$f" ] && mkdir "STATE/$(basename "$f")" 2>/dev/null; then echo "$f was unlucky"; exit 1; fi
done
for f in */bad-*; do if [ -e "$f" ]; then echo "$f is bad"; exit 1; fi; done
for f in */left-*; do
  if [ -e "$f" ]; then for g in */right-*; do if [ -e "$g" ]; then echo "$f and $g do not go together"; exit 1; fi; done; fi
done
for d in a b c; do echo "$d:" $(LC_ALL=C ls "$d") >>STATE/passed; done
`

// Thirty changes at once, for four workers: failures, conflicts, bad luck, a stack, a change that
// depends on another, and a hotfix. All and only those land that should, each of them as
// exactly the commit that passed.
func TestACrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; make test runs it")
	}
	came := comeTogether(t, time.Second)
	came.check(t)
	t.Logf("%d changes whose stage takes a second were decided in %s", len(crowd), came.took)
}

// BenchmarkCrowd holds how long the crowd takes against what `gate sim` predicts for it: the same
// arrivals, the same luck, a server that needs no time of its own. The stage takes as long as a
// short one does, so that the figure is of the queue rather than of starting a shell.
func BenchmarkCrowd(b *testing.B) {
	for b.Loop() {
		came := comeTogether(b, crowdStageTakes)
		came.check(b)
		told, err := sim.Run(came.trace(crowdStageTakes), "ours", crowdWorkers, sim.Options{})
		if err != nil {
			b.Fatal(err)
		}
		said := time.Duration(told.Makespan * float64(time.Minute))
		b.ReportMetric(came.took.Seconds(), "s")
		b.ReportMetric(said.Seconds(), "s-predicted")
		b.ReportMetric(came.took.Seconds()/said.Seconds(), "x-predicted")
	}
}

// crowding is what became of a crowd.
type crowding struct {
	world    *gatetest.World
	state    string // the folder in which stages leave what they saw
	arrivals []time.Duration
	took     time.Duration
	changes  []crowdChange
}

// comeTogether starts a server, pushes the crowd and waits until everybody is decided.
func comeTogether(t testing.TB, takes time.Duration) *crowding {
	t.Helper()
	w := gatetest.New(t)
	w.Flags = []string{"--sandbox=none", fmt.Sprintf("--workers=%d", crowdWorkers)}
	c := &crowding{world: w, state: filepath.Join(w.Dir, "state"), arrivals: make([]time.Duration, len(crowd))}
	work := filepath.Join(w.Dir, "crowd")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(c.state, 0o755); err != nil {
		t.Fatal(err)
	}
	stage := filepath.Join(w.Dir, "stage.sh")
	write(stage, strings.NewReplacer("SECONDS", fmt.Sprint(takes.Seconds()), "STATE", c.state).Replace(crowdStage))
	w.Git(w.Dir, "init", "-q", "-b", "main", work)
	write(filepath.Join(work, "gatehouse.yaml"), strings.ReplaceAll(crowdPlan, "STAGE", stage))
	for _, target := range []string{"a", "b", "c"} {
		write(filepath.Join(work, target, "begin"), target+"\n")
	}
	w.Git(work, "add", "-A")
	w.Git(work, "commit", "-qm", "begin")
	w.Local("repo", "create", "crowd", "--import", work)
	w.Start()

	keys := crowdKeys()
	began := time.Now()
	base := w.Git(work, "rev-parse", "main")
	for i, kind := range crowd {
		if kind != stacked {
			w.Git(work, "checkout", "-q", "--detach", base)
		}
		target := crowdTarget(i)
		if kind == rival {
			write(filepath.Join(work, target, "rival"), fmt.Sprintf("%d\n", i))
		}
		write(filepath.Join(work, target, fmt.Sprintf("%s-%d", kind, i)), kind+"\n")
		message := fmt.Sprintf("%s %d\n\nChange-Id: %s", kind, i, keys[i])
		if kind == needs {
			message += "\nDepends-On: " + keys[i+1]
		}
		w.Git(work, "add", "-A")
		w.Git(work, "commit", "-qm", message)
		c.arrivals[i] = time.Since(began)
		if i+1 < len(crowd) && crowd[i+1] == stacked {
			continue // pushed with the one on top of it
		}
		w.Git(work, "push", "-q", "-o", "submit", w.HTTPRemote("crowd"), "HEAD:refs/for/main")
		c.arrivals[i] = time.Since(began)
	}
	w.Gate("queue", "promote", fmt.Sprint(len(crowd)), "--hotfix", "--reason", "production is down")
	w.Until("everybody is decided", func() bool { return c.decided(t) })
	c.took = time.Since(began)
	return c
}

// decided reads what became of everybody, and whether that is final. It asks for each change
// only when the queue is empty: who asks all the time takes the machine from those who are asked.
func (c *crowding) decided(t testing.TB) bool {
	t.Helper()
	w := c.world
	var queued struct{ Standings []json.RawMessage }
	if err := json.Unmarshal([]byte(w.Gate("queue", "show", "crowd", "--json")), &queued); err != nil {
		t.Fatal(err)
	}
	if len(queued.Standings) > 0 {
		return false
	}
	c.changes = nil
	if err := json.Unmarshal([]byte(w.Gate("change", "list", "--repo", "crowd", "--status", "all", "--limit", "100", "--json")), &c.changes); err != nil {
		t.Fatal(err)
	}
	for i := range c.changes {
		if one := &c.changes[i]; one.Status == "open" {
			var why struct{ State string }
			if err := json.Unmarshal([]byte(w.Gate("why", fmt.Sprint(one.Number), "--json")), &why); err != nil {
				t.Fatal(err)
			}
			if one.State = why.State; one.State != "REFUSED" && one.State != "CONFLICT" {
				return false
			}
		}
	}
	return len(c.changes) == len(crowd)
}

// check says who landed that should not have, or the other way, or as what no run passed.
func (c *crowding) check(t testing.TB) {
	t.Helper()
	w := c.world
	passed, err := os.ReadFile(filepath.Join(c.state, "passed"))
	if err != nil {
		t.Fatal(err)
	}
	tested := strings.Split(string(passed), "\n")
	dir := w.RepositoryDir("crowd")
	landed, pairs := 0, map[string]int{}
	for _, one := range c.changes {
		i := slices.IndexFunc(crowdKeys(), func(k string) bool { return k == one.Key })
		kind, lands := crowd[i], one.Status == "landed"
		switch kind {
		case left, right:
			pairs["left and right"] += btoi(lands)
		case rival:
			pairs["the rivals"] += btoi(lands)
		default:
			if lands != (kind != bad) {
				t.Errorf("%d, %s %d, is %s %s", one.Number, kind, i, one.Status, one.State)
			}
		}
		if !lands {
			continue
		}
		landed++
		target := crowdTarget(i)
		names := strings.Fields(strings.ReplaceAll(w.Git(dir, "ls-tree", "--name-only", one.Landed, target+"/"), target+"/", ""))
		if line := strings.Join(append([]string{target + ":"}, names...), " "); !slices.Contains(tested, line) {
			t.Errorf("%s %d landed as %s, which no run passed: %s", kind, i, one.Landed, line)
		}
	}
	for who, n := range pairs {
		if n != 1 {
			t.Errorf("%d of %s landed, want one", n, who)
		}
	}
	if chain := strings.Fields(w.Git(dir, "rev-list", "--first-parent", "refs/heads/main")); len(chain) != landed+1 {
		t.Errorf("main has %d first-parent commits, want %d", len(chain), landed+1)
	}
}

// trace is the crowd as the simulator takes it. It knows no stacks, no Depends-On and no hotfix:
// those wait for nothing there, which makes its prediction the shorter one.
func (c *crowding) trace(takes time.Duration) *sim.Trace {
	t := &sim.Trace{Name: "crowd", Hours: 1, Analyzer: true}
	first := map[string]int{}
	for i, kind := range crowd {
		one := sim.Change{Arrival: c.arrivals[i].Minutes(), Minutes: takes.Minutes(), OK: btoi(kind != bad), Modules: []int{int(crowdTarget(i)[0])}}
		switch kind {
		case flaky:
			one.Flakes = []int{0}
		case left, rival:
			if j, ok := first[kind]; ok {
				one.Conflicts = []int{j}
			}
			first[kind] = i
		case right:
			one.Conflicts = []int{first[left]}
		}
		t.Changes = append(t.Changes, one)
	}
	return t
}

type crowdChange struct {
	Number int64  `json:"number"`
	Key    string `json:"key"`
	Status string `json:"status"`
	Landed string `json:"landed_commit"`
	State  string `json:"-"`
}

func crowdKeys() []string {
	keys := make([]string, len(crowd))
	for i := range crowd {
		keys[i] = fmt.Sprintf("I%040x", i+1)
	}
	return keys
}

// crowdTarget is the folder that a change is for.
func crowdTarget(i int) string {
	switch crowd[i] {
	case left, right, stacked:
		return "a"
	case rival:
		return "b"
	}
	return string("abc"[i%3])
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
