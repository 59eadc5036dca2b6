package review

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// methodAsked is how somebody is known when others name them: they did not sign in for it.
const methodAsked = "asked"

// mayBeAsked refuses people as Invalid who could not even read the change.
func (s *Service) mayBeAsked(ctx context.Context, op string, q db.Querier, c Change, r repo.Repository, who int64) error {
	a, err := s.Accounts.ByID(ctx, q, who)
	if err != nil {
		return err
	}
	actor, err := s.Accounts.Actor(ctx, q, who, methodAsked)
	if err == nil {
		err = s.Accounts.May(ctx, q, actor, account.Read, r.Resource(c.Branch))
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Denied, fault.Unauthenticated:
		return fault.New(fault.Invalid, op, fmt.Sprintf("%s cannot see change %d", a.Name, c.ID),
			fmt.Sprintf("an owner of %s can give access: gate repo grant %s --to %s --role read", r.Name, r.Name, a.Name))
	}
	return err
}

// AddReviewers asks people to review a change, or with cc only lets them know. Whoever may
// comment on it may ask. A reviewer stays one when added as cc: removing comes first.
func (s *Service) AddReviewers(ctx context.Context, actor account.Actor, id int64, whom []int64, cc bool) error {
	const op = "review.AddReviewers"
	whom = distinct(whom)
	if len(whom) == 0 {
		return fault.New(fault.Invalid, op, "nobody is named", "name an account")
	}
	if len(whom) > maxReviewers {
		return fault.Newf(fault.TooLarge, op, "%d reviewers are more than %d", len(whom), maxReviewers)
	}
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	for _, who := range whom {
		if who == c.Owner && !cc {
			return fault.New(fault.Invalid, op, "the owner of a change does not review it", "ask somebody else")
		}
		if err := s.mayBeAsked(ctx, op, s.DB.Read(), c, r, who); err != nil {
			return err
		}
	}
	return s.act(ctx, actor, account.Comment, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil {
			return err
		}
		return s.ask(ctx, tx, c, actor.ID, whom, cc)
	})
}

// ask writes down who is asked and makes it their turn.
func (s *Service) ask(ctx context.Context, tx *db.Tx, c Change, by int64, whom []int64, cc bool) error {
	before, err := s.Reviewers(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	state := stateReviewer
	if cc {
		state = stateCC
	}
	var added []int64
	for _, who := range whom {
		known := slices.ContainsFunc(before, func(r Reviewer) bool { return r.Account == who && (r.CC == cc || !r.CC) })
		if known {
			continue
		}
		if err := addReviewer(ctx, tx, c.ID, who, state, db.Micros(s.Now())); err != nil {
			return err
		}
		added = append(added, who)
	}
	if len(added) == 0 {
		return nil
	}
	names, err := s.namesOf(ctx, tx, added)
	if err != nil {
		return err
	}
	kind, text := "reviewer.added", "Asked "+names+" to review"
	if cc {
		kind, text = "cc.added", "Let "+names+" know"
	}
	if err := s.say(ctx, tx, c.ID, c.Current, by, text); err != nil {
		return err
	}
	if err := s.note(ctx, tx, c, kind, by, map[string]string{"accounts": joinIDs(added)}); err != nil || cc {
		return err
	}
	return s.attend(ctx, tx, c.ID, deed{kind: deedAsked, by: by, reason: "asked for a review", whom: added})
}

// RemoveReviewer takes somebody off the reviewers and those who are let know, with their votes
// on the current patch set. Everybody may remove themselves; others the change's owner and
// those who may edit it.
func (s *Service) RemoveReviewer(ctx context.Context, actor account.Actor, id, who int64) error {
	const op = "review.RemoveReviewer"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	verb := account.Edit
	if who == actor.ID {
		verb = account.Read
	}
	return s.act(ctx, actor, verb, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil {
			return err
		}
		names, err := s.namesOf(ctx, tx, []int64{who})
		if err != nil {
			return err
		}
		done, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM reviewers WHERE change_id = $1 AND account_id = $2`, c.ID, who))
		if err != nil {
			return fmt.Errorf("review: remove reviewer %d of change %d: %w", who, c.ID, err)
		}
		if !done {
			return fault.Newf(fault.NotFound, op, "%s is no reviewer of change %d", names, c.ID)
		}
		text := "Removed " + names + " from the reviewers"
		voted, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM votes WHERE change_id = $1 AND ps = $2 AND account_id = $3`, c.ID, c.Current, who))
		if err != nil {
			return fmt.Errorf("review: votes of a removed reviewer on change %d: %w", c.ID, err)
		}
		if voted {
			text += ", and the votes with them"
		}
		if err := s.say(ctx, tx, c.ID, c.Current, actor.ID, text); err != nil {
			return err
		}
		if err := s.note(ctx, tx, c, "reviewer.removed", actor.ID, map[string]string{"accounts": fmt.Sprint(who)}); err != nil {
			return err
		}
		return s.attend(ctx, tx, c.ID, deed{kind: deedRemoved, by: actor.ID, whom: []int64{who}})
	})
}

// namesOf is "alice, bob".
func (s *Service) namesOf(ctx context.Context, q db.Querier, ids []int64) (string, error) {
	found, err := s.Accounts.Names(ctx, q, ids)
	if err != nil {
		return "", err
	}
	var names []string
	for _, id := range ids {
		if a, ok := found[id]; ok {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", "), nil
}

func joinIDs(ids []int64) string {
	var parts []string
	for _, id := range ids {
		parts = append(parts, fmt.Sprint(id))
	}
	return strings.Join(parts, " ")
}
