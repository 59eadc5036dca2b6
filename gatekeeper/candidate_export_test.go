package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// Made is a candidate as tests see it.
type Made struct {
	ID                 int64
	Base, Commit, Tree git.OID
	Landed             []git.OID
	Conflict           string
}

// MakeCandidate makes the candidate of members on what stands on the tip.
func (c *Controller) MakeCandidate(ctx context.Context, r repo.Repository, branch, how string, tip git.OID, members, on []queue.Member) (Made, error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return Made{}, err
	}
	m := c.maker(r, branch, g, how)
	want := candidate{Members: members, On: on}
	if err := m.standOn(ctx, &want, tip); err != nil {
		return Made{}, err
	}
	k, err := m.candidate(ctx, want)
	if err != nil {
		return Made{}, err
	}
	return Made{k.ID, k.Base, k.Commit, k.Tree, k.Landed, k.Conflict}, nil
}

// KeptCandidates is how many refs of candidates are left alone.
const KeptCandidates = keptCandidates

// PruneCandidates drops the refs of candidates that nobody needs.
func (c *Controller) PruneCandidates(ctx context.Context, r repo.Repository) error {
	g, err := c.Repos.Open(r)
	if err != nil {
		return err
	}
	return c.pruneCandidates(ctx, r, g)
}
