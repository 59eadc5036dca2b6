package gatekeeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

const reportStages = `  lint: {run: "true", annotations: [log]}
  unit: {run: "true", coverage: {go: cover.out}}`

// reporting is a verdict of a stage that reports on lines of a.txt.
func reporting(r runner.Request) runner.Result {
	result := passed()
	if r.Stage.Name == "lint" {
		result.Findings = annotate.Findings{Dropped: 3, Kept: []annotate.Annotation{
			{Path: "a.txt", Line: 2, EndLine: 2, Severity: annotate.Error, Tool: "vet", Rule: "x1", Message: "bad", URL: "https://example.test/x1"},
			{Path: "a.txt", Line: 9, EndLine: 9, Severity: annotate.Warning, Message: "long"},
			{Severity: annotate.Notice, Message: "no place"},
		}}
		result.Notes = []string{"x.sarif: it did not write its results file"}
		return result
	}
	result.Coverage = annotate.Coverage{Run: 80, All: 100, Files: map[string]annotate.Lines{
		"a.txt": {1: annotate.Covered, 2: annotate.Missed, 3: annotate.Missed, 4: annotate.Partial, 9: annotate.Missed},
	}}
	return result
}

func (w *world) checks(change int64) gatekeeper.Checks {
	w.Helper()
	checks, err := w.control.Checks(w.ctx, w.people["bob"], change, 0)
	w.must(err)
	return checks
}

// settled waits until all stages of the change have their verdict.
func (w *world) settledStages(change int64, stages ...string) {
	w.Helper()
	for _, name := range stages {
		w.stage(change, name, plan.Passed)
	}
}

func TestReportsOfStages(t *testing.T) {
	w := newWorld(t, planWith(reportStages))
	w.stages.set(reporting)
	id := w.propose("alice", "a.txt", "one\ntwo\n}\nfour\n")
	w.settledStages(id, "lint", "unit")
	checks := w.checks(id)
	if len(checks.Stages) != 2 || checks.PatchSet != 1 {
		t.Fatalf("%+v", checks)
	}
	lint, unit := checks.Stages[0], checks.Stages[1]
	if lint.Stage == "unit" {
		lint, unit = unit, lint
	}
	if lint.Errors != 1 || lint.Warnings != 1 || lint.Notices != 1 || lint.Dropped != 3 || len(lint.Notes) != 1 || len(lint.Findings) != 3 {
		t.Errorf("lint: %+v", lint)
	}
	if f := lint.Findings[0]; f.Line != 2 || f.Message != "bad" || f.URL == "" || f.StageRun != lint.StageRun || f.Stage != "lint" {
		t.Errorf("finding: %+v", f)
	}
	if unit.CoverRun != 80 || unit.CoverAll != 100 || len(unit.Notes) != 0 {
		t.Errorf("unit: %+v", unit)
	}
	// Line 3 is a brace, and line 9 is not the change's.
	if checks.Added != 3 || checks.Missed != 1 {
		t.Errorf("%d added, %d missed", checks.Added, checks.Missed)
	}
	if diff := cmp.Diff([]int{2}, checks.Coverage[0].Missed); diff != "" || checks.Coverage[0].Lines != "1+ 2:3- 4~ 9-" {
		t.Errorf("%q\n%s", checks.Coverage[0].Lines, diff)
	}
	report, err := w.control.StageReport(w.ctx, w.people["bob"], lint.StageRun)
	if err != nil || len(report.Findings) != 3 || report.Dropped != 3 || len(report.Notes) != 1 {
		t.Errorf("%v: %+v", err, report)
	}

	// A new patch set with the same files takes the results over, and what they said; a patch
	// set without a verdict has nothing.
	w.git("commit", "--amend", "-qm", strings.Replace(w.git("log", "-1", "--format=%B"), "change a.txt", "change the words", 1))
	if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	w.until(id, "the second patch set has its results", func(e gatekeeper.Explanation) bool {
		return e.PatchSet == 2 && stateOf(e, "lint") == string(plan.Passed) && stateOf(e, "unit") == string(plan.Passed)
	})
	w.executions(2, "both stages, once")
	if again := w.checks(id); again.PatchSet != 2 || len(again.Stages) != 2 || again.Missed != 1 {
		t.Errorf("%+v", again)
	}
	w.pass(31 * 24 * time.Hour)
	w.must(w.control.Forget(w.ctx, w.repo.ID))
	if old := w.checks(id); len(old.Stages) != 0 {
		t.Errorf("after a month: %+v", old)
	}
}

