package gatekeeper

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// flakeWindow is what the statistics look back on: long enough for a rate of one in a
	// hundred to show, short enough that what was mended disappears.
	flakeWindow = 30 * 24 * time.Hour
	// flakeKeep is how long flakes and failed tests are kept.
	flakeKeep = 90 * 24 * time.Hour
	// maxFlakyTests bounds the list; nobody mends more at a time.
	maxFlakyTests = 100
	// quarantineSoon is how long before its end a quarantine is named as ending.
	quarantineSoon = 7 * 24 * time.Hour
)

// FlakeReport is how reliable the stages of a repository are.
type FlakeReport struct {
	Repository  string            `json:"repository"`
	Since       time.Time         `json:"since"`
	Stages      []FlakeCount      `json:"stages"` // all that ran, the least reliable first
	Tests       []FlakeCount      `json:"tests"`  // those that flaked, the least reliable first
	Quarantines []QuarantineState `json:"quarantines"`
}

// FlakeCount counts what became of a stage, or of one of its tests.
type FlakeCount struct {
	Stage    string  `json:"stage"`
	Test     string  `json:"test,omitempty"`
	Runs     int     `json:"runs"`     // executed, with a verdict; a test's are those of its stage
	Failures int     `json:"failures"` // of the runs
	Flakes   int     `json:"flakes"`   // of the failures, those that were not the change's doing
	OnBase   int     `json:"on_base"`  // of the flakes, those that failed on the branch itself too
	Rate     float64 `json:"rate"`     // flakes in one run, 0 to 1
	// LastSeen is when it flaked last; zero when it did not.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// LastRun is the stage run that flaked last: its log is the evidence.
	LastRun int64 `json:"last_stage_run,omitempty"`
}

// QuarantineState is a stage whose failures do not count for a while, by the plan of a branch.
type QuarantineState struct {
	Branch string `json:"branch"`
	Stage  string `json:"stage"`
	Owner  string `json:"owner"`
	Until  string `json:"until"` // the last day, as 2026-12-24
	Reason string `json:"reason,omitempty"`
	State  string `json:"state"` // QuarantineHolds, QuarantineEnds or QuarantineOver
}

// The states of a quarantine.
const (
	QuarantineHolds = "holds"
	QuarantineEnds  = "ends soon" // within a week
	QuarantineOver  = "over"      // its failures count again; the plan still has it
)

// Flakes reports on a repository, for whoever may read it.
func (c *Controller) Flakes(ctx context.Context, actor account.Actor, repoName string) (FlakeReport, error) {
	q := c.DB.Read()
	r, err := c.Repos.ByName(ctx, q, repoName)
	if err != nil {
		return FlakeReport{}, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource("")); err != nil {
		return FlakeReport{}, err
	}
	report := FlakeReport{Repository: r.Name, Since: c.Now().Add(-flakeWindow).UTC()}
	if report.Stages, err = stageCounts(ctx, q, r.ID, report.Since); err != nil {
		return FlakeReport{}, err
	}
	if report.Tests, err = testCounts(ctx, q, r.ID, report.Since, report.Stages); err != nil {
		return FlakeReport{}, err
	}
	report.Quarantines, err = c.quarantines(ctx, r)
	return report, err
}

// leastReliable orders by rate, then by failures, then by name.
func leastReliable(a, b FlakeCount) int {
	return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Test, b.Test))
}

func (f *FlakeCount) rate() {
	if f.Runs > 0 {
		f.Rate = float64(f.Flakes) / float64(f.Runs)
	}
}

// stageCounts counts the verdicts of executed stage runs; reused ones say nothing new.
func stageCounts(ctx context.Context, q db.Querier, repoID int64, since time.Time) ([]FlakeCount, error) {
	rows, err := q.QueryContext(ctx, `SELECT s.stage, COUNT(*),
			SUM(CASE WHEN s.state = 'PASSED' AND NOT EXISTS (SELECT 1 FROM test_failures t WHERE t.stage_run_id = s.id) THEN 0 ELSE 1 END),
			COUNT(f.id), SUM(CASE WHEN f.kind = $1 THEN 1 ELSE 0 END), COALESCE(MAX(f.at), 0), COALESCE(MAX(f.stage_run_id), 0)
		FROM stage_runs s JOIN runs r ON r.id = s.run_id LEFT JOIN flakes f ON f.stage_run_id = s.id AND f.test = ''
		WHERE r.repo_id = $2 AND s.finished_at >= $3 AND s.reused_from = 0 AND s.state IN ('PASSED', 'FAILED', 'TIMED_OUT') GROUP BY s.stage`,
		string(FlakeBase), repoID, db.Micros(since))
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: count stage runs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := []FlakeCount{}
	for rows.Next() {
		var f FlakeCount
		var last int64
		if err := rows.Scan(&f.Stage, &f.Runs, &f.Failures, &f.Flakes, &f.OnBase, &last, &f.LastRun); err != nil {
			return nil, fmt.Errorf("gatekeeper: count stage runs: %w", err)
		}
		f.LastSeen = db.Time(last)
		f.rate()
		all = append(all, f)
	}
	slices.SortFunc(all, leastReliable)
	return all, rows.Err()
}

