package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// landPart is what one branch gains in a landing.
type landPart struct {
	*tick
	old   git.OID
	steps []landStep
}

// landStep is one candidate that lands. It was tested as it is; or it was made again on what
// landed below it meanwhile, and every stage of the run that tested it would read the same.
type landStep struct {
	candidate *candidate
	run       *runRow // whose results are the evidence
	again     bool    // the run is that of the candidate as it was before
	plan      *plan.Plan
	changed   []string
}

// unprovenError is that a candidate cannot land as what it was tested as.
type unprovenError struct {
	candidate *candidate
	run       *runRow
	why       string
}

func (e *unprovenError) Error() string {
	return fmt.Sprintf("candidate %d is not proven any more: %s", e.candidate.ID, e.why)
}

// dismissedError is that a change may not land, though it was tested.
type dismissedError struct {
	branch *tick
	member queue.Member
	why    string
}

func (e *dismissedError) Error() string {
	return fmt.Sprintf("change %d may not land: %s", e.member.Change, e.why)
}

// land moves the branches over their candidates, all or none: an intent for each change, a
// compare-and-swap for each repository, an outcome for each change. Whatever cuts it in
// between, repair finishes or withdraws. A landing that turns out not to be one leaves the
// queue another state to decide on.
func (r *round) land(ctx context.Context, s queue.State, a queue.Land) error {
	parts := make([]landPart, 0, len(a.Parts))
	for _, p := range a.Parts {
		part, err := r.part(ctx, p)
		if err != nil {
			return r.notLanded(ctx, s, err)
		}
		parts = append(parts, part)
	}
	group, err := r.intend(ctx, parts)
	if err != nil {
		return r.notLanded(ctx, s, err)
	}
	crash("land.intent.written")
	return r.complete(ctx, s, group)
}

// notLanded draws the conclusions from why a landing could not be made.
func (r *round) notLanded(ctx context.Context, s queue.State, err error) error {
	var unproven *unprovenError
	var dismissed *dismissedError
	switch {
	case errors.As(err, &unproven):
		r.Log.Info("tested again", "branch", unproven.candidate.Branch, "because", unproven)
		r.touch(unproven.candidate.Members)
		return r.DB.Transact(ctx, func(tx *db.Tx) error {
			if err := voidCandidates(ctx, tx, `id = $1`, unproven.candidate.ID); err != nil {
				return err
			}
			return r.supersede(ctx, tx, unproven.run.ID, unproven.why)
		})
	case errors.As(err, &dismissed):
		return r.dismiss(ctx, s, dismissed)
	default:
		return err
	}
}

// dismiss takes a change out of the queue that may not land.
func (r *round) dismiss(ctx context.Context, s queue.State, d *dismissedError) error {
	r.Log.Info("not landed", "branch", d.branch.lock.branch, "because", d)
	r.unsettle(d.member.Change)
	if err := d.branch.settle(ctx, d.member.Change); err != nil {
		return err
	}
	entry, err := entryOf(ctx, r.DB.Read(), d.member.Change)
	if err != nil || entry == nil || entry.PS != d.member.PS {
		return err
	}
	return r.eject(ctx, s, queue.Eject{Member: d.member, Reason: queue.EjectRefused, Words: "it was tested and may not land: " + d.why})
}

