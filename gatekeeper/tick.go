package gatekeeper

import (
	"context"
	"fmt"

	"gatehouse/gatekeeper/plan"
	queue "gatehouse/gatekeeper/queue2"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxSteps bounds the steps of one look: each change takes a handful, and what is left over
// is done by the next look.
const maxSteps = 200

// maxStageErrors is how often the machinery may fail at one stage before its run gives up:
// twice can be bad luck, three times in a row needs a person.
const maxStageErrors = 3

// Tick looks at one branch and does all that can be done now. It is safe at any time and
// any number of times: what it does follows from the rows and the refs alone.
func (c *Controller) Tick(ctx context.Context, repoID int64, branch string) error {
	r, err := c.Repos.ByID(ctx, c.DB.Read(), repoID)
	if err != nil {
		return err
	}
	lock, unlock := c.lockBranch(r, branch)
	defer unlock()
	g, err := c.Repos.Open(r)
	if err != nil {
		return err
	}
	if err := c.repair(ctx, lock, g); err != nil {
		return err
	}
	changes, err := c.Review.OpenOn(ctx, c.DB.Read(), r.ID, branch)
	if err != nil {
		return err
	}
	t := tick{Controller: c, lock: lock, git: g}
	if err := t.look(ctx, changes); err != nil {
		return err
	}
	topics := []event.Topic{event.RepoTopic(r.ID)}
	for _, ch := range changes {
		topics = append(topics, event.ChangeTopic(ch.ID))
	}
	c.Bus.Wake(topics...)
	return c.maintain(ctx, r)
}

// tick is one look at one branch, under its lock.
type tick struct {
	*Controller
	lock branchLock
	git  *git.Repo
	tip  git.OID
}

// look takes results in, checks new patch sets, and moves the queue until it has nothing to do.
func (t *tick) look(ctx context.Context, changes []review.Change) error {
	var err error
	if t.tip, err = t.git.RefOID(ctx, t.lock.ref()); err != nil {
		return err
	}
	if t.tip.IsZero() || !t.lock.repo.Gates(t.lock.branch) {
		return nil
	}
	if err := t.advanceRuns(ctx); err != nil {
		return err
	}
	unsettled, err := t.unsettled(ctx)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		if !unsettled[ch.ID] {
			continue
		}
		if err := t.settle(ctx, ch); err != nil {
			// One change that cannot be looked at must not hold up the others.
			t.Log.Error("look at a change", "repo", t.lock.repo.Name, "change", ch.ID, "err", err)
		}
	}
	for range maxSteps {
		if err := t.advanceRuns(ctx); err != nil { // of what was started here
			return err
		}
		moved, err := t.step(ctx)
		if err != nil || !moved {
			return err
		}
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Enqueue(ctx, repo.BranchJob(t.lock.repo.ID, t.lock.branch))
	})
}

// unsettled finds the open changes that a look can do something for: those without a check,
// those that somebody asked to land, and those in the queue. All others only wait for people.
func (t *tick) unsettled(ctx context.Context) (map[int64]bool, error) {
	rows, err := t.DB.Read().QueryContext(ctx, `SELECT c.id FROM changes c
		WHERE c.repo_id = $1 AND c.branch = $2 AND c.status = $3 AND (c.submit_by <> 0
			OR EXISTS (SELECT 1 FROM queue_entries e WHERE e.change_id = c.id)
			OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.change_id = c.id AND r.ps = c.current_ps AND r.state <> $4))`,
		t.lock.repo.ID, t.lock.branch, string(review.Open), string(RunSuperseded))
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: unsettled changes: %w", err)
	}
	defer func() { _ = rows.Close() }()
	found := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("gatekeeper: unsettled changes: %w", err)
		}
		found[id] = true
	}
	return found, rows.Err()
}

