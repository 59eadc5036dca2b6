package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// The states of an artifact.
const (
	ArtifactAttested = "ATTESTED" // built, and its statement is written
	ArtifactExpired  = "EXPIRED"  // its content was dropped, since nobody needs it
	ArtifactRevoked  = "REVOKED"  // somebody took it back: it enters no environment
)

// Built is an artifact with where it came from.
type Built struct {
	artifact.Artifact
	StageRun int64     `json:"stage_run"`
	Stage    string    `json:"stage"`
	Change   int64     `json:"change,omitempty"`
	Commit   git.OID   `json:"commit"`
	State    string    `json:"state"`
	BuiltAt  time.Time `json:"built_at"`

	repo      int64
	statement string // or the envelope with it
}

const builtColumns = `a.stage_run_id, a.name, a.type, a.digest, a.size, a.mode, a.commit_oid, a.state, a.created_at, a.repo_id, a.statement, s.stage, r.change_id`

// queryBuilt lists artifacts, oldest first.
func queryBuilt(ctx context.Context, q db.Querier, where string, args ...any) ([]Built, error) {
	var all []Built
	err := each(ctx, q, `SELECT `+builtColumns+` FROM artifacts a JOIN stage_runs s ON s.id = a.stage_run_id JOIN runs r ON r.id = s.run_id
		WHERE `+where+` ORDER BY a.id`, args, func(rows *sql.Rows) error {
		var b Built
		var at, mode int64
		err := rows.Scan(&b.StageRun, &b.Name, &b.Type, &b.Digest, &b.Size, &mode, &b.Commit, &b.State, &at, &b.repo, &b.statement, &b.Stage, &b.Change)
		b.BuiltAt, b.Executable = db.Time(at), mode != 0
		all = append(all, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: artifacts: %w", err)
	}
	return all, nil
}

// keepArtifacts writes down what a stage run made, in the transaction that writes its result:
// what an attempt made that came too late is nobody's.
func (c *Controller) keepArtifacts(ctx context.Context, tx *db.Tx, w *stageWork, s StageRun, made []artifact.Artifact) error {
	if len(made) == 0 || s.State != plan.Passed {
		return nil
	}
	head, err := w.git.Commit(ctx, w.run.Candidate)
	if err != nil {
		return err
	}
	for _, a := range made {
		statement, err := c.statement(w, s, a, string(head.Tree))
		if err != nil {
			return err
		}
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO artifacts (id, repo_id, stage_run_id, name, type, digest, size, mode, commit_oid, tree_oid, state, statement, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			id, w.run.repo, s.ID, a.Name, a.Type, a.Digest, a.Size, db.Bool(a.Executable), string(w.run.Candidate), string(head.Tree), ArtifactAttested, statement, db.Micros(s.FinishedAt))
		if err != nil {
			return fmt.Errorf("gatekeeper: artifact %s of stage run %d: %w", a.Name, s.ID, err)
		}
		err = c.noteRun(ctx, tx, w.run, "artifact.built", map[string]string{"stage": s.Stage, "stage_run": fmt.Sprint(s.ID), "artifact": a.Name, "digest": a.Digest})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepMetrics writes down what a stage run measured.
func keepMetrics(ctx context.Context, tx *db.Tx, s StageRun, metrics map[string]float64) error {
	rows := make([][]any, 0, len(metrics))
	for _, name := range sortedKeys(metrics) {
		rows = append(rows, []any{s.ID, name, metrics[name]})
	}
	if err := insert(ctx, tx, `INSERT INTO metrics (stage_run_id, name, value)`, rows, ""); err != nil {
		return fmt.Errorf("gatekeeper: metrics of stage run %d: %w", s.ID, err)
	}
	return nil
}

// artifactsOf are what the stages of runs made, by name: each made once, by the stage run whose
// execution is the evidence for the run.
func artifactsOf(ctx context.Context, q db.Querier, runs ...*runRow) (map[string]Built, error) {
	var ids []any
	var marks []string
	for _, run := range runs {
		if run == nil {
			continue
		}
		for _, s := range run.latest() {
			if s.State == plan.Passed {
				ids = append(ids, s.executed())
				marks = append(marks, fmt.Sprintf("$%d", len(ids)))
			}
		}
	}
	found := map[string]Built{}
	if len(ids) == 0 {
		return found, nil
	}
	all, err := queryBuilt(ctx, q, `a.stage_run_id IN (`+strings.Join(marks, ", ")+`)`, ids...)
	for _, b := range all {
		found[b.Name] = b
	}
	return found, err
}

// handed are the artifacts that the stage is given, from its own run and, after a landing, from
// the run that it landed with.
func (c *Controller) handed(ctx context.Context, q db.Querier, run *runRow, s plan.Stage) ([]runner.Handed, error) {
	if len(s.Uses) == 0 {
		return nil, nil
	}
	made, err := c.madeFor(ctx, q, run)
	if err != nil {
		return nil, err
	}
	var all []runner.Handed
	for _, name := range sortedKeys(s.Uses) {
		b, ok := made[name]
		switch {
		case !ok:
			return nil, fault.Newf(fault.Conflict, "gatekeeper.stage", "artifact %s was not built in this run", name)
		case b.State != ArtifactAttested:
			return nil, fault.Newf(fault.Conflict, "gatekeeper.stage", "artifact %s (%s) is %s", name, b.Digest, b.State)
		}
		all = append(all, runner.Handed{Artifact: b.Artifact, Path: s.Uses[name]})
	}
	return all, nil
}

// madeFor are the artifacts that a run works with.
func (c *Controller) madeFor(ctx context.Context, q db.Querier, run *runRow) (map[string]Built, error) {
	of, err := gatingRun(ctx, q, run)
	if err != nil {
		return nil, err
	}
	return artifactsOf(ctx, q, of, run)
}

// gatingRun is the run that a delivery's commit landed with; nil for other runs.
func gatingRun(ctx context.Context, q db.Querier, run *runRow) (*runRow, error) {
	if run.ofRun == 0 {
		return nil, nil
	}
	runs, err := queryRuns(ctx, q, `r.id = $1`, run.ofRun)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return runs[0], nil
}

// lacksContent reports whether a stage run made something whose content is not kept any more: its
// result cannot be taken over then, since what follows could not use it.
func (c *Controller) lacksContent(ctx context.Context, q db.Querier, stageRun int64) (bool, error) {
	all, err := queryBuilt(ctx, q, `a.stage_run_id = $1`, stageRun)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(all, func(b Built) bool { return b.State != ArtifactAttested }), nil
}

// Artifact finds an artifact of a repository by its digest, for whoever may read the repository.
// An artifact that was built twice is told as it was built first.
func (c *Controller) Artifact(ctx context.Context, actor account.Actor, repoID int64, digest string) (Built, error) {
	r, err := c.Repos.ByID(ctx, c.DB.Read(), repoID)
	if err != nil {
		return Built{}, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource("")); err != nil {
		return Built{}, err
	}
	where, err := c.mayHave(ctx, actor, repoID) // it may be of a private change
	if err != nil {
		return Built{}, err
	}
	all, err := queryBuilt(ctx, c.DB.Read(), `a.repo_id = $1 AND a.digest = $2 AND `+where, repoID, digest)
	if err != nil {
		return Built{}, err
	}
	if len(all) > 0 {
		return all[0], nil
	}
	return Built{}, fault.New(fault.NotFound, "gatekeeper.Artifact", "there is no such artifact", "gate artifact list REPO names those that there are")
}
