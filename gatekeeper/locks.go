package gatekeeper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

// What a stage run holds while it runs is written with it: an environment, and the locks that its
// plan names. There is no other record of who holds what, so whatever ends a stage run gives all
// of it back, a dead server's too.

const (
	holdsEnvironment = "env:"
	holdsLock        = "lock:"
)

func joinHolds(names []string) string { return strings.Join(names, " ") }

func splitHolds(text string) []string { return strings.Fields(text) }

// lockWords says what a lock is, for people.
func lockWords(name string) string {
	if lock, ok := strings.CutPrefix(name, holdsLock); ok {
		return "the lock " + lock
	}
	parts := strings.SplitN(strings.TrimPrefix(name, holdsEnvironment), ":", 2) // branch, environment
	return "the environment " + parts[len(parts)-1]
}

// wantsLocks are what a stage holds while it runs.
func wantsLocks(s plan.Stage, e plan.Environment, run *runRow) []string {
	var all []string
	if s.Environment != "" {
		name := holdsEnvironment + run.branch + ":" + s.Environment
		if instance := instanceOf(e, run); instance != "" {
			name += ":" + instance
		}
		all = append(all, name)
	}
	for _, name := range s.Locks {
		all = append(all, holdsLock+name)
	}
	return all
}

// busy says what a stage run must wait for, "" when it may begin: each lock is held by at most as
// many running stages as the plan allows, one where it says nothing.
func busy(ctx context.Context, tx *db.Tx, w *stageWork) (string, error) {
	if len(w.holds) == 0 {
		return "", nil
	}
	running, err := queryStages(ctx, tx, `s.state = $1 AND s.holds <> '' AND r.repo_id = $2 AND s.id <> $3`, string(plan.Running), w.repo.ID, w.ID)
	if err != nil {
		return "", err
	}
	held := map[string][]StageRun{}
	for _, s := range running {
		for _, name := range splitHolds(s.holds) {
			held[name] = append(held[name], s)
		}
	}
	for _, name := range w.holds {
		if by := held[name]; len(by) >= max(w.locks[name], 1) {
			return fmt.Sprintf("waits for %s, which %s of run %d holds since %s", lockWords(name), by[0].Stage, by[0].Run, by[0].StartedAt.UTC().Format(time.TimeOnly)), nil
		}
	}
	return "", nil
}

// holdUp leaves a stage run queued, with what it waits for.
func (c *Controller) holdUp(ctx context.Context, tx *db.Tx, w *stageWork, why string) error {
	if why == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE stage_runs SET reason = $1, holds = $2 WHERE id = $3 AND state = $4`, why, joinHolds(w.holds), w.ID, string(plan.Queued))
	if err != nil {
		return fmt.Errorf("gatekeeper: stage run %d waits: %w", w.ID, err)
	}
	return nil
}

// wakeHeldUp asks for workers for those that may have waited for what was given back.
func (c *Controller) wakeHeldUp(ctx context.Context, tx *db.Tx, repoID int64, given []string) error {
	if len(given) == 0 {
		return nil
	}
	return c.wakeQueued(ctx, tx, `s.holds <> '' AND r.repo_id = $2`, repoID)
}
