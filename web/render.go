package web

import (
	"bufio"
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates, one set for each file beside base.html; all share those of parts.
type pages map[string]*template.Template

// page is what the frame around every page shows.
type page struct {
	Title    string
	Kind     string // the template's name; the script looks at it
	Actor    account.Actor
	SignedIn bool
	Path     string   // this page, for coming back after signing in
	Notice   string   // what the last form did
	Live     string   // address of the page's event stream, "" for none
	Have     string   // digest of the live parts as this page has them
	Wide     bool     // code side by side needs the whole window
	Up       string   // the page above this one, for the key u
	stream   bool     // send it while it is made
	Bell     bellView // what the reader has been told and has not read
	Tongues  []languageRow
	Body     any
}

// dict makes the arguments of a template call: name, value, name, value, …
func dict(pairs ...any) (map[string]any, error) {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("web: dict: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// option changes the frame of one page.
type option func(*page)

func withUp(address string) option { return func(p *page) { p.Up = address } }
func wide(p *page)                 { p.Wide = true }

// asMade sends a page while it is made, so that a long one begins to arrive at once. What
// it needs of the database it has then; an error that comes later cuts the connection, so
// that no browser takes a half for the whole.
func asMade(p *page) { p.stream = true }

func withLive(address string, parts []byte) option {
	return func(p *page) { p.Live, p.Have = address, digest(parts) }
}

// render makes the page completely before it sends any of it: a page is whole or an error.
func (w *Web) render(c *call, status int, name, title string, body any, options ...option) error {
	p := page{
		Title: title, Kind: name, Actor: c.actor, SignedIn: c.signedIn(), Body: body,
		Path: c.r.URL.RequestURI(), Notice: notices[c.query("done")],
		Tongues: w.languages(c),
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		p.Path, p.Notice = "/", ""
	}
	if status >= http.StatusBadRequest {
		p.Notice = ""
	}
	for _, o := range options {
		o(&p)
	}
	var err error
	if p.Bell, err = w.unread(c.ctx(), c); err != nil {
		return err
	}
	c.rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	if len(p.Tongues) > 0 {
		c.rw.Header().Add("Vary", "Accept-Language, Cookie")
	}
	if p.stream {
		c.rw.WriteHeader(status)
		return w.stream(c, name, p)
	}
	var out bytes.Buffer
	if err := w.speech(c).pages[name].ExecuteTemplate(&out, "base", p); err != nil {
		return fmt.Errorf("web: render %s: %w", name, err)
	}
	c.rw.WriteHeader(status)
	send(c.rw, out.Bytes())
	return nil
}

// streamBuffer is how much of a page is sent at once.
const streamBuffer = 32 << 10

// stream sends a page while its template makes it.
func (w *Web) stream(c *call, name string, p page) error {
	out := bufio.NewWriterSize(c.rw, streamBuffer)
	err := w.speech(c).pages[name].ExecuteTemplate(out, "base", p)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		if c.ctx().Err() == nil {
			w.Log.Error("page was cut", "page", name, "path", c.r.URL.Path, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// renderPart makes one named piece of a page, for a stream.
func (w *Web) renderPart(c *call, name, part string, body any) ([]byte, error) {
	var out bytes.Buffer
	if err := w.speech(c).pages[name].ExecuteTemplate(&out, part, body); err != nil {
		return nil, fmt.Errorf("web: render %s of %s: %w", part, name, err)
	}
	return out.Bytes(), nil
}

// notices is what the page says after a form was taken. The address only names one, so that
// nobody can put words of their own on our pages with a link.
var notices = map[string]string{
	"welcome":   "You are signed in. Set a password or add an SSH key in your settings: the link you used does not work twice.",
	"voted":     "Your review is published.",
	"commented": "Your comment is published.",
	"drafted":   "Your draft is saved: only you see it until you publish your review.",
	"dropped":   "Your draft is thrown away.",
	"applied":   "The suggestions are applied: this is the new patch set.",
	"submitted": "Landing is asked for. The change lands as soon as every gate is open.",
	"withdrawn": "Landing is not asked for any more.",
	"abandoned": "The change is abandoned. It can be restored.",
	"restored":  "The change is open again.",
	"wip":       "The change is work in progress: nobody is asked to review it.",
	"ready":     "The change is ready for review.",
	"rechecked": "The stages run again.",
	"stopped":   "It is stopped. That says nothing about the change: run it again when you want to know.",
	"topic":     "The topic is changed.",
	"key":       "The key is added.",
	"unkeyed":   "The key is removed: it does not sign in any more.",
	"revoked":   "The token is revoked.",
	"password":  "Your password is changed, and every other browser is signed out.",
	"retried":   "The mirror is tried again.",
	"asked":     "They are asked.",
	"unasked":   "They are no longer asked.",
	"turn":      "It is their turn now.",
	"turned":    "It is not their turn any more.",
	"saved":     "The search is saved.",
	"forgotten": "The search is forgotten.",
	"watched":   "You watch it: look at your dashboard.",
	"unwatched": "You do not watch it any more.",

	"notify":       "Your choice is saved.",
	"muted":        "No more mail about this change is sent to you.",
	"unmuted":      "Mail about this change is sent to you again.",
	"hooked":       "The webhook is added. Send a test to see whether it works.",
	"unhooked":     "The webhook is removed.",
	"hook-sent":    "It is being sent: reload the page to see how it went.",
	"hook-paused":  "The webhook is paused.",
	"hook-resumed": "The webhook goes on.",
}

// errorView is what an error page shows.
type errorView struct {
	Status   int
	Heading  string
	Sentence string
	Next     string
	Signin   bool   // offer to sign in
	Back     string // where the reader came from, on this server
	Kept     string // what the reader had written
}

// errorPage answers with a refusal: what it is, why, what to do next, and nothing of its cause.
func (w *Web) errorPage(c *call, status int, err error) {
	view := errorView{Status: status, Heading: headings[status]}
	if view.Heading == "" {
		view.Heading = http.StatusText(status)
	}
	view.Sentence, view.Next = fault.Public(err)
	view.Signin = !c.signedIn() && (status == http.StatusNotFound || status == http.StatusUnauthorized || status == http.StatusForbidden)
	view.Back = safeNext(refererPath(c.r))
	for _, field := range []string{"message", "body", "key"} {
		if text := c.r.PostForm.Get(field); text != "" {
			view.Kept = text
		}
	}
	if strings.HasPrefix(c.r.URL.Path, "/api/") || isStream(c.r) {
		http.Error(c.rw, fault.Sentence(err), status)
		return
	}
	if err := w.render(c, status, "error", view.Heading, view); err != nil {
		w.Log.Error("error page failed", "err", err)
		http.Error(c.rw, view.Heading, status)
	}
}

var headings = map[int]string{
	http.StatusBadRequest:            "That cannot be done",
	http.StatusUnauthorized:          "Please sign in",
	http.StatusForbidden:             "You may not do that",
	http.StatusNotFound:              "Not found",
	http.StatusConflict:              "That does not work any more",
	http.StatusRequestEntityTooLarge: "Too large",
	http.StatusInternalServerError:   "Something is broken here",
	http.StatusServiceUnavailable:    "Please try again in a moment",
}

// refererPath is the page that a form was on, "" when the browser does not say.
func refererPath(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host {
		return ""
	}
	return u.RequestURI()
}
