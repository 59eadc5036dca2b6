package gatekeeper

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
)

// EnvironmentView is one environment of a branch as people see it.
type EnvironmentView struct {
	Repository string `json:"repository"`
	Branch     string `json:"branch"`
	App        string `json:"app"`
	deliver.View
}

// site is a branch with its plan, for somebody who may read it.
type site struct {
	deliver.Place
	repo repo.Repository
	plan *plan.Plan
}

// placeFor finds a branch of a repository that an actor may read; "" is the default branch.
func (c *Controller) placeFor(ctx context.Context, actor account.Actor, repository, branch string) (repo.Repository, deliver.Place, error) {
	const op = "gatekeeper.place"
	r, err := c.Repos.ByName(ctx, c.DB.Read(), repository)
	if fault.Is(err, fault.NotFound) {
		return r, deliver.Place{}, account.Missing(op)
	}
	if err != nil {
		return r, deliver.Place{}, err
	}
	if branch == "" {
		branch = r.DefaultBranch
	}
	at := deliver.Place{Repo: r.ID, Branch: branch}
	if err := c.May(ctx, actor, account.Read, r.Resource(branch)); err != nil {
		return r, at, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return r, at, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+branch)
	if err == nil && tip.IsZero() {
		err = fault.New(fault.NotFound, op, fmt.Sprintf("there is no branch %q in %s", branch, r.Name), "git ls-remote lists them")
	}
	return r, at, err
}

// PlaceFor finds a branch of a repository that an actor may read; "" is the default branch.
func (c *Controller) PlaceFor(ctx context.Context, actor account.Actor, repository, branch string) (deliver.Place, error) {
	_, at, err := c.placeFor(ctx, actor, repository, branch)
	return at, err
}

// site reads the plan of a branch too. On a server without environments there is none to speak of.
func (c *Controller) site(ctx context.Context, actor account.Actor, repository, branch string) (site, error) {
	r, at, err := c.placeFor(ctx, actor, repository, branch)
	if err != nil {
		return site{}, err
	}
	if c.Delivery == nil {
		return site{}, fault.New(fault.Unavailable, "gatekeeper.environments", "this server keeps no environments", "")
	}
	p, _, err := c.PlanAt(ctx, r, at.Branch)
	return site{at, r, p}, err
}

func (s site) app() string {
	if s.plan.App != "" {
		return s.plan.App
	}
	return s.repo.Name
}

// environment finds an environment of the plan.
func (s site) environment(name string) (plan.Environment, error) {
	e, ok := s.plan.Environment(name)
	if ok {
		return e, nil
	}
	next := "its plan has none: docs/plan.md tells how it gets some"
	if len(s.plan.Environments) > 0 {
		var names []string
		for _, e := range s.plan.Environments {
			names = append(names, e.Name)
		}
		next = "its plan has " + strings.Join(names, ", ")
	}
	return e, fault.New(fault.NotFound, "gatekeeper.environment", fmt.Sprintf("%s has no environment %q", s.Branch, name), next)
}

// Environments are those of a branch in the order of its plan. What private changes have there
// is left out for whoever may not see them.
func (c *Controller) Environments(ctx context.Context, actor account.Actor, repository, branch string) ([]EnvironmentView, error) {
	s, err := c.site(ctx, actor, repository, branch)
	if err != nil {
		return nil, err
	}
	views, err := c.Delivery.Views(ctx, actor, s.Place, s.plan)
	if err != nil {
		return nil, err
	}
	sight, err := c.sightOf(ctx, actor, s.repo.ID)
	if err != nil {
		return nil, err
	}
	all := make([]EnvironmentView, 0, len(views))
	for _, v := range views {
		v.Running = sight.assemblies(v.Running)
		all = append(all, EnvironmentView{Repository: s.repo.Name, Branch: s.Branch, App: s.app(), View: v})
	}
	return all, nil
}

