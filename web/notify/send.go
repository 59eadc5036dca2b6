package notify

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// mailTries is how often a mail is tried: with the pauses below for about eighteen hours, so
	// that a mail server may be down for a night.
	mailTries = 24
	// firstMailPause and longestMailPause bound the wait between two attempts.
	firstMailPause   = 30 * time.Second
	longestMailPause = time.Hour
)

// told is a notification with what it is about.
type told struct {
	Notification
	sub subject
}

// mailRow is a mail that waits.
type mailRow struct {
	id, account, change int64
	messageID           string
	attempts            int
	createdAt           time.Time
}

// send is the job of one mail: it is made from the rows of now, so that it says nothing that
// its reader may not read any more, and sent.
func (s *Service) send(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("notify: job %q: %w", key, err)
	}
	m, ok, err := s.waitingMail(ctx, id)
	if err != nil || !ok {
		return 0, err
	}
	msg, dropped, err := s.message(ctx, m)
	if err != nil {
		return 0, err // the engine tries again: nothing was sent
	}
	if dropped != "" {
		return 0, s.endMail(ctx, m, stateDropped, dropped)
	}
	err = s.Mail.Send(ctx, msg)
	if err != nil && ctx.Err() != nil {
		return 0, ctx.Err() // the server stops; the mail waits
	}
	if err == nil || msg.IsDelivered() { // a connection that ends badly after the mail was taken is no failure
		return 0, s.endMail(ctx, m, stateSent, "")
	}
	return s.mailFailed(ctx, m, err)
}

func (s *Service) waitingMail(ctx context.Context, id int64) (m mailRow, ok bool, err error) {
	var created int64
	err = s.DB.Read().QueryRowContext(ctx, `SELECT id, account_id, change_id, message_id, attempts, created_at FROM mails WHERE id = $1 AND state = $2`, id, stateWaiting).
		Scan(&m.id, &m.account, &m.change, &m.messageID, &m.attempts, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("notify: mail %d: %w", id, err)
	}
	m.createdAt = db.Time(created)
	return m, true, nil
}

// message makes a mail; dropped says why it is not sent at all.
func (s *Service) message(ctx context.Context, m mailRow) (msg *mail.Msg, dropped string, err error) {
	if s.Mail == nil {
		return nil, "this server sends no mail any more", nil
	}
	q := s.DB.Read()
	to, err := s.Accounts.ByID(ctx, q, m.account)
	if err != nil {
		return nil, "", err
	}
	actor, err := s.Accounts.Actor(ctx, q, m.account, account.MethodLocal)
	if fault.Is(err, fault.Unauthenticated) {
		return nil, "the account is disabled", nil
	}
	if err != nil {
		return nil, "", err
	}
	prefs, err := s.preferences(ctx, q, m.account)
	if err != nil {
		return nil, "", err
	}
	if prefs.Mail == MailNone || prefs.Stopped != "" {
		return nil, "the account wants no mail any more", nil
	}
	about, err := s.stillTold(ctx, q, m)
	if err != nil {
		return nil, "", err
	}
	if len(about) == 0 {
		return nil, "the account may not read it any more, or wants no mail about it", nil
	}
	l, err := s.letterOf(ctx, m, actor, about)
	if err != nil {
		return nil, "", err
	}
	msg, err = s.compose(m, to, l, sender(l, about))
	return msg, "", err
}

// stillTold lists what a mail speaks of, without what its reader may not read or does not want
// to hear of by now.
func (s *Service) stillTold(ctx context.Context, q db.Querier, m mailRow) ([]told, error) {
	all, err := notifications(ctx, q, `WHERE mail_id = $1 ORDER BY change_id, id`, m.id)
	if err != nil {
		return nil, err
	}
	sights := s.sights(q, m.account)
	var about []told
	for _, n := range all {
		sub, ok, err := sights.of(ctx, n)
		if err != nil {
			return nil, err
		}
		off, err := muted(ctx, q, m.account, n.Change)
		if err != nil {
			return nil, err
		}
		if ok && !off {
			about = append(about, told{n, sub})
		}
	}
	return about, nil
}

// sender is whose name a mail bears: the one person who did all that it tells, or nobody's.
func sender(l letter, about []told) string {
	for _, t := range about {
		if t.Actor != about[0].Actor || t.Actor == 0 {
			return ""
		}
	}
	return l.Entries[0].Who
}

// pauseAfter is how long to wait after so many failed attempts.
func pauseAfter(attempts int, first, longest time.Duration) time.Duration {
	pause := first
	for range attempts - 1 {
		if pause *= 2; pause >= longest {
			return longest
		}
	}
	return pause
}

// endMail records what became of a mail.
func (s *Service) endMail(ctx context.Context, m mailRow, state, reason string) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		ended, err := db.Touched(tx.ExecContext(ctx, `UPDATE mails SET state = $1, reason = $2, attempts = attempts + $3, next_try_at = 0, ended_at = $4
			WHERE id = $5 AND state = $6`, state, reason, db.Bool(state != stateDropped), db.Micros(s.Now()), m.id, stateWaiting))
		if err != nil {
			return fmt.Errorf("notify: mail %d: %w", m.id, err)
		}
		if ended && state == stateSent {
			return accepted(ctx, tx, m.account)
		}
		return nil
	})
}

