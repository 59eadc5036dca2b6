package gatekeeper

import (
	"context"
	"time"

	"gatehouse/gatekeeper/runner"
)

// Attempt is a stage run in the hands of a worker that the test plays.
type Attempt struct {
	c *Controller
	w *stageWork
}

// Claim takes the lease on a queued stage run as a worker does; nil when it gets none.
func (c *Controller) Claim(ctx context.Context, id int64) (*Attempt, error) {
	w, err := c.stageWork(ctx, id)
	if err != nil {
		return nil, err
	}
	ok, err := c.claim(ctx, w)
	if err != nil || !ok {
		return nil, err
	}
	return &Attempt{c, w}, nil
}

// Report hands the attempt's result in.
func (a *Attempt) Report(ctx context.Context, r runner.Result) error { return a.c.report(ctx, a.w, r) }

// MedianTakes is what the queue is told about how long a run takes.
func (c *Controller) MedianTakes(ctx context.Context, repo int64, branch string) (time.Duration, error) {
	return medianTakes(ctx, c.DB.Read(), repo, branch)
}

// StageMedians is what progress is measured by.
func (c *Controller) StageMedians(ctx context.Context, repo int64) (map[string]time.Duration, error) {
	return stageMedians(ctx, c.DB.Read(), repo)
}

// Forget does what looking after a repository does to what is too old.
func (c *Controller) Forget(ctx context.Context, repo int64) error { return c.pruneResults(ctx, repo) }
