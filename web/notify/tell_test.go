package notify

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Who is told of what: a table of one change's life.
func TestWhoIsTold(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.work()
	w.pass(time.Minute)
	w.ask(id, "alice", "bob")
	w.work()
	w.pass(time.Minute)
	w.says("bob", id, -1, "What about @dora and `@admin`?")
	w.work()
	w.says("alice", id, 0, "Good point.")
	w.event(event.Event{Kind: "patchset.created", Repo: w.repo.ID, Change: id, Account: w.people["alice"].ID, Data: map[string]string{"patch_set": "2", "kind": "rework"}})
	w.event(event.Event{Kind: "run.ended", Repo: w.repo.ID, Change: id, Data: map[string]string{"state": "PASSED"}})
	w.event(event.Event{Kind: "run.ended", Repo: w.repo.ID, Change: id, Data: map[string]string{"state": "REFUSED", "reason": "unit failed"}})
	w.event(event.Event{Kind: "something.new", Repo: w.repo.ID, Change: id, Account: w.people["bob"].ID})
	w.event(event.Event{Kind: "landed", Repo: w.repo.ID, Change: id, Account: w.people["alice"].ID, Data: map[string]string{"commit": "0123456789abcdef"}})
	w.work()
	for who, want := range map[string]string{
		"alice": "bob voted Code-Review-1 (owner)\nwas refused by its stages: unit failed (owner)\nlanded on main as 0123456789 (owner)",
		"bob":   "alice asks you to review it (reviewer)\nalice wrote a message (reviewer)\nalice uploaded patch set 2 (reviewer)\nlanded on main as 0123456789 (reviewer)",
		"dora":  "bob voted Code-Review-1 (mentioned)\nalice wrote a message (cc)\nalice uploaded patch set 2 (cc)\nlanded on main as 0123456789 (cc)",
		"carol": "", "admin": "",
	} {
		if got := w.told(who); got != want {
			t.Errorf("%s was told:\n%s\nwant:\n%s", who, got, want)
		}
	}
	all, _, err := w.s.List(w.ctx, w.people["bob"].ID, true)
	w.must(err)
	if n, err := w.s.Unread(w.ctx, w.people["bob"].ID); err != nil || n != 4 || len(all) != 4 || !all[3].Turn {
		t.Errorf("bob's bell says %d (%v); his turn: %+v", n, err, all[3])
	}
}

// A push that asks somebody to review is told once, whichever of its events comes first.
func TestAPushIsToldOnce(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "Greet")
	w.ask(id, "alice", "bob")
	w.work()
	if got := w.told("bob"); strings.Count(got, "\n") != 0 || !strings.HasPrefix(got, "alice asks") {
		t.Errorf("bob was told:\n%s", got)
	}
}

// A watch tells of the branch and of what the change touches, and of nothing else.
func TestWatchersAreTold(t *testing.T) {
	w := newWorld(t)
	watch := func(id int64, who, branch, path, query string, repo int64) {
		w.exec(`INSERT INTO watches (id, account_id, repo_id, branch, path, query, created_at) VALUES ($1, $2, $3, $4, $5, $6, 1)`, id, w.people[who].ID, repo, branch, path, query)
	}
	watch(1, "bob", "", "", "", w.repo.ID)
	watch(2, "carol", "release/*", "", "", w.repo.ID)
	watch(3, "dora", "", "docs", "", 0)
	watch(4, "admin", "", "", "is:open", w.repo.ID)
	id := w.change(w.repo, "alice", "One")
	w.work()
	if w.told("bob") == "" || w.told("carol")+w.told("dora")+w.told("admin") != "" {
		t.Errorf("bob %q carol %q dora %q admin %q", w.told("bob"), w.told("carol"), w.told("dora"), w.told("admin"))
	}
	two := w.change(w.repo, "alice", "Two")
	w.exec(`INSERT INTO search_terms (field, term, change_id) VALUES ('part', 'docs', $1)`, two)
	w.exec(`UPDATE changes SET branch = 'release/1' WHERE id = $1`, two)
	w.work()
	if w.told("dora") == "" || w.told("carol") == "" {
		t.Errorf("dora %q carol %q", w.told("dora"), w.told("carol"))
	}
	_ = id
}

