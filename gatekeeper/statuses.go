package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Limits of what an outside system says.
const (
	maxContext     = 200
	maxDescription = 1_000
	maxStatusURL   = 2_000
)

// NewStatus is what an outside system says about a commit, or about an artifact by its digest.
type NewStatus struct {
	Subject     string // a full commit name or a full digest
	Context     string // "ci/windows"
	State       plan.StageState
	Description string
	URL         string
}

// PostStatus takes down what an outside system says. Only a plan whose gate asks for that context
// gives it any weight.
func (c *Controller) PostStatus(ctx context.Context, actor account.Actor, repoID int64, n NewStatus) error {
	const op = "gatekeeper.PostStatus"
	r, err := c.Repos.ByID(ctx, c.DB.Read(), repoID)
	if err != nil {
		return err
	}
	if err := c.May(ctx, actor, account.Vote, r.Resource("")); err != nil {
		return err
	}
	if err := n.check(op); err != nil {
		return err
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		id, err := tx.NextID(ctx, db.RowIDs)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO statuses (id, repo_id, subject, context, state, description, url, account_id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			id, repoID, n.Subject, n.Context, string(n.State), n.Description, n.URL, actor.ID, db.Micros(c.Now()))
		if err != nil {
			return fmt.Errorf("gatekeeper: status %s: %w", n.Context, err)
		}
		_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: "status.posted", Repo: repoID, Account: actor.ID, Data: map[string]string{
			"subject": n.Subject, "context": n.Context, "state": string(n.State)}})
		if err != nil {
			return err
		}
		if err := c.wakeChanges(ctx, tx, repoID, n.Subject); err != nil {
			return err
		}
		return c.wakeRuns(ctx, tx, repoID)
	})
}

// wakeChanges has the open changes looked at whose current patch set is the commit: it may keep
// them out of the queue no longer, or from now on.
func (c *Controller) wakeChanges(ctx context.Context, tx *db.Tx, repoID int64, commit string) error {
	branches := map[string]bool{}
	err := each(ctx, tx, `SELECT DISTINCT c.branch FROM changes c JOIN patch_sets p ON p.change_id = c.id AND p.number = c.current_ps
		WHERE c.repo_id = $1 AND c.status = $2 AND p.commit_oid = $3`, []any{repoID, string(review.Open), commit}, func(rows *sql.Rows) error {
		var branch string
		err := rows.Scan(&branch)
		branches[branch] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("gatekeeper: changes of commit %s: %w", commit, err)
	}
	for branch := range branches {
		if err := tx.Enqueue(ctx, repo.BranchJob(repoID, branch)); err != nil {
			return err
		}
	}
	return nil
}

// wakeRuns has all branches looked at on which a run is under way: one of them may have waited.
func (c *Controller) wakeRuns(ctx context.Context, tx *db.Tx, repoID int64) error {
	runs, err := queryRuns(ctx, tx, `r.repo_id = $1 AND r.state = $2`, repoID, string(RunRunning))
	if err != nil {
		return err
	}
	seen := map[db.Job]bool{}
	for _, run := range runs {
		job := repo.BranchJob(run.repo, run.branch)
		if run.phase == phaseDeliver {
			job = deliverJob(run.repo, run.branch)
		}
		if seen[job] {
			continue
		}
		seen[job] = true
		if err := tx.Enqueue(ctx, job); err != nil {
			return err
		}
	}
	return nil
}

func (n *NewStatus) check(op string) error {
	n.Context, n.Description = strings.TrimSpace(n.Context), strings.TrimSpace(n.Description)
	hex, isDigest := strings.CutPrefix(n.Subject, "sha256:")
	_, err := git.ParseOID(n.Subject)
	subject := err == nil
	if isDigest {
		const digits = 64
		subject = len(hex) == digits && strings.Trim(hex, "0123456789abcdef") == ""
	}
	switch {
	case !subject:
		return fault.New(fault.Invalid, op, "the subject is no commit and no digest", "write the full name of a commit, or sha256: and 64 digits")
	case n.Context == "" || len(n.Context) > maxContext || strings.ContainsFunc(n.Context, func(r rune) bool { return r < ' ' }):
		return fault.New(fault.Invalid, op, "the context cannot be used", fmt.Sprintf("name it with 1 to %d bytes, such as ci/windows", maxContext))
	case len(n.Description) > maxDescription:
		return fault.Newf(fault.TooLarge, op, "the description has %d bytes; at most %d are kept", len(n.Description), maxDescription)
	}
	switch n.State {
	case plan.Running, plan.Passed, plan.Failed, plan.Errored:
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q is no state of a status", n.State), "write RUNNING, PASSED, FAILED or ERRORED")
	}
	if n.URL == "" {
		return nil
	}
	u, err := url.Parse(n.URL)
	if err != nil || len(n.URL) > maxStatusURL || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fault.New(fault.Invalid, op, "the URL cannot be shown", "give an http or https address")
	}
	return nil
}
