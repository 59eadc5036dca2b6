package gatekeeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

func (w *world) flakes() gatekeeper.FlakeReport {
	w.Helper()
	report, err := w.control.Flakes(w.ctx, w.people["alice"], "hello")
	w.must(err)
	return report
}

// events lists what happened of a kind in the repository.
func (w *world) events(kind string) []map[string]string {
	w.Helper()
	rows, err := w.db.Read().QueryContext(w.ctx, `SELECT change_id FROM events WHERE kind = $1 AND repo_id = $2 ORDER BY id`, kind, w.repo.ID)
	w.must(err)
	defer func() { _ = rows.Close() }()
	changes := map[int64]bool{}
	for rows.Next() {
		var id int64
		w.must(rows.Scan(&id))
		changes[id] = true
	}
	w.must(rows.Err())
	var all []map[string]string
	for id := range changes {
		told, err := event.OfChange(w.ctx, w.db.Read(), id, 0)
		w.must(err)
		for _, e := range told {
			if e.Kind == kind {
				all = append(all, e.Data)
			}
		}
	}
	return all
}

const twoStages = `  lint: {run: "true"}
  unit: {run: "true"}`

// A stage that failed and then passed on the same files was a flake; what had passed beside it
// is not run again.
func TestAFailureThatPassesIsAFlake(t *testing.T) {
	w := newWorld(t, planWith(twoStages))
	w.stages.set(func(r runner.Request) runner.Result {
		if r.Stage.Name == "unit" {
			return failed()
		}
		return passed()
	})
	id := w.propose("alice", "a.txt", "a\n")
	w.state(id, gatekeeper.Refused)
	w.executions(2, "both")
	if f := w.flakes(); len(f.Tests) != 0 || len(f.Stages) != 2 || f.Stages[0].Stage != "unit" || f.Stages[0].Failures != 1 || f.Stages[0].Flakes != 0 {
		t.Errorf("before it passed: %+v", f)
	}
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.until(id, "unit passed", func(e gatekeeper.Explanation) bool { return stateOf(e, "unit") == string(plan.Passed) })
	w.executions(3, "only what had failed")
	if e := w.explain(id); !strings.HasPrefix(reason(e, "lint"), "reused from run") {
		t.Errorf("lint: %q", reason(e, "lint"))
	}
	f := w.flakes()
	if unit := f.Stages[0]; unit.Stage != "unit" || unit.Runs != 2 || unit.Failures != 1 || unit.Flakes != 1 || unit.OnBase != 0 || unit.Rate != 0.5 || unit.LastSeen.IsZero() || unit.LastRun == 0 {
		t.Errorf("unit: %+v", unit)
	}
	if lint := f.Stages[1]; lint.Runs != 1 || lint.Failures != 0 || lint.Rate != 0 || !lint.LastSeen.IsZero() {
		t.Errorf("lint counts what was executed only: %+v", lint)
	}
	if len(f.Tests) != 1 || f.Tests[0].Test != "TestAdd" || f.Tests[0].Runs != 2 || f.Tests[0].Failures != 1 || f.Tests[0].Flakes != 1 {
		t.Errorf("tests: %+v", f.Tests)
	}
	told := w.events("flake")
	if len(told) != 1 || told[0]["test"] != "TestAdd" || told[0]["kind"] != "rerun" || told[0]["stage"] != "unit" {
		t.Errorf("events: %v", told)
	}
	w.pass(31 * 24 * time.Hour)
	if f := w.flakes(); len(f.Stages) != 0 || len(f.Tests) != 0 {
		t.Errorf("after a month it is forgotten: %+v", f)
	}
}

// What fails on the branch itself is not the change's doing, whichever was found first; a
// change in which other tests fail as well is not excused.
func TestAFailureOnTheBaseIsAFlake(t *testing.T) {
	for _, branchFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("branch first %v", branchFirst), func(t *testing.T) {
			w := newWorld(t, planWith(unitOnly))
			w.control.NoStages = "the test is the worker"
			worse := failed()
			worse.Tests = &plan.Tests{Failed: 2, Cases: []plan.Case{{Name: "TestAdd", Status: plan.CaseFailed}, {Package: "p", Name: "TestSub", Status: plan.CaseFailed}}}
			if branchFirst {
				w.workOff(w.bareRun().ID, failed())
			}
			for i, result := range []runner.Result{failed(), worse} {
				id := w.propose("alice", fmt.Sprintf("%d.txt", i), "x\n")
				w.stage(id, "unit", plan.Queued)
				runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
				w.must(err)
				w.workOff(runs[0].Stages[0].ID, result)
			}
			if !branchFirst {
				w.workOff(w.bareRun().ID, failed())
			}
			f := w.flakes()
			if unit := f.Stages[0]; unit.Runs != 3 || unit.Failures != 3 || unit.Flakes != 1 || unit.OnBase != 1 {
				t.Errorf("%+v, want one of three to be excused", unit)
			}
			if len(f.Tests) != 1 || f.Tests[0].Test != "TestAdd" || f.Tests[0].Failures != 3 || f.Tests[0].OnBase != 1 {
				t.Errorf("tests: %+v", f.Tests)
			}
			if told := w.events("flake"); len(told) != 1 || told[0]["kind"] != "base" {
				t.Errorf("events: %v", told)
			}
		})
	}
}

