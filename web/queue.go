package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/web/words"
)

const (
	// newsAbove is how many of those that left the queue stand above the branch; the others
	// are folded below.
	newsAbove = 4
	// maxYours is how many of the reader's own changes are named above the line.
	maxYours = 5
	// minuteFormat and secondFormat are the two forms of a browser's field for a time.
	minuteFormat = "2006-01-02T15:04"
	secondFormat = "2006-01-02T15:04:05"
)

// queueView is the queue of a branch, drawn as a line with stops and trains.
type queueView struct {
	repoPage
	gatekeeper.BoardView
	Branch  string
	Lines   []boardLine
	Rows    []stopView
	Above   []newsView // the last that left, the newest last: next to the branch
	Earlier []newsView // all others, newest first
	Station template.HTML
	Trains  int
	Frozen  string
	Thaws   time.Time
	Yours   []stopView
	// MoreYours is how many of the reader's own changes are not among Yours.
	MoreYours int
	Summary   any // a sentence
	Machine   machineView
}

// stopView is a change that waits.
type stopView struct {
	Entry          gatekeeper.BoardEntry
	Standing       gatekeeper.Standing
	Tone           string
	Rails, Trains  template.HTML
	Train          *gatekeeper.Train
	Carried        bool // its train's stages are shown at a stop before
	Elapsed, Usual int  // seconds of the train's run
	Clock          any  // how long its run took and takes
	Lanes          []boardLine
	Hotfix, Yours  bool
	Waited         string
}

// newsView is a change that left.
type newsView struct {
	Change             int64
	Subject, Words     string
	Ago                any // see ago
	At                 time.Time
	Commit, Tone, Kind string
	Rails              template.HTML
}

// machineView is the time machine: where in time the page is, and the ways from there.
type machineView struct {
	Past          bool
	Here          string // the queue's address, without a moment
	At            string // for the field
	Shown         time.Time
	Back, Forward string
	From, Until   time.Time
	Value, Span   int64 // of the slider, in seconds
	Ticks         template.HTML
}

// queue is what waits to land on a branch, what is being tried, and what left; now, or at a
// moment of the past.
func (w *Web) queue(c *call) error {
	p, err := w.repoOf(c, "queue")
	if err != nil {
		return err
	}
	m, err := moment(c)
	if err != nil {
		return err
	}
	parts, v, err := w.queueParts(c.ctx(), c, p, m)
	if err != nil {
		return err
	}
	options := []option{withUp(repoURL(p.Repo.Name, ""))}
	if v.Live {
		options = append(options, withLive(repoURL(p.Repo.Name, "queue-events", v.Branch), parts))
	}
	return w.render(c, http.StatusOK, "queue", "Queue of "+v.Branch+" · "+p.Repo.Name, v, options...)
}

// moment reads which moment the address asks for.
func moment(c *call) (gatekeeper.Moment, error) {
	var m gatekeeper.Moment
	if text := c.query("event"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < 1 {
			return m, notFound("web.queue", "there is no such event")
		}
		m.Event = id
		return m, nil
	}
	text := c.query("at")
	if text == "" {
		return m, nil
	}
	for _, format := range []string{time.RFC3339, secondFormat, minuteFormat} {
		at, err := time.Parse(format, text)
		if err == nil {
			m.At = at.UTC()
			return m, nil
		}
	}
	return m, fault.Newf(fault.Invalid, "web.queue", "%s is no time", plain(text))
}

func (w *Web) queueParts(ctx context.Context, c *call, p repoPage, m gatekeeper.Moment) ([]byte, queueView, error) {
	b, err := w.Gate.WatchBoard(ctx, c.actor, p.Repo.Name, c.variable("rest"), m)
	if err != nil {
		return nil, queueView{}, err
	}
	v := newQueueView(p, b, c.variable("rest"), c.actor.Name)
	parts, err := w.renderPart(c, "queue", "queue-parts", v)
	return parts, v, err
}

func (w *Web) queueEvents(c *call) error {
	p, err := w.repoOf(c, "queue")
	if err != nil {
		return err
	}
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		parts, _, err := w.queueParts(ctx, c, p, gatekeeper.Moment{})
		return parts, err
	}, event.RepoTopic(p.Repo.ID))
}

