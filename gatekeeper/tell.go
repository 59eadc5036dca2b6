package gatekeeper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/review"
)

// tell writes what became of a push, in the words that clients of Gerrit know: per change
// its page and subject, and then what stands between it and the branch.
func (c *Controller) tell(ctx context.Context, p *gitserver.Push, decisions []decision, held []review.Held) {
	if len(held) == 0 {
		return
	}
	created, updated := 0, 0
	for _, h := range held {
		switch {
		case h.New:
			created++
		case !h.Unchanged:
			updated++
		}
	}
	p.Tell(fmt.Sprintf("Processing changes: refs: %d, new: %d, updated: %d, done", len(decisions), created, updated))
	p.Tell("")
	p.Tell("SUCCESS")
	p.Tell("")
	for _, h := range held {
		p.Tell(fmt.Sprintf("  %s %s%s", changeURL(c.URL, p.Repo.Name, h.Change.ID), h.Change.Subject, mark(h)))
	}
	p.Tell("")
	for _, d := range decisions {
		if d.proposal != nil && d.refusal == nil && strings.HasPrefix(d.cmd.Ref, headsPrefix) {
			p.Tell(fmt.Sprintf("%s is gated: the push is held and lands when its gates have opened.", d.branch))
		}
	}
	for _, h := range held {
		c.tellChange(ctx, p, h)
	}
}

func mark(h review.Held) string {
	switch {
	case h.Change.WIP:
		return " [WIP]"
	case h.New:
		return " [NEW]"
	default:
		return ""
	}
}

func (c *Controller) tellChange(ctx context.Context, p *gitserver.Push, h review.Held) {
	e, err := c.Explain(ctx, p.Actor, h.Change.ID)
	if err != nil {
		c.Log.Error("explain a pushed change", "change", h.Change.ID, "err", err)
		return
	}
	p.Tell(fmt.Sprintf("Change %d, patch set %d: %s", h.Change.ID, h.PatchSet.Number, e.Summary))
	for _, r := range e.Requirements {
		p.Tell("  " + requirementLine(r))
	}
	for _, note := range e.Notes {
		p.Tell("  note: " + note)
	}
	if e.WhatIf != nil {
		p.Tell("  " + e.WhatIf.Sentence())
	}
	for _, label := range h.VotesVoided {
		p.Tell("  votes on the patch set before no longer count: " + label)
	}
	if next := e.next(); next != "" {
		p.Tell("  next: " + next)
	}
	p.Tell("")
}

// requirementLine is one requirement on one line of a terminal.
func requirementLine(r Requirement) string {
	line := fmt.Sprintf("%-12s %-8s %s", r.Name, strings.ToLower(r.State), r.Reason)
	if r.Source != "" {
		line += " (" + r.Source + ")"
	}
	if r.Left != "" {
		line += ", " + r.Left + " left"
	}
	return line
}

// next is the first step that somebody can take.
func (e Explanation) next() string {
	for _, r := range e.Requirements {
		if r.Next != "" && r.State != string(plan.Open) {
			return r.Next
		}
	}
	return ""
}

// wait keeps the push open until its changes have landed or were refused, and tells every
// requirement as it moves. A refusal becomes the push's own: git exits with 1, though what
// was held stays held.
func (c *Controller) wait(ctx context.Context, p *gitserver.Push, held []review.Held, results []gitserver.Result) {
	limit := time.NewTimer(c.WaitLimit)
	defer limit.Stop()
	reason := ""
	for _, h := range held {
		if err := c.Review.RequestSubmit(ctx, p.Actor, h.Change.ID); err != nil {
			p.Tell("waiting for somebody who may land it: " + firstLine(err.Error()))
		}
	}
	for _, h := range held {
		why := c.waitFor(ctx, p, h, limit.C)
		if reason == "" {
			reason = why
		}
	}
	for i := range results {
		if results[i].HeldRef != "" && results[i].Reason == "" {
			results[i].Reason = reason
		}
	}
}

// waitFor returns "" when the change has landed, and why not otherwise.
func (c *Controller) waitFor(ctx context.Context, p *gitserver.Push, h review.Held, limit <-chan time.Time) string {
	woken, stop := c.Bus.Listen(event.ChangeTopic(h.Change.ID))
	defer stop()
	look := time.NewTicker(c.KeepAlive)
	defer look.Stop()
	told := map[string]string{}
	for {
		e, err := c.explain(ctx, c.DB.Read(), h.Change.ID)
		if err != nil {
			c.Log.Error("explain a waiting change", "change", h.Change.ID, "err", err)
			return "the server could not say how it went on; look at its page"
		}
		c.tellNews(p, e, told)
		switch {
		case e.State == Landed:
			p.Tell(fmt.Sprintf("change %d landed as %s", e.Change, e.LandedCommit))
			return ""
		case e.PatchSet != h.PatchSet.Number:
			return fmt.Sprintf("change %d has a newer patch set now", e.Change)
		case e.State.Final():
			return fmt.Sprintf("change %d: %s", e.Change, firstLine(e.Summary))
		}
		select {
		case <-ctx.Done():
			return "the connection ended; the change stays held"
		case <-limit:
			return fmt.Sprintf("not landed after %s; the change stays held", c.WaitLimit)
		case <-woken:
		case <-look.C:
		}
	}
}

func (c *Controller) tellNews(p *gitserver.Push, e Explanation, told map[string]string) {
	for _, r := range e.Requirements {
		line := requirementLine(r)
		if told[r.Name] == line {
			continue
		}
		told[r.Name] = line
		p.Tell(fmt.Sprintf("  %d: %s", e.Change, line))
	}
}

// Submit asks that the change land as soon as its gates are open, and says where it stands.
func (c *Controller) Submit(ctx context.Context, actor account.Actor, change int64) (Explanation, error) {
	if err := c.Review.RequestSubmit(ctx, actor, change); err != nil {
		return Explanation{}, err
	}
	return c.Explain(ctx, actor, change)
}
