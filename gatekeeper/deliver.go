package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// The phases of a plan that runs are about.
const (
	phaseGate    = "gate"    // before the landing: on a candidate
	phaseDeliver = "deliver" // after it: on what landed, with what was built then
)

// howDeliver marks the rows of candidates that stand for what landed: nothing lands by them.
const howDeliver = "deliver"

// JobDeliver is the kind of the job that looks at what a branch delivers; its key is that of a
// [repo.BranchJob].
const JobDeliver = deliver.JobKind

func deliverJob(repoID int64, branch string) db.Job {
	return db.Job{Kind: JobDeliver, Key: repo.BranchJob(repoID, branch).Key}
}

// lookAgain asks for the look that takes a run's results in.
func lookAgain(ctx context.Context, tx *db.Tx, run *runRow) error {
	if run.phase == phaseDeliver {
		return tx.Enqueue(ctx, deliverJob(run.repo, run.branch))
	}
	return tx.Enqueue(ctx, repo.BranchJob(run.repo, run.branch))
}

// delivery is a delivery run to be written with the outcome of a landing.
type delivery struct {
	plan    *plan.Plan
	tree    git.OID
	outcome string
}

// deliveryOf finds out whether anything follows the landing of a branch; nil when nothing does.
// It is the landed commit's own plan that says so: it was reviewed and tested as such.
func (m *move) deliveryOf(ctx context.Context) (*delivery, error) {
	if len(m.rows) == 0 {
		return nil, nil
	}
	p, problems, err := m.planOf(ctx, m.git, m.new)
	if len(problems) > 0 {
		return nil, nil // a plan that cannot be read delivers nothing, as it lands nothing
	}
	if err != nil {
		return nil, err
	}
	last := m.rows[len(m.rows)-1]
	var outcome string
	if err := m.DB.Read().QueryRowContext(ctx, `SELECT outcome FROM changes WHERE id = $1`, last.Change).Scan(&outcome); err != nil {
		return nil, fmt.Errorf("gatekeeper: outcome of change %d: %w", last.Change, err)
	}
	if len(p.Delivering(outcome).Stages) == 0 {
		return nil, nil
	}
	head, err := m.git.Commit(ctx, m.new)
	return &delivery{p, head.Tree, outcome}, err
}

// startDelivery writes the run of what comes after a landing, in the transaction that writes
// that it landed: the two are true together. Of several changes that landed at once it is the
// last one's: the branch never stood at the others.
func (c *Controller) startDelivery(ctx context.Context, tx *db.Tx, last landing, d *delivery) error {
	k := candidate{Repo: last.repo, Branch: last.branch, Change: last.Change, PS: last.PS, Base: last.Old, How: howDeliver, Commit: last.New, Tree: d.tree, Plan: d.plan.Digest()}
	if err := insertCandidate(ctx, tx, &k, db.Micros(c.Now())); err != nil {
		return err
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO runs (id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state,
			created_at, phase, of_run, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, 1, $9, $10, $11, $12, $13)`,
		id, k.Repo, k.Branch, k.Change, k.PS, k.ID, string(k.Commit), k.Plan, string(RunRunning), db.Micros(c.Now()), phaseDeliver, last.Run, d.outcome)
	if err != nil {
		return fmt.Errorf("gatekeeper: start delivery of change %d: %w", last.Change, err)
	}
	run := &runRow{Run: Run{ID: id, Change: k.Change, PS: k.PS}, repo: k.Repo, branch: k.Branch, candidateID: k.ID, phase: phaseDeliver}
	if err := c.noteRun(ctx, tx, run, "delivery.started", map[string]string{"commit": string(k.Commit)}); err != nil {
		return err
	}
	return tx.Enqueue(ctx, deliverJob(k.Repo, k.Branch))
}

// deliverOutside starts the delivery of a commit that came to the branch without landing here, when
// its stages have passed: from then on its way is the same.
func (t *tick) deliverOutside(ctx context.Context, tx *db.Tx, run *runRow) error {
	k, err := candidateByID(ctx, tx, run.candidateID)
	if err != nil || k.How != howOutside {
		return err
	}
	on, err := t.git.IsAncestor(ctx, run.Candidate, t.tip)
	if err != nil || !on {
		return err
	}
	p, _, err := t.planOf(ctx, t.git, run.Candidate)
	if err != nil || len(p.Delivering("").Stages) == 0 {
		return err
	}
	in := landing{branchKey: t.key(), Run: run.ID, Old: run.Base, New: run.Candidate}
	return t.startDelivery(ctx, tx, in, &delivery{plan: p, tree: k.Tree})
}
