package plan

import (
	"fmt"
	"strings"
	"time"
)

// evaluateTests adds up what the needed stages reported. A stage that reports no tests though
// the policy says that it does counts against the change, unless its paths or a quarantine
// excuse it.
func evaluateTests(g Gate, c TestLimits, e Evidence) Reason {
	r := Reason{Kind: kindTests, Line: c.Line, State: Open}
	lost := g.lost(e)
	var total Tests
	var asked, excused, forgiven, left []string
	for _, n := range g.Needs {
		t, reported := e.Tests[n.Stage]
		if !n.Results && !reported {
			continue
		}
		asked = append(asked, n.Stage)
		if b, is := e.left[n.Stage]; is && e.Stages[n.Stage] != Passed && e.Stages[n.Stage] != Skipped {
			left = append(left, b.words(n.Stage))
			r.At = sooner(r.At, b.Until)
			continue
		}
		if !n.Removed && e.forgivesTests(n.Stage, t) {
			forgiven = append(forgiven, n.Stage)
			r.At = sooner(r.At, n.Quarantine.ends())
			total.Passed, total.Skipped = total.Passed+t.Passed, total.Skipped+t.Skipped
			continue
		}
		stage := g.stageReason(n, e, lost)
		settled := e.Stages[n.Stage] == Passed || e.Stages[n.Stage] == Failed
		switch {
		case n.Removed || !settled && stage.State != Open:
			return Reason{Kind: kindTests, Line: c.Line, State: stage.State, Stage: n.Stage, What: "no tests: " + stage.What, Evidence: stage.Evidence, Next: stage.Next}
		case !settled:
			excused = append(excused, n.Stage)
		case !reported:
			return Reason{Kind: kindTests, Line: c.Line, State: Refused, Stage: n.Stage,
				What: n.Stage + " left no test results", Evidence: stage.Evidence,
				Next: "have the stage write the file that `results` names"}
		default:
			r.Stage = n.Stage
			total.Passed, total.Failed, total.Skipped = total.Passed+t.Passed, total.Failed+t.Failed, total.Skipped+t.Skipped
			total.Cases = append(total.Cases, failures(t)...)
		}
	}
	if len(asked) == 0 {
		r.State, r.What, r.Next = Closed, "no stage reports tests", "give a stage before gate "+g.Name+" `results`"
		return r
	}
	if len(excused) == len(asked) {
		r.What = "no tests were needed: the change touches no paths of " + strings.Join(excused, ", ")
		return r
	}
	if len(forgiven)+len(left) == 0 {
		return judgeTests(r, c, total)
	}
	return judgeSomeTests(r, c, total, forgiven, left)
}

// judgeSomeTests judges tests of which some do not count: those of stages in quarantine, and of
// stages that were left out.
func judgeSomeTests(r Reason, c TestLimits, total Tests, forgiven, left []string) Reason {
	c.Min = 0 // how many would have run otherwise is not known, so none too few ran
	r = judgeTests(r, c, total)
	if len(forgiven) > 0 {
		r.What += "; failures of " + strings.Join(forgiven, ", ") + " do not count: in quarantine"
	}
	if len(left) > 0 {
		r.What += "; " + strings.Join(left, "; ")
		if r.State == Open {
			r.State = GateBypassed
		}
	}
	return r
}

// sooner is the earlier of two times of which either may be zero.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// judgeTests compares the sum of the results with the limits.
func judgeTests(r Reason, c TestLimits, total Tests) Reason {
	r.Evidence = total.Counts()
	switch ran := total.Passed + total.Failed; {
	case total.Failed > c.Failed:
		r.State = Refused
		r.What = fmt.Sprintf("%s failed, at most %d may", plural(total.Failed, "test"), c.Failed)
		r.Evidence += failedNames(total)
		r.Next = "mend the failing tests and push a patch set"
	case ran < c.Min:
		r.State = Refused
		r.What = fmt.Sprintf("%s ran, at least %d must", plural(ran, "test"), c.Min)
		r.Next = "have the stage run the tests and report them"
	default:
		r.What = plural(total.Passed, "test") + " passed"
	}
	return r
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Counts is the results in one line: "41 passed, 1 failed, 2 skipped".
func (t Tests) Counts() string {
	text := fmt.Sprintf("%d passed, %d failed", t.Passed, t.Failed)
	if t.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	return text
}

func failures(t Tests) []Case {
	var failed []Case
	for _, c := range t.Cases {
		if c.Status == CaseFailed {
			failed = append(failed, c)
		}
	}
	return failed
}

// failedNames lists the first failing tests.
func failedNames(t Tests) string {
	const enough = 5 // more are in the log
	var names []string
	for _, c := range failures(t) {
		names = append(names, c.Name)
	}
	if len(names) == 0 {
		return ""
	}
	text := ": " + strings.Join(names[:min(enough, len(names))], ", ")
	if len(names) > enough {
		text += fmt.Sprintf(" and %d more", len(names)-enough)
	}
	return text
}
