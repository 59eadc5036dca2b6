package web

import (
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// showChecks is what the stages of the showcase say about lines and tests.
func (w *world) showChecks() {
	w.t.Helper()
	now, oid := w.clock(), git.OID(w.git("rev-parse", "HEAD"))
	finding := func(line int, s annotate.Severity, rule, message string) gatekeeper.Finding {
		return gatekeeper.Finding{Stage: "lint", StageRun: 22, Annotation: annotate.Annotation{Path: "server.go", Line: line, EndLine: line, Severity: s, Tool: "staticcheck", Rule: rule, Message: message, URL: "https://staticcheck.dev/docs/checks/#" + rule}}
	}
	elsewhere := finding(2, annotate.Notice, "ST1000", "at least one file in a package should have a package comment")
	elsewhere.Path = "main.go"
	findings := []gatekeeper.Finding{
		finding(24, annotate.Error, "SA4006", "this value of name is never used"),
		finding(25, annotate.Warning, "S1008", "should use 'return <expr>' instead of 'if <expr> { return <bool> }; return <bool>'"), elsewhere,
	}
	marks := annotate.Lines{21: annotate.Missed, 22: annotate.Missed, 23: annotate.Missed}
	for _, line := range []int{19, 20, 24, 28} {
		marks[line] = annotate.Covered
	}
	marks[25] = annotate.Partial
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	w.gate.checks = map[int64]gatekeeper.Checks{2: {
		Stages: []gatekeeper.StageChecks{
			{Stage: "unit", StageRun: 21, Commit: oid, CoverRun: 340, CoverAll: 402, Notes: []string{"integration.out: it did not write its results file"}},
			{Stage: "build", StageRun: 22, Commit: oid, Errors: 1, Warnings: 1, Notices: 1, Findings: findings},
		},
		Added: 9, Missed: 3, Coverage: []gatekeeper.FileCoverage{{Path: "server.go", Marks: marks, Missed: []int{21, 22, 23}}},
	}}
	w.gate.reports = map[int64]gatekeeper.StageReport{11: {CoverRun: 340, CoverAll: 402, Findings: []annotate.Annotation{findings[0].Annotation, findings[1].Annotation}}}
	w.gate.tests = map[int64][]gatekeeper.TestRow{11: {
		{Stage: "unit", Test: "example.test/hello.TestGreet", Package: "example.test/hello", Status: plan.CaseFailed, Took: 3 * time.Millisecond, Flakes: 1},
		{Stage: "unit", Test: "example.test/hello.TestManyGreetingsAtTheSameTimeFromManyClients", Status: plan.CasePassed, Took: 1900 * time.Millisecond, Flakes: 4},
		{Stage: "unit", Test: "example.test/hello.TestFrench", Status: plan.CaseSkipped},
	}}
	w.gate.counts = []gatekeeper.TestCount{
		{Stage: "unit", Test: "example.test/hello.TestManyGreetingsAtTheSameTimeFromManyClients", Runs: 212, Failures: 6, Flakes: 4, Mean: 1900 * time.Millisecond, Last: now.Add(-3 * time.Hour)},
		{Stage: "unit", Test: "example.test/hello.TestGreet", Runs: 212, Failures: 3, Mean: 3 * time.Millisecond, Last: now.Add(-3 * time.Hour)},
		{Stage: "unit", Test: "example.test/hello/internal/words.TestJoin", Runs: 212, Mean: 40 * time.Microsecond, Last: now.Add(-3 * time.Hour)},
	}
	w.gate.history = gatekeeper.TestHistory{TestCount: gatekeeper.TestCount{Stage: "unit", Test: "example.test/hello.TestGreet", Runs: 40, Failures: 5, Flakes: 2, Mean: 3 * time.Millisecond}}
	for i := range 40 {
		r := gatekeeper.TestResult{StageRun: 11, Change: 2, PatchSet: 1 + i%2, Branch: "main", Commit: oid, Status: plan.CasePassed, Took: 3 * time.Millisecond, At: now.Add(-time.Duration(i) * 7 * time.Hour)}
		switch {
		case i == 4 || i == 19:
			r.Status, r.Flake, r.Message = plan.CaseFailed, gatekeeper.FlakeRerun, "server_test.go:31: connection reset by peer"
		case i == 0 || i == 28 || i == 29:
			r.Status, r.Message = plan.CaseFailed, `server_test.go:7: greet = "good day, you!"`
		}
		w.gate.history.Results = append(w.gate.history.Results, r)
	}
	var b strings.Builder
	b.WriteString("::group::Set up\ngo version go1.26.5 linux/amd64\ncache: 412 MiB\n::endgroup::\n")
	b.WriteString(failedLog)
	b.WriteString("::group::Coverage\n")
	for i := range 8 {
		fmt.Fprintf(&b, "example.test/hello/internal/part%d\t%d.%d %%\n", i, 70+3*i, i)
	}
	b.WriteString("::endgroup::\n::error file=server.go,line=24,title=SA4006::this value of name is never used\n::warning file=server.go,line=25::should use 'return <expr>'\n")
	w.gate.logs[11].text = []byte(b.String())
}
