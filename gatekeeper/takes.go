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
	// stageHistory is how many of a repository's last stage runs are looked at for the medians
	// of its stages.
	stageHistory = 400
)

// medianTakes is how long a run on the branch takes: from its first stage's start to its last
// stage's end, in the median of the last that passed. Runs that only took results of others
// do not count, and of the others only the first attempt at a candidate.
func medianTakes(ctx context.Context, q db.Querier, repoID int64, branch string) (time.Duration, error) {
	rows, err := q.QueryContext(ctx, `SELECT MAX(s.finished_at) - MIN(s.started_at) FROM runs r JOIN stage_runs s ON s.run_id = r.id
		WHERE r.repo_id = $1 AND r.branch = $2 AND r.state = $3 AND r.attempt = 1 AND s.started_at > 0 AND s.finished_at > 0
		GROUP BY r.id ORDER BY r.id DESC LIMIT $4`, repoID, branch, string(RunPassed), takesHistory)
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
	rows, err := q.QueryContext(ctx, `SELECT s.stage, s.finished_at - s.started_at FROM stage_runs s JOIN runs r ON r.id = s.run_id
		WHERE r.repo_id = $1 AND s.state = $2 AND s.started_at > 0 ORDER BY s.id DESC LIMIT $3`, repoID, string(plan.Passed), stageHistory)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: durations of stages: %w", err)
	}
	defer func() { _ = rows.Close() }()
	last := map[string][]time.Duration{}
	for rows.Next() {
		var stage string
		var micros int64
		if err := rows.Scan(&stage, &micros); err != nil {
			return nil, fmt.Errorf("gatekeeper: durations of stages: %w", err)
		}
		if len(last[stage]) < takesHistory {
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
