package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Stop says what to stop, and why. The reason may be "".
type Stop struct {
	StageRun int64
	All      bool // the whole run that the stage is of
	Reason   string
}

// stoppedPrefix begins the reason of a hold that a stop put on a queued change: a recheck ends it.
const stoppedPrefix = "stopped: "

// Stop ends a stage that waits or runs, or all of its run, without a verdict: the stage is
// CANCELED with who did it and why, nobody leaves the queue for it, and it is not tried again
// until somebody rechecks. A candidate of the queue is stopped whole, and what it tries is held
// back where it stands; else the queue would begin it anew. What others find out goes on.
func (c *Controller) Stop(ctx context.Context, actor account.Actor, what Stop) error {
	const op = "gatekeeper.Stop"
	s, err := c.Stage(ctx, actor, what.StageRun)
	if err != nil {
		return err
	}
	if err := somebody(op, actor); err != nil {
		return err
	}
	if what.Reason, err = checkOrderReason(op, what.Reason); err != nil {
		return err
	}
	run, r, _, err := c.runAnd(ctx, c.DB.Read(), s.Run)
	if err != nil {
		return err
	}
	k, err := candidateByID(ctx, c.DB.Read(), run.candidateID)
	if err != nil {
		return err
	}
	if err := c.mayStopRun(ctx, actor, r, run, k); err != nil {
		return err
	}
	st := &stopping{Controller: c, actor: actor, what: what, run: run, k: k}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error { return st.write(ctx, tx) })
	if err != nil {
		return err
	}
	stopped := *st.run
	stopped.Stages = st.ended
	c.stop(&stopped)
	c.unsettle(run.Change)
	for _, one := range st.ended {
		c.Bus.Wake(event.StageTopic(one.ID))
	}
	c.Bus.Wake(event.ChangeTopic(run.Change), event.RepoTopic(r.ID))
	return nil
}

// mayStopRun asks whether somebody may stop a run: whoever may hold back each change in it. What
// brings something into an environment has orders of its own.
func (c *Controller) mayStopRun(ctx context.Context, actor account.Actor, r repo.Repository, run *runRow, k *candidate) error {
	const op = "gatekeeper.Stop"
	for _, m := range k.Members {
		ch, err := c.Review.Load(ctx, c.DB.Read(), m.Change)
		if err != nil {
			return err
		}
		if err := c.Review.May(ctx, c.DB.Read(), actor, account.Hold, ch, r); err != nil {
			return err
		}
	}
	if len(k.Members) == 0 {
		if err := c.May(ctx, actor, account.Hold, r.Resource(run.branch)); err != nil {
			return err
		}
	}
	switch {
	case run.phase == phaseDeliver:
		return fault.New(fault.Refused, op, "this is on its way into an environment, which is not stopped half way", "gate env cancel withdraws a promotion that waits, gate rollback goes back")
	case len(k.Members) == 0 && k.How != howOutside:
		return fault.New(fault.Refused, op, "the queue tries the branch itself here, and would begin anew", "gate hold holds back a change that waits for it")
	}
	return nil
}

// stopping is one stop in its transaction.
type stopping struct {
	*Controller
	actor account.Actor
	what  Stop
	run   *runRow
	k     *candidate
	ended []StageRun
	whole bool // it is of a candidate that the queue tries, or tried
}

// ofQueue reports whether the queue tries the candidate: it is no check, or the check of what has
// come to its turn.
func (s *stopping) ofQueue(ctx context.Context, q db.Querier) (bool, error) {
	for _, m := range s.k.Members {
		entry, err := entryOf(ctx, q, m.Change)
		if err != nil || entry != nil && entry.PS == m.PS {
			return true, err
		}
	}
	return len(s.k.Members) > 0 && !s.k.Check, nil
}

func (s *stopping) words() string { return because("stopped by "+s.actor.Name, s.what.Reason) }

