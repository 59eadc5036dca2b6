package gatekeeper

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// deliverWorkers is how many branches' deliveries are looked at at once.
	deliverWorkers = 4
	// deliverSoon is the least pause before time alone has a delivery looked at again.
	deliverSoon = time.Second
)

func (c *Controller) deliverHandler(ctx context.Context, key string) (time.Duration, error) {
	repoID, branch, err := repo.ParseBranchKey(key)
	if err != nil {
		return 0, err
	}
	again, err := c.Deliver(ctx, repoID, branch)
	if err != nil || again.IsZero() {
		return 0, err
	}
	return max(again.Sub(c.Now()), deliverSoon), nil
}

// Deliver looks at what has landed on a branch and is on its way from there: it starts the stages
// that can start, asks for promotions, and has the environments looked at. Like a [Controller.Tick]
// it follows from the rows alone. again is when time alone may change something.
func (c *Controller) Deliver(ctx context.Context, repoID int64, branch string) (again time.Time, err error) {
	r, err := c.Repos.ByID(ctx, c.DB.Read(), repoID)
	if err != nil {
		return again, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return again, err
	}
	runs, err := queryRuns(ctx, c.DB.Read(), `r.repo_id = $1 AND r.branch = $2 AND r.state = $3 AND r.phase = $4`, repoID, branch, string(RunRunning), phaseDeliver)
	if err != nil {
		return again, err
	}
	for _, run := range runs {
		next, err := c.advanceDelivery(ctx, r, g, run)
		if err != nil { // one delivery that cannot be looked at must not hold up the others
			c.Log.Error("look at a delivery", "repo", r.Name, "run", run.ID, "err", err)
			continue
		}
		again = sooner(again, next)
	}
	if c.Delivery == nil {
		return again, nil
	}
	p, problems, err := c.PlanAt(ctx, r, branch)
	switch {
	case len(problems) > 0: // nothing enters anywhere under a plan that cannot be read (I13)
		return again, nil
	case err != nil:
		return again, err
	}
	next, err := c.Delivery.Look(ctx, deliver.Place{Repo: repoID, Branch: branch}, p)
	c.Bus.Wake(event.RepoTopic(repoID))
	return sooner(again, next), err
}

// sooner is the first of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// deliveryPlan is the part of the plan of a run's commit that comes after the landing.
func (c *Controller) deliveryPlan(ctx context.Context, g *git.Repo, run *runRow) (*plan.Plan, error) {
	p, _, err := c.planOf(ctx, g, run.Candidate)
	if err != nil {
		return nil, err
	}
	return p.Delivering(run.outcome), nil
}

// advanceDelivery does for one delivery what can be done now.
func (c *Controller) advanceDelivery(ctx context.Context, r repo.Repository, g *git.Repo, run *runRow) (again time.Time, err error) {
	p, err := c.deliveryPlan(ctx, g, run)
	if err != nil {
		return again, err
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		fresh, err := queryRuns(ctx, tx, `r.id = $1 AND r.state = $2`, run.ID, string(RunRunning))
		if err != nil || len(fresh) == 0 {
			return err
		}
		run := fresh[0]
		if err := c.retryDelivery(ctx, tx, p, run); err != nil {
			return err
		}
		pr, err := c.prove(ctx, tx, r, g, run)
		if err != nil {
			return err
		}
		e := pr.under(p)
		next := plan.Next(p, e, c.Now())
		again = p.Again(e, c.Now())
		for _, name := range next.Start {
			stage, _ := p.Stage(name)
			if err := c.startDelivered(ctx, tx, r, p, pr, stage); err != nil {
				return err
			}
		}
		for _, name := range next.Skip {
			if err := c.addStageRun(ctx, tx, run, name, plan.Skipped, "the change touches none of its paths"); err != nil {
				return err
			}
		}
		for _, name := range next.Bypass {
			if err := c.addStageRun(ctx, tx, run, name, plan.Bypassed, leftOutWords(e, name)); err != nil {
				return err
			}
		}
		if len(next.Skip)+len(next.Bypass) > 0 {
			return tx.Enqueue(ctx, deliverJob(run.repo, run.branch))
		}
		if !next.Done {
			return nil
		}
		return c.endDelivery(ctx, tx, p, pr)
	})
	return again, err
}

// retryDelivery starts another attempt at the stages that the machinery ended. Promotions have
// attempts of their own.
func (c *Controller) retryDelivery(ctx context.Context, tx *db.Tx, p *plan.Plan, run *runRow) error {
	errored := map[string]int{}
	for _, s := range run.Stages {
		if s.State == plan.Errored {
			errored[s.Stage]++
		}
	}
	moved := false
	for name, s := range run.latest() {
		stage, _ := p.Stage(name)
		if promotes(p, stage) || s.State != plan.Canceled && (s.State != plan.Errored || errored[name] > retriesOf(stage)) {
			continue
		}
		if err := c.addStageRun(ctx, tx, run, name, plan.Queued, ""); err != nil {
			return err
		}
		moved = true
	}
	if !moved {
		return nil
	}
	fresh, err := queryRuns(ctx, tx, `r.id = $1`, run.ID)
	if err == nil && len(fresh) > 0 {
		run.Stages = fresh[0].Stages
	}
	return err
}

// retriesOf is how often the machinery may fail at a stage before that counts.
func retriesOf(s plan.Stage) int {
	if s.Retry >= 0 {
		return s.Retry
	}
	return maxStageErrors - 1
}

