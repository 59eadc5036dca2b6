package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// tell appends an event of the queue, so long ago, and wakes who listens.
func (w *world) tell(r repo.Repository, before time.Duration, kind string, change int64, pairs ...string) int64 {
	w.t.Helper()
	data := map[string]string{"branch": "main"}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	var id int64
	at := w.clock().Add(-before)
	w.transact(func(tx *db.Tx) (err error) {
		id, err = event.Append(context.Background(), tx, event.Event{At: at, Kind: kind, Repo: r.ID, Change: change, Data: data})
		return err
	})
	w.web.Bus.Wake(event.RepoTopic(r.ID))
	return id
}

// enter puts a change into the queue of main.
func (w *world) enter(r repo.Repository, before time.Duration, change int64, subject, owner, targets string, pairs ...string) {
	w.t.Helper()
	w.tell(r, before, "queue.entered", change, append([]string{"ps", "1", "subject", subject, "owner", owner, "targets", targets}, pairs...)...)
}

// trial tests members on others; the candidate has the number of its last member.
func (w *world) trial(r repo.Repository, before time.Duration, members, on string, pairs ...string) string {
	w.t.Helper()
	list := strings.Fields(members)
	change, _, _ := strings.Cut(list[len(list)-1], ".")
	var id int64
	_, err := fmt.Sscan(change, &id)
	w.must(err)
	candidate, run := fmt.Sprint(1000+id), fmt.Sprint(2000+id)
	w.tell(r, before, "candidate.tried", id, append([]string{"candidate", candidate, "run", run, "members", members, "on", on, "attempt", "1"}, pairs...)...)
	return run
}

// showQueue is a busy queue: two lanes and a barrier, a batch, a spare, a hold, a hotfix.
func (w *world) showQueue(r repo.Repository) {
	w.t.Helper()
	const m, h = time.Minute, time.Hour
	for i := range 46 { // the day before
		kind := "queue.landed"
		if i%9 == 4 {
			kind = "queue.ejected"
		}
		w.tell(r, 23*h-time.Duration(i*i)*33*time.Second, kind, 1)
	}
	oid := w.git("rev-parse", "HEAD")
	w.enter(r, 64*m, 31, "Raise the limit of open files", "carol", "server")
	w.tell(r, 58*m, "queue.landed", 31, "commit", oid)
	w.enter(r, 55*m, 33, "Cache greetings by language", "bob", "words")
	w.trial(r, 54*m, "33.1", "")
	w.tell(r, 47*m, "queue.ejected", 33, "reason", "REFUSED", "words", "refused: unit failed twice: TestCacheExpires (words/cache_test.go:41)")
	for i, n := range []struct {
		id                      int64
		subject, owner, targets string
	}{{34, "Say which port is taken", "alice", "server"}, {35, "Translate the guide into Danish", "carol", "docs"}, {36, "Close idle connections", "bob", "server"}} {
		at := time.Duration(50-8*i) * m
		w.enter(r, at, n.id, n.subject, n.owner, n.targets)
		run := w.trial(r, at, fmt.Sprintf("%d.1", n.id), "", "base", oid)
		w.tell(r, at-7*m, "run.ended", n.id, "run", run, "state", "PASSED")
		w.tell(r, at-7*m-20*time.Second, "queue.landed", n.id, "commit", oid)
	}
	w.enter(r, 21*m, 40, "Greet in the language of the reader", "alice", "words")
	w.enter(r, 20*m, 41, "Refuse what is no greeting", "alice", "server")
	w.enter(r, 17*m, 42, "Log every greeting once", "bob", "server,words")
	w.enter(r, 16*m, 43, "Explain the query in the guide", "carol", "docs")
	w.enter(r, 15*m, 44, "Fix a typo in the guide", "bob", "docs")
	w.enter(r, 12*m, 45, "Move the words to a package of their own", "alice", "words")
	w.enter(r, 9*m, 46, "Update the toolchain to Go 1.27", "carol", "", "barrier", "1")
	w.enter(r, 8*m, 47, "Drop the old greeting", "dave", "server")
	w.enter(r, 4*m, 48, "Tell crawlers to stay away", "bob", "server")
	unit := w.trial(r, 6*m, "40.1", "", "base", oid)
	w.tell(r, 6*m, "stage.started", 40, "run", unit, "stage", "unit", "stage_run", "31")
	w.tell(r, 3*m, "stage.ended", 40, "run", unit, "stage", "unit", "state", "PASSED")
	w.tell(r, 3*m, "stage.started", 40, "run", unit, "stage", "build", "stage_run", "32")
	passed := w.trial(r, 11*m, "41.1", "", "base", oid)
	w.tell(r, 4*m, "stage.ended", 41, "run", passed, "stage", "unit", "state", "PASSED", "stage_run", "31", "reused", "1")
	w.tell(r, 4*m, "stage.ended", 41, "run", passed, "stage", "build", "state", "PASSED", "stage_run", "32")
	w.tell(r, 4*m, "run.ended", 41, "run", passed, "state", "PASSED")
	both := w.trial(r, 5*m, "42.1", "40.1 41.1", "attempt", "2")
	w.tell(r, 5*m, "stage.ended", 42, "run", both, "stage", "build", "state", "PASSED", "stage_run", "32", "reused", "1")
	w.tell(r, 5*m, "stage.started", 42, "run", both, "stage", "unit", "stage_run", "31")
	w.tell(r, 4*m, "flake", 42, "run", both, "stage", "unit", "test", "TestSlow", "kind", "rerun")
	docs := w.trial(r, 5*m, "43.1 44.1", "")
	w.tell(r, 5*m, "stage.started", 43, "run", docs, "stage", "unit", "stage_run", "31")
	w.trial(r, 2*m, "45.1", "40.1 42.1")
	w.tell(r, 3*m, "queue.held", 47, "by", "carol", "reason", "until the mail to users is out")
	w.tell(r, 2*m, "queue.priority", 41, "priority", "1000", "by", "carol", "reason", "greetings crash the shop")
	w.pass(time.Second)
}

