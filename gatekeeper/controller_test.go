package gatekeeper_test

import (
	"context"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

func how(h string) string { return strings.Replace(unitPlan, "HOW", h, 1) }

// The main job: held, tested, approved, landed; and what landed is what was tested.
func TestWhatWasTestedLands(t *testing.T) {
	for _, h := range []string{plan.Merge, plan.Rebase, plan.Squash, plan.FastForward} {
		t.Run(h, func(t *testing.T) {
			w := newWorld(t, how(h))
			before := w.tip()
			id := w.propose("alice", "a.txt", "a\n", "submit")
			w.stage(id, "unit", plan.Passed)
			if w.tip() != before {
				t.Fatal("it landed without a review")
			}
			w.vote("bob", id, 2)
			e := w.state(id, gatekeeper.Landed)
			if e.LandedCommit != w.tip() {
				t.Errorf("landed %s, the branch is at %s", e.LandedCommit, w.tip())
			}
			ran := w.stages.runs()
			if want := "unit " + string(e.LandedCommit); len(ran) != 1 || ran[0] != want {
				t.Errorf("ran %q, want exactly %q: the landed commit, once", ran, want)
			}
		})
	}
}

// With no plan one approval by somebody else is enough, and lands by a merge.
func TestWithoutAPlanOneApprovalLands(t *testing.T) {
	w := newWorld(t, "")
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.until(id, "the review gate is closed", func(e gatekeeper.Explanation) bool {
		return len(e.Requirements) > 0 && e.Requirements[0].Name == "review" && e.Requirements[0].State == string(plan.Closed)
	})
	w.vote("bob", id, 2)
	e := w.state(id, gatekeeper.Landed)
	commit, err := w.bare.Commit(w.ctx, e.LandedCommit)
	w.must(err)
	if len(commit.Parents) != 2 {
		t.Errorf("the landed commit has %d parents, want a merge", len(commit.Parents))
	}
}

func TestAFailingStageRefusesUntilTheNextPatchSet(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.stages.set(func(r runner.Request) runner.Result {
		if _, err := r.Repo.(*git.Repo).FileAt(context.Background(), r.Commit, "bad.txt", 100); err == nil {
			return failed()
		}
		return passed()
	})
	w.fromTip()
	key := w.commit(0, "bad.txt", "bad\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id := w.newest()
	w.vote("bob", id, 2)
	e := w.state(id, gatekeeper.Refused)
	if !strings.Contains(e.Summary, "unit") && !strings.Contains(e.Summary, "tested") {
		t.Errorf("summary %q names neither the stage nor the gate", e.Summary)
	}
	if !hasEvidence(e, "TestAdd") {
		t.Errorf("no requirement names the failed test: %+v", e.Requirements)
	}
	w.fromTip()
	w.commit(key, "good.txt", "good\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.stage(id, "unit", plan.Passed)
	if e := w.explain(id); e.State != gatekeeper.Open {
		t.Errorf("patch set 2 is %s with a vote on patch set 1, want OPEN", e.State)
	}
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
}

func hasEvidence(e gatekeeper.Explanation, text string) bool {
	for _, r := range e.Requirements {
		if strings.Contains(r.Evidence, text) || strings.Contains(r.Reason, text) {
			return true
		}
	}
	return false
}

// The attack: the uploader, the author and a co-author approve their own change.
func TestNobodyApprovesTheirOwn(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	w.write("a.txt", "a\n")
	w.git("add", "-A")
	w.git("commit", "-qm", "mine\n\nCo-authored-by: Carol <carol@example.test>\nChange-Id: I00000000000000000000000000000000000000aa")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id := w.newest()
	w.vote("alice", id, 2)
	w.vote("carol", id, 2)
	w.stage(id, "unit", plan.Passed)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e := w.explain(id); e.State == gatekeeper.Landed || e.State == gatekeeper.Queued {
		t.Fatalf("its own authors brought it to %s", e.State)
	}
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
}

func TestAVetoRefuses(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("carol", id, -2)
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Refused)
	w.vote("carol", id, 0)
	w.state(id, gatekeeper.Landed)
}

// A vote taken back while the candidate runs must not land it.
func TestAVoteTakenBackWhileItRuns(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	gate := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-gate; return passed() })
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Queued)
	w.vote("bob", id, 0)
	close(gate)
	w.stage(id, "unit", plan.Passed)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e := w.explain(id); e.State != gatekeeper.Open {
		t.Fatalf("it is %s after its approval was taken back, want OPEN", e.State)
	}
	w.vote("bob", id, 1)
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
}

