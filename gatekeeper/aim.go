package gatekeeper

import (
	"context"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// aim is how far a push wants its changes to go, and what it leaves out, as the plan of the
// branch allows it.
type aim struct {
	set      bool
	outcome  plan.Outcome
	bypasses []plan.Bypass
	reason   string
}

// aimOf reads what a push asks for, and refuses what its sender may not ask: before anything of
// the push is kept.
func (c *Controller) aimOf(ctx context.Context, actor account.Actor, r repo.Repository, branch string, o review.PushOptions) (aim, error) {
	const op = "gatekeeper.push"
	a := aim{reason: o.Reason}
	if o.Outcome == "" && len(o.Bypass) == 0 {
		return a, nil
	}
	policy, _, err := c.PlanAt(ctx, r, branch)
	if err != nil {
		return a, err
	}
	q := c.DB.Read()
	if o.Outcome != "" {
		a.set = true
		if a.outcome, err = c.mayReach(ctx, q, actor, policy, o.Outcome); err != nil {
			return a, err
		}
	}
	for _, node := range o.Bypass {
		rule, err := bypassRule(policy, node)
		if err != nil {
			return a, err
		}
		if err := c.inRoles(ctx, q, actor, policy, rule.By, "leave out "+node); err != nil {
			return a, err
		}
		b := plan.Bypass{Node: node, Reason: o.Reason}
		if rule.Expires > 0 {
			b.Until = c.Now().Add(rule.Expires)
		}
		a.bypasses = append(a.bypasses, b)
	}
	if left := append(append([]string(nil), a.outcome.Bypass...), o.Bypass...); len(left) > 0 && o.Reason == "" {
		return a, fault.New(fault.Invalid, op, "leaving out "+strings.Join(left, ", ")+" needs a reason", "add -o reason=TEXT: it is shown wherever the change is")
	}
	return a, nil
}

// take writes the aim of a push to the changes that it held.
func (c *Controller) take(ctx context.Context, actor account.Actor, held []review.Held, a aim) error {
	if !a.set && len(a.bypasses) == 0 {
		return nil
	}
	var topics []event.Topic
	err := c.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, h := range held {
			ch, err := c.Review.Load(ctx, tx, h.Change.ID)
			if err != nil {
				return err
			}
			topics = append(topics, event.ChangeTopic(ch.ID))
			if a.set && !h.Theirs && (ch.Outcome != a.outcome.Name || len(a.outcome.Bypass) > 0) {
				if err := c.writeOutcome(ctx, tx, actor, ch, a.outcome, a.reason); err != nil {
					return err
				}
			}
			for _, b := range a.bypasses {
				if err := c.writeBypass(ctx, tx, actor, ch, b); err != nil {
					return err
				}
			}
		}
		return nil
	})
	c.Bus.Wake(topics...)
	return err
}

// aims is the outcome whose part of the plan says where a change stands: its own when it stops
// before the landing, else the usual one.
func (f *facts) aims() string {
	if f.plan.Gating(f.change.Outcome).Lands() {
		return ""
	}
	return f.change.Outcome
}

// gatherMore gathers the evidence that a plan asks for beside votes and results.
func (c *Controller) gatherMore(ctx context.Context, q db.Querier, f *facts) error {
	if !f.plan.AsksMore() {
		return nil
	}
	var err error
	if f.parts, err = c.partsOf(ctx, q, f.sets); err != nil {
		return err
	}
	said, given, err := c.saidOfChange(ctx, q, f)
	if err != nil {
		return err
	}
	if f.run == nil { // what was left out holds from the beginning
		f.more = &plan.Evidence{Statuses: said, Approvals: given}
		f.more.Bypasses, err = c.bypassesOf(ctx, q, f.change.ID, f.change.Current)
		return err
	}
	e, err := c.evidenceOf(ctx, q, f.plan, f.run, f.changed)
	if err != nil {
		return err
	}
	// The run may be that of several changes: what was said of another counts for that one.
	e.Statuses = append(slices.DeleteFunc(e.Statuses, func(s plan.Status) bool { return s.OfChange }), said...)
	e.Approvals = append(slices.DeleteFunc(e.Approvals, func(a plan.Approval) bool { return a.OfChange }), given...)
	f.more = &e
	return nil
}