func (s *stopping) write(ctx context.Context, tx *db.Tx) error {
	runs, err := queryRuns(ctx, tx, `r.id = $1`, s.run.ID)
	if err != nil || len(runs) == 0 {
		return err
	}
	s.run, s.ended = runs[0], nil
	if s.whole, err = s.ofQueue(ctx, tx); err != nil {
		return err
	}
	var asked StageRun
	for _, one := range s.run.Stages {
		if one.ID == s.what.StageRun {
			asked = one
		}
		if (one.ID == s.what.StageRun || s.what.All || s.whole) && (one.State == plan.Queued || one.State == plan.Running) {
			s.ended = append(s.ended, one)
		}
	}
	if s.run.State != RunRunning || len(s.ended) == 0 || asked.State.Settled() && !s.what.All {
		return fault.New(fault.Conflict, "gatekeeper.Stop", fmt.Sprintf("%s has ended: %s", asked.Stage, asked.State), "there is nothing to stop")
	}
	for _, one := range s.ended {
		if err := s.cancel(ctx, tx, one); err != nil {
			return err
		}
	}
	if err := s.tellStopped(ctx, tx); err != nil {
		return err
	}
	switch {
	case s.whole:
		if err := s.holdAll(ctx, tx); err != nil {
			return err
		}
		err = s.supersede(ctx, tx, s.run.ID, s.words())
	case s.what.All:
		err = s.endRun(ctx, tx, s.run, RunCanceled, "its stages were "+s.words())
	}
	if err != nil {
		return err
	}
	return tx.Enqueue(ctx, repo.BranchJob(s.run.repo, s.run.branch))
}

// cancel ends one attempt: what its worker reports counts for nothing, and who waited for its
// result goes on.
func (s *stopping) cancel(ctx context.Context, tx *db.Tx, one StageRun) error {
	_, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, finished_at = $3, lease = '', stopped_by = $4 WHERE id = $5 AND state IN ($6, $7)`,
		string(plan.Canceled), s.words(), db.Micros(s.Now()), s.actor.ID, one.ID, string(plan.Queued), string(plan.Running))
	if err != nil {
		return fmt.Errorf("gatekeeper: stop stage run %d: %w", one.ID, err)
	}
	if one.State != plan.Running {
		return nil
	}
	if err := s.wakeEqual(ctx, tx, s.run.repo, one.key); err != nil {
		return err
	}
	return s.wakeHeldUp(ctx, tx, s.run.repo, splitHolds(one.holds))
}

// holdAll holds the changes back that the queue tried, each in its place.
func (s *stopping) holdAll(ctx context.Context, tx *db.Tx) error {
	for _, m := range s.k.Members {
		ch, err := s.Review.Load(ctx, tx, m.Change)
		if err != nil {
			return err
		}
		o := &ordering{Controller: s.Controller, tx: tx, actor: s.actor, change: ch}
		if err := o.notLanding(ctx); err != nil {
			return err
		}
		if err := o.put(ctx, orderHold, 0, strings.TrimSpace(stoppedPrefix+s.what.Reason)); err != nil {
			return err
		}
		if err := o.tell(ctx, "queue.held", "stopped its stages, and holds it back until somebody rechecks or releases it", s.what.Reason, nil); err != nil {
			return err
		}
	}
	return nil
}

// goOn ends the hold that a stop put on a change.
func (c *Controller) goOn(ctx context.Context, tx *db.Tx, actor account.Actor, ch review.Change) error {
	held, err := db.Touched(tx.ExecContext(ctx, `DELETE FROM queue_orders WHERE change_id = $1 AND kind = $2 AND reason LIKE $3`,
		ch.ID, orderHold, strings.TrimSpace(stoppedPrefix)+"%"))
	if err != nil || !held {
		return err
	}
	o := &ordering{Controller: c, tx: tx, actor: actor, change: ch}
	return o.record(ctx, "queue.released", map[string]string{"by": actor.Name})
}

// tellStopped writes who stopped what into the story.
func (s *stopping) tellStopped(ctx context.Context, tx *db.Tx) error {
	names := make([]string, 0, len(s.ended))
	for _, one := range s.ended {
		names = append(names, one.Stage)
	}
	if s.run.Change != 0 && !s.whole {
		text := because(fmt.Sprintf("%s stopped %s of patch set %d", s.actor.Name, listWords(names, "and"), s.run.PS), s.what.Reason)
		if err := s.Review.Say(ctx, tx, s.run.Change, s.run.PS, text+". That says nothing about the change; to run what did not pass: gate recheck "+fmt.Sprint(s.run.Change)); err != nil {
			return err
		}
	}
	_, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: "run.stopped", Repo: s.run.repo, Change: s.run.Change, Account: s.actor.ID, Data: map[string]string{
		"run": fmt.Sprint(s.run.ID), "stages": strings.Join(names, " "), "reason": s.what.Reason, "branch": s.run.branch}})
	return err
}

// stoppedWords say who stopped stages of the run, "" when nobody did.
func (r *runRow) stoppedWords() string {
	latest := r.latest()
	for _, name := range sortedKeys(latest) {
		if s := latest[name]; s.stopped && s.State == plan.Canceled {
			return "stage " + name + " was " + s.Reason
		}
	}
	return ""
}
