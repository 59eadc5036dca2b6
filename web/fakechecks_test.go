package web

import (
	"context"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
)

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