// A stack is tested on itself and lands in order; nothing is tested twice.
func TestAStackLandsInOrder(t *testing.T) {
	for _, h := range []string{plan.Merge, plan.Rebase} {
		t.Run(h, func(t *testing.T) {
			w := newWorld(t, how(h))
			w.fromTip()
			w.commit(0, "one.txt", "1\n")
			w.commit(0, "two.txt", "2\n")
			if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
				t.Fatal(r.Reason)
			}
			second := w.newest()
			first := second - 1
			w.stage(first, "unit", plan.Passed)
			w.stage(second, "unit", plan.Passed)
			w.vote("bob", second, 2)
			w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
			if e := w.explain(second); e.State == gatekeeper.Landed {
				t.Fatal("the upper change landed first")
			}
			w.vote("bob", first, 2)
			one, two := w.state(first, gatekeeper.Landed), w.state(second, gatekeeper.Landed)
			if ok, err := w.bare.IsAncestor(w.ctx, one.LandedCommit, two.LandedCommit); err != nil || !ok {
				t.Errorf("%s is no ancestor of %s: %v", one.LandedCommit, two.LandedCommit, err)
			}
			if ran := w.stages.runs(); len(ran) != 2 {
				t.Errorf("ran %d stages, want 2: %q", len(ran), ran)
			}
		})
	}
}

