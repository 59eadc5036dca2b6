package gatekeeper

import (
	"context"
	"fmt"
	"time"

	"gatehouse/migrations/db"
)

const (
	// boardSpan is how much time the time machine's scale shows.
	boardSpan = 24 * time.Hour
	// BoardSlots is how many parts the scale has: a quarter of an hour each.
	BoardSlots = 96
	// boardTicks bounds how many landings the scale counts: a queue that lands more in a day
	// shows the newest of them.
	boardTicks = 4000
)

// BoardDay is what happened around the moment that a board shows, for a scale of time.
type BoardDay struct {
	From, Until time.Time
	Landed      [BoardSlots]int // changes that landed in each part
	Left        [BoardSlots]int // changes that were put out
}

// boardDay counts who landed and who was put out in the day that ends now or, for a moment
// before that, the day around it.
func (c *Controller) boardDay(ctx context.Context, q db.Querier, repoID int64, branch string, at time.Time) (BoardDay, error) {
	d := BoardDay{Until: c.Now().Truncate(time.Second)}
	if at.Before(d.Until.Add(-boardSpan)) {
		d.Until = at.Add(boardSpan / 2)
	}
	d.From = d.Until.Add(-boardSpan)
	rows, err := q.QueryContext(ctx, `SELECT e.kind, e.at FROM events e JOIN changes c ON c.id = e.change_id
		WHERE e.repo_id = $1 AND e.kind IN ('queue.landed', 'queue.ejected') AND e.at >= $2 AND e.at < $3 AND c.branch = $4
		ORDER BY e.at DESC LIMIT $5`, repoID, db.Micros(d.From), db.Micros(d.Until), branch, boardTicks)
	if err != nil {
		return d, fmt.Errorf("gatekeeper: day of %s: %w", branch, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kind string
		var micros int64
		if err := rows.Scan(&kind, &micros); err != nil {
			return d, fmt.Errorf("gatekeeper: day of %s: %w", branch, err)
		}
		slot := min(int(db.Time(micros).Sub(d.From)*BoardSlots/boardSpan), BoardSlots-1)
		if kind == "queue.landed" {
			d.Landed[slot]++
		} else {
			d.Left[slot]++
		}
	}
	return d, rows.Err()
}
