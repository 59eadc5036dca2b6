package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// runRow is a run with what the controller needs beside what people see.
type runRow struct {
	Run
	repo        int64
	branch      string
	candidateID int64
	planOID     git.OID // the commit whose policy half it was started under
	planDigest  string
	keys        map[string]string // of its stages' results, while stages are started
	phase       string            // phaseGate or phaseDeliver
	ofRun       int64             // the gating run of a delivery, 0 when the commit was on the branch already
	outcome     string            // how far it is meant to go, "" for as far as the plan does
}

const runColumns = `r.id, r.change_id, r.ps, r.commit_oid, c.base_oid, r.attempt, r.state, r.reason, r.created_at, r.finished_at,
	r.repo_id, r.branch, r.candidate_id, r.plan_oid, r.plan_digest, r.phase, r.of_run, r.outcome`

// queryRuns lists runs with their stage runs, oldest first.
func queryRuns(ctx context.Context, q db.Querier, where string, args ...any) ([]*runRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+runColumns+` FROM runs r JOIN candidates c ON c.id = r.candidate_id
		WHERE `+where+` ORDER BY r.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: runs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []*runRow
	byID := map[int64]*runRow{}
	for rows.Next() {
		var r runRow
		var created, finished int64
		if err := rows.Scan(&r.ID, &r.Change, &r.PS, &r.Candidate, &r.Base, &r.Attempt, &r.State, &r.Reason, &created, &finished,
			&r.repo, &r.branch, &r.candidateID, &r.planOID, &r.planDigest, &r.phase, &r.ofRun, &r.outcome); err != nil {
			return nil, fmt.Errorf("gatekeeper: runs: %w", err)
		}
		r.CreatedAt, r.FinishedAt = db.Time(created), db.Time(finished)
		all = append(all, &r)
		byID[r.ID] = &r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("gatekeeper: runs: %w", err)
	}
	if err := rows.Close(); err != nil {
		return nil, fmt.Errorf("gatekeeper: runs: %w", err)
	}
	return all, fillStages(ctx, q, byID)
}

// fillStages reads the stage runs of all runs in one statement.
func fillStages(ctx context.Context, q db.Querier, runs map[int64]*runRow) error {
	if len(runs) == 0 {
		return nil
	}
	marks, args := make([]string, 0, len(runs)), make([]any, 0, len(runs))
	for id := range runs {
		args = append(args, id)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	stages, err := queryStages(ctx, q, `s.run_id IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return err
	}
	for _, s := range stages {
		runs[s.Run].Stages = append(runs[s.Run].Stages, s)
	}
	return nil
}

