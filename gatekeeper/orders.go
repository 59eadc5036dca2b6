package gatekeeper

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// PriorityPromoted is the priority of a promoted change: before all that nobody promoted,
// behind every hotfix.
const PriorityPromoted = 100

// The kinds of orders about a change.
const (
	orderPriority = "priority"
	orderHold     = "hold"
)

// order is what people told the queue about one change; its zero value is that nobody did.
type order struct {
	Priority int
	Promoted string // who promoted it and why, "" when nobody did
	Held     string // who holds it and why, "" when nobody does
}

// orders reads the orders about changes; those without any have no entry. A promotion counts
// only for the patch set that it was given to, as a vote does: what was pushed afterwards has
// not been seen by who promoted it. A hold counts until it is released.
func orders(ctx context.Context, q db.Querier, changes []int64) (map[int64]order, error) {
	found := map[int64]order{}
	if len(changes) == 0 {
		return found, nil
	}
	marks, args := make([]string, 0, len(changes)), make([]any, 0, len(changes))
	for i, id := range changes {
		marks, args = append(marks, fmt.Sprintf("$%d", i+1)), append(args, id)
	}
	rows, err := q.QueryContext(ctx, `SELECT o.change_id, o.kind, o.priority, a.name, o.reason
		FROM queue_orders o JOIN changes c ON c.id = o.change_id JOIN accounts a ON a.id = o.by_id
		WHERE (o.kind = 'hold' OR o.ps = c.current_ps) AND o.change_id IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: orders: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var kind, by, reason string
		var priority int
		if err := rows.Scan(&id, &kind, &priority, &by, &reason); err != nil {
			return nil, fmt.Errorf("gatekeeper: orders: %w", err)
		}
		o := found[id]
		switch kind {
		case orderHold:
			o.Held = because("held by "+by, reason)
		case orderPriority:
			o.Priority, o.Promoted = priority, because(promotion(priority)+" by "+by, reason)
		default:
			return nil, fmt.Errorf("gatekeeper: orders: change %d has an order of the unknown kind %q", id, kind)
		}
		found[id] = o
	}
	return found, rows.Err()
}

func promotion(priority int) string {
	if priority >= queue.Hotfix {
		return "made a hotfix"
	}
	return "promoted"
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// Freeze is an order that nothing but hotfixes lands on a branch.
type Freeze = queue.Freeze

// freezeEnded reports whether a freeze is over by itself.
func freezeEnded(f Freeze, now time.Time) bool { return !f.Until.IsZero() && !f.Until.After(now) }

// freezeWords say who froze a branch, until when, and why.
func freezeWords(f Freeze) string {
	what := "by " + f.By
	if !f.Until.IsZero() {
		what += " until " + f.Until.UTC().Format(untilFormat)
	}
	return because(what, f.Reason)
}

// untilFormat is how people read when a freeze ends.
const untilFormat = "2006-01-02 15:04 UTC"

// freezeOf reads the freeze that somebody ordered for a branch; nil when there is none, or
// it is over.
func freezeOf(ctx context.Context, q db.Querier, repoID int64, branch string, now time.Time) (*Freeze, error) {
	var f Freeze
	var at, until int64
	err := q.QueryRowContext(ctx, `SELECT f.reason, a.name, f.at, f.until_at FROM queue_freezes f JOIN accounts a ON a.id = f.by_id
		WHERE f.repo_id = $1 AND f.branch = $2`, repoID, branch).Scan(&f.Reason, &f.By, &at, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: freeze of %s: %w", branch, err)
	}
	f.At, f.Until = db.Time(at), db.Time(until)
	if freezeEnded(f, now) {
		return nil, nil
	}
	return &f, nil
}

// freezes says why nothing but hotfixes lands on a branch now, "" when everything may, and
// when to look again: it takes together what somebody ordered and the times at which the
// plan itself closes the branch. Without a policy only the order counts. A zero time is that
// the freeze does not end by itself.
func freezes(ctx context.Context, q db.Querier, repoID int64, branch string, policy *plan.Plan, now time.Time) (reason string, until time.Time, err error) {
	ordered, err := freezeOf(ctx, q, repoID, branch, now)
	if err != nil {
		return "", time.Time{}, err
	}
	if policy != nil {
		reason, until = policy.Frozen(now)
	}
	switch {
	case ordered == nil:
		return reason, until, nil
	case reason == "":
		return freezeWords(*ordered), ordered.Until, nil
	case until.IsZero() || ordered.Until.IsZero():
		until = time.Time{}
	case ordered.Until.After(until):
		until = ordered.Until
	}
	return freezeWords(*ordered) + "; " + reason, until, nil
}
