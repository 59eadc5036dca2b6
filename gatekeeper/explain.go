package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Explain answers why a change has not landed, to whoever may read it.
func (c *Controller) Explain(ctx context.Context, actor account.Actor, change int64) (Explanation, error) {
	if _, err := c.Review.Get(ctx, actor, change); err != nil {
		return Explanation{}, err
	}
	e, f, err := c.explained(ctx, c.DB.Read(), change)
	if err != nil {
		return Explanation{}, err
	}
	if e.WhatIf, err = c.likely(ctx, f); err != nil {
		return Explanation{}, err
	}
	err = c.veil(ctx, c.DB.Read(), actor, f, &e)
	return e, err
}

func (c *Controller) explain(ctx context.Context, q db.Querier, change int64) (Explanation, error) {
	e, _, err := c.explained(ctx, q, change)
	return e, err
}

func (c *Controller) explained(ctx context.Context, q db.Querier, change int64) (Explanation, *facts, error) {
	f, err := c.facts(ctx, q, change)
	if err != nil {
		return Explanation{}, nil, err
	}
	e := f.explain()
	if f.change.Status == review.Open {
		e.Notes = f.notes
	}
	e.URL = changeURL(c.URL, f.repo.Name, change)
	if f.queued() && f.planErr == nil {
		place, err := c.placeOf(ctx, f)
		if err != nil {
			return Explanation{}, nil, err
		}
		e.QueuePosition, e.TimeLeft = place.Position, place.ETA
		e.Requirements = append(e.Requirements, f.queueRequirement(place))
	}
	if f.ejected != nil && f.change.Status == review.Open {
		e.Requirements = append([]Requirement{c.ejectionRequirement(f)}, e.Requirements...)
	}
	e.Summary = f.summary(e)
	return e, f, nil
}

