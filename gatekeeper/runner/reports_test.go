package runner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
)

// What a stage reports about lines is read from its output and its files, wherever the tree
// was while it ran; what cannot be read is noted and changes no verdict.
func TestReports(t *testing.T) {
	const script = `mkdir -p mod/web
echo 'module example.test/mod // comment' > mod/go.mod
echo package web > mod/web/a.go
echo "::error file=$PWD/mod/web/a.go,line=3::from the log"
echo "mod/web/a.go:4:1: warning: of a compiler"
echo "mod/web/none.go:4:1: of no file"
printf '<checkstyle><file name="%s/mod/web/a.go"><error line="5" message="of a linter"/></file></checkstyle>' "$PWD" > lint.xml
printf 'mode: set\nexample.test/mod/web/a.go:1.1,2.2 1 1\nexample.test/mod/web/b.go:1.1,2.2 1 0\nother.test/x.go:1.1,2.2 1 1\n' > mod/cover.out
echo broken > broken.sarif
ln -s /etc/passwd out.sarif
mkfifo pipe.xml
`
	stage := plan.Stage{Run: script, Coverage: map[string]string{plan.GoCover: "mod/cover.out", plan.LCOV: "none.info"}, Annotations: []plan.Report{
		{Kind: plan.Commands}, {Kind: plan.Lines}, {Kind: plan.Checkstyle, File: "lint.xml"},
		{Kind: plan.SARIF, File: "broken.sarif"}, {Kind: plan.SARIF, File: "out.sarif"}, {Kind: plan.Checkstyle, File: "pipe.xml"}, {Kind: plan.SARIF, File: "none.sarif"},
	}}
	everyMode(t, func(t *testing.T, mode Mode) {
		for _, end := range []struct{ run, state string }{{"", passed}, {"exit 3\n", failed}} {
			f := newFixture(t, mode)
			s := stage
			s.Run += end.run
			result, log := f.run(t, Request{StageRun: 1, RepoID: 1, Stage: s, Changed: map[string]bool{"mod/web/a.go": true}})
			wantState(t, result, log, end.state)
			want := []annotate.Annotation{
				{Path: "mod/web/a.go", Line: 3, EndLine: 3, Severity: annotate.Error, Message: "from the log"},
				{Path: "mod/web/a.go", Line: 5, EndLine: 5, Severity: annotate.Error, Tool: "checkstyle", Message: "of a linter"},
				{Path: "mod/web/a.go", Line: 4, EndLine: 4, Column: 1, Severity: annotate.Warning, Message: "of a compiler"},
			}
			if diff := cmp.Diff(want, result.Findings.Kept); diff != "" {
				t.Error(diff)
			}
			if len(result.Coverage.Files) != 1 || result.Coverage.Files["mod/web/a.go"].String() != "1:2+" || result.Coverage.All != 2 {
				t.Errorf("coverage: %+v", result.Coverage)
			}
			notes := strings.Join(result.Notes, "\n")
			for _, say := range []string{"broken.sarif: sarif: this is not SARIF", `"out.sarif" cannot be read`, `"pipe.xml" is not a regular file`, `did not write its results file "none.sarif"`, `"none.info"`} {
				if !strings.Contains(notes, say) {
					t.Errorf("%q is not noted: %s", say, notes)
				}
			}
			if strings.Contains(notes, "root:") || len(result.Notes) != 5 {
				t.Errorf("notes: %q", result.Notes)
			}
		}
	})
}
