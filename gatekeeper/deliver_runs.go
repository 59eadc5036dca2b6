package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// deliveryRuns is what package deliver asks the controller.
type deliveryRuns struct{ *Controller }

var _ deliver.Runs = deliveryRuns{}

// Judge says whether all that comes before a stage of a delivery is as it must be. It is what
// package deliver asks before it lets an artifact in.
func (c deliveryRuns) Judge(ctx context.Context, q db.Querier, runID int64, stage string) (deliver.Judged, error) {
	run, r, g, err := c.runAnd(ctx, q, runID)
	if err != nil {
		return deliver.Judged{}, err
	}
	p, err := c.deliveryPlan(ctx, g, run)
	if err != nil {
		return deliver.Judged{}, err
	}
	pr, err := c.prove(ctx, q, r, g, run)
	if err != nil {
		return deliver.Judged{}, err
	}
	delete(pr.e.Stages, stage) // what came of it before does not count against another try
	e := pr.under(p)
	open, why, next := p.Before(stage, e, c.Now())
	j := deliver.Judged{Open: open, Why: why, Next: next, Bypassed: p.BypassedBefore(stage, e)}
	if b, ok := pr.made[artifactOf(p, stage)]; ok && b.State == ArtifactRevoked {
		j.Open, j.Why = false, "artifact "+b.Name+" was revoked"
	}
	return j, nil
}

func artifactOf(p *plan.Plan, stage string) string {
	s, ok := p.Stage(stage)
	if !ok || s.Deploy == nil {
		return ""
	}
	return s.Deploy.Artifact
}

// runAnd reads a run with its repository.
func (c *Controller) runAnd(ctx context.Context, q db.Querier, id int64) (*runRow, repo.Repository, *git.Repo, error) {
	runs, err := queryRuns(ctx, q, `r.id = $1`, id)
	if err != nil || len(runs) == 0 {
		return nil, repo.Repository{}, nil, errors.Join(err, errIf(len(runs) == 0, fmt.Sprintf("run %d is gone", id)))
	}
	r, err := c.Repos.ByID(ctx, q, runs[0].repo)
	if err != nil {
		return nil, r, nil, err
	}
	g, err := c.Repos.Open(r)
	return runs[0], r, g, err
}

// Attempt writes one more attempt at a stage of a delivery.
func (c deliveryRuns) Attempt(ctx context.Context, tx *db.Tx, runID int64, stage string) (int64, error) {
	runs, err := queryRuns(ctx, tx, `r.id = $1`, runID)
	if err != nil || len(runs) == 0 {
		return 0, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	if err := c.addStageRun(ctx, tx, runs[0], stage, plan.Queued, ""); err != nil {
		return 0, err
	}
	var id int64
	err = tx.QueryRowContext(ctx, `SELECT MAX(id) FROM stage_runs WHERE run_id = $1 AND stage = $2`, runID, stage).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: attempt at %s: %w", stage, err)
	}
	return id, nil
}

// Stage is how a stage run stands.
func (c deliveryRuns) Stage(ctx context.Context, q db.Querier, id int64) (plan.StageState, string, time.Time, error) {
	s, err := stageRunByID(ctx, q, id)
	return s.State, s.Reason, s.FinishedAt, err
}

// Superseded ends a delivery whose artifact will not enter an environment any more, since a newer
// one did. What ran of it stays where it is.
func (c deliveryRuns) Superseded(ctx context.Context, tx *db.Tx, runID int64, why string) error {
	runs, err := queryRuns(ctx, tx, `r.id = $1 AND r.state = $2`, runID, string(RunRunning))
	if err != nil || len(runs) == 0 {
		return err
	}
	var others int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM promotions WHERE run_id = $1 AND ended_at = 0`, runID).Scan(&others)
	if err != nil {
		return fmt.Errorf("gatekeeper: promotions of run %d: %w", runID, err)
	}
	if others > 0 { // it goes on elsewhere
		return nil
	}
	return c.endRun(ctx, tx, runs[0], RunSuperseded, why)
}

// Deployment is what a stage run that brought an assembly about was to bring.
func (c deliveryRuns) Deployment(ctx context.Context, _, stageRun int64) (deliver.Deployment, error) {
	w, err := c.stageWork(ctx, stageRun)
	if err != nil {
		return deliver.Deployment{}, err
	}
	if w.broken != nil {
		return deliver.Deployment{}, w.broken
	}
	return c.deployment(ctx, w)
}

// resumeDeliveries asks for a look at the branches from which something is on its way.
func (c *Controller) resumeDeliveries(ctx context.Context, tx *db.Tx) error {
	runs, err := queryRuns(ctx, tx, `r.state = $1 AND r.phase = $2`, string(RunRunning), phaseDeliver)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := tx.Enqueue(ctx, deliverJob(run.repo, run.branch)); err != nil {
			return err
		}
	}
	return nil
}
