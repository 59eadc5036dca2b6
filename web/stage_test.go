package web

import (
	varint "encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// stageWorld has one stage run, 5, in a state, with a log.
func stageWorld(t *testing.T, state plan.StageState, log string) *world {
	t.Helper()
	w, _ := hello(t)
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, Candidate: "0123456789012345678901234567890123456789",
		Stages: []gatekeeper.StageRun{{ID: 5, Run: 1, Change: 1, Stage: "unit", State: state}}}})
	w.gate.write(5, log, state.Settled())
	return w
}

// numbered is a log of n lines; line at, if any, is the first failure.
func numbered(n, at int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		if i == at {
			b.WriteString("--- FAIL: TestX\n")
		} else {
			fmt.Fprintf(&b, "line %d\n", i)
		}
	}
	return b.String()
}

// ends are the first and the last line of the log on a page.
func (a answer) ends() (first, last string) {
	lines := a.find("#log li")
	if len(lines) == 0 {
		return "", ""
	}
	return attr(lines[0], "id"), attr(lines[len(lines)-1], "id")
}

// A stage that ran on the bare branch has a page too, which says so, for whoever may read the branch.
func TestStageOfABareBranch(t *testing.T) {
	w, r := hello(t)
	tip := git.OID(w.git("rev-parse", "HEAD~1"))
	w.repo("secret", "alice", true, map[string]string{"a": "a\n"})
	w.gate.bare = map[int64]gatekeeper.StageSubject{7: {Repository: r.Name, Branch: "main", Commit: tip}, 8: {Repository: "secret", Branch: "main", Commit: tip}}
	var stages []gatekeeper.StageRun
	for id := range w.gate.bare {
		stages = append(stages, gatekeeper.StageRun{ID: id, Run: 3, Stage: "unit", State: plan.Failed, Tests: &plan.Tests{Passed: 1, Failed: 1}})
		w.gate.write(id, numbered(30, 20), true)
	}
	w.gate.set(0, nil, []gatekeeper.Run{{ID: 3, Candidate: tip, Stages: stages}})
	page := w.session("bob").get("/stage/7/log").ok(200)
	if got := page.one(".crumbs"); got != "hello main unit" {
		t.Errorf("stands at %q", got)
	}
	if got := page.one("#stage-head p"); !strings.HasPrefix(got, "The branch main as it stands, at "+tip.Short()) {
		t.Errorf("head %q", got)
	}
	if len(page.find(".rerun")) != 0 {
		t.Error("it can be asked for again")
	}
	w.session("bob").get(attr(page.find(".crumbs a")[1], "href")).ok(200)
	if got := w.session("").get("/stage/7/log?raw").ok(200).body; !strings.Contains(got, "--- FAIL") {
		t.Errorf("raw %q", got)
	}
	w.session("carol").get("/stage/8/log").ok(404)
	w.session("alice").get("/stage/8/log").ok(200)
}

// A switch of links shows when each line was begun, since the start or by the clock; whatever
// leads to more of the log keeps it so.
func TestLogTimes(t *testing.T) {
	w := stageWorld(t, plan.Failed, numbered(5_000, 3_000))
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	w.gate.runs[1][0].Stages[0].StartedAt = start
	text := varint.BigEndian.AppendUint64(nil, uint64(start.Add(time.Second).UnixMilli()))
	half := uint64(strings.Index(numbered(5_000, 3_000), "line 2999"))
	for _, n := range []uint64{half, 0, 200, 3_723_004} { // two writes: the first half, and 200 bytes more an hour later
		text = varint.AppendUvarint(text, n)
	}
	w.gate.times = map[int64][]byte{5: text}
	c := w.session("")
	if page := c.get("/stage/5/log").ok(200); len(page.find("#log .at")) != 0 || page.one(".logbar .choice [aria-current]") != "No times" {
		t.Error("times are shown to somebody who did not ask")
	}
	page := c.get("/stage/5/log?at=2999&times=since").ok(200)
	line := func(page answer, n int) string {
		return wordsOf(find(page.find(fmt.Sprintf("#L%d", n))[0], ".at")[0])
	}
	if a, b, none := line(page, 2998), line(page, 2999), line(page, 4000); a != "+1.000" || b != "+1:02:04.004" || none != "" {
		t.Errorf("since the start: %q, %q, %q", a, b, none)
	}
	for _, selector := range []string{"#log a[data-log-more]", "#L2999 a", ".logbar .acts a"} {
		for _, a := range page.find(selector) {
			if href := attr(a, "href"); !strings.Contains(href, "times=since") && !strings.HasPrefix(href, "#") && !strings.HasSuffix(href, "raw") {
				t.Errorf("%s leads to %q", selector, href)
			}
		}
	}
	var links []string
	for _, a := range page.find(".logbar .choice a") {
		links = append(links, attr(a, "href"))
	}
	if got := strings.Join(links, " "); got != "/stage/5/log?at=2999#log-bar /stage/5/log?at=2999&times=since#log-bar /stage/5/log?at=2999&times=clock#log-bar" {
		t.Errorf("the switch: %s", got)
	}
	clock := c.get(strings.Split(links[2], "#")[0]).ok(200)
	if got := line(clock, 2999); got != "04:06:09.004" {
		t.Errorf("by the clock: %q", got)
	}
	if got := attr(find(clock.find("#L2999")[0], "time")[0], "datetime"); got != "2030-01-02T04:06:09.004Z" {
		t.Errorf("datetime %q", got)
	}
	c.get("/stage/5/log?times=%3Cb%3E").ok(200)
}

