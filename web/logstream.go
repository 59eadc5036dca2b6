package web

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/event"
)

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
	run, err := w.Gate.Stage(c.ctx(), c.actor, id)
	if err != nil {
		return err
	}
	s, leave, err := w.openStream(c)
	if err != nil {
		return err
	}
	defer leave()
	w.follow(s, func(ctx context.Context) error {
		return w.moreLog(ctx, s, run, &offset, &t)
	}, event.StageTopic(id))
	return nil
}

// moreLog sends what was written since offset. It ends the stream after the last of it.
func (w *Web) moreLog(ctx context.Context, s *stream, run gatekeeper.StageRun, offset *int64, t *terminal) error {
	id := run.ID
	log, done, err := w.Gate.StageLog(ctx, s.c.actor, id, *offset)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	clock, err := w.clockOf(s.c, run) // anew: times come with the lines
	if err != nil {
		return err
	}
	t.keep = clock.keep()
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
		begun := *offset
		*offset += int64(len(held) - rest)
		held = held[len(held)-rest:]
		if len(lines) > 0 {
			t.b.Reset()
			for _, line := range lines {
				t.stamp = clock.at(begun)
				t.writeLine(line)
				begun += int64(len(line)) + 1
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
	v := stageView{Stage: run}
	if _, err := w.subject(s.c, &v); err != nil {
		return err
	}
	head, err := w.renderPart(s.c, "stage", "stage-head", v)
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
