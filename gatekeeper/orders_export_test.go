package gatekeeper

import (
	"context"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/migrations/db"
)

// Order is what people told the queue about a change.
type Order = order

// Orders and Freezes are how the controller reads what people told the queue.
var (
	Orders  func(ctx context.Context, q db.Querier, changes []int64) (map[int64]Order, error)                                                 = orders
	Freezes func(ctx context.Context, q db.Querier, repoID int64, branch string, policy *plan.Plan, now time.Time) (string, time.Time, error) = freezes
)