// What was tested is the change on the tip of its branch: lines are those of the patch set.
func TestReportsMoveToThePatchSet(t *testing.T) {
	w := newWorld(t, planWith(reportStages))
	w.fromTip()
	w.write("a.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n")
	w.git("add", "-A")
	w.git("commit", "-qm", "base")
	w.git("push", "-q", w.bare.Dir(), "HEAD:refs/heads/main")
	w.commit(0, "a.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine\n")
	behind := w.git("rev-parse", "HEAD")
	w.git("checkout", "-q", "--detach", "HEAD^")
	w.write("a.txt", "first\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n")
	w.git("commit", "-qam", "the branch moves on")
	w.git("push", "-q", w.bare.Dir(), "HEAD:refs/heads/main")
	w.stages.set(func(r runner.Request) runner.Result {
		result := passed()
		result.Findings.Kept = []annotate.Annotation{
			{Path: "a.txt", Line: 1, EndLine: 1, Severity: annotate.Error, Message: "on the branch"},
			{Path: "a.txt", Line: 11, EndLine: 11, Severity: annotate.Warning, Message: "nine"},
		}
		result.Coverage.Files = map[string]annotate.Lines{"a.txt": {1: annotate.Missed, 11: annotate.Missed}}
		return result
	})
	if r := w.push("alice", "refs/for/main", behind); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id := w.newest()
	w.settledStages(id, "lint", "unit")
	checks := w.checks(id)
	var lint gatekeeper.StageChecks
	for _, s := range checks.Stages {
		if s.Stage == "lint" {
			lint = s
		}
	}
	if len(lint.Findings) != 2 || lint.Findings[0].Line != 0 || lint.Findings[0].Tested != 1 || lint.Findings[1].Line != 10 {
		t.Errorf("%+v", lint.Findings)
	}
	if checks.Missed != 1 || checks.Coverage[0].Lines != "10-" {
		t.Errorf("%+v", checks)
	}
}

func tested(status plan.CaseStatus, took time.Duration) func(runner.Request) runner.Result {
	return func(runner.Request) runner.Result {
		result := passed()
		cases := []plan.Case{{Package: "p", Name: "TestAdd", Status: status, Duration: took, Output: "=== RUN TestAdd\n    a_test.go:3: got 1\n"}, {Name: "TestSkip", Status: plan.CaseSkipped}}
		result.Tests = &plan.Tests{Passed: 1, Skipped: 1, Cases: cases}
		if status == plan.CaseFailed {
			result.State, result.Tests.Passed, result.Tests.Failed = string(plan.Failed), 0, 1
		}
		return result
	}
}

