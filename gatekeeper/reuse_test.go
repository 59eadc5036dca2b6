package gatekeeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// planWith is a plan that lands without a review, by squash: the tree of what lands is that
// of the patch set, the commit another.
func planWith(stages string) string {
	return "version: 1\nstages:\n" + stages + `
gates:
  tested: {require: [{stages: passed}]}
  review: {require: [{review: {min: 1, not: [uploader]}}]}
land: {after: [tested, review], how: squash}
`
}

const unitOnly = `  unit: {run: "true"}`

// again pushes the newest change once more: the same files with another message.
func (w *world) again(who, message string) {
	w.Helper()
	id := w.serial
	w.git("commit", "-q", "--amend", "-m", fmt.Sprintf("%s\n\nChange-Id: I%040x", message, id))
	if r := w.push(who, "refs/for/main", "HEAD"); r.Reason != "" {
		w.Fatalf("push of %s: %s", message, r.Reason)
	}
}

// twin pushes the same files as another change.
func (w *world) twin(who, message string) int64 {
	w.Helper()
	w.serial++
	w.again(who, message)
	return w.newest()
}

// reason is what the explanation says about a stage.
func reason(e gatekeeper.Explanation, stage string) string {
	for _, r := range e.Requirements {
		if r.Kind == "stage" && r.Name == stage {
			return r.Reason
		}
	}
	return ""
}

func (w *world) executions(want int, why string) {
	w.Helper()
	if ran := w.stages.runs(); len(ran) != want {
		w.Errorf("%d executions, want %d: %s: %q", len(ran), want, why, ran)
	}
}

// What passed on the very tree that would land is not run again: the change lands at once.
func TestAnEqualTreeIsTestedOnce(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Passed)
	first, err := w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	w.again("alice", "a better message")
	w.until(id, "the second patch set has passed", func(e gatekeeper.Explanation) bool {
		return e.PatchSet == 2 && strings.HasPrefix(reason(e, "unit"), fmt.Sprintf("reused from run %d", first[0].ID))
	})
	w.executions(1, "the tree is the same")
	runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	took := runs[0].Stages[0]
	if took.ReusedFrom != first[0].Stages[0].ID || took.Tests == nil || took.Tests.Passed != 3 {
		t.Errorf("the evidence is not that of the first: %+v", took)
	}
	w.vote("bob", id, 2)
	_, err = w.control.Submit(w.ctx, w.people["alice"], id)
	w.must(err)
	w.state(id, gatekeeper.Landed)
	w.executions(1, "it landed on what was known")
}

// Everything that a result depends on makes another result.
func TestWhatMakesAnotherResult(t *testing.T) {
	for _, c := range []struct {
		name, stage string
		change      func(w *world)
		executions  int
	}{
		{"another message", unitOnly, func(*world) {}, 1},
		{"a day", unitOnly, func(w *world) { w.pass(24 * time.Hour) }, 1},
		{"a month and a day", unitOnly, func(w *world) { w.pass(31 * 24 * time.Hour) }, 2},
		{"another machine", unitOnly, func(w *world) { w.stages.identify("other") }, 2},
		{"another file", unitOnly, func(w *world) { w.write("b.txt", "b\n"); w.git("add", "-A") }, 2},
		{"the network, soon", `  unit: {run: "true", network: true}`, func(w *world) { w.pass(23 * time.Hour) }, 1},
		{"the network, a day later", `  unit: {run: "true", network: true}`, func(w *world) { w.pass(25 * time.Hour) }, 2},
		{"told the commit", `  unit: {run: "test -n $GATE_COMMIT"}`, func(*world) {}, 2},
		{"told through the environment", `  unit: {run: "sh -c \"$X\"", env: {X: "test -n $GATE_PATCH_SET"}}`, func(*world) {}, 2},
		{"inputs that are the same", `  unit: {run: "true", inputs: {paths: ["src/"]}}`, func(w *world) { w.write("b.txt", "b\n"); w.git("add", "-A") }, 1},
		{"inputs that differ", `  unit: {run: "true", inputs: {paths: ["src/"]}}`, func(w *world) { w.write("src/b.txt", "b\n"); w.git("add", "-A") }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, planWith(c.stage))
			id := w.propose("alice", "a.txt", "a\n")
			w.stage(id, "unit", plan.Passed)
			c.change(w)
			w.again("alice", "again")
			w.until(id, "the second patch set has passed", func(e gatekeeper.Explanation) bool {
				return e.PatchSet == 2 && reason(e, "unit") != "" && stateOf(e, "unit") == string(plan.Passed)
			})
			w.executions(c.executions, c.name)
		})
	}
}