// part prepares what one branch gains: the commit up to which it moves is proven step by step.
func (r *round) part(ctx context.Context, p queue.Part) (landPart, error) {
	t, err := r.on(p.Branch)
	if err != nil {
		return landPart{}, err
	}
	part := landPart{tick: t, old: t.tip}
	if string(t.tip) != p.Old {
		return part, fault.Newf(fault.Conflict, "gatekeeper.land", "%s has moved", t.lock.branch)
	}
	at := t.tip
	var landed []queue.Member
	for _, id := range p.Candidates {
		k, err := candidateByID(ctx, r.DB.Read(), id)
		if err != nil {
			return part, err
		}
		n := 0
		for _, m := range p.Members[len(landed):] {
			if !slices.Contains(k.Members, m) {
				break
			}
			n++
		}
		members := p.Members[len(landed) : len(landed)+n]
		if n == 0 || k.Void || k.Repo != t.lock.repo.ID || k.Branch != t.lock.branch {
			return part, fault.Newf(fault.Conflict, "gatekeeper.land", "candidate %d has nothing to land on %s", id, t.lock.branch)
		}
		step, err := t.prove(ctx, k, candidate{Members: members, On: landed, Base: at, Seq: t.row.Seq})
		if err != nil {
			return part, err
		}
		part.steps = append(part.steps, step)
		at, landed = step.candidate.Commit, p.Members[:len(landed)+n]
	}
	if len(landed) != len(p.Members) || len(landed) == 0 {
		return part, fault.Newf(fault.Conflict, "gatekeeper.land", "the candidates of %s do not hold what is to land", t.lock.branch)
	}
	return part, nil
}

// prove makes a tested candidate ready to land as want says.
func (t *tick) prove(ctx context.Context, k *candidate, want candidate) (landStep, error) {
	run, err := passedRun(ctx, t.DB.Read(), k)
	if err != nil {
		return landStep{}, err
	}
	step := landStep{candidate: k, run: run}
	if k.Base != want.Base || !slices.Equal(k.Members, want.Members) {
		step.again = true
		if step.candidate, err = t.maker(t.lock.repo, t.lock.branch, t.git, k.How).candidate(ctx, want); err != nil {
			return step, err
		}
	}
	now := step.candidate
	if now.Conflict != "" {
		return step, &unprovenError{k, run, "on what has landed since it " + now.Conflict}
	}
	if now.Plan != run.planDigest || k.How != t.plan.Land.How {
		return step, &unprovenError{k, run, "the plan has changed"}
	}
	if err := fillLanded(ctx, t.DB.Read(), now); err != nil {
		return step, err
	}
	if step.plan, err = t.composed(ctx, t.git, now.Base, now.Commit); err != nil {
		return step, err
	}
	if step.changed, err = t.changedPaths(ctx, t.git, now.Base, now.Commit); err != nil {
		return step, err
	}
	if !step.again {
		return step, nil
	}
	same, err := t.sameResults(ctx, run, step)
	if err == nil && !same {
		err = &unprovenError{k, run, "what has landed since changes what its stages read"}
	}
	return step, err
}

// passedRun is the newest run of a candidate, which must have passed under its plan.
func passedRun(ctx context.Context, q db.Querier, k *candidate) (*runRow, error) {
	runs, err := queryRuns(ctx, q, `r.candidate_id = $1 AND r.plan_digest = $2`, k.ID, k.Plan)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 || runs[len(runs)-1].State != RunPassed || runs[len(runs)-1].Candidate != k.Commit {
		return nil, fault.Newf(fault.Conflict, "gatekeeper.land", "candidate %d has not passed", k.ID)
	}
	return runs[len(runs)-1], nil
}

// sameResults reports whether every stage of the run would come to the same for the candidate
// as it was made again: each passed, and what it reads is the same.
func (t *tick) sameResults(ctx context.Context, run *runRow, step landStep) (bool, error) {
	before, err := t.composed(ctx, t.git, run.planOID, run.Candidate)
	if err != nil {
		return false, err
	}
	old, err := t.contentKeys(ctx, t.git, before, run)
	if err != nil {
		return false, err
	}
	latest := run.latest()
	for _, s := range step.plan.Stages {
		switch have, ok := latest[s.Name]; {
		case !ok || s.Removed:
			return false, nil
		case have.State == plan.Skipped:
			if s.Matches(step.changed) {
				return false, nil
			}
		case have.State != plan.Passed:
			return false, nil
		default:
			key, err := t.resultKey(ctx, t.lock.repo.ID, t.git, step.plan, s.Name, step.candidate.Commit, step.changed)
			if err != nil {
				return false, err
			}
			if key != old[s.Name] {
				return false, nil
			}
		}
	}
	return true, nil
}
