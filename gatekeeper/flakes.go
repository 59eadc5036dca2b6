package gatekeeper

import (
	"context"
	"fmt"
	"strconv"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
)

// FlakeKind says how a failure was found not to be the change's doing.
type FlakeKind string

// The kinds of flake.
const (
	// FlakeRerun failed and later passed under the same key: nothing that it depends on differed.
	FlakeRerun FlakeKind = "rerun"
	// FlakeBase fails in a run of the branch itself too, on the very base of the change.
	FlakeBase FlakeKind = "base"
)

// maxFailedTests bounds what is remembered of one failed stage run: who breaks more than that
// broke one thing below all of them, and the log has the rest.
const maxFailedTests = 200

// findFlakes looks at what a new verdict says about failures that were there before it.
func (c *Controller) findFlakes(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	if s.green() {
		return c.passedAgain(ctx, tx, run, s)
	}
	if err := c.keepFailedTests(ctx, tx, run, s); err != nil {
		return err
	}
	return c.failsOnBase(ctx, tx, run, s)
}

func (c *Controller) keepFailedTests(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	if s.Tests == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, k := range s.Tests.Cases { // failures first
		name := k.FullName()
		if k.Status != plan.CaseFailed || seen[name] || len(seen) == maxFailedTests {
			continue
		}
		seen[name] = true
		_, err := tx.ExecContext(ctx, `INSERT INTO test_failures (stage_run_id, test, repo_id, stage, at) VALUES ($1, $2, $3, $4, $5)`,
			s.ID, name, run.repo, s.Stage, db.Micros(s.FinishedAt))
		if err != nil {
			return fmt.Errorf("gatekeeper: failed tests of stage run %d: %w", s.ID, err)
		}
	}
	return nil
}

// failedOnce selects stage runs that failed, or had tests that did, and are no known flakes.
const failedOnce = `(s.state IN ('FAILED', 'TIMED_OUT') OR EXISTS (SELECT 1 FROM test_failures t WHERE t.stage_run_id = s.id))
	AND NOT EXISTS (SELECT 1 FROM flakes f WHERE f.stage_run_id = s.id)`

// passedAgain: each earlier failure under the key of a stage run that passed was a flake.
func (c *Controller) passedAgain(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	if s.key == "" {
		return nil
	}
	failures, err := queryStages(ctx, tx, `s.result_key = $1 AND r.repo_id = $2 AND `+failedOnce, s.key, run.repo)
	if err != nil {
		return err
	}
	for _, failure := range failures {
		tests, err := failedTests(ctx, tx, failure.ID)
		if err != nil {
			return err
		}
		if err := c.addFlake(ctx, tx, FlakeRerun, failure, tests); err != nil {
			return err
		}
	}
	return nil
}

// failsOnBase compares a failure with those of the same stage in runs of the branch itself: of
// its base when it is a change's, of the changes based on it when it is the branch's own.
func (c *Controller) failsOnBase(ctx context.Context, tx *db.Tx, run *runRow, s StageRun) error {
	mine, err := failedTests(ctx, tx, s.ID)
	if err != nil {
		return err
	}
	if run.Change != 0 {
		onBase, err := queryStages(ctx, tx, `s.stage = $1 AND r.repo_id = $2 AND r.change_id = 0 AND r.commit_oid = $3 AND s.state IN ('FAILED', 'TIMED_OUT')`,
			s.Stage, run.repo, string(run.Base))
		if err != nil || len(onBase) == 0 {
			return err
		}
		theirs, err := failedTests(ctx, tx, onBase[len(onBase)-1].ID)
		if err != nil {
			return err
		}
		return c.addBaseFlake(ctx, tx, s, mine, theirs)
	}
	above, err := queryStages(ctx, tx, `s.stage = $1 AND r.repo_id = $2 AND r.change_id <> 0
		AND EXISTS (SELECT 1 FROM candidates k WHERE k.id = r.candidate_id AND k.base_oid = $3) AND `+failedOnce,
		s.Stage, run.repo, string(run.Candidate))
	if err != nil {
		return err
	}
	for _, failure := range above {
		theirs, err := failedTests(ctx, tx, failure.ID)
		if err != nil {
			return err
		}
		if err := c.addBaseFlake(ctx, tx, failure, theirs, mine); err != nil {
			return err
		}
	}
	return nil
}

// addBaseFlake writes a change's failure down as the base's, when all tests that failed in it
// fail on the base too. A stage that names no failed tests failed in the same way.
func (c *Controller) addBaseFlake(ctx context.Context, tx *db.Tx, failure StageRun, own, base []string) error {
	onBase := map[string]bool{}
	for _, name := range base {
		onBase[name] = true
	}
	for _, name := range own {
		if !onBase[name] {
			return nil // that one may be the change's doing
		}
	}
	return c.addFlake(ctx, tx, FlakeBase, failure, own)
}

func failedTests(ctx context.Context, q db.Querier, stageRun int64) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT test FROM test_failures WHERE stage_run_id = $1 ORDER BY test`, stageRun)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: failed tests: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("gatekeeper: failed tests: %w", err)
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// addFlake writes a failure down as one that was not the change's doing: for the stage, and
// for each of the tests. Written once, it stays as it was written.
func (c *Controller) addFlake(ctx context.Context, tx *db.Tx, kind FlakeKind, failure StageRun, tests []string) error {
	runs, err := queryRuns(ctx, tx, `r.id = $1`, failure.Run)
	if err != nil || len(runs) == 0 {
		return err
	}
	run := runs[0]
	for _, test := range append([]string{""}, tests...) {
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO flakes (id, repo_id, branch, stage, test, kind, run_id, stage_run_id, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (stage_run_id, test) DO NOTHING`,
			id, run.repo, run.branch, failure.Stage, test, string(kind), run.ID, failure.ID, db.Micros(failure.FinishedAt))
		if err != nil {
			return fmt.Errorf("gatekeeper: flake of stage run %d: %w", failure.ID, err)
		}
		if test == "" && len(tests) > 0 {
			continue // the tests tell of it
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "flake", Repo: run.repo, Change: run.Change, Data: map[string]string{
			"run": strconv.FormatInt(run.ID, 10), "stage": failure.Stage, "stage_run": strconv.FormatInt(failure.ID, 10), "test": test, "kind": string(kind)}})
		if err != nil {
			return err
		}
	}
	return nil
}