func stateOf(e gatekeeper.Explanation, stage string) string {
	for _, r := range e.Requirements {
		if r.Kind == "stage" && r.Name == stage {
			return r.State
		}
	}
	return ""
}

// A stage is told of its subject what it names, and no more.
func TestAStageIsToldWhatItNames(t *testing.T) {
	w := newWorld(t, planWith(`  unit: {run: "./test $GATE_BASE"}`))
	told := make(chan map[string]string, 1)
	w.stages.set(func(r runner.Request) runner.Result { told <- r.Env; return passed() })
	base := w.tip()
	w.propose("alice", "a.txt", "a\n")
	env := <-told
	if len(env) != 3 || env["GATE_BASE"] != string(base) || env["GATE_STAGE"] != "unit" || env["CI"] != "true" {
		t.Errorf("told %v", env)
	}
}

// Docs only: the stage reads none of it, so the change lands on the result of the one before.
func TestDeclaredInputsLandAtOnce(t *testing.T) {
	w := newWorld(t, planWith(`  unit: {run: "true", inputs: {paths: ["src/"]}}`))
	for i, file := range []string{"src/a.txt", "docs/b.txt", "docs/c.txt"} {
		id := w.propose("alice", file, file, "submit")
		w.vote("bob", id, 2)
		w.state(id, gatekeeper.Landed)
		w.executions(1, fmt.Sprintf("after change %d", i+1))
	}
}

// Two that would run the same at the same time are one.
func TestTwoEqualRunsAreOne(t *testing.T) {
	for _, c := range []struct {
		name       string
		first      runner.Result
		executions int
	}{
		{"passed", passed(), 1},
		{"failed", failed(), 2},
		{"lost", runner.Result{State: string(plan.Errored), Reason: "no disk"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, planWith(unitOnly))
			gate, started := make(chan runner.Result), make(chan struct{}, 8)
			w.stages.set(func(runner.Request) runner.Result { started <- struct{}{}; return <-gate })
			w.propose("alice", "a.txt", "a\n")
			<-started
			two := w.twin("bob", "the same")
			w.until(two, "it waits for the first", func(e gatekeeper.Explanation) bool {
				return strings.HasPrefix(reason(e, "unit"), "waits for the result of run")
			})
			w.executions(1, "the second waits")
			gate <- c.first
			if c.executions == 2 {
				gate <- passed()
			}
			w.stage(two, "unit", plan.Passed)
			w.executions(c.executions, c.name)
		})
	}
}

// The first of two equal runs is cancelled: the second runs itself.
func TestTheSecondRunsWhenTheFirstIsCancelled(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	gate, started := make(chan runner.Result), make(chan struct{}, 8)
	w.stages.set(func(runner.Request) runner.Result { started <- struct{}{}; return <-gate })
	one := w.propose("alice", "a.txt", "a\n")
	<-started
	two := w.twin("bob", "the same")
	w.until(two, "it waits for the first", func(e gatekeeper.Explanation) bool {
		return strings.HasPrefix(reason(e, "unit"), "waits for the result of run")
	})
	w.must(w.review.Abandon(w.ctx, w.people["alice"], one, ""))
	gate <- runner.Result{State: string(plan.Canceled), Reason: "stopped"}
	gate <- passed()
	w.stage(two, "unit", plan.Passed)
	w.executions(2, "the first was cancelled")
}

// A result made with a cache that only its change may poison is not shared. The attack: alice,
// who may not land, plants something in her change's cache that makes a broken tree pass.
func TestResultsDoNotCrossTrust(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		return w.account.AddRule(w.ctx, tx, w.repo.ID, "main", account.Submit, account.RoleMaintain)
	}))
	trusts := make(chan string, 8)
	w.stages.set(func(r runner.Request) runner.Result { trusts <- r.Trust; return passed() })
	hers := w.propose("alice", "a.txt", "a\n")
	w.stage(hers, "unit", plan.Passed)
	if trust := <-trusts; trust != fmt.Sprintf("change-%d", hers) {
		t.Fatalf("her stage shares the cache %q", trust)
	}
	owners := w.twin("carol", "the same from an owner")
	w.stage(owners, "unit", plan.Passed)
	w.executions(2, "the owner's change does not take her result")
	if trust := <-trusts; trust != "" {
		t.Fatalf("the owner's stage has the cache %q", trust)
	}
	w.twin("alice", "and again from her")
	w.stage(w.newest(), "unit", plan.Passed)
	w.executions(2, "what the repository's own cache made is for everybody")
}

