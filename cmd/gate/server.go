package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// headerTimeout is how long the headers of a request may trickle in.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection may wait for its next request.
	idleTimeout = 2 * time.Minute
	// maxHeaders bounds the headers of a request: an honest one has a few kilobytes.
	maxHeaders = 64 << 10
	// closeGrace is how long what outlived the drain gets to end after it was cut off.
	closeGrace = 5 * time.Second
)

const (
	setupLink   = "setup-link"
	sandboxAuto = "auto"
)

// server is an app that listens and works.
type server struct {
	app      *app
	log      *slog.Logger
	shown    string // the data folder as it was named
	fresh    bool   // the data folder is new
	sandbox  string
	noStages string
	at       addresses
	http     *http.Server
	ssh      *gitserver.SSH
	ready    atomic.Bool
	handler  atomic.Pointer[http.Handler] // nil while the app is being opened
	cut      context.CancelFunc           // ends every request
	leaving  context.Context              // ends when the server begins to stop
	leave    context.CancelFunc
	failed   chan error // a listener that ended by itself
	closers  []func() error
}

// startServer brings a server up: everything that can be refused is refused before anything
// is changed, and it answers 503 until it is ready. On an error nothing is left running.
func startServer(ctx context.Context, set Settings, logTo io.Writer) (s *server, err error) {
	s = &server{shown: set.Data, log: newLog(set, logTo), failed: make(chan error, 2)}
	s.leaving, s.leave = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = s.stop(err)
			s = nil
		}
	}()
	if err := errors.Join(set.check(), set.checkExposure()); err != nil {
		return s, err
	}
	encrypted, err := set.tlsConfig()
	if err != nil {
		return s, err
	}
	if set.Data, err = filepath.Abs(set.Data); err != nil {
		return s, fmt.Errorf("gate: data folder: %w", err)
	}
	if err := s.takeFolder(set.Data); err != nil {
		return s, err
	}
	httpAt, sshAt, err := s.bind(&set)
	if err != nil {
		return s, err
	}
	s.serveHTTP(encrypted, httpAt)
	repaired, err := lockStarting(set.Data)
	if err != nil {
		return s, err
	}
	defer repaired()
	if err := s.openApp(ctx, set); err != nil {
		return s, err
	}
	if err := set.keepDatabase(); err != nil {
		return s, err
	}
	if s.ssh, err = s.app.server.SSH(set.folder("ssh_host_ed25519_key")); err != nil {
		return s, err
	}
	go func() {
		if err := s.ssh.Serve(sshAt); err != nil {
			s.failed <- err
		}
	}()
	s.ready.Store(true)
	return s, s.writeAddresses() // who waits for the file finds a server that answers
}

// takeFolder makes the data folder and this process its one server. What the server writes is
// for its own user alone.
func (s *server) takeFolder(dir string) error {
	syscall.Umask(0o077)
	_, err := os.Stat(filepath.Join(dir, serverLock))
	s.fresh = os.IsNotExist(err)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Newf(fault.Invalid, "gate.serve", "the data folder cannot be made: %v", err)
	}
	if err := ownFolder(dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // somebody may have made it before, with the usual umask
		return fault.Newf(fault.Invalid, "gate.serve", "the data folder cannot be closed to others: %v", err)
	}
	release, err := lockServer(dir)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { release(); return nil })
	return nil
}

// bind takes the two addresses, so that a port in use is known before anything is touched.
func (s *server) bind(set *Settings) (httpAt, sshAt net.Listener, err error) {
	listen := func(what, address string) (net.Listener, error) {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "gate.serve", fmt.Sprintf("%s cannot listen on %s: %v", what, address, err),
				fmt.Sprintf("choose another address with --%s; port 0 takes a free one", strings.ToLower(what)))
		}
		s.closers = append(s.closers, func() error { _ = l.Close(); return nil }) // mostly closed by then
		return l, nil
	}
	if httpAt, err = listen("HTTP", set.HTTP); err != nil {
		return nil, nil, err
	}
	if sshAt, err = listen("SSH", set.SSH); err != nil {
		return nil, nil, err
	}
	set.addressed(httpAt.Addr().String(), sshAt.Addr().String())
	s.at = addresses{HTTP: set.scheme() + "://" + httpAt.Addr().String(), SSH: sshAt.Addr().String(), URL: set.URL, SSHURL: set.SSHURL, PID: os.Getpid()}
	return httpAt, sshAt, nil
}

func (s *server) serveHTTP(encrypted *tls.Config, l net.Listener) {
	base, cut := context.WithCancel(context.Background())
	s.cut = cut
	s.http = &http.Server{
		Handler: s, BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaders,
		TLSConfig: encrypted, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		var err error
		if encrypted != nil {
			err = s.http.ServeTLS(l, "", "")
		} else {
			err = s.http.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("gate: HTTP stopped: %w", err)
		}
	}()
}

