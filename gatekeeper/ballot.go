package gatekeeper

import (
	"context"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// methodVote is how a voter is known when a vote is counted: nobody signs in for that.
const methodVote = "vote"

// ballots are the votes that count for the current patch set, with what each voter is to the
// change. Left out are votes on another patch set, commit, difference or branch (I4), and
// those of accounts that may not vote there now, disabled ones among them.
func (c *Controller) ballots(ctx context.Context, q db.Querier, f *facts) ([]plan.Vote, error) {
	var counted []plan.Vote
	groups, err := c.groupNames(ctx, q, len(f.votes) > 0)
	if err != nil {
		return nil, err
	}
	for _, v := range review.Bound(f.change, f.ps, f.votes) {
		actor, err := c.Accounts.Actor(ctx, q, v.Account, methodVote)
		if err != nil {
			continue // disabled or gone: not a voter any more
		}
		if err := c.Accounts.May(ctx, q, actor, account.Vote, f.repo.Resource(f.change.Branch)); err != nil {
			continue
		}
		who := f.people[v.Account]
		counted = append(counted, plan.Vote{Label: v.Label, Value: v.Value, By: who.Name, Email: who.Email, Groups: groups[who.ID], Is: f.relations(who)})
	}
	return counted, nil
}

func (c *Controller) groupNames(ctx context.Context, q db.Querier, needed bool) (map[int64][]string, error) {
	if !needed {
		return nil, nil
	}
	all, err := c.Accounts.Groups(ctx, q)
	if err != nil {
		return nil, err
	}
	names := map[int64][]string{}
	for _, g := range all {
		for _, member := range g.Members {
			names[member] = append(names[member], g.Name)
		}
	}
	return names, nil
}

// relations is what an account is to the change, over all its patch sets (I5).
func (f *facts) relations(who account.Account) []string {
	var list []string
	for _, part := range review.Parts(f.sets, who) {
		list = append(list, string(part))
	}
	return list
}

// evidence is what the run's stages showed, with the votes beside it.
func (r *Run) evidence(votes []plan.Vote, changed []string) plan.Evidence {
	e := plan.Evidence{Votes: votes, Stages: map[string]plan.StageState{}, Tests: map[string]plan.Tests{}, Changed: changed}
	if r == nil {
		return e
	}
	for name, s := range r.latest() {
		e.Stages[name] = s.State
		if s.Tests != nil {
			e.Tests[name] = *s.Tests
		}
	}
	return e
}
