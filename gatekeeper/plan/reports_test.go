package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReports(t *testing.T) {
	p := mustParse(t, `version: 1
stages:
  all:
    run: x
    annotations: [{sarif: out/a.sarif}, {checkstyle: b.xml}, {lines: c.txt}, lines, log, {sarif: d.sarif}]
    coverage: {go: cover.out, lcov: lcov.info, cobertura: coverage.xml}
`)
	s, _ := p.Stage("all")
	if diff := cmp.Diff([]Report{{SARIF, "out/a.sarif"}, {Checkstyle, "b.xml"}, {Lines, "c.txt"}, {Lines, ""}, {Commands, ""}, {SARIF, "d.sarif"}}, s.Annotations); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{GoCover: "cover.out", LCOV: "lcov.info", Cobertura: "coverage.xml"}, s.Coverage); diff != "" {
		t.Error(diff)
	}
}

func TestReportProblems(t *testing.T) {
	stage := func(text string) string { return "version: 1\nstages: {a: {run: x, " + text + "}}\n" }
	wantProblems(t, []problemCase{
		{"a word", stage("annotations: log"), []string{"gatehouse.yaml:2:35: `annotations` of stage `a` must be a list (write `annotations: [{sarif: out.sarif}, log]`)"}},
		{"none", stage("annotations: []"), []string{"gatehouse.yaml:2:35: `annotations` of stage `a` has 0 items; 1 to 16 are allowed (write `annotations: [{sarif: out.sarif}, log]`)"}},
		{"too many", stage("annotations: [" + many(MaxReports+1, "{sarif: a", "}, ") + "]"), []string{"gatehouse.yaml:2:35: `annotations` of stage `a` has 17 items; 1 to 16 are allowed (write `annotations: [{sarif: out.sarif}, log]`)"}},
		{"unknown word", stage("annotations: [logs]"), []string{"gatehouse.yaml:2:36: what the output of stage `a` holds cannot be `logs` (did you mean `log`?)"}},
		{"unknown kind", stage("annotations: [{sarf: x}]"), []string{"gatehouse.yaml:2:37: `annotations` of stage `a` has no key `sarf` (did you mean `sarif`?)"}},
		{"two keys", stage("annotations: [{sarif: x, lines: y}]"), []string{"gatehouse.yaml:2:36: an item of `annotations` has one key, not 2 (write `[{sarif: a.sarif}, {sarif: b.sarif}]`)"}},
		{"twice", stage("annotations: [log, log]"), []string{"gatehouse.yaml:2:41: `annotations` of stage `a` names the same twice (remove one of them)"}},
		{"outside", stage("annotations: [{sarif: ../x}]"), []string{"gatehouse.yaml:2:44: the sarif of stage `a` must be a file inside the working copy, not `../x` (write a path like `out/unit.json`)"}},
		{"coverage word", stage("coverage: cover.out"), []string{"gatehouse.yaml:2:32: `coverage` of stage `a` must be a mapping (write `key: value` pairs)"}},
		{"coverage of nothing", stage("coverage: {}"), []string{"gatehouse.yaml:2:32: `coverage` of stage `a` is empty (write `coverage: {go: cover.out}`)"}},
		{"coverage kind", stage("coverage: {golang: x}"), []string{"gatehouse.yaml:2:33: `coverage` of stage `a` has no key `golang` (known keys: cobertura, go, lcov)"}},
		{"coverage outside", stage("coverage: {go: /etc/passwd}"), []string{"gatehouse.yaml:2:37: the go profile of stage `a` must be a file inside the working copy, not `/etc/passwd` (write a path like `out/unit.json`)"}},
	})
}

// What a candidate's plan says about reports holds: they decide nothing.
func TestReportsAreTheCandidates(t *testing.T) {
	policy := mustParse(t, "version: 1\nstages: {a: {run: x}}\n")
	candidate := mustParse(t, "version: 1\nstages: {a: {run: x, annotations: [log], coverage: {go: c.out}}}\n")
	composed, _ := Compose(policy, candidate)
	s, _ := composed.Stage("a")
	if len(s.Annotations) != 1 || s.Coverage[GoCover] != "c.out" {
		t.Errorf("%+v", s)
	}
	if policy.Digest() == candidate.Digest() {
		t.Error("reports do not tell plans apart")
	}
}
