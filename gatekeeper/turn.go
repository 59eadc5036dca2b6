package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"

	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxReadyLooks is how many changes one look at a branch asks whether they are ready: those
// that were touched last. The others are asked when something about them moves.
const maxReadyLooks = 50

// kindReady is the event that tells, once for a patch set, that nothing is missing but that
// somebody asks to land it.
const kindReady = "change.ready"

// toMend makes it the owner's turn when a check ended without a yes. A run of the queue says
// nothing of one change alone; the ejection does.
func (c *Controller) toMend(ctx context.Context, tx *db.Tx, run *runRow, state RunState, reason string) error {
	if state != RunRefused && state != RunErrored {
		return nil
	}
	var checks int64
	if err := tx.QueryRowContext(ctx, `SELECT checks FROM candidates WHERE id = $1`, run.candidateID).Scan(&checks); err != nil {
		return fmt.Errorf("gatekeeper: candidate of run %d: %w", run.ID, err)
	}
	if checks == 0 { // it may be of the bare branch, and of no change
		return nil
	}
	ch, err := c.Review.Load(ctx, tx, run.Change)
	if err != nil || ch.Current != run.PS {
		return err
	}
	why := "its stages refused it"
	if state == RunErrored {
		why = "its stages could not be run"
	}
	if reason != "" {
		why += ": " + reason
	}
	return c.Review.NeedsMending(ctx, tx, run.Change, clipWords(why))
}

// clipWords keeps a reason on one line of a list.
func clipWords(text string) string {
	const most = 200
	for i := range text {
		if i >= most {
			return text[:i] + "…"
		}
	}
	return text
}

// tellReady makes it the owners' turn on whose changes nothing waits but for somebody to ask
// to land them. It is told once for a patch set.
func (c *Controller) tellReady(ctx context.Context, k branchKey) error {
	var ids []int64
	err := each(ctx, c.DB.Read(), `SELECT c.id FROM changes c WHERE c.repo_id = $1 AND c.branch = $2 AND c.status = $3 AND c.wip = 0 AND c.submit_by = 0
		AND EXISTS (SELECT 1 FROM runs r JOIN candidates k ON k.id = r.candidate_id AND k.checks = 1
			WHERE r.change_id = c.id AND r.ps = c.current_ps AND r.state = $4)
		AND NOT EXISTS (SELECT 1 FROM events e WHERE e.change_id = c.id AND e.kind = $5 AND e.data = '{"patch_set":"' || CAST(c.current_ps AS TEXT) || '"}')
		ORDER BY c.updated_at DESC LIMIT $6`,
		[]any{k.repo, k.branch, string(review.Open), string(RunPassed), kindReady, maxReadyLooks}, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	if err != nil {
		return fmt.Errorf("gatekeeper: who may be ready: %w", err)
	}
	for _, id := range ids {
		f, err := c.facts(ctx, c.DB.Read(), id)
		if err != nil {
			return err
		}
		if f.state() != Ready || f.change.SubmitBy != 0 {
			continue
		}
		if err := c.ready(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *Controller) ready(ctx context.Context, f *facts) error {
	err := c.DB.Transact(ctx, func(tx *db.Tx) error {
		ch, err := c.Review.Load(ctx, tx, f.change.ID)
		if err != nil || ch.UpdatedAt != f.change.UpdatedAt || ch.SubmitBy != 0 {
			return err // it has moved: the look that follows says
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kindReady, Repo: ch.Repo, Change: ch.ID,
			Data: map[string]string{"patch_set": fmt.Sprint(ch.Current)}})
		if err != nil {
			return err
		}
		return c.Review.NeedsLanding(ctx, tx, ch.ID)
	})
	if err == nil {
		c.Bus.Wake(event.ChangeTopic(f.change.ID), event.RepoTopic(f.change.Repo))
	}
	return err
}
