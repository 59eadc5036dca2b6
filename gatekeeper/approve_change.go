package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// patchSetKey stands among the approvals where those of artifacts have a digest. No digest looks
// like it, so neither is ever taken for the other.
func patchSetKey(change int64, ps int) string { return fmt.Sprintf("change:%d/%d", change, ps) }

// openNamed finds the change that a person means by "17", or by "17/3" with a patch set, and whether
// it is open; ps is 0 when none is named. What names no change that the person may see here is none.
func (c *Controller) openNamed(ctx context.Context, actor account.Actor, repoID int64, what string) (ch review.Change, ps int, open bool, err error) {
	number, set, named := strings.Cut(strings.TrimSpace(what), "/")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return ch, 0, false, nil
	}
	if named {
		if ps, err = strconv.Atoi(set); err != nil || ps < 1 {
			return ch, 0, false, fault.New(fault.Invalid, "gatekeeper.Approve", fmt.Sprintf("%q names no patch set", clipped(what)), "write CHANGE or CHANGE/PATCHSET, such as 17/3")
		}
	}
	ch, err = c.Review.Get(ctx, actor, id)
	switch {
	case fault.Is(err, fault.NotFound):
		return review.Change{}, 0, false, nil
	case err != nil:
		return ch, 0, false, err
	case ch.Repo != repoID:
		return review.Change{}, 0, false, nil
	}
	return ch, ps, ch.Status == review.Open, nil
}

// approveChange accepts the current patch set of an open change at a gate before the landing. It
// counts for no other patch set, and for nothing that is built of this one.
func (c *Controller) approveChange(ctx context.Context, actor account.Actor, r repo.Repository, ch review.Change, ps int, a Approval) (Approved, error) {
	const op = "gatekeeper.Approve"
	if err := c.Review.May(ctx, c.DB.Read(), actor, account.Vote, ch, r); err != nil {
		return Approved{}, err
	}
	policy, _, err := c.PlanAt(ctx, r, ch.Branch)
	if err != nil {
		return Approved{}, err
	}
	gate, ok := policy.Gate(a.Gate)
	switch {
	case ok && asksApproval(gate) && gate.Subject == plan.SubjectArtifact:
		return Approved{}, fault.New(fault.Refused, op, fmt.Sprintf("gate %s is about what is built of change %d once it has landed, and it is open", gate.Name, ch.ID),
			fmt.Sprintf("gate why %d says what it waits for", ch.ID))
	case !ok || !asksApproval(gate):
		return Approved{}, fault.New(fault.Invalid, op, fmt.Sprintf("gate %q asks nobody to approve a change", a.Gate), "its gates that do: "+strings.Join(approvable(policy, plan.SubjectChange), ", "))
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		now, err := c.Review.Load(ctx, tx, ch.ID)
		if err != nil {
			return err
		}
		if err := c.Review.May(ctx, tx, actor, account.Vote, now, r); err != nil {
			return err
		}
		switch {
		case now.Status != review.Open || now.Branch != ch.Branch:
			return fault.Newf(fault.Conflict, op, "change %d has moved on", ch.ID)
		case ps != 0 && ps != now.Current:
			return fault.New(fault.Conflict, op, fmt.Sprintf("patch set %d of change %d is not the current one", ps, ch.ID), fmt.Sprintf("look at patch set %d and approve that", now.Current))
		}
		ch = now
		return c.writeChangeApproval(ctx, tx, actor, ch, a)
	})
	c.Bus.Wake(event.ChangeTopic(ch.ID), event.RepoTopic(r.ID))
	if err != nil {
		return Approved{}, err
	}
	return c.approvedChange(ctx, actor, ch, gate)
}