func TestAConflictSaysSo(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	first := w.propose("alice", "same.txt", "one\n", "submit")
	w.git("checkout", "-q", "--detach", "HEAD~1")
	w.commit(0, "same.txt", "two\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	second := w.newest()
	w.vote("bob", first, 2)
	w.state(first, gatekeeper.Landed)
	w.vote("bob", second, 2)
	e := w.state(second, gatekeeper.Conflict)
	if !strings.Contains(e.Summary, "same.txt") {
		t.Errorf("summary %q does not name the file", e.Summary)
	}
}

// The attack: a merge would bring a commit of somebody's that nobody has reviewed.
func TestAMergeBringsNothingUnlanded(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	w.commit(0, "below.txt", "v1\n")
	key := w.serial
	w.commit(0, "above.txt", "a\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	above := w.newest()
	below := above - 1
	// below gets another patch set; above still stands on the first.
	w.fromTip()
	w.commit(key, "below.txt", "v2\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.vote("bob", below, 2)
	w.vote("bob", above, 2)
	w.state(below, gatekeeper.Landed)
	e := w.state(above, gatekeeper.Conflict)
	if !strings.Contains(e.Summary, "has not landed") {
		t.Errorf("summary %q does not say why", e.Summary)
	}
}

func TestPushesToAGatedBranch(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	w.commit(0, "a.txt", "a\n")
	result, told := w.pushTold("alice", "refs/heads/main", "HEAD")
	if result.Reason != "" || !strings.HasPrefix(result.HeldRef, "refs/changes/") {
		t.Fatalf("a push to main: %+v", result)
	}
	if !strings.Contains(told, "main is gated: the push is held") {
		t.Errorf("the output does not say that it is held:\n%s", told)
	}
	w.vote("bob", w.newest(), 2)
	w.state(w.newest(), gatekeeper.Landed)

	w.git("checkout", "-q", "--orphan", "other")
	w.commit(0, "b.txt", "b\n")
	for _, c := range []struct{ name, who, ref, rev, want string }{
		{"force", "carol", "refs/heads/main", "HEAD", "never rewinds"},
		{"delete", "carol", "refs/heads/main", "", "cannot be deleted"},
		{"unknown branch", "alice", "refs/for/nowhere", "HEAD", "nowhere not found"},
		{"holding ref", "carol", "refs/changes/01/1/1", "HEAD", "holding refs are made by the server"},
		{"other namespace", "carol", "refs/gate/x", "HEAD", "cannot be pushed"},
		{"delete refs/for", "carol", "refs/for/main", "", "cannot be deleted"},
	} {
		before := w.tip()
		if r := w.push(c.who, c.ref, c.rev); !strings.Contains(r.Reason, c.want) {
			t.Errorf("%s: %q, want …%s…", c.name, r.Reason, c.want)
		}
		if w.tip() != before {
			t.Fatalf("%s moved main", c.name)
		}
	}
}

func TestTagsAreMadeOnce(t *testing.T) {
	w := newWorld(t, "")
	w.fromTip()
	if r := w.push("carol", "refs/tags/v1", "HEAD"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.commit(0, "a.txt", "a\n")
	if r := w.push("carol", "refs/tags/v1", "HEAD"); !strings.Contains(r.Reason, "never move") {
		t.Errorf("moving a tag: %q", r.Reason)
	}
	for _, twin := range []string{"refs/tags/V1", "refs/tags/main", "refs/heads/v1", "refs/heads/Main"} {
		if r := w.push("carol", twin, "HEAD"); !strings.Contains(r.Reason, "would be taken for") {
			t.Errorf("%s: %q", twin, r.Reason)
		}
	}
	if r := w.push("carol", "refs/tags/v1", ""); !strings.Contains(r.Reason, "never move") {
		t.Errorf("deleting a tag: %q", r.Reason)
	}
}

func TestABadPlanIsRefusedAtPush(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	w.commit(0, plan.File, "version: 1\nstages:\n  unit: {rum: true}\n")
	result, told := w.pushTold("alice", "refs/for/main", "HEAD")
	if !strings.Contains(result.Reason, "line 3") {
		t.Errorf("reason %q has no line", result.Reason)
	}
	if !strings.Contains(told, "gatehouse.yaml:3:") || !strings.Contains(told, "run") {
		t.Errorf("the output does not say where and what:\n%s", told)
	}
	if w.newest() != 0 {
		t.Error("it was held all the same")
	}
}

// The attack: a change loosens its own gates.
func TestAChangeCannotLoosenItsOwnGates(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.stages.set(w.but(failed))
	id := w.propose("alice", plan.File, "version: 1\ngates:\n  easy: {require: [{review: {min: 1}}]}\nland: {after: [easy]}\n", "submit")
	w.vote("alice", id, 2)
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Refused)
}

// A branch whose own plan cannot be read, as an import may bring it, is closed: even the change
// that mends the plan does not land. The answer says who gets it out, and how.
func TestABrokenBranchPlanClosesTheBranch(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	w.commit(0, plan.File, "version: 1\nstages:\n  unit: {rum: true}\n")
	broken := git.OID(w.git("rev-parse", "HEAD"))
	w.git("push", "-q", w.bare.Dir(), "HEAD:refs/heads/main") // around the gate
	if w.tip() != broken {
		t.Fatal("the branch does not have the broken plan")
	}
	id := w.propose("alice", plan.File, how(plan.Merge), "submit")
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	e := w.explain(id)
	if e.State == gatekeeper.Landed || e.State == gatekeeper.Queued {
		t.Fatalf("it is %s under a plan that cannot be read", e.State)
	}
	if len(e.Requirements) == 0 || !strings.Contains(e.Requirements[0].Next, "--ungated") {
		t.Errorf("the answer does not say how to get out: %+v", e.Requirements)
	}
}

// A result that comes after its run was superseded counts for nothing (I7).
func TestALateResultCountsForNothing(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	gate, started := make(chan struct{}), make(chan struct{}, 4)
	w.stages.set(func(runner.Request) runner.Result { started <- struct{}{}; <-gate; return failed() })
	w.fromTip()
	key := w.commit(0, "a.txt", "a\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id := w.newest()
	<-started
	w.stages.set(nil)
	w.fromTip()
	w.commit(key, "a.txt", "b\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.stage(id, "unit", plan.Passed)
	close(gate)
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
}

// ERRORED retries by itself; a failure of what is queued is confirmed once.
func TestOnlyTheMachineryIsRetried(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	broken := make(chan struct{}, 2)
	broken <- struct{}{}
	broken <- struct{}{}
	w.stages.set(func(runner.Request) runner.Result {
		select {
		case <-broken:
			return runner.Result{State: string(plan.Errored), Reason: "no disk"}
		default:
			return passed()
		}
	})
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
	if n := len(w.stages.runs()); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
	queued := make(chan struct{})
	w.stages.set(w.but(func() runner.Result { <-queued; return failed() }))
	id = w.propose("alice", "b.txt", "b\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Queued)
	close(queued)
	w.state(id, gatekeeper.Refused)
	if n := len(w.stages.runs()); n != 5 {
		t.Errorf("%d attempts in all, want 5: a failure is confirmed once", n)
	}
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.state(id, gatekeeper.Landed)
}

// Two changes tested on the same tip: the second is tested again on what the first made.
func TestTheSecondIsTestedOnTheFirst(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	base := w.tip()
	one := w.propose("alice", "one.txt", "1\n", "submit")
	two := w.propose("alice", "two.txt", "2\n", "submit")
	w.stage(one, "unit", plan.Passed)
	w.stage(two, "unit", plan.Passed)
	w.vote("bob", one, 2)
	w.state(one, gatekeeper.Landed)
	w.vote("bob", two, 2)
	e := w.state(two, gatekeeper.Landed)
	ran := w.stages.runs()
	if len(ran) != 3 || ran[2] != "unit "+string(e.LandedCommit) {
		t.Errorf("ran %q, want the third to be the landed commit %s", ran, e.LandedCommit)
	}
	runs, err := w.control.Runs(w.ctx, w.people["alice"], two)
	w.must(err)
	if runs[0].Base == base {
		t.Error("the run that counted was on the old tip")
	}
}

// A right that is taken away between queue and landing takes the wish and the vote along.
func TestALostRightDoesNotLand(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	gate := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-gate; return passed() })
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Queued)
	w.disable("alice", true)
	close(gate)
	w.stage(id, "unit", plan.Passed)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e, err := w.control.Explain(w.ctx, w.people["bob"], id); err != nil || e.State == gatekeeper.Landed || e.State == gatekeeper.Queued {
		t.Fatalf("%s, %v, though who asked for it is disabled", e.State, err)
	}
	w.disable("alice", false)
	w.disable("bob", true)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e := w.explain(id); e.State == gatekeeper.Landed {
		t.Fatal("it landed on the vote of a disabled account")
	}
	w.disable("bob", false)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	w.state(id, gatekeeper.Landed)
}

// -o wait stays until the change has landed, or was refused, and says what moves.
func TestWaiting(t *testing.T) {
	w := newWorld(t, "version: 1\nstages:\n  unit: {run: \"true\"}\ngates:\n  tested: {after: [unit], require: [{stages: passed}]}\nland: {after: [tested]}\n")
	w.fromTip()
	w.commit(0, "a.txt", "a\n")
	result, told := w.pushTold("alice", "refs/for/main", "HEAD", "wait")
	if result.Reason != "" || !strings.Contains(told, "landed as "+string(w.tip())) {
		t.Errorf("waiting for a good one: %q\n%s", result.Reason, told)
	}
	w.stages.set(w.but(failed))
	w.fromTip()
	w.commit(0, "b.txt", "b\n")
	result, told = w.pushTold("alice", "refs/for/main", "HEAD", "wait")
	if !strings.Contains(result.Reason, "refused") {
		t.Errorf("waiting for a bad one: %q\n%s", result.Reason, told)
	}
}

// An intent that a crash left behind is finished when the branch has the commit, tried
// again when the branch stands still, and withdrawn when it went elsewhere.
func TestRepair(t *testing.T) {
	for _, point := range []string{"land.intent.written", "land.ref.moved"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t, how(plan.Merge))
			gatekeeper.CrashPoint = func(name string) {
				if name == point {
					gatekeeper.CrashPoint = nil
					panic("crash at " + point)
				}
			}
			defer func() { gatekeeper.CrashPoint = nil }()
			id := w.propose("alice", "a.txt", "a\n", "submit")
			w.vote("bob", id, 2)
			w.state(id, gatekeeper.Landed) // the job engine survives the panic and looks again
			chain, err := w.bare.Commits(w.ctx, []git.OID{w.tip()}, nil, 10)
			w.must(err)
			if len(chain) != 3 {
				t.Errorf("main has %d commits, want 3: the first, the change and its merge", len(chain))
			}
		})
	}
}

func TestDirectPushesCanBeRefused(t *testing.T) {
	w := newWorld(t, "")
	w.repo.DirectPush = repo.RefuseDirect
	w.fromTip()
	w.commit(0, "a.txt", "a\n")
	if r := w.push("alice", "refs/heads/main", "HEAD"); !strings.Contains(r.Reason, "takes no direct pushes") {
		t.Errorf("%q", r.Reason)
	}
}
