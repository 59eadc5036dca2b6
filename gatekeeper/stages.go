package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
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
	w, err := c.stageWork(ctx, id)
	if err != nil {
		return 0, err
	}
	claimed, err := c.claim(ctx, w)
	if err != nil || !claimed {
		return 0, err
	}
	crash("stage.claimed")
	result, err := c.execute(ctx, w)
	if err != nil {
		result = runner.Result{State: string(plan.Errored), Reason: "the server could not start the stage"}
		c.Log.Error("stage run", "id", w.ID, "stage", w.Stage, "err", err)
	}
	crash("stage.executed")
	// The server is stopping: whatever came back is not the code's doing.
	if ctx.Err() != nil {
		result = runner.Result{State: string(plan.Canceled), Reason: "the server stopped while it ran"}
	}
	return 0, c.report(context.WithoutCancel(ctx), w, result)
}

// stageWork is a stage run with what a worker must know about it.
type stageWork struct {
	StageRun
	run   *runRow
	repo  repo.Repository
	git   *git.Repo
	stage plan.Stage
	env   map[string]string // what the stage is told
	// changed are the files that the candidate changes.
	changed map[string]bool
	trust   string            // whose cache it shares
	types   map[string]string // of the plan's artifacts
	uses    []runner.Handed   // what it was given
	holds   []string          // what it holds while it runs
	locks   map[string]int    // how many may hold each lock of the plan
	// broken is why it cannot be executed at all, nil when it can.
	broken error
}

func (c *Controller) stageWork(ctx context.Context, id int64) (*stageWork, error) {
	q := c.DB.Read()
	s, err := stageRunByID(ctx, q, id)
	if err != nil {
		return nil, err
	}
	runs, err := queryRuns(ctx, q, `r.id = $1`, s.Run)
	if err != nil || len(runs) == 0 {
		return nil, errors.Join(err, errIf(len(runs) == 0, "the run is gone"))
	}
	w := &stageWork{StageRun: s, run: runs[0]}
	if w.repo, err = c.Repos.ByID(ctx, q, w.run.repo); err != nil {
		return nil, err
	}
	w.broken = c.prepare(ctx, w)
	return w, nil
}

// prepare finds what the stage does and under which key its result is kept.
func (c *Controller) prepare(ctx context.Context, w *stageWork) error {
	var err error
	if w.git, err = c.Repos.Open(w.repo); err != nil {
		return err
	}
	composed, err := c.composed(ctx, w.git, w.run.planOID, w.run.Candidate)
	if err != nil {
		return err
	}
	var ok bool
	if w.stage, ok = composed.Stage(w.Stage); !ok {
		return fmt.Errorf("gatekeeper: the plan has no stage %q any more", w.Stage)
	}
	if w.trust, err = c.trust(ctx, w.repo, w.run); err != nil {
		return err
	}
	e, _ := composed.Environment(w.stage.Environment)
	w.types, w.holds = typesOf(composed), wantsLocks(w.stage, e, w.run)
	w.locks = map[string]int{}
	for name, n := range composed.Locks {
		w.locks["lock:"+name] = n
	}
	content, err := c.contentKeys(ctx, w.git, composed, w.run)
	if err != nil {
		return err
	}
	changed, err := c.changedPaths(ctx, w.git, w.run.Base, w.run.Candidate)
	if err != nil {
		return err
	}
	w.changed = make(map[string]bool, len(changed))
	for _, path := range changed {
		w.changed[path] = true
	}
	w.env = stageEnv(w.stage, subject(w.repo, w.run))
	// Made again, because who may share a cache can have changed since the row was written.
	w.key = ""
	if w.run.reuses(w.stage) {
		w.key = w.run.key(w.stage, content[w.Stage], w.trust, w.env)
	}
	return nil
}

