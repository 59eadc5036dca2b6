package notify

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// How a notification is mailed.
const (
	mailNone    = "none"
	mailSoon    = "soon"
	mailSummary = "summary"
	mailDone    = "done"
)

const (
	// maxListed is how many notifications a page or an answer lists.
	maxListed = 200
	// maxText bounds the words of a notification: a line or two.
	maxText = 300
)

// Notification is one thing that one account is told.
type Notification struct {
	ID      int64
	Account int64
	Event   int64
	Repo    int64
	Change  int64 // 0: about the repository or the server
	Actor   int64 // 0: the server
	Kind    string
	Reason  string
	Turn    bool // it is the account's turn
	Text    string
	At      time.Time
	Read    bool

	mail string
	due  time.Time
}

func insertNotification(ctx context.Context, tx *db.Tx, n Notification) (int64, error) {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO notifications (id, account_id, event_id, repo_id, change_id, actor_id, kind, reason, turn, text, at, mail, due_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, id, n.Account, n.Event, n.Repo, n.Change, n.Actor, n.Kind, n.Reason,
		db.Bool(n.Turn), oneLine(n.Text, maxText), db.Micros(n.At), n.mail, db.Micros(n.due))
	if err != nil {
		return 0, fmt.Errorf("notify: tell %d of event %d: %w", n.Account, n.Event, err)
	}
	return id, nil
}

const notificationColumns = `id, account_id, event_id, repo_id, change_id, actor_id, kind, reason, turn, text, at, read_at, mail, due_at`

// notifications lists what the rest of the query (WHERE, ORDER BY, LIMIT) selects.
func notifications(ctx context.Context, q db.Querier, rest string, args ...any) ([]Notification, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+notificationColumns+` FROM notifications `+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("notify: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Notification
	for rows.Next() {
		var n Notification
		var turn, at, read, due int64
		if err := rows.Scan(&n.ID, &n.Account, &n.Event, &n.Repo, &n.Change, &n.Actor, &n.Kind, &n.Reason, &turn, &n.Text, &at, &read, &n.mail, &due); err != nil {
			return nil, fmt.Errorf("notify: list: %w", err)
		}
		n.Turn, n.At, n.Read, n.due = turn != 0, db.Time(at), read != 0, db.Time(due)
		all = append(all, n)
	}
	return all, rows.Err()
}

// Listed is a notification with what it is about, for who may read that now.
type Listed struct {
	Notification
	Who      string // who did it; "" is the server
	RepoName string
	Branch   string
	Subject  string // of the change
	URL      string // a path on this server
}

// Line is the notification in one sentence, after the name of who did it.
func (l Listed) Line() string {
	if l.Who != "" {
		return l.Text
	}
	return entry{Did: l.Text}.line()
}

// List gives the newest notifications of an account, newest first: those that it may still
// read. more says that there are older ones.
func (s *Service) List(ctx context.Context, account int64, unread bool) (all []Listed, more bool, err error) {
	q := s.DB.Read()
	where := `WHERE account_id = $1`
	if unread {
		where += ` AND read_at = 0`
	}
	found, err := notifications(ctx, q, where+` ORDER BY id DESC LIMIT $2`, account, maxListed+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(found) > maxListed; more {
		found = found[:maxListed]
	}
	var actors []int64
	for _, n := range found {
		actors = append(actors, n.Actor)
	}
	names, err := s.Accounts.Names(ctx, q, actors)
	if err != nil {
		return nil, false, err
	}
	sights := s.sights(q, account)
	for _, n := range found {
		sub, ok, err := sights.of(ctx, n)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			continue
		}
		l := Listed{Notification: n, Who: names[n.Actor].Name, RepoName: sub.repo.Name, Branch: sub.change.Branch, Subject: sub.change.Subject, URL: "/settings/notifications"}
		switch {
		case n.Change != 0:
			l.URL = "/c/" + strconv.FormatInt(n.Change, 10)
		case n.Repo != 0:
			l.URL = "/" + sub.repo.Name
		}
		all = append(all, l)
	}
	return all, more, nil
}

// Unread counts the unread notifications of an account: what the bell shows. It counts up to
// the most that a page lists.
func (s *Service) Unread(ctx context.Context, account int64) (int, error) {
	var n int
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT id FROM notifications WHERE account_id = $1 AND read_at = 0 LIMIT $2) AS unread`,
		account, maxListed).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("notify: count: %w", err)
	}
	return n, nil
}

// UnreadOf counts those that are about one change.
func (s *Service) UnreadOf(ctx context.Context, account, change int64) (int, error) {
	var n int
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM notifications WHERE account_id = $1 AND read_at = 0 AND change_id = $2`, account, change).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("notify: count: %w", err)
	}
	return n, nil
}

