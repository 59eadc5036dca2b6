package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"gatehouse/gitserver/event"
)

const (
	// heartbeat keeps proxies from closing a quiet stream, and is how soon a stream notices
	// that its session ended.
	heartbeat = 20 * time.Second
	// streamWrite is how long one write to a reader may take before the reader is given up.
	streamWrite = 15 * time.Second
	// settle is how long a stream waits after it was woken: what happens at once is shown at once.
	settle = 150 * time.Millisecond
)

// stream is an open text/event-stream.
type stream struct {
	c   *call
	ctl *http.ResponseController
}

// openStream starts the answer. close must be called.
func (w *Web) openStream(c *call) (s *stream, done func(), err error) {
	visitor := fmt.Sprint("account ", c.actor.ID)
	if !c.signedIn() {
		host, _, err := net.SplitHostPort(c.r.RemoteAddr)
		if err != nil {
			host = c.r.RemoteAddr
		}
		visitor = "address " + host
	}
	leave, err := w.streams.enter(visitor)
	if err != nil {
		return nil, nil, err
	}
	h := c.rw.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	c.rw.WriteHeader(http.StatusOK)
	s = &stream{c: c, ctl: http.NewResponseController(c.rw)}
	if err := s.beat(); err != nil { // without a first byte the reader would not know that it is open
		leave()
		return nil, nil, err
	}
	return s, leave, nil
}

// emit sends one event. A failure means that the reader has gone.
func (s *stream) emit(name, id string, data []byte) error {
	var b bytes.Buffer
	if name != "" {
		b.WriteString("event: " + name + "\n")
	}
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		b.WriteString("data: ")
		b.Write(bytes.ReplaceAll(line, []byte("\r"), nil)) // a lone CR would end the field
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return s.write(b.Bytes())
}

// beat sends a comment that readers ignore.
func (s *stream) beat() error { return s.write([]byte(":\n\n")) }

func (s *stream) write(text []byte) error {
	// A server without deadlines cannot set one; the write then waits like any other.
	if err := s.ctl.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) { //nolint:forbidigo // a network deadline
		return err
	}
	if _, err := s.c.rw.Write(text); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// follow calls look at once, after each wake-up of the topics and at each heartbeat, until it
// fails, the session ends or the reader goes.
func (w *Web) follow(s *stream, look func(ctx context.Context) error, topics ...event.Topic) {
	woken, stop := w.listen(topics)
	defer stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	ctx := s.c.ctx()
	for {
		if !w.stillThere(s.c) || look(ctx) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if s.beat() != nil {
				return
			}
		case <-woken:
			pause := time.NewTimer(settle)
			select {
			case <-ctx.Done():
				pause.Stop()
				return
			case <-pause.C:
			}
		}
	}
}

// listen joins several topics into one channel.
func (w *Web) listen(topics []event.Topic) (<-chan struct{}, func()) {
	if len(topics) == 1 {
		return w.Bus.Listen(topics[0])
	}
	joined, ended := make(chan struct{}, 1), make(chan struct{})
	stops := make([]func(), 0, len(topics))
	for _, topic := range topics {
		ch, stop := w.Bus.Listen(topic)
		stops = append(stops, stop)
		go func() {
			for {
				select {
				case <-ended:
					return
				case <-ch:
					select {
					case joined <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	return joined, func() {
		close(ended)
		for _, stop := range stops {
			stop()
		}
	}
}

// timeText finds what a <time> says: "3 minutes ago" ages without anything having happened.
var timeText = regexp.MustCompile(`(<time[^>]*>)[^<]*`)

// digest names the state of a page's live parts, so that a stream stays silent until it differs.
func digest(html []byte) string {
	sum := sha256.Sum256(timeText.ReplaceAll(html, []byte("$1")))
	return hex.EncodeToString(sum[:8])
}

// live keeps the parts of a page current: it renders them when something happened and sends
// them when they are not what the page has (?have=).
func (w *Web) live(c *call, parts func(ctx context.Context) ([]byte, error), topics ...event.Topic) error {
	have := c.query("have")
	if last := c.r.Header.Get("Last-Event-ID"); last != "" {
		have = last
	}
	if _, err := parts(c.ctx()); err != nil { // refused, while an error page can still be sent
		return err
	}
	s, done, err := w.openStream(c)
	if err != nil {
		return err
	}
	defer done()
	ring, err := w.ringing(c, s)
	if err != nil {
		return err
	}
	if c.signedIn() {
		topics = append(topics, event.AccountTopic(c.actor.ID))
	}
	w.follow(s, func(ctx context.Context) error {
		if err := ring(ctx); err != nil {
			return err
		}
		// A landing wakes every page of its repository: they take turns like everybody else.
		leave, err := w.enter(ctx)
		if err != nil {
			return err
		}
		html, err := parts(ctx)
		leave()
		if err != nil {
			return err
		}
		if now := digest(html); now != have {
			have = now
			return s.emit("parts", now, []byte(strings.TrimSpace(string(html))))
		}
		return nil
	}, topics...)
	return nil
}
