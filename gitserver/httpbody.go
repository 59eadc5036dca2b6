package gitserver

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"time"

	"gatehouse/gitserver/fault"
)

// patient bounds each write to the client.
func (s *Server) patient(w http.ResponseWriter, out io.Writer) io.Writer {
	return &patientWriter{out: out, limit: s.Limits.complete().Stall, abort: aborter(w)}
}

// aborter gives up on the client of w: pending reads and writes end, and the connection with
// them. Writes go first: a handler that is woken by its failed read must not succeed in
// answering, because then the connection would be kept. Deadlines in the past need no clock.
func aborter(w http.ResponseWriter) func() {
	rc := http.NewResponseController(w)
	return func() {
		_ = rc.SetWriteDeadline(time.Unix(1, 0))
		_ = rc.SetReadDeadline(time.Unix(1, 0))
	}
}

// lazyHeader sends the header with the first byte, so that a failure before it can still be
// a status code.
type lazyHeader struct {
	w           http.ResponseWriter
	contentType string
	prefix      []byte
	sent        bool
}

// Write implements [io.Writer].
func (l *lazyHeader) Write(p []byte) (int, error) {
	if !l.sent {
		l.sent = true
		noCache(l.w)
		l.w.Header().Set("Content-Type", l.contentType)
		l.w.Header().Set("X-Accel-Buffering", "no") // or nginx keeps progress to itself
		if _, err := l.w.Write(l.prefix); err != nil {
			return 0, err
		}
	}
	return l.w.Write(p)
}

// fail answers err with a status if nothing was sent yet, otherwise the connection is broken
// off so that the client does not take the part for the whole. It returns err.
func (l *lazyHeader) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case !l.sent:
		l.w.Header().Set("Connection", "close") // there may be a request that nobody has read
		text(l.w, httpCodes[fault.KindOf(err)], fault.Sentence(err))
	default:
		aborter(l.w)()
	}
	return err
}

// bodyEnd reads the body to its end, which must be where the pack's is. Only then does
// net/http watch the connection, so that a client that leaves is noticed.
func bodyEnd(in io.Reader) error {
	const op = "gitserver.bodyEnd"
	var one [1]byte
	switch n, err := io.ReadFull(in, one[:]); {
	case n > 0:
		return fault.New(fault.Invalid, op, "there is something behind the pack", "")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return fault.Wrap(err, fault.Invalid, op, "the pack's end was cut off")
	}
}

// readFetch reads a whole fetch request. forget must be called when err is nil and the
// request is done with.
func (s *Server) readFetch(in io.Reader) (request *bytes.Buffer, forget func(), err error) {
	const op = "gitserver.readFetch"
	limit := s.Limits.complete().RequestBytes
	held := int64(0)
	forget = func() { s.requests.Add(-held) }
	request = &bytes.Buffer{}
	for {
		n, err := io.CopyN(request, in, freeRequest)
		switch {
		case int64(request.Len()) > limit:
			err = fault.New(fault.TooLarge, op, "this fetch asks for too much at once", "fetch fewer refs at a time")
		case errors.Is(err, io.EOF):
			return request, forget, nil
		case err != nil:
			err = fault.Wrap(err, fault.Invalid, op, "the request could not be read")
		default:
			held += n
			if s.requests.Add(n) > maxRequests {
				err = fault.New(fault.Unavailable, op, "too many large fetches at once", "try again in a moment")
			}
		}
		if err != nil {
			forget()
			return nil, nil, err
		}
	}
}

// flushWriter sends each piece on its way: a client shows progress as it comes.
type flushWriter struct {
	w     io.Writer
	flush func() error
}

// Write implements [io.Writer].
func (f *flushWriter) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}

// lazyGzip inflates in from the first read on.
type lazyGzip struct {
	in  io.Reader
	out *gzip.Reader
}

// Read implements [io.Reader].
func (l *lazyGzip) Read(p []byte) (int, error) {
	if l.out == nil {
		var err error
		if l.out, err = gzip.NewReader(l.in); err != nil {
			return 0, err
		}
	}
	return l.out.Read(p)
}
