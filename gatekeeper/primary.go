package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Primary is where a gated branch is at home when that is not here: ours is then a copy, which
// moves after the primary and never before it. A repository that has none is left alone.
type Primary interface {
	// Sync brings our branch to where its primary is; moved says that it was elsewhere. An error
	// that is a fault says why nothing may land there now, as [Primary.Shut] does after it.
	Sync(ctx context.Context, r repo.Repository, branch string) (moved bool, err error)
	// Shut is why nothing may land, as it was last seen, "" when something may; until is when
	// that is asked again, zero for not by itself.
	Shut(ctx context.Context, q db.Querier, repoID int64, branch string) (reason string, until time.Time, err error)
	// Land brings the primary from old to a commit that was tested, and gives the commit that
	// it holds there then, which is another where a forge makes its own of the same tree.
	// Conflict says that the primary is elsewhere and nothing landed, Refused that it does not
	// take it. After any other error nobody knows: it is called again, and asks before it acts.
	Land(ctx context.Context, r repo.Repository, branch string, old, tested git.OID, changes []int64) (git.OID, error)
	// Refused is told, in the transaction that says so, that the run of a commit which is no change
	// of ours was refused.
	Refused(ctx context.Context, tx *db.Tx, run int64) error
	// Prune forgets what the entrances of a repository do not need any more.
	Prune(ctx context.Context, r repo.Repository, g *git.Repo) error
}

// primaryPause is when a branch is looked at again whose primary is shut for no known time.
const primaryPause = time.Minute

// followPrimary takes in what the primary is. What it says no to is said by Shut from then on.
func (t *tick) followPrimary(ctx context.Context) error {
	if t.Primary == nil || !t.lock.repo.Gates(t.lock.branch) {
		return nil
	}
	moved, err := t.Primary.Sync(ctx, t.lock.repo, t.lock.branch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		t.Log.Warn("the primary does not let us land", "repo", t.lock.repo.Name, "branch", t.lock.branch, "err", err)
		if err := t.lookLater(ctx, t.Now().Add(primaryPause)); err != nil {
			return err
		}
	}
	if !moved {
		return nil
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error { return t.Mirrors.EnqueueAll(ctx, tx, t.lock.repo.ID) })
}

// shut is why nothing lands on the branch because its primary says so.
func (t *tick) shut(ctx context.Context, q db.Querier) (string, time.Time, error) {
	if t.Primary == nil {
		return "", time.Time{}, nil
	}
	return t.Primary.Shut(ctx, q, t.lock.repo.ID, t.lock.branch)
}

// landOutside lands each of the moves on its primary, before our own branches follow. Those of
// which the primary is elsewhere, or says no, come back: nothing landed of them.
func (r *round) landOutside(ctx context.Context, in []*move) (not []*move, err error) {
	if r.Primary == nil {
		return nil, nil
	}
	for _, m := range in {
		var changes []int64
		for _, row := range m.rows {
			changes = append(changes, row.Change)
		}
		at, err := r.Primary.Land(ctx, m.lock.repo, m.lock.branch, m.old, m.new, changes)
		switch {
		case fault.Is(err, fault.Conflict), fault.Is(err, fault.Refused):
			r.Log.Info("not landed on the primary", "repo", m.lock.repo.Name, "branch", m.lock.branch, "because", err)
			not = append(not, m)
			if err := m.followPrimary(ctx); err != nil { // what is decided next is decided on what is there
				return nil, err
			}
			continue
		case err != nil:
			return nil, err // the intents stay: the next look asks the primary
		}
		crash("land.primary.moved")
		if at != m.new {
			if err := m.becomes(ctx, at); err != nil {
				return nil, err
			}
		}
	}
	return not, nil
}

// becomes notes that a landing is another commit than the tested one, of the same tree: what
// the primary made of it.
func (m *move) becomes(ctx context.Context, at git.OID) error {
	made, err := m.git.Commit(ctx, at)
	if err != nil {
		return err
	}
	tested, err := m.git.Commit(ctx, m.new)
	if err != nil {
		return err
	}
	if made.Tree != tested.Tree || len(made.Parents) == 0 || made.Parents[0] != m.old {
		return fmt.Errorf("gatekeeper: the primary of %s landed %s, which is not what was tested as %s", m.lock.branch, at, m.new)
	}
	err = m.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, row := range m.rows {
			if row.New != m.new {
				continue
			}
			if _, err := tx.ExecContext(ctx, `UPDATE landings SET new_oid = $1 WHERE id = $2 AND state = $3`, string(at), row.ID, landingIntent); err != nil {
				return fmt.Errorf("gatekeeper: landing %d: %w", row.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range m.rows {
		if m.rows[i].New == m.new {
			m.rows[i].New = at
		}
	}
	m.new = at
	return nil
}

// NoteLanded marks open changes as landed with a commit that came to their branch past the
// queue: somebody landed them on the primary. A commit that the branch does not hold lands nothing.
func (c *Controller) NoteLanded(ctx context.Context, r repo.Repository, branch string, commit git.OID, changes []int64, by int64) error {
	g, err := c.Repos.Open(r)
	if err != nil {
		return err
	}
	lock := c.lockBranch(r, branch)
	defer lock.unlock()
	tip, err := g.RefOID(ctx, lock.ref())
	if err != nil || tip.IsZero() {
		return err
	}
	if _, err := g.Commit(ctx, commit); err != nil {
		return nil // not even here: it is on no branch of ours
	}
	if in, err := g.IsAncestor(ctx, commit, tip); err != nil || !in {
		return err
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, id := range changes {
			ch, err := c.Review.Load(ctx, tx, id)
			if err != nil {
				return err
			}
			if ch.Status != review.Open || ch.Repo != r.ID || ch.Branch != branch {
				continue
			}
			if open, err := openLandings(ctx, tx, `change_id = $2`, id); err != nil || len(open) > 0 {
				return err // it is being landed by us, and repair says how that ended
			}
			if err := c.Review.MarkLanded(ctx, tx, id, ch.Current, commit, by); err != nil {
				return err
			}
			if err := dequeue(ctx, tx, id); err != nil {
				return err
			}
		}
		return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch))
	})
	for _, id := range changes {
		c.Bus.Wake(event.ChangeTopic(id))
	}
	return err
}

