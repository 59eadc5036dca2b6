package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// keptCandidates is how many refs of candidates a repository has before those are dropped
// that nobody needs: fewer cost no listing anything.
const keptCandidates = 1000

const candidatePrefix = "refs/gate/candidates/"

// pruneCandidates drops the refs of candidates, and the merges that they were made of, whose
// changes have all landed or were given up. Their rows stay: they are the story of the changes.
func (c *Controller) pruneCandidates(ctx context.Context, r repo.Repository, g *git.Repo) error {
	refs, err := g.Refs(ctx, strings.TrimSuffix(candidatePrefix, "/"))
	if err != nil || len(refs) <= keptCandidates {
		return err
	}
	needed := map[int64]bool{}
	err = each(ctx, c.DB.Read(), `SELECT DISTINCT m.candidate_id FROM candidate_changes m JOIN changes c ON c.id = m.change_id
		WHERE c.repo_id = $1 AND c.status = $2`, []any{r.ID, string(review.Open)}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		needed[id] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("gatekeeper: candidates of open changes: %w", err)
	}
	var drop []git.RefUpdate
	for _, ref := range refs {
		id, err := strconv.ParseInt(strings.TrimPrefix(ref.Name, candidatePrefix), 10, 64)
		if err == nil && !needed[id] {
			drop = append(drop, git.RefUpdate{Ref: ref.Name, Old: ref.OID, New: git.Zero})
		}
	}
	if err := g.UpdateRefs(ctx, drop, "nobody needs the candidate"); err != nil {
		return err
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM merges WHERE repo_id = $1 AND change_id IN (SELECT id FROM changes WHERE repo_id = $1 AND status <> $2)`,
			r.ID, string(review.Open))
		if err != nil {
			return fmt.Errorf("gatekeeper: forget merges: %w", err)
		}
		return nil
	})
}