// A queue shows its order, what is tried with what, who is held and who goes first; in words,
// which is what those have who cannot see the drawing.
func TestQueuePage(t *testing.T) {
	w := showcase(t)
	page := w.session("alice").get("/team/hello/-/queue/main").ok(200)
	var got []string
	for _, row := range page.find(".stop") {
		got = append(got, attr(row, "id"))
	}
	if want := "stop-41 stop-40 stop-42 stop-43 stop-44 stop-45 stop-46 stop-47 stop-48"; strings.Join(got, " ") != want {
		t.Errorf("order %v, want %s", got, want)
	}
	for selector, want := range map[string]string{
		"#stop-41 .doing": "Tested and good · carol: greetings crash the shop",
		"#stop-40 .doing": "Being tested",
		"#stop-42 .doing": "Being tested on top of changes 41 and 40",
		"#stop-44 .doing": "Being tested together with change 43",
		"#stop-47 .doing": "Held: carol: until the mail to users is out",
		"#stop-41 .tag":   "hotfix",
		"#stop-46 .tag":   "everything",
		"#stop-42 .run":   "5 min of about 7 min build passed reused unit running attempt 2 1 flaky test",
		"#queue .sum":     "9 changes wait, 4 candidates are being tested; the next lands in under a minute.",
		".gone .ejected":  "put out Cache greetings by language 33 · refused: unit failed twice: TestCacheExpires (words/cache_test.go:41) · 47 min ago",
	} {
		if text := page.one(selector); text != want {
			t.Errorf("%s: %q, want %q", selector, text, want)
		}
	}
	if n := len(page.find("#stop-44 .run")); n != 0 {
		t.Error("a batch shows its stages at each member")
	}
	if got := page.one(".yours"); got != "Yours: 41 is number 1, lands in under a minute · 40 is number 2, lands in under 8 min · 45 is number 6, lands in 4–12 min" {
		t.Errorf("alice's own: %q", got)
	}
	if n := len(w.session("").get("/team/hello/-/queue/main").ok(200).find(".yours, .mine")); n != 0 {
		t.Error("a visitor has changes")
	}
	w.session("").get("/team/hello/-/queue/main?at=soon").ok(400)
	w.session("").get("/team/hello/-/queue/main?event=x").ok(404)
}

// The time machine: by the form, and step by step, to the past and back.
func TestQueuePageOfThePast(t *testing.T) {
	w, r := hello(t)
	w.enter(r, 3*time.Hour, 40, "First", "alice", "")
	w.enter(r, 2*time.Hour, 41, "Second", "bob", "")
	w.tell(r, time.Hour, "queue.landed", 40, "commit", w.git("rev-parse", "HEAD"))
	at := func(before time.Duration) string {
		return "?at=" + url.QueryEscape(w.clock().UTC().Add(-before).Format(secondFormat))
	}
	c := w.session("")
	stops := func(query string) (answer, string) {
		t.Helper()
		page := c.get("/hello/-/queue/main" + query).ok(200)
		var names []string
		for _, row := range page.find(".stop .title") {
			names = append(names, wordsOf(row))
		}
		return page, strings.Join(names, " ")
	}
	for query, want := range map[string]string{"": "Second", at(30 * time.Minute): "Second", at(90 * time.Minute): "First Second", at(150 * time.Minute): "First", at(4 * time.Hour): ""} {
		page, got := stops(query)
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
		if live := len(page.find("body[data-live]")) == 1; live != (query == "") {
			t.Errorf("%s: follows what happens: %v", query, live)
		}
	}
	page, _ := stops("")
	var seen []string
	for len(page.find("#step-back")) == 1 {
		var names string
		page, names = stops(strings.TrimPrefix(attr(page.find("#step-back")[0], "href"), "/hello/-/queue/main"))
		seen = append(seen, "["+names+"]")
	}
	for len(page.find("#to-live")) == 1 {
		var names string
		page, names = stops(strings.TrimPrefix(attr(page.find("#step-on")[0], "href"), "/hello/-/queue/main"))
		seen = append(seen, "["+names+"]")
	}
	if got, want := strings.Join(seen, " "), "[First Second] [First] [] [First] [First Second] [Second] [Second]"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
}