// facts reads everything about a change, from the rows and from git.
func (c *Controller) facts(ctx context.Context, q db.Querier, id int64) (*facts, error) {
	ch, err := c.Review.Load(ctx, q, id)
	if err != nil {
		return nil, err
	}
	r, err := c.Repos.ByID(ctx, q, ch.Repo)
	if err != nil {
		return nil, err
	}
	f, err := c.gather(ctx, q, r, id)
	if err != nil {
		return nil, err
	}
	if f.ballots, err = c.ballots(ctx, q, f); err != nil {
		return nil, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	tip, err := g.RefOID(ctx, headsPrefix+ch.Branch)
	if err != nil || tip.IsZero() {
		return f, err
	}
	subject, base := f.ps.Commit, f.ps.Parent
	if f.run != nil {
		subject, base = f.run.Candidate, f.run.Base
	}
	if f.plan, err = c.composed(ctx, g, tip, subject); err != nil {
		if fault.Is(err, fault.Internal) {
			return nil, err
		}
		_, problems, _ := c.planOf(ctx, g, tip)
		f.plan, f.planErr, f.branchPlan = plan.Default(), err, len(problems) > 0
		return f, nil
	}
	if f.run == f.check { // by itself: another's plan is not this change's to tell
		f.notes = f.plan.NotesBeside(f.plan.Gating(f.aims()))
	}
	f.plan = f.plan.Gating(f.aims())
	if f.changed, err = c.changedPaths(ctx, g, base, subject); err != nil {
		return nil, err
	}
	if err := c.gatherMore(ctx, q, f); err != nil {
		return nil, err
	}
	if err := c.gatherApprovers(ctx, q, f); err != nil {
		return nil, err
	}
	if f.usual, err = stageMedians(ctx, q, r.ID); err != nil {
		return nil, err
	}
	f.merge, err = conflictOn(ctx, q, r.ID, queue.Member{Change: id, PS: f.ps.Number}, tip, f.plan.Land.How)
	return f, err
}

// changedPaths lists the paths that differ, both names of what was renamed.
func (c *Controller) changedPaths(ctx context.Context, g *git.Repo, from, to git.OID) ([]string, error) {
	if from == "" || from.IsZero() {
		from = git.EmptyTree
	}
	key := [2]git.OID{from, to}
	if paths, ok := c.changes.get(key); ok {
		return paths, nil
	}
	files, err := g.ChangedFiles(ctx, from, to)
	if err != nil {
		return nil, err
	}
	paths := pathsOf(files)
	c.changes.put(key, paths)
	return paths, nil
}

// pathsOf names the files of a difference, both names of what was renamed.
func pathsOf(files []git.FileChange) []string {
	paths := make([]string, 0, len(files))
	for _, file := range files {
		paths = append(paths, file.Path)
		if file.OldPath != "" && file.OldPath != file.Path {
			paths = append(paths, file.OldPath)
		}
	}
	return paths
}

// explain is the whole answer but for what needs the queue.
func (f *facts) explain() Explanation {
	e := Explanation{
		Change: f.change.ID, PatchSet: f.change.Current, Repository: f.repo.Name, Branch: f.change.Branch,
		Subject: f.change.Subject, State: f.state(), LandedCommit: f.change.LandedCommit,
	}
	if f.change.Status != review.Open {
		return e
	}
	e.Requirements = append(e.Requirements, f.obstacles()...)
	if f.planErr == nil { // otherwise nobody knows the gates, and those of the default plan are not asked
		e.Requirements = append(e.Requirements, f.gateRequirements()...)
		e.Requirements = append(e.Requirements, f.stageRequirements()...)
	}
	e.Requirements = append(e.Requirements, f.submitRequirement())
	return e
}

func (f *facts) gateRequirements() []Requirement {
	var all []Requirement
	for _, v := range f.verdicts() {
		r := Requirement{Name: v.Gate, Kind: "gate", State: string(v.State), Source: f.source(v.Line), Approval: f.asksApproval(v.Gate)}
		for _, reason := range v.Reasons {
			if reason.State == v.State && r.Reason == "" {
				r.Reason, r.Who, r.Next = reason.What, f.who(v.Gate, reason), f.next(v.Gate, reason)
			}
			if reason.Evidence != "" && reason.Kind != kindStages {
				r.Evidence = join(r.Evidence, reason.Evidence)
			}
		}
		all = append(all, r)
	}
	return all
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func (f *facts) source(line int) string {
	if line == 0 {
		return "default plan"
	}
	return fmt.Sprintf("%s:%d", plan.File, line)
}

// stageRequirements are the stages with where each stands: evidence for the gates.
func (f *facts) stageRequirements() []Requirement {
	var all []Requirement
	latest := f.run.forGates().stages()
	held := plan.Next(f.plan, f.evidence(), f.now).Held
	for _, name := range f.plan.StageOrder() {
		stage, _ := f.plan.Stage(name)
		r := Requirement{Name: name, Kind: "stage", State: string(plan.Blocked), Reason: "has not started", Source: f.source(stage.Line)}
		if s, ok := latest[name]; ok {
			r.State, r.Reason, r.StageRun, r.Tests, r.Left = string(s.State), s.words(), s.ID, s.Tests, f.stageLeft(s)
			if s.Tests != nil {
				r.Evidence = testWords(*s.Tests)
			}
		}
		if words := held[name]; words != "" && r.StageRun == 0 {
			r.Reason = words
		}
		for _, note := range stage.Notes {
			r.Evidence = join(r.Evidence, note)
		}
		if words := quarantineWords(stage, f.now); words != "" {
			r.Evidence = join(r.Evidence, words)
		}
		if r.State == string(plan.Queued) && f.noStages != "" {
			r.Reason = f.noStages
		}
		all = append(all, r)
	}
	return all
}

func (r *Run) stages() map[string]StageRun {
	if r == nil {
		return nil
	}
	return r.latest()
}

// words say how an attempt stands.
func (s StageRun) words() string {
	if s.Reason != "" {
		return s.Reason
	}
	switch s.State {
	case plan.Queued:
		return "waits for a worker"
	case plan.Running:
		return "is running"
	case plan.Passed:
		return "passed in " + s.FinishedAt.Sub(s.StartedAt).Round(100_000_000).String()
	case plan.Failed:
		return fmt.Sprintf("failed with exit code %d", s.ExitCode)
	default:
		return strings.ToLower(string(s.State))
	}
}

// testWords counts the tests and names the first that failed.
func testWords(t plan.Tests) string {
	text := fmt.Sprintf("%d passed, %d failed", t.Passed, t.Failed)
	if t.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", t.Skipped)
	}
	for _, k := range t.Cases {
		if k.Status == plan.CaseFailed {
			return text + ": " + k.Name
		}
	}
	return text
}

func (f *facts) submitRequirement() Requirement {
	if f.plan != nil && !f.plan.Lands() { // to ask would change nothing
		return Requirement{Name: "outcome", Kind: "outcome", State: string(plan.Closed), Reason: f.change.Outcome + " stops before landing",
			Who: []string{f.name(f.change.Owner)}, Next: fmt.Sprintf("gate outcome %d lets it go the usual way", f.change.ID)}
	}
	r := Requirement{Name: "submit", Kind: "submit"}
	if f.change.SubmitBy != 0 && !f.unable {
		r.State, r.Reason = string(plan.Open), f.name(f.change.SubmitBy)+" asked to land it"
		return r
	}
	r.State, r.Reason = string(plan.Closed), "nobody has asked to land it yet"
	if f.unable {
		r.Reason = f.name(f.change.SubmitBy) + " asked to land it and may not any more"
	}
	r.Who = []string{"anyone who may submit"}
	r.Next = fmt.Sprintf("gate submit %d, or push with -o submit", f.change.ID)
	return r
}

// summary is the answer in one sentence.
func (f *facts) summary(e Explanation) string {
	switch e.State {
	case Landed:
		return fmt.Sprintf("landed on %s as %s", f.change.Branch, f.change.LandedCommit.Short())
	case Abandoned:
		return "abandoned"
	case Landing:
		return "landing now"
	case Queued:
		return fmt.Sprintf("number %d in the queue of %s: %s", e.QueuePosition, f.change.Branch, e.queueWords())
	case Ready:
		if f.change.SubmitBy != 0 {
			return fmt.Sprintf("ready: it enters the queue of %s", f.change.Branch)
		}
		return "ready: every gate before the queue is open; somebody has to ask to land it"
	case Conflict:
		if f.ejected != nil {
			return "does not merge: " + f.ejected.Words
		}
		return "does not merge: " + f.merge
	case Refused, Open:
		if first := e.first(); first.Reason != "" {
			return strings.ToLower(string(e.State)) + ": " + first.Name + ": " + first.Reason
		}
		return strings.ToLower(string(e.State))
	default:
		panic("gatekeeper: unknown state " + string(e.State))
	}
}

// first is the requirement that most needs attention: a refusal, else the first that is not met.
func (e Explanation) first() Requirement {
	var open Requirement
	for _, r := range e.Requirements {
		switch plan.GateState(r.State) {
		case plan.Refused, plan.GateErrored:
			return r
		case plan.Open, plan.GateBypassed:
			continue
		}
		if r.State == string(plan.Failed) || r.State == string(plan.TimedOut) {
			return r
		}
		if open.Name == "" && r.Kind != "stage" {
			open = r
		}
	}
	return open
}
