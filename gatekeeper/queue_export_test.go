package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// Carry does what a look at a branch does, with these actions in place of the queue's own.
func (c *Controller) Carry(ctx context.Context, repoID int64, branch string, decide func(queue.State) []queue.Action) error {
	k := branchKey{repoID, branch}
	keys, err := together(ctx, c.DB.Read(), k)
	if err != nil {
		return err
	}
	r := &round{Controller: c, name: k.name(), touched: map[int64]bool{}}
	defer r.unlock()
	for _, key := range keys {
		if err := r.add(ctx, key); err != nil {
			return err
		}
	}
	for _, t := range r.ticks {
		if err := t.read(ctx); err != nil {
			return err
		}
		if _, err := t.arrive(ctx); err != nil {
			return err
		}
	}
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	for _, a := range decide(s) {
		if err := r.act(ctx, s, a); err != nil {
			return err
		}
	}
	return nil
}

// QueueState rebuilds the queue's state.
func (c *Controller) QueueState(ctx context.Context, repoID int64, branch string) (queue.State, error) {
	r, err := c.reading(ctx, branchKey{repoID, branch})
	if err != nil {
		return queue.State{}, err
	}
	return r.state(ctx)
}

// BranchName is what the queue calls a branch.
func BranchName(repoID int64, branch string) string { return branchKey{repoID, branch}.name() }

// Enqueue puts changes into the queue, one after the other, whatever their gates say.
func (c *Controller) Enqueue(ctx context.Context, repoID int64, branch string, changes ...int64) error {
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		for i, id := range changes {
			_, err := tx.ExecContext(ctx, `INSERT INTO queue_entries (change_id, repo_id, branch, ps, enqueued_at, barrier, targets)
				VALUES ($1, $2, $3, 1, $4, 0, $5)`, id, repoID, branch, i+1, "part"+string(rune('a'+i%26)))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Stamps writes down what settling the branch's changes depends on, and counts them.
func (c *Controller) Stamps(ctx context.Context, repoID int64, branch string) (int, error) {
	r, err := c.reading(ctx, branchKey{repoID, branch})
	if err != nil {
		return 0, err
	}
	all, err := r.ticks[0].stamps(ctx)
	return len(all), err
}
