package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxStageErrors is how often the machinery may fail at one stage before its run gives up:
// twice can be bad luck, three times in a row needs a person.
const maxStageErrors = 3

// startCandidate starts a run of the candidate under the policy at policyAt, unless one runs or
// has passed. It gives 0 when nobody can follow the plan: Explain says so.
func (t *tick) startCandidate(ctx context.Context, k *candidate, policyAt git.OID, digest, outcome string) (int64, error) {
	return t.startRun(ctx, t.lock.repo.ID, t.lock.branch, *k, policyAt, digest, outcome)
}

// advanceRuns takes in what stages reported: starts the stages that can start, retries what
// the machinery broke, ends the runs that have their verdict.
func (t *tick) advanceRuns(ctx context.Context) error {
	runs, err := queryRuns(ctx, t.DB.Read(), `r.repo_id = $1 AND r.branch = $2 AND r.state = $3 AND r.phase = $4`, t.lock.repo.ID, t.lock.branch, string(RunRunning), phaseGate)
	if err != nil || len(runs) == 0 {
		return err
	}
	stale, err := t.staleRuns(ctx)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if why := stale[run.ID]; why != "" {
			err = t.cancelRun(ctx, run.ID, why)
		} else {
			err = t.advance(ctx, run)
		}
		if err != nil {
			t.Log.Error("advance a run", "run", run.ID, "change", run.Change, "err", err)
		}
	}
	return nil
}

// staleRuns are the runs on the branch that nobody needs: a member's patch set was replaced or
// its change closed, or the candidate is no check and nobody in it is queued any more.
func (t *tick) staleRuns(ctx context.Context) (map[int64]string, error) {
	stale := map[int64]string{}
	err := each(ctx, t.DB.Read(), `SELECT r.id, k.checks,
			SUM(CASE WHEN c.status = $4 AND c.current_ps = m.ps THEN 0 ELSE 1 END),
			SUM(CASE WHEN e.change_id IS NULL THEN 0 ELSE 1 END)
		FROM runs r JOIN candidates k ON k.id = r.candidate_id JOIN candidate_changes m ON m.candidate_id = k.id AND m.role = $5
		JOIN changes c ON c.id = m.change_id LEFT JOIN queue_entries e ON e.change_id = m.change_id AND e.ps = m.ps
		WHERE r.repo_id = $1 AND r.branch = $2 AND r.state = $3 GROUP BY r.id, k.checks`,
		[]any{t.lock.repo.ID, t.lock.branch, string(RunRunning), string(review.Open), roleMember}, func(rows *sql.Rows) error {
			var run, checks, closed, queued int64
			err := rows.Scan(&run, &checks, &closed, &queued)
			switch {
			case closed > 0:
				stale[run] = "a patch set was replaced or a change closed"
			case queued == 0 && checks == 0:
				stale[run] = "nobody in it is queued any more"
			}
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: stale runs on %s: %w", t.lock.branch, err)
	}
	return stale, nil
}

func (t *tick) advance(ctx context.Context, run *runRow) error {
	whole, err := t.composed(ctx, t.git, run.planOID, run.Candidate)
	if err != nil {
		return err
	}
	p := whole.Gating(run.outcome)
	changed, err := t.changedPaths(ctx, t.git, run.Base, run.Candidate)
	if err != nil {
		return err
	}
	keys, err := t.stageKeys(ctx, t.git, whole, run)
	if err != nil {
		return err
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		fresh, err := queryRuns(ctx, tx, `r.id = $1 AND r.state = $2`, run.ID, string(RunRunning))
		if err != nil || len(fresh) == 0 {
			return err
		}
		run := fresh[0]
		run.keys = keys
		states, err := t.retry(ctx, tx, p, run)
		if err != nil {
			return err
		}
		evidence, err := t.evidenceOf(ctx, tx, p, run, changed)
		if err != nil {
			return err
		}
		evidence.Stages = states
		steps := plan.Next(p, evidence, t.Now())
		again := len(steps.Skip) > 0 // what these held up can start, or the run is done
		for _, name := range steps.Start {
			stage, _ := p.Stage(name)
			settled, err := t.start(ctx, tx, run, stage)
			if err != nil {
				return err
			}
			again = again || settled
		}
		for _, name := range steps.Skip {
			why := "the change touches none of its paths"
			if stage, _ := p.Stage(name); stage.Matches(changed) {
				why = "it does not run on " + run.branch
			}
			if err := t.addStageRun(ctx, tx, run, name, plan.Skipped, why); err != nil {
				return err
			}
			states[name] = plan.Skipped
		}
		for _, name := range steps.Bypass {
			if err := t.addStageRun(ctx, tx, run, name, plan.Bypassed, leftOutWords(evidence, name)); err != nil {
				return err
			}
			again = true
		}
		if again {
			return tx.Enqueue(ctx, repo.BranchJob(t.lock.repo.ID, t.lock.branch))
		}
		if !steps.Done {
			return nil
		}
		return t.verdict(ctx, tx, p, run, evidence)
	})
}

// retry starts another attempt at each stage that the machinery, not the code, ended; and
// gives the states as they are then. The server's own stop does not count against a stage.
func (t *tick) retry(ctx context.Context, tx *db.Tx, p *plan.Plan, run *runRow) (map[string]plan.StageState, error) {
	errored := map[string]int{}
	for _, s := range run.Stages {
		if s.State == plan.Errored {
			errored[s.Stage]++
		}
	}
	states := map[string]plan.StageState{}
	for name, s := range run.latest() {
		states[name] = s.State
		stage, _ := p.Stage(name)
		again := s.State == plan.Canceled && !s.stopped || s.State == plan.Errored && errored[name] <= retriesOf(stage)
		if !again {
			continue
		}
		if err := t.addStageRun(ctx, tx, run, name, plan.Queued, ""); err != nil {
			return nil, err
		}
		states[name] = plan.Queued
	}
	return states, nil
}

// verdict ends a run whose stages are all settled.
func (t *tick) verdict(ctx context.Context, tx *db.Tx, p *plan.Plan, run *runRow, evidence plan.Evidence) error {
	state, reasons := plan.RunVerdict(p, evidence, t.Now())
	t.touched[run.Change] = true
	why := plan.Summary(reasons)
	switch state {
	case plan.RunPassed:
		if err := t.deliverOutside(ctx, tx, run); err != nil {
			return err
		}
		return t.endRun(ctx, tx, run, RunPassed, "")
	case plan.RunRefused:
		return t.endRun(ctx, tx, run, RunRefused, why)
	case plan.RunErrored:
		if words := run.stoppedWords(); words != "" {
			return t.endRun(ctx, tx, run, RunCanceled, words)
		}
		return t.endRun(ctx, tx, run, RunErrored, why)
	case plan.RunRunning:
		return nil
	default:
		panic("gatekeeper: unknown verdict " + string(state))
	}
}

// cancelRun ends a run that nobody needs: its stages stop at once, and what they report counts
// for nothing.
func (c *Controller) cancelRun(ctx context.Context, id int64, why string) error {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1 AND r.state = $2`, id, string(RunRunning))
	if err != nil || len(runs) == 0 {
		return err
	}
	if err := c.DB.Transact(ctx, func(tx *db.Tx) error { return c.supersede(ctx, tx, id, why) }); err != nil {
		return err
	}
	c.stop(runs[0])
	return nil
}
