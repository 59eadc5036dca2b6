package gitserver

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"
)

// patientReader reads from a client that has to keep up a pace: within limit spent waiting
// for it, at least enough bytes must come. Otherwise abort is called, which must end the
// read. The time in which nobody reads does not count: a slow server is not a slow client.
type patientReader struct {
	in     io.Reader
	now    func() time.Time
	limit  time.Duration
	enough int
	abort  func()

	left time.Duration
	got  int
}

func newPatientReader(in io.Reader, now func() time.Time, limit time.Duration, enough int, abort func()) *patientReader {
	return &patientReader{in: in, now: now, limit: limit, enough: enough, abort: abort, left: limit}
}

// Read implements [io.Reader].
func (r *patientReader) Read(p []byte) (int, error) {
	start := r.now()
	timer := time.AfterFunc(r.left, r.abort)
	n, err := r.in.Read(p)
	timer.Stop()
	r.left = max(r.left-r.now().Sub(start), 0)
	if r.got += n; r.got >= r.enough {
		r.got, r.left = 0, r.limit
	}
	return n, err
}

// patientWriter gives each write to a client at most limit.
type patientWriter struct {
	out   io.Writer
	limit time.Duration
	abort func()
}

// Write implements [io.Writer].
func (w *patientWriter) Write(p []byte) (int, error) {
	timer := time.AfterFunc(w.limit, w.abort)
	defer timer.Stop()
	return w.out.Write(p)
}

// activity ends a channel on which nothing has moved for a while, in either direction: a
// fetch reads nothing while its pack goes out, a push writes nothing while its pack comes in.
type activity struct {
	limit time.Duration
	timer *time.Timer
}

func watchActivity(limit time.Duration, abort func()) *activity {
	return &activity{limit: limit, timer: time.AfterFunc(limit, abort)}
}

func (a *activity) stop() { a.timer.Stop() }

// reader and writer let what moves through them count.
func (a *activity) reader(in io.Reader) io.Reader  { return &activeReader{activity: a, in: in} }
func (a *activity) writer(out io.Writer) io.Writer { return &activeWriter{activity: a, out: out} }

func (a *activity) moved(n int) {
	if n > 0 && a.timer.Stop() { // once it has fired it stays so
		a.timer.Reset(a.limit)
	}
}

type activeReader struct {
	*activity
	in io.Reader
}

// Read implements [io.Reader].
func (r *activeReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.moved(n)
	return n, err
}

type activeWriter struct {
	*activity
	out io.Writer
}

// Write implements [io.Writer].
func (w *activeWriter) Write(p []byte) (int, error) {
	n, err := w.out.Write(p)
	w.moved(n)
	return n, err
}

// input is the client's side of an exchange. It is locked because whoever feeds a git child
// may still wait in a read when the child has already had all it wants.
type input struct {
	mu sync.Mutex
	in *bufio.Reader
}

func newInput(in io.Reader) *input { return &input{in: bufio.NewReaderSize(in, readBuffer)} }

// Read implements [io.Reader].
func (i *input) Read(p []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.in.Read(p)
}

// over reports whether body, which lies below, has been read to its end.
func (i *input) over(body io.Reader) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	var one [1]byte
	n, err := io.ReadFull(body, one[:])
	return n == 0 && errors.Is(err, io.EOF) && i.in.Buffered() == 0
}
