package gatekeeper

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// MaxOrderReason bounds the reason of an order, in bytes: it stands in one line of the queue.
const MaxOrderReason = 500

// Promote lets the current patch set of a change go before those that nobody promoted. A
// hotfix goes before everything, takes workers from others, and lands in a freeze; its gates
// stay what they are. The reason is what people read who wait behind it, so there must be one.
func (c *Controller) Promote(ctx context.Context, actor account.Actor, change int64, hotfix bool, reason string) error {
	const op = "gatekeeper.Promote"
	priority, what := PriorityPromoted, "promoted patch set %d"
	if hotfix {
		priority, what = queue.Hotfix, "made patch set %d a hotfix"
	}
	reason, err := checkOrderReason(op, reason)
	if err != nil {
		return err
	}
	if reason == "" {
		return fault.New(fault.Invalid, op, "a change is promoted for a reason, and none is given", "say it in a line: those who wait behind it read it")
	}
	return c.arrange(ctx, op, actor, account.Promote, change, func(o *ordering) error {
		if err := o.put(ctx, orderPriority, priority, reason); err != nil {
			return err
		}
		return o.tell(ctx, "queue.priority", fmt.Sprintf(what, o.change.Current), reason, map[string]string{"priority": strconv.Itoa(priority)})
	})
}

// Demote takes a promotion back: the change waits in its turn again.
func (c *Controller) Demote(ctx context.Context, actor account.Actor, change int64) error {
	const op = "gatekeeper.Demote"
	return c.arrange(ctx, op, actor, account.Promote, change, func(o *ordering) error {
		if o.now.Priority == 0 {
			return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is not promoted", o.change.ID), "")
		}
		if err := o.drop(ctx, orderPriority); err != nil {
			return err
		}
		return o.tell(ctx, "queue.priority", "took the promotion back", "", map[string]string{"priority": "0"})
	})
}

// Hold keeps a change from being tried and from landing until somebody releases it; it keeps
// its place. Its owner may, and whoever may submit to the branch.
func (c *Controller) Hold(ctx context.Context, actor account.Actor, change int64, reason string) error {
	const op = "gatekeeper.Hold"
	reason, err := checkOrderReason(op, reason)
	if err != nil {
		return err
	}
	return c.arrange(ctx, op, actor, account.Hold, change, func(o *ordering) error {
		if err := o.notLanding(ctx); err != nil {
			return err
		}
		if err := o.put(ctx, orderHold, 0, reason); err != nil {
			return err
		}
		return o.tell(ctx, "queue.held", "holds it back until it is released", reason, nil)
	})
}

// Release ends a hold, whoever ordered it.
func (c *Controller) Release(ctx context.Context, actor account.Actor, change int64) error {
	const op = "gatekeeper.Release"
	return c.arrange(ctx, op, actor, account.Hold, change, func(o *ordering) error {
		if o.now.Held == "" {
			return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is not held", o.change.ID), fmt.Sprintf("gate why %d says what it waits for", o.change.ID))
		}
		if err := o.drop(ctx, orderHold); err != nil {
			return err
		}
		return o.tell(ctx, "queue.released", "released it", "", nil)
	})
}

// Remove takes a change out of the queue, and with it the wish to land it and what was
// ordered about it.
func (c *Controller) Remove(ctx context.Context, actor account.Actor, change int64, reason string) error {
	const op = "gatekeeper.Remove"
	reason, err := checkOrderReason(op, reason)
	if err != nil {
		return err
	}
	return c.arrange(ctx, op, actor, account.Hold, change, func(o *ordering) error {
		if err := o.notLanding(ctx); err != nil {
			return err
		}
		entry, err := entryOf(ctx, o.tx, o.change.ID)
		if err != nil {
			return err
		}
		if entry == nil && o.change.SubmitBy == 0 {
			return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is not in the queue, and nobody asked to land it", o.change.ID), "")
		}
		if err := o.dropAll(ctx); err != nil {
			return err
		}
		if err := c.Review.TakeBack(ctx, o.tx, o.change, actor.ID, reason); err != nil || entry == nil {
			return err
		}
		if err := dequeue(ctx, o.tx, o.change.ID); err != nil {
			return err
		}
		return o.record(ctx, "queue.left", map[string]string{"reason": because("removed by "+actor.Name, reason)})
	})
}

