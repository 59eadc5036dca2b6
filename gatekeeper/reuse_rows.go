package gatekeeper

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

// start begins a stage of the run: it takes the result of an equal one, or waits for a worker.
// settled reports the former.
func (c *Controller) start(ctx context.Context, tx *db.Tx, run *runRow, s plan.Stage) (settled bool, err error) {
	from, ok, err := c.reusable(ctx, tx, run, s, run.keys[s.Name])
	if err != nil {
		return false, err
	}
	if !ok {
		return false, c.addStageRun(ctx, tx, run, s.Name, plan.Queued, "")
	}
	return true, c.addReused(ctx, tx, run, s.Name, from)
}

// reusable finds the result that the run may take for the stage: the newest verdict under the
// key, or under the same key in the repository's own cache, when it is PASSED and young enough.
func (c *Controller) reusable(ctx context.Context, q db.Querier, run *runRow, s plan.Stage, key string) (from StageRun, ok bool, err error) {
	if key == "" {
		return StageRun{}, false, nil
	}
	since := c.Now().Add(-run.maxAge(s))
	for _, key := range []string{key, sharedKey(key)} {
		var id, at int64
		var state plan.StageState
		err := q.QueryRowContext(ctx, `SELECT stage_run_id, state, created_at FROM stage_results WHERE repo_id = $1 AND result_key = $2`,
			run.repo, key).Scan(&id, &state, &at)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			continue
		case err != nil:
			return StageRun{}, false, fmt.Errorf("gatekeeper: result of stage %q: %w", s.Name, err)
		case state != plan.Passed:
			return StageRun{}, false, nil // to be confirmed
		case db.Time(at).After(since):
			if lacks, err := c.lacksContent(ctx, q, id); err != nil || lacks {
				return StageRun{}, false, err
			}
			from, err := stageRunByID(ctx, q, id)
			return from, err == nil, err
		}
	}
	return StageRun{}, false, nil
}

func reusedWords(from StageRun) string { return fmt.Sprintf("reused from run %d", from.Run) }

// addReused writes the next attempt at a stage as PASSED with the evidence of another, which
// was executed and had the same key.
func (c *Controller) addReused(ctx context.Context, tx *db.Tx, run *runRow, stage string, from StageRun) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	tests, err := testsText(from.Tests)
	if err != nil {
		return err
	}
	now := db.Micros(c.Now())
	_, err = tx.ExecContext(ctx, `INSERT INTO stage_runs
		(id, run_id, stage, attempt, state, reason, exit_code, log_key, tests, created_at, finished_at, result_key, reused_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		id, run.ID, stage, run.latest()[stage].Attempt+1, string(plan.Passed), reusedWords(from), from.ExitCode, from.logKey, tests, now, now,
		run.keys[stage], from.executed())
	if err != nil {
		return fmt.Errorf("gatekeeper: reuse stage run %d: %w", from.ID, err)
	}
	return c.noteReused(ctx, tx, run, stage, id, from)
}

// reuseQueued gives a stage run that waited the evidence of another.
func (c *Controller) reuseQueued(ctx context.Context, tx *db.Tx, run *runRow, s StageRun, from StageRun) error {
	tests, err := testsText(from.Tests)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, exit_code = $3, log_key = $4, tests = $5, finished_at = $6,
		result_key = $7, reused_from = $8 WHERE id = $9 AND state = $10`,
		string(plan.Passed), reusedWords(from), from.ExitCode, from.logKey, tests, db.Micros(c.Now()), s.key, from.executed(), s.ID, string(plan.Queued))
	if err != nil {
		return fmt.Errorf("gatekeeper: reuse stage run %d: %w", from.ID, err)
	}
	return c.noteReused(ctx, tx, run, s.Stage, s.ID, from)
}

func (c *Controller) noteReused(ctx context.Context, tx *db.Tx, run *runRow, stage string, id int64, from StageRun) error {
	return c.noteRun(ctx, tx, run, "stage.ended", map[string]string{
		"stage": stage, "stage_run": fmt.Sprint(id), "state": string(plan.Passed), "reused": fmt.Sprint(from.Run)})
}

