package runner

import (
	"bytes"
	"fmt"
	"io"
)

// keptEnd is how much of the end of an output that was cut is kept, for what runs for ever: the
// words with which a server ended are the last ones.
const keptEnd = 64 << 10

// capped writes to a log until it is full, then says so and swallows the rest, because a stage
// that cannot write would wait.
type capped struct {
	to          io.Writer
	left, limit int64
	cut, failed bool
	broken      chan struct{} // closed when the log cannot be written
	tail        *ring         // nil when the end of what was cut is not kept
}

func newCapped(to io.Writer, limit int64, tail bool) *capped {
	c := &capped{to: to, left: limit, limit: limit, broken: make(chan struct{})}
	if tail {
		c.tail = &ring{max: keptEnd}
	}
	return c
}

// Write never fails, so that the stage's output is read to its end.
func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(int64(len(p)), c.left)]
	c.left -= int64(len(keep))
	c.put(keep)
	if len(keep) < len(p) {
		if !c.cut {
			c.cut = true
			c.put(fmt.Appendf(nil, "\n[gate: the output is longer than %d bytes and was cut here]\n", c.limit))
		}
		if c.tail != nil {
			c.tail.add(p[len(keep):])
		}
	}
	return len(p), nil
}

// finish writes the end of what was cut, when no more will come.
func (c *capped) finish() {
	if c.tail == nil || len(c.tail.kept) == 0 {
		return
	}
	kept, lost := c.tail.end()
	c.put(fmt.Appendf(nil, "[gate: %d bytes are left out; these are the last ones]\n", lost))
	c.put(kept)
}

func (c *capped) put(p []byte) {
	if c.failed || len(p) == 0 || c.to == nil {
		return
	}
	if _, err := c.to.Write(p); err != nil {
		c.failed = true
		close(c.broken)
	}
}

// ring keeps the last bytes added to it.
type ring struct {
	max  int
	kept []byte
	lost int64
}

func (r *ring) add(p []byte) {
	r.kept = append(r.kept, p...)
	if over := len(r.kept) - r.max; over > r.max { // so that what is kept is moved seldom
		r.lost += int64(over)
		r.kept = append(r.kept[:0], r.kept[over:]...)
	}
}

// end is what is kept, and how much before it is not.
func (r *ring) end() ([]byte, int64) {
	over := max(0, len(r.kept)-r.max)
	return r.kept[over:], r.lost + int64(over)
}

// head keeps the first bytes written to it.
type head struct {
	bytes.Buffer
	left int
}

// Write keeps what fits.
func (h *head) Write(p []byte) (int, error) {
	keep := p[:min(len(p), h.left)]
	h.left -= len(keep)
	_, err := h.Buffer.Write(keep)
	return len(p), err
}
