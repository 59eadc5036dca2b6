package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// MailWish says of what an account wants mail.
type MailWish string

// The wishes.
const (
	MailAll  MailWish = "all"  // everything that it is told on the pages
	MailTurn MailWish = "turn" // only when it is its turn, or somebody calls it by name
	MailNone MailWish = "none"
)

// CommentsWish says when reviews and comments are mailed.
type CommentsWish string

// The wishes.
const (
	CommentsSoon   CommentsWish = "soon"   // with what else happens to the change
	CommentsHourly CommentsWish = "hourly" // in one mail an hour
	CommentsDaily  CommentsWish = "daily"  // in one mail a day
)

// every is how long comments are collected.
func (w CommentsWish) every() time.Duration {
	switch w {
	case CommentsSoon:
		return 0
	case CommentsHourly:
		return time.Hour
	case CommentsDaily:
		return 24 * time.Hour
	}
	panic("notify: unknown wish " + string(w))
}

// Preferences is what an account wants to hear of. On the pages it is told everything.
type Preferences struct {
	Mail     MailWish
	Comments CommentsWish
	Own      bool   // mail about what the server does with the account's own changes
	Stopped  string // why no mail is sent although it is wanted; saving the preferences begins anew
}

// usual is what an account that never said wants.
var usual = Preferences{Mail: MailAll, Comments: CommentsSoon, Own: true}

// wants reports whether a person's notification is mailed.
func (p Preferences) wants(n news, to person) bool {
	if p.Stopped != "" || n.server && to.reason == reasonOwner && !p.Own {
		return false
	}
	switch p.Mail {
	case MailAll:
		return true
	case MailTurn:
		return to.turn || to.reason == reasonMentioned
	case MailNone:
		return false
	}
	panic("notify: unknown wish " + string(p.Mail))
}

// Preferences reads what an account wants.
func (s *Service) Preferences(ctx context.Context, account int64) (Preferences, error) {
	return s.preferences(ctx, s.DB.Read(), account)
}

func (s *Service) preferences(ctx context.Context, q db.Querier, account int64) (Preferences, error) {
	p := usual
	var own int64
	err := q.QueryRowContext(ctx, `SELECT mail, comments, own, stopped_why FROM notify_preferences WHERE account_id = $1`, account).
		Scan(&p.Mail, &p.Comments, &own, &p.Stopped)
	if errors.Is(err, sql.ErrNoRows) {
		return usual, nil
	}
	if err != nil {
		return p, fmt.Errorf("notify: preferences of %d: %w", account, err)
	}
	p.Own = own != 0
	return p, nil
}

// SetPreferences writes what an account wants. Mail that was stopped begins anew.
func (s *Service) SetPreferences(ctx context.Context, account int64, p Preferences) error {
	const op = "notify.SetPreferences"
	switch p.Mail {
	case MailAll, MailTurn, MailNone:
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("mail cannot be %q", oneLine(string(p.Mail), maxWord)), "use all, turn or none")
	}
	switch p.Comments {
	case CommentsSoon, CommentsHourly, CommentsDaily:
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("comments cannot be %q", oneLine(string(p.Comments), maxWord)), "use soon, hourly or daily")
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return s.setPreferences(ctx, tx, account, p) })
}

func (s *Service) setPreferences(ctx context.Context, tx *db.Tx, account int64, p Preferences) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO notify_preferences (account_id, mail, comments, own, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id) DO UPDATE SET mail = excluded.mail, comments = excluded.comments, own = excluded.own,
		refused = 0, stopped_why = '', updated_at = excluded.updated_at`,
		account, string(p.Mail), string(p.Comments), db.Bool(p.Own), db.Micros(s.Now()))
	if err != nil {
		return fmt.Errorf("notify: preferences of %d: %w", account, err)
	}
	return nil
}

// maxRefused is after how many mails in a row that its server refused for good no more are
// sent to an account: the address is wrong, and going on would make us a nuisance.
const maxRefused = 3

// refused counts a mail that was refused for good, and stops the account's mail when it was
// one too many.
func (s *Service) refused(ctx context.Context, tx *db.Tx, account int64, why string) (stopped bool, err error) {
	now := db.Micros(s.Now())
	var count int
	err = tx.QueryRowContext(ctx, `INSERT INTO notify_preferences (account_id, mail, comments, own, refused, updated_at) VALUES ($1, $2, $3, $4, 1, $5)
		ON CONFLICT (account_id) DO UPDATE SET refused = notify_preferences.refused + 1 RETURNING refused`,
		account, string(usual.Mail), string(usual.Comments), db.Bool(usual.Own), now).Scan(&count)
	if err == nil && count == maxRefused {
		_, err = tx.ExecContext(ctx, `UPDATE notify_preferences SET stopped_why = $1 WHERE account_id = $2`, why, account)
	}
	if err != nil {
		return false, fmt.Errorf("notify: preferences of %d: %w", account, err)
	}
	return count == maxRefused, nil
}

// accepted forgets refusals: the account's server takes mail again.
func accepted(ctx context.Context, tx *db.Tx, account int64) error {
	if _, err := tx.ExecContext(ctx, `UPDATE notify_preferences SET refused = 0 WHERE account_id = $1 AND refused > 0`, account); err != nil {
		return fmt.Errorf("notify: preferences of %d: %w", account, err)
	}
	return nil
}

func muted(ctx context.Context, q db.Querier, account, change int64) (bool, error) {
	if change == 0 {
		return false, nil
	}
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM notify_mutes WHERE account_id = $1 AND change_id = $2`, account, change).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("notify: muted: %w", err)
	}
	return n > 0, nil
}

// Mutes are the changes of which an account wants no mail.
func (s *Service) Mutes(ctx context.Context, account int64) (map[int64]bool, error) {
	all, err := ids(ctx, s.DB.Read(), `SELECT change_id FROM notify_mutes WHERE account_id = $1`, account)
	if err != nil {
		return nil, err
	}
	muted := make(map[int64]bool, len(all))
	for _, id := range all {
		muted[id] = true
	}
	return muted, nil
}

// Muted reports whether an account wants no mail about a change.
func (s *Service) Muted(ctx context.Context, account, change int64) (bool, error) {
	return muted(ctx, s.DB.Read(), account, change)
}

// Mute stops, or starts, mail about one change. Who may not read the change cannot tell whether it exists.
func (s *Service) Mute(ctx context.Context, actor account.Actor, change int64, mute bool) error {
	if _, err := s.Review.Get(ctx, actor, change); err != nil {
		return err
	}
	return s.mute(ctx, actor.ID, change, mute)
}

func (s *Service) mute(ctx context.Context, account, change int64, mute bool) error {
	query, args := `DELETE FROM notify_mutes WHERE account_id = $1 AND change_id = $2`, []any{account, change}
	if mute {
		query = `INSERT INTO notify_mutes (account_id, change_id, at) SELECT $1, id, $3 FROM changes WHERE id = $2 ON CONFLICT DO NOTHING`
		args = append(args, db.Micros(s.Now()))
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("notify: mute change %d: %w", change, err)
		}
		return nil
	})
}