// Reading says which notifications are read: some by id, those about a change, or all up to one.
type Reading struct {
	IDs    []int64
	Change int64
	UpTo   int64 // everything that is not newer
}

// maxReading is how many ids one request marks.
const maxReading = 500

// MarkRead marks notifications of an account as read. Ids of others are left alone.
func (s *Service) MarkRead(ctx context.Context, account int64, r Reading) error {
	const op = "notify.MarkRead"
	now := db.Micros(s.Now())
	query, args := `UPDATE notifications SET read_at = $1 WHERE account_id = $2 AND read_at = 0 AND `, []any{now, account}
	switch {
	case len(r.IDs) > maxReading:
		return fault.Newf(fault.TooLarge, op, "at most %d notifications at a time", maxReading)
	case len(r.IDs) > 0:
		marks := make([]string, 0, len(r.IDs))
		for _, id := range r.IDs {
			args = append(args, id)
			marks = append(marks, "$"+strconv.Itoa(len(args)))
		}
		query += `id IN (` + strings.Join(marks, ", ") + `)`
	case r.Change > 0:
		query, args = query+`change_id = $3`, append(args, r.Change)
	case r.UpTo > 0:
		query, args = query+`id <= $3`, append(args, r.UpTo)
	default:
		return fault.New(fault.Invalid, op, "this does not say which notifications", "name some, a change, or the newest that you have seen")
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("notify: mark read: %w", err)
	}
	s.wake([]int64{account})
	return nil
}

// sights remembers what an account may read while one list is made.
type sights struct {
	*Service
	q       db.Querier
	account int64
	seen    map[[2]int64]sight
}

type sight struct {
	sub subject
	ok  bool
}

func (s *Service) sights(q db.Querier, account int64) *sights {
	return &sights{s, q, account, map[[2]int64]sight{}}
}

// of is what a notification is about, if its account may read that now.
func (v *sights) of(ctx context.Context, n Notification) (subject, bool, error) {
	if n.Repo == 0 {
		return subject{}, true, nil
	}
	key := [2]int64{n.Repo, n.Change}
	if known, ok := v.seen[key]; ok {
		return known.sub, known.ok, nil
	}
	var got sight
	var err error
	got.sub.repo, err = v.Repos.ByID(ctx, v.q, n.Repo)
	if err == nil && n.Change != 0 {
		got.sub.change, err = v.Review.Load(ctx, v.q, n.Change)
	}
	switch {
	case fault.Is(err, fault.NotFound):
		err = nil
	case err == nil:
		got.ok, err = v.mayRead(ctx, v.q, v.account, got.sub)
	}
	if err == nil {
		v.seen[key] = got
	}
	return got.sub, got.ok, err
}

// Clean moves the cursor on and takes old rows away.
func (s *Service) Clean(ctx context.Context) error {
	now := s.Now()
	before := func(d time.Duration) int64 { return db.Micros(now.Add(-d)) }
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.advance(ctx, tx); err != nil {
			return err
		}
		for _, old := range []struct {
			query string
			args  []any
		}{
			{`DELETE FROM notifications WHERE (at < $1 AND read_at <> 0 OR at < $2) AND mail IN ('none', 'done')`, []any{before(keepRead), before(keepUnread)}},
			{`DELETE FROM mails WHERE created_at < $1 AND state <> $2`, []any{before(keepMails), stateWaiting}},
			{`DELETE FROM mail_answers WHERE at < $1`, []any{before(keepAnswers)}},
			{`DELETE FROM webhook_deliveries WHERE created_at < $1 AND state <> $2`, []any{before(keepDeliveries), stateWaiting}},
		} {
			if _, err := tx.ExecContext(ctx, old.query, old.args...); err != nil {
				return fmt.Errorf("notify: clean: %w", err)
			}
		}
		return nil
	})
}
