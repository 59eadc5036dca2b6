package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/web/words"
)

const (
	// maxTestsShown is how many tests a page lists at once; the filter narrows them.
	maxTestsShown = 200
	// maxSlow is how many tests the list of the slowest has.
	maxSlow = 25
	// outputsOpen is for how many failed tests the output stands open.
	outputsOpen = 3
)

// testsView is the table of a stage run's tests.
type testsView struct {
	Counts *plan.Tests // nil when the stage reports no tests
	Rows   []testView
	Show   string // failed, slow or all
	Views  []testsFilter
	Text   string // that their names hold
	More   int    // that are not listed
	Unkept bool   // there were more tests than are kept
	Path   string // of the page
}

type testsFilter struct {
	Name, URL string
	Count     int
	On        bool
}

type testView struct {
	gatekeeper.TestRow
	Tone   string
	Output string
	Open   bool
	URL    string // its history
	Took   string
}

// The tests that the table can show: ?tests=.
const (
	showFailed = "failed"
	showSlow   = "slow"
	showAll    = "all"
)

// testTones are the tones of results.
var testTones = map[plan.CaseStatus]string{plan.CaseFailed: "bad", plan.CasePassed: "good", plan.CaseSkipped: "calm"}

// testsOf reads the tests of a stage run that the address asks for: the failed ones at first,
// or none when all is well.
func (w *Web) testsOf(c *call, s gatekeeper.StageRun, repoName string) (testsView, error) {
	v := testsView{Path: fmt.Sprintf("/stage/%d/log", s.ID), Counts: s.Tests, Show: c.query("tests"), Text: c.query("name")}
	if s.Tests == nil {
		return v, nil
	}
	rows, err := w.Gate.StageTests(c.ctx(), c.actor, s.ID)
	if err != nil {
		return v, err
	}
	if len(rows) == 0 { // nothing was kept for the history
		for _, k := range s.Tests.Cases {
			rows = append(rows, gatekeeper.TestRow{Stage: s.Stage, Test: k.FullName(), Package: k.Package, Status: k.Status, Took: k.Duration})
		}
	}
	v.Unkept = s.Tests.Truncated || len(rows) < s.Tests.Passed+s.Tests.Failed+s.Tests.Skipped
	if !slices.Contains([]string{showFailed, showSlow, showAll}, v.Show) {
		v.Show = ""
		if s.Tests.Failed > 0 {
			v.Show = showFailed
		}
	}
	for _, f := range []testsFilter{{Name: "Failed", URL: showFailed, Count: s.Tests.Failed}, {Name: "Slowest", URL: showSlow}, {Name: "All", URL: showAll, Count: s.Tests.Passed + s.Tests.Failed + s.Tests.Skipped}} {
		f.On = f.URL == v.Show
		f.URL = v.Path + "?" + url.Values{"tests": {f.URL}}.Encode() + "#tests"
		v.Views = append(v.Views, f)
	}
	v.choose(rows, outputsOf(s.Tests), repoName)
	return v, nil
}

func outputsOf(t *plan.Tests) map[string]string {
	all := map[string]string{}
	for _, k := range t.Cases {
		if k.Output != "" {
			all[k.FullName()] = k.Output
		}
	}
	return all
}

// choose fills the table.
func (v *testsView) choose(rows []gatekeeper.TestRow, outputs map[string]string, repoName string) {
	most := maxTestsShown
	switch v.Show {
	case "":
		return
	case showSlow:
		rows, most = slices.Clone(rows), maxSlow
		slices.SortStableFunc(rows, gatekeeper.Slowest)
	}
	for _, row := range rows {
		switch {
		case v.Show == showFailed && row.Status != plan.CaseFailed:
		case !strings.Contains(strings.ToLower(row.Test), strings.ToLower(v.Text)):
		case len(v.Rows) == most:
			v.More++
		default:
			v.Rows = append(v.Rows, testView{TestRow: row, Tone: testTones[row.Status], Output: outputs[row.Test], Open: len(v.Rows) < outputsOpen,
				URL: testURL(repoName, row.Stage, row.Test), Took: tookText(row.Took)})
		}
	}
	if v.Show == showSlow {
		v.More = 0
	}
}

// testURL is the page of a test's history.
func testURL(repoName, stage, test string) string {
	return repoURL(repoName, "tests") + "?" + url.Values{"stage": {stage}, "name": {test}}.Encode()
}