// Work in progress disturbs nobody who was not drawn into it.
func TestWorkInProgressIsQuiet(t *testing.T) {
	w := newWorld(t)
	w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["dora"].ID, w.repo.ID)
	id := w.change(w.repo, "alice", "Half done")
	w.exec(`UPDATE changes SET wip = 1 WHERE id = $1`, id)
	w.exec(`INSERT INTO reviewers (change_id, account_id, state, created_at) VALUES ($1, $2, 'reviewer', 1)`, id, w.people["bob"].ID)
	w.work()
	if w.told("dora")+w.told("bob") != "" {
		t.Errorf("dora %q bob %q", w.told("dora"), w.told("bob"))
	}
	w.says("carol", id, 0, "early thought")
	w.must(w.s.Review.SetWIP(w.ctx, w.actor("alice"), id, false))
	w.work()
	if !strings.Contains(w.told("dora"), "ready for review") || !strings.Contains(w.told("alice"), "carol wrote a message") {
		t.Errorf("dora %q alice %q", w.told("dora"), w.told("alice"))
	}
}

// An event is told once, whatever order ids become visible in, and whatever is cut.
func TestEventsAreToldOnce(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	w.work()
	// An event of a transaction that was slow: its number is smaller than what was told already.
	var early int64
	w.transact(func(tx *db.Tx) (err error) { early, err = tx.NextID(w.ctx, db.RowIDs); return err })
	w.says("bob", id, 1, "")
	w.work()
	w.exec(`INSERT INTO events (id, at, kind, repo_id, change_id, account_id, data) VALUES ($1, $2, 'comment', $3, $4, $5, '{"comments":"2"}')`,
		early, db.Micros(w.clock()), w.repo.ID, id, w.people["carol"].ID)
	w.work()
	w.work()
	if got := w.told("alice"); strings.Count(got, "carol wrote 2 comments") != 1 || strings.Count(got, "bob voted") != 1 {
		t.Errorf("alice was told:\n%s", got)
	}
	// The cursor moves on after a while, and then nothing is told anew.
	w.pass(2 * settled)
	w.must(w.s.Clean(w.ctx))
	var floor, rows, last int64
	w.must(w.s.DB.Read().QueryRowContext(w.ctx, `SELECT floor, (SELECT COUNT(*) FROM notify_told), (SELECT MAX(id) FROM events) FROM notify_cursor`).Scan(&floor, &rows, &last))
	if floor != last || rows != 0 {
		t.Errorf("the cursor is at %d of %d, with %d rows", floor, last, rows)
	}
	before := w.told("alice")
	w.work()
	if w.told("alice") != before {
		t.Error("something was told twice")
	}
}

// A young event that nobody has told holds the cursor back.
func TestTheCursorWaits(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	w.work()
	w.pass(2 * settled)
	w.says("bob", id, 1, "") // not told yet
	w.must(w.s.Clean(w.ctx))
	w.work()
	if got := w.told("alice"); !strings.Contains(got, "bob voted") {
		t.Errorf("alice was told %q", got)
	}
}

// One event that cannot be told does not stop the others, and is given up loudly.
func TestABrokenEventStopsNobody(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	w.work()
	w.exec(`INSERT INTO events (id, at, kind, repo_id, change_id, account_id, data) VALUES (900000, $1, 'vote', $2, $3, $4, '{}')`, db.Micros(w.clock()), w.repo.ID, id, w.people["bob"].ID)
	// Its rows cannot be written: somebody told alice of it already, which never happens.
	w.exec(`INSERT INTO notifications (id, account_id, event_id, kind, reason, text, at, mail) VALUES (900001, $1, 900000, 'x', 'x', 'x', 1, 'none')`, w.people["alice"].ID)
	w.says("bob", id, 1, "")
	for i := range tellTries {
		if err := w.s.Tell(w.ctx); (err == nil) != (i == tellTries-1) {
			t.Errorf("look %d: %v", i, err)
		}
	}
	if got := w.told("alice"); !strings.Contains(got, "bob voted Code-Review+1") {
		t.Errorf("alice was told %q", got)
	}
	if !w.logged("cannot be told") {
		t.Error("it was given up in silence")
	}
}

// An upgrade does not tell the story of years.
func TestTheStoryBeginsWithTheUpgrade(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	w.exec(`UPDATE notify_cursor SET floor = (SELECT MAX(id) FROM events)`)
	w.exec(`DELETE FROM notify_told`)
	w.exec(`INSERT INTO reviewers (change_id, account_id, state, created_at) VALUES ($1, $2, 'reviewer', 1)`, id, w.people["bob"].ID)
	w.work()
	if got := w.told("bob"); got != "" {
		t.Errorf("bob was told %q", got)
	}
}

