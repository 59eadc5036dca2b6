package web

import (
	"context"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// Rerun notes what was asked for, when it may be.
func (g *fakeGate) Rerun(ctx context.Context, a account.Actor, change int64, what gatekeeper.Rerun) error {
	ch, err := g.w.web.Review.Get(ctx, a, change)
	if err != nil {
		return err
	}
	r, err := g.w.web.Repos.ByID(ctx, g.w.web.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	if err := g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Propose, r.Resource(ch.Branch)); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reruns = append(g.reruns, what)
	return nil
}

// Stop refuses whom the controller would refuse.
func (g *fakeGate) Stop(ctx context.Context, a account.Actor, what gatekeeper.Stop) error {
	s, err := g.Stage(ctx, a, what.StageRun)
	if err != nil {
		return err
	}
	ch, err := g.w.web.Review.Get(ctx, a, s.Change)
	if err != nil {
		return err
	}
	r, err := g.w.web.Repos.ByID(ctx, g.w.web.DB.Read(), ch.Repo)
	if err != nil {
		return err
	}
	resource := r.Resource(ch.Branch)
	resource.ChangeOwner = ch.Owner
	return g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Hold, resource)
}

// StageReport is what a test set for the stage run.
func (g *fakeGate) StageReport(ctx context.Context, a account.Actor, id int64) (gatekeeper.StageReport, error) {
	_, err := g.Stage(ctx, a, id)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reports[id], err
}

// StageTests are those that a test set for the stage run.
func (g *fakeGate) StageTests(ctx context.Context, a account.Actor, id int64) ([]gatekeeper.TestRow, error) {
	_, err := g.Stage(ctx, a, id)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tests[id], err
}

func (g *fakeGate) mayRead(ctx context.Context, a account.Actor, repoName string) error {
	r, err := g.w.web.Repos.ByName(ctx, g.w.web.DB.Read(), repoName)
	if err != nil {
		return err
	}
	return g.w.web.Accounts.May(ctx, g.w.web.DB.Read(), a, account.Read, r.Resource(""))
}

// Tests are those that a test set, whatever is searched for.
func (g *fakeGate) Tests(ctx context.Context, a account.Actor, repoName, _ string) ([]gatekeeper.TestCount, error) {
	err := g.mayRead(ctx, a, repoName)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts, err
}

// TestHistory is the one that a test set.
func (g *fakeGate) TestHistory(ctx context.Context, a account.Actor, repoName, stage, test string) (gatekeeper.TestHistory, error) {
	if err := g.mayRead(ctx, a, repoName); err != nil {
		return gatekeeper.TestHistory{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.history.Test != test || stage != "" && g.history.Stage != stage {
		return gatekeeper.TestHistory{}, fault.New(fault.NotFound, "fake", "no such test ran", "")
	}
	return g.history, nil
}

// Checks are those that a test set for the change.
func (g *fakeGate) Checks(ctx context.Context, a account.Actor, change int64, ps int) (gatekeeper.Checks, error) {
	if _, err := g.w.web.Review.Get(ctx, a, change); err != nil {
		return gatekeeper.Checks{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.checks[change]
	c.Change, c.PatchSet = change, ps
	return c, nil
}
