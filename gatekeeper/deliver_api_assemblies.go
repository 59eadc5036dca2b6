package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

// assembliesListed bounds a list of assemblies: what runs is far less, what ran is history.
const assembliesListed = 200

// Assemblies are those of a branch, newest first; with gone also those that are not there any
// more. Those of private changes are left out for whoever may not see them.
func (c *Controller) Assemblies(ctx context.Context, actor account.Actor, repository, branch string, gone bool) ([]deliver.Assembly, error) {
	r, at, err := c.placeFor(ctx, actor, repository, branch)
	if err != nil {
		return nil, err
	}
	if c.Delivery == nil {
		return nil, fault.New(fault.Unavailable, "gatekeeper.Assemblies", "this server keeps no environments", "")
	}
	all, err := c.Delivery.Assemblies(ctx, at, gone, assembliesListed)
	if err != nil {
		return nil, err
	}
	sight, err := c.sightOf(ctx, actor, r.ID)
	return sight.assemblies(all), err
}

// AssemblyLog is the end of what an assembly says; cut tells that there is more before it. It is
// for those who work on the repository: what serves may log what it is sent.
func (c *Controller) AssemblyLog(ctx context.Context, actor account.Actor, repository string, id int64) (text []byte, cut bool, err error) {
	a, r, err := c.assemblyFor(ctx, actor, repository, id)
	if err != nil {
		return nil, false, err
	}
	if err := c.May(ctx, actor, account.Vote, r.Resource(a.Place().Branch)); err != nil {
		return nil, false, err
	}
	return c.Delivery.Output(ctx, a)
}

// StopAssembly ends an assembly of an environment that each change has for itself, for whoever
// may deploy, or edit its change.
func (c *Controller) StopAssembly(ctx context.Context, actor account.Actor, repository string, id int64, reason string) (deliver.Assembly, error) {
	a, r, err := c.assemblyFor(ctx, actor, repository, id)
	if err != nil {
		return a, err
	}
	if err := c.mayStop(ctx, actor, r, a); err != nil {
		return a, err
	}
	e := plan.Environment{Name: a.Environment, Class: plan.Standing}
	if a.Instance != "" { // only those of changes have one, whatever the plan says by now
		e.Class = plan.Ephemeral
	}
	if err := c.Delivery.Stop(ctx, a, e, actor.Name, reason); err != nil {
		return a, err
	}
	return c.Delivery.AssemblyByID(ctx, id)
}

func (c *Controller) mayStop(ctx context.Context, actor account.Actor, r repo.Repository, a deliver.Assembly) error {
	err := c.May(ctx, actor, account.Deploy, r.Resource(a.Place().Branch))
	if err == nil || a.Change == 0 || a.Instance == "" {
		return err
	}
	ch, loadErr := c.Review.Load(ctx, c.DB.Read(), a.Change)
	if loadErr != nil {
		return loadErr
	}
	return c.Review.May(ctx, c.DB.Read(), actor, account.Edit, ch, r)
}

// assemblyFor finds an assembly of a repository that an actor may see. Others answer like none.
func (c *Controller) assemblyFor(ctx context.Context, actor account.Actor, repository string, id int64) (deliver.Assembly, repo.Repository, error) {
	r, err := c.readable(ctx, actor, repository)
	if err != nil {
		return deliver.Assembly{}, r, err
	}
	if c.Delivery == nil {
		return deliver.Assembly{}, r, fault.New(fault.Unavailable, "gatekeeper.assembly", "this server keeps no environments", "")
	}
	a, err := c.Delivery.AssemblyByID(ctx, id)
	if err != nil {
		return a, r, err
	}
	sight, err := c.sightOf(ctx, actor, r.ID)
	if err != nil {
		return a, r, err
	}
	if a.Place().Repo != r.ID || len(sight.assemblies([]deliver.Assembly{a})) == 0 {
		return a, r, fault.Newf(fault.NotFound, "deliver.assembly", "there is no assembly %d", id)
	}
	return a, r, nil
}