// promotes reports whether the stage brings an artifact into an environment in which something
// always runs: that is a promotion, decided by the environment.
func promotes(p *plan.Plan, s plan.Stage) bool {
	if s.Deploy == nil {
		return false
	}
	e, ok := p.Environment(s.Environment)
	return ok && e.Class == plan.Standing
}

// startDelivered begins a stage of a delivery: a promotion is asked for, anything else waits for
// a worker.
func (c *Controller) startDelivered(ctx context.Context, tx *db.Tx, r repo.Repository, p *plan.Plan, pr *proof, s plan.Stage) error {
	run := pr.run
	if !promotes(p, s) {
		return c.addStageRun(ctx, tx, run, s.Name, plan.Queued, "")
	}
	b, ok := pr.made[s.Deploy.Artifact]
	if !ok {
		return c.addStageRun(ctx, tx, run, s.Name, plan.Failed, fmt.Sprintf("artifact %s was not built before it: %s", s.Deploy.Artifact, "see its stage"))
	}
	if c.Delivery == nil {
		return nil
	}
	seq, err := landedSeq(ctx, tx, run)
	if err != nil {
		return err
	}
	return c.Delivery.Request(ctx, tx, deliver.Place{Repo: r.ID, Branch: run.branch}, deliver.Promotion{
		Environment: s.Environment, Run: run.ID, Stage: s.Name, Seq: seq, Kind: promote.Forward, Artifact: b.Name, Digest: b.Digest, Commit: run.Candidate, Change: run.Change,
	})
}

// landedSeq is the place of a delivery among what landed on its branch.
func landedSeq(ctx context.Context, q db.Querier, run *runRow) (seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM landings WHERE repo_id = $1 AND branch = $2 AND new_oid = $3`, run.repo, run.branch, string(run.Candidate)).Scan(&seq)
	if err != nil || seq > 0 {
		return seq, errOf(err, "gatekeeper: place of run %d: %w", run.ID)
	}
	// It did not land here: it comes after what had landed by then.
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM landings WHERE repo_id = $1 AND branch = $2 AND outcome_at <= $3`,
		run.repo, run.branch, db.Micros(run.CreatedAt)).Scan(&seq)
	return seq, errOf(err, "gatekeeper: place of run %d: %w", run.ID)
}

// errOf wraps an error, and leaves none as it is.
func errOf(err error, format string, id int64) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format, id, err)
}

// endDelivery writes the verdict of a delivery in which no stage can change any more.
func (c *Controller) endDelivery(ctx context.Context, tx *db.Tx, p *plan.Plan, pr *proof) error {
	state, reasons := plan.RunVerdict(p, pr.under(p), c.Now())
	switch state {
	case plan.RunRunning:
		return nil
	case plan.RunPassed:
		return c.endRun(ctx, tx, pr.run, RunPassed, "")
	case plan.RunRefused:
		return c.endRun(ctx, tx, pr.run, RunRefused, plan.Summary(reasons))
	case plan.RunErrored:
		return c.endRun(ctx, tx, pr.run, RunErrored, plan.Summary(reasons))
	default:
		panic("gatekeeper: unknown verdict " + string(state))
	}
}

// deployment puts together what a stage brings into its environment.
func (c *Controller) deployment(ctx context.Context, w *stageWork) (deliver.Deployment, error) {
	r, g := w.repo, w.git
	tip, err := g.RefOID(ctx, headsPrefix+w.run.branch)
	if err != nil {
		return deliver.Deployment{}, err
	}
	policy, _, err := c.planOf(ctx, g, tip)
	if err != nil {
		return deliver.Deployment{}, err
	}
	e, ok := policy.Environment(w.stage.Environment)
	if !ok {
		return deliver.Deployment{}, fmt.Errorf("gatekeeper: the plan of %s has no environment %q any more", w.run.branch, w.stage.Environment)
	}
	made, err := c.madeFor(ctx, c.DB.Read(), w.run)
	if err != nil {
		return deliver.Deployment{}, err
	}
	b, ok := made[w.stage.Deploy.Artifact]
	if !ok {
		return deliver.Deployment{}, fmt.Errorf("gatekeeper: artifact %q was not built in run %d", w.stage.Deploy.Artifact, w.run.ID)
	}
	app := policy.App
	if app == "" {
		app = r.Name
	}
	return deliver.Deployment{
		Place: deliver.Place{Repo: r.ID, Branch: w.run.branch}, App: app, Run: w.run.ID, StageRun: w.ID, Change: w.run.Change, PS: w.run.PS,
		Commit: w.run.Candidate, Policy: tip, Stage: w.stage, Env: e, Instance: instanceOf(e, w.run), Artifact: b.Artifact,
		Promotion: w.run.phase == phaseDeliver && e.Class == plan.Standing, Trust: w.trust,
	}, nil
}

// instanceOf names the assembly of a run in an ephemeral environment: the change has one, which
// each new patch set's takes over; a candidate of the queue has one of its own.
func instanceOf(e plan.Environment, run *runRow) string {
	switch {
	case e.Class != plan.Ephemeral:
		return ""
	case run.Change == 0:
		return "r" + strconv.FormatInt(run.ID, 10)
	default:
		return "c" + strconv.FormatInt(run.Change, 10)
	}
}
