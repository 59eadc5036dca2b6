package gatekeeper

import (
	"context"
	"fmt"
	"slices"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// recentLandings is how many landings a queue's page shows.
const recentLandings = 10

// queueState rebuilds the pure queue's state from the rows.
func (t *tick) queueState(ctx context.Context) (queue.State, error) {
	q := t.DB.Read()
	s := queue.State{Branch: t.lock.branch, Tip: string(t.tip)}
	entries, err := queryEntries(ctx, q, t.lock.repo.ID, t.lock.branch)
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		entry, err := t.entry(ctx, q, e)
		if err != nil {
			return s, err
		}
		s.Entries = append(s.Entries, entry)
		candidates, err := t.queuedCandidates(ctx, q, e)
		if err != nil {
			return s, err
		}
		s.Candidates = append(s.Candidates, candidates...)
	}
	open, err := openLandings(ctx, q, t.lock)
	if err != nil {
		return s, err
	}
	if len(open) > 0 { // repair runs before this: an open intent here is one that could not be moved yet
		in := open[0]
		s.Landing = &queue.Landing{Change: in.Change, PS: in.PS, Commit: string(in.New), Old: string(in.Old)}
	}
	return s, nil
}

func (t *tick) entry(ctx context.Context, q db.Querier, e queueEntry) (queue.Entry, error) {
	entry := queue.Entry{Change: e.Change, PS: e.PS, EnqueuedAt: e.EnqueuedAt}
	ch, err := t.Review.Load(ctx, q, e.Change)
	if err != nil {
		return entry, err
	}
	stack, err := t.Review.Stack(ctx, q, ch)
	if err != nil {
		return entry, err
	}
	for _, p := range stack.Parents {
		if p.Change.Status != review.Landed {
			entry.Parents = append(entry.Parents, p.Change.ID)
		}
	}
	return entry, nil
}

// queuedCandidates are the candidates of a queued patch set made the way the plan lands now,
// each with the newest run under the plan as it is now: a run under another plan is no run.
func (t *tick) queuedCandidates(ctx context.Context, q db.Querier, e queueEntry) ([]queue.Candidate, error) {
	policy, _, err := t.planOf(ctx, t.git, t.tip)
	if err != nil {
		return nil, nil // the plan does not parse: nothing is ready, Explain says why
	}
	rows, err := queryCandidates(ctx, q, `k.change_id = $1 AND k.ps = $2 AND k.how = $3`, e.Change, e.PS, policy.Land.How)
	if err != nil {
		return nil, err
	}
	var all []queue.Candidate
	for _, cand := range rows {
		k := queue.Candidate{ID: cand.ID, Change: cand.Change, PS: cand.PS, Base: string(cand.Base), Commit: string(cand.Commit), Conflict: cand.Conflict}
		if cand.Conflict == "" {
			if k.Run, err = t.runOf(ctx, q, cand); err != nil {
				return nil, err
			}
		}
		all = append(all, k)
	}
	return all, nil
}

func (t *tick) runOf(ctx context.Context, q db.Querier, cand *candidate) (queue.Run, error) {
	composed, err := t.composed(ctx, t.git, t.tip, cand.Commit)
	if fault.Is(err, fault.Internal) {
		return queue.Run{}, err
	}
	if err != nil { // no run can be started under a plan that nobody can follow
		return queue.Run{State: queue.RunRefused, Reason: fault.Sentence(err)}, nil
	}
	runs, err := queryRuns(ctx, q, `r.candidate_id = $1 AND r.state <> $2`, cand.ID, string(RunSuperseded))
	if err != nil || len(runs) == 0 {
		return queue.Run{}, err
	}
	run := runs[len(runs)-1]
	if run.planDigest != composed.Digest() {
		return queue.Run{}, nil
	}
	k := queue.Run{ID: run.ID, Reason: run.Reason}
	switch run.State {
	case RunRunning:
		k.State = queue.RunRunning
	case RunPassed:
		k.State = queue.RunPassed
	case RunRefused:
		k.State = queue.RunRefused
	case RunErrored: // its stages were tried maxStageErrors times each already
		k.State, k.Errors = queue.RunErrored, queue.MaxErrors
	default:
		panic("gatekeeper: unknown run state " + string(run.State))
	}
	return k, nil
}

