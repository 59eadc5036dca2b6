package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

const (
	// takesHistory is how many of the last runs tell how long the next takes: enough for one
	// odd run not to matter, few enough to follow a plan that changes.
	takesHistory = 20
	// defaultTakes is said of a branch on which no run has passed yet.
	defaultTakes = 5 * time.Minute
	// lookBack is how many runs are looked at for them: some only took results of others.
	lookBack = 5 * takesHistory
)

// medianTakes is how long a run on the branch takes: from its first stage's start to its last
// stage's end, in the median of the last that passed. Runs that only took results of others
// do not count, and of the others only the first attempt at a candidate.
func medianTakes(ctx context.Context, q db.Querier, repoID int64, branch string) (time.Duration, error) {
	rows, err := q.QueryContext(ctx, `SELECT MAX(s.finished_at) - MIN(s.started_at) FROM stage_runs s
		WHERE s.started_at > 0 AND s.finished_at > 0 AND s.run_id IN (
			SELECT id FROM runs WHERE repo_id = $1 AND branch = $2 AND state = $3 AND attempt = 1 AND phase = 'gate' ORDER BY id DESC LIMIT $4)
		GROUP BY s.run_id ORDER BY s.run_id DESC LIMIT $5`, repoID, branch, string(RunPassed), lookBack, takesHistory)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: durations of runs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []time.Duration
	for rows.Next() {
		var micros int64
		if err := rows.Scan(&micros); err != nil {
			return 0, fmt.Errorf("gatekeeper: durations of runs: %w", err)
		}
		all = append(all, time.Duration(micros)*time.Microsecond)
	}
	if len(all) == 0 {
		return defaultTakes, rows.Err()
	}
	return median(all), rows.Err()
}

// stageMedians is how long each stage of the repository takes when it passes. A stage that
// has not passed lately is missing.
func stageMedians(ctx context.Context, q db.Querier, repoID int64) (map[string]time.Duration, error) {
	rows, err := q.QueryContext(ctx, `SELECT s.stage, s.state, s.finished_at - s.started_at FROM stage_runs s
		WHERE s.started_at > 0 AND s.run_id IN (SELECT id FROM runs WHERE repo_id = $1 ORDER BY id DESC LIMIT $2)
		ORDER BY s.run_id DESC`, repoID, lookBack)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: durations of stages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	last := map[string][]time.Duration{}
	for rows.Next() {
		var stage string
		var state plan.StageState
		var micros int64
		if err := rows.Scan(&stage, &state, &micros); err != nil {
			return nil, fmt.Errorf("gatekeeper: durations of stages: %w", err)
		}
		if state == plan.Passed && len(last[stage]) < takesHistory {
			last[stage] = append(last[stage], time.Duration(micros)*time.Microsecond)
		}
	}
	medians := make(map[string]time.Duration, len(last))
	for stage, all := range last {
		medians[stage] = median(all)
	}
	return medians, rows.Err()
}

// median is the middle of some durations, the lower of two. It sorts them.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
