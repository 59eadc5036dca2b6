package entrance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

const (
	headsPrefix = "refs/heads/"
	forPrefix   = "refs/for/"
)

// bring fetches where a proposal is now, whatever the notice says, and has it decided as a
// push to refs/for/ is. What was fetched before and has not moved is left alone.
func (s *Service) bring(ctx context.Context, e Entrance, r repo.Repository, n Notice) (done, error) {
	url, auth, err := s.remote(ctx, e)
	if err != nil {
		return done{}, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return done{}, err
	}
	refs, err := g.LsRemoteRefs(ctx, url, auth, e.Forge.heads(n.Number))
	if err != nil {
		return done{}, err
	}
	head, there := e.Forge.pickHeads(refs)[n.Number]
	if !there {
		return ignored("there is no proposal %d any more", n.Number), nil
	}
	return s.bringHead(ctx, e, r, g, proposal{Notice: n, head: head, url: url, auth: auth})
}

// bringHead has decided what was found, for the branch that it is for.
func (s *Service) bringHead(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, p proposal) (done, error) {
	n, head := p.Notice, p.head
	came, err := s.cameAs(ctx, e, n.Number)
	if err != nil {
		return done{}, err
	}
	if n.Branch == "" && s.API != nil && e.API != "" {
		var open bool
		if n, open, err = s.askAbout(ctx, e, n.Number); err != nil {
			return done{}, err
		}
		if !open {
			return ignored("proposal %d is closed there", n.Number), nil
		}
	}
	branch, err := s.target(ctx, r, n, came)
	if err != nil {
		return done{}, err
	}
	if !r.Gates(branch) {
		return ignored("%s is not gated here", branch), nil
	}
	if e.Lands != LandsNone { // else what landed there meanwhile would count as proposed
		if err := s.refresh(ctx, r, branch); err != nil {
			return done{}, err
		}
	}
	if err := s.takeUpAgain(ctx, came, branch); err != nil {
		return done{}, err
	}
	p.Notice, p.branch, p.fresh = n, branch, len(came) == 0
	reason, err := s.propose(ctx, e, r, g, p)
	if err != nil {
		return done{}, err
	}
	held, err := s.remember(ctx, e, r, g, n, branch, head)
	if err != nil {
		return done{}, err
	}
	crash("entrance.held")
	switch {
	case held == 0:
		return ignored("refused: %s", reason), nil
	case reason != "":
		return ignored("%s is here already: %s", short(head.OID), reason), nil
	}
	return accepted(held, "held as change %d: %s of %d", held, short(head.OID), n.Number), nil
}

// askAbout asks the forge's API what a look at its refs does not tell.
func (s *Service) askAbout(ctx context.Context, e Entrance, number int64) (Notice, bool, error) {
	token, err := s.Token(e)
	if err != nil {
		return Notice{}, false, err
	}
	n, open, err := s.API.Proposal(ctx, e, token, number)
	n.Kind, n.Number = Proposed, number
	if fault.Is(err, fault.NotFound) {
		return n, false, nil
	}
	if err == nil {
		err = n.Check() // an API is believed no more than a delivery
	}
	return n, open, err
}

// target is the branch that a proposal is for: as the forge says it, or as it was, or the usual.
func (s *Service) target(ctx context.Context, r repo.Repository, n Notice, came []Origin) (string, error) {
	if n.Branch != "" {
		return n.Branch, nil
	}
	if len(came) == 0 {
		return r.DefaultBranch, nil
	}
	c, err := s.Review.Load(ctx, s.DB.Read(), came[len(came)-1].Change)
	return c.Branch, err
}

