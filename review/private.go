package review

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// May asks the one decision point whether actor may do verb to a change, as its owner where they
// are, and as nobody who knows of it where it is private and they are not of those.
func (s *Service) May(ctx context.Context, q db.Querier, actor account.Actor, verb account.Verb, c Change, r repo.Repository) error {
	resource := r.Resource(c.Branch)
	resource.ChangeOwner = c.Owner
	if c.Private {
		var err error
		if resource.Only, err = s.insiders(ctx, q, c); err != nil {
			return err
		}
	}
	return s.Accounts.May(ctx, q, actor, verb, resource)
}

// insiders are who knows of a private change: its owner and everybody who was asked or let know.
func (s *Service) insiders(ctx context.Context, q db.Querier, c Change) ([]int64, error) {
	all := []int64{c.Owner}
	reviewers, err := s.Reviewers(ctx, q, c.ID)
	for _, r := range reviewers {
		all = append(all, r.Account)
	}
	return all, err
}

// allowsPrivate is [sight.allows] for a private change: each has its own insiders, so nothing
// is remembered.
func (v *sight) allowsPrivate(ctx context.Context, verb account.Verb, c Change, resource account.Resource) (bool, error) {
	var err error
	if resource.Only, err = v.insiders(ctx, v.q, c); err != nil {
		return false, err
	}
	err = v.Accounts.May(ctx, v.q, v.actor, verb, resource)
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Unauthenticated:
		return false, nil
	}
	return err == nil, err
}

// Sees reports whether actor may see a change that the server has read for itself.
func (s *Service) Sees(ctx context.Context, q db.Querier, actor account.Actor, c Change) (bool, error) {
	return s.sight(q, actor).allows(ctx, account.Read, c)
}

// Seen leaves of a stack the changes that actor may see.
func (s *Service) Seen(ctx context.Context, q db.Querier, actor account.Actor, st Stack) (Stack, error) {
	v := s.sight(q, actor)
	var seen Stack
	for _, part := range []struct{ from, to *[]Related }{{&st.Parents, &seen.Parents}, {&st.Children, &seen.Children}} {
		for _, r := range *part.from {
			ok, err := v.allows(ctx, account.Read, r.Change)
			if err != nil {
				return Stack{}, err
			}
			if ok {
				*part.to = append(*part.to, r)
			}
		}
	}
	return seen, nil
}

// Unseen lists the private changes of a repository that actor may not see, with how many patch
// sets each has. Whoever shows git's objects leaves out what only they hold.
func (s *Service) Unseen(ctx context.Context, q db.Querier, actor account.Actor, repository int64) ([]Change, error) {
	private, err := changes(ctx, q, `WHERE c.repo_id = $1 AND c.private = 1 ORDER BY c.id`, repository)
	if err != nil {
		return nil, err
	}
	v := s.sight(q, actor)
	var unseen []Change
	for _, c := range private {
		ok, err := v.allows(ctx, account.Read, c)
		if err != nil {
			return nil, err
		}
		if !ok {
			unseen = append(unseen, c)
		}
	}
	return unseen, nil
}

// SetPrivate hides a change from all but its owner, its reviewers, those who are let know, and
// administrators, or shows it again. What is private does not land: the wish to land it is
// taken back.
func (s *Service) SetPrivate(ctx context.Context, actor account.Actor, id int64, private bool) error {
	const op = "review.SetPrivate"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	return s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if c.Private == private {
			return nil
		}
		if private {
			if err := mustBeOpen(op, c); err != nil {
				return err
			}
		}
		return s.setPrivate(ctx, tx, c, actor.ID, private)
	})
}

func (s *Service) setPrivate(ctx context.Context, tx *db.Tx, c Change, by int64, private bool) error {
	query, text := `UPDATE changes SET private = $1 WHERE id = $2`, "No longer private: whoever may read the repository sees it"
	if private {
		query, text = `UPDATE changes SET private = $1, submit_by = 0, submit_at = 0 WHERE id = $2`, "Made private: its owner, reviewers and administrators see it"
	}
	if _, err := tx.ExecContext(ctx, query, db.Bool(private), c.ID); err != nil {
		return fmt.Errorf("review: privacy of change %d: %w", c.ID, err)
	}
	return s.tell(ctx, tx, c, by, "change.private", text, "")
}

// mustNotBePrivate refuses to land what only a few may see.
func mustNotBePrivate(op string, c Change) error {
	if !c.Private {
		return nil
	}
	return fault.New(fault.Refused, op, fmt.Sprintf("change %d is private and does not land", c.ID), "show it to everybody first: gate change private "+fmt.Sprint(c.ID)+" --off")
}
