package notify

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/review/reviewtest"
	"gatehouse/web/notify/notifytest"
)

// world is the room on real rooms below, with a job engine that has the test's clock.
type world struct {
	t      *testing.T
	ctx    context.Context
	s      *Service
	smtp   *notifytest.SMTP
	rooms  reviewtest.Rooms
	people map[string]account.Account
	repo   repo.Repository

	mu   sync.Mutex
	now  time.Time
	jobs []db.Job
	logs strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), now: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), people: map[string]account.Account{}}
	w.rooms = reviewtest.Open(t, t.TempDir(), "https://gate.test", w.clock)
	d, accounts, repos, reviews, bus := w.rooms.DB, w.rooms.Accounts, w.rooms.Repos, w.rooms.Review, w.rooms.Bus
	d.SetEnqueuer(w)
	w.smtp = notifytest.NewSMTP(t)
	w.s = &Service{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Explain: explainer{reviews}, Bus: bus, Now: w.clock,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), w), nil)), URL: "https://gate.test", Dir: filepath.Join(t.TempDir(), "notify"),
		Mail:  &Mailer{Server: w.smtp.Addr, TLS: TLSStart, From: "gate@gate.test", Roots: w.smtp.Roots},
		Quiet: QuietTime,
	}
	for _, name := range []string{"alice", "bob", "carol", "dora", "admin"} {
		w.person(name)
	}
	w.repo = w.newRepo("team/hello", false)
	return w
}

// explainer answers like the gatekeeper, for who may read the change.
type explainer struct{ review *review.Service }

func (e explainer) Explain(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error) {
	c, err := e.review.Get(ctx, a, change)
	if err != nil {
		return gatekeeper.Explanation{}, err
	}
	return gatekeeper.Explanation{
		Change: c.ID, State: gatekeeper.Open, Summary: "open: review: needs 1 approval of Code-Review+2",
		Requirements: []gatekeeper.Requirement{
			{Name: "review", Kind: "gate", State: string(plan.Closed), Reason: "needs 1 approval of Code-Review+2", Who: []string{"anyone who may vote"}, Next: "vote Code-Review+2"},
			{Name: "unit", Kind: "stage", State: string(plan.Running), Reason: "is running"},
			{Name: "smoke", Kind: "gate", State: string(plan.Open), Reason: "all stages passed"},
		},
	}, nil
}

// Write keeps the log, so that a test can ask whether something was said loudly.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.Write(p)
}

func (w *world) logged(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.logs.String(), text)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// EnqueueTx keeps a job. A transaction of these tests is not run twice.
func (w *world) EnqueueTx(_ context.Context, _ *db.Tx, j db.Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = append(w.jobs, j)
	return nil
}

// work tells the story and runs the jobs that are due, until none is.
func (w *world) work() {
	w.t.Helper()
	w.must(w.s.Tell(w.ctx))
	handlers := w.s.Handlers()
	for {
		j, ok := w.due()
		if !ok {
			return
		}
		handle := handlers[j.Kind]
		if handle == nil {
			continue // of another room
		}
		again, err := handle(w.ctx, j.Key)
		w.must(err)
		if again > 0 {
			j.At = w.clock().Add(again)
			w.must(w.EnqueueTx(w.ctx, nil, j))
		}
	}
}

func (w *world) due() (db.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, j := range w.jobs {
		if !j.At.After(w.now) {
			w.jobs = slices.Delete(w.jobs, i, i+1)
			return j, true
		}
	}
	return db.Job{}, false
}

// quiet lets the quiet time pass and works.
func (w *world) quiet() {
	w.t.Helper()
	w.work()
	w.pass(2 * QuietTime)
	w.work()
}

func (w *world) transact(f func(tx *db.Tx) error) {
	w.t.Helper()
	w.must(w.s.DB.Transact(w.ctx, f))
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, query, args...)
		return err
	})
}

func (w *world) person(name string) {
	w.t.Helper()
	w.people[name] = w.rooms.Person(w.t, name, "")
}

func (w *world) actor(name string) account.Actor {
	w.t.Helper()
	return w.rooms.Actor(w.t, w.people[name])
}

func (w *world) newRepo(name string, private bool) repo.Repository {
	w.t.Helper()
	r, err := w.s.Repos.Create(w.ctx, repo.NewRepository{Name: name, Private: private, Owner: w.people["alice"].ID})
	w.must(err)
	return r
}

func (w *world) grant(r repo.Repository, who string, role account.Role) {
	w.t.Helper()
	w.rooms.Grant(w.t, r.ID, w.people[who], role)
}

