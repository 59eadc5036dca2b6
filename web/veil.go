package web

import (
	"context"

	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// revision is [revisionOf] for a visitor: a commit that only a private change holds is not
// there for who may not see that.
func (w *Web) revision(c *call, p repoPage, rest string) (revision, error) {
	rev, err := revisionOf(c.ctx(), p.git, rest)
	if err != nil || rev.Known {
		return rev, err
	}
	return rev, w.unveiled(c, p, rev.OID)
}

// unveiled refuses a commit that is under the visitor's veil as one that does not exist.
func (w *Web) unveiled(c *call, p repoPage, oid git.OID) error {
	if w.Veil == nil {
		return nil
	}
	v, err := w.Veil(c.ctx(), c.actor, p.Repo)
	if err == nil && v.Objects[oid] {
		err = notFound("web.commit", "there is no such commit")
	}
	return err
}

// stackOf is the neighbours of a change that the visitor may see.
func (w *Web) stackOf(ctx context.Context, q db.Querier, c *call, ch review.Change) (review.Stack, error) {
	st, err := w.Review.Stack(ctx, q, ch)
	if err != nil {
		return st, err
	}
	return w.Review.Seen(ctx, q, c.actor, st)
}
