package gatekeeper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// trust names the cache that the stages of a run share. Those who may land changes share the
// repository's, as does what has landed; code from anybody else could plant something there
// for the next stage to run. So a candidate with a patch set of theirs in it, whether it is
// tried or stood on, gets a cache of its own: the change's when it is the only one, else one
// of exactly these changes.
func (c *Controller) trust(ctx context.Context, r repo.Repository, run *runRow) (string, error) {
	all, err := notLanded(ctx, c.DB.Read(), run)
	if err != nil {
		return "", err
	}
	trusted := true
	var changes []int64
	for _, m := range all {
		changes = append(changes, m.Change)
		if trusted {
			if trusted, err = c.mayShare(ctx, r, run.branch, m); err != nil {
				return "", err
			}
		}
	}
	switch slices.Sort(changes); {
	case trusted:
		return "", nil
	case len(changes) == 1:
		return fmt.Sprintf("change-%d", changes[0]), nil
	default:
		sum := sha256.Sum256(fmt.Append(nil, changes))
		return "changes-" + hex.EncodeToString(sum[:8]), nil
	}
}

// mayShare reports whether who uploaded the patch set may land changes, now.
func (c *Controller) mayShare(ctx context.Context, r repo.Repository, branch string, m queue.Member) (bool, error) {
	ps, err := c.Review.PatchSet(ctx, c.DB.Read(), m.Change, m.PS)
	if err != nil {
		return false, err
	}
	uploader, err := c.Accounts.Actor(ctx, c.DB.Read(), ps.Uploader, methodVote)
	if err != nil {
		return false, nil // disabled since
	}
	return c.May(ctx, uploader, account.Submit, r.Resource(branch)) == nil, nil
}

// notLanded lists the patch sets whose code a run executes besides what has landed.
func notLanded(ctx context.Context, q db.Querier, run *runRow) ([]queue.Member, error) {
	var all []queue.Member
	if run.Change != 0 {
		all = append(all, queue.Member{Change: run.Change, PS: run.PS})
	}
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT change_id, ps FROM candidate_changes WHERE candidate_id = $1`, run.candidateID)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: changes of run %d: %w", run.ID, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m queue.Member
		if err := rows.Scan(&m.Change, &m.PS); err != nil {
			return nil, fmt.Errorf("gatekeeper: changes of run %d: %w", run.ID, err)
		}
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	return all, rows.Err()
}
