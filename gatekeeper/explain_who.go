package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// gatherApprovers reads who is meant by the roles of the gates, and who was asked.
func (c *Controller) gatherApprovers(ctx context.Context, q db.Querier, f *facts) error {
	f.roster = map[string]account.Account{}
	for _, g := range f.plan.Landing() {
		for _, criterion := range g.Require {
			r, ok := criterion.(plan.Review)
			if !ok {
				continue
			}
			for _, member := range r.Members {
				if err := c.enrol(ctx, q, f, member); err != nil {
					return err
				}
			}
		}
	}
	reviewers, err := c.Review.Reviewers(ctx, q, f.change.ID)
	if err != nil {
		return err
	}
	var ids []int64
	for _, r := range reviewers {
		if !r.CC {
			ids = append(ids, r.Account)
		}
	}
	found, err := c.Accounts.Names(ctx, q, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if a := found[id]; !a.Disabled {
			f.asked = append(f.asked, a)
		}
	}
	return nil
}

// enrol reads one member of a role: an account, or a group's members.
func (c *Controller) enrol(ctx context.Context, q db.Querier, f *facts, member string) error {
	group, isGroup := strings.CutPrefix(member, groupMember)
	if !isGroup {
		a, err := c.Accounts.ByName(ctx, q, member)
		if fault.Is(err, fault.NotFound) {
			return nil // the plan names somebody whom the server does not know
		}
		f.roster[member] = a
		return err
	}
	groups, err := c.Accounts.Groups(ctx, q)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(groups, func(g account.Group) bool { return g.Name == group })
	if i < 0 {
		return nil
	}
	people, err := c.Accounts.Names(ctx, q, groups[i].Members)
	if err != nil {
		return err
	}
	if f.groups == nil {
		f.groups = map[string][]account.Account{}
	}
	f.groups[group] = nil
	for _, id := range groups[i].Members {
		f.groups[group] = append(f.groups[group], people[id])
	}
	return nil
}

// able names who could approve by the criterion and has not: the members of its roles, or
// where anybody may, those who were asked. Left out are those whose votes would not count.
func (f *facts) able(c plan.Review) []string {
	var candidates []account.Account
	for _, member := range c.Members {
		if group, isGroup := strings.CutPrefix(member, groupMember); isGroup {
			candidates = append(candidates, f.groups[group]...)
		} else if a, known := f.roster[member]; known {
			candidates = append(candidates, a)
		}
	}
	if len(c.By) == 0 {
		candidates = f.asked
	}
	var names []string
	for _, a := range candidates {
		is := f.relations(a)
		switch {
		case a.ID == 0, a.Disabled, slices.Contains(names, a.Name):
		case slices.ContainsFunc(c.Not, func(not string) bool { return slices.Contains(is, not) }):
		case slices.ContainsFunc(f.ballots, func(v plan.Vote) bool { return v.By == a.Name && v.Label == c.Label && v.Value >= c.Value }):
		default:
			names = append(names, a.Name)
		}
	}
	return names
}

// who names the people behind a reason of a gate that asks for votes.
func (f *facts) who(gate string, reason plan.Reason) []string {
	if reason.Kind != kindReview || reason.State != plan.Closed {
		return reason.Who
	}
	for _, g := range f.plan.Landing() {
		if g.Name != gate {
			continue
		}
		for _, criterion := range g.Require {
			c, ok := criterion.(plan.Review)
			if !ok || c.Line != reason.Line {
				continue
			}
			people := f.able(c)
			if len(c.By) == 0 {
				if len(people) > 0 { // who was asked stands before anybody
					return append(people, reason.Who...)
				}
				return reason.Who
			}
			if len(people) == 0 {
				return []string{"nobody in " + strings.Join(c.By, ", ") + " who has not voted or taken part"}
			}
			return people
		}
	}
	return reason.Who
}

// partsOf is what accounts are to a change, by name: of those who wrote or pushed any of it.
func (c *Controller) partsOf(ctx context.Context, q db.Querier, sets []review.PatchSet) (map[string][]string, error) {
	ids, emails := []int64{}, []string{}
	for _, ps := range sets {
		ids = append(ids, ps.Uploader)
		emails = append(append(emails, ps.AuthorEmail, ps.CommitterEmail), ps.CoAuthors...)
	}
	people, err := c.Accounts.Names(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	slices.Sort(emails)
	for _, email := range slices.Compact(emails) {
		a, err := c.Accounts.ByEmail(ctx, q, strings.TrimSpace(email))
		if fault.Is(err, fault.Internal) {
			return nil, err
		}
		if err == nil {
			people[a.ID] = a
		}
	}
	all := map[string][]string{}
	for _, a := range people {
		for _, part := range review.Parts(sets, a) {
			all[a.Name] = append(all[a.Name], string(part))
		}
	}
	return all, nil
}

// stageLeft says how long a running stage has yet, by how long it usually takes.
func (f *facts) stageLeft(s StageRun) string {
	usual, known := f.usual[s.Stage]
	if !known || s.State != plan.Running || s.StartedAt.IsZero() {
		return ""
	}
	left := usual - f.now.Sub(s.StartedAt)
	if left <= 0 {
		return "" // it takes longer than usual, nobody knows how much
	}
	return "about " + roughly(left)
}

// roughly is a duration as people say it.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(d.Round(time.Second)/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute)/time.Minute))
	default:
		return fmt.Sprintf("%d h", int(d.Round(time.Hour)/time.Hour))
	}
}