func TestReading(t *testing.T) {
	w := newWorld(t)
	one, two := w.change(w.repo, "alice", "one"), w.change(w.repo, "alice", "two")
	w.work()
	for _, id := range []int64{one, two} {
		w.says("bob", id, 1, "")
		w.says("bob", id, 0, "and")
	}
	w.work()
	alice := w.people["alice"].ID
	unread := func() int {
		n, err := w.s.Unread(w.ctx, alice)
		w.must(err)
		return n
	}
	all, _, err := w.s.List(w.ctx, alice, true)
	w.must(err)
	w.must(w.s.MarkRead(w.ctx, w.people["bob"].ID, Reading{IDs: []int64{all[0].ID}})) // not his
	if unread() != 4 {
		t.Errorf("bob read alice's: %d", unread())
	}
	w.must(w.s.MarkRead(w.ctx, alice, Reading{IDs: []int64{all[0].ID}}))
	w.must(w.s.MarkRead(w.ctx, alice, Reading{Change: one}))
	if unread() != 1 {
		t.Errorf("unread: %d, want 1", unread())
	}
	w.must(w.s.MarkRead(w.ctx, alice, Reading{UpTo: all[0].ID}))
	if unread() != 0 {
		t.Errorf("unread: %d, want 0", unread())
	}
	if w.s.MarkRead(w.ctx, alice, Reading{}) == nil {
		t.Error("a reading of nothing was taken")
	}
}

// Run tells as soon as it is woken, and ends with its context.
func TestRun(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	woken, stop := w.s.Bus.Listen(event.AccountTopic(w.people["alice"].ID))
	defer stop()
	go func() { defer close(done); w.s.Run(ctx) }()
	w.says("bob", id, 1, "")
	select {
	case <-woken:
	case <-time.After(time.Minute):
		t.Error("nobody told alice")
	}
	cancel()
	<-done
}

func TestOldRowsGo(t *testing.T) {
	w := newWorld(t)
	id := w.change(w.repo, "alice", "x")
	w.work()
	w.says("bob", id, 1, "")
	w.quiet()
	w.pass(keepUnread + time.Hour)
	w.must(w.s.Clean(w.ctx))
	for _, table := range []string{"notifications", "mails", "notify_told"} {
		var n int
		w.must(w.s.DB.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM `+table).Scan(&n))
		if n != 0 {
			t.Errorf("%s keeps %d rows", table, n)
		}
	}
}

func TestPauseGrows(t *testing.T) {
	var total time.Duration
	for n := 1; n < mailTries; n++ {
		total += pauseAfter(n, firstMailPause, longestMailPause)
	}
	if pauseAfter(1, firstMailPause, longestMailPause) != firstMailPause || pauseAfter(99, firstMailPause, longestMailPause) != longestMailPause || total < 12*time.Hour || total > 24*time.Hour {
		t.Errorf("a mail is tried for %s", total)
	}
}

func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	w.must(w.s.DB.Read().QueryRowContext(w.ctx, query, args...).Scan(&n))
	return n
}

// A push bounds who gets mail of it; what happened is told to everybody all the same.
func TestPushBoundsMail(t *testing.T) {
	for _, c := range []struct{ whom, want string }{
		{"", "alice bob carol"}, {"all", "alice bob carol"}, {review.NotifyNone, ""}, {review.NotifyOwner, "alice"}, {review.NotifyReviewers, "alice bob"},
	} {
		w := newWorld(t)
		w.exec(`INSERT INTO watches (id, account_id, repo_id, created_at) VALUES (1, $1, $2, 1)`, w.people["carol"].ID, w.repo.ID)
		id := w.change(w.repo, "alice", "Greet")
		w.ask(id, "alice", "bob")
		w.quiet()
		before := len(w.mails())
		w.event(event.Event{Kind: "patchset.created", Repo: w.repo.ID, Change: id, Account: w.people["dan"].ID, Data: map[string]string{"patch_set": "2", "notify": c.whom}})
		w.quiet()
		var got []string
		for _, m := range w.mails()[before:] {
			name, _, _ := strings.Cut(m.to, "@")
			got = append(got, name)
		}
		if slices.Sort(got); strings.Join(got, " ") != c.want {
			t.Errorf("notify=%s: mail to %q, want %q", c.whom, got, c.want)
		}
		for _, who := range []string{"alice", "bob", "carol"} {
			if told := w.told(who); !strings.Contains(told, "patch set 2") {
				t.Errorf("notify=%s: %s is told %q", c.whom, who, told)
			}
		}
	}
}
