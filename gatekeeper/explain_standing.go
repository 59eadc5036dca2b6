package gatekeeper

import (
	"context"

	"gatehouse/migrations/db"
	"gatehouse/review"
)

// searched tells a search how a change stands: what Explain says, in two words.
func (c *Controller) searched(ctx context.Context, q db.Querier, change int64) (review.Standing, error) {
	f, err := c.facts(ctx, q, change)
	if err != nil {
		return review.Standing{}, err
	}
	return f.state().standing(), nil
}

// standing is what a state means to Gerrit's is:submittable and is:mergeable. A change that
// waits for the queue or in it is submittable; so is one whose landing was not asked for.
func (s State) standing() review.Standing {
	switch s {
	case Ready, Queued, Landing:
		return review.Standing{Submittable: true, Mergeable: true}
	case Open, Refused:
		return review.Standing{Mergeable: true}
	case Conflict, Landed, Abandoned:
		return review.Standing{}
	}
	panic("gatekeeper: unknown state " + string(s))
}
