package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Approval is what a person says at a gate: about an artifact, or before the landing about the
// current patch set of a change.
type Approval struct {
	Gate string
	// What names what landed: by its change, its commit, or the digest of something built from it.
	// A change that is open is named by its number, "17", or as "17/3" with the patch set that was
	// looked at.
	What     string
	Note     string
	Withdraw bool
}

// Approved is an approval that was taken.
type Approved struct {
	Gate    string   `json:"gate"`
	Digests []string `json:"digests"` // none when it is of a patch set
	Commit  string   `json:"commit"`
	Change  int64    `json:"change,omitempty"`
	// PatchSet is what was approved, when it is that of an open change.
	PatchSet int `json:"patch_set,omitempty"`
	// Verdict is what the gate says now.
	Verdict plan.Verdict `json:"verdict"`
	// Counts says whether it counts there; Why not.
	Counts bool   `json:"counts"`
	Why    string `json:"why,omitempty"`
}

// Approve accepts what was built from a landed commit at a gate of its plan, or an open change at
// one before the landing. It binds to the digests, or to the patch set: for anything else it counts
// nothing.
func (c *Controller) Approve(ctx context.Context, actor account.Actor, at deliver.Place, a Approval) (Approved, error) {
	const op = "gatekeeper.Approve"
	r, err := c.Repos.ByID(ctx, c.DB.Read(), at.Repo)
	if err != nil {
		return Approved{}, err
	}
	if a.Note = strings.TrimSpace(a.Note); len(a.Note) > maxRerunReason {
		return Approved{}, fault.Newf(fault.TooLarge, op, "the note has %d bytes; at most %d are kept", len(a.Note), maxRerunReason)
	}
	ch, ps, open, err := c.openNamed(ctx, actor, at.Repo, a.What)
	switch {
	case err != nil:
		return Approved{}, err
	case open:
		return c.approveChange(ctx, actor, r, ch, ps, a)
	}
	if err := c.May(ctx, actor, account.Vote, r.Resource(at.Branch)); err != nil {
		return Approved{}, err
	}
	run, err := c.deliveryNamed(ctx, c.DB.Read(), at, a.What)
	if fault.Is(err, fault.NotFound) {
		err = c.nameTheChange(ctx, r, at.Branch, a, ch, err)
	}
	if err != nil {
		return Approved{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return Approved{}, err
	}
	p, err := c.deliveryPlan(ctx, g, run)
	if err != nil {
		return Approved{}, err
	}
	gate, ok := p.Gate(a.Gate)
	if !ok || !asksApproval(gate) || gate.Subject != plan.SubjectArtifact {
		return Approved{}, fault.New(fault.Invalid, op, fmt.Sprintf("gate %q asks nobody to approve an artifact", a.Gate), "its gates that do: "+strings.Join(approvable(p, plan.SubjectArtifact), ", "))
	}
	var done Approved
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		before, err := c.prove(ctx, tx, r, g, run)
		if err != nil {
			return err
		}
		digests := before.digests()
		if len(digests) == 0 {
			return fault.New(fault.Refused, op, fmt.Sprintf("nothing was built from commit %s", run.Candidate.Short()), "wait for the stage that builds it")
		}
		if _, err := c.writeApproval(ctx, tx, actor, at, a, digests); err != nil {
			return err
		}
		kind := "artifact.approved"
		if a.Withdraw {
			kind = "artifact.approval.withdrawn"
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: at.Repo, Change: run.Change, Account: actor.ID, Data: map[string]string{
			"gate": a.Gate, "digests": strings.Join(digests, " "), "branch": at.Branch, "commit": string(run.Candidate), "note": a.Note}})
		if err != nil {
			return err
		}
		after, err := c.prove(ctx, tx, r, g, run)
		if err != nil {
			return err
		}
		done = Approved{Gate: a.Gate, Digests: digests, Commit: string(run.Candidate), Change: run.Change, Verdict: verdictOf(p, a.Gate, after.under(p), c.Now())}
		done.Counts, done.Why = counts(gate, actor.Name, after.e)
		return tx.Enqueue(ctx, deliverJob(at.Repo, at.Branch))
	})
	c.Bus.Wake(event.RepoTopic(at.Repo))
	return done, err
}

