package gitserver

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// The bands of side-band-64k (Documentation/gitprotocol-pack.txt).
const (
	bandData     = 1 // the report
	bandProgress = 2 // shown as "remote: …"
	bandFatal    = 3 // shown, and the client dies
	// maxBand is the payload of one side-band-64k packet: the band's number takes a byte.
	maxBand = maxPayload - 1
)

// sideband writes the answer to a push. Progress, keep-alives and the report may come from
// different goroutines; each packet is written whole and flushed. After the first failed
// write nothing more is written and onFail is called once, because the client is gone.
//
// A client that did not ask for side-band-64k gets the report bare, and no progress.
type sideband struct {
	out    io.Writer
	flush  func() error
	muxed  bool
	onFail func(error)

	mu   sync.Mutex
	buf  []byte
	err  error
	done bool
}

// tell writes one or more lines of progress, cleaned.
func (b *sideband) tell(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		b.band(bandProgress, []byte(cleanLine(line)+"\n"))
	}
}

// progress writes what a git child printed.
func (b *sideband) progress(text []byte) { b.band(bandProgress, cleanProgress(text)) }

// keepAlive writes an empty progress packet: proxies see traffic, and a client that is gone
// is found out. It is what receive-pack sends itself (receive.keepAlive).
func (b *sideband) keepAlive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.muxed {
		b.packet(bandProgress, nil)
	}
}

// fatal ends the answer with an error that the client shows as "remote error". Without bands
// it is the ERR packet that git clients understand anywhere.
func (b *sideband) fatal(text string) {
	text = cleanLine(text)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.muxed {
		b.packet(bandFatal, []byte(text+"\n"))
	} else {
		b.raw(appendPkt(nil, "ERR "+text))
	}
	b.done = true
}

// finish writes the report and ends the answer. A nil report (the client asked for none)
// ends it alone.
func (b *sideband) finish(report []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.muxed {
		for chunk := range chunks(report) {
			b.packet(bandData, chunk)
		}
		b.raw([]byte("0000"))
	} else if len(report) > 0 {
		b.raw(report)
	}
	b.done = true
	return b.err
}

func (b *sideband) band(band byte, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.muxed {
		return
	}
	for chunk := range chunks(text) {
		b.packet(band, chunk)
	}
}

// packet writes one packet. The caller holds mu.
func (b *sideband) packet(band byte, payload []byte) {
	size := len(payload) + pktHeader + 1
	b.buf = append(b.buf[:0], hexDigits[size>>12&15], hexDigits[size>>8&15], hexDigits[size>>4&15], hexDigits[size&15], band)
	b.buf = append(b.buf, payload...)
	b.raw(b.buf)
}

const hexDigits = "0123456789abcdef"

// raw writes and flushes. The caller holds mu.
func (b *sideband) raw(text []byte) {
	if b.err != nil || b.done {
		return
	}
	_, err := b.out.Write(text)
	if err == nil && b.flush != nil {
		err = b.flush()
	}
	if err != nil {
		b.err = err
		if b.onFail != nil {
			b.onFail(err)
		}
	}
}

// chunks cuts text into pieces that each fit one packet.
func chunks(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			n := min(len(text), maxBand)
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// progressWriter is what a git child's progress goes to: whole lines, so that cleaning does
// not meet half a character.
type progressWriter struct {
	to  *sideband
	buf []byte
}

// maxProgress bounds what is kept while waiting for a line end.
const maxProgress = 4096

// Write implements [io.Writer]. It never fails: progress is a courtesy.
func (w *progressWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	var show []byte
	rest := w.buf
	for {
		end := bytes.IndexAny(rest, "\r\n") + 1
		if end == 0 && len(rest) > maxProgress {
			end = len(rest)
		}
		if end == 0 {
			break
		}
		// The client counts what it sends itself; to hear it again is noise.
		if !bytes.HasPrefix(rest, []byte("Receiving objects:")) {
			show = append(show, rest[:end]...)
		}
		rest = rest[end:]
	}
	w.buf = append(w.buf[:0], rest...)
	if len(show) > 0 {
		w.to.progress(show)
	}
	return len(p), nil
}
