package web

import (
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

const (
	// maxLogShown is how many bytes of HTML a page holds of a log; links lead to the rest.
	maxLogShown = 1 << 20
	// maxLogChunk is how much of a log is read at once.
	maxLogChunk = 64 << 10
)

// stageView is the page of one stage run.
type stageView struct {
	Stage    gatekeeper.StageRun
	Change   review.Change // without a number when the bare branch was tested
	Branch   string        // that was
	Commit   git.OID
	MayRerun bool
	MayStop  bool
	Report   reportView
	Tests    testsView
	Log      logPart
}

// logPart is the part of a log that a page holds.
type logPart struct {
	Lines          template.HTML
	From, To, All  int    // lines; To is before From in an empty log
	Earlier, Later string // addresses of what is before and after, "" for nothing
	First          int    // the first line that tells of a failure, 0 for none
	FirstURL       string
	Fails          int
	Done           bool
	Stream         string // "" when the log is complete, or the page does not hold its end
	Resume         string // where the stream goes on
	Find           string
	Found          []found
	FoundMore      bool
	Path           string // of the page
	Keep           string // what its addresses carry on
	Times          string // how times are shown, "" for not
	Choices        []choice
}

func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.variable(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, notFound("web", "there is no page at this address")
	}
	return n, nil
}