func TestLogWindows(t *testing.T) {
	const n = 10_000
	w := stageWorld(t, plan.Failed, numbered(n, 7_000))
	c := w.session("")
	for _, at := range []struct{ query, first, last, earlier, later string }{
		{"", "L6900", "L8899", "/stage/5/log?from=4900", "/stage/5/log?from=8900"},
		{"?at=12", "L1", "L2000", "", "/stage/5/log?from=2001"},
		{"?at=5000-5010", "L4900", "L6899", "/stage/5/log?from=2900", "/stage/5/log?from=6900"},
		{"?at=99999", "L8001", "L10000", "/stage/5/log?from=6001", ""},
		{"?from=1", "L1", "L2000", "", "/stage/5/log?from=2001"},
		{"?from=1001", "L1001", "L3000", "/stage/5/log?from=1", "/stage/5/log?from=3001"},
		{"?tail", "L8001", "L10000", "/stage/5/log?from=6001", ""},
		{"?from=99999", "", "", "/stage/5/log?from=97999", ""},
	} {
		t.Run(at.query, func(t *testing.T) {
			page := c.get("/stage/5/log" + at.query).ok(200)
			first, last := page.ends()
			if first != at.first || last != at.last {
				t.Errorf("from %s to %s", first, last)
			}
			earlier, later := "", ""
			for _, a := range page.find("#log a[data-log-more]") {
				if attr(a, "rel") == "prev" {
					earlier = attr(a, "href")
				} else {
					later = attr(a, "href")
				}
			}
			if earlier != at.earlier || later != at.later {
				t.Errorf("earlier %q, later %q", earlier, later)
			}
		})
	}
	if got := len(c.get("/stage/5/log?at=5000-5010").find("#log li.lit")); got != 11 {
		t.Errorf("%d lines are highlighted", got)
	}
	page := c.get("/stage/5/log").ok(200)
	if got := attr(page.find("#first")[0].Parent, "id"); got != "L7000" || attr(page.find("#log")[0], "data-first") != "L7000" {
		t.Errorf("the first failure is %s", got)
	}
	for _, bad := range []string{"?at=x", "?at=0", "?at=-3", "?at=3-x", "?from=0", "?from=9e9", "?at=99999999999999999999"} {
		c.get("/stage/5/log" + bad).ok(404)
	}
	part := c.get("/stage/5/log?from=1001&part").ok(200)
	if first, _ := part.ends(); strings.Contains(part.body, "<html") || len(part.find("ol li")) != logWindow || first != "" {
		t.Errorf("a part has %d lines", len(part.find("ol li")))
	}
}

// A running stage is followed at its end; the stream goes on where the page ends.
func TestRunningLogOpensAtItsEnd(t *testing.T) {
	w := stageWorld(t, plan.Running, numbered(5_000, 17)+"not whole")
	page := w.session("").get("/stage/5/log").ok(200)
	if first, last := page.ends(); first != "L3001" || last != "L5000" {
		t.Errorf("from %s to %s", first, last)
	}
	log := page.find("#log")[0]
	if got, want := attr(log, "data-from"), fmt.Sprintf("%d-5000", len(numbered(5_000, 17))); got != want || attr(log, "data-stream") != "/stage/5/events" {
		t.Errorf("the stream goes on at %s, want %s", got, want)
	}
	if before := w.session("").get("/stage/5/log?from=1"); attr(before.find("#log")[0], "data-stream") != "" {
		t.Error("lines would be missing between the page and its stream")
	}
}