func queryStages(ctx context.Context, q db.Querier, where string, args ...any) ([]StageRun, error) {
	rows, err := q.QueryContext(ctx, `SELECT s.id, s.run_id, r.change_id, s.stage, s.attempt, s.state, s.reason, s.exit_code,
			s.lease, s.owner, s.log_key, s.tests, s.created_at, s.started_at, s.finished_at, s.result_key, s.reused_from, s.holds, s.stopped_by
		FROM stage_runs s JOIN runs r ON r.id = s.run_id WHERE `+where+` ORDER BY s.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: stage runs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []StageRun
	for rows.Next() {
		var s StageRun
		var tests string
		var created, started, finished, stoppedBy int64
		if err := rows.Scan(&s.ID, &s.Run, &s.Change, &s.Stage, &s.Attempt, &s.State, &s.Reason, &s.ExitCode,
			&s.lease, &s.owner, &s.logKey, &tests, &created, &started, &finished, &s.key, &s.ReusedFrom, &s.holds, &stoppedBy); err != nil {
			return nil, fmt.Errorf("gatekeeper: stage runs: %w", err)
		}
		s.stopped = stoppedBy != 0
		s.CreatedAt, s.StartedAt, s.FinishedAt = db.Time(created), db.Time(started), db.Time(finished)
		if tests != "" {
			s.Tests = &plan.Tests{}
			if err := json.Unmarshal([]byte(tests), s.Tests); err != nil {
				return nil, fmt.Errorf("gatekeeper: tests of stage run %d: %w", s.ID, err)
			}
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// latest is the newest attempt at each stage of the run.
func (r *Run) latest() map[string]StageRun {
	newest := map[string]StageRun{}
	for _, s := range r.Stages {
		if old, seen := newest[s.Stage]; !seen || s.Attempt > old.Attempt {
			newest[s.Stage] = s
		}
	}
	return newest
}

// startRun gives the run of the candidate under the composed plan that is under way or has
// passed, and writes one when there is none. Another attempt at a candidate runs again what
// has not passed: the results of the rest are taken.
func (c *Controller) startRun(ctx context.Context, repoID int64, branch string, cand candidate, planOID git.OID, digest, outcome string) (id int64, err error) {
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		if moved, err := cand.aimMoved(ctx, tx); err != nil || moved {
			return err
		}
		existing, err := queryRuns(ctx, tx, `r.candidate_id = $1 AND r.plan_digest = $2`, cand.ID, digest)
		if err != nil {
			return err
		}
		attempt := 1
		for _, r := range existing {
			if r.State == RunRunning || r.State == RunPassed {
				id = r.ID
				return nil
			}
			attempt = max(attempt, r.Attempt+1)
		}
		if id, err = tx.NextID(ctx, db.RowIDs); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO runs
			(id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state, created_at, outcome)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			id, repoID, branch, cand.Change, cand.PS, cand.ID, string(cand.Commit), string(planOID), digest, attempt, string(RunRunning), db.Micros(c.Now()), outcome)
		if err != nil {
			return fmt.Errorf("gatekeeper: start run: %w", err)
		}
		run := &runRow{Run: Run{ID: id, Change: cand.Change, PS: cand.PS}, repo: repoID, branch: branch, candidateID: cand.ID}
		return c.noteRun(ctx, tx, run, "run.started", map[string]string{"attempt": fmt.Sprint(attempt)})
	})
	return id, err
}

// aimMoved says that somebody asked for another outcome since the plan of a check was composed:
// whoever did has asked for another look too, which starts the run that is wanted now.
func (k *candidate) aimMoved(ctx context.Context, q db.Querier) (bool, error) {
	if k.aim == nil {
		return false, nil
	}
	var now string
	if err := q.QueryRowContext(ctx, `SELECT outcome FROM changes WHERE id = $1`, k.Change).Scan(&now); err != nil {
		return false, fmt.Errorf("gatekeeper: outcome of change %d: %w", k.Change, err)
	}
	return now != *k.aim, nil
}

// noteRun appends an event about a run.
func (c *Controller) noteRun(ctx context.Context, tx *db.Tx, run *runRow, kind string, data map[string]string) error {
	all := map[string]string{"run": fmt.Sprint(run.ID), "candidate": fmt.Sprint(run.candidateID), "branch": run.branch, "ps": fmt.Sprint(run.PS)}
	maps.Copy(all, data)
	_, err := event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: run.repo, Change: run.Change, Data: all})
	return err
}

// endRun writes the verdict of a run that is still running.
func (c *Controller) endRun(ctx context.Context, tx *db.Tx, run *runRow, state RunState, reason string) error {
	_, err := tx.ExecContext(ctx, `UPDATE runs SET state = $1, reason = $2, finished_at = $3 WHERE id = $4 AND state = $5`,
		string(state), reason, db.Micros(c.Now()), run.ID, string(RunRunning))
	if err != nil {
		return fmt.Errorf("gatekeeper: end run %d: %w", run.ID, err)
	}
	if err := c.noteRun(ctx, tx, run, "run.ended", map[string]string{"state": string(state), "reason": reason}); err != nil {
		return err
	}
	if err := c.tellRefused(ctx, tx, run, state); err != nil {
		return err
	}
	return c.toMend(ctx, tx, run, state, reason)
}

// supersede ends a run whose verdict nobody needs any more, finished or not, and its stages:
// what those report that run counts for nothing. The caller stops them after the commit.
func (c *Controller) supersede(ctx context.Context, tx *db.Tx, runID int64, reason string) error {
	runs, err := queryRuns(ctx, tx, `r.id = $1 AND r.state <> $2`, runID, string(RunSuperseded))
	if err != nil || len(runs) == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE runs SET state = $1, reason = $2, finished_at = $3 WHERE id = $4`,
		string(RunSuperseded), reason, db.Micros(c.Now()), runID); err != nil {
		return fmt.Errorf("gatekeeper: supersede run %d: %w", runID, err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, finished_at = $3, lease = '' WHERE run_id = $4 AND state IN ($5, $6)`,
		string(plan.Canceled), reason, db.Micros(c.Now()), runID, string(plan.Queued), string(plan.Running)); err != nil {
		return fmt.Errorf("gatekeeper: supersede run %d: %w", runID, err)
	}
	for _, s := range runs[0].Stages {
		if s.State != plan.Running {
			continue
		}
		if err := c.wakeEqual(ctx, tx, runs[0].repo, s.key); err != nil { // they wait for a result that will not come
			return err
		}
		if err := c.wakeHeldUp(ctx, tx, runs[0].repo, splitHolds(s.holds)); err != nil {
			return err
		}
	}
	return c.noteRun(ctx, tx, runs[0], "run.canceled", map[string]string{"reason": reason})
}

// addStageRun writes the next attempt at a stage and, when it is to run, asks for a worker.
func (c *Controller) addStageRun(ctx context.Context, tx *db.Tx, run *runRow, stage string, state plan.StageState, reason string) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	finished := int64(0)
	if state != plan.Queued {
		finished = db.Micros(c.Now())
	}
	attempt := run.latest()[stage].Attempt + 1
	_, err = tx.ExecContext(ctx, `INSERT INTO stage_runs (id, run_id, stage, attempt, state, reason, log_key, created_at, finished_at, result_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id, run.ID, stage, attempt, string(state), reason, logKey(id), db.Micros(c.Now()), finished, run.keys[stage])
	if err != nil {
		return fmt.Errorf("gatekeeper: add stage run: %w", err)
	}
	if state != plan.Queued {
		return nil
	}
	return tx.Enqueue(ctx, stageJob(id))
}

func stageRunByID(ctx context.Context, q db.Querier, id int64) (StageRun, error) {
	all, err := queryStages(ctx, q, `s.id = $1`, id)
	if err != nil {
		return StageRun{}, err
	}
	if len(all) == 0 {
		return StageRun{}, fault.Newf(fault.NotFound, "gatekeeper.stage", "there is no stage run %d", id)
	}
	return all[0], nil
}

// refusedAmong tells which of the changes the check or the queue refused in the current patch set.
func (c *Controller) refusedAmong(ctx context.Context, changes []int64) (map[int64]bool, error) {
	refused := map[int64]bool{}
	if len(changes) == 0 {
		return refused, nil
	}
	marks, args := make([]string, 0, len(changes)), []any{string(RunRefused)}
	for _, id := range changes {
		args = append(args, id)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	rows, err := c.DB.Read().QueryContext(ctx, `SELECT c.id FROM changes c WHERE c.id IN (`+strings.Join(marks, ", ")+`) AND (
		EXISTS (SELECT 1 FROM ejections j WHERE j.change_id = c.id AND j.ps = c.current_ps)
		OR EXISTS (SELECT 1 FROM runs r JOIN candidates k ON k.id = r.candidate_id AND k.checks = 1
			WHERE r.change_id = c.id AND r.ps = c.current_ps AND r.state = $1
			AND NOT EXISTS (SELECT 1 FROM queue_entries e WHERE e.change_id = c.id)))`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: refused changes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("gatekeeper: refused changes: %w", err)
		}
		refused[id] = true
	}
	return refused, rows.Err()
}