// executed is the stage run whose execution is the evidence: itself, or the one it was taken from.
func (s StageRun) executed() int64 {
	if s.ReusedFrom != 0 {
		return s.ReusedFrom
	}
	return s.ID
}

func testsText(tests *plan.Tests) (string, error) {
	if tests == nil {
		return "", nil
	}
	text, err := json.Marshal(shownTests(tests))
	if err != nil {
		return "", fmt.Errorf("gatekeeper: tests: %w", err)
	}
	return string(text), nil
}

// sameRunning finds a stage run that is being executed under the key.
func sameRunning(ctx context.Context, q db.Querier, repoID int64, key string) (runID int64, err error) {
	if key == "" {
		return 0, nil
	}
	err = q.QueryRowContext(ctx, `SELECT r.id FROM stage_runs s JOIN runs r ON r.id = s.run_id
		WHERE s.result_key = $1 AND s.state = $2 AND r.repo_id = $3 ORDER BY s.id LIMIT 1`, key, string(plan.Running), repoID).Scan(&runID)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: equal stage runs: %w", err)
	}
	return runID, nil
}

// keepResult remembers the verdict that a stage run was executed for; and it looks for what
// the verdict says about earlier ones. A result that no key names is only looked at.
func (c *Controller) keepResult(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	switch s.State {
	case plan.Passed, plan.Failed, plan.TimedOut:
	default:
		return nil // no verdict about the code
	}
	state := s.State
	if !s.green() {
		state = plan.Failed
	}
	if s.key != "" {
		_, err := tx.ExecContext(ctx, `INSERT INTO stage_results (repo_id, result_key, stage, state, stage_run_id, created_at)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (repo_id, result_key) DO UPDATE SET state = excluded.state, stage_run_id = excluded.stage_run_id, created_at = excluded.created_at`,
			run.repo, s.key, s.Stage, string(state), s.ID, db.Micros(s.FinishedAt))
		if err != nil {
			return fmt.Errorf("gatekeeper: keep result of stage run %d: %w", s.ID, err)
		}
	}
	return c.findFlakes(ctx, tx, run, s)
}

// green reports whether the stage run passed without a test that failed: a script may end well
// all the same, and a gate that counts failed tests says no.
func (s StageRun) green() bool {
	return s.State == plan.Passed && (s.Tests == nil || s.Tests.Failed == 0)
}

// wakeEqual has those that wait for a stage run with this key look again: one of them takes
// the result, or runs itself.
func (c *Controller) wakeEqual(ctx context.Context, tx *db.Tx, repoID int64, key string) error {
	if key == "" {
		return nil
	}
	return c.wakeQueued(ctx, tx, `s.result_key = $2 AND r.repo_id = $3`, key, repoID)
}

// wakeQueued asks again for a worker for queued stage runs: all, or some.
func (c *Controller) wakeQueued(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	waiting, err := queryStages(ctx, tx, `s.state = $1 AND `+where, append([]any{string(plan.Queued)}, args...)...)
	if err != nil {
		return err
	}
	for _, s := range waiting {
		if err := tx.Enqueue(ctx, stageJob(s.ID)); err != nil {
			return err
		}
	}
	return nil
}

// nothingFailed reports whether every stage of the run that was started has passed.
func (r *runRow) nothingFailed() bool {
	for _, s := range r.latest() {
		if s.State != plan.Skipped && !s.green() {
			return false
		}
	}
	return true
}

// forgetResult makes a stage of a run that passed run again when it is asked for next.
func forgetResult(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM stage_results WHERE repo_id = $1 AND result_key IN ($2, $3)`,
		run.repo, s.key, sharedKey(s.key)); err != nil {
		return fmt.Errorf("gatekeeper: forget result of stage run %d: %w", s.ID, err)
	}
	return nil
}
