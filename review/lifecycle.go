package review

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// Abandon gives an open change up. Its owner may, and whoever may edit others' changes.
func (s *Service) Abandon(ctx context.Context, actor account.Actor, id int64, message string) error {
	const op = "review.Abandon"
	if err := checkReason(op, message); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil {
			return err
		}
		now := db.Micros(s.Now())
		_, err := tx.ExecContext(ctx, `UPDATE changes SET status = $1, submit_by = 0, submit_at = 0, closed_at = $2 WHERE id = $3`, string(Abandoned), now, c.ID)
		if err != nil {
			return fmt.Errorf("review: abandon change %d: %w", c.ID, err)
		}
		if err := s.tell(ctx, tx, c, actor.ID, "change.abandoned", "Abandoned", message); err != nil {
			return err
		}
		return s.attend(ctx, tx, c.ID, deed{kind: deedClosed, by: actor.ID})
	})
}

// Restore takes an abandoned change up again. Votes given before count no more: what was
// given up is looked at anew.
func (s *Service) Restore(ctx context.Context, actor account.Actor, id int64, message string) error {
	const op = "review.Restore"
	if err := checkReason(op, message); err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if c.Status != Abandoned {
			return fault.Newf(fault.Conflict, op, "change %d is %s, not abandoned", c.ID, c.Status)
		}
		text := "Restored"
		gone, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM votes WHERE change_id = $1 AND ps = $2`, c.ID, c.Current))
		if err != nil {
			return fmt.Errorf("review: restore change %d: %w", c.ID, err)
		}
		if gone {
			text += "\n\nVotes given before no longer count"
		}
		if _, err := tx.ExecContext(ctx, `UPDATE changes SET status = $1, closed_at = 0 WHERE id = $2`, string(Open), c.ID); err != nil {
			return fmt.Errorf("review: restore change %d: %w", c.ID, err)
		}
		if err := s.tell(ctx, tx, c, actor.ID, "change.restored", text, message); err != nil || c.WIP {
			return err
		}
		return s.attend(ctx, tx, c.ID, deed{kind: deedStarted, by: actor.ID, reason: "restored it"})
	})
}

// SetWIP marks a change as work in progress, which takes back the wish to land it, or as ready.
func (s *Service) SetWIP(ctx context.Context, actor account.Actor, id int64, wip bool) error {
	const op = "review.SetWIP"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil || c.WIP == wip {
			return err
		}
		return s.setWIP(ctx, tx, c, actor.ID, wip)
	})
}

func (s *Service) setWIP(ctx context.Context, tx *db.Tx, c Change, by int64, wip bool) error {
	query, text := `UPDATE changes SET wip = $1 WHERE id = $2`, "Marked as ready for review"
	if wip {
		query, text = `UPDATE changes SET wip = $1, submit_by = 0, submit_at = 0 WHERE id = $2`, "Marked as work in progress"
	}
	if _, err := tx.ExecContext(ctx, query, db.Bool(wip), c.ID); err != nil {
		return fmt.Errorf("review: work in progress of change %d: %w", c.ID, err)
	}
	if err := s.tell(ctx, tx, c, by, "change.wip", text, ""); err != nil {
		return err
	}
	d := deed{kind: deedStarted, by: by, reason: "made it ready for review"}
	if wip {
		d = deed{kind: deedPaused, by: by}
	}
	return s.attend(ctx, tx, c.ID, d)
}

// SetTopic groups a change under a name; "" takes it out.
func (s *Service) SetTopic(ctx context.Context, actor account.Actor, id int64, topic string) error {
	const op = "review.SetTopic"
	topic, err := checkTopic(op, topic)
	if err != nil {
		return err
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if c.Topic == topic {
			return nil
		}
		return s.setTopic(ctx, tx, c, actor.ID, topic)
	})
}

func (s *Service) setTopic(ctx context.Context, tx *db.Tx, c Change, by int64, topic string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE changes SET topic = $1 WHERE id = $2`, topic, c.ID); err != nil {
		return fmt.Errorf("review: topic of change %d: %w", c.ID, err)
	}
	text := "Topic set to " + topic
	if topic == "" {
		text = "Topic removed"
	}
	return s.tell(ctx, tx, c, by, "topic.changed", text, "")
}

// RequestSubmit asks that the current patch set land as soon as its gates are open. Asking
// again changes nothing.
func (s *Service) RequestSubmit(ctx context.Context, actor account.Actor, id int64) error {
	const op = "review.RequestSubmit"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Submit, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil || c.SubmitBy != 0 {
			return err
		}
		if c.WIP {
			return fault.New(fault.Refused, op, fmt.Sprintf("change %d is work in progress and does not land", c.ID), "mark it ready first")
		}
		if err := mustNotBePrivate(op, c); err != nil {
			return err
		}
		return s.AskToLand(ctx, tx, c, actor.ID)
	})
}

