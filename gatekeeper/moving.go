package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// moving refuses to give a change another branch while the queue of its own has it, and sets
// its checks aside: they tried it on the branch that it leaves.
func (c *Controller) moving(ctx context.Context, tx *db.Tx, ch review.Change) error {
	const op = "gatekeeper.moving"
	var open int
	err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM queue_entries WHERE change_id = $1) + (SELECT count(*) FROM landings WHERE change_id = $1 AND state = $2)`,
		ch.ID, landingIntent).Scan(&open)
	if err != nil {
		return fmt.Errorf("gatekeeper: queue entry of change %d: %w", ch.ID, err)
	}
	if open > 0 {
		return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is in the queue of %s", ch.ID, ch.Branch), fmt.Sprintf("take the wish to land it back first: gate submit %d --off", ch.ID))
	}
	for _, query := range []string{
		`UPDATE candidates SET checks = 0 WHERE change_id = $1 AND checks = 1`,
		`DELETE FROM ejections WHERE change_id = $1`,
	} {
		if _, err := tx.ExecContext(ctx, query, ch.ID); err != nil {
			return fmt.Errorf("gatekeeper: set checks of change %d aside: %w", ch.ID, err)
		}
	}
	return nil
}
