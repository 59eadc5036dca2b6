package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// DeliveryGates are what the gates after the landing say of what a change landed, by name.
func (c *Controller) DeliveryGates(ctx context.Context, actor account.Actor, change int64) (map[string]plan.GateState, error) {
	ch, r, g, err := c.changeAnd(ctx, actor, change)
	if err != nil {
		return nil, err
	}
	runs, err := queryRuns(ctx, c.DB.Read(), `r.change_id = $1 AND r.phase = $2`, ch.ID, phaseDeliver)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, fault.Newf(fault.NotFound, "gatekeeper.Delivery", "nothing is delivered of change %d", ch.ID)
	}
	run := runs[len(runs)-1]
	p, err := c.deliveryPlan(ctx, g, run)
	if err != nil {
		return nil, err
	}
	pr, err := c.prove(ctx, c.DB.Read(), r, g, run)
	if err != nil {
		return nil, err
	}
	said := map[string]plan.GateState{}
	for _, v := range plan.Judge(p, pr.under(p), c.Now()) {
		said[v.Gate] = v.State
	}
	return said, nil
}
