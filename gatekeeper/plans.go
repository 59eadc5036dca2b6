package gatekeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// planCacheEntries bounds the memory for plans read before; each is a few kilobytes.
const planCacheEntries = 512

// planCache keeps composed plans by the two commits that they come from, which never change.
type planCache struct {
	mu  sync.Mutex
	all map[[2]git.OID]*plan.Plan
}

func (p *planCache) get(key [2]git.OID) *plan.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[key]
}

func (p *planCache) put(key [2]git.OID, value *plan.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= planCacheEntries {
		p.all = map[[2]git.OID]*plan.Plan{}
	}
	p.all[key] = value
}

// changesCacheEntries bounds the memory for differences read before: most are a few paths.
const changesCacheEntries = 4096

// maxCachedPaths is how many paths a remembered difference has at most.
const maxCachedPaths = 1000

// changesCache keeps the paths that differ between two commits, which never change.
type changesCache struct {
	mu  sync.Mutex
	all map[[2]git.OID][]string
}

func (p *changesCache) get(key [2]git.OID) ([]string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	paths, ok := p.all[key]
	return paths, ok
}

func (p *changesCache) put(key [2]git.OID, paths []string) {
	if len(paths) > maxCachedPaths {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || len(p.all) >= changesCacheEntries {
		p.all = map[[2]git.OID][]string{}
	}
	p.all[key] = paths
}

// PlanAt reads the plan at the tip of a branch: its policy half binds every change for that
// branch. A branch without a plan file, or that does not exist yet, has the default plan. A
// file that does not parse is an error with its problems: nothing lands under it (I13).
func (c *Controller) PlanAt(ctx context.Context, r repo.Repository, branch string) (*plan.Plan, []plan.Problem, error) {
	g, err := c.Repos.Open(r)
	if err != nil {
		return nil, nil, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+branch)
	if err != nil {
		return nil, nil, err
	}
	if tip.IsZero() {
		return plan.Default(), nil, nil
	}
	return c.planOf(ctx, g, tip)
}

// planOf reads the plan in a commit.
func (c *Controller) planOf(ctx context.Context, g *git.Repo, commit git.OID) (*plan.Plan, []plan.Problem, error) {
	key := [2]git.OID{commit, commit}
	if p := c.plans.get(key); p != nil {
		return p, nil, nil
	}
	text, err := g.FileAt(ctx, commit, plan.File, plan.MaxFile)
	switch {
	case fault.Is(err, fault.NotFound):
		text = nil
	case err != nil:
		return nil, nil, err
	}
	p := plan.Default()
	if text != nil {
		var problems []plan.Problem
		if p, problems = plan.Parse(plan.File, text); len(problems) > 0 {
			return nil, problems, badPlan(commit, problems)
		}
		if p.AsksOwners() {
			file, err := review.ReadOwners(ctx, g, commit)
			if err != nil {
				return nil, nil, err
			}
			p.SetOwners(file)
		}
	}
	c.plans.put(key, p)
	return p, nil, nil
}

func badPlan(commit git.OID, problems []plan.Problem) error {
	first := problems[0]
	fix := first.Fix
	first.Fix = "" // it is the next step, not part of the sentence
	return fault.New(fault.Refused, "gatekeeper.plan", fmt.Sprintf("%s (in %s)", first, commit.Short()), fix)
}

// composed is the plan for a candidate: policy from the branch, actions from the candidate.
func (c *Controller) composed(ctx context.Context, g *git.Repo, policyAt, candidate git.OID) (*plan.Plan, error) {
	key := [2]git.OID{policyAt, candidate}
	if p := c.plans.get(key); p != nil {
		return p, nil
	}
	policy, _, err := c.planOf(ctx, g, policyAt)
	if err != nil {
		return nil, err
	}
	own, _, err := c.planOf(ctx, g, candidate)
	if err != nil {
		return nil, err
	}
	p, problems := plan.Compose(policy, own)
	if len(problems) > 0 {
		return nil, badPlan(candidate, problems)
	}
	c.plans.put(key, p)
	return p, nil
}

// checkPlan lists what is wrong with the plan in a commit.
func (c *Controller) checkPlan(ctx context.Context, g *git.Repo, commit git.OID) []plan.Problem {
	_, problems, err := c.planOf(ctx, g, commit)
	if err == nil || len(problems) > 0 {
		return problems
	}
	var f *fault.Error
	text := "it cannot be read"
	if errors.As(err, &f) && f.Kind != fault.Internal {
		text = f.Public
	}
	return []plan.Problem{{Line: 1, Column: 1, Message: text, Fix: fmt.Sprintf("make it a regular file of at most %d KiB", plan.MaxFile>>10)}}
}

// checkTip refuses a commit whose plan does not parse.
func (c *Controller) checkTip(ctx context.Context, g *git.Repo, tip git.OID) error {
	problems := c.checkPlan(ctx, g, tip)
	if len(problems) == 0 {
		return nil
	}
	first := problems[0]
	next := "mend it; `gate plan check` reads a plan beforehand"
	if first.Fix != "" {
		next = first.Fix
	}
	return fault.New(fault.Refused, "gatekeeper.plan", fmt.Sprintf("%s does not parse at line %d, column %d: %s", plan.File, first.Line, first.Column, first.Message), next)
}