// queryEntries lists a branch's queue in its order.
func queryEntries(ctx context.Context, q db.Querier, repoID int64, branch string) ([]queueEntry, error) {
	rows, err := q.QueryContext(ctx, `SELECT change_id, ps, enqueued_at FROM queue_entries
		WHERE repo_id = $1 AND branch = $2 ORDER BY enqueued_at, change_id`, repoID, branch)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: queue: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []queueEntry
	for rows.Next() {
		var e queueEntry
		var at int64
		if err := rows.Scan(&e.Change, &e.PS, &at); err != nil {
			return nil, fmt.Errorf("gatekeeper: queue: %w", err)
		}
		e.EnqueuedAt = db.Time(at)
		all = append(all, e)
	}
	return all, rows.Err()
}

// position is the change's place in its queue; 1 is next.
func position(ctx context.Context, q db.Querier, f *facts) (int, error) {
	entries, err := queryEntries(ctx, q, f.repo.ID, f.change.Branch)
	if err != nil {
		return 0, err
	}
	for i, e := range entries {
		if e.Change == f.change.ID {
			return i + 1, nil
		}
	}
	return 0, nil
}

// Queue shows the queue of a branch.
func (c *Controller) Queue(ctx context.Context, actor account.Actor, repoName, branch string) (QueueView, error) {
	q := c.DB.Read()
	r, err := c.Repos.ByName(ctx, q, repoName)
	if err != nil {
		return QueueView{}, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource(branch)); err != nil {
		return QueueView{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return QueueView{}, err
	}
	view := QueueView{Repository: r.Name, Branch: branch, Entries: []QueueEntry{}, Landed: []LandedView{}}
	if view.Tip, err = g.RefOID(ctx, headsPrefix+branch); err != nil {
		return view, err
	}
	entries, err := queryEntries(ctx, q, r.ID, branch)
	if err != nil {
		return view, err
	}
	looking := &tick{Controller: c, lock: branchLock{r, branch}, git: g, tip: view.Tip} // it only reads
	state, err := looking.queueState(ctx)
	if err != nil {
		return view, err
	}
	for _, e := range entries {
		entry, err := c.queueEntry(ctx, q, e)
		if err != nil {
			return view, err
		}
		ahead, why := queue.Position(state, e.Change)
		entry.Position = ahead + 1
		if entry.Why == "" {
			entry.Why = why
		}
		view.Entries = append(view.Entries, entry)
	}
	slices.SortStableFunc(view.Entries, func(a, b QueueEntry) int { return a.Position - b.Position })
	view.Landed, err = c.recent(ctx, q, r.ID, branch)
	return view, err
}

func (c *Controller) queueEntry(ctx context.Context, q db.Querier, e queueEntry) (QueueEntry, error) {
	f, err := c.facts(ctx, q, e.Change)
	if err != nil {
		return QueueEntry{}, err
	}
	view := QueueEntry{Change: e.Change, PS: e.PS, Subject: f.change.Subject, Owner: f.name(f.change.Owner), EnqueuedAt: e.EnqueuedAt}
	if f.run != nil {
		run := f.run.Run
		view.Run = &run
	}
	view.Why = f.waitsFor()
	return view, nil
}

// waitsFor names the stage that a queued change waits for, "" when it waits for none.
func (f *facts) waitsFor() string {
	if f.run == nil || len(f.openParents()) > 0 {
		return ""
	}
	latest := f.run.latest()
	for _, name := range f.plan.StageOrder() {
		if s, ok := latest[name]; ok && !s.State.Settled() {
			return "stage " + name + " " + s.words()
		}
	}
	return ""
}

func (c *Controller) recent(ctx context.Context, q db.Querier, repoID int64, branch string) ([]LandedView, error) {
	rows, err := q.QueryContext(ctx, `SELECT l.change_id, l.ps, c.subject, l.new_oid, l.outcome_at, COALESCE(a.name, '')
		FROM landings l JOIN changes c ON c.id = l.change_id LEFT JOIN accounts a ON a.id = l.landed_by
		WHERE l.repo_id = $1 AND l.branch = $2 AND l.state = $3 ORDER BY l.id DESC LIMIT $4`, repoID, branch, landingDone, recentLandings)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: recent landings: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := []LandedView{}
	for rows.Next() {
		var v LandedView
		var at int64
		if err := rows.Scan(&v.Change, &v.PS, &v.Subject, &v.Commit, &at, &v.LandedBy); err != nil {
			return nil, fmt.Errorf("gatekeeper: recent landings: %w", err)
		}
		v.LandedAt = db.Time(at)
		all = append(all, v)
	}
	return all, rows.Err()
}
