package notify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

const (
	// answerPrefix begins the local part of an address that takes answers.
	answerPrefix = "answer+"
	// answerMAC is how many bytes of the signature an address carries: a local part has 64
	// characters (RFC 5321, 4.5.3.1.1), and 80 bits are not guessed over SMTP.
	answerMAC = 10
	// answersPerHour is how many answers of one account are taken in an hour. Nobody writes
	// more; two programs that answer each other do.
	answersPerHour = 40
	// keepAnswers is how long an answer is remembered: mail servers give up after five days.
	keepAnswers = 10 * 24 * time.Hour
)

// methodMail is how somebody is known who answers a mail.
const methodMail = "mail"

// Answering is what an address that takes answers is about: whose answer it is, to which
// change, and to which thread of it; 0 is the change as a whole.
type Answering struct {
	Account, Change, Thread int64
}

// letters of an address: mail servers may change the case of a local part.
var addressLetters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// AnswerAddress is the address that takes an account's answers. Whoever knows it can comment as
// that account on that change, as with a link that was mailed: it is never shown on a page.
func (s *Service) AnswerAddress(a Answering) (string, error) {
	key, err := s.signingKey()
	if err != nil {
		return "", err
	}
	text := binary.AppendUvarint(nil, uint64(a.Account))
	text = binary.AppendUvarint(text, uint64(a.Change))
	text = binary.AppendUvarint(text, uint64(a.Thread))
	return answerPrefix + addressLetters.EncodeToString(append(text, answerSign(key, text)...)) + "@" + s.Mail.Answers, nil
}

func answerSign(key, text []byte) []byte { return sign(key, "answer "+string(text))[:answerMAC] }

// Answering reads an address that takes answers. That the sender is who the address was made
// for is not checked: the address is the proof.
func (s *Service) Answering(address string) (a Answering, err error) {
	bad := fault.New(fault.NotFound, "notify.Answering", "nobody is at this address", "answer a mail of the server, or comment on the page")
	local, domain, ok := strings.Cut(strings.ToLower(address), "@")
	token, prefixed := strings.CutPrefix(local, answerPrefix)
	if s.Mail == nil || s.Mail.Answers == "" || !ok || !prefixed || domain != strings.ToLower(s.Mail.Answers) {
		return a, bad
	}
	raw, err := addressLetters.DecodeString(token)
	if err != nil || len(raw) <= answerMAC {
		return a, bad
	}
	text, mac := raw[:len(raw)-answerMAC], raw[len(raw)-answerMAC:]
	key, err := s.signingKey()
	if err != nil {
		return a, err
	}
	if subtle.ConstantTimeCompare(mac, answerSign(key, text)) != 1 {
		return a, bad
	}
	r := bytes.NewReader(text)
	for _, to := range []*int64{&a.Account, &a.Change, &a.Thread} {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > 1<<62 {
			return Answering{}, bad
		}
		*to = int64(n)
	}
	return a, nil
}

// Answer publishes what somebody wrote in answer to a mail, with the rights that the account
// has now. An answer that was taken before is not taken twice: id is the mail's Message-ID.
func (s *Service) Answer(ctx context.Context, a Answering, id, text string) error {
	const op = "notify.Answer"
	actor, err := s.Accounts.Actor(ctx, s.DB.Read(), a.Account, methodMail)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(id + "\x00" + text))
	digest := hex.EncodeToString(sum[:16])
	var before, recent int
	err = s.DB.Read().QueryRowContext(ctx, `SELECT COALESCE(SUM(CASE WHEN change_id = $2 AND digest = $3 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN at > $4 THEN 1 ELSE 0 END), 0) FROM mail_answers WHERE account_id = $1`,
		a.Account, a.Change, digest, db.Micros(s.Now().Add(-time.Hour))).Scan(&before, &recent)
	switch {
	case err != nil:
		return fmt.Errorf("notify: answers: %w", err)
	case before > 0:
		return nil
	case recent >= answersPerHour:
		return fault.New(fault.Unavailable, op, fmt.Sprintf("%d answers of one hour are enough", answersPerHour), "comment on the page, or send it again later")
	}
	rv := review.Review{Message: text}
	if a.Thread != 0 {
		comment := review.NewComment{ReplyTo: a.Thread, Body: text}
		comments, err := s.Review.Comments(ctx, s.DB.Read(), a.Change)
		if err != nil {
			return err
		}
		for _, t := range review.Threads(comments) { // an answer does not resolve: a button does
			if t.Root().ID == a.Thread {
				comment.Unresolved = t.Unresolved()
			}
		}
		rv = review.Review{Comments: []review.NewComment{comment}}
	}
	if err := s.Review.Publish(ctx, actor, a.Change, rv); err != nil {
		return err
	}
	// A crash before this line makes a mail that comes again a second comment: better than none.
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO mail_answers (account_id, change_id, digest, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			a.Account, a.Change, digest, db.Micros(s.Now())); err != nil {
			return fmt.Errorf("notify: answers: %w", err)
		}
		return nil
	})
}

// answerTo is the address that takes answers to a letter: on the thread, when it tells of one
// comment and nothing else was said.
func (s *Service) answerTo(account, change int64, entries []entry) (string, error) {
	if s.Mail.Answers == "" {
		return "", nil
	}
	a, said := Answering{Account: account, Change: change}, 0
	for _, e := range entries {
		said += len(e.Remarks)
		if e.Message != "" {
			said++
		}
		for _, r := range e.Remarks {
			a.Thread = r.thread
		}
	}
	if said != 1 {
		a.Thread = 0
	}
	return s.AnswerAddress(a)
}
