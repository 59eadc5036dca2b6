package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

const (
	// logWindow is how many lines of a log a page holds; links and the script lead to the rest.
	logWindow = 2_000
	// logLead is how many lines are shown above the line that the page opens at.
	logLead = 100
	// logStep is the distance of the lines whose places are remembered.
	logStep = 1_000
	// maxLogIndex bounds the memory for what is known of complete logs, in bytes.
	maxLogIndex = 8 << 20
	// maxFound is how many lines a search in a log lists.
	maxFound = 100
	// maxFindText is how long the text is that is searched for.
	maxFindText = 200
	// maxHeldLine is how much of an endless line is looked at.
	maxHeldLine = 64 << 10
)

// logIndex is what the server knows of a log beside its text.
type logIndex struct {
	lines int     // whole lines, and what follows the last when the log is complete
	size  int64   // of those, in bytes
	marks []int64 // where line 1, 1+logStep, … begins
	first int     // the first line that tells of a failure, 0 for none
	fails int     // how many do
}

// indexOf reads a log once. What a complete log comes to is remembered.
func (w *Web) indexOf(ctx context.Context, c *call, id int64) (x logIndex, done bool, err error) {
	key := fmt.Sprint(id)
	if x, ok := w.logs.get(key); ok {
		return x, true, nil
	}
	x.marks = []int64{0}
	done, err = w.eachLine(ctx, c, id, 0, func(line []byte, whole bool, length int) bool {
		x.lines++
		x.size += int64(length)
		if x.lines%logStep == 0 {
			x.marks = append(x.marks, x.size)
		}
		if failing(line) {
			if x.fails++; x.first == 0 {
				x.first = x.lines
			}
		}
		return true
	})
	if err == nil && done {
		w.logs.put(key, 64+8*len(x.marks), x)
	}
	return x, done, err
}

// eachLine calls found with the lines of a log from an offset on, without their ends, until it
// says that it has enough. length counts the end too. Of an endless line only the beginning is
// shown. What follows the last line end is a line once the log is complete.
func (w *Web) eachLine(ctx context.Context, c *call, id, offset int64, found func(line []byte, whole bool, length int) bool) (done bool, err error) {
	log, done, err := w.Gate.StageLog(ctx, c.actor, id, offset)
	if err != nil {
		return false, err
	}
	defer func() { _ = log.Close() }() // it was only read
	chunk := make([]byte, maxLogChunk)
	var held []byte
	length := 0
	for {
		n, readErr := log.Read(chunk)
		for text := chunk[:n]; len(text) > 0; {
			line, rest, whole := bytes.Cut(text, []byte("\n"))
			length += len(line)
			if room := maxHeldLine - len(held); len(held) > 0 || !whole {
				held = append(held, line[:min(len(line), max(room, 0))]...)
				line = held
			}
			text = rest
			if !whole {
				continue
			}
			if !found(line[:min(len(line), maxHeldLine)], true, length+1) {
				return done, nil
			}
			held, length = held[:0], 0
		}
		switch {
		case readErr == io.EOF: //nolint:errorlint // readers return it bare
			if done && length > 0 {
				found(held, false, length)
			}
			return done, nil
		case readErr != nil:
			return false, fmt.Errorf("web: read log: %w", readErr)
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
	}
}

// logPiece is some lines of a log.
type logPiece struct {
	HTML     string
	From, To int   // To is before From when there are none
	Next     int64 // where the line after To begins
}

// window says which lines of a log to draw.
type window struct {
	from, to int
	lit      lineSpan // lines to highlight; the first of them is drawn in any case
	end      bool     // when the lines are long, the last matter more than the first
}

// piece draws lines, fewer than the window has when they are long.
func (w *Web) piece(c *call, id int64, x logIndex, win window, clock *logClock) (logPiece, error) {
	first := max(win.from, 1)
	mark := min((first-1)/logStep, len(x.marks)-1)
	line, offset := mark*logStep, x.marks[mark]
	t := terminal{line: first - 1, lit: win.lit, begin: x.first, keep: clock.keep()}
	p := logPiece{From: first, To: first - 1, Next: offset}
	var drawn []string
	size := 0
	_, err := w.eachLine(c.ctx(), c, id, offset, func(text []byte, _ bool, length int) bool {
		line++
		if line > win.to || size > maxLogShown && !win.end && line > win.lit.from {
			return false
		}
		begun := p.Next
		p.Next += int64(length)
		if line < first {
			return true
		}
		t.b.Reset()
		t.stamp = clock.at(begun)
		t.writeLine(string(text))
		drawn = append(drawn, t.b.String())
		p.To = line
		for size += t.b.Len(); size > maxLogShown && win.end && len(drawn) > 1; p.From++ {
			size -= len(drawn[0])
			drawn = drawn[1:]
		}
		return true
	})
	p.HTML = strings.Join(drawn, "")
	return p, err
}

// lineSpan is a range of lines; both are 0 for none.
type lineSpan struct{ from, to int }

func (s lineSpan) has(line int) bool { return s.from <= line && line <= s.to && s.from > 0 }

// found is a line that a search in a log found.
type found struct {
	Line int
	Text string
}

// find looks for text in a log, as it is shown and in either case.
func (w *Web) find(c *call, id int64, text string) (all []found, more bool, err error) {
	want, line := []byte(strings.ToLower(text)), 0
	_, err = w.eachLine(c.ctx(), c, id, 0, func(raw []byte, _ bool, _ int) bool {
		line++
		shown := shownText(raw)
		if !bytes.Contains(bytes.ToLower(shown), want) {
			return true
		}
		if len(all) == maxFound {
			more = true
			return false
		}
		if len(shown) > maxFindText*2 {
			shown = append(bytes.ToValidUTF8(shown[:maxFindText*2], nil), "…"...)
		}
		all = append(all, found{line, string(shown)})
		return true
	})
	return all, more, err
}
