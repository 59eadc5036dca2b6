package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Bypass leaves a stage or a gate out of the way of the current patch set of a change. The plan of
// the target branch must say that it may be left out, and by whom; who does it and why is evidence
// from then on, and an environment may refuse what carries it.
func (c *Controller) Bypass(ctx context.Context, actor account.Actor, change int64, node, reason string) error {
	const op = "gatekeeper.Bypass"
	ch, r, g, err := c.changeAnd(ctx, actor, change)
	if err != nil {
		return err
	}
	if err := c.May(ctx, actor, account.Vote, r.Resource(ch.Branch)); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); len(reason) > maxRerunReason {
		return fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(reason), maxRerunReason)
	}
	if reason == "" {
		return fault.New(fault.Invalid, op, "a bypass needs a reason", "say why it may be left out: it is shown wherever the change is")
	}
	if ch.Status == review.Abandoned {
		return fault.Newf(fault.Refused, op, "change %d is abandoned", ch.ID)
	}
	policy, err := c.policyFor(ctx, g, r, ch)
	if err != nil {
		return err
	}
	rule, err := bypassRule(policy, node)
	if err != nil {
		return err
	}
	until := time.Time{}
	if rule.Expires > 0 {
		until = c.Now().Add(rule.Expires)
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := c.inRoles(ctx, tx, actor, policy, rule.By, "leave out "+node); err != nil {
			return err
		}
		return c.writeBypass(ctx, tx, actor, ch, plan.Bypass{Node: node, Reason: reason, Until: until})
	})
	c.Bus.Wake(event.ChangeTopic(change), event.RepoTopic(r.ID))
	return err
}

func (c *Controller) writeBypass(ctx context.Context, tx *db.Tx, actor account.Actor, ch review.Change, b plan.Bypass) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	ps := ch.Current
	if ch.Status == review.Landed {
		ps = ch.LandedPS
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO bypasses (id, repo_id, change_id, ps, node, outcome, account_id, reason, created_at, until_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		id, ch.Repo, ch.ID, ps, b.Node, b.Outcome, actor.ID, b.Reason, db.Micros(c.Now()), db.Micros(b.Until))
	if err != nil {
		return fmt.Errorf("gatekeeper: bypass %s of change %d: %w", b.Node, ch.ID, err)
	}
	if err := c.Review.Say(ctx, tx, ch.ID, ps, fmt.Sprintf("%s left out %s: %s", actor.Name, b.Node, b.Reason)); err != nil {
		return err
	}
	if err := c.cancelBypassed(ctx, tx, ch, ps, b.Node); err != nil {
		return err
	}
	_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "change.bypassed", Repo: ch.Repo, Change: ch.ID, Account: actor.ID, Data: map[string]string{
		"node": b.Node, "outcome": b.Outcome, "reason": b.Reason, "ps": fmt.Sprint(ps), "branch": ch.Branch}})
	if err != nil {
		return err
	}
	c.unsettle(ch.ID)
	if err := tx.Enqueue(ctx, repo.BranchJob(ch.Repo, ch.Branch)); err != nil {
		return err
	}
	return tx.Enqueue(ctx, deliverJob(ch.Repo, ch.Branch))
}