// howOutside is the way of candidates that nobody here made: they are what they are.
const howOutside = "outside"

// TestCommit runs the stages on a commit that came from another and is no change of ours, under
// the plan at from, and gives the run. It lands nothing. 0 says that the plan cannot be followed.
func (c *Controller) TestCommit(ctx context.Context, r repo.Repository, branch string, from, commit git.OID) (int64, error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return 0, err
	}
	p, err := c.composed(ctx, g, from, commit)
	if fault.Is(err, fault.Internal) {
		return 0, err
	}
	if err != nil || len(p.Stages) == 0 {
		return 0, nil // Explain says what is wrong with the plan; without stages there is nothing to run
	}
	made, err := g.Commit(ctx, commit)
	if err != nil {
		return 0, err
	}
	k := candidate{Repo: r.ID, Branch: branch, Base: from, Ground: string(commit), How: howOutside, Commit: commit, Tree: made.Tree, Plan: p.Digest()}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		have, err := queryCandidates(ctx, tx, `k.repo_id = $1 AND k.branch = $2 AND k.base_oid = $3 AND k.ground = $4 AND k.how = $5 AND k.members = ''`,
			r.ID, branch, string(from), k.Ground, howOutside)
		if err != nil {
			return err
		}
		if len(have) > 0 {
			k = *have[0]
			return nil
		}
		return insertCandidate(ctx, tx, &k, db.Micros(c.Now()))
	})
	if err != nil {
		return 0, err
	}
	if err := g.UpdateRefs(ctx, []git.RefUpdate{{Ref: candidateRef(k.ID), New: commit}}, "candidate"); err != nil {
		return 0, err
	}
	run, err := c.startRun(ctx, r.ID, branch, k, from, k.Plan, "")
	if err != nil {
		return 0, err
	}
	return run, c.DB.Transact(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, repo.BranchJob(r.ID, branch)) })
}

// tellRefused tells who brought a commit that is no change of ours that it is red.
func (c *Controller) tellRefused(ctx context.Context, tx *db.Tx, run *runRow, state RunState) error {
	if c.Primary == nil || run.Change != 0 || run.phase != phaseGate || state != RunRefused {
		return nil
	}
	return c.Primary.Refused(ctx, tx, run.ID)
}

// Red says why a run was refused, "" when it was not: the stage that did not pass, or what its
// gates say; and which page shows it.
func (c *Controller) Red(ctx context.Context, id int64) (why, page string, err error) {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, id)
	if err != nil || len(runs) == 0 || runs[0].State != RunRefused {
		return "", "", err
	}
	run := runs[0]
	why, page = run.Reason, ""
	latest := run.latest()
	for _, name := range sortedKeys(latest) {
		s := latest[name]
		if page == "" && s.State == plan.Passed { // its tests may be what a gate refuses
			page = c.stagePage(s.ID)
		}
		if s.State == plan.Failed || s.State == plan.TimedOut {
			return fmt.Sprintf("stage %s is %s", name, s.State), c.stagePage(s.ID), nil
		}
	}
	if why == "" {
		why = "its stages were refused"
	}
	return why, page, nil
}

// stagePage is the address of the page of a stage run.
func (c *Controller) stagePage(id int64) string { return fmt.Sprintf("%s/stage/%d/log", c.URL, id) }

// RunOf is a run with its stages, for whoever may read its branch.
func (c *Controller) RunOf(ctx context.Context, actor account.Actor, id int64) (Run, error) {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.id = $1`, id)
	if err != nil {
		return Run{}, err
	}
	if len(runs) == 0 {
		return Run{}, fault.Newf(fault.NotFound, "gatekeeper.RunOf", "there is no run %d", id)
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), runs[0].repo)
	if err != nil {
		return Run{}, err
	}
	return runs[0].Run, c.May(ctx, actor, account.Read, r.Resource(runs[0].branch))
}

// shutPriority takes from the entries of a branch whose primary is shut the right to land all
// the same: a freeze is ours to go through, a primary is not.
func shutPriority(entries []queue.Entry, shut map[string]bool) {
	for i, e := range entries {
		if shut[e.Branch] {
			entries[i].Priority = min(e.Priority, queue.Hotfix-1)
		}
	}
}

// withoutMoves are the moves that are not in others.
func withoutMoves(moves, others []*move) []*move {
	return slices.DeleteFunc(slices.Clone(moves), func(m *move) bool { return slices.Contains(others, m) })
}
