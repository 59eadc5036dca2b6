package gatekeeper

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// recentLandings is how many landings a queue's page shows.
const recentLandings = 10

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
	view := QueueView{Repository: r.Name, Branch: branch, Entries: []QueueEntry{}, Landed: []LandedView{}}
	look, err := c.reading(ctx, branchKey{r.ID, branch})
	if err != nil {
		return view, err
	}
	state, err := look.state(ctx)
	if err != nil {
		return view, err
	}
	rows, err := queryEntries(ctx, q, r.ID, branch)
	if err != nil {
		return view, err
	}
	entries := map[int64]queueEntry{}
	for _, e := range rows {
		entries[e.Change] = e
	}
	runs, err := runningFor(ctx, q, r.ID, branch)
	if err != nil {
		return view, err
	}
	for _, st := range standings(state, c.Now()) {
		e, here := entries[st.Change]
		if !here { // on another branch that shares the queue
			continue
		}
		entry := QueueEntry{Position: st.Position, Change: e.Change, PS: e.PS, Subject: e.Subject, Owner: e.Owner, EnqueuedAt: e.EnqueuedAt, Why: st.Doing}
		if run := runs[queue.Member{Change: e.Change, PS: e.PS}]; run != nil {
			entry.Run = &run.Run
			if stage := run.waitsFor(); stage != "" && st.Phase == queue.PhaseTesting {
				entry.Why += ": " + stage
			}
		}
		view.Entries = append(view.Entries, entry)
	}
	if i := slices.IndexFunc(look.ticks, func(t *tick) bool { return t.key() == branchKey{r.ID, branch} }); i >= 0 {
		view.Tip = look.ticks[i].tip
	}
	view.Landed, err = c.recent(ctx, q, r.ID, branch)
	return view, err
}

// runningFor are the newest runs that are under way for the queued patch sets of a branch.
func runningFor(ctx context.Context, q db.Querier, repoID int64, branch string) (map[queue.Member]*runRow, error) {
	all, err := queryRuns(ctx, q, `r.repo_id = $1 AND r.branch = $2 AND r.state = $3 AND r.phase = $4`, repoID, branch, string(RunRunning), phaseGate)
	if err != nil {
		return nil, err
	}
	found := map[queue.Member]*runRow{}
	for _, run := range all {
		k, err := candidateByID(ctx, q, run.candidateID)
		if err != nil {
			return nil, err
		}
		for _, m := range k.Members {
			found[m] = run
		}
	}
	return found, nil
}

// waitsFor names the stage that the run waits for, "" when it waits for none.
func (r *runRow) waitsFor() string {
	latest := r.latest()
	for _, name := range slices.Sorted(maps.Keys(latest)) {
		if s := latest[name]; !s.State.Settled() {
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