// Lines can be long: a page stays small, and shows the lines that it was asked for.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("<", 3_900) + "\n"
	w := stageWorld(t, plan.Passed, strings.Repeat(long, 3_000)+"the end\n"+strings.Repeat("x", 10*maxHeldLine)+"\nlast")
	c := w.session("")
	for query, want := range map[string]string{"": "L3003", "?at=2000": "", "?from=1": ""} {
		page := c.get("/stage/5/log" + query).ok(200)
		if len(page.body) > 4*maxLogShown {
			t.Errorf("%s: %d bytes", query, len(page.body))
		}
		if _, last := page.ends(); want != "" && last != want {
			t.Errorf("%s ends with %s", query, last)
		}
	}
	if got := len(c.get("/stage/5/log?at=2000").find("#L2000")); got != 1 {
		t.Error("the line that was asked for is missing")
	}
}

// A million lines cost no more than the window, once they were read.
func TestAMillionLines(t *testing.T) {
	var b strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&b, "%d\n", i+1)
	}
	w := stageWorld(t, plan.Passed, b.String())
	c := w.session("")
	for _, query := range []string{"?at=500000", "?from=900000", "?tail"} {
		page := c.get("/stage/5/log" + query).ok(200)
		if got := len(page.find("#log li")); got != logWindow {
			t.Errorf("%s: %d lines", query, got)
		}
	}
	if line := c.get("/stage/5/log?at=500000").one("#L500000"); line != "500000 500000" {
		t.Errorf("%q", line)
	}
	if got := c.get("/stage/5/log?find=123456").texts(".found li"); len(got) != 1 || got[0] != "123456 123456" {
		t.Errorf("%q", got)
	}
}

func TestFindInALog(t *testing.T) {
	w := stageWorld(t, plan.Passed, "a needle\n\x1b[31mNEE\x1b[0mDLE <b>\nhay\n"+strings.Repeat("pin\n", 500))
	c := w.session("")
	page := c.get("/stage/5/log?find=needle").ok(200)
	if got := page.texts(".found li"); len(got) != 2 || got[1] != "2 NEEDLE <b>" {
		t.Errorf("%q", got)
	}
	if got := page.one(".found h3"); got != "2 lines hold “needle”" {
		t.Errorf("%q", got)
	}
	if got := len(c.get("/stage/5/log?find=pin").find(".found li")); got != maxFound {
		t.Errorf("%d lines", got)
	}
	if got := c.get("/stage/5/log?find=" + strings.Repeat("x", 500)).find(".found"); len(got) != 0 {
		t.Error("an endless text is searched for")
	}
}