// claim takes the lease on a queued stage run. One whose result is there by now takes that
// instead; one that is being executed for another run leaves it to that, and waits.
func (c *Controller) claim(ctx context.Context, w *stageWork) (ok bool, err error) {
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		ok = false
		now, err := stageRunByID(ctx, tx, w.ID)
		if err != nil || now.State != plan.Queued {
			return err
		}
		if w.broken == nil {
			if settled, err := c.takeOrWait(ctx, tx, w); err != nil || settled {
				return err
			}
		}
		if why, err := busy(ctx, tx, w); err != nil || why != "" {
			return errors.Join(err, c.holdUp(ctx, tx, w, why))
		}
		lease := token()
		done, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = '', lease = $2, owner = $3, started_at = $4, result_key = $5, holds = $6
			WHERE id = $7 AND state = $8`,
			string(plan.Running), lease, c.me, db.Micros(c.Now()), w.key, joinHolds(w.holds), w.ID, string(plan.Queued))
		if err != nil {
			return fmt.Errorf("gatekeeper: claim stage run %d: %w", w.ID, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err
		}
		ok, w.lease = true, lease
		return c.noteRun(ctx, tx, w.run, "stage.started", map[string]string{"stage": w.Stage, "stage_run": strconv.FormatInt(w.ID, 10)})
	})
	if err == nil {
		c.Bus.Wake(event.ChangeTopic(w.Change), event.StageTopic(w.ID), event.RepoTopic(w.repo.ID))
	}
	return ok, err
}

// takeOrWait is the part of claim for stages that need not run, or not now.
func (c *Controller) takeOrWait(ctx context.Context, tx *db.Tx, w *stageWork) (bool, error) {
	from, found, err := c.reusable(ctx, tx, w.run, w.stage, w.key)
	if err != nil {
		return false, err
	}
	if found {
		if err := c.reuseQueued(ctx, tx, w.run, w.StageRun, from); err != nil {
			return false, err
		}
		return true, lookAgain(ctx, tx, w.run)
	}
	other, err := sameRunning(ctx, tx, w.run.repo, w.key)
	if err != nil || other == 0 {
		return false, err
	}
	// The key tells the other's end whom to wake.
	_, err = tx.ExecContext(ctx, `UPDATE stage_runs SET reason = $1, result_key = $2 WHERE id = $3 AND state = $4`,
		fmt.Sprintf("waits for the result of run %d, which is running the same", other), w.key, w.ID, string(plan.Queued))
	if err != nil {
		return false, fmt.Errorf("gatekeeper: stage run %d waits: %w", w.ID, err)
	}
	return true, nil
}

// execute runs the stage in the sandbox, with its log kept and streamed.
func (c *Controller) execute(ctx context.Context, w *stageWork) (runner.Result, error) {
	if w.broken != nil {
		return runner.Result{}, w.broken
	}
	log, err := c.Blobs.Create(w.logKey)
	if err != nil {
		return runner.Result{}, err
	}
	times, err := c.Blobs.Create(timesKey(w.logKey))
	if err != nil {
		return runner.Result{}, errors.Join(err, log.Close())
	}
	out := &liveLog{w: &stamper{log: log, times: times, now: c.Now}, wake: func() { c.Bus.Wake(event.StageTopic(w.ID)) }}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.watch(w.ID, cancel)
	defer c.unwatch(w.ID)
	if now, err := stageRunByID(ctx, c.DB.Read(), w.ID); err == nil && now.State != plan.Running {
		cancel() // its run was cancelled before the watch stood
	}
	result, err := c.perform(ctx, w, out)
	return result, errors.Join(err, log.Close(), times.Close())
}

func errIf(bad bool, text string) error {
	if bad {
		return errors.New("gatekeeper: " + text)
	}
	return nil
}

// subject is what stages can be told about their subject.
func subject(r repo.Repository, run *runRow) map[string]string {
	return map[string]string{
		"GATE_REPOSITORY": r.Name, "GATE_BRANCH": run.branch,
		"GATE_CHANGE": strconv.FormatInt(run.Change, 10), "GATE_PATCH_SET": strconv.Itoa(run.PS),
		"GATE_COMMIT": string(run.Candidate), "GATE_BASE": string(run.Base),
	}
}

// stageEnv is what the stage is told: of its subject only what it names.
func stageEnv(s plan.Stage, subject map[string]string) map[string]string {
	env := map[string]string{"CI": "true", "GATE_STAGE": s.Name}
	for _, name := range toldTo(s) {
		env[name] = subject[name]
	}
	return env
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
func (c *Controller) report(ctx context.Context, w *stageWork, result runner.Result) error {
	tests, err := testsText(result.Tests)
	if err != nil {
		return err
	}
	s := w.StageRun
	s.State, s.Reason, s.ExitCode, s.Tests = plan.StageState(result.State), result.Reason, result.ExitCode, result.Tests
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		s.FinishedAt = c.Now()
		done, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, exit_code = $3, tests = $4, finished_at = $5
			WHERE id = $6 AND lease = $7 AND state = $8`,
			result.State, result.Reason, result.ExitCode, tests, db.Micros(s.FinishedAt), s.ID, s.lease, string(plan.Running))
		if err != nil {
			return fmt.Errorf("gatekeeper: report stage run %d: %w", s.ID, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // somebody ended it already: this result comes too late to count
		}
		if err := c.keepResult(ctx, tx, w.run, s); err != nil {
			return err
		}
		if err := c.keepReport(ctx, tx, w, s, result); err != nil {
			return err
		}
		if err := c.keepArtifacts(ctx, tx, w, s, result.Artifacts); err != nil {
			return err
		}
		if err := keepMetrics(ctx, tx, s, result.Metrics); err != nil {
			return err
		}
		if err := c.wakeEqual(ctx, tx, w.run.repo, s.key); err != nil {
			return err
		}
		if err := c.wakeHeldUp(ctx, tx, w.run.repo, w.holds); err != nil {
			return err
		}
		if err := lookAgain(ctx, tx, w.run); err != nil {
			return err
		}
		return c.noteRun(ctx, tx, w.run, "stage.ended", map[string]string{
			"stage": s.Stage, "stage_run": strconv.FormatInt(s.ID, 10), "state": result.State})
	})
	c.Bus.Wake(event.ChangeTopic(s.Change), event.StageTopic(s.ID), event.RepoTopic(w.repo.ID))
	return err
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