// testCounts counts for the tests that flaked. How often a test ran is how often its stage did:
// a stage runs the same tests every time, as far as anybody can tell from its results.
func testCounts(ctx context.Context, q db.Querier, repoID int64, since time.Time, stages []FlakeCount) ([]FlakeCount, error) {
	rows, err := q.QueryContext(ctx, `SELECT f.stage, f.test, COUNT(*), SUM(CASE WHEN f.kind = $1 THEN 1 ELSE 0 END), MAX(f.at), MAX(f.stage_run_id),
			(SELECT COUNT(*) FROM test_failures t WHERE t.repo_id = $2 AND t.at >= $3 AND t.stage = f.stage AND t.test = f.test)
		FROM flakes f WHERE f.repo_id = $4 AND f.at >= $5 AND f.test <> '' GROUP BY f.stage, f.test ORDER BY 3 DESC, 1, 2 LIMIT $6`,
		string(FlakeBase), repoID, db.Micros(since), repoID, db.Micros(since), maxFlakyTests)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: count tests: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := []FlakeCount{}
	for rows.Next() {
		var f FlakeCount
		var last int64
		if err := rows.Scan(&f.Stage, &f.Test, &f.Flakes, &f.OnBase, &last, &f.LastRun, &f.Failures); err != nil {
			return nil, fmt.Errorf("gatekeeper: count tests: %w", err)
		}
		f.LastSeen = db.Time(last)
		for _, s := range stages {
			if s.Stage == f.Stage {
				f.Runs = s.Runs
			}
		}
		f.rate()
		all = append(all, f)
	}
	slices.SortFunc(all, leastReliable)
	return all, rows.Err()
}

// quarantines lists those in the plans of the gated branches. A plan that cannot be read has
// none, and closes its branch anyway.
func (c *Controller) quarantines(ctx context.Context, r repo.Repository) ([]QuarantineState, error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	refs, err := g.Refs(ctx, "refs/heads")
	if err != nil {
		return nil, err
	}
	all := []QuarantineState{}
	for _, ref := range refs {
		branch := shortBranch(ref.Name)
		if !r.Gates(branch) {
			continue
		}
		p, _, err := c.planOf(ctx, g, ref.OID)
		if fault.Is(err, fault.Internal) {
			return nil, err
		}
		if err != nil {
			continue
		}
		for _, s := range p.Stages {
			if s.Quarantine != nil {
				all = append(all, quarantineOf(branch, s, c.Now()))
			}
		}
	}
	slices.SortFunc(all, func(a, b QuarantineState) int {
		return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Stage, b.Stage))
	})
	return all, nil
}

func quarantineOf(branch string, s plan.Stage, now time.Time) QuarantineState {
	q := s.Quarantine
	state := QuarantineState{Branch: branch, Stage: s.Name, Owner: q.Owner, Until: q.Until.Format(time.DateOnly), Reason: q.Reason, State: QuarantineHolds}
	switch {
	case !q.InForce(now):
		state.State = QuarantineOver
	case !q.InForce(now.Add(quarantineSoon)):
		state.State = QuarantineEnds
	}
	return state
}

// quarantineWords say on a change that a stage's failures do not count, or count again.
func quarantineWords(s plan.Stage, now time.Time) string {
	if s.Quarantine == nil {
		return ""
	}
	q := quarantineOf("", s, now)
	switch q.State {
	case QuarantineOver:
		return fmt.Sprintf("its quarantine ended on %s: failures count again (%s)", q.Until, q.Owner)
	case QuarantineEnds:
		return fmt.Sprintf("in quarantine only until %s (%s): failures do not count", q.Until, q.Owner)
	default:
		return fmt.Sprintf("in quarantine until %s (%s): failures do not count", q.Until, q.Owner)
	}
}

// pruneResults forgets what is too old to be taken or counted.
func (c *Controller) pruneResults(ctx context.Context, repoID int64) error {
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		now := c.Now()
		for _, p := range []struct {
			statement string
			before    time.Time
		}{
			{`DELETE FROM stage_results WHERE repo_id = $1 AND created_at < $2`, now.Add(-resultAge)},
			{`DELETE FROM test_failures WHERE repo_id = $1 AND at < $2`, now.Add(-flakeKeep)},
			{`DELETE FROM flakes WHERE repo_id = $1 AND at < $2`, now.Add(-flakeKeep)},
		} {
			if _, err := tx.ExecContext(ctx, p.statement, repoID, db.Micros(p.before)); err != nil {
				return fmt.Errorf("gatekeeper: prune results: %w", err)
			}
		}
		return c.pruneReports(ctx, tx, repoID, now)
	})
}