func TestHistoryOfTests(t *testing.T) {
	w := newWorld(t, planWith(unitOnly))
	w.control.NoStages = "the test is the worker"
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Queued)
	runs, err := w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	first := runs[0].Stages[0].ID
	w.workOff(first, tested(plan.CaseFailed, time.Second)(runner.Request{}))
	w.state(id, gatekeeper.Refused)
	w.must(w.control.Rerun(w.ctx, w.people["alice"], id, gatekeeper.Rerun{Stages: []string{"unit"}, Reason: "the network was down"}))
	w.stage(id, "unit", plan.Queued)
	runs, err = w.control.Runs(w.ctx, w.people["alice"], id)
	w.must(err)
	second := runs[0].Stages[0].ID
	w.workOff(second, tested(plan.CasePassed, 3*time.Second)(runner.Request{}))

	rows, err := w.control.StageTests(w.ctx, w.people["bob"], first)
	w.must(err)
	want := []gatekeeper.TestRow{
		{Stage: "unit", Test: "p.TestAdd", Package: "p", Status: plan.CaseFailed, Took: time.Second, Message: "a_test.go:3: got 1", Flakes: 1},
		{Stage: "unit", Test: "TestSkip", Status: plan.CaseSkipped},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	h, err := w.control.TestHistory(w.ctx, w.people["bob"], "hello", "", "p.TestAdd")
	w.must(err)
	if h.Stage != "unit" || h.Runs != 2 || h.Failures != 1 || h.Flakes != 1 || h.Mean != 2*time.Second || len(h.Results) != 2 {
		t.Fatalf("%+v", h)
	}
	if r := h.Results[0]; r.StageRun != second || r.Status != plan.CasePassed || r.Flake != "" || r.Change != id || r.PatchSet != 1 {
		t.Errorf("newest: %+v", r)
	}
	if r := h.Results[1]; r.StageRun != first || r.Status != plan.CaseFailed || r.Flake != gatekeeper.FlakeRerun {
		t.Errorf("oldest: %+v", r)
	}
	for text, want := range map[string]int{"testadd": 1, "": 2, "p.T": 1, "%": 0, "_dd": 0, "nothing": 0} {
		found, err := w.control.Tests(w.ctx, w.people["bob"], "hello", text)
		w.must(err)
		if len(found) != want {
			t.Errorf("%q finds %+v", text, found)
		}
	}
	if _, err := w.control.TestHistory(w.ctx, w.people["bob"], "hello", "unit", "p.TestSub"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a test that never ran: %v", err)
	}
	w.pass(31 * 24 * time.Hour)
	if _, err := w.control.TestHistory(w.ctx, w.people["bob"], "hello", "unit", "p.TestAdd"); !fault.Is(err, fault.NotFound) {
		t.Errorf("after a month: %v", err)
	}
}

// A stage that passed runs again when it is named, and nothing else does.
func TestRerunOfNamedStages(t *testing.T) {
	w := newWorld(t, planWith(twoStages))
	id := w.propose("alice", "a.txt", "a\n")
	w.settledStages(id, "lint", "unit")
	w.executions(2, "both")
	for _, c := range []struct {
		name string
		who  string
		what gatekeeper.Rerun
		kind fault.Kind
		says string
	}{
		{"a stage that is none", "alice", gatekeeper.Rerun{Stages: []string{"lnit"}}, fault.Invalid, "its stages are lint, unit"},
		{"a long reason", "alice", gatekeeper.Rerun{Reason: strings.Repeat("x", 2000)}, fault.TooLarge, "reason"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := w.control.Rerun(w.ctx, w.people[c.who], id, c.what)
			if !fault.Is(err, c.kind) || !strings.Contains(fault.Sentence(err), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	w.executions(2, "nothing was run again")
	w.must(w.control.Rerun(w.ctx, w.people["bob"], id, gatekeeper.Rerun{Stages: []string{"unit"}, Reason: "is it the cache?"}))
	w.until(id, "unit ran again", func(e gatekeeper.Explanation) bool {
		return len(w.stages.runs()) == 3 && stateOf(e, "unit") == string(plan.Passed) && stateOf(e, "lint") == string(plan.Passed)
	})
	if runs := w.stages.runs(); !strings.HasPrefix(runs[2], "unit ") {
		t.Errorf("%v", runs)
	}
	if e := w.explain(id); !strings.HasPrefix(reason(e, "lint"), "reused from run") {
		t.Errorf("lint: %q", reason(e, "lint"))
	}
	messages, err := w.review.Messages(w.ctx, w.db.Read(), id)
	w.must(err)
	told := ""
	for _, m := range messages {
		told += m.Body + "\n"
	}
	if !strings.Contains(told, "bob asked to run stage unit of patch set 1 again: is it the cache?") {
		t.Errorf("the story: %s", told)
	}
	if all := w.events("change.rechecked"); len(all) != 1 || all[0]["stages"] != "unit" || all[0]["reason"] != "is it the cache?" {
		t.Errorf("events: %v", all)
	}
}

// A stage that is run again while the others still run would end them in the middle.
func TestRerunWaitsForTheRun(t *testing.T) {
	w := newWorld(t, planWith(twoStages))
	w.control.NoStages = "the test is the worker"
	id := w.propose("alice", "a.txt", "a\n")
	w.stage(id, "unit", plan.Queued)
	err := w.control.Rerun(w.ctx, w.people["alice"], id, gatekeeper.Rerun{Stages: []string{"unit"}})
	if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "still going") {
		t.Errorf("%v", err)
	}
	w.must(w.control.Recheck(w.ctx, w.people["alice"], id)) // all anew is always possible
}
