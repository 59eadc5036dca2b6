package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// lookEvery is how often a queue that waits is looked at though nothing happened.
const lookEvery = time.Minute

// step asks the queue what to do next and does it. It reports whether anything was done: then
// the state is read anew and the queue asked again.
func (r *round) step(ctx context.Context) (bool, error) {
	state, err := r.state(ctx)
	if err != nil || len(state.Entries) == 0 {
		return false, err
	}
	next, actions := queue.Step(state, queue.Tick{}, r.Now())
	r.learn(next.Model)
	for _, a := range actions {
		if err := r.act(ctx, state, a); err != nil {
			if fault.Is(err, fault.Conflict) { // something moved since the state was read: look again
				r.Log.Info("the queue looks again", "queue", r.name, "because", err)
				return true, nil
			}
			return false, err
		}
	}
	if len(actions) > 0 {
		return true, nil
	}
	for _, t := range r.ticks { // time alone may change what the queue does
		if err := t.lookLater(ctx, r.Now().Add(lookEvery)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// act carries out one action of the queue.
func (r *round) act(ctx context.Context, s queue.State, a queue.Action) error {
	switch a := a.(type) {
	case queue.Try:
		t, err := r.on(a.Branch)
		if err != nil {
			return err
		}
		return t.try(ctx, a)
	case queue.Land:
		return r.land(ctx, s, a)
	case queue.Eject:
		return r.eject(ctx, s, a)
	case queue.Cancel:
		return r.cancelRun(ctx, a.Run, a.Reason)
	default:
		panic(fmt.Sprintf("gatekeeper: unknown action %T", a))
	}
}

// on finds a branch by the name that the queue has for it.
func (r *round) on(name string) (*tick, error) {
	i := slices.IndexFunc(r.ticks, func(t *tick) bool { return t.key().name() == name })
	if i < 0 {
		return nil, fmt.Errorf("gatekeeper: the queue names a branch %q that is none of its own", name)
	}
	return r.ticks[i], nil
}

// try makes the candidate and starts a run of it.
func (t *tick) try(ctx context.Context, a queue.Try) error {
	m := t.maker(t.lock.repo, t.lock.branch, t.git, t.plan.Land.How)
	want := candidate{Members: a.Members, On: a.On, Seq: t.row.Seq, Spare: a.Spare}
	if err := m.standOn(ctx, &want, t.tip); err != nil {
		return err
	}
	k, err := m.candidate(ctx, want)
	if err != nil {
		return err
	}
	t.touch(a.Members)
	data := map[string]string{"branch": t.lock.branch, "members": membersText(a.Members), "on": membersText(a.On)}
	if k.Conflict != "" {
		data["words"] = k.Conflict
		return t.DB.Transact(ctx, func(tx *db.Tx) error { return t.tell(ctx, tx, k.Change, "candidate.conflict", data) })
	}
	if len(k.Members) == 0 {
		if err := t.forgetOld(ctx, k); err != nil {
			return err
		}
	}
	run, err := t.startCandidate(ctx, k, k.Base, k.Plan, "")
	if err != nil {
		return err
	}
	data["candidate"], data["run"] = strconv.FormatInt(k.ID, 10), strconv.FormatInt(run, 10)
	data["base"], data["commit"] = string(k.Base), string(k.Commit)
	data["spare"], data["attempt"] = strconv.FormatInt(db.Bool(a.Spare), 10), strconv.Itoa(a.Attempt)
	return t.DB.Transact(ctx, func(tx *db.Tx) error { return t.tell(ctx, tx, k.Change, "candidate.tried", data) })
}

// forgetOld supersedes the runs of the bare branch that passed: that does not say what is so
// now. Those that were refused stay, and count: a branch that is red rests between looks.
func (t *tick) forgetOld(ctx context.Context, k *candidate) error {
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		runs, err := queryRuns(ctx, tx, `r.candidate_id = $1 AND r.state = $2`, k.ID, string(RunPassed))
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := t.supersede(ctx, tx, run.ID, "the branch is looked at again"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *round) touch(members []queue.Member) {
	for _, m := range members {
		r.touched[m.Change] = true
	}
}

// eject takes a patch set out of the queue and says why on its change, and how to try the
// very tree that was refused.
func (r *round) eject(ctx context.Context, s queue.State, a queue.Eject) error {
	i := slices.IndexFunc(s.Entries, func(e queue.Entry) bool { return e.Change == a.Change && e.PS == a.PS })
	if i < 0 {
		return fmt.Errorf("gatekeeper: the queue ejects change %d, which is not in it", a.Change)
	}
	t, err := r.on(s.Entries[i].Branch)
	if err != nil {
		return err
	}
	tested, run, err := t.refused(ctx, s, a)
	if err != nil {
		return err
	}
	r.Log.Info("ejected", "repo", t.lock.repo.Name, "change", a.Change, "reason", a.Reason, "words", a.Words)
	text := fmt.Sprintf("Patch set %d left the queue of %s: %s", a.PS, t.lock.branch, a.Words)
	if tested {
		text += "\n\nTo try the very tree that was tested:\n\n    " + r.fetchTested(t.lock.repo.Name, a.Candidate)
	}
	err = r.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := dequeue(ctx, tx, a.Change); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO ejections (change_id, ps, reason, words, candidate_id, run_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (change_id) DO UPDATE SET ps = excluded.ps, reason = excluded.reason, words = excluded.words,
				candidate_id = excluded.candidate_id, run_id = excluded.run_id, at = excluded.at`,
			a.Change, a.PS, string(a.Reason), a.Words, a.Candidate, run, db.Micros(r.Now()))
		if err != nil {
			return fmt.Errorf("gatekeeper: eject change %d: %w", a.Change, err)
		}
		if err := r.Review.Say(ctx, tx, a.Change, a.PS, text); err != nil {
			return err
		}
		if err := r.Review.NeedsMending(ctx, tx, a.Change, clipWords("it left the queue: "+a.Words)); err != nil {
			return err
		}
		return t.tell(ctx, tx, a.Change, "queue.ejected", map[string]string{"ps": strconv.Itoa(a.PS), "reason": string(a.Reason), "words": a.Words,
			"candidate": strconv.FormatInt(a.Candidate, 10), "run": strconv.FormatInt(run, 10)})
	})
	if err != nil {
		return err
	}
	r.touched[a.Change] = true
	return nil
}
