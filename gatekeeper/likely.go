package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/review"
)

// likely is the what-if that a change's own page tells: that those who can act do what is
// missing. nil when something else stands in the way, or nothing is missing that is theirs.
func (c *Controller) likely(ctx context.Context, f *facts) (*WhatIf, error) {
	if f.change.Status != review.Open || f.planErr != nil || f.queued() || f.landing || f.refused() || f.merge != "" {
		return nil, nil
	}
	then := *f
	then.ballots, then.change.WIP, then.change.Private, then.more = slices.Clone(f.ballots), false, false, f.moreOfItsOwn()
	words := append(f.likelyVotes(&then), f.likelyWords(&then)...)
	if f.change.WIP {
		words = append(words, "it is marked ready")
	}
	if f.change.Private {
		words = append(words, "it is shown to everybody")
	}
	required, latest := f.plan.Required(), f.run.forGates().stages()
	var passing []string
	for _, stage := range f.plan.StageOrder() {
		switch latest[stage].State {
		case "", plan.Blocked, plan.Queued, plan.Running:
			if required[stage] {
				passing = append(passing, stage)
				then.ranStage(stage, plan.Passed)
			}
		}
	}
	switch len(passing) {
	case 0:
	case 1:
		words = append(words, passing[0]+" passes")
	default:
		words = append(words, listWords(passing, "and")+" pass")
	}
	if len(words) == 0 && f.change.SubmitBy != 0 {
		return nil, nil
	}
	w, err := c.outcome(ctx, &then)
	if err != nil || !w.Queues {
		return nil, err
	}
	w.If = words
	return &w, nil
}

// likelyVotes lets those who can approve do so, and says it in words.
func (f *facts) likelyVotes(then *facts) []string {
	var words []string
	for _, g := range f.waiting() {
		for _, criterion := range g.Require {
			c, ok := criterion.(plan.Review)
			if !ok {
				continue
			}
			v := plan.Evaluate(plan.Gate{Name: g.Name, Require: []plan.Criterion{c}}, plan.Evidence{Votes: then.ballots}, f.now)
			if v.State == plan.Open {
				continue
			}
			lack := c.Min - f.approvals(c, then.ballots)
			people := f.able(c)
			for i := range lack {
				vote := plan.Vote{Label: c.Label, Value: c.Value, By: fmt.Sprintf("somebody %d", i)}
				if len(c.Members) > 0 {
					vote.By = c.Members[min(i, len(c.Members)-1)]
					if group, is := strings.CutPrefix(vote.By, groupMember); is {
						vote.By, vote.Groups = fmt.Sprintf("somebody %d", i), []string{group}
					}
				}
				then.ballots = append(then.ballots, vote)
			}
			words = append(words, approveWords(lack, people))
		}
	}
	return words
}

// waiting are the gates before the landing that are neither open nor left out.
func (f *facts) waiting() []plan.Gate {
	var all []plan.Gate
	for _, v := range f.verdicts() {
		if g, ok := f.plan.Gate(v.Gate); ok && !v.State.Passes() {
			all = append(all, g)
		}
	}
	return all
}

// likelyWords lets those approve who are asked to, and other systems say yes.
func (f *facts) likelyWords(then *facts) []string {
	var words []string
	for _, g := range f.waiting() {
		for _, criterion := range g.Require {
			v := plan.Evaluate(plan.Gate{Name: g.Name, Subject: g.Subject, Require: []plan.Criterion{criterion}}, then.evidence(), f.now)
			if v.State != plan.Closed && v.State != plan.Waiting {
				continue
			}
			switch c := criterion.(type) {
			case plan.Approve:
				if text := f.likelyApprovals(then, g, c); text != "" {
					words = append(words, text)
				}
			case plan.External:
				then.posted(c.Context, plan.Passed)
				words = append(words, c.Context+" passes")
			}
		}
	}
	return words
}

// likelyApprovals lets so many approve at a gate as are missing, and says it; "" when those who
// are left are too few.
func (f *facts) likelyApprovals(then *facts, g plan.Gate, c plan.Approve) string {
	ask := func() plan.Verdict {
		return plan.Evaluate(plan.Gate{Name: g.Name, Subject: g.Subject, Require: []plan.Criterion{c}}, then.evidence(), f.now)
	}
	people, lack := ask().Reasons[0].Who, 0
	for ask().State != plan.Open {
		if lack == c.Min {
			return ""
		}
		a := plan.Approval{Gate: g.Name, By: fmt.Sprintf("somebody %d", lack), At: f.now, OfChange: g.Subject == plan.SubjectChange}
		if len(c.Members) > 0 {
			a.By = people[min(lack, len(people)-1)]
			if group, is := strings.CutPrefix(a.By, groupMember); is {
				a.By, a.Groups = fmt.Sprintf("somebody %d", lack), []string{group}
			}
		}
		then.more.Approvals = append(then.more.Approvals, a)
		lack++
	}
	if len(c.Members) == 0 {
		people = nil
	}
	return approveWords(lack, people) + " at gate " + g.Name
}

// groupMember begins a member of a role that is a group (plan: groupPrefix).
const groupMember = "group:"

// approvals counts the votes that the criterion counts already.
func (f *facts) approvals(c plan.Review, votes []plan.Vote) int {
	for n := c.Min - 1; n > 0; n-- {
		one := c
		one.Min = n
		if v := plan.Evaluate(plan.Gate{Require: []plan.Criterion{one}}, plan.Evidence{Votes: votes}, f.now); v.State == plan.Open {
			return n
		}
	}
	return 0
}

// maxNamed is how many people a sentence names.
const maxNamed = 4

func approveWords(lack int, people []string) string {
	switch {
	case len(people) == 0 && lack == 1:
		return "somebody approves"
	case len(people) == 0:
		return fmt.Sprintf("%d people approve", lack)
	case len(people) == lack:
		verb := " approve"
		if lack == 1 {
			verb = " approves"
		}
		return listWords(people, "and") + verb
	case len(people) > maxNamed:
		people = append(slices.Clone(people[:maxNamed-1]), fmt.Sprintf("one of %d more", len(people)-maxNamed+1))
	}
	if lack == 1 {
		return listWords(people, "or") + " approves"
	}
	return fmt.Sprintf("%d of %s approve", lack, listWords(people, "and"))
}