// settle brings one open change up to date: its check has started, and it is in the queue
// exactly when it may be.
func (t *tick) settle(ctx context.Context, ch review.Change) error {
	f, err := t.facts(ctx, t.DB.Read(), ch.ID)
	if err != nil {
		return err
	}
	if f.planErr == nil && !f.change.WIP {
		if err := t.check(ctx, f); err != nil {
			return err
		}
	}
	may := f.mayQueue() == ""
	switch {
	case may && (f.entry == nil || f.entry.PS != f.change.Current):
		return t.enqueue(ctx, f)
	case !may && f.entry != nil && !f.landing:
		return t.DB.Transact(ctx, func(tx *db.Tx) error {
			if err := dequeue(ctx, tx, ch.ID); err != nil {
				return err
			}
			return t.note(ctx, tx, ch.ID, "queue.left", map[string]string{"reason": f.mayQueue()})
		})
	}
	return nil
}

func (t *tick) enqueue(ctx context.Context, f *facts) error {
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := dequeue(ctx, tx, f.change.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO queue_entries (change_id, repo_id, branch, ps, enqueued_at, enqueued_by)
			VALUES ($1, $2, $3, $4, $5, $6)`, f.change.ID, t.lock.repo.ID, t.lock.branch, f.change.Current, db.Micros(t.Now()), f.change.SubmitBy)
		if err != nil {
			return fmt.Errorf("gatekeeper: enqueue change %d: %w", f.change.ID, err)
		}
		return t.note(ctx, tx, f.change.ID, "queue.entered", nil)
	})
}

// check starts the check run of a patch set that has had none: on the tip, or for a change
// in a stack on the candidate of the change below it, so that the very result is there when
// the stack lands in order.
func (t *tick) check(ctx context.Context, f *facts) error {
	if f.run != nil || f.merge != "" {
		return nil
	}
	base, ok, err := t.checkBase(ctx, f)
	if err != nil || !ok {
		return err
	}
	policy, _, err := t.planOf(ctx, t.git, t.tip)
	if err != nil {
		return err
	}
	want := candidate{Members: []queue.Member{{Change: f.change.ID, PS: f.ps.Number}}, Base: base}
	cand, err := t.maker(t.lock.repo, t.lock.branch, t.git, policy.Land.How).candidate(ctx, want, false)
	if err != nil {
		return err
	}
	if f.merge = cand.Conflict; f.merge != "" {
		return nil
	}
	return t.startCandidate(ctx, cand)
}

// checkBase is what a patch set is checked on; ok is false while the change below it has no
// candidate to stand on.
func (t *tick) checkBase(ctx context.Context, f *facts) (base git.OID, ok bool, err error) {
	below := f.openParents()
	if len(below) == 0 {
		return t.tip, true, nil
	}
	nearest := below[len(below)-1]
	if nearest.Outdated {
		return "", false, nil
	}
	parent, err := t.Review.Load(ctx, t.DB.Read(), nearest.Change)
	if err != nil {
		return "", false, err
	}
	all, err := queryCandidates(ctx, t.DB.Read(), `k.change_id = $1 AND k.ps = $2 AND k.conflict = ''`, parent.ID, parent.Current)
	if err != nil || len(all) == 0 {
		return "", false, err
	}
	return all[len(all)-1].Commit, true, nil
}

func (t *tick) startCandidate(ctx context.Context, cand *candidate) error {
	composed, err := t.composed(ctx, t.git, t.tip, cand.Commit)
	if err != nil {
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		return nil // the plan in the candidate does not parse: Explain says so
	}
	_, err = t.startRun(ctx, t.lock.repo.ID, t.lock.branch, *cand, t.tip, composed.Digest())
	return err
}

// advanceRuns takes in what stages reported: starts the stages that can start, retries what
// the machinery broke, ends the runs that have their verdict.
func (t *tick) advanceRuns(ctx context.Context) error {
	runs, err := queryRuns(ctx, t.DB.Read(), `r.repo_id = $1 AND r.branch = $2 AND r.state = $3`, t.lock.repo.ID, t.lock.branch, string(RunRunning))
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := t.advance(ctx, run); err != nil {
			t.Log.Error("advance a run", "run", run.ID, "change", run.Change, "err", err)
		}
	}
	return nil
}

func (t *tick) advance(ctx context.Context, run *runRow) error {
	if current, err := t.current(ctx, run); err != nil || !current {
		return err
	}
	p, err := t.composed(ctx, t.git, run.planOID, run.Candidate)
	if err != nil {
		return err
	}
	changed, err := t.changedPaths(ctx, t.git, run.Base, run.Candidate)
	if err != nil {
		return err
	}
	keys, err := t.stageKeys(ctx, t.git, p, run)
	if err != nil {
		return err
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		fresh, err := queryRuns(ctx, tx, `r.id = $1 AND r.state = $2`, run.ID, string(RunRunning))
		if err != nil || len(fresh) == 0 {
			return err
		}
		run := fresh[0]
		run.keys = keys
		states, err := t.retry(ctx, tx, run)
		if err != nil {
			return err
		}
		start, skip, done := plan.Next(p, states, changed, t.Now())
		again := len(skip) > 0 // what these held up can start, or the run is done
		for _, name := range start {
			stage, _ := p.Stage(name)
			settled, err := t.start(ctx, tx, run, stage)
			if err != nil {
				return err
			}
			again = again || settled
		}
		for _, name := range skip {
			if err := t.addStageRun(ctx, tx, run, name, plan.Skipped, "the change touches none of its paths"); err != nil {
				return err
			}
			states[name] = plan.Skipped
		}
		if again {
			return tx.Enqueue(ctx, repo.BranchJob(t.lock.repo.ID, t.lock.branch))
		}
		if !done {
			return nil
		}
		return t.verdict(ctx, tx, p, run, changed)
	})
}

// current supersedes a run whose patch set was replaced or whose change is closed.
func (t *tick) current(ctx context.Context, run *runRow) (bool, error) {
	ch, err := t.Review.Load(ctx, t.DB.Read(), run.Change)
	if err != nil {
		return false, err
	}
	if ch.Status == review.Open && ch.Current == run.PS {
		return true, nil
	}
	t.stop(run)
	return false, t.DB.Transact(ctx, func(tx *db.Tx) error {
		return t.supersede(ctx, tx, run.ID, "the patch set was replaced or the change closed")
	})
}

// retry starts another attempt at each stage that the machinery, not the code, ended; and
// gives the states as they are then. The server's own stop does not count against a stage.
func (t *tick) retry(ctx context.Context, tx *db.Tx, run *runRow) (map[string]plan.StageState, error) {
	errored := map[string]int{}
	for _, s := range run.Stages {
		if s.State == plan.Errored {
			errored[s.Stage]++
		}
	}
	states := map[string]plan.StageState{}
	for name, s := range run.latest() {
		states[name] = s.State
		again := s.State == plan.Canceled || s.State == plan.Errored && errored[name] < maxStageErrors
		if !again {
			continue
		}
		if err := t.addStageRun(ctx, tx, run, name, plan.Queued, ""); err != nil {
			return nil, err
		}
		states[name] = plan.Queued
	}
	return states, nil
}

// verdict ends a run whose stages are all settled.
func (t *tick) verdict(ctx context.Context, tx *db.Tx, p *plan.Plan, run *runRow, changed []string) error {
	state, reasons := plan.RunVerdict(p, run.evidence(nil, changed), t.Now())
	why := plan.Summary(reasons)
	switch state {
	case plan.RunPassed:
		return t.endRun(ctx, tx, run, RunPassed, "")
	case plan.RunRefused:
		return t.endRun(ctx, tx, run, RunRefused, why)
	case plan.RunErrored:
		return t.endRun(ctx, tx, run, RunErrored, why)
	case plan.RunRunning:
		return nil
	default:
		panic("gatekeeper: unknown verdict " + string(state))
	}
}
