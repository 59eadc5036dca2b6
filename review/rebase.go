package review

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Rebase moves the current patch set of a change onto the tip of its branch, or onto the
// current patch set of another change, as a new patch set. basePS is the patch set that the
// actor saw, 0 for the current one. What does not fit is a Conflict that names the files.
func (s *Service) Rebase(ctx context.Context, actor account.Actor, id int64, basePS int, onto int64) (PatchSet, error) {
	const op = "review.Rebase"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return PatchSet{}, err
	}
	if basePS == 0 {
		basePS = c.Current
	}
	if err := s.mayAmend(ctx, op, actor, c, r, basePS); err != nil {
		return PatchSet{}, err
	}
	base, err := s.PatchSet(ctx, s.DB.Read(), c.ID, basePS)
	if err != nil {
		return PatchSet{}, err
	}
	tip, title := git.OID(""), "Rebased onto "+c.Branch
	if onto == 0 {
		if tip, err = s.target(ctx, op, r, c.Branch); err != nil {
			return PatchSet{}, err
		}
	} else {
		below, err := s.below(ctx, op, actor, c, onto)
		if err != nil {
			return PatchSet{}, err
		}
		tip, title = below.Commit, fmt.Sprintf("Rebased onto change %d, patch set %d", onto, below.Number)
	}
	h, err := s.hold(ctx, made{
		op: op, actor: actor, repo: r, branch: c.Branch, key: Key(c.Key), expect: basePS, options: PushOptions{Message: title},
		write: func(g *git.Repo) (git.OID, error) { return s.writeRebased(ctx, g, actor, c, base, tip) },
	})
	return h.PatchSet, err
}

// below is the patch set of the change that another is to stand on.
func (s *Service) below(ctx context.Context, op string, actor account.Actor, c Change, onto int64) (PatchSet, error) {
	if onto == c.ID {
		return PatchSet{}, fault.New(fault.Invalid, op, "a change cannot stand on itself", "name another change, or none for the branch")
	}
	on, err := s.Get(ctx, actor, onto)
	if err != nil {
		return PatchSet{}, err
	}
	switch {
	case on.Repo != c.Repo || on.Branch != c.Branch:
		return PatchSet{}, fault.New(fault.Invalid, op, fmt.Sprintf("change %d is for %s of %s", on.ID, on.Branch, on.RepoName), "name a change for the same branch")
	case on.Status == Landed:
		return PatchSet{}, fault.New(fault.Conflict, op, fmt.Sprintf("change %d has landed", on.ID), "rebase onto the branch")
	case on.Status != Open:
		return PatchSet{}, fault.New(fault.Conflict, op, fmt.Sprintf("change %d is %s", on.ID, on.Status), "rebase onto the branch")
	}
	return s.PatchSet(ctx, s.DB.Read(), on.ID, on.Current)
}

func (s *Service) writeRebased(ctx context.Context, g *git.Repo, actor account.Actor, c Change, base PatchSet, onto git.OID) (git.OID, error) {
	const op = "review.Rebase"
	own, err := g.Commit(ctx, base.Commit)
	if err != nil {
		return "", err
	}
	switch {
	case len(own.Parents) > 1:
		return "", fault.New(fault.Refused, op, "a merge commit cannot be rebased", "merge the branch into it in a working copy and push")
	case first(own) == onto:
		return "", fault.New(fault.Refused, op, fmt.Sprintf("patch set %d stands there already", base.Number), "")
	}
	around, err := g.IsAncestor(ctx, own.OID, onto)
	if err != nil {
		return "", err
	}
	if around {
		return "", fault.New(fault.Refused, op, "what it is to stand on stands on it", "choose another change, or the branch")
	}
	tree, conflicts, err := g.PickTree(ctx, onto, own.OID)
	if err != nil {
		return "", err
	}
	if len(conflicts) > 0 {
		return "", conflictsIn(op, fmt.Sprintf("patch set %d", base.Number), conflicts,
			fmt.Sprintf("in a working copy: git fetch REMOTE %s && git checkout FETCH_HEAD, git rebase, mend the files, and push", HoldingRef(c.ID, base.Number)))
	}
	return s.rewrite(ctx, g, op, actor, own, tree, onto, own.Message, Key(c.Key))
}