// crowd is a queue of a hundred changes with eight candidates.
func crowd(t testing.TB) (*world, repo.Repository) {
	t.Helper()
	w, r := hello(t)
	for i := range int64(100) {
		w.enter(r, time.Duration(200-i)*time.Minute, 100+i, fmt.Sprintf("Change number %d of the crowd", i+1), "alice", []string{"ui", "api", "docs", "ui,api", "store", "mail", "search", "billing"}[i%8])
	}
	for i := range 8 {
		on := ""
		if i > 2 {
			on = fmt.Sprintf("%d.1", 100+i-3)
		}
		w.trial(r, 2*time.Minute, fmt.Sprintf("%d.1", 100+i), on)
	}
	return w, r
}

// Whoever has most of the queue is not shown it twice.
func TestQueueNamesFewOfOnesOwn(t *testing.T) {
	w, _ := crowd(t)
	page := w.session("alice").get("/hello/-/queue/main").ok(200)
	if n, got := len(page.find(".yours a")), page.one(".yours"); n != maxYours || !strings.HasSuffix(got, "and 95 more") {
		t.Errorf("%d of alice's: %q", n, got)
	}
}

// A hundred changes are on the board; what happens shows without a reload and without a
// jump; the slider shows the past, and the way back leads to now.
func TestQueueInTheBrowser(t *testing.T) {
	w, r := crowd(t)
	tab := open(t, chrome(t), w, "bob", "/hello/-/queue/main", 1300, "light")
	until(t, tab, `document.querySelectorAll('.stop').length === 100`)
	ask[bool](t, tab, `window.mark = true`)
	if high := ask[float64](t, tab, `Math.max(...[...document.querySelectorAll('.stop')].map((e) => e.offsetHeight))`); high > 130 {
		t.Errorf("a row is %.0f pixels high", high)
	}
	w.must(chromedp.Do(tab, chromedp.Focus("#to-101")))
	w.tell(r, 0, "queue.landed", 100, "commit", w.git("rev-parse", "HEAD"))
	until(t, tab, `document.querySelectorAll('.stop').length === 99 && document.querySelector('.gone .landed') !== null`)
	if got := ask[string](t, tab, `document.activeElement.id`); got != "to-101" {
		t.Errorf("the focus went to %q", got)
	}
	if got := ask[string](t, tab, `document.querySelector('#say').textContent`); !strings.HasPrefix(got, "99 changes wait") {
		t.Errorf("readers of the screen hear %q", got)
	}
	press(t, tab, "j")
	until(t, tab, `document.activeElement.id === 'to-102'`)
	if !ask[bool](t, tab, `window.mark === true`) {
		t.Error("the page was loaded anew")
	}
	const scrub = `(() => { const s = document.querySelector('#scrub'); s.focus(); s.value = s.max - 90 * 60; s.dispatchEvent(new Event('input', { bubbles: true })); return true; })()`
	ask[bool](t, tab, scrub)
	until(t, tab, `document.querySelector('#machine.past') !== null && location.search.startsWith('?at=')`)
	if n := ask[int64](t, tab, `document.querySelectorAll('.stop').length`); n < 90 || n > 100 || ask[bool](t, tab, `document.querySelector('.gone .landed') !== null`) {
		t.Errorf("%d stops an hour and a half ago", n)
	}
	if !ask[bool](t, tab, `window.mark === true`) {
		t.Error("the slider loaded the page anew")
	}
	w.tell(r, 0, "queue.landed", 101, "commit", w.git("rev-parse", "HEAD")) // what happens now is not of then
	w.must(chromedp.Do(tab, chromedp.Click("#step-back")))
	until(t, tab, `location.search.startsWith('?event=') && document.readyState === 'complete'`)
	w.must(chromedp.Do(tab, chromedp.Click("#to-live")))
	until(t, tab, `location.search === '' && document.querySelectorAll('.stop').length === 98`)
	noHarm(t, tab)
}
