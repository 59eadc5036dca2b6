package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Revoked is an artifact that was taken back, or let in again.
type Revoked struct {
	Artifact Built `json:"artifact"`
	// Runs are the assemblies that run it: taken back, they go on until somebody replaces them.
	Runs []deliver.Assembly `json:"runs"`
	Next string             `json:"next,omitempty"`
}

// ArtifactWord is who took an artifact back, or let it in again, and why.
type ArtifactWord struct {
	State  string    `json:"state"` // what it was from then on
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Revoke takes an artifact back: it enters no environment any more, forward or by a rollback,
// until an owner restores it. What runs it goes on, and is told in the answer.
func (c *Controller) Revoke(ctx context.Context, actor account.Actor, repository, digest, reason string) (Revoked, error) {
	done, err := c.say(ctx, actor, repository, digest, reason, ArtifactRevoked)
	if err == nil && len(done.Runs) > 0 {
		done.Next = "it runs still: gate rollback, or promote another one"
	}
	return done, err
}

// Restore lets an artifact in again that was taken back by mistake. It is for owners: whoever
// may stop something must not be the one who lets it go on. Both words stay.
func (c *Controller) Restore(ctx context.Context, actor account.Actor, repository, digest, reason string) (Revoked, error) {
	done, err := c.say(ctx, actor, repository, digest, reason, ArtifactAttested)
	if err == nil && done.Artifact.State == ArtifactExpired {
		done.Next = "its content is not kept any more: recheck its change, and it is built again"
	}
	return done, err
}

// say writes one word about an artifact: that it is revoked, or good again.
func (c *Controller) say(ctx context.Context, actor account.Actor, repository, digest, reason, state string) (Revoked, error) {
	b, err := c.ArtifactNamed(ctx, actor, repository, digest)
	if err != nil {
		return Revoked{}, err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), b.repo)
	if err != nil {
		return Revoked{}, err
	}
	branches, err := c.branchesOfDigest(ctx, c.DB.Read(), r.ID, b.Digest)
	if err != nil {
		return Revoked{}, err
	}
	if err := c.maySay(ctx, actor, r, branches, state); err != nil {
		return Revoked{}, err
	}
	if reason, err = wordReason(reason, state); err != nil {
		return Revoked{}, err
	}
	if state != ArtifactRevoked && c.Artifacts != nil {
		kept, err := c.Artifacts.Has(b.Artifact)
		if err != nil {
			return Revoked{}, err
		}
		if !kept {
			state = ArtifactExpired
		}
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		return c.writeWord(ctx, tx, actor, b, branches, ArtifactWord{State: state, Reason: reason})
	})
	if err != nil {
		return Revoked{}, err
	}
	c.Bus.Wake(event.RepoTopic(r.ID))
	b.State = state
	done := Revoked{Artifact: b}
	done.Runs, err = c.servingFor(ctx, actor, b)
	return done, err
}

// maySay asks who may take an artifact back, and who may let it in again.
func (c *Controller) maySay(ctx context.Context, actor account.Actor, r repo.Repository, branches []string, state string) error {
	if state != ArtifactRevoked {
		return c.May(ctx, actor, account.Own, r.Resource(""))
	}
	for _, branch := range branches {
		if err := c.May(ctx, actor, account.Deploy, r.Resource(branch)); err != nil {
			return err
		}
	}
	return nil
}

func wordReason(reason, state string) (string, error) {
	const op = "gatekeeper.Revoke"
	what, next := "to revoke an artifact needs a reason", "say what is wrong with it: it is shown wherever the artifact is"
	if state != ArtifactRevoked {
		what, next = "to restore an artifact needs a reason", "say why it may enter environments again: it is shown wherever the artifact is"
	}
	switch reason = strings.TrimSpace(reason); {
	case reason == "":
		return "", fault.New(fault.Invalid, op, what, next)
	case len(reason) > maxRerunReason:
		return "", fault.Newf(fault.TooLarge, op, "the reason has %d bytes; at most %d are kept", len(reason), maxRerunReason)
	}
	return reason, nil
}

func (c *Controller) writeWord(ctx context.Context, tx *db.Tx, actor account.Actor, b Built, branches []string, word ArtifactWord) error {
	const op = "gatekeeper.Revoke"
	is, kind, no := `state <> $4`, "artifact.revoked", " was revoked already"
	if word.State != ArtifactRevoked {
		is, kind, no = `state = $4`, "artifact.restored", " is not revoked"
	}
	was, err := db.Touched(tx.ExecContext(ctx, `UPDATE artifacts SET state = $1 WHERE repo_id = $2 AND digest = $3 AND `+is, word.State, b.repo, b.Digest, ArtifactRevoked))
	if err != nil {
		return fmt.Errorf("gatekeeper: revoke %s: %w", b.Digest, err)
	}
	if !was {
		return fault.New(fault.Conflict, op, b.Digest+no, "")
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO artifact_words (id, repo_id, digest, state, account_id, reason, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, b.repo, b.Digest, word.State, actor.ID, word.Reason, db.Micros(c.Now()))
	if err != nil {
		return fmt.Errorf("gatekeeper: word about %s: %w", b.Digest, err)
	}
	_, err = event.Append(ctx, tx, event.Event{At: c.Now(), Kind: kind, Repo: b.repo, Change: b.Change, Account: actor.ID, Data: map[string]string{
		"artifact": b.Name, "digest": b.Digest, "commit": string(b.Commit), "reason": word.Reason}})
	if err != nil {
		return err
	}
	for _, branch := range branches {
		if err := tx.Enqueue(ctx, deliverJob(b.repo, branch)); err != nil {
			return err
		}
	}
	return nil
}

// artifactWords are what was said about an artifact, oldest first.
func artifactWords(ctx context.Context, q db.Querier, b Built) ([]ArtifactWord, error) {
	all := []ArtifactWord{}
	err := each(ctx, q, `SELECT w.state, COALESCE(a.name, ''), w.reason, w.at FROM artifact_words w LEFT JOIN accounts a ON a.id = w.account_id
		WHERE w.repo_id = $1 AND w.digest = $2 ORDER BY w.id`, []any{b.repo, b.Digest}, func(rows *sql.Rows) error {
		var w ArtifactWord
		var at int64
		err := rows.Scan(&w.State, &w.By, &w.Reason, &at)
		w.At = db.Time(at)
		all = append(all, w)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: words about %s: %w", b.Digest, err)
	}
	return all, nil
}