// Requeue asks again to land a patch set that left the queue, without a new one: what was
// found about it is set aside, its candidates are made and tested anew.
func (c *Controller) Requeue(ctx context.Context, actor account.Actor, change int64) error {
	const op = "gatekeeper.Requeue"
	var set []*runRow
	err := c.arrange(ctx, op, actor, account.Submit, change, func(o *ordering) error {
		entry, err := entryOf(ctx, o.tx, o.change.ID)
		if err != nil {
			return err
		}
		switch {
		case o.change.WIP:
			return fault.New(fault.Refused, op, fmt.Sprintf("change %d is work in progress and does not land", o.change.ID), fmt.Sprintf("gate wip %d --off", o.change.ID))
		case o.change.Private:
			return fault.New(fault.Refused, op, fmt.Sprintf("change %d is private and does not land", o.change.ID), fmt.Sprintf("gate change private %d --off", o.change.ID))
		case entry != nil:
			return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is in the queue", o.change.ID), fmt.Sprintf("gate queue why %d says what it waits for", o.change.ID))
		}
		if set, err = o.setAside(ctx, "put into the queue again by "+actor.Name); err != nil {
			return err
		}
		if err := c.Review.AskToLand(ctx, o.tx, o.change, actor.ID); err != nil {
			return err
		}
		return c.Review.Say(ctx, o.tx, o.change.ID, o.change.Current,
			fmt.Sprintf("%s put patch set %d into the queue again: it is tested anew", actor.Name, o.change.Current))
	})
	if err != nil {
		return err
	}
	for _, run := range set {
		c.stop(run)
	}
	return nil
}

// ordering is one order about an open change, in its transaction.
type ordering struct {
	*Controller
	tx     *db.Tx
	actor  account.Actor
	change review.Change
	now    order // what was ordered before
}

// arrange carries out an order about an open change in one transaction, after asking whether
// actor may, and has the branch looked at.
func (c *Controller) arrange(ctx context.Context, op string, actor account.Actor, verb account.Verb, change int64, do func(o *ordering) error) error {
	if err := somebody(op, actor); err != nil {
		return err
	}
	ch, err := c.Review.Get(ctx, actor, change)
	if err != nil {
		return err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := c.Review.May(ctx, tx, actor, verb, ch, r); err != nil {
			return err
		}
		o := &ordering{Controller: c, tx: tx, actor: actor}
		if o.change, err = c.Review.Load(ctx, tx, ch.ID); err != nil {
			return err
		}
		if o.change.Status != review.Open {
			return fault.New(fault.Conflict, op, fmt.Sprintf("change %d is %s", ch.ID, o.change.Status), "only what is open stands in the queue")
		}
		all, err := orders(ctx, tx, []int64{ch.ID})
		if err != nil {
			return err
		}
		o.now = all[ch.ID]
		if err := do(o); err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(ch.Repo, ch.Branch))
	})
	if err != nil {
		return err
	}
	c.Bus.Wake(event.ChangeTopic(ch.ID), event.RepoTopic(ch.Repo))
	return nil
}

// somebody refuses the operator without an account: an order says whose it is.
func somebody(op string, actor account.Actor) error {
	if actor.ID == 0 {
		return fault.New(fault.Unauthenticated, op, "the queue takes orders from accounts only", "sign in, or say who you are: --as NAME")
	}
	return nil
}

func checkOrderReason(op, reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	if len(reason) > MaxOrderReason {
		return "", fault.New(fault.TooLarge, op, fmt.Sprintf("the reason has %d bytes, at most %d are read", len(reason), MaxOrderReason), "say it in a line, and the rest in a comment")
	}
	if !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return "", fault.New(fault.Invalid, op, "a reason is one line of text", "leave line breaks and control characters out")
	}
	return reason, nil
}

