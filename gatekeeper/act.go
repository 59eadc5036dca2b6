package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gatekeeper/queue"
	queue2 "gatehouse/gatekeeper/queue2"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// step asks the queue what to do next and does it. It reports whether anything was done.
func (t *tick) step(ctx context.Context) (bool, error) {
	state, err := t.queueState(ctx)
	if err != nil || len(state.Entries) == 0 {
		return false, err
	}
	_, actions := queue.Step(state, queue.Tick{}, t.Now())
	for _, a := range actions {
		if err := t.act(ctx, a); err != nil {
			if fault.Is(err, fault.Conflict) { // something moved since the state was read: look again
				t.Log.Info("the queue looks again", "branch", t.lock.branch, "because", err)
				return true, nil
			}
			return false, err
		}
	}
	return len(actions) > 0, nil
}

// act carries out one action of the queue.
func (t *tick) act(ctx context.Context, a queue.Action) error {
	switch a := a.(type) {
	case queue.MakeCandidate:
		return t.makeQueued(ctx, a)
	case queue.StartRun:
		cand, err := candidateByID(ctx, t.DB.Read(), a.Candidate)
		if err != nil {
			return err
		}
		return t.startCandidate(ctx, cand)
	case queue.Land:
		run, err := t.passedRun(ctx, a)
		if err != nil {
			return err
		}
		if err := t.land(ctx, t.lock, t.git, run); err != nil {
			return err
		}
		t.tip, err = t.git.RefOID(ctx, t.lock.ref())
		return err
	case queue.Eject:
		return t.eject(ctx, a)
	case queue.CancelRun:
		return t.cancel(ctx, a)
	default:
		panic(fmt.Sprintf("gatekeeper: unknown action %T", a))
	}
}

func (t *tick) makeQueued(ctx context.Context, a queue.MakeCandidate) error {
	policy, _, err := t.planOf(ctx, t.git, t.tip)
	if err != nil {
		return err
	}
	want := candidate{Members: []queue2.Member{{Change: a.Change, PS: a.PS}}, Base: git.OID(a.Base)}
	_, err = t.maker(t.lock.repo, t.lock.branch, t.git, policy.Land.How).candidate(ctx, want, false)
	return err
}

func (t *tick) passedRun(ctx context.Context, a queue.Land) (*runRow, error) {
	runs, err := queryRuns(ctx, t.DB.Read(), `r.id = $1 AND r.state = $2 AND r.commit_oid = $3`, a.Run, string(RunPassed), a.Commit)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, fault.Newf(fault.Conflict, "gatekeeper.land", "run %d has not passed on %s", a.Run, a.Commit)
	}
	return runs[0], nil
}

// eject takes a patch set out of the queue and says why on its change.
func (t *tick) eject(ctx context.Context, a queue.Eject) error {
	t.Log.Info("ejected", "repo", t.lock.repo.Name, "change", a.Change, "reason", a.Reason, "words", a.Words)
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := dequeue(ctx, tx, a.Change); err != nil {
			return err
		}
		text := fmt.Sprintf("Patch set %d left the queue of %s: %s", a.PS, t.lock.branch, a.Words)
		if err := t.Review.Say(ctx, tx, a.Change, a.PS, text); err != nil {
			return err
		}
		return t.note(ctx, tx, a.Change, "queue.ejected", map[string]string{"reason": string(a.Reason)})
	})
}

func (t *tick) cancel(ctx context.Context, a queue.CancelRun) error {
	runs, err := queryRuns(ctx, t.DB.Read(), `r.id = $1 AND r.state = $2`, a.Run, string(RunRunning))
	if err != nil || len(runs) == 0 {
		return err
	}
	t.stop(runs[0])
	return t.DB.Transact(ctx, func(tx *db.Tx) error { return t.supersede(ctx, tx, a.Run, a.Reason) })
}