func TestGroupsAndCommandsOfALog(t *testing.T) {
	w := stageWorld(t, plan.Failed, "::group::Set up <b>\nunpack\n::endgroup::\nbuild\n::error file=a.go,line=3::broken%0Abadly\n::warning::odd\n::set-env name=PATH::/evil\n")
	lines := w.session("").get("/stage/5/log").ok(200).find("#log li")
	var got []string
	for _, l := range lines {
		got = append(got, strings.TrimSpace(attr(l, "class")+": "+wordsOf(l)))
	}
	want := []string{"group: 1 Set up <b>", "in: 2 unpack", "in over: 3", ": 4 build", "bad error: 5 error: a.go:3: broken badly", "warning: 6 warning: odd", ": 7 ::set-env name=PATH::/evil"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// What programs are sent is text, never a page; and readers are never sent a log as a page.
func TestLogAsText(t *testing.T) {
	hostile := "\x1b]0;title\x07<script>alert(1)</script>\n\u202euser\n<svg onload=alert(1)>\n"
	w := stageWorld(t, plan.Passed, hostile)
	for accept, text := range map[string]bool{"*/*": true, "text/plain": true, "text/html,application/xhtml+xml,*/*;q=0.8": false, "": false} {
		req, err := http.NewRequest(http.MethodGet, w.server.URL+"/stage/5/log", nil)
		w.must(err)
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		got := w.session("").do(req).ok(200)
		kind := got.header.Get("Content-Type")
		if text && (got.body != hostile || kind != "text/plain; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(got.header.Get("Content-Security-Policy"), "sandbox")) {
			t.Errorf("%q: %s %q", accept, kind, got.body)
		}
		if !text && (kind != "text/html; charset=utf-8" || strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, "<svg onload") || strings.Contains(got.body, "\u202e") || !strings.Contains(got.body, "U+202E")) {
			t.Errorf("%q: %s", accept, kind)
		}
	}
}

func TestTestsOfAStage(t *testing.T) {
	w := stageWorld(t, plan.Failed, "")
	tests := &plan.Tests{Passed: 2, Failed: 1, Cases: []plan.Case{{Package: "p", Name: "TestBad", Status: plan.CaseFailed, Output: "<b>got 1\u202e"}}}
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, Stages: []gatekeeper.StageRun{{ID: 5, Change: 1, Stage: "unit", State: plan.Failed, Tests: tests}}}})
	w.gate.tests = map[int64][]gatekeeper.TestRow{5: {
		{Stage: "unit", Test: "p.TestBad", Status: plan.CaseFailed, Took: time.Second, Flakes: 2},
		{Stage: "unit", Test: "p.TestFast", Status: plan.CasePassed, Took: time.Millisecond},
		{Stage: "unit", Test: "p.TestSlow", Status: plan.CasePassed, Took: time.Minute},
	}}
	c := w.session("")
	page := c.get("/stage/5/log").ok(200)
	if got := page.texts("#tests tbody tr"); len(got) != 1 || !strings.Contains(got[0], "p.TestBad") || !strings.Contains(got[0], "flaked 2 times") || !strings.Contains(got[0], "got 1 U+202E") {
		t.Errorf("%q", got)
	}
	if strings.Contains(page.body, "<b>got") {
		t.Error("the output of a test is markup")
	}
	if got := c.get("/stage/5/log?tests=slow").texts("#tests tbody .mono"); strings.Join(got, " ") != "p.TestSlow p.TestBad p.TestFast" {
		t.Errorf("%q", got)
	}
	if got := c.get("/stage/5/log?tests=all&name=FAST").texts("#tests tbody .mono"); strings.Join(got, " ") != "p.TestFast" {
		t.Errorf("%q", got)
	}
	link := attr(page.find("#tests tbody a")[0], "href")
	if link != "/hello/-/tests?name=p.TestBad&stage=unit" {
		t.Errorf("history at %s", link)
	}
	w.gate.history = gatekeeper.TestHistory{TestCount: gatekeeper.TestCount{Stage: "unit", Test: "p.TestBad", Runs: 3, Failures: 2, Flakes: 1, Mean: time.Second}, Results: []gatekeeper.TestResult{
		{StageRun: 5, Change: 1, PatchSet: 1, Commit: "0123456789012345678901234567890123456789", Status: plan.CasePassed},
		{StageRun: 5, Change: 1, PatchSet: 1, Commit: "0123456789012345678901234567890123456789", Status: plan.CaseFailed, Flake: gatekeeper.FlakeRerun, Message: "<i>\u202e"},
		{StageRun: 5, Branch: "main", Commit: "0123456789012345678901234567890123456789", Status: plan.CaseFailed},
	}}
	history := c.get(link).ok(200)
	if got := history.texts("tbody tr"); len(got) != 3 || !strings.Contains(got[1], "flake: passed on the same files later") || !strings.Contains(got[1], "<i> U+202E") || !strings.Contains(got[2], "branch main") {
		t.Errorf("%q", got)
	}
	if got := len(history.find(".marks li")); got != 3 {
		t.Errorf("%d marks", got)
	}
	c.get("/hello/-/tests?name=p.TestNone").ok(404)
	w.gate.counts = []gatekeeper.TestCount{{Stage: "unit", Test: "p.TestBad", Runs: 3, Failures: 2, Flakes: 1}}
	if got := c.get("/hello/-/tests?q=bad").ok(200).texts("tbody tr"); len(got) != 1 || !strings.Contains(got[0], "66.7 %") {
		t.Errorf("%q", got)
	}
}

// hostileFinding is what a tool says that its author would like the page to obey.
var hostileFinding = annotate.Annotation{Path: "main.go", Line: 3, EndLine: 3, Severity: annotate.Error, Tool: "<b>vet", Rule: "\u202eelur", Message: "<script>alert(1)</script> \u202egnp.exe", URL: "javascript:alert(1)"}

func TestReportOfAStage(t *testing.T) {
	w := stageWorld(t, plan.Failed, "")
	w.gate.reports = map[int64]gatekeeper.StageReport{5: {Dropped: 7, Notes: []string{"x.sarif: <b>cut"}, CoverRun: 3, CoverAll: 4, Findings: []annotate.Annotation{hostileFinding}}}
	page := w.session("").get("/stage/5/log").ok(200)
	got := page.texts(".findings")
	if len(got) != 1 || !strings.Contains(got[0], "<script>alert(1)</script> U+202E gnp.exe") || !strings.Contains(got[0], "75.0 %") || !strings.Contains(got[0], "x.sarif: <b>cut") || !strings.Contains(got[0], "7 more") {
		t.Errorf("%q", got)
	}
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, `href="javascript:`) || strings.Contains(page.body, "\u202e") {
		t.Error("a finding is obeyed")
	}
	if link := attr(page.find(".findings td.where a")[0], "href"); link != "/hello/-/file/0123456789012345678901234567890123456789/main.go#L3" {
		t.Errorf("%s", link)
	}
}
