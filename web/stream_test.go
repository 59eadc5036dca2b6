package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

// message is one event of a stream.
type streamed struct{ name, id, data string }

// listenTo opens a stream; next waits for its next event, or gives none when it ended.
func (c *client) listenTo(path string) (next func() (streamed, bool), stop func()) {
	c.w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.w.server.URL+path, nil)
	c.w.must(err)
	req.Header.Set("Accept", "text/event-stream")
	if c.secret != "" {
		req.AddCookie(&http.Cookie{Name: "gate_session", Value: c.secret})
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	c.w.must(err)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		c.w.t.Fatalf("stream %s: %d %s", path, res.StatusCode, res.Header.Get("Content-Type"))
	}
	in := bufio.NewReader(res.Body)
	next = func() (streamed, bool) {
		var m streamed
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return m, false
			}
			line = strings.TrimSuffix(line, "\n")
			switch field, value, _ := strings.Cut(line, ": "); {
			case line == "" && m.name != "":
				return m, true
			case field == "event":
				m.name = value
			case field == "id":
				m.id = value
			case field == "data":
				m.data += value + "\n"
			}
		}
	}
	return next, func() { cancel(); _ = res.Body.Close() }
}

// The stream is silent while the page is current, and sends the parts when they change.
func TestChangeStream(t *testing.T) {
	w, _ := hello(t)
	bob := w.session("bob")
	page := bob.get("/c/1").ok(200)
	body := page.find("body")[0]
	next, stop := bob.listenTo(attr(body, "data-live") + "?have=" + attr(body, "data-have"))
	defer stop()
	bob.post("/c/1/vote", url.Values{"ps": {"1"}, "label.Code-Review": {"-1"}, "message": {"hm"}}).ok(303)
	// The first look may fall into the middle of the vote; another one follows it.
	m, ok := next()
	for ok && m.name == "parts" && len(answer{body: m.data, t: t}.find("#votes tbody tr")) == 0 {
		m, ok = next()
	}
	part := answer{body: m.data, t: t}
	if got := part.one("#votes tbody tr"); !ok || got != "bob Code-Review -1" {
		t.Errorf("votes %q, %v", got, ok)
	}
	for _, id := range []string{"#line", "#why", "#gates", "#votes", "#actions", "#story"} {
		if len(part.find(id)) != 1 || len(page.find(id)) != 1 {
			t.Errorf("%s is not both on the page and in the event", id)
		}
	}
	w.gate.set(1, []gatekeeper.Requirement{{Name: "unit", Kind: "stage", State: string(plan.Failed), Reason: "exit code 1"}, {Name: "smoke", Kind: "gate", State: string(plan.Refused), Reason: "unit failed"}}, nil)
	for m, ok = next(); ok && (answer{body: m.data, t: t}).one("#line .pill") == "ready"; m, ok = next() {
	}
	if got := (answer{body: m.data, t: t}).one("#line .pill"); !ok || got != "refused" {
		t.Errorf("state %q, %v", got, ok)
	}
	if m.id == attr(body, "data-have") {
		t.Error("the digest did not change")
	}
}

// A stream ends when its session does, before it says anything more.
func TestStreamEndsWithTheSession(t *testing.T) {
	w, _, _ := closed(t)
	bob := w.session("bob")
	next, stop := bob.listenTo("/c/1/events")
	defer stop()
	if m, ok := next(); !ok || m.name != "parts" {
		t.Fatalf("event %q, %v", m.name, ok)
	}
	w.transact(func(tx *db.Tx) error {
		return w.web.Accounts.RevokeSecret(context.Background(), tx, bob.secret)
	})
	w.gate.set(1, []gatekeeper.Requirement{{Name: "secret", State: string(plan.Closed)}}, nil)
	if m, ok := next(); ok {
		t.Errorf("after signing out: %s", m.data)
	}
}

// A stream ends when the right to read is taken away.
func TestStreamEndsWithTheRight(t *testing.T) {
	w, r, _ := closed(t)
	bob := w.session("bob")
	next, stop := bob.listenTo("/closed/-/queue-events/main")
	defer stop()
	if _, ok := next(); !ok {
		t.Fatal("no first event")
	}
	w.revoke(r, "bob")
	w.enter(r, 0, 1, "secret", "alice", "")
	if m, ok := next(); ok {
		t.Errorf("after the grant is gone: %s", m.data)
	}
}

func TestLogStream(t *testing.T) {
	w, _ := hello(t)
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, State: gatekeeper.RunRunning, Stages: []gatekeeper.StageRun{{ID: 5, Change: 1, Stage: "unit", State: plan.Running}}}})
	w.gate.write(5, "one\ntwo\npart", false)
	c := w.session("")
	page := c.get("/stage/5/log").ok(200)
	if got := len(page.find("#log li")); got != 2 {
		t.Fatalf("%d lines on the page, want 2: the third is not whole", got)
	}
	log := page.find("#log")[0]
	next, stop := c.listenTo(attr(log, "data-stream") + "?from=" + attr(log, "data-from"))
	defer stop()
	w.gate.write(5, "ial\nthree <b>\n", false)
	m, ok := next()
	if want := "<li id=\"L3\"><a href=\"?at=3#L3\">3</a>partial</li>\n<li id=\"L4\"><a href=\"?at=4#L4\">4</a>three &lt;b&gt;</li>\n\n"; !ok || m.name != "log" || m.data != want {
		t.Fatalf("event %q %q", m.name, m.data)
	}
	resumed, stopResumed := c.listenTo("/stage/5/events?from=" + m.id)
	defer stopResumed()
	w.gate.set(1, nil, []gatekeeper.Run{{ID: 1, Change: 1, State: gatekeeper.RunRefused, Stages: []gatekeeper.StageRun{{ID: 5, Change: 1, Stage: "unit", State: plan.Failed}}}})
	w.gate.write(5, "last without an end", true)
	for i, next := range []func() (streamed, bool){next, resumed} {
		var names []string
		for {
			m, ok := next()
			if !ok {
				break
			}
			names = append(names, m.name)
			if m.name == "log" && m.data != "<li id=\"L5\"><a href=\"?at=5#L5\">5</a>last without an end</li>\n\n" {
				t.Errorf("stream %d: %q", i, m.data)
			}
			if m.name == "parts" && !strings.Contains(m.data, "failed") {
				t.Errorf("stream %d: head %q", i, m.data)
			}
		}
		if got := fmt.Sprint(names); got != "[log parts end]" {
			t.Errorf("stream %d: %s", i, got)
		}
	}
	raw := c.get("/stage/5/log?raw").ok(200)
	if raw.body != "one\ntwo\npartial\nthree <b>\nlast without an end" || raw.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("raw log %q as %s", raw.body, raw.header.Get("Content-Type"))
	}
	c.get("/stage/5/events?from=x").ok(404)
	c.get("/stage/5/events?from=-1-2").ok(404)
}
