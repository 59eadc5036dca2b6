package gatekeeper

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// JobMaintain is the kind of the job that keeps one repository quick; its key is its id.
const JobMaintain = "maintain"

// maintainEvery is how often a busy repository is looked at: every push leaves a pack and
// every candidate a few loose objects, and a look at one that needs nothing is cheap.
const maintainEvery = 10 * time.Minute

// maintainWorkers is how many repositories are repacked at once: it is work for disk and
// processor that nobody waits for.
const maintainWorkers = 1

func (c *Controller) maintainHandler(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: maintain job %q: %w", key, err)
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), id)
	if err != nil {
		return 0, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return 0, err
	}
	if err := c.Review.IndexMissing(ctx, r); err != nil {
		return 0, err
	}
	if err := c.pruneResults(ctx, id); err != nil {
		return 0, err
	}
	if err := c.pruneArtifacts(ctx, r); err != nil {
		return 0, err
	}
	if err := c.keepBoards(ctx, id); err != nil {
		return 0, err
	}
	if err := c.pruneCandidates(ctx, r, g); err != nil {
		return 0, err
	}
	if c.Primary != nil {
		if err := c.Primary.Prune(ctx, r, g); err != nil {
			return 0, err
		}
	}
	return 0, g.Maintain(ctx)
}

// maintain asks for a look at the repository's packs when the last is long enough ago.
func (c *Controller) maintain(ctx context.Context, r repo.Repository) error {
	c.mu.Lock()
	due := c.Now().Sub(c.maintained[r.ID]) >= maintainEvery
	if due {
		c.maintained[r.ID] = c.Now()
	}
	c.mu.Unlock()
	if !due {
		return nil
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Enqueue(ctx, db.Job{Kind: JobMaintain, Key: strconv.FormatInt(r.ID, 10)})
	})
}
