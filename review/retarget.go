package review

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Retarget proposes an open change for another branch of its repository. Its votes were given
// for the old one and are void (I4), the wish to land it is taken back, and it is tested anew.
// The commit stays what it is.
func (s *Service) Retarget(ctx context.Context, actor account.Actor, id int64, branch string) error {
	const op = "review.Retarget"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	if err := s.May(ctx, s.DB.Read(), actor, account.Edit, c, r); err != nil {
		return err
	}
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if branch == c.Branch {
		return fault.Newf(fault.Invalid, op, "change %d is for %s already", c.ID, branch)
	}
	tip, err := s.target(ctx, op, r, branch)
	if err != nil {
		return err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return err
	}
	ps, err := s.PatchSet(ctx, s.DB.Read(), c.ID, c.Current)
	if err != nil {
		return err
	}
	if _, related, err := g.MergeBase(ctx, tip, ps.Commit); err != nil {
		return err
	} else if !related {
		return fault.New(fault.Refused, op, fmt.Sprintf("it has no history in common with %s", branch), "pick it there instead: gate change cherry-pick")
	}
	if landed, err := g.IsAncestor(ctx, ps.Commit, tip); err != nil {
		return err
	} else if landed {
		return fault.Newf(fault.Refused, op, "%s has commit %s already", branch, ps.Commit.Short())
	}
	from := c.Branch
	err = s.act(ctx, actor, account.Edit, c, r, func(tx *db.Tx, c Change) error {
		if err := mustBeOpen(op, c); err != nil {
			return err
		}
		if c.Branch != from {
			return fault.New(fault.Conflict, op, fmt.Sprintf("somebody else moved it to %s meanwhile", c.Branch), "look again")
		}
		if err := s.Accounts.May(ctx, tx, actor, account.Propose, r.Resource(branch)); err != nil {
			return err
		}
		return s.retarget(ctx, tx, c, r, actor.ID, branch)
	})
	if db.IsUnique(err) {
		return fault.New(fault.Conflict, op, fmt.Sprintf("there is a change with the same Change-Id for %s", branch), "abandon one of them, or push this one with another Change-Id")
	}
	return err
}

func (s *Service) retarget(ctx context.Context, tx *db.Tx, c Change, r repo.Repository, by int64, branch string) error {
	if s.Moving != nil {
		if err := s.Moving(ctx, tx, c); err != nil {
			return err
		}
	}
	before, err := votes(ctx, tx, `v.change_id = $1 AND v.ps = $2`, c.ID, c.Current)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM votes WHERE change_id = $1 AND ps = $2`, c.ID, c.Current); err != nil {
		return fmt.Errorf("review: votes of change %d: %w", c.ID, err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE changes SET branch = $1, submit_by = 0, submit_at = 0 WHERE id = $2`, branch, c.ID)
	if err != nil {
		return fmt.Errorf("review: retarget change %d: %w", c.ID, err)
	}
	text := fmt.Sprintf("Moved from %s to %s", c.Branch, branch)
	if len(before) > 0 {
		words, err := s.voteWords(ctx, tx, before)
		if err != nil {
			return err
		}
		text += "\n\nVotes that no longer count: " + strings.Join(words, ", ")
	}
	if err := s.say(ctx, tx, c.ID, c.Current, by, text); err != nil {
		return err
	}
	moved := c
	moved.Branch = branch
	if err := s.note(ctx, tx, moved, "change.moved", by, map[string]string{"from": c.Branch, "to": branch}); err != nil {
		return err
	}
	return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch)) // the old branch's look is asked for by [Service.act]
}

// voteWords are votes as "bob Code-Review+2".
func (s *Service) voteWords(ctx context.Context, q db.Querier, all []Vote) ([]string, error) {
	ids := make([]int64, 0, len(all))
	for _, v := range all {
		ids = append(ids, v.Account)
	}
	people, err := s.Accounts.Names(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	words := make([]string, 0, len(all))
	for _, v := range all {
		words = append(words, fmt.Sprintf("%s %s%s", people[v.Account].Name, v.Label, signed(v.Value)))
	}
	return words, nil
}