// writeChangeApproval writes what a person said of a patch set where approvals are kept, into the
// story of the change and the journal, and has the change looked at.
func (c *Controller) writeChangeApproval(ctx context.Context, tx *db.Tx, actor account.Actor, ch review.Change, a Approval) error {
	before, err := c.writeApproval(ctx, tx, actor, deliver.Place{Repo: ch.Repo, Branch: ch.Branch}, a, []string{patchSetKey(ch.ID, ch.Current)})
	if err != nil {
		return err
	}
	kind, words := "change.approved", fmt.Sprintf("%s approved patch set %d at gate %s", actor.Name, ch.Current, a.Gate)
	if a.Withdraw {
		if !before {
			return fault.Newf(fault.Conflict, "gatekeeper.Approve", "you have not approved patch set %d of change %d at gate %s", ch.Current, ch.ID, a.Gate)
		}
		kind, words = "change.approval.withdrawn", fmt.Sprintf("%s took back the approval of patch set %d at gate %s", actor.Name, ch.Current, a.Gate)
	}
	if err := c.Review.Say(ctx, tx, ch.ID, ch.Current, because(words, a.Note)); err != nil {
		return err
	}
	set, err := c.Review.PatchSet(ctx, tx, ch.ID, ch.Current)
	if err != nil {
		return err
	}
	_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: ch.Repo, Change: ch.ID, Account: actor.ID, Data: map[string]string{
		"gate": a.Gate, "ps": strconv.Itoa(ch.Current), "branch": ch.Branch, "commit": string(set.Commit), "note": a.Note}})
	if err != nil {
		return err
	}
	// The stamp by which others know that it has moved.
	if _, err = tx.ExecContext(ctx, `UPDATE changes SET updated_at = $1 WHERE id = $2`, db.Micros(c.Now()), ch.ID); err != nil {
		return fmt.Errorf("gatekeeper: approve change %d: %w", ch.ID, err)
	}
	c.unsettle(ch.ID)
	return tx.Enqueue(ctx, repo.BranchJob(ch.Repo, ch.Branch))
}

// approvedChange says what the gate says after an approval, and whether that counts.
func (c *Controller) approvedChange(ctx context.Context, actor account.Actor, ch review.Change, gate plan.Gate) (Approved, error) {
	f, err := c.facts(ctx, c.DB.Read(), ch.ID)
	if err != nil {
		return Approved{}, err
	}
	done := Approved{Gate: gate.Name, Digests: []string{}, Commit: string(f.ps.Commit), Change: ch.ID, PatchSet: ch.Current,
		Verdict: verdictOf(f.plan, gate.Name, f.evidence(), f.now)}
	for i, reason := range done.Verdict.Reasons {
		done.Verdict.Reasons[i].Next = f.next(gate.Name, reason)
	}
	done.Counts, done.Why = counts(gate, actor.Name, f.evidence())
	return done, nil
}

// nameTheChange is why nobody can approve, at a gate before the landing, what is no open change: none
// was named, or ch, which is closed.
func (c *Controller) nameTheChange(ctx context.Context, r repo.Repository, branch string, a Approval, ch review.Change, otherwise error) error {
	const op = "gatekeeper.Approve"
	if ch.ID != 0 {
		branch = ch.Branch
	}
	policy, _, err := c.PlanAt(ctx, r, branch)
	switch {
	case err != nil || !slices.Contains(approvable(policy, plan.SubjectChange), a.Gate):
		return otherwise
	case ch.ID != 0:
		return fault.Newf(fault.Refused, op, "gate %s is about a change until it lands, and change %d is %s", a.Gate, ch.ID, ch.Status)
	case strings.TrimSpace(a.What) == "":
		return fault.New(fault.Invalid, op, "gate "+a.Gate+" is about a change, and none is named", fmt.Sprintf("gate approve %s %s CHANGE", r.Name, a.Gate))
	default:
		return otherwise
	}
}

// asksApproval reports whether people are asked to approve the change at a gate.
func (f *facts) asksApproval(gate string) bool {
	g, ok := f.plan.Gate(gate)
	return ok && g.Subject == plan.SubjectChange && asksApproval(g)
}

// next is how to do what a reason asks for: approvals of a change are given by one command.
func (f *facts) next(gate string, r plan.Reason) string {
	if r.Kind != kindApprove || r.Next == "" || !f.asksApproval(gate) {
		return r.Next
	}
	return fmt.Sprintf("gate approve %s %s %d", f.repo.Name, gate, f.change.ID)
}
