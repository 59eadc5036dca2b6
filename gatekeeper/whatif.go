package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// WhatIf is what would become of a change.
type WhatIf struct {
	If      []string `json:"if"`      // what is supposed, in words
	Outcome string   `json:"outcome"` // "it would queue behind change 12 (4–9 min)"
	Queues  bool     `json:"queues"`  // nothing that stands before the queue is missing then
	State   State    `json:"state"`   // where the change would stand
	Missing []string `json:"missing,omitempty"`
}

// Sentence is all of it on one line.
func (w WhatIf) Sentence() string {
	if len(w.If) == 0 {
		return w.Outcome
	}
	return "if " + listWords(w.If, "and") + ", " + w.Outcome
}

// listWords is "a", "a and b", "a, b and c".
func listWords(all []string, last string) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " " + last + " " + all[len(all)-1]
}

// WhatIf says what would become of an open change if all of these were so. Nothing is written.
func (c *Controller) WhatIf(ctx context.Context, actor account.Actor, change int64, all []Supposition) (WhatIf, error) {
	const op = "gatekeeper.WhatIf"
	if _, err := c.Review.Get(ctx, actor, change); err != nil {
		return WhatIf{}, err
	}
	f, err := c.facts(ctx, c.DB.Read(), change)
	switch {
	case err != nil:
		return WhatIf{}, err
	case f.change.Status != review.Open:
		return WhatIf{}, fault.Newf(fault.Conflict, op, "change %d is %s: nothing becomes of it any more", change, f.change.Status)
	case f.planErr != nil:
		return WhatIf{}, fault.New(fault.Refused, op, "the plan cannot be read, so nobody knows the gates", fmt.Sprintf("gate why %d says what is wrong with it", change))
	case len(all) > maxSuppositions:
		return WhatIf{}, fault.Newf(fault.TooLarge, op, "more than %d things are supposed at once", maxSuppositions)
	}
	words := make([]string, 0, len(all))
	for i := range all {
		if all[i], err = f.complete(all[i]); err != nil {
			return WhatIf{}, err
		}
		words = append(words, all[i].words())
	}
	voters, err := c.voters(ctx, c.DB.Read(), f, all)
	if err != nil {
		return WhatIf{}, err
	}
	then, err := f.supposing(all, voters)
	if err != nil {
		return WhatIf{}, err
	}
	w, err := c.outcome(ctx, then)
	w.If = words
	return w, err
}

// voters are those whose votes are supposed, as [Controller.ballots] would count them.
func (c *Controller) voters(ctx context.Context, q db.Querier, f *facts, all []Supposition) (map[string]plan.Vote, error) {
	voters := map[string]plan.Vote{}
	groups, err := c.groupNames(ctx, q, len(all) > 0)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Kind != supposeVote && s.Kind != supposeAccept {
			continue
		}
		who, err := c.Accounts.ByName(ctx, q, s.Account)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.Invalid, "gatekeeper.WhatIf", fmt.Sprintf("there is no account %q", clipped(s.Account)), "name an account")
		}
		if err != nil {
			return nil, err
		}
		actor, err := c.Accounts.Actor(ctx, q, who.ID, methodVote)
		if err == nil {
			err = c.Accounts.May(ctx, q, actor, account.Vote, f.repo.Resource(f.change.Branch))
		}
		switch {
		case fault.Is(err, fault.Internal):
			return nil, err
		case err != nil:
			return nil, fault.New(fault.Refused, "gatekeeper.WhatIf", who.Name+" may not vote here", "suppose somebody else's vote")
		}
		voters[s.Account] = plan.Vote{By: who.Name, Groups: groups[who.ID], Is: f.relations(who)}
	}
	return voters, nil
}

// outcome is what becomes of a change with these facts.
func (c *Controller) outcome(ctx context.Context, f *facts) (WhatIf, error) {
	w := WhatIf{State: f.state()}
	for _, r := range f.explain().Requirements {
		if r.missing() {
			w.Missing = append(w.Missing, r.Name+": "+r.Reason)
		}
	}
	asked := *f
	if asked.unable = false; asked.change.SubmitBy == 0 {
		asked.change.SubmitBy = f.change.Owner
	}
	refused := slices.IndexFunc(f.verdicts(), func(v plan.Verdict) bool { return v.State == plan.Refused })
	switch why := asked.mayQueue(); {
	case refused >= 0:
		v := f.verdicts()[refused]
		w.State, w.Outcome = Refused, "it would be refused: "+v.Gate+": "+f.whyRefused(v)
	case w.State == Landing:
		w.Outcome = "it is landing now"
	case why != "":
		w.Outcome = "it would still wait: " + why
	default:
		w.Queues = true
		place, err := c.prospect(ctx, &asked)
		if err != nil {
			return w, err
		}
		w.Outcome = "it would " + place
		if f.change.SubmitBy == 0 || f.unable {
			w.Outcome = "once somebody asks to land it, it would " + place
		}
		if wait := f.holdsUp(); wait != "" {
			w.Outcome += ", and wait there: " + wait
		}
	}
	return w, nil
}

// holdsUp is what keeps a change from landing though its stages may pass: people who approve,
// other systems, and time. The queue takes it in all the same.
func (f *facts) holdsUp() string {
	for _, v := range f.verdicts() {
		for _, r := range v.Reasons {
			if v.State.Passes() || r.State.Passes() || byVotes(r) || r.Kind == kindStages || r.Stage != "" {
				continue
			}
			switch r.Kind {
			case "approve", "soak", "external", "window", "evidence", "metric":
				return "gate " + v.Gate + ": " + r.What
			}
		}
	}
	return ""
}

// missing: the requirement is not met, and is not merely a stage on its way.
func (r Requirement) missing() bool {
	if r.Kind == "stage" {
		return r.State == string(plan.Failed) || r.State == string(plan.TimedOut) || r.State == string(plan.Errored)
	}
	return !plan.GateState(r.State).Passes()
}

func (f *facts) whyRefused(v plan.Verdict) string {
	for _, r := range v.Reasons {
		if r.State == plan.Refused {
			return r.What
		}
	}
	return strings.ToLower(string(v.State))
}

// prospect says where in the queue the change is or would be, and how long it would take from
// there: the queue's own estimate with the change at its end.
func (c *Controller) prospect(ctx context.Context, f *facts) (string, error) {
	key := branchKey{f.repo.ID, f.change.Branch}
	r, err := c.reading(ctx, key)
	if err != nil {
		return "", err
	}
	state, err := r.state(ctx)
	if err != nil {
		return "", err
	}
	there := slices.ContainsFunc(state.Entries, func(e queue.Entry) bool { return e.Change == f.change.ID })
	if !there {
		e := queue.Entry{Change: f.change.ID, PS: f.change.Current, Branch: key.name(), EnqueuedAt: f.now, Barrier: true, Author: f.name(f.change.Owner)}
		for _, p := range f.openParents() {
			e.Parents = append(e.Parents, p.Change)
		}
		if e.Takes, err = medianTakes(ctx, c.DB.Read(), key.repo, key.branch); err != nil {
			return "", err
		}
		state.Entries = append(state.Entries, e)
	}
	line := standings(state, c.Now())
	for i, st := range line {
		if st.Change != f.change.ID {
			continue
		}
		words := "queue first"
		switch {
		case there:
			words = fmt.Sprintf("be number %d in the queue", st.Position)
		case i > 0:
			words = fmt.Sprintf("queue behind change %d", line[i-1].Change)
		}
		if st.ETA != "" {
			words += " (about " + st.ETA + ")"
		}
		return words, nil
	}
	return "queue", nil
}
