package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Tell handles every event that has not been, oldest first.
func (s *Service) Tell(ctx context.Context) error {
	for {
		all, err := s.untold(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		told, err := s.tellAll(ctx, all)
		if err != nil {
			// One of them cannot be told: one at a time, so that it stops only itself.
			if told, err = s.tellEach(ctx, all); err != nil {
				return err
			}
		}
		s.wake(told)
		if len(all) < batch {
			return nil
		}
	}
}

// wake renews the bells of accounts.
func (s *Service) wake(accounts []int64) {
	if len(accounts) == 0 {
		return
	}
	bells := make([]event.Topic, 0, len(accounts))
	for _, id := range accounts {
		bells = append(bells, event.AccountTopic(id))
	}
	s.Bus.Wake(bells...)
}

// untold lists the oldest events that have not been handled.
func (s *Service) untold(ctx context.Context) ([]event.Event, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT e.id, e.at, e.kind, e.repo_id, e.change_id, e.account_id, e.data FROM events e
		WHERE e.id > (SELECT floor FROM notify_cursor WHERE id = 1) AND NOT EXISTS (SELECT 1 FROM notify_told t WHERE t.event_id = e.id)
		ORDER BY e.id LIMIT $1`, batch)
	if err != nil {
		return nil, fmt.Errorf("notify: read the story: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []event.Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

func scanEvent(row interface{ Scan(...any) error }) (event.Event, error) {
	var e event.Event
	var at int64
	var data string
	if err := row.Scan(&e.ID, &at, &e.Kind, &e.Repo, &e.Change, &e.Account, &data); err != nil {
		return e, fmt.Errorf("notify: event: %w", err)
	}
	e.At = db.Time(at)
	if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
		return e, fmt.Errorf("notify: event %d: %w", e.ID, err)
	}
	return e, nil
}

// tellAll handles events in one transaction and says who was told.
func (s *Service) tellAll(ctx context.Context, all []event.Event) ([]int64, error) {
	var told []int64
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		told = nil
		for _, e := range all {
			if err := markTold(ctx, tx, e.ID); err != nil {
				return err
			}
			accounts, err := s.tell(ctx, tx, e)
			if err != nil {
				return fmt.Errorf("notify: event %d (%s): %w", e.ID, e.Kind, err)
			}
			told = append(told, accounts...)
		}
		return nil
	})
	return told, err
}

func markTold(ctx context.Context, tx *db.Tx, id int64) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO notify_told (event_id) VALUES ($1)`, id); err != nil {
		return fmt.Errorf("notify: event %d: %w", id, err)
	}
	return nil
}

// tellEach handles events one by one. One that fails is tried again with the next look, and
// left out when it has failed too often.
func (s *Service) tellEach(ctx context.Context, all []event.Event) ([]int64, error) {
	var told []int64
	var failure error
	for _, e := range all {
		accounts, err := s.tellAll(ctx, []event.Event{e})
		if err == nil {
			delete(s.stumble, e.ID)
			told = append(told, accounts...)
			continue
		}
		if ctx.Err() != nil {
			return told, err
		}
		if s.stumble == nil {
			s.stumble = map[int64]int{}
		}
		if s.stumble[e.ID]++; s.stumble[e.ID] < tellTries {
			failure = err
			continue
		}
		delete(s.stumble, e.ID)
		s.Log.Error("notify: an event cannot be told, and nobody hears of it", "event", e.ID, "kind", e.Kind, "err", err)
		if err := s.DB.Transact(ctx, func(tx *db.Tx) error { return markTold(ctx, tx, e.ID) }); err != nil {
			return told, err
		}
	}
	return told, failure
}

// advance moves the cursor over what is old enough that nothing can appear before it.
func (s *Service) advance(ctx context.Context, tx *db.Tx) error {
	var floor, open, next int64
	if err := tx.QueryRowContext(ctx, `SELECT floor FROM notify_cursor WHERE id = 1`).Scan(&floor); err != nil {
		return fmt.Errorf("notify: read the cursor: %w", err)
	}
	// The oldest event that has not been handled or is young holds the cursor back.
	err := tx.QueryRowContext(ctx, `SELECT COALESCE(MIN(e.id), 0) FROM events e WHERE e.id > $1
		AND (e.at >= $2 OR NOT EXISTS (SELECT 1 FROM notify_told t WHERE t.event_id = e.id))`, floor, db.Micros(s.Now().Add(-settled))).Scan(&open)
	if err != nil {
		return fmt.Errorf("notify: move the cursor: %w", err)
	}
	query, args := `SELECT COALESCE(MAX(id), 0) FROM events WHERE id > $1`, []any{floor}
	if open != 0 {
		query, args = query+` AND id < $2`, append(args, open)
	}
	if err := tx.QueryRowContext(ctx, query, args...).Scan(&next); err != nil {
		return fmt.Errorf("notify: move the cursor: %w", err)
	}
	if next <= floor {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE notify_cursor SET floor = $1 WHERE id = 1`, next); err != nil {
		return fmt.Errorf("notify: move the cursor: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM notify_told WHERE event_id <= $1`, next); err != nil {
		return fmt.Errorf("notify: move the cursor: %w", err)
	}
	return nil
}

// subject is what an event is about, as its transaction sees it.
type subject struct {
	event    event.Event
	repo     repo.Repository
	change   review.Change // ID 0: the event is about the repository
	reviewed []review.Reviewer
}