// A candidate is as trusted as the least trusted patch set in it, tried or stood on; and no two
// sets of changes share a cache, so that neither can poison the other's.
func TestTheCacheOfACandidate(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		return w.account.AddRule(w.ctx, tx, w.repo.ID, "main", account.Submit, account.RoleMaintain)
	}))
	w.control.NoStages = "the test asks only"
	hers, owners, another := w.propose("alice", "a.txt", "a\n"), w.propose("carol", "b.txt", "b\n"), w.propose("bob", "c.txt", "c\n")
	of := func(ids ...int64) (all []queue.Member) {
		for _, id := range ids {
			all = append(all, queue.Member{Change: id, PS: 1})
		}
		return all
	}
	seen := map[string]string{}
	for _, c := range []struct {
		name        string
		members, on []queue.Member
		want        string
	}{
		{"the owner's", of(owners), nil, ""},
		{"nobody's", nil, nil, ""},
		{"hers", of(hers), nil, fmt.Sprintf("change-%d", hers)},
		{"the owner's on hers", of(owners), of(hers), "changes-"},
		{"both of two strangers", of(hers, another), nil, "changes-"},
		{"all", of(hers, another, owners), nil, "changes-"},
	} {
		got, err := w.control.CacheOf(w.ctx, w.repo, "main", c.members, c.on)
		w.must(err)
		if got != c.want && (c.want != "changes-" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if other := seen[got]; other != "" && got != "" {
			t.Errorf("%s and %s share %q", c.name, other, got)
		}
		seen[got] = c.name
	}
}

// A run of the branch itself asks whether it passes now: it takes what is an hour old at most.
func TestABareRunTakesOnlyWhatIsFresh(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.control.NoStages = "the test is the worker"
	for _, c := range []struct {
		after time.Duration
		want  plan.StageState
	}{{0, plan.Queued}, {59 * time.Minute, plan.Passed}, {2 * time.Minute, plan.Queued}} {
		w.pass(c.after)
		s := w.bareRun()
		if s.State != c.want {
			t.Fatalf("after another %s: %s, want %s", c.after, s.State, c.want)
		}
		if s.State == plan.Queued {
			w.workOff(s.ID, passed())
		}
		// The next run is of another candidate: a bare branch has one for each look.
		_, err := w.db.SQL().ExecContext(w.ctx, `UPDATE candidates SET ground = id WHERE change_id = 0`)
		w.must(err)
	}
}

// bareRun starts a run of the branch itself and gives its stage.
func (w *world) bareRun() gatekeeper.StageRun {
	w.Helper()
	run, err := w.control.StartBare(w.ctx, w.repo, "main")
	w.must(err)
	w.must(w.control.Advance(w.ctx, run))
	stages, err := w.control.StagesOf(w.ctx, run)
	w.must(err)
	if len(stages) != 1 {
		w.Fatalf("stages of the branch: %+v", stages)
	}
	return stages[0]
}

// workOff does a worker's work on one stage run.
func (w *world) workOff(id int64, result runner.Result) {
	w.Helper()
	attempt, err := w.control.Claim(w.ctx, id)
	w.must(err)
	if attempt == nil {
		w.Fatalf("stage run %d cannot be claimed", id)
	}
	w.must(attempt.Report(w.ctx, result))
}

// Asked to run again what passed, it is run again.
func TestRecheckDoubtsWhatPassed(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Passed)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.until(id, "it ran again", func(e gatekeeper.Explanation) bool {
		return len(w.stages.runs()) == 2 && stateOf(e, "unit") == string(plan.Passed)
	})
}

// What is too old to be taken or counted is forgotten when the repository is looked after.
func TestOldResultsAreForgotten(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	count := func() (all int) {
		t.Helper()
		for _, table := range []string{"stage_results", "test_failures", "flakes"} {
			var n int
			w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM `+table).Scan(&n))
			all += n
		}
		return all
	}
	w.stages.set(w.but(failed))
	id := w.propose("alice", "a.txt", "a\n")
	w.state(id, gatekeeper.Refused)
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.stage(id, "unit", plan.Passed)
	if n := count(); n != 1+1+2 {
		t.Fatalf("%d rows, want one result, one failed test, and its flake and its stage's", n)
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{29 * 24 * time.Hour, 4}, {2 * 24 * time.Hour, 3}, {60 * 24 * time.Hour, 0}} {
		w.pass(c.after)
		w.must(w.control.Forget(w.ctx, w.repo.ID))
		if n := count(); n != c.want {
			t.Errorf("%s later: %d rows, want %d", c.after, n, c.want)
		}
	}
}
