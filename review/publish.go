package review

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

func (rv *Review) check(op string) error {
	if err := checkText(op, "message", rv.Message); err != nil {
		return err
	}
	if len(rv.Comments) > maxComments {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("%d comments are more than %d", len(rv.Comments), maxComments), "publish them in parts")
	}
	for i := range rv.Comments {
		if err := rv.Comments[i].check(op); err != nil {
			return err
		}
	}
	return nil
}

func checkText(op, what, text string) error {
	if len(text) > maxText {
		return fault.Newf(fault.TooLarge, op, "a %s has at most %d bytes", what, maxText)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fault.Newf(fault.Invalid, op, "a %s must be UTF-8 text", what)
	}
	return nil
}

// takeDrafts puts the voter's drafts before the comments of a review: they were written first.
func (s *Service) takeDrafts(ctx context.Context, tx *db.Tx, b *ballot) error {
	mine, err := s.Drafts(ctx, tx, b.change.ID, b.voter)
	if err != nil {
		return err
	}
	all := make([]NewComment, 0, len(mine)+len(b.comments))
	for _, d := range mine {
		all = append(all, d.NewComment)
	}
	b.comments = append(all, b.comments...)
	if _, err := tx.ExecContext(ctx, `DELETE FROM drafts WHERE account_id = $1 AND change_id = $2`, b.voter, b.change.ID); err != nil {
		return fmt.Errorf("review: take drafts of change %d: %w", b.change.ID, err)
	}
	return nil
}

// publish writes the comments of a review and lets those know who are mentioned.
func (s *Service) publish(ctx context.Context, tx *db.Tx, b *ballot, r repo.Repository) error {
	texts := []string{b.message}
	if len(b.comments) > 0 {
		var there int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM comments WHERE change_id = $1`, b.change.ID).Scan(&there); err != nil {
			return fmt.Errorf("review: count comments of change %d: %w", b.change.ID, err)
		}
		if there+len(b.comments) > maxThreads {
			return fault.Newf(fault.TooLarge, "review.Vote", "change %d has %d comments, and %d is the most", b.change.ID, there, maxThreads)
		}
	}
	for _, n := range b.comments {
		if n.PS == 0 {
			n.PS = b.ps.Number
		}
		if err := s.settle(ctx, tx, b.change, &n); err != nil {
			return err
		}
		err := insertComment(ctx, tx, Comment{Change: b.change.ID, PS: n.PS, Path: n.Path, Side: n.Side, Line: n.Line, StartLine: n.StartLine,
			StartChar: n.StartChar, EndChar: n.EndChar, ReplyTo: n.ReplyTo, Author: b.voter, Body: n.Body, Unresolved: n.Unresolved, CreatedAt: b.now})
		if err != nil {
			return err
		}
		texts = append(texts, n.Body)
	}
	var err error
	if b.mentioned, err = s.mentioned(ctx, tx, b, r, texts); err != nil {
		return err
	}
	for _, a := range b.mentioned {
		if err := addReviewer(ctx, tx, b.change.ID, a.ID, stateCC, db.Micros(b.now)); err != nil {
			return err
		}
	}
	return nil
}

// mentioned finds whom texts name with @: those who may see the change, the writer aside. The
// owner is told of everything anyway, and is no reviewer.
func (s *Service) mentioned(ctx context.Context, q db.Querier, b *ballot, r repo.Repository, texts []string) ([]account.Account, error) {
	var found []account.Account
	for _, name := range Mentions(strings.Join(texts, "\n\n")) {
		a, err := s.Accounts.ByName(ctx, q, name)
		if fault.Is(err, fault.NotFound) || (err == nil && (a.Disabled || a.ID == b.voter || a.ID == b.change.Owner)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		actor := account.Actor{ID: a.ID, Name: a.Name, Email: a.Email, Admin: a.Admin}
		switch err := s.May(ctx, q, actor, account.Read, b.change, r); fault.KindOf(err) {
		case fault.Denied, fault.NotFound, fault.Unauthenticated:
			continue
		default:
			if err != nil {
				return nil, err
			}
		}
		found = append(found, a)
	}
	return found, nil
}

func namesOf(people []account.Account) string {
	var names []string
	for _, a := range people {
		names = append(names, a.Name)
	}
	return strings.Join(names, " ")
}