// mailFailed notes a failed attempt: the mail is tried again, or given up loudly.
func (s *Service) mailFailed(ctx context.Context, m mailRow, failure error) (time.Duration, error) {
	why := oneLine(failure.Error(), maxText)
	attempts := m.attempts + 1
	final := forGood(failure)
	if !final && attempts < mailTries {
		again := pauseAfter(attempts, firstMailPause, longestMailPause)
		s.Log.Warn("notify: a mail could not be sent", "mail", m.id, "attempt", attempts, "again", again, "error", why)
		err := s.DB.Transact(ctx, func(tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE mails SET reason = $1, attempts = $2, next_try_at = $3 WHERE id = $4 AND state = $5`,
				why, attempts, db.Micros(s.Now().Add(again)), m.id, stateWaiting)
			return err
		})
		return again, err
	}
	s.Log.Error("notify: a mail is given up", "mail", m.id, "account", m.account, "change", m.change, "attempts", attempts, "error", why)
	if err := s.endMail(ctx, m, stateFailed, why); err != nil {
		return 0, err
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		text := "mail to you could not be sent: " + why
		if final {
			stopped, err := s.refused(ctx, tx, m.account, why)
			if err != nil {
				return err
			}
			if stopped {
				text = fmt.Sprintf("no more mail is sent to you, because your mail server refused %d in a row: %s", maxRefused, why)
			}
		}
		_, err := insertNotification(ctx, tx, Notification{Account: m.account, Kind: "mail.failed", Reason: reasonServer, Text: text, At: s.Now(), mail: mailNone})
		return err
	})
	if err == nil {
		s.wake([]int64{m.account})
	}
	return 0, err
}

// compose puts a letter into an envelope. Every header that has words of other people is
// one line of visible text before the library encodes it.
func (s *Service) compose(m mailRow, to account.Account, l letter, from string) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	name := "Gatehouse"
	if from != "" {
		name = from + " (Gatehouse)"
	}
	// The library's …Format functions glue a name into an address: names go in as values.
	msg.FromMailAddress(&netmail.Address{Name: name, Address: s.Mail.From})
	if err := msg.EnvelopeFrom(s.Mail.From); err != nil {
		return nil, fmt.Errorf("notify: mail from %s: %w", s.Mail.From, err)
	}
	msg.ToMailAddress(&netmail.Address{Name: displayName(to), Address: to.Email})
	if answer := cmp.Or(l.Answer, s.Mail.ReplyTo); answer != "" {
		if err := msg.ReplyTo(answer); err != nil {
			return nil, fmt.Errorf("notify: mail-reply-to: %w", err)
		}
	}
	msg.Subject(l.Subject)
	msg.SetDateWithValue(m.createdAt)
	msg.SetMessageIDWithValue(strings.Trim(m.messageID, "<>"))
	html, err := l.html()
	if err != nil {
		return nil, err
	}
	msg.SetBodyString(mail.TypeTextPlain, l.text())
	msg.AddAlternativeString(mail.TypeTextHTML, html)
	for _, h := range s.headers(m, l) {
		msg.SetGenHeader(mail.Header(h[0]), h[1])
	}
	return msg, nil
}

// headers are what programs go by: threads (RFC 5322, 3.6.4), that no program should answer
// (RFC 3834), how to stop (RFC 2369 and, over https, 8058), and what it is about, after
// Gerrit's X-Gerrit-… headers.
func (s *Service) headers(m mailRow, l letter) [][2]string {
	all := [][2]string{
		{"Auto-Submitted", "auto-generated"}, {"Precedence", "bulk"}, {"X-Auto-Response-Suppress", "All"},
		{"List-Unsubscribe", "<" + l.Stop + ">"}, {"X-Gatehouse-URL", l.URL},
	}
	if strings.HasPrefix(l.Stop, "https://") {
		all = append(all, [2]string{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"})
	}
	a := l.About
	if a == nil {
		return append(all, [2]string{"List-Id", "<notifications." + s.mailHost() + ">"}, [2]string{"X-Gatehouse-Kind", "summary"})
	}
	turn := "no"
	if a.turn {
		turn = "yes"
	}
	thread := s.threadID(a.Number)
	return append(all, [][2]string{
		{"In-Reply-To", thread}, {"References", thread},
		{"List-Id", "<" + strings.ReplaceAll(a.Repo, "/", ".") + "." + s.mailHost() + ">"},
		{"X-Gatehouse-Change", strconv.FormatInt(a.Number, 10)}, {"X-Gatehouse-Change-Key", a.Key}, {"X-Gatehouse-Patch-Set", strconv.Itoa(a.PatchSet)},
		{"X-Gatehouse-Repository", a.Repo}, {"X-Gatehouse-Branch", a.Branch}, {"X-Gatehouse-Owner", a.Owner}, {"X-Gatehouse-Commit", a.Commit},
		{"X-Gatehouse-State", a.State}, {"X-Gatehouse-Kind", kindsOf(a.kinds)}, {"X-Gatehouse-Reason", a.reason}, {"X-Gatehouse-Turn", turn},
	}...)
}

// kindsOf lists kinds of events, each once.
func kindsOf(kinds []string) string {
	seen := map[string]bool{}
	var all []string
	for _, k := range kinds {
		if !seen[k] {
			seen[k] = true
			all = append(all, k)
		}
	}
	return strings.Join(all, ", ")
}

// TestMail sends a mail that says nothing but that mail works.
func (m *Mailer) TestMail(ctx context.Context, to, url string, now time.Time) error {
	const op = "notify.TestMail"
	if err := m.Check(); err != nil {
		return err
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&netmail.Address{Name: "Gatehouse", Address: m.From})
	if err := msg.To(to); err != nil {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q is not an address", oneLine(to, maxWord)), "write it as name@example.org")
	}
	msg.Subject("Mail from Gatehouse works")
	msg.SetDateWithValue(now)
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, "This is the mail that `gate mail test` sends. "+url+" can send mail to this address.\n")
	if err := m.Send(ctx, msg); err != nil && !msg.IsDelivered() {
		return fault.New(fault.Unavailable, op, "the mail could not be sent: "+oneLine(err.Error(), maxText), "see the mail- settings: gate config show --origin")
	}
	return nil
}