// change makes a change of owner's as a push would: rows, and the event of its first patch set.
func (w *world) change(r repo.Repository, owner, subject string) int64 {
	w.t.Helper()
	var id int64
	w.transact(func(tx *db.Tx) (err error) {
		if id, err = tx.NextID(w.ctx, db.ChangeIDs); err != nil {
			return err
		}
		now, who := db.Micros(w.clock()), w.people[owner].ID
		oid := fmt.Sprintf("%040x", id)
		if _, err = tx.ExecContext(w.ctx, `INSERT INTO changes (id, repo_id, branch, change_key, owner_id, subject, status, current_ps, created_at, updated_at)
			VALUES ($1, $2, 'main', $3, $4, $5, 'open', 1, $6, $6)`, id, r.ID, "I"+oid, who, subject, now); err != nil {
			return err
		}
		_, err = tx.ExecContext(w.ctx, `INSERT INTO patch_sets (change_id, number, commit_oid, tree_oid, parent_oid, parents, uploader_id, author_name, author_email, committer_email, message, kind, diff_digest, created_at)
			VALUES ($1, 1, $2, $2, $2, 1, $3, 'A', 'a@example.test', 'a@example.test', $4, 'first', 'd', $5)`, id, oid, who, subject+"\n\nBecause.\n", now)
		return err
	})
	w.event(event.Event{Kind: "patchset.created", Repo: r.ID, Change: id, Account: w.people[owner].ID, Data: map[string]string{"patch_set": "1", "kind": "first"}})
	return id
}

func (w *world) event(e event.Event) {
	w.t.Helper()
	e.At = w.clock()
	w.transact(func(tx *db.Tx) error { _, err := event.Append(w.ctx, tx, e); return err })
}

// says publishes a review.
func (w *world) says(who string, change int64, vote int, message string, comments ...review.NewComment) {
	w.t.Helper()
	votes := map[string]int{}
	if vote != 0 {
		votes["Code-Review"] = vote
	}
	w.must(w.s.Review.Vote(w.ctx, w.actor(who), change, 0, votes, message, comments))
}

func (w *world) ask(change int64, by string, whom ...string) {
	w.t.Helper()
	var all []int64
	for _, name := range whom {
		all = append(all, w.people[name].ID)
	}
	w.must(w.s.Review.AddReviewers(w.ctx, w.actor(by), change, all, false))
}

func (w *world) prefer(who string, p Preferences) {
	w.t.Helper()
	w.must(w.s.SetPreferences(w.ctx, w.people[who].ID, p))
}

// parsed is a mail as its reader's program sees it.
type parsed struct {
	to           string
	header       netmail.Header
	text, html   string
	raw, subject string
}

func (w *world) mails() []parsed {
	w.t.Helper()
	var all []parsed
	for _, m := range w.smtp.Mails() {
		msg, err := netmail.ReadMessage(strings.NewReader(m.Text))
		w.must(err)
		p := parsed{to: m.To, header: msg.Header, raw: m.Text}
		p.subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		w.must(err)
		kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		w.must(err)
		if kind != "multipart/alternative" {
			text, err := io.ReadAll(msg.Body)
			w.must(err)
			p.text = string(text)
			all = append(all, p)
			continue
		}
		parts := multipart.NewReader(msg.Body, params["boundary"])
		for {
			part, err := parts.NextPart() // decodes quoted-printable
			if err == io.EOF {
				break
			}
			w.must(err)
			text, err := io.ReadAll(part)
			w.must(err)
			if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
				p.html = string(text)
			} else {
				p.text = strings.ReplaceAll(string(text), "\r\n", "\n")
			}
		}
		all = append(all, p)
	}
	return all
}

// mailed lists who got mails, in order.
func (w *world) mailed() string {
	w.t.Helper()
	var all []string
	for _, m := range w.mails() {
		name, _, _ := strings.Cut(m.to, "@")
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// told lists what an account was told, oldest first: who, what and why.
func (w *world) told(who string) string {
	w.t.Helper()
	all, _, err := w.s.List(w.ctx, w.people[who].ID, false)
	w.must(err)
	var lines []string
	for i := len(all) - 1; i >= 0; i-- {
		lines = append(lines, strings.TrimSpace(all[i].Who+" "+all[i].Text)+" ("+all[i].Reason+")")
	}
	return strings.Join(lines, "\n")
}

func loopbackNetworks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

func (w *world) transactRevoke(repo int64, who string) {
	w.t.Helper()
	w.rooms.Revoke(w.t, repo, w.people[who])
}

func eventLanded(w *world, change int64) event.Event {
	return event.Event{Kind: "landed", Repo: w.repo.ID, Change: change, Account: w.people["alice"].ID, Data: map[string]string{"commit": "0123456789abcdef"}}
}