// takeUpAgain restores what was given up and is proposed again.
func (s *Service) takeUpAgain(ctx context.Context, came []Origin, branch string) error {
	for _, o := range came {
		c, err := s.Review.Load(ctx, s.DB.Read(), o.Change)
		if err != nil {
			return err
		}
		if c.Status != review.Abandoned || c.Branch != branch {
			continue
		}
		owner, err := s.Accounts.Actor(ctx, s.DB.Read(), c.Owner, methodForge)
		if err == nil {
			err = s.Review.Restore(ctx, owner, c.ID, "It is proposed again")
		}
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// proposal is what is proposed there, with how to get it.
type proposal struct {
	Notice
	head   Head
	branch string
	fresh  bool // it never came in
	url    string
	auth   git.Auth
}

// fetch brings one commit into a quarantine and holds it against the content rules. The
// caller ends the quarantine.
func (s *Service) fetch(ctx context.Context, g *git.Repo, url string, auth git.Auth, ref string, head git.OID) (*git.Quarantine, error) {
	q, err := g.Quarantine(ctx)
	if err != nil {
		return nil, err
	}
	if s.MaxBlob != 0 {
		q.Policy.MaxBlob = s.MaxBlob
	}
	err = q.Fetch(ctx, url, []string{ref}, auth, s.Limits)
	if err == nil {
		if _, missing := q.Repo().Commit(ctx, head); missing != nil { // it moved while we looked
			err = fault.Newf(fault.Unavailable, "entrance.fetch", "%s moved while it was fetched", ref)
		}
	}
	if err == nil {
		err = q.Check(ctx, []git.OID{head})
	}
	if err != nil {
		return nil, errors.Join(err, q.Discard())
	}
	return q, nil
}

// propose hands what was fetched to whoever decides pushes, as a push of the account that
// stands for the forge. It gives why nothing was held, "" when something was.
func (s *Service) propose(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, p proposal) (string, error) {
	actor, err := s.forge(ctx, e)
	if err != nil {
		return "", err
	}
	push := &gitserver.Push{
		Repo: r, Actor: actor, Options: e.options(p.Notice),
		Commands: []gitserver.Command{{Ref: forPrefix + p.branch, Old: git.Zero, New: p.head.OID}},
	}
	var told []string
	push.Tell = func(line string) {
		if line = strings.TrimSpace(line); line != "" {
			told = append(told, line)
		}
	}
	if e.Outcome != "" && p.fresh { // later somebody may have chosen another
		push.Options = append(push.Options, "outcome="+e.Outcome)
	}
	if e.Forge != Gerrit { // there the messages name the changes
		push.Origin = e.origin(p.Number)
		if push.Owner, err = s.owner(ctx, e, p.Notice); err != nil {
			return "", err
		}
	}
	q, err := s.fetch(ctx, g, p.url, p.auth, p.head.Ref, p.head.OID)
	if err != nil {
		return "", err
	}
	push.Git, push.Quarantine = q.Repo(), q
	results := s.Gate.Receive(ctx, push)
	if err := q.Discard(); err != nil {
		return "", err
	}
	if len(results) != 1 {
		return "", errors.New("entrance: the gate gave no answer")
	}
	reason := results[0].Reason
	if strings.HasPrefix(reason, "the server could not") {
		return "", fault.New(fault.Unavailable, "entrance.propose", reason, "")
	}
	if reason != "" && reason != noNews {
		s.Log.Info("entrance: a proposal was refused", "entrance", e.ID, "proposal", p.Number, "reason", reason, "told", told)
	}
	return reason, nil
}

// noNews is the gate's word for what it has already.
const noNews = "no new changes"

// owner is whose the changes of a proposal are: the account that an owner of the repository
// named for its author's login, if they may propose it themselves.
func (s *Service) owner(ctx context.Context, e Entrance, n Notice) (int64, error) {
	who, known, err := s.who(ctx, e, n.Author)
	if err != nil || !known {
		return 0, err
	}
	return who.ID, nil
}

// options are what the proposal asks for, as a push would.
func (e Entrance) options(n Notice) []string {
	var all []string
	if e.Forge != Gerrit {
		name := e.Project
		if name == "" {
			name = string(e.Forge)
		}
		all = append(all, fmt.Sprintf("topic=%s#%d", name, n.Number))
	}
	switch {
	case n.Draft:
		all = append(all, "wip")
	case n.Branch != "": // the forge says that it is none; what a look finds says nothing
		all = append(all, "ready")
	}
	if e.Submit && !n.Draft {
		all = append(all, "submit")
	}
	return all
}

// remember writes where the changes of a proposal came from, gives up those that are no part
// of it any more, and returns the change that holds its newest commit, 0 when none does.
func (s *Service) remember(ctx context.Context, e Entrance, r repo.Repository, g *git.Repo, n Notice, branch string, head Head) (int64, error) {
	held, err := s.holds(ctx, e, r, n.Number, branch, head.OID)
	if err != nil || held.tip == 0 {
		return 0, err
	}
	var dropped []int64
	for id, commit := range held.others {
		in := false
		if commit != "" {
			if in, err = g.IsAncestor(ctx, commit, head.OID); err != nil {
				return 0, err
			}
		}
		if !in {
			dropped = append(dropped, id)
			delete(held.others, id)
		}
	}
	keep := []int64{held.tip}
	for id := range held.others {
		keep = append(keep, id)
	}
	if err := s.writeOrigins(ctx, e, n, head.OID, keep); err != nil {
		return 0, err
	}
	slices.Sort(dropped)
	for _, id := range dropped {
		if _, err := s.giveUp(ctx, id, fmt.Sprintf("It is no part of %d on %s any more", n.Number, e.Forge)); err != nil {
			return 0, err
		}
	}
	return held.tip, nil
}

// mayAccept asks whether somebody may decide about the primary of a repository.
func (s *Service) mayAccept(ctx context.Context, actor account.Actor, r repo.Repository) error {
	return s.Accounts.May(ctx, s.DB.Read(), actor, account.Own, r.Resource(""))
}
