package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// landing is the row written before a branch moves and completed after.
type landing struct {
	ID     int64
	Change int64
	PS     int
	Run    int64
	Old    git.OID
	New    git.OID
	By     int64
}

// The states of a landing row.
const (
	landingIntent = "intent"
	landingDone   = "landed"
	landingFailed = "failed"
)

// land moves the branch to a candidate whose run passed on the present tip: intent row,
// compare-and-swap, outcome row. Whatever cuts it in between, repair finishes or withdraws.
func (c *Controller) land(ctx context.Context, lock branchLock, g *git.Repo, run *runRow) error {
	intent, err := c.intend(ctx, lock, run)
	if err != nil {
		return err
	}
	crash("land.intent.written")
	return c.complete(ctx, lock, g, intent)
}

// intend checks everything again from the rows, in the transaction that writes the intent.
func (c *Controller) intend(ctx context.Context, lock branchLock, run *runRow) (landing, error) {
	var in landing
	g, err := c.Repos.Open(lock.repo)
	if err != nil {
		return in, err
	}
	composed, err := c.composed(ctx, g, run.Base, run.Candidate)
	if err != nil {
		return in, err
	}
	if composed.Digest() != run.planDigest {
		return in, fault.Newf(fault.Conflict, "gatekeeper.land", "the plan of %s has changed since the run started", lock.branch)
	}
	changed, err := c.changedPaths(ctx, g, run.Base, run.Candidate)
	if err != nil {
		return in, err
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		f, err := c.gather(ctx, tx, lock.repo, run.Change)
		if err != nil {
			return err
		}
		if f.ballots, err = c.ballots(ctx, tx, f); err != nil {
			return err
		}
		f.plan, f.run, f.changed = composed, run, changed
		if no := f.mayLand(run); no != "" {
			return fault.Newf(fault.Conflict, "gatekeeper.land", "change %d: %s", run.Change, no)
		}
		in = landing{Change: run.Change, PS: run.PS, Run: run.ID, Old: run.Base, New: run.Candidate, By: f.change.SubmitBy}
		if in.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO landings (id, repo_id, branch, change_id, ps, run_id, old_oid, new_oid, state, landed_by, intent_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			in.ID, lock.repo.ID, lock.branch, in.Change, in.PS, in.Run, string(in.Old), string(in.New), landingIntent, in.By, db.Micros(c.Now()))
		return err
	})
	return in, err
}

// complete does the compare-and-swap and writes what came of it.
func (c *Controller) complete(ctx context.Context, lock branchLock, g *git.Repo, in landing) error {
	move := git.RefUpdate{Ref: lock.ref(), Old: in.Old, New: in.New}
	err := g.UpdateRefs(ctx, []git.RefUpdate{move}, fmt.Sprintf("land change %d", in.Change))
	if fault.Is(err, fault.Conflict) {
		return c.withdraw(ctx, in, "the branch moved before the change could land")
	}
	if err != nil {
		return err // the intent stays: the next look tries again
	}
	crash("land.ref.moved")
	return c.outcome(ctx, lock, in)
}

// outcome writes that the change landed, and asks for everything that follows.
func (c *Controller) outcome(ctx context.Context, lock branchLock, in landing) error {
	err := c.DB.Transact(ctx, func(tx *db.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE landings SET state = $1, outcome_at = $2 WHERE id = $3 AND state = $4`,
			landingDone, db.Micros(c.Now()), in.ID, landingIntent)
		if err != nil {
			return fmt.Errorf("gatekeeper: outcome of landing %d: %w", in.ID, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // written already
		}
		if err := c.Review.MarkLanded(ctx, tx, in.Change, in.PS, in.New, in.By); err != nil {
			return err
		}
		if err := dequeue(ctx, tx, in.Change); err != nil {
			return err
		}
		if err := c.Mirrors.EnqueueAll(ctx, tx, lock.repo.ID); err != nil {
			return err
		}
		return tx.Enqueue(ctx, repo.BranchJob(lock.repo.ID, lock.branch))
	})
	if err != nil {
		return err
	}
	crash("land.outcome.written")
	c.Log.Info("landed", "repo", lock.repo.Name, "branch", lock.branch, "change", in.Change, "commit", in.New)
	c.Bus.Wake(event.ChangeTopic(in.Change), event.RepoTopic(lock.repo.ID))
	return nil
}

// withdraw ends an intent that did not come true; the change stays queued for another try.
func (c *Controller) withdraw(ctx context.Context, in landing, why string) error {
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE landings SET state = $1, reason = $2, outcome_at = $3 WHERE id = $4 AND state = $5`,
			landingFailed, why, db.Micros(c.Now()), in.ID, landingIntent)
		if err != nil {
			return fmt.Errorf("gatekeeper: withdraw landing %d: %w", in.ID, err)
		}
		return nil
	})
}

// repair finishes what a crash cut between an intent and its outcome. The branch itself says
// what happened: it holds the commit, or it does not.
func (c *Controller) repair(ctx context.Context, lock branchLock, g *git.Repo) error {
	open, err := openLandings(ctx, c.DB.Read(), lock)
	if err != nil {
		return err
	}
	for _, in := range open {
		tip, err := g.RefOID(ctx, lock.ref())
		if err != nil {
			return err
		}
		holds := false
		if !tip.IsZero() {
			if holds, err = g.IsAncestor(ctx, in.New, tip); err != nil {
				return err
			}
		}
		c.Log.Warn("repairing a landing that was cut", "change", in.Change, "commit", in.New, "branch holds it", holds)
		switch {
		case holds:
			err = c.outcome(ctx, lock, in)
		case tip == in.Old:
			err = c.complete(ctx, lock, g, in)
		default:
			err = c.withdraw(ctx, in, "the branch moved while the server was away")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func openLandings(ctx context.Context, q db.Querier, lock branchLock) ([]landing, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, change_id, ps, run_id, old_oid, new_oid, landed_by FROM landings
		WHERE repo_id = $1 AND branch = $2 AND state = $3 ORDER BY id`, lock.repo.ID, lock.branch, landingIntent)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: open landings: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []landing
	for rows.Next() {
		var in landing
		if err := rows.Scan(&in.ID, &in.Change, &in.PS, &in.Run, &in.Old, &in.New, &in.By); err != nil {
			return nil, fmt.Errorf("gatekeeper: open landings: %w", err)
		}
		all = append(all, in)
	}
	return all, rows.Err()
}

func dequeue(ctx context.Context, tx *db.Tx, change int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM queue_entries WHERE change_id = $1`, change); err != nil {
		return fmt.Errorf("gatekeeper: dequeue change %d: %w", change, err)
	}
	return nil
}
