package gatekeeper

import (
	"fmt"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// obstacles are the requirements that no gate of the plan states.
func (f *facts) obstacles() []Requirement {
	var all []Requirement
	if f.planErr != nil {
		all = append(all, f.planRequirement())
	}
	if f.change.WIP {
		all = append(all, Requirement{Name: "ready", Kind: "wip", State: string(plan.Closed), Reason: "it is marked as work in progress",
			Who: []string{f.name(f.change.Owner)}, Next: "mark it ready: push again with -o ready, or use its page"})
	}
	if f.change.Private {
		all = append(all, Requirement{Name: "public", Kind: "private", State: string(plan.Closed), Reason: "it is private: only its owner, its reviewers and administrators see it",
			Who: []string{f.name(f.change.Owner)}, Next: fmt.Sprintf("show it to everybody: gate change private %d --off, or push with -o remove-private", f.change.ID)})
	}
	if f.merge != "" && !f.queued() {
		all = append(all, Requirement{Name: "merge", Kind: "merge", State: string(plan.Refused), Reason: f.merge,
			Who: []string{f.name(f.change.Owner)}, Next: fmt.Sprintf("git fetch, rebase onto %s, and push a new patch set", f.change.Branch)})
	}
	for _, p := range f.openParents() {
		r := Requirement{Name: fmt.Sprintf("change %d", p.Change), Kind: "parent", State: string(plan.Waiting),
			Reason: fmt.Sprintf("it stands on change %d (%s), which lands first", p.Change, p.Subject)}
		switch {
		case p.Status == review.Abandoned:
			r.State, r.Reason = string(plan.Closed), fmt.Sprintf("it stands on change %d, which is abandoned", p.Change)
			r.Next = "rebase it onto the branch and push again"
		case p.Outdated:
			r.State, r.Reason = string(plan.Closed), fmt.Sprintf("it stands on an older patch set of change %d", p.Change)
			r.Next = fmt.Sprintf("rebase it onto the newest patch set of change %d and push again", p.Change)
		}
		all = append(all, r)
	}
	return append(all, f.dependencies()...)
}

// dependencies are the changes that the message names, as far as they have not landed.
func (f *facts) dependencies() []Requirement {
	var all []Requirement
	for _, problem := range f.depends.Problems {
		all = append(all, Requirement{Name: "depends-on", Kind: "parent", State: string(plan.Closed), Reason: problem,
			Who: []string{f.name(f.change.Owner)}, Next: "correct the commit message and push a new patch set"})
	}
	for _, on := range f.depends.On {
		r := Requirement{Name: fmt.Sprintf("change %d", on.ID), Kind: "parent", State: string(plan.Waiting),
			Reason: fmt.Sprintf("it depends on change %d (%s), which lands before it or with it", on.ID, on.Subject)}
		switch on.Status {
		case review.Landed:
			continue
		case review.Abandoned:
			r.State, r.Reason = string(plan.Closed), fmt.Sprintf("it depends on change %d, which is abandoned", on.ID)
			r.Next = "take the Depends-On line out of the commit message and push a new patch set"
		case review.Open:
		default:
			panic("gatekeeper: unknown status " + string(on.Status))
		}
		all = append(all, r)
	}
	return all
}

// planRequirement says whose plan cannot be followed: the change's, which its owner mends, or
// the branch's, which closes the branch for everybody (I13).
func (f *facts) planRequirement() Requirement {
	sentence, next := fault.Public(f.planErr)
	r := Requirement{Name: "plan", Kind: "plan", State: string(plan.Refused), Reason: sentence,
		Next: next, Source: plan.File, Who: []string{f.name(f.change.Owner)}}
	if f.branchPlan {
		r.Reason = fmt.Sprintf("nothing lands while the plan of %s cannot be read: %s", f.change.Branch, sentence)
		r.Who = []string{"the owners of " + f.repo.Name}
		r.Next = fmt.Sprintf("an owner takes %s off the gated branches (gate repo set %s --ungated), pushes the mended plan (%s), and puts it back (--gated %s)",
			f.change.Branch, f.repo.Name, next, f.change.Branch)
	}
	return r
}
