package web

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/event"
	"gatehouse/review"
)

const (
	// maxLogShown is how much of the end of a log a page holds; all of it is one click away.
	maxLogShown = 1 << 20
	// maxLogChunk is how much one event of a stream carries.
	maxLogChunk = 64 << 10
	// maxFailedShown is how many failed tests a page lists.
	maxFailedShown = 100
)

// stageView is the page of one stage run.
type stageView struct {
	Stage   gatekeeper.StageRun
	Change  review.Change
	Cases   []plan.Case // the failed ones
	Lines   template.HTML
	First   string // anchor of the first line that tells of a failure
	Skipped string // how much of the beginning is not shown
	Stream  string // "" when the log is complete
	From    string // where the stream goes on
}

func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.variable(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, notFound("web", "there is no page at this address")
	}
	return n, nil
}

// stageLog is the log as a page, and with ?raw as it was written.
func (w *Web) stageLog(c *call) error {
	id, err := c.number("id")
	if err != nil {
		return err
	}
	s, err := w.Gate.Stage(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	if c.r.URL.Query().Has("raw") {
		return w.rawLog(c, id)
	}
	ch, err := w.Review.Get(c.ctx(), c.actor, s.Change)
	if err != nil {
		return err
	}
	text, skipped, done, err := w.logTail(c.ctx(), c, id)
	if err != nil {
		return err
	}
	v := stageView{Stage: s, Change: ch, Cases: failedCases(s.Tests)}
	shown, rest := wholeLines(text, done)
	var t terminal
	for _, line := range shown {
		t.writeLine(line)
	}
	v.Lines = template.HTML(t.b.String()) //nolint:gosec // escaped by terminal
	if t.first > 0 {
		v.First = "l" + strconv.Itoa(t.first)
	}
	if skipped > 0 {
		v.Skipped = bytesText(skipped)
	}
	if !done {
		v.Stream = fmt.Sprintf("/stage/%d/events", id)
		v.From = fmt.Sprintf("%d-%d", skipped+int64(len(text)-rest), t.line)
	}
	return w.render(c, http.StatusOK, "stage", s.Stage+" of change "+strconv.FormatInt(ch.ID, 10), v, withUp(fmt.Sprintf("/c/%d", ch.ID)))
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

// logTail reads the end of a log: at most maxLogShown, from the start of a line.
func (w *Web) logTail(ctx context.Context, c *call, id int64) (text []byte, skipped int64, done bool, err error) {
	log, done, err := w.Gate.StageLog(ctx, c.actor, id, 0)
	if err != nil {
		return nil, 0, false, err
	}
	defer func() { _ = log.Close() }()
	var tail bytes.Buffer
	chunk := make([]byte, maxLogChunk)
	for {
		n, err := log.Read(chunk)
		tail.Write(chunk[:n])
		if over := tail.Len() - maxLogShown; over > maxLogChunk {
			tail.Next(over)
			skipped += int64(over)
		}
		if err == io.EOF { //nolint:errorlint // readers return it bare
			break
		}
		if err != nil {
			return nil, 0, false, fmt.Errorf("web: read log: %w", err)
		}
	}
	text = tail.Bytes()
	if skipped > 0 {
		if at := bytes.IndexByte(text, '\n'); at >= 0 {
			skipped += int64(at + 1)
			text = text[at+1:]
		}
	}
	return text, skipped, done, nil
}

// wholeLines splits text into lines. rest is how many bytes at the end are no whole line yet;
// when the log is complete they are one.
func wholeLines(text []byte, done bool) (lines []string, rest int) {
	for len(text) > 0 {
		line, after, whole := bytes.Cut(text, []byte("\n"))
		if !whole && !done {
			return lines, len(text)
		}
		lines = append(lines, string(line))
		text = after
	}
	return lines, 0
}

// stageEvents streams a log from an offset and line ("1234-56", also as Last-Event-ID), then
// says that it ended.
func (w *Web) stageEvents(c *call) error {
	id, err := c.number("id")
	if err != nil {
		return err
	}
	from := c.query("from")
	if last := c.r.Header.Get("Last-Event-ID"); last != "" {
		from = last
	}
	var offset int64
	var t terminal
	if _, err := fmt.Sscanf(from, "%d-%d", &offset, &t.line); from != "" && (err != nil || offset < 0 || t.line < 0) {
		return notFound("web.stageEvents", "there is no such place in the log")
	}
	if _, err := w.Gate.Stage(c.ctx(), c.actor, id); err != nil {
		return err
	}
	s, leave, err := w.openStream(c)
	if err != nil {
		return err
	}
	defer leave()
	w.follow(s, func(ctx context.Context) error {
		return w.moreLog(ctx, s, id, &offset, &t)
	}, event.StageTopic(id))
	return nil
}

// moreLog sends what was written since offset. It ends the stream after the last of it.
func (w *Web) moreLog(ctx context.Context, s *stream, id int64, offset *int64, t *terminal) error {
	log, done, err := w.Gate.StageLog(ctx, s.c.actor, id, *offset)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	held := []byte(nil)
	chunk := make([]byte, maxLogChunk)
	for {
		n, readErr := log.Read(chunk)
		held = append(held, chunk[:n]...)
		ended := readErr == io.EOF //nolint:errorlint // readers return it bare
		if readErr != nil && !ended {
			return fmt.Errorf("web: read log: %w", readErr)
		}
		lines, rest := wholeLines(held, ended && done || len(held) > maxLogShown)
		*offset += int64(len(held) - rest)
		held = held[len(held)-rest:]
		if len(lines) > 0 {
			t.b.Reset()
			for _, line := range lines {
				t.writeLine(line)
			}
			if err := s.emit("log", fmt.Sprintf("%d-%d", *offset, t.line), []byte(t.b.String())); err != nil {
				return err
			}
		}
		if ended {
			break
		}
	}
	return w.endLog(ctx, s, id, done)
}

// endLog renews the head of the page once the stage has ended.
func (w *Web) endLog(ctx context.Context, s *stream, id int64, done bool) error {
	if !done {
		return nil
	}
	run, err := w.Gate.Stage(ctx, s.c.actor, id)
	if err != nil {
		return err
	}
	ch, err := w.Review.Get(ctx, s.c.actor, run.Change)
	if err != nil {
		return err
	}
	head, err := w.renderPart("stage", "stage-head", stageView{Stage: run, Change: ch})
	if err != nil {
		return err
	}
	if err := s.emit("parts", "", head); err != nil {
		return err
	}
	if err := s.emit("end", "", []byte("complete")); err != nil {
		return err
	}
	return io.EOF
}

func failedCases(tests *plan.Tests) []plan.Case {
	if tests == nil {
		return nil
	}
	var failed []plan.Case
	for _, t := range tests.Cases {
		if t.Status == plan.CaseFailed && len(failed) < maxFailedShown {
			failed = append(failed, t)
		}
	}
	return failed
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
