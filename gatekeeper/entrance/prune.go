package entrance

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

const (
	// keepStatusesFor is how long is remembered what a forge was told about a commit that no open
	// change has any more: as long as what it told us.
	keepStatusesFor = keepDeliveriesFor
	// keepGroupsFor is how long a merge queue's group is kept: its stages have long ended then,
	// and a person may still want to fetch what was red.
	keepGroupsFor = 7 * 24 * time.Hour
)

// Prune forgets what the entrances of a repository do not need any more: what their forges were
// told about commits that are history, and the groups of their merge queues.
func (s *Service) Prune(ctx context.Context, r repo.Repository, g *git.Repo) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM entrance_statuses WHERE at < $1 AND entrance_id IN (SELECT id FROM entrances WHERE repo_id = $2)
			AND commit_oid NOT IN (SELECT p.commit_oid FROM changes c JOIN patch_sets p ON p.change_id = c.id AND p.number = c.current_ps
				WHERE c.repo_id = $2 AND c.status = $3)`, db.Micros(s.Now().Add(-keepStatusesFor)), r.ID, string(review.Open))
		return err
	})
	if err != nil {
		return fmt.Errorf("entrance: forget statuses: %w", err)
	}
	return s.pruneGroups(ctx, r, g)
}

// pruneGroups drops the refs of groups that were asked about long ago, or by an entrance that is gone.
func (s *Service) pruneGroups(ctx context.Context, r repo.Repository, g *git.Repo) error {
	refs, err := g.Refs(ctx, strings.TrimSuffix(groupPrefix, "/"))
	if err != nil || len(refs) == 0 {
		return err
	}
	known, err := s.List(ctx, r.ID)
	if err != nil {
		return err
	}
	before := s.Now().Add(-keepGroupsFor)
	var drop []git.RefUpdate
	for _, ref := range refs {
		id, _, _ := strings.Cut(strings.TrimPrefix(ref.Name, groupPrefix), "-")
		asked, err := s.groupAsked(ctx, g, known, id, ref.OID)
		if err != nil {
			return err
		}
		if asked.Before(before) {
			drop = append(drop, git.RefUpdate{Ref: ref.Name, Old: ref.OID, New: git.Zero})
		}
	}
	return g.UpdateRefs(ctx, drop, "the merge queue's group is history")
}

// groupAsked is when an entrance asked about a group last, zero when the entrance is gone. One that
// could not be tested has no run: then its commit says when it was made.
func (s *Service) groupAsked(ctx context.Context, g *git.Repo, known []Entrance, entrance string, head git.OID) (time.Time, error) {
	for _, e := range known {
		if strconv.FormatInt(e.ID, 10) != entrance {
			continue
		}
		var at int64
		err := s.DB.Read().QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM entrance_runs WHERE entrance_id = $1 AND commit_oid = $2`, e.ID, string(head)).Scan(&at)
		if err != nil {
			return time.Time{}, fmt.Errorf("entrance: runs of %s: %w", head, err)
		}
		if at != 0 {
			return db.Time(at), nil
		}
		c, err := g.Commit(ctx, head)
		if fault.Is(err, fault.NotFound) {
			return time.Time{}, nil
		}
		return c.Committer.When, err
	}
	return time.Time{}, nil
}