// Two failures before the pass are two flakes; a timeout counts like a failure; and a failure
// on other files is none.
func TestWhichFailuresAreFlakes(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.stages.set(w.but(failed))
	other := w.propose("alice", "other.txt", "o\n")
	w.state(other, gatekeeper.Refused)
	id := w.propose("alice", "a.txt", "a\n")
	w.state(id, gatekeeper.Refused)
	w.stages.set(func(runner.Request) runner.Result { return runner.Result{State: string(plan.TimedOut), ExitCode: -1} })
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.until(id, "it timed out", func(e gatekeeper.Explanation) bool { return stateOf(e, "unit") == string(plan.TimedOut) })
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.stage(id, "unit", plan.Passed)
	f := w.flakes()
	if unit := f.Stages[0]; unit.Runs != 4 || unit.Failures != 3 || unit.Flakes != 2 {
		t.Errorf("%+v, want 2 of 3 failures in 4 runs to be flakes", unit)
	}
	if len(f.Tests) != 1 || f.Tests[0].Failures != 2 || f.Tests[0].Flakes != 1 {
		t.Errorf("tests: %+v: TestAdd failed twice and flaked once", f.Tests)
	}
}

// A script that ends well with failed tests is not taken as passed: its gate said no, and has
// to be asked again.
func TestFailedTestsAreNotTaken(t *testing.T) {
	w := newWorld(t, "version: 1\nstages:\n  unit: {run: \"true\", results: {gotest: unit.json}}\ngates:\n  tested: {require: [{tests: {failed: 0, min: 1}}]}\nland: {after: [tested]}\n")
	lenient := failed()
	lenient.State, lenient.ExitCode = string(plan.Passed), 0
	w.stages.set(w.but(func() runner.Result { return lenient }))
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.state(id, gatekeeper.Refused)
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id))
	w.state(id, gatekeeper.Landed)
	w.executions(4, "it was run again: to confirm the failure, beside the branch itself, and when it was rechecked")
	if f := w.flakes(); len(f.Tests) != 1 || f.Stages[0].Failures != 2 {
		t.Errorf("the test that failed twice: %+v", f)
	}
}

func TestOnlyReadersSeeFlakes(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.repo.Private = true
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) }))
	for _, name := range []string{"hello", "nowhere"} {
		if _, err := w.control.Flakes(w.ctx, account.Actor{}, name); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
}

// A stage in quarantine fails, is seen to, and holds nothing up; until its last day is over.
func TestQuarantine(t *testing.T) {
	until := time.Now().UTC().AddDate(0, 0, 10).Format(time.DateOnly)
	w := newWorld(t, planWith(fmt.Sprintf(`  unit: {run: "true", quarantine: {owner: bob, until: %s, reason: "issue 7"}}`, until)))
	w.stages.set(w.but(failed))
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.until(id, "it says so", func(e gatekeeper.Explanation) bool {
		for _, r := range e.Requirements {
			if r.Kind == "stage" && r.State == string(plan.Failed) && strings.Contains(r.Evidence, "in quarantine until "+until+" (bob)") {
				return true
			}
		}
		return false
	})
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
	quarantine := func() gatekeeper.QuarantineState {
		t.Helper()
		f := w.flakes()
		if len(f.Quarantines) != 1 {
			t.Fatalf("%+v", f.Quarantines)
		}
		return f.Quarantines[0]
	}
	if q := quarantine(); q != (gatekeeper.QuarantineState{Branch: "main", Stage: "unit", Owner: "bob", Until: until, Reason: "issue 7", State: gatekeeper.QuarantineHolds}) {
		t.Errorf("%+v", q)
	}
	w.pass(4 * 24 * time.Hour)
	if q := quarantine(); q.State != gatekeeper.QuarantineEnds {
		t.Errorf("six days before its end: %+v", q)
	}
	w.pass(7 * 24 * time.Hour)
	if q := quarantine(); q.State != gatekeeper.QuarantineOver {
		t.Errorf("a day after its end: %+v", q)
	}
	id = w.propose("alice", "b.txt", "b\n", "submit")
	w.vote("bob", id, 2)
	if e := w.state(id, gatekeeper.Refused); !hasEvidence(e, "failures count again") {
		t.Errorf("%+v", e.Requirements)
	}
}

