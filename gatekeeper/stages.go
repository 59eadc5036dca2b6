package gatekeeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// noWorkerPause is how often a stage asks again on a server that runs no stages.
const noWorkerPause = time.Minute

func stageJob(id int64) db.Job { return db.Job{Kind: JobStage, Key: strconv.FormatInt(id, 10)} }

// logKey names the log of a stage run in the blob store.
func logKey(id int64) string { return fmt.Sprintf("log%016x", id) }

// stageHandler executes one stage run. It may be called again for one that is done or that
// somebody else holds; then it does nothing.
func (c *Controller) stageHandler(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: stage job %q: %w", key, err)
	}
	if c.NoStages != "" {
		return noWorkerPause, nil
	}
	s, claimed, err := c.claim(ctx, id)
	if err != nil || !claimed {
		return 0, err
	}
	crash("stage.claimed")
	result, err := c.execute(ctx, s)
	if err != nil {
		result = runner.Result{State: string(plan.Errored), Reason: "the server could not start the stage"}
		c.Log.Error("stage run", "id", s.ID, "stage", s.Stage, "err", err)
	}
	crash("stage.executed")
	// The server is stopping: whatever came back is not the code's doing.
	if ctx.Err() != nil {
		result = runner.Result{State: string(plan.Canceled), Reason: "the server stopped while it ran"}
	}
	return 0, c.report(context.WithoutCancel(ctx), s, result)
}

// claim takes the lease on a queued stage run.
func (c *Controller) claim(ctx context.Context, id int64) (s StageRun, ok bool, err error) {
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		ok = false
		lease := token()
		done, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, lease = $2, owner = $3, started_at = $4 WHERE id = $5 AND state = $6`,
			string(plan.Running), lease, c.me, db.Micros(c.Now()), id, string(plan.Queued))
		if err != nil {
			return fmt.Errorf("gatekeeper: claim stage run %d: %w", id, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err
		}
		ok = true
		if s, err = stageRunByID(ctx, tx, id); err != nil {
			return err
		}
		return c.note(ctx, tx, s.Change, "stage.started", map[string]string{"stage": s.Stage})
	})
	if err == nil && ok {
		c.Bus.Wake(event.ChangeTopic(s.Change), event.StageTopic(s.ID))
	}
	return s, ok, err
}

// execute runs the stage in the sandbox, with its log kept and streamed.
func (c *Controller) execute(ctx context.Context, s StageRun) (runner.Result, error) {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, s.Run)
	if err != nil || len(runs) == 0 {
		return runner.Result{}, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	run := runs[0]
	r, err := c.Repos.ByID(ctx, c.DB.Read(), run.repo)
	if err != nil {
		return runner.Result{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return runner.Result{}, err
	}
	composed, err := c.composed(ctx, g, run.planOID, run.Candidate)
	if err != nil {
		return runner.Result{}, err
	}
	stage, ok := composed.Stage(s.Stage)
	if !ok {
		return runner.Result{}, fmt.Errorf("gatekeeper: the plan has no stage %q any more", s.Stage)
	}
	trust, err := c.trust(ctx, r, run)
	if err != nil {
		return runner.Result{}, err
	}
	log, err := c.Blobs.Create(s.logKey)
	if err != nil {
		return runner.Result{}, err
	}
	out := &liveLog{w: log, wake: func() { c.Bus.Wake(event.StageTopic(s.ID)) }}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.watch(s.ID, cancel)
	defer c.unwatch(s.ID)
	result := c.Runner.Run(ctx, runner.Request{
		StageRun: s.ID, Stage: stage, Repo: g, RepoID: r.ID, Commit: run.Candidate, Log: out,
		Env: stageEnv(r, run, s), Trust: trust,
	})
	return result, log.Close()
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New("gatekeeper: " + text)
	}
	return nil
}

// stageEnv is what a stage is told about its subject.
func stageEnv(r repo.Repository, run *runRow, s StageRun) map[string]string {
	return map[string]string{
		"CI": "true", "GATE_REPOSITORY": r.Name, "GATE_BRANCH": run.branch,
		"GATE_CHANGE": strconv.FormatInt(run.Change, 10), "GATE_PATCH_SET": strconv.Itoa(run.PS),
		"GATE_COMMIT": string(run.Candidate), "GATE_BASE": string(run.Base), "GATE_STAGE": s.Stage,
	}
}

// trust names the cache that a stage may share. Those who may land changes share the
// repository's; code from anybody else could plant something there for the next stage to
// run, so it gets a cache of its change's own.
func (c *Controller) trust(ctx context.Context, r repo.Repository, run *runRow) (string, error) {
	ps, err := c.Review.PatchSet(ctx, c.DB.Read(), run.Change, run.PS)
	if err != nil {
		return "", err
	}
	uploader, err := c.Accounts.Actor(ctx, c.DB.Read(), ps.Uploader, methodVote)
	if err == nil {
		err = c.May(ctx, uploader, account.Submit, r.Resource(run.branch))
	}
	if err != nil { // disabled since, or may not land
		return fmt.Sprintf("change-%d", run.Change), nil
	}
	return "", nil
}

// watch lets a superseded run stop its stages in this process.
func (c *Controller) watch(id int64, cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[id] = cancel
}

func (c *Controller) unwatch(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.running, id)
}

// stop cancels the stage runs of a run that are executing in this process.
func (c *Controller) stop(run *runRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range run.Stages {
		if cancel, ok := c.running[s.ID]; ok {
			cancel()
		}
	}
}

// report writes the result of an attempt, if its lease is still the live one, and has the
// branch looked at.
func (c *Controller) report(ctx context.Context, s StageRun, result runner.Result) error {
	tests := ""
	if result.Tests != nil {
		text, err := json.Marshal(result.Tests)
		if err != nil {
			return fmt.Errorf("gatekeeper: tests of stage run %d: %w", s.ID, err)
		}
		tests = string(text)
	}
	err := c.DB.Transact(ctx, func(tx *db.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, exit_code = $3, tests = $4, finished_at = $5
			WHERE id = $6 AND lease = $7 AND state = $8`,
			result.State, result.Reason, result.ExitCode, tests, db.Micros(c.Now()), s.ID, s.lease, string(plan.Running))
		if err != nil {
			return fmt.Errorf("gatekeeper: report stage run %d: %w", s.ID, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // somebody ended it already: this result comes too late to count
		}
		ch, err := c.branchOf(ctx, tx, s.Run)
		if err != nil {
			return err
		}
		if err := tx.Enqueue(ctx, repo.BranchJob(ch.repo, ch.branch)); err != nil {
			return err
		}
		return c.note(ctx, tx, s.Change, "stage.ended", map[string]string{"stage": s.Stage, "state": result.State})
	})
	c.Bus.Wake(event.ChangeTopic(s.Change), event.StageTopic(s.ID))
	return err
}

func (c *Controller) branchOf(ctx context.Context, q db.Querier, run int64) (branchKey, error) {
	var k branchKey
	err := q.QueryRowContext(ctx, `SELECT repo_id, branch FROM runs WHERE id = $1`, run).Scan(&k.repo, &k.branch)
	if err != nil {
		return k, fmt.Errorf("gatekeeper: branch of run %d: %w", run, err)
	}
	return k, nil
}

// liveLog passes output on and wakes its readers.
type liveLog struct {
	mu   sync.Mutex
	w    io.Writer
	wake func()
}

func (l *liveLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	n, err := l.w.Write(p)
	l.mu.Unlock()
	l.wake()
	return n, err
}
