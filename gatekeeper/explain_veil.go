package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// veil takes out of an explanation the subjects of changes that actor may not see: those that
// the change stands on, or that its message names. That there is one stays, as it must wait.
func (c *Controller) veil(ctx context.Context, q db.Querier, actor account.Actor, f *facts, e *Explanation) error {
	hide := func(id int64, subject string) error {
		other, err := c.Review.Load(ctx, q, id)
		if err != nil {
			return err
		}
		ok, err := c.Review.Sees(ctx, q, actor, other)
		if err != nil || ok {
			return err
		}
		named := fmt.Sprintf("change %d (%s)", id, subject)
		for i := range e.Requirements {
			e.Requirements[i].Reason = strings.ReplaceAll(e.Requirements[i].Reason, named, fmt.Sprintf("change %d", id))
		}
		e.Summary = strings.ReplaceAll(e.Summary, named, fmt.Sprintf("change %d", id))
		return nil
	}
	for _, p := range f.parents {
		if p.Status != review.Landed {
			if err := hide(p.Change, p.Subject); err != nil {
				return err
			}
		}
	}
	for _, on := range f.depends.On {
		if on.Status != review.Landed {
			if err := hide(on.ID, on.Subject); err != nil {
				return err
			}
		}
	}
	return nil
}
