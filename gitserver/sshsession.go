package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// The exit codes of a command: git's own for a fatal error, and success.
const (
	exitOK    = 0
	exitFatal = 128
)

// gone reports whether err says that a key no longer signs anybody in.
func gone(err error) bool { return fault.Is(err, fault.Unauthenticated) }

// session serves one channel: at most one command, in front of which GIT_PROTOCOL may be
// set. Everything else that a session can ask for is refused.
func (h *SSH) session(_ *ssh.Server, conn *gossh.ServerConn, n gossh.NewChannel, ctx ssh.Context) {
	c := connOf(ctx)
	if !h.begin() {
		_ = n.Reject(gossh.ConnectionFailed, "the server is stopping; try again in a moment")
		return
	}
	defer h.active.Done()
	if !c.enter() {
		_ = n.Reject(gossh.ResourceShortage, fmt.Sprintf("at most %d sessions at once", h.limits.Sessions))
		c.offend()
		return
	}
	defer c.exit()
	id, ok := conn.Permissions.ExtraData[identityKey{}].(identity)
	if !ok {
		_ = n.Reject(gossh.Prohibited, "not signed in")
		return
	}
	ch, requests, err := n.Accept()
	if err != nil {
		return
	}
	c.keepAlive(ctx, conn, id)
	s := &sshSession{h: h, conn: c, ch: ch, id: id, remote: conn.RemoteAddr().String()}
	s.serve(ctx, requests)
}

// sshSession is one channel.
type sshSession struct {
	h      *SSH
	conn   *sshConn
	ch     gossh.Channel
	id     identity
	remote string
	proto  string
	// close closes our side. The client has to close its own then; one that does not loses
	// its connection.
	close func()
	// abort is close for a client that is given up: it also ends the command.
	abort func()
}

// serve answers the channel's requests until the client has closed it. The command's
// context ends with the channel, with the connection, and when the server stops.
func (s *sshSession) serve(ctx ssh.Context, requests <-chan *gossh.Request) {
	running, cancel := context.WithCancel(s.h.base)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	late := time.AfterFunc(s.h.limits.Idle, func() { _ = s.conn.Close() })
	late.Stop()
	defer late.Stop()
	s.close = sync.OnceFunc(func() {
		_ = s.ch.Close()
		late.Reset(lingerTime)
	})
	s.abort = func() {
		cancel()
		s.close()
	}
	unused := time.AfterFunc(s.h.limits.Idle, s.abort) // a channel on which nothing is run
	defer unused.Stop()
	var done chan struct{}
	for r := range requests {
		switch {
		case done != nil: // it has had its command; signals and the like mean nothing here
		case r.Type == "env" && s.setenv(r.Payload):
			_ = r.Reply(true, nil)
			continue
		case r.Type == "exec" || r.Type == "shell":
			unused.Stop()
			_ = r.Reply(true, nil) // first: the command may be over, and the channel closed, at once
			done = make(chan struct{})
			go func() {
				defer close(done)
				s.command(running, r.Type == "shell", r.Payload)
			}()
			continue
		}
		_ = r.Reply(false, nil)
		s.conn.offend()
	}
	cancel()
	s.close()
	if done != nil {
		<-done
	}
}

// setenv takes GIT_PROTOCOL and nothing else: the environment is how a git server was made
// to run other programs (CVE-2024-39930).
func (s *sshSession) setenv(payload []byte) bool {
	var kv struct{ Key, Value string }
	if gossh.Unmarshal(payload, &kv) != nil || kv.Key != "GIT_PROTOCOL" || protocol(kv.Value) == "" {
		return false
	}
	s.proto = protocol(kv.Value)
	return true
}

// command runs the session's one command and ends the channel.
func (s *sshSession) command(ctx context.Context, shell bool, payload []byte) {
	code := exitFatal
	defer func() {
		if r := recover(); r != nil {
			// One push must not take the server and all other pushes down with it.
			s.h.server.log().Error("panic in an ssh session", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			code = exitFatal
		}
		s.exit(code)
	}()
	if shell {
		code = s.welcome(ctx)
		return
	}
	var line struct{ Value string }
	if err := gossh.Unmarshal(payload, &line); err != nil {
		code = s.fatal(fault.Wrap(err, fault.Invalid, "gitserver.command", "the exec request is malformed"))
		return
	}
	code = s.run(ctx, line.Value)
}

// exit sends the exit status and closes. A client that never closes its side is cut off.
func (s *sshSession) exit(code int) {
	_ = s.ch.CloseWrite()
	_, _ = s.ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{uint32(code)})) //nolint:gosec // 0 or 128
	s.close()
}

