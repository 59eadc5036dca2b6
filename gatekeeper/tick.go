package gatekeeper

import (
	"context"
	"slices"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// maxSteps bounds the steps of one look: what is left over is done by the next look.
	maxSteps = 50
	// maxRearranged is how often a look begins anew because its branches share another queue
	// than it thought: that happens when a plan lands, so twice in a row is rare already.
	maxRearranged = 5
)

// Tick looks at one branch, and at those that share its queue, and does all that can be done
// now. It is safe at any time and any number of times: what it does follows from the rows and
// the refs alone.
func (c *Controller) Tick(ctx context.Context, repoID int64, branch string) error {
	k := branchKey{repoID, branch}
	for range maxRearranged {
		keys, err := together(ctx, c.DB.Read(), k)
		if err != nil {
			return err
		}
		if settled, err := c.lookAt(ctx, k, keys); err != nil || settled {
			return err
		}
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, repo.BranchJob(repoID, branch)) })
}

// round is one look at the branches that share a queue, under their locks.
type round struct {
	*Controller
	name    string // of the queue: that of its first branch when it has none
	ticks   []*tick
	gone    []*tick        // branches that are not gated, or not there: locked all the same
	touched map[int64]bool // changes whose watchers are to look again
}

// tick is the part of a look that is about one branch.
type tick struct {
	*round
	lock branchLock
	git  *git.Repo
	tip  git.OID
	row  queueBranch
	plan *plan.Plan // of the tip, nil when it cannot be read
}

func (t *tick) key() branchKey { return branchKey{t.lock.repo.ID, t.lock.branch} }

// lookAt is one look. It is not settled when the branches turn out to share another queue.
func (c *Controller) lookAt(ctx context.Context, k branchKey, keys []branchKey) (settled bool, err error) {
	r := &round{Controller: c, name: k.name(), touched: map[int64]bool{}}
	defer r.unlock()
	for _, key := range keys {
		if err := r.add(ctx, key); err != nil {
			return false, err
		}
	}
	if now, err := together(ctx, c.DB.Read(), k); err != nil || !slices.Equal(now, keys) {
		return false, err
	}
	if err := r.repair(ctx); err != nil {
		return false, err
	}
	for _, t := range slices.Clone(r.ticks) {
		if err := t.followPrimary(ctx); err != nil {
			return false, err
		}
		if err := t.read(ctx); err != nil {
			return false, err
		}
		if t.tip.IsZero() || !t.lock.repo.Gates(t.lock.branch) {
			r.ticks = slices.DeleteFunc(r.ticks, func(other *tick) bool { return other == t })
			r.gone = append(r.gone, t)
			continue
		}
		if rearranged, err := t.arrive(ctx); err != nil || rearranged {
			return false, err
		}
	}
	if err := r.look(ctx); err != nil {
		return false, err
	}
	for _, t := range r.ticks {
		if err := c.maintain(ctx, t.lock.repo); err != nil {
			return false, err
		}
	}
	return true, nil
}

// add locks one more branch.
func (r *round) add(ctx context.Context, key branchKey) error {
	in, err := r.Repos.ByID(ctx, r.DB.Read(), key.repo)
	if err != nil {
		return err
	}
	t := &tick{round: r}
	t.lock = r.lockBranch(in, key.branch)
	r.ticks = append(r.ticks, t)
	t.git, err = r.Repos.Open(in)
	return err
}

func (r *round) unlock() {
	for _, t := range slices.Concat(r.ticks, r.gone) {
		t.lock.unlock()
	}
	r.wake()
}

// wake has those look again who watch what was touched.
func (r *round) wake() {
	var topics []event.Topic
	for change := range r.touched {
		topics = append(topics, event.ChangeTopic(change))
	}
	for _, t := range r.ticks {
		topics = append(topics, event.RepoTopic(t.lock.repo.ID))
	}
	clear(r.touched)
	r.Bus.Wake(topics...)
}

// read takes in where the branch points and the plan there.
func (t *tick) read(ctx context.Context) error {
	var err error
	if t.tip, err = t.git.RefOID(ctx, t.lock.ref()); err != nil || t.tip.IsZero() {
		return err
	}
	t.plan, _, err = t.planOf(ctx, t.git, t.tip)
	if fault.Is(err, fault.Internal) {
		return err
	}
	return nil // a plan that cannot be read closes the branch, and Explain says so
}

// look takes results in, checks new patch sets, and moves the queue until it has nothing to do.
func (r *round) look(ctx context.Context) error {
	for _, t := range r.ticks {
		if err := t.advanceRuns(ctx); err != nil {
			return err
		}
		if err := t.settleAll(ctx); err != nil {
			return err
		}
		if err := t.awaitWindows(ctx); err != nil {
			return err
		}
	}
	if err := r.recall(ctx); err != nil {
		return err
	}
	for range maxSteps {
		for _, t := range r.ticks { // of what was started here
			if err := t.advanceRuns(ctx); err != nil {
				return err
			}
		}
		moved, err := r.step(ctx)
		if err != nil || !moved {
			return err
		}
		r.wake()
	}
	return r.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, t := range r.ticks {
			if err := tx.Enqueue(ctx, repo.BranchJob(t.lock.repo.ID, t.lock.branch)); err != nil {
				return err
			}
		}
		return nil
	})
}
