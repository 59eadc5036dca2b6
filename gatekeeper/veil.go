package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// maxVeiled is how many private changes are hidden one by one; beyond that no change of the
// repository is shown to whoever may not see them all.
const maxVeiled = 500

// Veil is what of a repository's refs and objects actor may not have, though they may read the
// repository: what only private changes hold that they may not see, and their candidates.
func (c *Controller) Veil(ctx context.Context, actor account.Actor, r repo.Repository) (git.Veil, error) {
	unseen, err := c.Review.Unseen(ctx, c.DB.Read(), actor, r.ID)
	if err != nil || len(unseen) == 0 {
		return git.Veil{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return git.Veil{}, err
	}
	var v git.Veil
	for _, ch := range unseen {
		v.Refs = append(v.Refs, strings.TrimSuffix(review.HoldingRef(ch.ID, 1), "/1"))
		tried, err := c.candidateRefs(ctx, ch.ID)
		if err != nil {
			return git.Veil{}, err
		}
		v.Refs = append(v.Refs, tried...)
	}
	if len(unseen) > maxVeiled {
		v.Refs = []string{strings.TrimSuffix(changesPrefix, "/"), "refs/gate"}
	}
	refs, err := g.Refs(ctx, v.Refs...)
	if err != nil {
		return git.Veil{}, err
	}
	var tips []git.OID
	for _, ref := range refs {
		tips = append(tips, ref.OID)
	}
	v.Objects, err = g.OnlyOf(ctx, tips, append([]string{"refs/gate"}, v.Refs...))
	return v, err
}

// candidateRefs keep what a change was tried as.
func (c *Controller) candidateRefs(ctx context.Context, change int64) ([]string, error) {
	rows, err := c.DB.Read().QueryContext(ctx, `SELECT DISTINCT candidate_id FROM candidate_changes WHERE change_id = $1 ORDER BY candidate_id`, change)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: candidates of change %d: %w", change, err)
	}
	defer func() { _ = rows.Close() }()
	var refs []string
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("gatekeeper: candidates of change %d: %w", change, err)
		}
		refs = append(refs, candidateRef(id), testedRef(id))
	}
	return refs, rows.Err()
}
