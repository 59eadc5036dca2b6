package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// stageChecks finds the newest verdict of each stage on a patch set by itself, with what it
// came with. A verdict that is being made anew stays until the new one is there.
func stageChecks(ctx context.Context, q db.Querier, change int64, ps int) (Checks, error) {
	checks := Checks{Change: change, PatchSet: ps, Stages: []StageChecks{}}
	at := map[string]int{}
	err := each(ctx, q, `SELECT s.id, s.stage, s.reused_from, r.commit_oid, k.tree_oid, p.dropped, p.notes, p.cover_run, p.cover_all,
			(SELECT COUNT(*) FROM annotations a WHERE a.stage_run_id = p.stage_run_id AND a.severity = 'error'),
			(SELECT COUNT(*) FROM annotations a WHERE a.stage_run_id = p.stage_run_id AND a.severity = 'warning'),
			(SELECT COUNT(*) FROM annotations a WHERE a.stage_run_id = p.stage_run_id AND a.severity = 'notice')
		FROM stage_runs s JOIN runs r ON r.id = s.run_id JOIN candidates k ON k.id = r.candidate_id
		JOIN stage_reports p ON p.stage_run_id = CASE WHEN s.reused_from = 0 THEN s.id ELSE s.reused_from END
		WHERE r.change_id = $1 AND r.ps = $2 AND k.members = $3 AND s.state IN ('PASSED', 'FAILED', 'TIMED_OUT') ORDER BY s.id`,
		[]any{change, ps, membersText([]queue.Member{{Change: change, PS: ps}})}, func(rows *sql.Rows) error {
			var s StageChecks
			var notes string
			if err := rows.Scan(&s.StageRun, &s.Stage, &s.executed, &s.Commit, &s.tree, &s.Dropped, &notes, &s.CoverRun, &s.CoverAll,
				&s.Errors, &s.Warnings, &s.Notices); err != nil {
				return err
			}
			if s.executed == 0 {
				s.executed = s.StageRun
			}
			s.Notes = splitNotes(notes)
			if i, seen := at[s.Stage]; seen {
				checks.Stages[i] = s
				return nil
			}
			at[s.Stage] = len(checks.Stages)
			checks.Stages = append(checks.Stages, s)
			return nil
		})
	if err != nil {
		return Checks{}, fmt.Errorf("gatekeeper: reports on change %d: %w", change, err)
	}
	return checks, nil
}

func splitNotes(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// annotationsOf reads the annotations of a stage run that was executed.
func annotationsOf(ctx context.Context, q db.Querier, stageRun int64) ([]annotate.Annotation, error) {
	var all []annotate.Annotation
	err := each(ctx, q, `SELECT path, line, end_line, col, severity, tool, rule, message, url FROM annotations WHERE stage_run_id = $1 ORDER BY position`,
		[]any{stageRun}, func(rows *sql.Rows) error {
			var a annotate.Annotation
			err := rows.Scan(&a.Path, &a.Line, &a.EndLine, &a.Column, &a.Severity, &a.Tool, &a.Rule, &a.Message, &a.URL)
			all = append(all, a)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: annotations of stage run %d: %w", stageRun, err)
	}
	return all, nil
}

func (s *StageChecks) readFindings(ctx context.Context, q db.Querier) error {
	if s.Errors+s.Warnings+s.Notices == 0 {
		return nil
	}
	all, err := annotationsOf(ctx, q, s.executed)
	for _, a := range all {
		s.Findings = append(s.Findings, Finding{Annotation: a, Stage: s.Stage, StageRun: s.StageRun})
	}
	return err
}

// coverageOf reads the coverage of the files that the change of a stage run touches.
func coverageOf(ctx context.Context, q db.Querier, stageRun int64) (map[string]annotate.Lines, error) {
	files := map[string]annotate.Lines{}
	err := each(ctx, q, `SELECT path, marks FROM coverage WHERE stage_run_id = $1`, []any{stageRun}, func(rows *sql.Rows) error {
		var path, marks string
		if err := rows.Scan(&path, &marks); err != nil {
			return err
		}
		var err error
		files[path], err = annotate.ParseLines(marks)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: coverage of stage run %d: %w", stageRun, err)
	}
	return files, nil
}
