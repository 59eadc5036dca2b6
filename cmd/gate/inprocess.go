package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// inProcess carries requests to a handler of this process, asked by actor. The answer streams:
// its headers are back as soon as the handler has written them.
type inProcess struct {
	handler http.Handler
	actor   account.Actor
}

// RoundTrip is part of http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	read, write := io.Pipe()
	w := &pipedAnswer{header: http.Header{}, body: write, started: make(chan struct{})}
	ctx, cancel := context.WithCancel(r.Context())
	inner := r.Clone(api.As(ctx, t.actor))
	inner.RequestURI = r.URL.RequestURI()
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	go func() {
		t.handler.ServeHTTP(w, inner)
		w.WriteHeader(http.StatusOK)
		_ = write.Close() // a pipe closes always
	}()
	select {
	case <-w.started:
	case <-ctx.Done():
		cancel()
		_ = read.Close() // wakes the handler when it writes
		return nil, ctx.Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: pipedBody{read, cancel}, ContentLength: -1, Request: r,
	}, nil
}

// pipedBody is the asker's side of an answer. Closing it early tells the handler, as a
// connection that ends does.
type pipedBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

// Close is part of io.Closer.
func (b pipedBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// pipedAnswer is the handler's side of an answer.
type pipedAnswer struct {
	header  http.Header
	sent    http.Header
	status  int
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}
}

// Header is part of http.ResponseWriter.
func (w *pipedAnswer) Header() http.Header { return w.header }

// WriteHeader is part of http.ResponseWriter.
func (w *pipedAnswer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

// Write is part of http.ResponseWriter.
func (w *pipedAnswer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush is part of http.Flusher: a pipe keeps nothing back.
func (w *pipedAnswer) Flush() { w.WriteHeader(http.StatusOK) }

// onFolder works on a server's folder in this process: the same handlers, no listeners and no
// workers. Jobs that it asks for are done by the server, now or when it starts.
func (t target) onFolder(p *process, data string) (*client, error) {
	syscall.Umask(0o077)
	if t.begins {
		if err := os.Mkdir(data, 0o700); err != nil && !os.IsExist(err) {
			return nil, fault.Newf(fault.Invalid, "gate.data", "the folder cannot be made: %v", err)
		}
	}
	if err := ownFolder(data); err != nil {
		return nil, err
	}
	begins := t.begins && blank(data)
	if !begins {
		if err := knownFolder(data); err != nil {
			return nil, err
		}
	}
	settings, err := settingsOf(p, data, t.Config, t.Database)
	if err != nil {
		return nil, err
	}
	settings.useAddresses()
	unlock, err := lockShared(settings.Data)
	if err != nil {
		return nil, err
	}
	a, err := newApp(p.ctx, settings, appOptions{log: quietLog(p.stderr)})
	if err == nil && begins {
		if err = settings.keepDatabase(); err != nil {
			err = errors.Join(err, a.Close())
		}
	}
	if err != nil {
		unlock()
		return nil, err
	}
	release := func() error { defer unlock(); return a.Close() }
	actor := account.Local()
	if t.As != "" {
		named, err := a.accounts.ByName(p.ctx, a.db.Read(), t.As)
		if err == nil {
			actor, err = a.accounts.Actor(p.ctx, a.db.Read(), named.ID, account.MethodLocal)
		}
		if err != nil {
			_ = release() // the account is what the person has to hear of
			return nil, err
		}
	}
	return &client{ctx: p.ctx, http: &http.Client{Transport: inProcess{a.handler(), actor}}, base: "http://gate.invalid", close: release, local: a}, nil
}

// ownFolder checks that data is a folder of this very user: files that another made in it the
// server could not read.
func ownFolder(data string) error {
	info, err := os.Stat(data)
	if os.IsNotExist(err) {
		return fault.New(fault.NotFound, "gate.data", fmt.Sprintf("there is no folder %s", data), "`gate serve --data "+data+"` makes one")
	}
	if err != nil {
		return fault.Newf(fault.Invalid, "gate.data", "the folder cannot be used: %v", err)
	}
	if !info.IsDir() {
		return fault.Newf(fault.Invalid, "gate.data", "%s is not a folder", data)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fault.New(fault.Denied, "gate.data", fmt.Sprintf("%s belongs to another user (uid %d)", data, stat.Uid), "run this as that user")
	}
	return nil
}

// knownFolder refuses to make a database in a folder that was named by mistake.
func knownFolder(data string) error {
	for _, mark := range []string{serverLock, startLock} {
		if _, err := os.Stat(filepath.Join(data, mark)); err == nil {
			return nil
		}
	}
	return fault.New(fault.NotFound, "gate.data", fmt.Sprintf("%s is not a server's folder", data),
		"`gate serve` makes ./gate-data; name the folder that it said it uses")
}

// blank reports whether a folder holds nothing, or only settings.
func blank(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && (len(entries) == 0 || len(entries) == 1 && entries[0].Name() == fileName)
}