// tookText is how long a test took, "" when it is not known.
func tookText(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	if d < time.Millisecond {
		return "< 1 ms"
	}
	return took(time.Unix(1, 0), time.Unix(1, 0).Add(d))
}

// reportView is what a stage run reported beside its result.
type reportView struct {
	gatekeeper.StageReport
	Rows                      []findingRow
	Errors, Warnings, Notices int
	Percent                   string
}

// reportOf prepares it; lines are those of the commit that was tested.
func reportOf(r gatekeeper.StageReport, repoName string, commit git.OID) reportView {
	v := reportView{StageReport: r}
	for _, a := range r.Findings {
		switch a.Severity {
		case annotate.Error:
			v.Errors++
		case annotate.Warning:
			v.Warnings++
		case annotate.Notice:
			v.Notices++
		}
		row := findingRow{Finding: gatekeeper.Finding{Annotation: a}, Tone: findingTones[a.Severity], Where: placeOf(a), Help: a.URL, Rule: strings.TrimSpace(a.Tool + " " + a.Rule)}
		if a.Path != "" && commit != "" {
			row.URL = repoURL(repoName, "file", string(commit), a.Path)
			if a.Line > 0 {
				row.URL += "#L" + strconv.Itoa(a.Line)
			}
		}
		v.Rows = append(v.Rows, row)
	}
	if r.CoverAll > 0 {
		v.Percent = fmt.Sprintf("%.1f %%", 100*float64(r.CoverRun)/float64(r.CoverAll))
	}
	return v
}

// testsPage lists the tests of a repository, or with ?name= the history of one.
func (w *Web) testsPage(c *call) error {
	p, err := w.repoOf(c, "tests")
	if err != nil {
		return err
	}
	v := testPage{repoPage: p, Text: c.query("q")}
	title := "Tests of " + p.Repo.Name
	if name := c.query("name"); name != "" {
		h, err := w.Gate.TestHistory(c.ctx(), c.actor, p.Repo.Name, c.query("stage"), name)
		if err != nil {
			return err
		}
		v.History = historyOf(h)
		title = name + " in " + p.Repo.Name
	} else {
		found, err := w.Gate.Tests(c.ctx(), c.actor, p.Repo.Name, v.Text)
		if err != nil {
			return err
		}
		for _, t := range found {
			v.Rows = append(v.Rows, testCount{t, testURL(p.Repo.Name, t.Stage, t.Test), tookText(t.Mean), share(t.Failures, t.Runs)})
		}
	}
	return w.render(c, http.StatusOK, "tests", title, v, withUp(repoURL(p.Repo.Name, "")))
}

type testPage struct {
	repoPage
	Text    string
	Rows    []testCount
	History *historyView
}

type testCount struct {
	gatekeeper.TestCount
	URL, Took, Percent string
}

// historyView is how one test ended in its last runs.
type historyView struct {
	gatekeeper.TestHistory
	Took, Percent string
	Results       []historyRow
	Marks         []historyMark // the oldest first
}

type historyRow struct {
	gatekeeper.TestResult
	Tone, Took string
}

// historyMark is a result as a small bar.
type historyMark struct {
	Tone, URL string
	Title     words.Text
}

// maxHistoryMarks is how many results the row of bars has.
const maxHistoryMarks = 60

func historyOf(h gatekeeper.TestHistory) *historyView {
	v := &historyView{TestHistory: h, Took: tookText(h.Mean), Percent: share(h.Failures, h.Runs)}
	for _, r := range h.Results {
		row := historyRow{r, testTones[r.Status], tookText(r.Took)}
		if r.Flake != "" {
			row.Tone = "wait"
		}
		v.Results = append(v.Results, row)
		if len(v.Marks) < maxHistoryMarks {
			result := words.Word(r.Status)
			if r.Flake != "" {
				result = "flaked"
			}
			v.Marks = append(v.Marks, historyMark{Tone: row.Tone, Title: words.Say("{1} {2}", result, r.At.UTC().Format("2006-01-02 15:04 UTC")), URL: fmt.Sprintf("/stage/%d/log", r.StageRun)})
		}
	}
	slices.Reverse(v.Marks)
	return v
}

// share is a part of a whole as people say it.
func share(part, whole int) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
