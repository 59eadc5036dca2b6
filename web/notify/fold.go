package notify

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/migrations/db"
)

// The states of a mail and of a delivery.
const (
	stateWaiting   = "waiting"
	stateSent      = "sent"
	stateDelivered = "delivered"
	stateFailed    = "failed"
	stateDropped   = "dropped"
)

func foldKey(account, change int64) string { return fmt.Sprintf("%d/%d", account, change) }

// fold makes one mail of what waits for an account about a change, when the change has been
// quiet for long enough. Beyond the account's mails of an hour it puts it into the summary.
func (s *Service) fold(ctx context.Context, key string) (time.Duration, error) {
	first, second, _ := strings.Cut(key, "/")
	account, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("notify: job %q: %w", key, err)
	}
	change, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("notify: job %q: %w", key, err)
	}
	var again time.Duration
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		again = 0
		waiting, err := notifications(ctx, tx, `WHERE mail = $1 AND account_id = $2 AND change_id = $3 ORDER BY id LIMIT $4`, mailSoon, account, change, maxFolded)
		if err != nil || len(waiting) == 0 {
			return err
		}
		if again = s.quietIn(waiting); again > 0 {
			return nil
		}
		full, err := s.hourFull(ctx, tx, account)
		if err != nil {
			return err
		}
		if len(waiting) == maxFolded {
			again = time.Second // there may be more
		}
		if full {
			return s.postpone(ctx, tx, account, waiting)
		}
		last := waiting[len(waiting)-1]
		return s.newMail(ctx, tx, account, change, s.messageID(change, last.Event, last.ID, account), waiting)
	})
	return again, err
}

// quietIn is how long to wait until what waits may be mailed; 0 is now.
func (s *Service) quietIn(waiting []Notification) time.Duration {
	due := waiting[len(waiting)-1].due
	if latest := waiting[0].due.Add(longestWait); due.After(latest) {
		due = latest
	}
	return max(due.Sub(s.Now()), 0)
}

// hourFull reports whether an account has had its mails of this hour. Summaries do not count.
func (s *Service) hourFull(ctx context.Context, q db.Querier, account int64) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM mails WHERE account_id = $1 AND change_id <> 0 AND state <> $2 AND created_at > $3`,
		account, stateDropped, db.Micros(s.Now().Add(-time.Hour))).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("notify: count mails: %w", err)
	}
	return n >= MailsPerHour, nil
}

// postpone puts notifications into the account's next summary.
func (s *Service) postpone(ctx context.Context, tx *db.Tx, account int64, waiting []Notification) error {
	due, err := s.summaryDue(ctx, tx, account, time.Hour)
	if err != nil {
		return err
	}
	for _, n := range waiting {
		if _, err := tx.ExecContext(ctx, `UPDATE notifications SET mail = $1, due_at = $2 WHERE id = $3`, mailSummary, db.Micros(due), n.ID); err != nil {
			return fmt.Errorf("notify: postpone: %w", err)
		}
	}
	return tx.Enqueue(ctx, db.Job{Kind: JobSummary, Key: strconv.FormatInt(account, 10), At: due})
}

// summarise makes one mail of everything that waits for an account's summary.
func (s *Service) summarise(ctx context.Context, key string) (time.Duration, error) {
	account, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("notify: job %q: %w", key, err)
	}
	var again time.Duration
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		again = 0
		waiting, err := notifications(ctx, tx, `WHERE mail = $1 AND account_id = $2 ORDER BY id`, mailSummary, account)
		if err != nil || len(waiting) == 0 {
			return err
		}
		due := waiting[0].due
		for _, n := range waiting {
			if n.due.Before(due) {
				due = n.due
			}
		}
		if again = max(due.Sub(s.Now()), 0); again > 0 {
			return nil
		}
		last := waiting[len(waiting)-1]
		return s.newMail(ctx, tx, account, 0, s.messageID(0, last.Event, last.ID, account), waiting)
	})
	return again, err
}

// newMail writes a mail with what it speaks of, and asks that it be sent.
func (s *Service) newMail(ctx context.Context, tx *db.Tx, account, change int64, messageID string, about []Notification) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO mails (id, account_id, change_id, message_id, state, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, account, change, messageID, stateWaiting, db.Micros(s.Now()))
	if err != nil {
		return fmt.Errorf("notify: new mail: %w", err)
	}
	for _, n := range about {
		if _, err := tx.ExecContext(ctx, `UPDATE notifications SET mail = $1, mail_id = $2 WHERE id = $3`, mailDone, id, n.ID); err != nil {
			return fmt.Errorf("notify: new mail: %w", err)
		}
	}
	return tx.Enqueue(ctx, db.Job{Kind: JobSend, Key: strconv.FormatInt(id, 10)})
}

// messageID names a mail by what it is about and whom it is to: the same in each attempt.
func (s *Service) messageID(change, lastEvent, notification, account int64) string {
	if change == 0 {
		return fmt.Sprintf("<gatehouse.summary%d.a%d@%s>", notification, account, s.mailHost())
	}
	return fmt.Sprintf("<gatehouse.c%d.e%d.n%d.a%d@%s>", change, lastEvent, notification, account, s.mailHost())
}

// threadID is the mail that all mails about a change answer. Nobody ever gets it: like that,
// the thread is one whichever of them somebody got first.
func (s *Service) threadID(change int64) string {
	return fmt.Sprintf("<gatehouse.c%d@%s>", change, s.mailHost())
}

// mailHost is the domain of Message-IDs and List-Ids: that of the sender's address.
func (s *Service) mailHost() string {
	if s.Mail != nil {
		if _, host, ok := strings.Cut(s.Mail.From, "@"); ok && host != "" {
			return host
		}
	}
	return "gatehouse.invalid"
}
