package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

const (
	// maxURI bounds a request's address: the longest honest one names a deep file.
	maxURI = 8 << 10
	// maxForm bounds a posted form: a long comment, an SSH key.
	maxForm = 1 << 20
	// maxHeavy is how many pages that make git work hard are made at once; the others wait
	// their turn, so that a crowd (or a crawler) slows itself and not the pushes.
	maxHeavy = 8
)

// call is one request on its way through its handler.
type call struct {
	rw      http.ResponseWriter
	r       *http.Request
	actor   account.Actor
	session string  // the secret of the session cookie, "" when nobody signed in
	said    *speech // the language of the answer, once it is known
}

func (c *call) ctx() context.Context        { return c.r.Context() }
func (c *call) variable(name string) string { return mux.Vars(c.r)[name] }
func (c *call) query(name string) string    { return c.r.URL.Query().Get(name) }
func (c *call) signedIn() bool              { return !c.actor.Anonymous() }

// send writes the body. A write fails only when the reader has gone: nobody is left to hear of it.
func send(rw http.ResponseWriter, text []byte) { _, _ = rw.Write(text) }

// serve carries a request through everything that every route has in common.
func (w *Web) serve(rt route) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		c := &call{rw: rw, r: r}
		defer func() {
			if cause := recover(); cause != nil {
				if cause == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
					panic(cause)
				}
				w.Log.Error("page panicked", "route", rt.name, "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
				w.fail(c, fault.New(fault.Internal, "web", "", ""))
			}
		}()
		w.setHeaders(rw.Header())
		if err := w.prepare(c, rt); err != nil {
			w.fail(c, err)
			return
		}
		if rt.heavy {
			leave, err := w.enter(c.ctx())
			if err != nil {
				return // the reader has gone
			}
			defer leave()
		}
		if err := rt.handle(w, c); err != nil {
			w.fail(c, err)
		}
	}
}

// enter waits for a turn at making git work hard.
func (w *Web) enter(ctx context.Context) (leave func(), err error) {
	select {
	case w.heavy <- struct{}{}:
		return func() { <-w.heavy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// prepare checks the request's form, its origin and who sent it.
func (w *Web) prepare(c *call, rt route) error {
	if err := checkAddress(c.r); err != nil {
		return err
	}
	if rt.right != rightToken {
		if err := w.checkOrigin(c.r); err != nil {
			return err
		}
	}
	if err := w.recognise(c); err != nil {
		return err
	}
	if c.signedIn() {
		c.rw.Header().Set("Cache-Control", "private, no-store")
	} else if c.rw.Header().Get("Cache-Control") == "" {
		c.rw.Header().Set("Cache-Control", "no-cache")
	}
	if rt.right == rightSession && !c.signedIn() {
		return fault.New(fault.Unauthenticated, "web", "you have to sign in to see this page", "")
	}
	if c.r.Method == http.MethodPost {
		c.r.Body = http.MaxBytesReader(c.rw, c.r.Body, maxForm)
		if err := c.r.ParseForm(); err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return fault.New(fault.TooLarge, "web", "the form is larger than 1 MiB", "send less at a time")
			}
			return fault.New(fault.Invalid, "web", "the form could not be read", "")
		}
	}
	return nil
}

// checkAddress refuses what no link of ours looks like, before it meets a pattern or git.
func checkAddress(r *http.Request) error {
	if len(r.RequestURI) > maxURI {
		return fault.New(fault.Invalid, "web", "the address is too long", "")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "web", "the address has a query that cannot be read", "")
	}
	if !honest(r.URL.Path) {
		return fault.New(fault.Invalid, "web", "the address holds characters that no address here has", "")
	}
	for name, values := range query {
		for _, v := range append(values, name) {
			if !honest(v) {
				return fault.New(fault.Invalid, "web", "the address holds characters that no address here has", "")
			}
		}
	}
	return nil
}

// honest reports whether s is UTF-8 without NUL, CR or LF. Other odd characters can be part
// of a file's name.
func honest(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\r\n")
}

// statusOf is the one table from kinds of refusal to HTTP.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Internal:
		return http.StatusInternalServerError
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Refused:
		return http.StatusConflict
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	panic("web: unknown kind " + kind.String())
}

// fail answers with the refusal. Somebody who is not signed in and only wants to see is sent
// to the sign-in page and back.
func (w *Web) fail(c *call, err error) {
	if c.ctx().Err() != nil {
		return // the reader has gone
	}
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		w.Log.Error("page failed", "path", c.r.URL.Path, "account", c.actor.ID, "err", err)
	}
	if kind == fault.Unauthenticated && !c.signedIn() && c.r.Method == http.MethodGet && !isStream(c.r) && !strings.HasPrefix(c.r.URL.Path, "/signin") {
		http.Redirect(c.rw, c.r, "/signin?next="+url.QueryEscape(c.r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	w.errorPage(c, statusOf(kind), err)
}

func isStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

func notFound(op, what string) error { return fault.New(fault.NotFound, op, what, "") }

// missing answers for addresses that no route has.
func (w *Web) missing(c *call) error {
	return notFound("web", "there is no page at this address")
}

func (w *Web) wrongMethod(c *call) error {
	w.errorPage(c, http.StatusMethodNotAllowed, fault.New(fault.Invalid, "web", "this address does not take "+plain(c.r.Method)+" requests", "open it from a page"))
	return nil
}

// seeOther answers a form that was taken: the browser loads the page anew, so that reloading
// it does not send the form again. done names a notice of notices.go, or is "".
func (c *call) seeOther(path, done string) {
	if done != "" {
		u, err := url.Parse(path)
		if err == nil {
			q := u.Query()
			q.Set("done", done)
			u.RawQuery = q.Encode()
			path = u.String()
		}
	}
	http.Redirect(c.rw, c.r, path, http.StatusSeeOther)
}
