package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
)

// checked is the world of hello with what a stage says about line 7, which the change touches,
// and about more.
func checked(t *testing.T) *world {
	t.Helper()
	w, _ := hello(t)
	on := hostileFinding
	on.Line, on.EndLine = 7, 7
	branch, outside, nowhere := on, on, on
	branch.Line, branch.EndLine = 0, 0
	outside.Path, nowhere.Path, nowhere.Line, nowhere.EndLine = "docs/guide.md", "", 0, 0
	finding := func(a annotate.Annotation, tested int) gatekeeper.Finding {
		return gatekeeper.Finding{Annotation: a, Stage: "vet", StageRun: 5, Tested: tested}
	}
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, State: gatekeeper.RunRefused, Candidate: "0123456789012345678901234567890123456789", Stages: []gatekeeper.StageRun{
		{ID: 5, Run: 1, Change: 1, Stage: "vet", State: plan.Passed}, {ID: 6, Run: 1, Change: 1, Stage: "unit", State: plan.Failed}}}})
	w.gate.checks = map[int64]gatekeeper.Checks{1: {
		Stages: []gatekeeper.StageChecks{{Stage: "vet", StageRun: 5, Commit: "0123456789012345678901234567890123456789", Errors: 4, Notes: []string{"cover.out: <i>cut"},
			Findings: []gatekeeper.Finding{finding(on, 0), finding(branch, 99), finding(outside, 0), finding(nowhere, 0)}}},
		Added: 2, Missed: 1, Coverage: []gatekeeper.FileCoverage{{Path: "main.go", Missed: []int{7}, Marks: annotate.Lines{5: annotate.Covered, 6: annotate.Partial, 7: annotate.Missed}}},
	}}
	return w
}

func TestFindingsOnLines(t *testing.T) {
	w := checked(t)
	for _, form := range []string{"unified", "split"} {
		page := w.session("bob").get("/c/1?diff=" + form).ok(200)
		says := page.texts("tr.says li")
		if len(says) != 1 || !strings.HasPrefix(says[0], "error by vet · <b>vet · U+202E elur") || !strings.Contains(says[0], "<script>alert(1)</script> U+202E gnp.exe") {
			t.Fatalf("%s: %q", form, says)
		}
		if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "javascript:") || strings.Contains(page.body, "\u202e") {
			t.Errorf("%s: a finding is obeyed", form)
		}
		for anchor, want := range map[string]string{"#f0R5": "ran", "#f0R6": "part", "#f0R7": "miss"} {
			if got := attr(page.find(anchor)[0], "class"); !strings.HasSuffix(got, " cv "+want) {
				t.Errorf("%s: %s is %q", form, anchor, got)
			}
		}
		if got := page.one("#f0R7 .sr"); got != "No test ran this line" {
			t.Errorf("%s: who does not see the mark hears %q", form, got)
		}
	}
	old := w.session("bob").get("/c/1?diff=unified").ok(200)
	if got := attr(old.find("#f0L7")[0], "class"); strings.Contains(got, "cv") {
		t.Errorf("the old side is marked: %q", got)
	}
}

func TestListOfFindings(t *testing.T) {
	w := checked(t)
	page := w.session("bob").get("/c/1?base=0").ok(200)
	var links []string
	for _, a := range page.find("#findings td.where a") {
		links = append(links, attr(a, "href"))
	}
	const commit = "/hello/-/file/0123456789012345678901234567890123456789/"
	want := []string{"/c/1?at=main.go%3AR7&base=0#f0R7", commit + "main.go#L99", commit + "docs/guide.md#L7"}
	if diff := cmp.Diff(want, links); diff != "" {
		t.Error(diff)
	}
	got := page.one("#findings")
	for _, words := range []string{"4 errors", "tests ran 1 of 2 new lines", "1 new line that no test ran", "main.go, on the branch", "vet : not read: cover.out: <i>cut"} {
		if !strings.Contains(got, words) {
			t.Errorf("%q is missing in %q", words, got)
		}
	}
	if got := page.one("#gates .counts"); got != "4 errors" {
		t.Errorf("at the stage: %q", got)
	}
	if got := page.one("#gates .covered"); got != "1 of 2 new lines not run by any test" {
		t.Errorf("below the stages: %q", got)
	}
	if got := len(w.session("bob").get("/c/1").ok(200).find("tr.says")); got != 1 {
		t.Errorf("%d lines", got)
	}
}

// Whoever may hold a change back stops its stages while they run; nobody else is offered that, or may.
func TestStopForm(t *testing.T) {
	w := checked(t)
	bob, visitor := w.session("bob"), w.session("")
	if len(bob.get("/stage/6/log").find("#stop")) != 0 {
		t.Error("what has ended is offered to be stopped")
	}
	w.gate.mu.Lock()
	for _, runs := range w.gate.runs {
		for r := range runs {
			for s := range runs[r].Stages {
				if runs[r].Stages[s].ID == 6 {
					runs[r].Stages[s].State = plan.Running
				}
			}
		}
	}
	w.gate.mu.Unlock()
	if got := bob.get("/stage/6/log").ok(200).texts("#stop button"); len(got) != 2 || got[0] != "Stop unit" || got[1] != "Stop the whole run" {
		t.Errorf("%q", got)
	}
	if len(visitor.get("/stage/6/log").ok(200).find("#stop")) != 0 {
		t.Error("a visitor is offered to stop a stage")
	}
	visitor.post("/stage/6/stop", nil).ok(401)
	bob.post("/stage/6/stop", url.Values{"reason": {"it hangs"}}).ok(303)
	bob.post("/stage/6/stop", url.Values{"all": {"yes"}}).ok(303)
	want := []gatekeeper.Stop{{StageRun: 6, Reason: "it hangs"}, {StageRun: 6, All: true}}
	if diff := cmp.Diff(want, w.gate.stops); diff != "" {
		t.Error(diff)
	}
}

// Whoever may propose runs stages again, with a reason; nobody else is offered that, or may.
func TestRerunForm(t *testing.T) {
	w := checked(t)
	bob := w.session("bob")
	page := bob.get("/c/1").ok(200)
	if got := page.texts("#rerun label.check"); len(got) != 1 || got[0] != "vet" { // what failed runs again in any case
		t.Errorf("%q", got)
	}
	bob.post("/c/1/recheck", url.Values{"stage": {"vet"}, "reason": {" the mirror was down \r\n"}}).ok(303)
	bob.post("/c/1/recheck", nil).ok(303)
	want := []gatekeeper.Rerun{{Stages: []string{"vet"}, Reason: "the mirror was down"}, {}}
	if diff := cmp.Diff(want, w.gate.reruns); diff != "" {
		t.Error(diff)
	}
	if attr(bob.get("/stage/6/log").find(".rerun input[name=stage]")[0], "value") != "unit" {
		t.Error("the stage's page does not offer to run it again")
	}
	visitor := w.session("")
	if len(visitor.get("/c/1").find("#rerun"))+len(visitor.get("/stage/6/log").find(".rerun")) != 0 {
		t.Error("a visitor is offered to run stages again")
	}
	visitor.post("/c/1/recheck", url.Values{"stage": {"vet"}}).ok(401)
	if len(w.gate.reruns) != 2 {
		t.Errorf("%+v", w.gate.reruns)
	}
}
