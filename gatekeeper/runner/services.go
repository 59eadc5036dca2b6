package runner

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// serviceWithin is how long a service may take to answer when its plan does not say.
	serviceWithin = time.Minute
	// probePause is the time between two tries, probeWait how long one may take.
	probePause = 100 * time.Millisecond
	probeWait  = 5 * time.Second
	// maxServiceLine is where a long line of a service is broken: one write of it, with its prefix,
	// is not torn by what others write (pipe(7), PIPE_BUF).
	maxServiceLine = 3 << 10
	// lastWords is how long the output of a service that ended too early is waited for.
	lastWords = time.Second
)

// service is what init is told of one.
type service struct {
	Name, Run string
	Port      int
	HTTP      string
	Status    int
	Within    time.Duration
}

// services are those of the plan, for init.
func (j *job) services() []service {
	var all []service
	for _, s := range j.req.Stage.Services {
		within := s.Ready.Within
		if within <= 0 {
			within = serviceWithin
		}
		all = append(all, service{s.Name, s.Run, s.Port, s.Ready.HTTP, s.Ready.Status, within})
	}
	return all
}

// serving is a service that init has started.
type serving struct {
	service
	pid    int
	log    *prefixed
	silent chan struct{} // closed when nobody can write its output any more
	ended  bool
	status syscall.WaitStatus
}

// serve starts the services, one after the other, each when the one before it answers. It returns
// why the stage cannot go on, "" when it can. It is called by the thread that is confined.
func (in *initProcess) serve() (why string, err error) {
	output := os.NewFile(outputFD, "output")
	secrets := make([]Secret, len(in.orders.Masked))
	for i, value := range in.orders.Masked {
		secrets[i].Value = value
	}
	m := newMask(secrets)
	for _, s := range in.orders.Services {
		r, w, err := in.pipe()
		if err != nil {
			return "", err
		}
		run := &serving{service: s, log: &prefixed{prefix: "[" + s.Name + "] ", to: output}, silent: make(chan struct{})}
		go func() {
			defer close(run.silent)
			to := &maskWriter{mask: m, to: run.log} // before its lines come between those of others
			_, _ = io.Copy(to, r)
			_ = to.Close()
			run.log.flush()
		}()
		run.pid, err = in.spawn(s.Run, w.Fd())
		_ = w.Close() // it is the service's now
		if err != nil {
			return "", err
		}
		in.serving = append(in.serving, run)
		if why := in.await(run); why != "" {
			return why, nil
		}
	}
	return "", nil
}

// pipe makes one that belongs to the stage's user, who could not open /dev/stdout otherwise.
func (in *initProcess) pipe() (r, w *os.File, err error) {
	err = asStage(in.orders, func() error {
		r, w, err = os.Pipe()
		return err
	})
	return r, w, err
}

// await waits for the service to answer, and reaps meanwhile.
func (in *initProcess) await(run *serving) (why string) {
	ctx, cancel := context.WithTimeout(context.Background(), run.Within)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		if run.probe(ctx) {
			close(answered)
		}
	}()
	look := time.NewTicker(probePause)
	defer look.Stop()
	for {
		select {
		case <-answered:
			return ""
		case <-ctx.Done():
			return fmt.Sprintf("its service %q did not answer on port %d within %s", run.Name, run.Port, run.Within)
		case <-look.C:
			in.reapNow()
			// One that ended well may have gone into the background.
			if run.ended && run.status != 0 {
				select {
				case <-run.silent:
				case <-time.After(lastWords):
				}
				return fmt.Sprintf("its service %q ended before it was ready: %s", run.Name, run.how())
			}
		}
	}
}

// reapNow takes what has ended off the kernel's list.
func (in *initProcess) reapNow() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR { //nolint:errorlint // from the system call itself
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		in.serviceEnded(pid, status)
	}
}

// serviceEnded notes that pid has ended, when it is a service.
func (in *initProcess) serviceEnded(pid int, status syscall.WaitStatus) *serving {
	for _, s := range in.serving {
		if s.pid == pid && !s.ended {
			s.ended, s.status = true, status
			return s
		}
	}
	return nil
}

// how is how it ended.
func (s *serving) how() string {
	if s.status.Exited() {
		return "exit code " + strconv.Itoa(s.status.ExitStatus())
	}
	return "ended by a signal: " + s.status.Signal().String()
}

// probe tries until the service answers or ctx ends.
func (s *serving) probe(ctx context.Context) bool {
	for {
		for _, host := range []string{"127.0.0.1", "::1"} {
			if s.try(ctx, net.JoinHostPort(host, strconv.Itoa(s.Port))) {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(probePause):
		}
	}
}

// try asks once: for a connection, or for an answer of HTTP/1.1 (RFC 9112) with the right status.
func (s *serving) try(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if s.HTTP == "" {
		return true
	}
	deadline, _ := ctx.Deadline()
	if conn.SetDeadline(deadline) != nil {
		return false
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", s.HTTP, s.Port); err != nil {
		return false
	}
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, line); err != nil {
		return false
	}
	rest, ok := strings.CutPrefix(string(line), "HTTP/1.")
	if !ok {
		return false
	}
	status, err := strconv.Atoi(rest[2:])
	if s.Status != 0 {
		return err == nil && status == s.Status
	}
	return err == nil && status >= 200 && status < 400
}

// prefixed writes whole lines with a prefix, each in one write.
type prefixed struct {
	prefix string
	to     io.Writer
	line   []byte
}

// Write keeps what is not a line yet.
func (p *prefixed) Write(text []byte) (int, error) {
	n := len(text)
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		some := text[:min(end, maxServiceLine-len(p.line))]
		p.line = append(p.line, some...)
		text = text[len(some):]
		switch {
		case len(text) > 0 && text[0] == '\n':
			text = text[1:]
			p.put()
		case len(p.line) >= maxServiceLine:
			p.put()
		}
	}
	return n, nil
}

// put writes the line. When nobody listens any more, the stage is about to end.
func (p *prefixed) put() {
	_, _ = p.to.Write(fmt.Appendf(nil, "%s%s\n", p.prefix, p.line))
	p.line = p.line[:0]
}

func (p *prefixed) flush() {
	if len(p.line) > 0 {
		p.put()
	}
}

// asStage calls f with the file system user of the stage: what f makes belongs to it, where init
// may not be allowed to give files away. It is of this thread alone, which init keeps to itself.
func asStage(o orders, f func() error) error {
	if o.User < 0 {
		return f()
	}
	if err := unix.Setfsgid(o.User); err != nil {
		return err
	}
	if err := unix.Setfsuid(o.User); err != nil {
		return err
	}
	defer func() {
		_ = unix.Setfsuid(os.Geteuid()) // back to what was allowed before
		_ = unix.Setfsgid(os.Getegid())
	}()
	return f()
}