// writeApproval writes one row for each digest, in place of what the person said before, and
// reports whether there was any of that.
func (c *Controller) writeApproval(ctx context.Context, tx *db.Tx, actor account.Actor, at deliver.Place, a Approval, digests []string) (before bool, err error) {
	now := db.Micros(c.Now())
	for _, digest := range digests {
		had, err := db.Touched(tx.ExecContext(ctx, `UPDATE approvals SET withdrawn_at = $1 WHERE repo_id = $2 AND branch = $3 AND gate = $4 AND digest = $5 AND account_id = $6 AND withdrawn_at = 0`,
			now, at.Repo, at.Branch, a.Gate, digest, actor.ID))
		if err != nil {
			return false, fmt.Errorf("gatekeeper: withdraw approval: %w", err)
		}
		if before = before || had; a.Withdraw {
			continue
		}
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return false, err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO approvals (id, repo_id, branch, gate, digest, account_id, note, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, at.Repo, at.Branch, a.Gate, digest, actor.ID, a.Note, now)
		if err != nil {
			return false, fmt.Errorf("gatekeeper: approve: %w", err)
		}
	}
	return before, nil
}

func asksApproval(g plan.Gate) bool {
	return slices.ContainsFunc(g.Require, func(c plan.Criterion) bool { _, ok := c.(plan.Approve); return ok })
}

// approvable are the gates that ask people to approve a subject.
func approvable(p *plan.Plan, subject string) []string {
	var names []string
	for _, g := range p.Gates {
		if asksApproval(g) && g.Subject == subject {
			names = append(names, g.Name)
		}
	}
	if len(names) == 0 {
		return []string{"none"}
	}
	return names
}

// counts reports whether an account's approval counts at a gate, and why not.
func counts(g plan.Gate, name string, e plan.Evidence) (bool, string) {
	i := slices.IndexFunc(e.Approvals, func(a plan.Approval) bool {
		return a.Gate == g.Name && a.By == name && a.OfChange == (g.Subject == plan.SubjectChange)
	})
	if i < 0 {
		return false, ""
	}
	given := e.Approvals[i]
	for _, criterion := range g.Require {
		a, ok := criterion.(plan.Approve)
		if !ok {
			continue
		}
		if is := slices.IndexFunc(a.Not, func(not string) bool { return slices.Contains(given.Is, not) }); is >= 0 {
			return false, name + " is the " + a.Not[is] + " of the change"
		}
		if len(a.By) > 0 && !a.Admits(given) {
			return false, name + " is not in " + strings.Join(a.By, " or ")
		}
	}
	return true, ""
}

// deliveryNamed finds the delivery that a person means: "" is the newest.
func (c *Controller) deliveryNamed(ctx context.Context, q db.Querier, at deliver.Place, what string) (*runRow, error) {
	const op = "gatekeeper.delivery"
	runs, err := queryRuns(ctx, q, `r.repo_id = $1 AND r.branch = $2 AND r.phase = $3`, at.Repo, at.Branch, phaseDeliver)
	if err != nil {
		return nil, err
	}
	what = strings.TrimSpace(what)
	for _, run := range slices.Backward(runs) {
		if what == "" || fmt.Sprint(run.Change) == what && run.Change != 0 || len(what) >= leastCommit && strings.HasPrefix(string(run.Candidate), what) {
			return run, nil
		}
		if !strings.HasPrefix(what, "sha256:") {
			continue
		}
		made, err := c.madeFor(ctx, q, run)
		if err != nil {
			return nil, err
		}
		for _, b := range made {
			if strings.HasPrefix(b.Digest, what) && len(what) > len("sha256:")+leastCommit {
				return run, nil
			}
		}
	}
	if what == "" {
		return nil, fault.New(fault.NotFound, op, "nothing has been delivered from "+at.Branch+" yet", "land a change whose plan has stages after land")
	}
	return nil, fault.New(fault.NotFound, op, fmt.Sprintf("nothing called %q was delivered from %s", what, at.Branch), "name a landed change, a commit, or a digest: gate env show lists them")
}

// leastCommit is how much of a commit's name tells it from others.
const leastCommit = 6

// verdictOf is what one gate says.
func verdictOf(p *plan.Plan, gate string, e plan.Evidence, now time.Time) plan.Verdict {
	for _, v := range plan.Judge(p, e, now) {
		if v.Gate == gate {
			return v
		}
	}
	return plan.Verdict{Gate: gate, State: plan.Closed}
}