// AskToLand notes in tx that by wants the current patch set of an open change to land, also
// in place of somebody else's wish. The caller has asked whether by may, has the branch looked
// at, and wakes the watchers.
func (s *Service) AskToLand(ctx context.Context, tx *db.Tx, c Change, by int64) error {
	now := db.Micros(s.Now())
	_, err := tx.ExecContext(ctx, `UPDATE changes SET submit_by = $1, submit_at = $2, updated_at = $2 WHERE id = $3`, by, now, c.ID)
	if err != nil {
		return fmt.Errorf("review: ask to land change %d: %w", c.ID, err)
	}
	if err := s.say(ctx, tx, c.ID, c.Current, by, fmt.Sprintf("Asked to land patch set %d", c.Current)); err != nil {
		return err
	}
	if err := s.note(ctx, tx, c, "submit.requested", by, map[string]string{"patch_set": fmt.Sprint(c.Current)}); err != nil {
		return err
	}
	return s.attend(ctx, tx, c.ID, deed{kind: deedLanding, by: by})
}

// WithdrawSubmit takes the wish to land back: whoever asked may, the owner, and who may edit.
func (s *Service) WithdrawSubmit(ctx context.Context, actor account.Actor, id int64) error {
	const op = "review.WithdrawSubmit"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	verb := account.Edit
	if c.SubmitBy == actor.ID {
		verb = account.Submit
	}
	return s.act(ctx, actor, verb, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil || c.SubmitBy == 0 {
			return err
		}
		if verb == account.Submit && c.SubmitBy != actor.ID {
			return fault.New(fault.Conflict, op, "somebody else has asked to land it meanwhile", "try again")
		}
		return s.TakeBack(ctx, tx, c, actor.ID, "")
	})
}

// TakeBack takes in tx the wish to land an open change away; why may be "". What
// [Service.AskToLand] leaves to its caller this does too.
func (s *Service) TakeBack(ctx context.Context, tx *db.Tx, c Change, by int64, why string) error {
	now := db.Micros(s.Now())
	if _, err := tx.ExecContext(ctx, `UPDATE changes SET submit_by = 0, submit_at = 0, updated_at = $1 WHERE id = $2`, now, c.ID); err != nil {
		return fmt.Errorf("review: withdraw change %d: %w", c.ID, err)
	}
	return s.tell(ctx, tx, c, by, "submit.withdrawn", fmt.Sprintf("Took back the wish to land patch set %d", c.Current), why)
}

// MarkLanded closes a change as landed with commit, in the transaction that records the
// landing. A change that is landed already is left alone. The caller wakes the watchers.
func (s *Service) MarkLanded(ctx context.Context, tx *db.Tx, change int64, ps int, commit git.OID, by int64) error {
	now := db.Micros(s.Now())
	done, err := db.Touched(tx.ExecContext(ctx, `UPDATE changes SET status = $1, landed_commit = $2, landed_ps = $3, closed_at = $4, updated_at = $4
		WHERE id = $5 AND status <> $1`, string(Landed), string(commit), ps, now, change))
	if err != nil {
		return fmt.Errorf("review: mark change %d landed: %w", change, err)
	}
	if !done {
		return nil
	}
	c, err := s.Load(ctx, tx, change)
	if err != nil {
		return err
	}
	if err := s.say(ctx, tx, change, ps, by, fmt.Sprintf("Patch set %d landed as %s", ps, commit)); err != nil {
		return err
	}
	if err := s.note(ctx, tx, c, "landed", by, map[string]string{"patch_set": fmt.Sprint(ps), "commit": string(commit)}); err != nil {
		return err
	}
	return s.attend(ctx, tx, change, deed{kind: deedClosed, by: by})
}

func mustBeOpen(op string, c Change) error {
	switch c.Status {
	case Open:
		return nil
	case Landed:
		return fault.Newf(fault.Conflict, op, "change %d has landed", c.ID)
	default:
		return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is %s", c.ID, c.Status), "restore it first")
	}
}

func checkReason(op, message string) error {
	if len(message) > maxDescription {
		return fault.Newf(fault.TooLarge, op, "a reason has at most %d bytes", maxDescription)
	}
	return checkText(op, "reason", message)
}

// tell adds what somebody did to the change's story, and an event.
func (s *Service) tell(ctx context.Context, tx *db.Tx, c Change, by int64, kind, text, message string) error {
	if message = strings.TrimSpace(message); message != "" {
		text += "\n\n" + message
	}
	if err := s.say(ctx, tx, c.ID, c.Current, by, text); err != nil {
		return err
	}
	return s.note(ctx, tx, c, kind, by, nil)
}
