package review

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// maxViewed is how many files of one change somebody may mark: as many as a page lists.
const maxViewed = 5000

// Viewed is somebody's mark on a file of a change.
type Viewed struct {
	Path   string
	PS     int    // the patch set that was looked at
	Digest string // of what it does to the file
	At     time.Time
}

// ViewedBy are the marks of an account on a change, by path. Whether one holds for a patch
// set is told by the digest: see [Service.FileDigests].
func (s *Service) ViewedBy(ctx context.Context, q db.Querier, account, change int64) (map[string]Viewed, error) {
	all := map[string]Viewed{}
	err := each(ctx, q, "list viewed files", `SELECT path, ps, digest, at FROM viewed WHERE account_id = $1 AND change_id = $2`, []any{account, change},
		func(row scanner) error {
			var v Viewed
			var at int64
			err := row.Scan(&v.Path, &v.PS, &v.Digest, &at)
			v.At = db.Time(at)
			all[v.Path] = v
			return err
		})
	return all, err
}

// FileDigests name what a patch set does to each of its files, the commit message among
// them: two patch sets with the same digest for a file do the same to it.
func (s *Service) FileDigests(ctx context.Context, g *git.Repo, ps PatchSet) (map[string]string, error) {
	digests, err := g.FileDigests(ctx, ps.Parent, ps.Commit)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(ps.Message))
	digests[CommitMessage] = hex.EncodeToString(sum[:])
	return digests, nil
}

// SetViewed notes that actor has viewed a file of a patch set (0: the current one), or takes
// the mark back. Whoever may see the change may: the mark is nobody else's to see.
func (s *Service) SetViewed(ctx context.Context, actor account.Actor, id int64, number int, path string, viewed bool) error {
	const op = "review.SetViewed"
	c, r, err := s.actOn(ctx, op, actor, id)
	if err != nil {
		return err
	}
	if !viewed {
		return s.DB.Transact(ctx, func(tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM viewed WHERE account_id = $1 AND change_id = $2 AND path = $3`, actor.ID, c.ID, path)
			if err != nil {
				return fmt.Errorf("review: viewed files of change %d: %w", c.ID, err)
			}
			return nil
		})
	}
	if number == 0 {
		number = c.Current
	}
	ps, err := s.PatchSet(ctx, s.DB.Read(), c.ID, number)
	if err != nil {
		return err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return err
	}
	digests, err := s.FileDigests(ctx, g, ps)
	if err != nil {
		return err
	}
	digest, ok := digests[path]
	if !ok {
		return fault.New(fault.NotFound, op, fmt.Sprintf("patch set %d of change %d has no such file", number, c.ID), "name one of the files that it changes")
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		return s.view(ctx, tx, actor.ID, c.ID, Viewed{Path: path, PS: number, Digest: digest})
	})
}

func (s *Service) view(ctx context.Context, tx *db.Tx, account, change int64, v Viewed) error {
	var n int
	var there string
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM viewed WHERE account_id = $1 AND change_id = $2`, account, change).Scan(&n)
	if err != nil {
		return fmt.Errorf("review: viewed files of change %d: %w", change, err)
	}
	err = tx.QueryRowContext(ctx, `SELECT path FROM viewed WHERE account_id = $1 AND change_id = $2 AND path = $3`, account, change, v.Path).Scan(&there)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("review: viewed files of change %d: %w", change, err)
	}
	if n >= maxViewed && there == "" {
		return fault.New(fault.TooLarge, "review.SetViewed", fmt.Sprintf("more than %d files are marked as viewed", maxViewed), "take some marks back first")
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO viewed (account_id, change_id, path, ps, digest, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account_id, change_id, path) DO UPDATE SET ps = excluded.ps, digest = excluded.digest, at = excluded.at`,
		account, change, v.Path, v.PS, v.Digest, db.Micros(s.Now()))
	if err != nil {
		return fmt.Errorf("review: viewed files of change %d: %w", change, err)
	}
	return nil
}
