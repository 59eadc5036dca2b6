package gatekeeper

import (
	"context"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
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

// LookAt is when a later look at a branch is asked for.
func (c *Controller) LookAt(repo int64, branch string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks[branchKey{repo, branch}]
}

// StageMedians is what progress is measured by.
func (c *Controller) StageMedians(ctx context.Context, repo int64) (map[string]time.Duration, error) {
	return stageMedians(ctx, c.DB.Read(), repo)
}

// Forget does what looking after a repository does to what is too old.
func (c *Controller) Forget(ctx context.Context, repo int64) error { return c.pruneResults(ctx, repo) }

// PruneArtifacts does what looking after a repository does to artifacts.
func (c *Controller) PruneArtifacts(ctx context.Context, r repo.Repository) error {
	return c.pruneArtifacts(ctx, r)
}

// StartBare starts a run of the branch itself, as the queue does when it doubts the branch.
func (c *Controller) StartBare(ctx context.Context, r repo.Repository, branch string) (run int64, err error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return 0, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+branch)
	if err != nil {
		return 0, err
	}
	composed, err := c.composed(ctx, g, tip, tip)
	if err != nil {
		return 0, err
	}
	k := candidate{Repo: r.ID, Branch: branch, Base: tip, Commit: tip, How: composed.Land.How}
	if err := c.DB.Transact(ctx, func(tx *db.Tx) error { return insertCandidate(ctx, tx, &k, db.Micros(c.Now())) }); err != nil {
		return 0, err
	}
	return c.startRun(ctx, r.ID, branch, k, tip, composed.Digest(), "")
}

// Advance does what a look at the branch does for one run: it starts the stages that can start.
func (c *Controller) Advance(ctx context.Context, id int64) error {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, id)
	if err != nil {
		return err
	}
	run := runs[0]
	r, err := c.Repos.ByID(ctx, c.DB.Read(), run.repo)
	if err != nil {
		return err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return err
	}
	p, err := c.composed(ctx, g, run.planOID, run.Candidate)
	if err != nil {
		return err
	}
	if run.keys, err = c.stageKeys(ctx, g, p, run); err != nil {
		return err
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		fresh, err := queryRuns(ctx, tx, `r.id = $1`, id)
		if err != nil {
			return err
		}
		for _, s := range p.Stages {
			if _, started := fresh[0].latest()[s.Name]; started { // a look at the branch was first
				continue
			}
			if _, err := c.start(ctx, tx, run, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// StagesOf lists the stage runs of a run.
func (c *Controller) StagesOf(ctx context.Context, run int64) ([]StageRun, error) {
	return queryStages(ctx, c.DB.Read(), `s.run_id = $1`, run)
}

// CacheOf names the cache that the stages of a run of these changes share.
func (c *Controller) CacheOf(ctx context.Context, r repo.Repository, branch string, members, on []queue.Member) (string, error) {
	k := candidate{Repo: r.ID, Branch: branch, Base: "x", Ground: membersText(on), How: "merge", Members: members, On: on}
	if err := c.DB.Transact(ctx, func(tx *db.Tx) error { return insertCandidate(ctx, tx, &k, 1) }); err != nil {
		return "", err
	}
	return c.trust(ctx, r, &runRow{Run: Run{Change: k.Change, PS: k.PS}, candidateID: k.ID, branch: branch})
}
