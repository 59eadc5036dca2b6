package review

import (
	"context"
	"fmt"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Draft is a comment that its writer has not published: it is kept on the server, and nobody
// else sees it. Its PS is set, also of an answer.
type Draft struct {
	ID, Change int64
	Account    int64
	NewComment
	CreatedAt, UpdatedAt time.Time
}

const draftColumns = `id, change_id, account_id, ps, path, side, line, start_line, start_char, end_char, reply_to, body, unresolved, created_at, updated_at`

// Drafts lists what an account has written about a change and not published, oldest first.
func (s *Service) Drafts(ctx context.Context, q db.Querier, change, account int64) ([]Draft, error) {
	return drafts(ctx, q, `account_id = $1 AND change_id = $2`, account, change)
}

func drafts(ctx context.Context, q db.Querier, where string, args ...any) ([]Draft, error) {
	var all []Draft
	err := each(ctx, q, "list drafts", `SELECT `+draftColumns+` FROM drafts WHERE `+where+` ORDER BY id`, args, func(row scanner) error {
		var d Draft
		var unresolved, created, updated int64
		err := row.Scan(&d.ID, &d.Change, &d.Account, &d.PS, &d.Path, &d.Side, &d.Line, &d.StartLine, &d.StartChar, &d.EndChar, &d.ReplyTo,
			&d.Body, &unresolved, &created, &updated)
		d.Unresolved, d.CreatedAt, d.UpdatedAt = unresolved != 0, db.Time(created), db.Time(updated)
		all = append(all, d)
		return err
	})
	return all, err
}

// SaveDraft keeps a comment until its writer publishes it.
func (s *Service) SaveDraft(ctx context.Context, actor account.Actor, change int64, n NewComment) (Draft, error) {
	const op = "review.SaveDraft"
	if err := n.check(op); err != nil {
		return Draft{}, err
	}
	c, r, err := s.actOn(ctx, op, actor, change)
	if err != nil {
		return Draft{}, err
	}
	d := Draft{Change: c.ID, Account: actor.ID, NewComment: n}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		d.NewComment = n
		if err := s.May(ctx, tx, actor, account.Comment, c, r); err != nil {
			return err
		}
		var there int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM drafts WHERE account_id = $1 AND change_id = $2`, actor.ID, c.ID).Scan(&there); err != nil {
			return fmt.Errorf("review: count drafts on change %d: %w", c.ID, err)
		}
		if there >= maxComments {
			return fault.New(fault.TooLarge, op, fmt.Sprintf("you have %d drafts on change %d, and that is the most", there, c.ID), "publish them first")
		}
		if err := s.settle(ctx, tx, c, &d.NewComment); err != nil {
			return err
		}
		d.CreatedAt = s.Now().UTC()
		d.UpdatedAt = d.CreatedAt
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		d.ID = id
		_, err = tx.ExecContext(ctx, `INSERT INTO drafts (`+draftColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
			d.ID, d.Change, d.Account, d.PS, d.Path, d.Side, d.Line, d.StartLine, d.StartChar, d.EndChar, d.ReplyTo, d.Body, db.Bool(d.Unresolved),
			db.Micros(d.CreatedAt), db.Micros(d.UpdatedAt))
		if err != nil {
			return fmt.Errorf("review: draft on change %d: %w", c.ID, err)
		}
		return nil
	})
	return d, err
}

// settle finds the patch set of a comment: its thread's, the one it names, or the current one.
func (s *Service) settle(ctx context.Context, q db.Querier, c Change, n *NewComment) error {
	if n.ReplyTo != 0 {
		return threadOf(ctx, q, c.ID, n)
	}
	if n.PS == 0 {
		n.PS = c.Current
	}
	_, err := s.PatchSet(ctx, q, c.ID, n.PS)
	return err
}

// EditDraft writes another text over a draft of the actor's.
func (s *Service) EditDraft(ctx context.Context, actor account.Actor, change, id int64, body string, unresolved bool) (Draft, error) {
	const op = "review.EditDraft"
	d, err := s.ownDraft(ctx, op, actor, change, id)
	if err != nil {
		return Draft{}, err
	}
	d.Body, d.Unresolved, d.UpdatedAt = body, unresolved, s.Now().UTC()
	if err := d.check(op); err != nil {
		return Draft{}, err
	}
	return d, s.changeDraft(ctx, op, d, `UPDATE drafts SET body = $2, unresolved = $3, updated_at = $4 WHERE id = $1`, d.ID, d.Body, db.Bool(d.Unresolved), db.Micros(d.UpdatedAt))
}

// DropDraft throws a draft of the actor's away.
func (s *Service) DropDraft(ctx context.Context, actor account.Actor, change, id int64) error {
	const op = "review.DropDraft"
	d, err := s.ownDraft(ctx, op, actor, change, id)
	if err != nil {
		return err
	}
	return s.changeDraft(ctx, op, d, `DELETE FROM drafts WHERE id = $1`, d.ID)
}

// ownDraft finds a draft of the actor's; those of others do not exist for them.
func (s *Service) ownDraft(ctx context.Context, op string, actor account.Actor, change, id int64) (Draft, error) {
	c, _, err := s.actOn(ctx, op, actor, change)
	if err != nil {
		return Draft{}, err
	}
	found, err := drafts(ctx, s.DB.Read(), `id = $1 AND change_id = $2 AND account_id = $3`, id, c.ID, actor.ID)
	if err == nil && len(found) == 0 {
		err = noDraft(op, change, id)
	}
	if err != nil {
		return Draft{}, err
	}
	return found[0], nil
}

func (s *Service) changeDraft(ctx context.Context, op string, d Draft, statement string, args ...any) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		done, err := db.Touched(tx.ExecContext(ctx, statement, args...))
		if err != nil {
			return fmt.Errorf("review: draft %d: %w", d.ID, err)
		}
		if !done {
			return noDraft(op, d.Change, d.ID)
		}
		return nil
	})
}

func noDraft(op string, change, id int64) error {
	return fault.New(fault.NotFound, op, fmt.Sprintf("you have no draft %d on change %d", id, change), "reload the page: it may be published already")
}