// about reads what e is about; ok is false when it does not exist any more.
func (s *Service) about(ctx context.Context, q db.Querier, e event.Event) (sub subject, ok bool, err error) {
	sub.event = e
	if e.Repo == 0 {
		return sub, false, nil
	}
	sub.repo, err = s.Repos.ByID(ctx, q, e.Repo)
	if err == nil && e.Change != 0 {
		sub.change, err = s.Review.Load(ctx, q, e.Change)
	}
	if err == nil && e.Change != 0 {
		sub.reviewed, err = s.Review.Reviewers(ctx, q, e.Change)
	}
	if fault.Is(err, fault.NotFound) {
		return sub, false, nil
	}
	return sub, err == nil, err
}

// tell writes who is told of e, and asks for the mails and deliveries.
func (s *Service) tell(ctx context.Context, tx *db.Tx, e event.Event) ([]int64, error) {
	t, known := newsOf[e.Kind]
	if !known {
		return nil, nil // most events are of the machinery; one that nobody wrote words for is silent
	}
	sub, ok, err := s.about(ctx, tx, e)
	if err != nil || !ok || t.silent != nil && t.silent(sub) {
		return nil, err
	}
	if err := s.queueDeliveries(ctx, tx, sub); err != nil {
		return nil, err
	}
	people, err := s.audience(ctx, tx, sub, t)
	if err != nil {
		return nil, err
	}
	var told []int64
	for _, p := range people {
		if err := s.notify(ctx, tx, sub, t, p); err != nil {
			return nil, err
		}
		told = append(told, p.account)
	}
	return told, nil
}

// deedTime is how far apart the events of one push are at most.
const deedTime = 2 * time.Second

// sameDeed reports whether somebody was told of the same act by another event: a push that
// brings a patch set and asks them to review it is one.
func sameDeed(ctx context.Context, q db.Querier, sub subject, account int64) (bool, error) {
	switch sub.event.Kind {
	case "patchset.created", "reviewer.added", "cc.added":
	default:
		return false, nil
	}
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM notifications WHERE account_id = $1 AND change_id = $2 AND actor_id = $3 AND kind <> $4
		AND kind IN ('patchset.created', 'reviewer.added', 'cc.added') AND at BETWEEN $5 AND $6`, account, sub.change.ID, sub.event.Account, sub.event.Kind,
		db.Micros(sub.event.At.Add(-deedTime)), db.Micros(sub.event.At.Add(deedTime))).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("notify: what was told: %w", err)
	}
	return n > 0, nil
}

// notify writes one account's notification, and has it mailed as the account wants.
func (s *Service) notify(ctx context.Context, tx *db.Tx, sub subject, t news, p person) error {
	if twice, err := sameDeed(ctx, tx, sub, p.account); err != nil || twice {
		return err
	}
	prefs, err := s.preferences(ctx, tx, p.account)
	if err != nil {
		return err
	}
	n := Notification{
		Account: p.account, Event: sub.event.ID, Repo: sub.repo.ID, Change: sub.change.ID, Actor: t.actor(sub.event), Kind: sub.event.Kind,
		Reason: p.reason, Turn: p.turn, Text: t.words(sub), At: sub.event.At, mail: mailNone,
	}
	muted, err := muted(ctx, tx, p.account, sub.change.ID)
	if err != nil {
		return err
	}
	if s.Mail != nil && !muted && prefs.wants(t, p) && sub.mails(p) {
		n.mail, n.due = mailSoon, s.Now().Add(s.Quiet)
		if t.talk && prefs.Comments != CommentsSoon && p.reason != reasonMentioned {
			n.mail = mailSummary
			if n.due, err = s.summaryDue(ctx, tx, p.account, prefs.Comments.every()); err != nil {
				return err
			}
		}
	}
	if n.ID, err = insertNotification(ctx, tx, n); err != nil {
		return err
	}
	switch n.mail {
	case mailSoon:
		return tx.Enqueue(ctx, db.Job{Kind: JobFold, Key: foldKey(n.Account, n.Change), At: n.due})
	case mailSummary:
		return tx.Enqueue(ctx, db.Job{Kind: JobSummary, Key: strconv.FormatInt(n.Account, 10), At: n.due})
	}
	return nil
}

// mails reports whether whoever did it lets somebody have mail of it. Only mail can be held
// back so: the notification itself is written all the same.
func (sub subject) mails(p person) bool {
	owner := p.account == sub.change.Owner
	switch sub.event.Data["notify"] {
	case review.NotifyNone:
		return false
	case review.NotifyOwner:
		return owner
	case review.NotifyReviewers:
		return owner || slices.ContainsFunc(sub.reviewed, func(r review.Reviewer) bool { return !r.CC && r.Account == p.account })
	}
	return true
}

// summaryDue is when the next summary of an account goes out: the one that waits already, or
// one after the given time.
func (s *Service) summaryDue(ctx context.Context, q db.Querier, id int64, after time.Duration) (time.Time, error) {
	due := db.Micros(s.Now().Add(after))
	var waiting int64
	err := q.QueryRowContext(ctx, `SELECT COALESCE(MIN(due_at), $1) FROM notifications WHERE account_id = $2 AND mail = $3`,
		due, id, mailSummary).Scan(&waiting)
	if err != nil {
		return time.Time{}, fmt.Errorf("notify: summary of %d: %w", id, err)
	}
	return db.Time(min(due, waiting)), nil
}
