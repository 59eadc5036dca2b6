package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// landing is the row written before a branch moves and completed after.
type landing struct {
	branchKey
	ID        int64
	Group     int64
	Change    int64
	PS        int
	Run       int64
	Candidate int64
	Old       git.OID
	New       git.OID
	By        int64
}

// The states of a landing row.
const (
	landingIntent = "intent"
	landingDone   = "landed"
	landingFailed = "failed"
)

// intend checks everything again from the rows, in the transaction that writes the intents:
// every gate of every change, and that nobody holds it or froze its branch.
func (r *round) intend(ctx context.Context, parts []landPart) (group int64, err error) {
	err = r.DB.Transact(ctx, func(tx *db.Tx) error {
		if group, err = tx.NextID(ctx, db.RowIDs); err != nil {
			return err
		}
		now := map[int64]bool{} // what lands in this very landing
		for _, p := range parts {
			for _, step := range p.steps {
				for _, m := range step.candidate.Members {
					now[m.Change] = true
				}
			}
		}
		for _, p := range parts {
			for _, step := range p.steps {
				if err := p.intendStep(ctx, tx, group, step, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return group, err
}

func (p landPart) intendStep(ctx context.Context, tx *db.Tx, group int64, step landStep, now map[int64]bool) error {
	k, run := step.candidate, step.run.ID
	var err error
	if step.again {
		if run, err = p.writeProof(ctx, tx, step); err != nil {
			return err
		}
	}
	old := k.Base
	for i, m := range k.Members {
		f, err := p.judge(ctx, tx, step, m, now)
		if err != nil {
			return err
		}
		in := landing{branchKey: p.key(), Group: group, Change: m.Change, PS: m.PS, Run: run, Candidate: k.ID, Old: old, New: k.Landed[i], By: f.change.SubmitBy}
		if err := insertLanding(ctx, tx, in, f.entry, db.Micros(p.Now())); err != nil {
			return err
		}
		if i+1 < len(k.Members) && k.Landed[i+1] != k.Landed[i] { // a chain: each on the one before
			old = k.Landed[i]
		}
	}
	return nil
}

// judge asks whether a change may land with the step's evidence.
func (p landPart) judge(ctx context.Context, tx *db.Tx, step landStep, m queue.Member, now map[int64]bool) (*facts, error) {
	f, err := p.gather(ctx, tx, p.lock.repo, m.Change)
	if err != nil {
		return nil, err
	}
	if f.ballots, err = p.ballots(ctx, tx, f); err != nil {
		return nil, err
	}
	f.plan, f.run, f.changed = step.plan, step.run, step.changed
	f.plan = f.plan.Gating(f.aims())
	if err := p.gatherMore(ctx, tx, f); err != nil {
		return nil, err
	}
	if shut, _ := f.plan.ShutWindow(f.evidence().Bypasses, f.now); shut != "" {
		return nil, fault.Newf(fault.Conflict, "gatekeeper.land", "change %d %s", m.Change, shut)
	}
	if no := f.mayLand(m, step.run, now); no != "" {
		return nil, &dismissedError{p.tick, m, no}
	}
	told, err := orders(ctx, tx, []int64{m.Change})
	if err != nil {
		return nil, err
	}
	if held := told[m.Change].Held; held != "" {
		return nil, fault.Newf(fault.Conflict, "gatekeeper.land", "change %d is %s", m.Change, held)
	}
	if told[m.Change].Priority >= queue.Hotfix {
		return f, nil
	}
	frozen, _, err := freezes(ctx, tx, p.lock.repo.ID, p.lock.branch, p.plan, p.Now())
	if err == nil && frozen != "" {
		err = fault.Newf(fault.Conflict, "gatekeeper.land", "%s is frozen: %s", p.lock.branch, frozen)
	}
	return f, err
}

// writeProof writes the run of a candidate that was made again: passed, with the evidence of
// the run that tested it before.
func (p landPart) writeProof(ctx context.Context, tx *db.Tx, step landStep) (int64, error) {
	k := step.candidate
	existing, err := queryRuns(ctx, tx, `r.candidate_id = $1 AND r.plan_digest = $2`, k.ID, k.Plan)
	if err != nil {
		return 0, err
	}
	run := &runRow{Run: Run{Change: k.Change, PS: k.PS, Candidate: k.Commit, Base: k.Base, Attempt: 1}, repo: k.Repo, branch: k.Branch, candidateID: k.ID}
	for _, have := range existing {
		if have.State == RunPassed {
			return have.ID, nil
		}
		run.Attempt = max(run.Attempt, have.Attempt+1)
	}
	if run.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
		return 0, err
	}
	now := db.Micros(p.Now())
	_, err = tx.ExecContext(ctx, `INSERT INTO runs
			(id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state, reason, created_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`,
		run.ID, k.Repo, k.Branch, k.Change, k.PS, k.ID, string(k.Commit), string(k.Base), k.Plan, run.Attempt, string(RunPassed),
		fmt.Sprintf("all that its stages read is as in run %d", step.run.ID), now)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: prove candidate %d: %w", k.ID, err)
	}
	run.keys = map[string]string{}
	for name, s := range step.run.latest() {
		run.keys[name] = s.key
		if s.State == plan.Skipped {
			err = p.addStageRun(ctx, tx, run, name, s.State, s.Reason)
		} else {
			err = p.addReused(ctx, tx, run, name, s)
		}
		if err != nil {
			return 0, err
		}
	}
	return run.ID, nil
}

func insertLanding(ctx context.Context, tx *db.Tx, in landing, entry *queueEntry, now int64) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO landings (id, repo_id, branch, change_id, ps, run_id, candidate_id, group_id, targets, barrier,
			old_oid, new_oid, state, landed_by, intent_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		id, in.repo, in.branch, in.Change, in.PS, in.Run, in.Candidate, in.Group, lanes{targets: entry.Targets}.text(), db.Bool(entry.Barrier),
		string(in.Old), string(in.New), landingIntent, in.By, now)
	if err != nil {
		return fmt.Errorf("gatekeeper: intent to land change %d: %w", in.Change, err)
	}
	return nil
}
