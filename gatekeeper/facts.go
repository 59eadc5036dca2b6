package gatekeeper

import (
	"context"
	"fmt"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// facts is all that is known about one change, read at one moment; every verdict about the
// change is a function of it.
type facts struct {
	now     time.Time // when it was read
	repo    repo.Repository
	change  review.Change
	ps      review.PatchSet   // the current one
	sets    []review.PatchSet // all of them
	votes   []review.Vote
	people  map[int64]account.Account
	parents []parentFact
	entry   *queueEntry
	landing bool // an intent is open
	unable  bool // who asked to land it may not any more
	plan    *plan.Plan
	planErr error // why there is no plan
	// branchPlan says that it is the branch's own plan that cannot be read.
	branchPlan bool
	check      *runRow // the newest run by which it is checked before it may queue, nil before the first
	run        *runRow // the run that says where it stands: of the queue, of its ejection, else the check
	ejected    *ejection
	depends    review.Depends
	merge      string // why it does not merge onto the branch by itself, "" when it does
	ballots    []plan.Vote
	changed    []string // paths that the candidate, or before it the patch set, changes
	// roster and groups are the people of the roles that the gates ask, asked those whom somebody
	// asked to review.
	roster map[string]account.Account
	groups map[string][]account.Account
	asked  []account.Account
	usual  map[string]time.Duration // how long each stage takes when it passes
	// touched are the paths that the patch set itself touches, nil when that is not known.
	touched []string
	// noStages is why this server runs no stages.
	noStages string
	// more is the evidence where the plan asks for more than votes and results, nil otherwise.
	more  *plan.Evidence
	notes []string // what of its plan does not hold yet, beside the notes of stages that run before the landing
	// parts are what accounts are to the change, where the plan asks for more.
	parts map[string][]string
}

// parentFact is a change below this one in its stack.
type parentFact struct {
	Change   int64
	Subject  string
	Status   review.Status
	Outdated bool // this patch set stands on an older patch set of it
	Queued   bool
}

// gather reads the rows about a change. The plan and the merge are git's to tell and are
// filled in by the caller.
func (c *Controller) gather(ctx context.Context, q db.Querier, r repo.Repository, id int64) (*facts, error) {
	f := &facts{now: c.Now(), repo: r, noStages: c.NoStages}
	var err error
	if f.change, err = c.Review.Load(ctx, q, id); err != nil {
		return nil, err
	}
	if f.sets, err = c.Review.PatchSets(ctx, q, id); err != nil {
		return nil, err
	}
	for _, ps := range f.sets {
		if ps.Number == f.change.Current {
			f.ps = ps
		}
	}
	if f.votes, err = c.Review.Votes(ctx, q, id); err != nil {
		return nil, err
	}
	if err := c.gatherPeople(ctx, q, f); err != nil {
		return nil, err
	}
	if err := c.gatherParents(ctx, q, f); err != nil {
		return nil, err
	}
	if touched, known, err := c.Review.Touched(ctx, q, f.change); err != nil {
		return nil, err
	} else if known {
		f.touched = append([]string{}, touched...) // no path at all is known too
	}
	if f.unable, err = c.unable(ctx, q, f); err != nil {
		return nil, err
	}
	if f.entry, err = entryOf(ctx, q, id); err != nil {
		return nil, err
	}
	var open int
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM landings WHERE change_id = $1 AND state = $2`, id, landingIntent).Scan(&open); err != nil {
		return nil, fmt.Errorf("gatekeeper: landings of change %d: %w", id, err)
	}
	f.landing = open > 0
	if f.ejected, err = ejectionOf(ctx, q, id, f.change.Current); err != nil {
		return nil, err
	}
	if f.depends, err = c.Review.ResolveDepends(ctx, q, f.change); err != nil {
		return nil, err
	}
	return f, c.gatherRuns(ctx, q, f)
}

// gatherRuns picks the runs that say where the patch set stands.
func (c *Controller) gatherRuns(ctx context.Context, q db.Querier, f *facts) error {
	checks, err := queryRuns(ctx, q, `r.change_id = $1 AND r.ps = $2 AND r.state <> $3 AND c.checks = 1`, f.change.ID, f.change.Current, string(RunSuperseded))
	if err != nil {
		return err
	}
	if len(checks) > 0 {
		f.check = checks[len(checks)-1]
	}
	f.run = f.check
	var where string
	var args []any
	switch {
	case f.ejected != nil && f.ejected.Run != 0:
		where, args = `r.id = $1`, []any{f.ejected.Run}
	case f.entry != nil && f.entry.PS == f.change.Current:
		where = `r.id = (SELECT MAX(n.id) FROM runs n JOIN candidate_changes m ON m.candidate_id = n.candidate_id
			WHERE m.change_id = $1 AND m.ps = $2 AND m.role = $3 AND n.state <> $4)`
		args = []any{f.change.ID, f.change.Current, roleMember, string(RunSuperseded)}
	default:
		return nil
	}
	runs, err := queryRuns(ctx, q, where, args...)
	if err == nil && len(runs) > 0 {
		f.run = runs[0]
	}
	return err
}

// unable asks again whether who wanted the change to land still may: a right that was taken
// away, or an account that was disabled, takes its wishes along.
func (c *Controller) unable(ctx context.Context, q db.Querier, f *facts) (bool, error) {
	if f.change.SubmitBy == 0 {
		return false, nil
	}
	actor, err := c.Accounts.Actor(ctx, q, f.change.SubmitBy, methodVote)
	if err == nil {
		err = c.Accounts.May(ctx, q, actor, account.Submit, f.repo.Resource(f.change.Branch))
	}
	if fault.Is(err, fault.Internal) {
		return false, err
	}
	return err != nil, nil
}

func (c *Controller) gatherPeople(ctx context.Context, q db.Querier, f *facts) error {
	ids := []int64{f.change.Owner, f.change.SubmitBy}
	for _, ps := range f.sets {
		ids = append(ids, ps.Uploader)
	}
	for _, v := range f.votes {
		ids = append(ids, v.Account)
	}
	var err error
	f.people, err = c.Accounts.Names(ctx, q, ids)
	return err
}

func (c *Controller) gatherParents(ctx context.Context, q db.Querier, f *facts) error {
	stack, err := c.Review.Stack(ctx, q, f.change)
	if err != nil {
		return err
	}
	for _, p := range stack.Parents {
		entry, err := entryOf(ctx, q, p.Change.ID)
		if err != nil {
			return err
		}
		f.parents = append(f.parents, parentFact{Change: p.Change.ID, Subject: p.Change.Subject, Status: p.Change.Status,
			Outdated: p.Outdated, Queued: entry != nil})
	}
	return nil
}

func (f *facts) name(id int64) string {
	if a, ok := f.people[id]; ok {
		return a.Name
	}
	return fmt.Sprintf("account %d", id)
}