// stageLog is the page of a stage run; with ?raw its log as it was written, and for programs
// that ask for no page its log as text.
func (w *Web) stageLog(c *call) error {
	id, err := c.number("id")
	if err != nil {
		return err
	}
	s, err := w.Gate.Stage(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	c.rw.Header().Add("Vary", "Accept")
	part := c.r.URL.Query().Has("part") // more lines, for the script
	if c.r.URL.Query().Has("raw") || !part && wantsText(c.r) {
		return w.rawLog(c, id)
	}
	v := stageView{Stage: s}
	commit, err := w.subject(c, &v)
	if err != nil {
		return err
	}
	if v.Log, err = w.logOf(c, s); err != nil {
		return err
	}
	if part {
		return w.sendPart(c, "stage", "log-lines", v.Log)
	}
	report, err := w.Gate.StageReport(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	v.Report = reportOf(report, v.Change.RepoName, commit)
	if v.Tests, err = w.testsOf(c, s, v.Change.RepoName); err != nil {
		return err
	}
	title, up := s.Stage+" of change "+strconv.FormatInt(v.Change.ID, 10), fmt.Sprintf("/c/%d", v.Change.ID)
	if s.Change == 0 {
		title, up = s.Stage+" on "+plain(v.Branch), repoURL(v.Change.RepoName, "")
	}
	return w.render(c, http.StatusOK, "stage", title, v, withUp(up))
}

// wantsText reports whether a program asks, as curl and wget do: any kind of answer will do
// for them, and pages are for readers.
func wantsText(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return accept == "*/*" || strings.HasPrefix(accept, "text/plain")
}

// subject reads what a stage run is about: its change, the commit that it tested, and whether
// the reader may run the stage again. Only what the newest run has can run again, and only
// once that has ended. A run on the bare branch is not asked for, and not asked for again.
func (w *Web) subject(c *call, v *stageView) (commit git.OID, err error) {
	s := v.Stage
	if s.Change == 0 {
		of, err := w.Gate.StageSubject(c.ctx(), c.actor, s.ID)
		v.Change.RepoName, v.Branch, v.Commit = of.Repository, of.Branch, of.Commit
		return of.Commit, err
	}
	if v.Change, err = w.Review.Get(c.ctx(), c.actor, s.Change); err != nil {
		return "", err
	}
	runs, err := w.Gate.Runs(c.ctx(), c.actor, s.Change)
	if err != nil {
		return "", err
	}
	newest := false
	for i, r := range runs {
		if r.ID == s.Run {
			commit, newest = r.Candidate, i == 0 && r.State != gatekeeper.RunRunning && r.State != gatekeeper.RunSuperseded
		}
	}
	live := s.State == plan.Queued || s.State == plan.Running
	if !newest && !live || !c.signedIn() || v.Change.Status != review.Open {
		return commit, nil
	}
	r, err := w.Repos.ByID(c.ctx(), w.DB.Read(), v.Change.Repo)
	if err != nil {
		return "", err
	}
	resource := r.Resource(v.Change.Branch)
	resource.ChangeOwner = v.Change.Owner
	v.MayRerun = newest && w.may(c, account.Propose, resource) == nil
	v.MayStop = live && w.may(c, account.Hold, resource) == nil
	return commit, nil
}

// logOf reads the part of the log that the address asks for: around a line (?at=12 or
// ?at=12-20), from a line on (?from=), the end (?tail); else the first failure of a stage that
// has ended, and the end of one that has not.
func (w *Web) logOf(c *call, s gatekeeper.StageRun) (logPart, error) {
	x, done, err := w.indexOf(c.ctx(), c, s.ID)
	if err != nil {
		return logPart{}, err
	}
	clock, err := w.clockOf(c, s)
	if err != nil {
		return logPart{}, err
	}
	path := fmt.Sprintf("/stage/%d/log", s.ID)
	v := logPart{All: x.lines, First: x.first, Fails: x.fails, Done: done, Path: path, Keep: clock.keep(), Times: clock.mode, Choices: clock.choices(path, c.r.URL.Query())}
	win, err := v.place(c, x, done)
	if err != nil {
		return logPart{}, err
	}
	win.to = min(win.from+logWindow-1, x.lines)
	p, err := w.piece(c, s.ID, x, win, clock)
	if err != nil {
		return logPart{}, err
	}
	v.Lines, v.From, v.To = template.HTML(p.HTML), p.From, p.To //nolint:gosec // escaped by terminal
	if v.From > 1 {
		v.Earlier = v.URL(fmt.Sprintf("from=%d", max(1, v.From-logWindow)))
	}
	switch {
	case v.To < v.All:
		v.Later = v.URL(fmt.Sprintf("from=%d", v.To+1))
	case !done:
		v.Stream = fmt.Sprintf("/stage/%d/events", s.ID)
		if clock.mode != "" {
			v.Stream += "?times=" + clock.mode
		}
		v.Resume = fmt.Sprintf("%d-%d", p.Next, v.To)
	}
	if v.First > 0 {
		v.FirstURL = fmt.Sprintf("#L%d", v.First)
		if v.First < v.From || v.First > v.To {
			v.FirstURL = v.URL(fmt.Sprintf("at=%d", v.First)) + fmt.Sprintf("#L%d", v.First)
		}
	}
	v.Find = c.query("find")
	if len(v.Find) > maxFindText {
		v.Find = ""
	}
	if v.Find != "" {
		v.Found, v.FoundMore, err = w.find(c, s.ID, v.Find)
	}
	return v, err
}

// place is the part that the address asks for.
func (v *logPart) place(c *call, x logIndex, done bool) (win window, err error) {
	end := max(1, x.lines-logWindow+1)
	number := func(text string) int {
		n, convErr := strconv.Atoi(text)
		if convErr != nil || n < 1 {
			err = notFound("web.stageLog", "there is no such place in the log")
		}
		return n
	}
	switch {
	case c.query("at") != "":
		first, last, ranged := strings.Cut(c.query("at"), "-")
		win.lit.from = number(first)
		if win.lit.to = win.lit.from; ranged {
			win.lit.to = number(last)
		}
		if win.from = win.lit.from - logLead; win.lit.from > x.lines {
			win.from = end
		}
	case c.query("from") != "":
		win.from = number(c.query("from"))
	case !done || c.r.URL.Query().Has("tail") || x.first == 0:
		win.from, win.end = end, true
	default:
		win.lit.from, win.from = x.first, x.first-logLead // without lit.to nothing is highlighted
	}
	win.from = max(win.from, 1)
	return win, err
}

// sendPart sends a piece of a page.
func (w *Web) sendPart(c *call, name, part string, body any) error {
	text, err := w.renderPart(c, name, part, body)
	if err != nil {
		return err
	}
	c.rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	send(c.rw, text)
	return nil
}

// rawLog sends the log as it is, for programs.
func (w *Web) rawLog(c *call, id int64) error {
	log, _, err := w.Gate.StageLog(c.ctx(), c.actor, id, 0)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // it was only read
	h := c.rw.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", rawPolicy)
	if _, err := io.Copy(c.rw, log); err != nil && c.ctx().Err() == nil {
		w.Log.Warn("raw log cut short", "stage", id, "err", err)
	}
	return nil
}

// bytesText is a size as people say it.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return plural(int(n), "byte", "bytes")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