// Environment is one of them.
func (c *Controller) Environment(ctx context.Context, actor account.Actor, repository, branch, name string) (EnvironmentView, error) {
	s, err := c.site(ctx, actor, repository, branch)
	if err != nil {
		return EnvironmentView{}, err
	}
	if _, err := s.environment(name); err != nil {
		return EnvironmentView{}, err
	}
	all, err := c.Environments(ctx, actor, repository, branch)
	if err != nil {
		return EnvironmentView{}, err
	}
	i := slices.IndexFunc(all, func(v EnvironmentView) bool { return v.Name == name })
	if i < 0 { // the plan has changed in between
		return EnvironmentView{}, fault.New(fault.NotFound, "gatekeeper.environment", name+" is no environment any more", "gate env list names those that there are")
	}
	return all[i], nil
}

// Promotions are those of an environment, newest first, also of one that the plan has no more: at
// most limit with an id below before, 0 being all.
func (c *Controller) Promotions(ctx context.Context, actor account.Actor, repository, branch, environment string, before int64, limit int) ([]deliver.Promotion, error) {
	s, err := c.site(ctx, actor, repository, branch)
	if err != nil {
		return nil, err
	}
	all, err := c.Delivery.Promotions(ctx, s.Place, environment, before, limit)
	if err == nil && len(all) == 0 {
		_, err = s.environment(environment)
	}
	return all, err
}

// standing is an environment into which something can be promoted.
func (c *Controller) standing(ctx context.Context, actor account.Actor, repository, branch, name string) (site, plan.Environment, error) {
	s, err := c.site(ctx, actor, repository, branch)
	if err != nil {
		return s, plan.Environment{}, err
	}
	e, err := s.environment(name)
	if err == nil && e.Class != plan.Standing {
		err = fault.New(fault.Refused, "gatekeeper.environment", name+" is an environment that each change has for itself: nothing is promoted into it", "push with -o outcome=NAME, or gate outcome CHANGE NAME")
	}
	return s, e, err
}

// PromoteArtifact asks for an artifact to enter an environment: see [deliver.Service.Promote].
func (c *Controller) PromoteArtifact(ctx context.Context, actor account.Actor, repository, branch string, ask deliver.Ask) (deliver.Promotion, error) {
	s, _, err := c.standing(ctx, actor, repository, branch, ask.Environment)
	if err != nil {
		return deliver.Promotion{}, err
	}
	p, err := c.Delivery.Promote(ctx, actor, s.Place, ask)
	if fault.Is(err, fault.NotFound) {
		err = cmp.Or(c.notYet(ctx, actor, s.Place, ask), err)
	}
	return p, err
}

// asksComing is how many deliveries are looked through for what has a gate before it: more are not
// on their way at once.
const asksComing = 50

// notYet says what keeps out what was asked for when that has landed and its gates are closed,
// nil when nothing does.
func (c *Controller) notYet(ctx context.Context, actor account.Actor, at deliver.Place, ask deliver.Ask) error {
	all, err := c.Deliveries(ctx, actor, at, asksComing)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.State != RunRunning || d.Change == 0 || ask.What != "" && ask.What != strconv.FormatInt(d.Change, 10) {
			continue
		}
		for _, stop := range d.Stops {
			if stop.Environment == ask.Environment && stop.Promotion == 0 {
				return fault.New(fault.Refused, "gatekeeper.Promote", fmt.Sprintf("change %d cannot enter %s yet: it %s", d.Change, ask.Environment, stop.Words),
					fmt.Sprintf("gate why %d says who can open its gates", d.Change))
			}
		}
	}
	return nil
}

// RollBack asks for what ran well in an environment before: see [deliver.Service.RollBack].
func (c *Controller) RollBack(ctx context.Context, actor account.Actor, repository, branch string, ask deliver.Ask) (deliver.Promotion, error) {
	s, e, err := c.standing(ctx, actor, repository, branch, ask.Environment)
	if err != nil {
		return deliver.Promotion{}, err
	}
	return c.Delivery.RollBack(ctx, actor, s.Place, e, ask)
}

// CancelPromotion withdraws a promotion that waits, of whichever branch of the repository.
func (c *Controller) CancelPromotion(ctx context.Context, actor account.Actor, repository string, id int64, reason string) (deliver.Promotion, error) {
	const op = "gatekeeper.CancelPromotion"
	p, at, err := c.promotionFor(ctx, actor, repository, id)
	if err != nil {
		return p, err
	}
	if len(reason) > maxRerunReason {
		return p, fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(reason), maxRerunReason)
	}
	if err := c.Delivery.Cancel(ctx, actor, at, id, reason); err != nil {
		return p, err
	}
	return c.Delivery.PromotionByID(ctx, id)
}

