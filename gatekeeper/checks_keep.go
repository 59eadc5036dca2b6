package gatekeeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/runner"
	"gatehouse/migrations/db"
)

const (
	// reportKeep is how long annotations, coverage and the results of tests are kept: as long
	// as flakes count in the statistics.
	reportKeep = flakeWindow
	// maxCoverFiles is of how many files of a change the coverage is kept; nobody reads more.
	maxCoverFiles = 1_000
	// maxMarksText is how long the coverage of one file may be, written down: every second
	// line of a file of 30,000 lines.
	maxMarksText = 256 << 10
	// rowsAtOnce is how many rows one statement writes.
	rowsAtOnce = 100
)

// keepReport writes down what a stage run reported beside its result. It is called in the
// transaction that writes the result, so that nothing of an attempt that came too late counts.
func (c *Controller) keepReport(ctx context.Context, tx *db.Tx, w *stageWork, s StageRun, r runner.Result) error {
	if err := c.keepTests(ctx, tx, w, s); err != nil {
		return err
	}
	if len(w.stage.Annotations) == 0 && len(w.stage.Coverage) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO stage_reports (stage_run_id, repo_id, dropped, cover_run, cover_all, notes, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		s.ID, w.run.repo, r.Findings.Dropped, r.Coverage.Run, r.Coverage.All, strings.Join(r.Notes, "\n"), db.Micros(s.FinishedAt))
	if err != nil {
		return fmt.Errorf("gatekeeper: report of stage run %d: %w", s.ID, err)
	}
	rows := make([][]any, 0, len(r.Findings.Kept))
	for i, a := range r.Findings.Kept {
		rows = append(rows, []any{s.ID, i, a.Path, a.Line, a.EndLine, a.Column, string(a.Severity), a.Tool, a.Rule, a.Message, a.URL})
	}
	if err := insert(ctx, tx, `INSERT INTO annotations (stage_run_id, position, path, line, end_line, col, severity, tool, rule, message, url)`, rows, ""); err != nil {
		return fmt.Errorf("gatekeeper: annotations of stage run %d: %w", s.ID, err)
	}
	rows = nil
	for _, path := range slices.Sorted(maps.Keys(r.Coverage.Files)) {
		marks := r.Coverage.Files[path].String()
		if marks == "" || len(marks) > maxMarksText || len(rows) == maxCoverFiles {
			continue
		}
		rows = append(rows, []any{s.ID, path, marks})
	}
	if err := insert(ctx, tx, `INSERT INTO coverage (stage_run_id, path, marks)`, rows, ""); err != nil {
		return fmt.Errorf("gatekeeper: coverage of stage run %d: %w", s.ID, err)
	}
	return nil
}

// insert writes rows with as few statements as may be; end follows the values.
func insert(ctx context.Context, tx *db.Tx, into string, rows [][]any, end string) error {
	for some := range slices.Chunk(rows, rowsAtOnce) {
		var values strings.Builder
		args := make([]any, 0, len(some)*len(some[0]))
		for i, row := range some {
			values.WriteString(separator(i) + "(")
			for j, value := range row {
				args = append(args, value)
				fmt.Fprintf(&values, "%s$%d", separator(j), len(args))
			}
			values.WriteString(")")
		}
		if _, err := tx.ExecContext(ctx, into+" VALUES "+values.String()+" "+end, args...); err != nil {
			return err
		}
	}
	return nil
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// pruneReports forgets reports that are too old; what was reused lately is as old as the run
// that made it. Tests without a result go with them.
func (c *Controller) pruneReports(ctx context.Context, tx *db.Tx, repoID int64, now time.Time) error {
	before := db.Micros(now.Add(-reportKeep))
	const old = `stage_run_id IN (SELECT s.id FROM stage_runs s JOIN runs r ON r.id = s.run_id WHERE r.repo_id = $1 AND s.finished_at > 0 AND s.finished_at < $2)`
	for _, statement := range []string{
		`DELETE FROM annotations WHERE ` + old, `DELETE FROM coverage WHERE ` + old, `DELETE FROM test_results WHERE ` + old,
		`DELETE FROM stage_reports WHERE repo_id = $1 AND at < $2`,
	} {
		if _, err := tx.ExecContext(ctx, statement, repoID, before); err != nil {
			return fmt.Errorf("gatekeeper: prune reports: %w", err)
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM tests WHERE repo_id = $1 AND NOT EXISTS (SELECT 1 FROM test_results t WHERE t.test_id = tests.id)`, repoID)
	if err != nil {
		return fmt.Errorf("gatekeeper: prune tests: %w", err)
	}
	return nil
}