// put writes an order, in place of the one of its kind that was there.
func (o *ordering) put(ctx context.Context, kind string, priority int, reason string) error {
	_, err := o.tx.ExecContext(ctx, `INSERT INTO queue_orders (change_id, kind, ps, priority, by_id, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (change_id, kind) DO UPDATE SET ps = excluded.ps, priority = excluded.priority, by_id = excluded.by_id, reason = excluded.reason, at = excluded.at`,
		o.change.ID, kind, o.change.Current, priority, o.actor.ID, reason, db.Micros(o.Now()))
	if err != nil {
		return fmt.Errorf("gatekeeper: order about change %d: %w", o.change.ID, err)
	}
	return nil
}

func (o *ordering) drop(ctx context.Context, kind string) error {
	if _, err := o.tx.ExecContext(ctx, `DELETE FROM queue_orders WHERE change_id = $1 AND kind = $2`, o.change.ID, kind); err != nil {
		return fmt.Errorf("gatekeeper: order about change %d: %w", o.change.ID, err)
	}
	return nil
}

// dropAll forgets what was ordered about the change; the end of a hold is part of the story.
func (o *ordering) dropAll(ctx context.Context) error {
	if _, err := o.tx.ExecContext(ctx, `DELETE FROM queue_orders WHERE change_id = $1`, o.change.ID); err != nil {
		return fmt.Errorf("gatekeeper: orders about change %d: %w", o.change.ID, err)
	}
	if o.now.Held == "" {
		return nil
	}
	return o.record(ctx, "queue.released", map[string]string{"by": o.actor.Name})
}

// notLanding refuses when the branch is being moved to the change: that is not stopped half way.
func (o *ordering) notLanding(ctx context.Context) error {
	var open int
	if err := o.tx.QueryRowContext(ctx, `SELECT count(*) FROM landings WHERE change_id = $1 AND state = $2`, o.change.ID, landingIntent).Scan(&open); err != nil {
		return fmt.Errorf("gatekeeper: landings of change %d: %w", o.change.ID, err)
	}
	if open > 0 {
		return fault.New(fault.Conflict, "gatekeeper.order", fmt.Sprintf("too late: change %d is landing now", o.change.ID), "revert it with a change of its own")
	}
	return nil
}

// ofCandidates selects the candidates with a patch set among their members.
const ofCandidates = `(SELECT candidate_id FROM candidate_changes WHERE role = 'member' AND change_id = $1 AND ps = $2)`

// setAside makes all that was found out about the current patch set count for nothing: why it
// was put out of the queue, its candidates, and their runs, also those that have their verdict.
func (o *ordering) setAside(ctx context.Context, why string) ([]*runRow, error) {
	if _, err := o.tx.ExecContext(ctx, `DELETE FROM ejections WHERE change_id = $1`, o.change.ID); err != nil {
		return nil, fmt.Errorf("gatekeeper: requeue change %d: %w", o.change.ID, err)
	}
	if err := voidCandidates(ctx, o.tx, `id IN `+ofCandidates, o.change.ID, o.change.Current); err != nil {
		return nil, err
	}
	runs, err := queryRuns(ctx, o.tx, `r.candidate_id IN `+ofCandidates+` AND r.state <> $3`, o.change.ID, o.change.Current, string(RunSuperseded))
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		if err := o.supersede(ctx, o.tx, run.ID, why); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// tell writes the order into the change's story and into the queue's.
func (o *ordering) tell(ctx context.Context, kind, what, reason string, data map[string]string) error {
	if err := o.Review.Say(ctx, o.tx, o.change.ID, o.change.Current, because(o.actor.Name+" "+what, reason)); err != nil {
		return err
	}
	all := map[string]string{"by": o.actor.Name}
	if reason != "" {
		all["reason"] = reason
	}
	for key, value := range data {
		all[key] = value
	}
	return o.record(ctx, kind, all)
}

func (o *ordering) record(ctx context.Context, kind string, data map[string]string) error {
	_, err := event.Append(ctx, o.tx, event.Event{At: o.Now(), Kind: kind, Repo: o.change.Repo, Change: o.change.ID, Account: o.actor.ID, Data: data})
	return err
}