// ServeHTTP answers the health check itself, and nothing else before the app is ready. A
// stream would hold up a stopping server for ever, so it ends when the server begins to stop.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		s.health(w)
		return
	}
	h := s.handler.Load()
	if h == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") || r.URL.Query().Get("follow") == "true" {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.leaving, cancel)()
		r = r.WithContext(ctx)
	}
	(*h).ServeHTTP(w, r)
}

func (s *server) health(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !s.ready.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready\n") // the asker has gone
		return
	}
	_, _ = io.WriteString(w, "ok\n") // the asker has gone
}

// openApp opens the app, repairs what the last server left, and starts the workers.
func (s *server) openApp(ctx context.Context, set Settings) error {
	mode, noStages := chooseSandbox(ctx, set.Sandbox)
	s.sandbox, s.noStages = string(mode), noStages
	if noStages != "" {
		s.sandbox = "missing"
	}
	a, err := newApp(ctx, set, appOptions{log: s.log, sandbox: mode, noStages: noStages, serves: true})
	if err != nil {
		return err
	}
	s.app = a
	s.closers = append(s.closers, a.Close)
	if err := a.recover(ctx); err != nil {
		return err
	}
	handler := a.handler()
	if err := a.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return a.jobs.Stop(context.Background()) }, s.tellStory())
	deaf, err := s.listenForAnswers(set)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, deaf)
	s.handler.Store(&handler)
	return nil
}

// tellStory tells people and other servers what happens, until the returned function is called.
func (s *server) tellStory() func() error {
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan struct{})
	go func() {
		defer close(told)
		reported := make(chan struct{})
		go func() {
			defer close(reported)
			s.app.forge.Run(ctx)
		}()
		s.app.notify.Run(ctx)
		<-reported
	}()
	return func() error {
		cancel()
		<-told
		return nil
	}
}

// chooseSandbox finds how stages are shut in. Without a way that works the server serves, and
// runs no stages: their code is anybody's who may push.
func chooseSandbox(ctx context.Context, want string) (mode runner.Mode, noStages string) {
	mode = runner.Mode(want)
	var err error
	switch {
	case mode == runner.None:
	case want == sandboxAuto:
		mode, err = runner.Detect(ctx)
	default:
		err = runner.Probe(ctx, mode)
	}
	if err != nil {
		why := strings.Join(strings.Fields(err.Error()), " ")
		return "", why + "; --sandbox=none would run them with all the rights of the server"
	}
	return mode, ""
}

func (s *server) writeAddresses() error {
	text, err := json.MarshalIndent(s.at, "", "  ")
	if err != nil {
		return fmt.Errorf("gate: addresses: %w", err)
	}
	return writeWhole(s.app.settings.folder(addressesFile), append(text, '\n'))
}

// firstAdmin makes the account admin, and a link that signs it in once, on a server without
// an administrator. The link is also in DATA/setup-link.
func (s *server) firstAdmin(ctx context.Context) (string, error) {
	a := s.app
	all, err := a.accounts.List(ctx, a.db.Read())
	if err != nil {
		return "", err
	}
	for _, one := range all {
		if one.Admin && !one.Disabled {
			if err := os.Remove(a.settings.folder(setupLink)); err != nil && !os.IsNotExist(err) {
				return "", fmt.Errorf("gate: old setup link: %w", err)
			}
			return "", nil
		}
	}
	var admin account.Account
	err = a.db.Transact(ctx, func(tx *db.Tx) (err error) {
		admin, err = a.accounts.Create(ctx, tx, account.NewAccount{Name: "admin", Email: "admin@localhost", FullName: "Administrator", Admin: true})
		return err
	})
	if err != nil {
		return "", err
	}
	link, err := a.api.SignInLink(ctx, admin.ID)
	if err != nil {
		return "", err
	}
	return link, writeWhole(a.settings.folder(setupLink), []byte(link+"\n"))
}

// stop drains the server: no new work is taken, what runs may end within the drain time, then
// it is cut off. It returns cause with whatever went wrong on the way.
func (s *server) stop(cause error) error {
	s.ready.Store(false)
	s.leave()
	drain := closeGrace
	if s.app != nil {
		drain = s.app.settings.Drain
	}
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	sshDone := make(chan struct{})
	go func() {
		defer close(sshDone)
		if s.ssh != nil && s.ssh.Shutdown(ctx) != nil {
			s.log.Warn("some ssh sessions were cut off")
		}
	}()
	if s.http != nil {
		if s.http.Shutdown(ctx) != nil {
			s.log.Warn("some requests were cut off")
		}
		s.cut()
		after, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		if err := s.http.Shutdown(after); err != nil {
			cause = errors.Join(cause, s.http.Close())
		}
	}
	<-sshDone
	for i := len(s.closers) - 1; i >= 0; i-- {
		cause = errors.Join(cause, s.closers[i]())
	}
	return cause
}