func newQueueView(p repoPage, b gatekeeper.BoardView, branch, reader string) queueView {
	v := queueView{repoPage: p, BoardView: b, Branch: branch, Trains: len(b.Board.Running()), Frozen: b.Board.Frozen(b.At)}
	if v.Frozen != "" {
		v.Thaws = b.Board.Freeze.Until
	}
	d := draw(&v.Board)
	v.Lines, v.Station = d.lines, d.station(len(v.Board.News) > 0)
	shown := map[*gatekeeper.Train]bool{}
	for i, e := range v.Board.Entries {
		s := stopView{Entry: e, Standing: b.Standings[i], Tone: phaseTone(string(b.Standings[i].Phase)), Rails: d.rails(i, string(b.Standings[i].Phase)), Trains: d.wires(i),
			Lanes: d.lanes(i), Hotfix: gatekeeper.IsHotfix(e.Priority), Yours: reader != "" && e.Owner == reader, Waited: lasted(b.At.Sub(e.Since))}
		if t := v.Board.TrainOf(e.Change); t != nil {
			s.Train, s.Carried = t, shown[t]
			shown[t] = true
			s.clock(b.At, v.Board.Takes())
		}
		v.Rows = append(v.Rows, s)
		switch {
		case s.Yours && len(v.Yours) < maxYours:
			v.Yours = append(v.Yours, s)
		case s.Yours:
			v.MoreYours++
		}
	}
	for i, n := range v.Board.News {
		view := newsView{Change: n.Change, Subject: n.Subject, Words: n.Words, Ago: ago(b.At.Sub(n.At), n.At, nil), At: n.At, Commit: n.Commit, Kind: string(n.Kind), Tone: newsTone(string(n.Kind))}
		if i < newsAbove {
			view.Rails = d.passed(view.Tone, i == min(newsAbove, len(v.Board.News))-1)
			v.Above = append([]newsView{view}, v.Above...)
		} else {
			v.Earlier = append(v.Earlier, view)
		}
	}
	v.Summary = v.summary()
	v.Machine = newMachine(p.Repo, b, branch)
	return v
}

// clock fills in how long the train's run has taken, and takes.
func (s *stopView) clock(now time.Time, usual time.Duration) {
	if s.Train.State != "RUNNING" {
		return
	}
	elapsed := max(now.Sub(s.Train.Started), 0)
	s.Elapsed, s.Usual = int(elapsed/time.Second), max(int(usual/time.Second), 1)
	s.Clock = words.Say("{1} of about {2}", lasted(elapsed), lasted(usual))
}

// lasted is how long something took, as people say it.
func lasted(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d/time.Second), 0))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}

func (v queueView) summary() any {
	if len(v.Rows) == 0 {
		return words.Word("Nothing waits.")
	}
	wait, tested := words.Plural(len(v.Rows), "change waits", "changes wait"), words.Plural(v.Trains, "candidate is being tested", "candidates are being tested")
	if eta := v.Rows[0].Standing.ETA; eta != "" {
		return words.Say("{1}, {2}; the next lands in {3}.", wait, tested, eta)
	}
	return words.Say("{1}, {2}.", wait, tested)
}

func phaseTone(phase string) string {
	switch phase {
	case "landing":
		return "done"
	case "passed":
		return "good"
	case "testing":
		return "busy"
	case "held", "stuck":
		return "wait"
	}
	return "calm"
}

func newsTone(kind string) string {
	switch kind {
	case "landed":
		return "done"
	case "ejected":
		return "bad"
	}
	return "calm"
}

func newMachine(r repo.Repository, b gatekeeper.BoardView, branch string) machineView {
	here := repoURL(r.Name, "queue", branch)
	at := b.At.UTC()
	if at.IsZero() {
		at = b.Day.From
	}
	m := machineView{Past: !b.Live, Here: here, At: at.Format(secondFormat), Shown: at, From: b.Day.From.UTC(), Until: b.Day.Until.UTC()}
	m.Span = int64(m.Until.Sub(m.From) / time.Second)
	m.Value = min(max(int64(at.Sub(m.From)/time.Second), 0), m.Span)
	if b.Back != 0 {
		m.Back = here + "?" + url.Values{"event": {strconv.FormatInt(b.Back, 10)}}.Encode()
	}
	switch {
	case b.Forward != 0:
		m.Forward = here + "?" + url.Values{"event": {strconv.FormatInt(b.Forward, 10)}}.Encode()
	case m.Past:
		m.Forward = here
	}
	m.Ticks = ticks(b.Day)
	return m
}
