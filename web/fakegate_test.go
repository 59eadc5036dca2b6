package web

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// fakeGate is a gatekeeper that keeps state: requirements and runs that a test sets, logs
// that grow. Rights are asked of the real decision point, as the real one does.
type fakeGate struct {
	*gatekeeper.Controller                    // the real one, for what tests do not turn
	likely                 *gatekeeper.WhatIf // of every open change
	w                      *world
	mu                     sync.Mutex
	needs                  map[int64][]gatekeeper.Requirement
	runs                   map[int64][]gatekeeper.Run
	logs                   map[int64]*fakeLog
	flaky                  gatekeeper.FlakeReport
	fail                   error

	checks  map[int64]gatekeeper.Checks
	reports map[int64]gatekeeper.StageReport
	tests   map[int64][]gatekeeper.TestRow
	history gatekeeper.TestHistory
	counts  []gatekeeper.TestCount
	reruns  []gatekeeper.Rerun

	times map[int64][]byte                  // when logs were written
	bare  map[int64]gatekeeper.StageSubject // what stage runs are about that are no change's
}

type fakeLog struct {
	text []byte
	done bool
}

func (g *fakeGate) Explain(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error) {
	ch, err := g.w.web.Review.Get(ctx, a, change)
	if err != nil {
		return gatekeeper.Explanation{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return gatekeeper.Explanation{}, g.fail
	}
	e := gatekeeper.Explanation{Change: change, PatchSet: ch.Current, Repository: ch.RepoName, Branch: ch.Branch, Subject: ch.Subject, State: gatekeeper.Ready,
		Summary: "ready: every gate before the queue is open; somebody has to ask to land it", Requirements: g.needs[change], LandedCommit: ch.LandedCommit}
	switch ch.Status {
	case review.Landed:
		e.State, e.Summary, e.Requirements = gatekeeper.Landed, "landed on main as "+ch.LandedCommit.Short(), nil
	case review.Abandoned:
		e.State, e.Summary, e.Requirements = gatekeeper.Abandoned, "abandoned", nil
	}
	for _, r := range e.Requirements {
		if r.State == string(plan.Refused) {
			e.State, e.Summary = gatekeeper.Refused, "refused: "+r.Name+": "+r.Reason
			return e, nil
		}
		if r.State != string(plan.Open) && r.State != string(plan.Passed) && r.Kind != "submit" && e.State == gatekeeper.Ready {
			e.State, e.Summary, e.WhatIf = gatekeeper.Open, r.Name+": "+r.Reason, g.likely
		}
	}
	if e.State == gatekeeper.Ready && ch.SubmitBy != 0 {
		e.State, e.Summary, e.QueuePosition = gatekeeper.Queued, "number 1 in the queue of main", 1
	}
	return e, nil
}

func (g *fakeGate) Submit(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error) {
	if err := g.w.web.Review.RequestSubmit(ctx, a, change); err != nil {
		return gatekeeper.Explanation{}, err
	}
	return g.Explain(ctx, a, change)
}

func (g *fakeGate) Runs(ctx context.Context, a account.Actor, change int64) ([]gatekeeper.Run, error) {
	if _, err := g.w.web.Review.Get(ctx, a, change); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs[change], nil
}

func (g *fakeGate) Stage(ctx context.Context, a account.Actor, id int64) (gatekeeper.StageRun, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for change, runs := range g.runs {
		for _, r := range runs {
			for _, s := range r.Stages {
				if s.ID == id && change == 0 {
					return s, g.mayRead(ctx, a, g.bare[id].Repository)
				}
				if s.ID == id {
					_, err := g.w.web.Review.Get(ctx, a, change)
					return s, err
				}
			}
		}
	}
	return gatekeeper.StageRun{}, fault.New(fault.NotFound, "fake", "there is no such stage run", "")
}

// WhatIf lets a change queue when bob's vote is supposed, and knows nobody called nobody.
func (g *fakeGate) WhatIf(ctx context.Context, a account.Actor, change int64, all []gatekeeper.Supposition) (gatekeeper.WhatIf, error) {
	if _, err := g.w.web.Review.Get(ctx, a, change); err != nil {
		return gatekeeper.WhatIf{}, err
	}
	then := gatekeeper.WhatIf{Outcome: "it would still wait", State: gatekeeper.Open}
	for _, s := range all {
		switch s.Account {
		case "nobody":
			return then, fault.New(fault.Invalid, "fake", `there is no account "nobody"`, "name an account")
		case "bob":
			then.Queues, then.Outcome = true, "it would queue"
		}
		then.If = append(then.If, strings.TrimSpace(s.Account+" "+s.Stage+" "+s.Kind))
	}
	return then, nil
}

func (g *fakeGate) StageTimes(ctx context.Context, a account.Actor, id int64) (gatekeeper.LogTimes, error) {
	_, err := g.Stage(ctx, a, id)
	return gatekeeper.ReadLogTimes(g.times[id]), err
}

func (g *fakeGate) StageSubject(ctx context.Context, a account.Actor, id int64) (gatekeeper.StageSubject, error) {
	_, err := g.Stage(ctx, a, id)
	return g.bare[id], err
}

func (g *fakeGate) StageLog(ctx context.Context, a account.Actor, id, offset int64) (io.ReadCloser, bool, error) {
	if _, err := g.Stage(ctx, a, id); err != nil {
		return nil, false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.logs[id]
	if l == nil {
		return io.NopCloser(strings.NewReader("")), true, nil
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(l.text[min(int(offset), len(l.text)):]))), l.done, nil
}

// WatchBoard is the real thing: a board is made of events, and the tests' are in the database.
func (g *fakeGate) WatchBoard(ctx context.Context, a account.Actor, repoName, branch string, m gatekeeper.Moment) (gatekeeper.BoardView, error) {
	c := &gatekeeper.Controller{Config: gatekeeper.Config{DB: g.w.web.DB, Accounts: g.w.web.Accounts, Repos: g.w.web.Repos, Now: g.w.clock, Workers: boardWorkers}}
	return c.WatchBoard(ctx, a, repoName, branch, m)
}

// boardWorkers is how many stages the server of the tests runs at once.
const boardWorkers = 4

func (g *fakeGate) Flakes(ctx context.Context, a account.Actor, repoName string) (gatekeeper.FlakeReport, error) {
	r, err := g.w.web.Repos.ByName(ctx, g.w.web.DB.Read(), repoName)
	if err != nil {
		return gatekeeper.FlakeReport{}, err
	}
	if err := g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Read, r.Resource("")); err != nil {
		return gatekeeper.FlakeReport{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flaky
	f.Repository, f.Since = repoName, g.w.clock().AddDate(0, 0, -30)
	return f, nil
}

// write adds to a log and wakes its readers.
func (g *fakeGate) write(id int64, text string, done bool) {
	g.mu.Lock()
	l := g.logs[id]
	if l == nil {
		l = &fakeLog{}
		g.logs[id] = l
	}
	l.text, l.done = append(l.text, text...), done
	g.mu.Unlock()
	g.w.web.Bus.Wake(event.StageTopic(id))
}

func (g *fakeGate) set(change int64, needs []gatekeeper.Requirement, runs []gatekeeper.Run) {
	g.mu.Lock()
	g.needs[change], g.runs[change] = needs, runs
	g.mu.Unlock()
	g.w.web.Bus.Wake(event.ChangeTopic(change))
}
