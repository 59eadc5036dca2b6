package gatekeeper

import (
	"fmt"
	"slices"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/review"
)

// verdicts judges the gates that landing waits for.
func (f *facts) verdicts() []plan.Verdict {
	gates := f.plan.Landing()
	all := make([]plan.Verdict, 0, len(gates))
	for _, v := range plan.Judge(f.plan, f.evidence(), f.now) {
		if slices.ContainsFunc(gates, func(g plan.Gate) bool { return g.Name == v.Gate }) {
			all = append(all, v)
		}
	}
	return all
}

// evidence is all that is known about the patch set with the run that says where it stands.
func (f *facts) evidence() plan.Evidence {
	e := f.run.forGates().evidence(f.ballots, f.changed)
	if f.more != nil {
		votes, stages, tests := e.Votes, e.Stages, e.Tests
		e = *f.more
		e.Votes, e.Stages, e.Tests, e.Changed = votes, stages, tests, f.changed
	}
	e.Touched, e.Branch, e.Parts = f.touched, f.change.Branch, f.parts
	return e
}

func (r *runRow) forGates() *Run {
	if r == nil {
		return nil
	}
	return &r.Run
}

// mayQueue says why the change may not stand in the queue, "" when it may.
func (f *facts) mayQueue() string {
	switch {
	case f.change.Status != review.Open:
		return "it is closed"
	case f.change.WIP:
		return "it is work in progress"
	case f.change.Private:
		return "it is private"
	case f.change.SubmitBy == 0:
		return "nobody has asked to land it"
	case f.unable:
		return f.name(f.change.SubmitBy) + " asked to land it and may not any more"
	case f.planErr != nil:
		return "the plan cannot be read"
	case f.plan != nil && !f.plan.Lands():
		return "its outcome is " + f.change.Outcome + ", which stops before landing"
	case f.ejected != nil:
		return "the queue put it out: " + f.ejected.Words
	case len(f.depends.Problems) > 0:
		return f.depends.Problems[0]
	case f.queued(): // from here on the queue itself judges merges and stages
	case f.merge != "":
		return "it does not merge: " + f.merge
	case f.check != nil && f.check.State == RunRefused:
		return "its stages refused it"
	case f.check != nil && f.check.State == RunErrored:
		return "its stages could not be run"
	case f.check != nil && f.check.State == RunCanceled:
		return f.check.Reason + ": recheck it"
	}
	for _, p := range f.openParents() {
		if !p.Queued {
			return fmt.Sprintf("change %d comes first", p.Change)
		}
	}
	for _, on := range f.depends.On {
		if on.Status == review.Abandoned {
			return fmt.Sprintf("it depends on change %d, which is abandoned", on.ID)
		}
	}
	for _, v := range f.verdicts() {
		for _, reason := range v.Reasons {
			if f.beforeQueue(v, reason) && reason.State != plan.Open && v.State != plan.GateBypassed {
				return "gate " + v.Gate + ": " + reason.What
			}
		}
	}
	return ""
}

// kindReview is the kind of a reason that votes decide.
const kindReview = "review"

// kindOwners is the kind of a reason that the votes of owners decide.
const kindOwners = "owners"

// byVotes: people decide it, so nothing that is tested changes it.
func byVotes(r plan.Reason) bool { return r.Kind == kindReview || r.Kind == kindOwners }

// Kinds of reasons that another system decides, that people's approvals decide, and the clock.
const (
	kindExternal = "external"
	kindApprove  = "approve"
	kindWindow   = "window"
)

// beforeQueue: it is about the patch set as it is, and nothing that is tested changes it: votes,
// and approvals and what other systems say where the gate is about the change.
func (f *facts) beforeQueue(v plan.Verdict, r plan.Reason) bool {
	g, _ := f.plan.Gate(v.Gate)
	return byVotes(r) || (r.Kind == kindExternal || r.Kind == kindApprove) && g.Subject == plan.SubjectChange
}

// kindStages is the kind of a reason about a stage, which has a line of its own below.
const kindStages = "stages"

// queued: the current patch set is in the queue.
func (f *facts) queued() bool { return f.entry != nil && f.entry.PS == f.change.Current }

// mayLand says why the patch set may not land with this run, "" when it may. now are the
// changes that land together with it. It is asked in the transaction that writes the intent.
func (f *facts) mayLand(m queue.Member, run *runRow, now map[int64]bool) string {
	if why := f.mayQueue(); why != "" {
		return why
	}
	switch {
	case m.PS != f.change.Current:
		return "the patch set was replaced"
	case run.State != RunPassed:
		return "its run has not passed"
	case f.entry == nil || f.entry.PS != m.PS:
		return "it left the queue"
	}
	for _, p := range f.openParents() {
		if !now[p.Change] {
			return fmt.Sprintf("change %d has not landed yet", p.Change)
		}
	}
	for _, on := range f.depends.On {
		if on.Status != review.Landed && !now[on.ID] {
			return fmt.Sprintf("it depends on change %d, which has not landed yet", on.ID)
		}
	}
	for _, v := range f.verdicts() {
		if !v.State.Passes() {
			return fmt.Sprintf("gate %s is %s", v.Gate, v.State)
		}
	}
	return ""
}

func (f *facts) openParents() []parentFact {
	var open []parentFact
	for _, p := range f.parents {
		if p.Status != review.Landed {
			open = append(open, p)
		}
	}
	return open
}

// state derives where the change stands.
func (f *facts) state() State {
	switch f.change.Status {
	case review.Landed:
		return Landed
	case review.Abandoned:
		return Abandoned
	case review.Open:
	default:
		panic("gatekeeper: unknown status " + string(f.change.Status))
	}
	switch {
	case f.landing:
		return Landing
	case f.ejected != nil && f.ejected.Reason == queue.EjectConflict:
		return Conflict
	case f.queued() && f.planErr == nil:
		return Queued
	case f.merge != "":
		return Conflict
	case f.refused():
		return Refused
	case f.readyBut():
		return Ready
	default:
		return Open
	}
}

// refused: a gate's no, a plan that nobody can follow, an ejection, or a check that ended
// without a yes.
func (f *facts) refused() bool {
	if f.planErr != nil || f.ejected != nil || f.check != nil && (f.check.State == RunRefused || f.check.State == RunErrored) {
		return true
	}
	for _, v := range f.verdicts() {
		if v.State == plan.Refused && f.refusedBefore(v) {
			return true
		}
	}
	return false
}

// refusedBefore reports whether the refusal is a person's, or that of another system: a stage's
// is the run's to tell.
func (f *facts) refusedBefore(v plan.Verdict) bool {
	return slices.ContainsFunc(v.Reasons, func(r plan.Reason) bool { return r.State == plan.Refused && f.beforeQueue(v, r) })
}

// readyBut: nothing is missing but that somebody asks to land it.
func (f *facts) readyBut() bool {
	asked := *f
	asked.change.SubmitBy, asked.unable = f.change.Owner, false
	return asked.mayQueue() == "" && len(f.openParents()) == 0
}