func (s *sshSession) welcome(ctx context.Context) int {
	actor, err := s.h.current(ctx, s.id)
	if err != nil {
		return s.fatal(err)
	}
	_, _ = fmt.Fprintf(s.ch, "Hi %s, you are signed in to Gatehouse. There is no shell here; git clone, fetch and push work.\r\n", cleanLine(actor.Name))
	return exitOK
}

// fatal tells the client in words why nothing was run.
func (s *sshSession) fatal(err error) int {
	public, next := fault.Public(err)
	text := "error: " + cleanLine(public) + "\n"
	if next != "" {
		text += "hint: " + cleanLine(next) + "\n"
	}
	_, _ = io.WriteString(s.ch.Stderr(), text)
	return exitFatal
}

// run executes one line and returns its exit code.
func (s *sshSession) run(ctx context.Context, line string) int {
	cmd, err := parseExec(line)
	if err != nil {
		s.log(ctx, s.id.actor, cmd, "refused", err)
		return s.fatal(err)
	}
	actor, err := s.h.current(ctx, s.id)
	if err != nil {
		s.log(ctx, s.id.actor, cmd, "refused", err)
		return s.fatal(err)
	}
	found, g, err := s.h.server.open(ctx, actor, cmd.repo, cmd.service)
	if err != nil {
		s.log(ctx, actor, cmd, "refused", err)
		return s.fatal(err)
	}
	watch := watchActivity(s.h.limits.Idle, s.abort)
	defer watch.stop()
	in, out := watch.reader(s.ch), watch.writer(s.ch)
	switch cmd.service {
	case uploadPack:
		err = s.fetch(ctx, g, in, out)
	case receivePack:
		err = s.push(ctx, g, exchange{
			actor: actor, repo: found, git: g, in: newInput(in), abort: s.abort,
			// The Decider waits for what it tells: a client that does not read must not hold it up.
			out: &patientWriter{out: out, limit: s.h.limits.Stall, abort: s.abort},
		})
	default:
		panic("gitserver: unknown service " + string(cmd.service))
	}
	if err != nil {
		s.log(ctx, actor, cmd, "failed", err)
		return exitFatal
	}
	s.log(ctx, actor, cmd, "served", nil)
	return exitOK
}

func (s *sshSession) fetch(ctx context.Context, g *git.Repo, in io.Reader, out io.Writer) error {
	leave, err := enter(ctx, s.h.server.line().fetches)
	if err != nil {
		return err
	}
	defer leave()
	return g.UploadPack(ctx, git.UploadPackOptions{Protocol: s.proto, In: in, Out: out})
}

func (s *sshSession) push(ctx context.Context, g *git.Repo, x exchange) error {
	refs, err := advertisement(ctx, g, s.proto)
	if err != nil {
		s.fatal(err)
		return err
	}
	if _, err := x.out.Write(refs); err != nil {
		return fmt.Errorf("gitserver: advertise: %w", err)
	}
	err = s.h.server.receive(ctx, x)
	var broken *protocolError
	if errors.As(err, &broken) {
		_, _ = x.out.Write(appendPkt(nil, "ERR "+cleanLine(broken.Error())))
	}
	return err
}

func (s *sshSession) log(ctx context.Context, actor account.Actor, cmd execCommand, result string, err error) {
	args := []any{"verb", string(cmd.service), "repo", cmd.repo, "actor", actor.Name, "method", actor.Method,
		"remote", s.remote, "result", result}
	if err != nil {
		args = append(args, "err", err.Error())
	}
	level := s.h.server.log().InfoContext
	if fault.Is(err, fault.Internal) {
		level = s.h.server.log().ErrorContext
	}
	level(ctx, "git over ssh", args...)
}
