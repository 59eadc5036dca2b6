package gatekeeper

import (
	"context"
	"fmt"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Freeze orders that nothing but hotfixes lands on a gated branch, until a time or, with a
// zero one, until somebody thaws it; it replaces the order that was there. Changes go on being
// reviewed, queued and tried meanwhile.
func (c *Controller) Freeze(ctx context.Context, actor account.Actor, repoName, branch, reason string, until time.Time) (Freeze, error) {
	const op = "gatekeeper.Freeze"
	reason, err := checkOrderReason(op, reason)
	if err != nil {
		return Freeze{}, err
	}
	if reason == "" {
		return Freeze{}, fault.New(fault.Invalid, op, "a branch is frozen for a reason, and none is given", "say it in a line: those who wait read it")
	}
	var made Freeze
	err = c.arrangeBranch(ctx, op, actor, repoName, branch, func(tx *db.Tx, r repo.Repository) error {
		now := c.Now()
		made = Freeze{Reason: reason, By: actor.Name, At: now, Until: until}
		if freezeEnded(made, now) {
			return fault.New(fault.Invalid, op, fmt.Sprintf("%s is over already", until.UTC().Format(untilFormat)), "name a time that is still to come")
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO queue_freezes (repo_id, branch, reason, until_at, by_id, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (repo_id, branch) DO UPDATE SET reason = excluded.reason, until_at = excluded.until_at, by_id = excluded.by_id, at = excluded.at`,
			r.ID, branch, reason, db.Micros(until), actor.ID, db.Micros(now))
		if err != nil {
			return fmt.Errorf("gatekeeper: freeze %s: %w", branch, err)
		}
		data := map[string]string{"branch": branch, "reason": reason, "by": actor.Name}
		if !until.IsZero() {
			data["until"] = until.UTC().Format(time.RFC3339)
			later := repo.BranchJob(r.ID, branch)
			later.At = until
			if err := tx.Enqueue(ctx, later); err != nil {
				return err
			}
		}
		_, err = event.Append(ctx, tx, event.Event{At: now, Kind: "queue.frozen", Repo: r.ID, Account: actor.ID, Data: data})
		return err
	})
	return made, err
}

// Thaw ends a freeze that somebody ordered. The times at which the plan closes the branch are
// the plan's.
func (c *Controller) Thaw(ctx context.Context, actor account.Actor, repoName, branch string) error {
	const op = "gatekeeper.Thaw"
	return c.arrangeBranch(ctx, op, actor, repoName, branch, func(tx *db.Tx, r repo.Repository) error {
		f, err := freezeOf(ctx, tx, r.ID, branch, c.Now())
		if err != nil {
			return err
		}
		if f == nil {
			return fault.New(fault.Conflict, op, fmt.Sprintf("nobody froze %s of %s", branch, r.Name), fmt.Sprintf("gate queue show %s %s says what its changes wait for", r.Name, branch))
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM queue_freezes WHERE repo_id = $1 AND branch = $2`, r.ID, branch); err != nil {
			return fmt.Errorf("gatekeeper: thaw %s: %w", branch, err)
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "queue.thawed", Repo: r.ID, Account: actor.ID,
			Data: map[string]string{"branch": branch, "by": actor.Name}})
		return err
	})
}

// arrangeBranch is [Controller.arrange] for orders about a whole branch.
func (c *Controller) arrangeBranch(ctx context.Context, op string, actor account.Actor, repoName, branch string, do func(tx *db.Tx, r repo.Repository) error) error {
	if err := somebody(op, actor); err != nil {
		return err
	}
	r, err := c.Repos.ByName(ctx, c.DB.Read(), repoName)
	if fault.Is(err, fault.NotFound) {
		return account.Missing(op)
	}
	if err != nil {
		return err
	}
	if err := c.May(ctx, actor, account.Freeze, r.Resource(branch)); err != nil {
		return err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return err
	}
	tip, err := g.RefOID(ctx, headsPrefix+branch)
	switch {
	case err != nil:
		return err
	case tip.IsZero():
		return noBranch(op, r.Name, branch)
	case !r.Gates(branch):
		return fault.New(fault.Refused, op, fmt.Sprintf("%s of %s is not gated: it has no queue", branch, r.Name), fmt.Sprintf("gate repo set %s --gated %s", r.Name, branch))
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := c.Accounts.May(ctx, tx, actor, account.Freeze, r.Resource(branch)); err != nil {
			return err
		}
		if err := do(tx, r); err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch))
	})
	if err != nil {
		return err
	}
	c.Bus.Wake(event.RepoTopic(r.ID))
	return nil
}