// cancelBypassed ends the attempts at a stage that is left out now: nobody needs what they find.
func (c *Controller) cancelBypassed(ctx context.Context, tx *db.Tx, ch review.Change, ps int, node string) error {
	waiting, err := queryStages(ctx, tx, `s.stage = $1 AND s.state = $2 AND r.change_id = $3 AND r.ps = $4`, node, string(plan.Queued), ch.ID, ps)
	if err != nil {
		return err
	}
	for _, s := range waiting {
		_, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, finished_at = $3 WHERE id = $4`,
			string(plan.Bypassed), "it was left out", db.Micros(c.Now()), s.ID)
		if err != nil {
			return fmt.Errorf("gatekeeper: leave out stage run %d: %w", s.ID, err)
		}
	}
	return nil
}

// bypassRule is what the plan says about leaving a node out.
func bypassRule(p *plan.Plan, node string) (plan.Bypassable, error) {
	var rule *plan.Bypassable
	s, isStage := p.Stage(node)
	g, isGate := p.Gate(node)
	switch {
	case isStage:
		rule = s.Bypassable
	case isGate:
		rule = g.Bypassable
	default:
		return plan.Bypassable{}, fault.New(fault.Invalid, "gatekeeper.Bypass", fmt.Sprintf("the plan has no stage and no gate %q", node), "gate plan explain lists them")
	}
	if rule == nil {
		return plan.Bypassable{}, fault.New(fault.Refused, "gatekeeper.Bypass", fmt.Sprintf("the plan does not let anybody leave out %s", node),
			"a plan owner can land `bypassable: {by: [ROLE]}` for it")
	}
	return *rule, nil
}

// inRoles refuses an account that is in none of the roles.
func (c *Controller) inRoles(ctx context.Context, q db.Querier, actor account.Actor, p *plan.Plan, roles []string, what string) error {
	if len(roles) == 0 {
		return nil
	}
	groups, err := c.groupNames(ctx, q, true)
	if err != nil {
		return err
	}
	for _, role := range roles {
		for _, m := range p.Roles[role] {
			group, isGroup := strings.CutPrefix(m, "group:")
			if m == actor.Name || isGroup && slices.Contains(groups[actor.ID], group) {
				return nil
			}
		}
	}
	return fault.New(fault.Denied, "gatekeeper.roles", fmt.Sprintf("%s may not %s", actor.Name, what), "ask somebody of "+strings.Join(roles, " or "))
}

// changeAnd reads a change that the actor may see, with its repository.
func (c *Controller) changeAnd(ctx context.Context, actor account.Actor, id int64) (review.Change, repo.Repository, *git.Repo, error) {
	ch, err := c.Review.Get(ctx, actor, id)
	if err != nil {
		return ch, repo.Repository{}, nil, err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), ch.Repo)
	if err != nil {
		return ch, r, nil, err
	}
	g, err := c.Repos.Open(r)
	return ch, r, g, err
}

// policyFor is the plan that a change is judged by: of its branch, and once it has landed of its
// own commit.
func (c *Controller) policyFor(ctx context.Context, g *git.Repo, r repo.Repository, ch review.Change) (*plan.Plan, error) {
	if ch.Status == review.Landed {
		p, _, err := c.planOf(ctx, g, ch.LandedCommit)
		return p, err
	}
	p, _, err := c.PlanAt(ctx, r, ch.Branch)
	return p, err
}

// SetOutcome says how far a change is meant to go: an outcome of its branch's plan, "" for the
// usual one. What the outcome leaves out is a bypass like any other, by who asks for it.
func (c *Controller) SetOutcome(ctx context.Context, actor account.Actor, change int64, outcome, reason string) error {
	const op = "gatekeeper.SetOutcome"
	ch, r, g, err := c.changeAnd(ctx, actor, change)
	if err != nil {
		return err
	}
	if err := c.mayAim(ctx, actor, r, ch); err != nil {
		return err
	}
	if ch.Status != review.Open {
		return fault.New(fault.Refused, op, fmt.Sprintf("change %d is %s", ch.ID, ch.Status), "an outcome is chosen before a change lands")
	}
	policy, err := c.policyFor(ctx, g, r, ch)
	if err != nil {
		return err
	}
	o, err := c.mayReach(ctx, c.DB.Read(), actor, policy, outcome)
	if err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); len(o.Bypass) > 0 && reason == "" {
		return fault.New(fault.Invalid, op, fmt.Sprintf("outcome %s leaves out %s, which needs a reason", outcome, strings.Join(o.Bypass, ", ")), "give one: -o reason=… or --reason")
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error { return c.writeOutcome(ctx, tx, actor, ch, o, reason) })
	c.Bus.Wake(event.ChangeTopic(change), event.RepoTopic(r.ID))
	return err
}

// mayAim asks who may say how far a change goes: its owner, and whoever may edit the changes of
// others, because one that stops early does not land.
func (c *Controller) mayAim(ctx context.Context, actor account.Actor, r repo.Repository, ch review.Change) error {
	return c.Review.May(ctx, c.DB.Read(), actor, account.Edit, ch, r)
}

// mayReach finds an outcome of the plan, and refuses it to who is not in its roles.
func (c *Controller) mayReach(ctx context.Context, q db.Querier, actor account.Actor, p *plan.Plan, name string) (plan.Outcome, error) {
	if name == "" {
		return plan.Outcome{}, nil
	}
	o, ok := p.Outcome(name)
	if !ok {
		var names []string
		for _, o := range p.Outcomes {
			names = append(names, o.Name)
		}
		next := "the plan has no outcomes"
		if len(names) > 0 {
			next = "the plan has " + strings.Join(names, ", ")
		}
		return o, fault.New(fault.Invalid, "gatekeeper.outcome", fmt.Sprintf("there is no outcome %q", name), next)
	}
	return o, c.inRoles(ctx, q, actor, p, o.By, "ask for the outcome "+name)
}

// writeOutcome writes how far a change is meant to go, and starts its stages anew under that.
func (c *Controller) writeOutcome(ctx context.Context, tx *db.Tx, actor account.Actor, ch review.Change, o plan.Outcome, reason string) error {
	checks, err := queryRuns(ctx, tx, `r.change_id = $1 AND r.ps = $2 AND r.state <> $3 AND c.checks = 1`, ch.ID, ch.Current, string(RunSuperseded))
	if err != nil {
		return err
	}
	for _, run := range checks { // what passed in them is taken over
		if err := c.supersede(ctx, tx, run.ID, "another outcome was asked for"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE changes SET outcome = $1, updated_at = $2 WHERE id = $3`, o.Name, db.Micros(c.Now()), ch.ID); err != nil {
		return fmt.Errorf("gatekeeper: outcome of change %d: %w", ch.ID, err)
	}
	for _, node := range o.Bypass {
		if err := c.writeBypass(ctx, tx, actor, ch, plan.Bypass{Node: node, Outcome: o.Name, Reason: reason}); err != nil {
			return err
		}
	}
	words := "the usual outcome"
	if o.Name != "" {
		words = "the outcome " + o.Name
	}
	if err := c.Review.Say(ctx, tx, ch.ID, ch.Current, fmt.Sprintf("%s asked for %s", actor.Name, words)); err != nil {
		return err
	}
	_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "change.outcome", Repo: ch.Repo, Change: ch.ID, Account: actor.ID, Data: map[string]string{"outcome": o.Name, "branch": ch.Branch}})
	if err != nil {
		return err
	}
	c.unsettle(ch.ID)
	return tx.Enqueue(ctx, repo.BranchJob(ch.Repo, ch.Branch))
}