// A worker that reports twice is heard once, and not at all when it lost its lease (I7).
func TestAnAttemptIsHeardOnce(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.control.NoStages = "the test is the worker"
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Queued)
	unit := func() gatekeeper.StageRun {
		t.Helper()
		runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
		w.must(err)
		return runs[0].Stages[len(runs[0].Stages)-1]
	}
	lost, err := w.control.Claim(w.ctx, unit().ID)
	w.must(err)
	if again, err := w.control.Claim(w.ctx, unit().ID); err != nil || again != nil {
		t.Fatalf("the lease was given twice: %v", err)
	}
	_, err = w.db.SQL().ExecContext(w.ctx, `UPDATE stage_runs SET owner = 'a server that died' WHERE id = $1`, unit().ID)
	w.must(err)
	w.must(w.control.Recover(w.ctx))
	w.until(id, "another attempt waits", func(gatekeeper.Explanation) bool { return unit().Attempt == 2 })
	w.must(lost.Report(w.ctx, passed()))
	if s := unit(); s.State != plan.Queued {
		t.Fatalf("the lost attempt settled the second: %+v", s)
	}
	second, err := w.control.Claim(w.ctx, unit().ID)
	w.must(err)
	if second == nil {
		t.Fatal("the lost attempt's result was taken")
	}
	w.must(second.Report(w.ctx, failed()))
	w.must(second.Report(w.ctx, passed()))
	w.state(id, gatekeeper.Refused)
	if s := unit(); s.State != plan.Failed || s.Tests.Failed != 1 {
		t.Errorf("the second report changed the first: %+v", s)
	}
	if f := w.flakes(); f.Stages[0].Runs != 1 || f.Stages[0].Flakes != 0 {
		t.Errorf("the second report was counted: %+v", f.Stages)
	}
}

// A result for a cancelled run changes nothing about the run, whatever it is.
func TestACancelledRunStaysCancelled(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.control.NoStages = "the test is the worker"
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Queued)
	runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	attempt, err := w.control.Claim(w.ctx, runs[0].Stages[0].ID)
	w.must(err)
	w.must(w.review.Abandon(w.ctx, w.people["alice"], id, ""))
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	w.must(attempt.Report(w.ctx, passed()))
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	runs, err = w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	if len(runs) != 1 || runs[0].State != gatekeeper.RunSuperseded {
		t.Errorf("%+v", runs)
	}
	if told := w.events("run.canceled"); len(told) != 1 || told[0]["reason"] == "" {
		t.Errorf("events: %v", told)
	}
}

// How long runs and stages took is the median of the last; what was only taken over took nothing.
func TestHowLongRunsTake(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	takes := func() time.Duration {
		t.Helper()
		d, err := w.control.MedianTakes(w.ctx, w.repo.ID, "main")
		w.must(err)
		return d.Round(time.Minute)
	}
	if d := takes(); d != 5*time.Minute {
		t.Errorf("of a branch without runs: %s", d)
	}
	for i, d := range []time.Duration{10 * time.Minute, time.Hour, 20 * time.Minute} {
		w.stages.set(func(runner.Request) runner.Result { w.pass(d); return passed() })
		id := w.propose("alice", fmt.Sprintf("%d.txt", i), "x\n", "submit")
		w.vote("bob", id, 2)
		w.state(id, gatekeeper.Landed)
	}
	w.twin("alice", "nothing to run")
	w.stage(w.newest(), "unit", plan.Passed)
	if d := takes(); d != 20*time.Minute {
		t.Errorf("of 10, 60 and 20 minutes: %s", d)
	}
	stages, err := w.control.StageMedians(w.ctx, w.repo.ID)
	w.must(err)
	if len(stages) != 1 || stages["unit"].Round(time.Minute) != 20*time.Minute {
		t.Errorf("stages: %v", stages)
	}
}