// promotionFor finds a promotion of a repository. One of another answers like none.
func (c *Controller) promotionFor(ctx context.Context, actor account.Actor, repository string, id int64) (deliver.Promotion, deliver.Place, error) {
	s, err := c.site(ctx, actor, repository, "")
	if err != nil {
		return deliver.Promotion{}, s.Place, err
	}
	p, err := c.Delivery.PromotionByID(ctx, id)
	if err == nil && p.Place().Repo != s.Repo {
		err = fault.Newf(fault.NotFound, "gatekeeper.promotion", "there is no promotion %d", id)
	}
	return p, p.Place(), err
}

// Order gives an order about an environment: pin, veto or freeze.
func (c *Controller) Order(ctx context.Context, actor account.Actor, repository, branch string, o deliver.Order) error {
	s, _, err := c.standing(ctx, actor, repository, branch, o.Environment)
	if err != nil {
		return err
	}
	return c.Delivery.Give(ctx, actor, s.Place, o)
}

// LiftOrder ends an order. what names a vetoed artifact; without it there must be one order of
// the kind only.
func (c *Controller) LiftOrder(ctx context.Context, actor account.Actor, repository, branch, environment, kind, what string) error {
	const op = "gatekeeper.LiftOrder"
	s, err := c.site(ctx, actor, repository, branch) // also of an environment that the plan has no more
	if err != nil {
		return err
	}
	if err := c.Delivery.May(ctx, actor, s.Place, kind); err != nil {
		return err
	}
	orders, err := c.Delivery.Orders(ctx, s.Place, environment)
	if err != nil {
		return err
	}
	digest, err := c.orderedDigest(ctx, s.Place, environment, what, orders)
	if err != nil {
		return err
	}
	var digests []string
	for _, o := range orders {
		if o.Kind == kind && strings.HasPrefix(o.Digest, digest) {
			digests = append(digests, o.Digest)
		}
	}
	switch {
	case len(digests) == 0:
		return fault.New(fault.NotFound, op, fmt.Sprintf("there is no %s on %s%s", kind, environment, ofWhat(what)), "gate env show tells what holds")
	case len(digests) > 1:
		return fault.New(fault.Invalid, op, fmt.Sprintf("%s has several of them", environment), "say which: "+strings.Join(digests, ", "))
	}
	return c.Delivery.Lift(ctx, actor, s.Place, environment, kind, digests[0])
}

// orderedDigest is the beginning of the digest that somebody means by text: one that orders are
// about, or that of what was on its way into the environment by a commit or a change.
func (c *Controller) orderedDigest(ctx context.Context, at deliver.Place, environment, what string, orders []deliver.Order) (string, error) {
	if what == "" {
		return "", nil
	}
	if bare := strings.TrimPrefix(what, "sha256:"); len(bare) >= leastDigest {
		digest := "sha256:" + bare
		if slices.ContainsFunc(orders, func(o deliver.Order) bool { return strings.HasPrefix(o.Digest, digest) }) {
			return digest, nil
		}
	}
	return c.Delivery.DigestOf(ctx, at, environment, what)
}

func ofWhat(what string) string {
	if what == "" {
		return ""
	}
	return " for " + what
}

// sight is what of a repository's private changes an actor may not see.
type sight struct {
	unseen map[int64]bool
}

func (c *Controller) sightOf(ctx context.Context, actor account.Actor, repoID int64) (sight, error) {
	unseen, err := c.Review.Unseen(ctx, c.DB.Read(), actor, repoID)
	s := sight{map[int64]bool{}}
	for _, ch := range unseen {
		s.unseen[ch.ID] = true
	}
	return s, err
}

// assemblies leaves out the previews of changes that are not seen. What a standing environment
// runs is on the branch, for everybody who may read that.
func (s sight) assemblies(all []deliver.Assembly) []deliver.Assembly {
	return slices.DeleteFunc(all, func(a deliver.Assembly) bool { return a.Instance != "" && s.unseen[a.Change] })
}
