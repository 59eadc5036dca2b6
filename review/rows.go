package review

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// maxIn is how many values one IN list gets: well below what either database takes.
const maxIn = 200

// marks is "$first, $first+1, …" for n values.
func marks(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// scanner is a row or rows.
type scanner interface{ Scan(dest ...any) error }

// each runs a query and hands every row to scan.
func each(ctx context.Context, q db.Querier, what, query string, args []any, scan func(row scanner) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("review: %s: %w", what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("review: %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("review: %s: %w", what, err)
	}
	return nil
}

const changeColumns = `c.id, c.repo_id, r.name, c.branch, c.change_key, c.topic, c.subject, c.owner_id, c.status, c.wip, c.private, c.current_ps,
	c.submit_by, c.submit_at, c.landed_commit, c.landed_ps, c.created_at, c.updated_at, c.closed_at, c.reverts, c.picked_from, c.outcome`

const changeTables = ` FROM changes c JOIN repositories r ON r.id = c.repo_id `

func scanChange(row scanner) (Change, error) {
	var c Change
	var wip, private, submitAt, created, updated, closed int64
	err := row.Scan(&c.ID, &c.Repo, &c.RepoName, &c.Branch, &c.Key, &c.Topic, &c.Subject, &c.Owner, &c.Status, &wip, &private, &c.Current,
		&c.SubmitBy, &submitAt, &c.LandedCommit, &c.LandedPS, &created, &updated, &closed, &c.Reverts, &c.PickedFrom, &c.Outcome)
	c.WIP, c.Private, c.SubmitAt, c.CreatedAt = wip != 0, private != 0, db.Time(submitAt), db.Time(created)
	c.UpdatedAt, c.ClosedAt = db.Time(updated), db.Time(closed)
	return c, err
}

// changes lists the changes that the rest of the query (WHERE, ORDER BY, LIMIT) selects.
func changes(ctx context.Context, q db.Querier, rest string, args ...any) ([]Change, error) {
	var all []Change
	err := each(ctx, q, "list changes", `SELECT `+changeColumns+changeTables+rest, args, func(row scanner) error {
		c, err := scanChange(row)
		all = append(all, c)
		return err
	})
	return all, err
}

// Load reads a change whoever asks: for the server itself. [Service.Get] is for people.
func (s *Service) Load(ctx context.Context, q db.Querier, id int64) (Change, error) {
	found, err := changes(ctx, q, `WHERE c.id = $1`, id)
	if err != nil {
		return Change{}, err
	}
	if len(found) == 0 {
		return Change{}, missing(id)
	}
	return found[0], nil
}

// missing is what is said of a change that does not exist, and of one that the asker may not see.
func missing(id int64) error {
	return fault.New(fault.NotFound, "review.Get", fmt.Sprintf("change %d not found", id), "check its number, and that you are signed in as somebody who may see it")
}

// OpenOn lists the open changes for a branch, oldest first.
func (s *Service) OpenOn(ctx context.Context, q db.Querier, repository int64, branch string) ([]Change, error) {
	return changes(ctx, q, `WHERE c.repo_id = $1 AND c.branch = $2 AND c.status = $3 ORDER BY c.id`, repository, branch, string(Open))
}

const patchSetColumns = `p.change_id, p.number, p.commit_oid, p.tree_oid, p.parent_oid, p.parents, p.uploader_id, p.author_name, p.author_email,
	p.committer_email, p.co_authors, p.message, p.kind, p.diff_digest, p.description, p.created_at`

func scanPatchSet(row scanner) (PatchSet, error) {
	var p PatchSet
	var co string
	var created int64
	err := row.Scan(&p.Change, &p.Number, &p.Commit, &p.Tree, &p.Parent, &p.Parents, &p.Uploader, &p.AuthorName, &p.AuthorEmail,
		&p.CommitterEmail, &co, &p.Message, &p.Kind, &p.DiffDigest, &p.Description, &created)
	p.CreatedAt = db.Time(created)
	if co != "" {
		p.CoAuthors = strings.Split(co, "\n")
	}
	return p, err
}

func patchSets(ctx context.Context, q db.Querier, where string, args ...any) ([]PatchSet, error) {
	var all []PatchSet
	err := each(ctx, q, "list patch sets", `SELECT `+patchSetColumns+` FROM patch_sets p WHERE `+where+` ORDER BY p.change_id, p.number`, args,
		func(row scanner) error {
			p, err := scanPatchSet(row)
			all = append(all, p)
			return err
		})
	return all, err
}

// PatchSets lists the patch sets of a change, oldest first.
func (s *Service) PatchSets(ctx context.Context, q db.Querier, change int64) ([]PatchSet, error) {
	return patchSets(ctx, q, `p.change_id = $1`, change)
}

// PatchSet reads one patch set of a change.
func (s *Service) PatchSet(ctx context.Context, q db.Querier, change int64, number int) (PatchSet, error) {
	found, err := patchSets(ctx, q, `p.change_id = $1 AND p.number = $2`, change, number)
	if err != nil {
		return PatchSet{}, err
	}
	if len(found) == 0 {
		return PatchSet{}, fault.Newf(fault.NotFound, "review.PatchSet", "change %d has no patch set %d", change, number)
	}
	return found[0], nil
}

// Votes lists the votes on all patch sets of a change, oldest patch set first. [Bound] leaves
// those that count.
func (s *Service) Votes(ctx context.Context, q db.Querier, change int64) ([]Vote, error) {
	return votes(ctx, q, `v.change_id = $1`, change)
}

func votes(ctx context.Context, q db.Querier, where string, args ...any) ([]Vote, error) {
	var all []Vote
	err := each(ctx, q, "list votes", `SELECT v.change_id, v.ps, v.label, v.account_id, v.value, v.commit_oid, v.diff_digest, v.branch,
		v.copied_from, v.created_at FROM votes v WHERE `+where+` ORDER BY v.change_id, v.ps, v.label, v.created_at, v.account_id`, args,
		func(row scanner) error {
			var v Vote
			var created int64
			err := row.Scan(&v.Change, &v.PS, &v.Label, &v.Account, &v.Value, &v.Commit, &v.DiffDigest, &v.Branch, &v.CopiedFrom, &created)
			v.CreatedAt = db.Time(created)
			all = append(all, v)
			return err
		})
	return all, err
}

// Messages lists what happened to a change in words, oldest first.
func (s *Service) Messages(ctx context.Context, q db.Querier, change int64) ([]Message, error) {
	var all []Message
	err := each(ctx, q, "list messages", `SELECT id, change_id, ps, author_id, body, created_at FROM messages WHERE change_id = $1 ORDER BY id`,
		[]any{change}, func(row scanner) error {
			var m Message
			var created int64
			err := row.Scan(&m.ID, &m.Change, &m.PS, &m.Author, &m.Body, &created)
			m.CreatedAt = db.Time(created)
			all = append(all, m)
			return err
		})
	return all, err
}

// Reviewer is somebody who was asked to look at a change, or who did.
type Reviewer struct {
	Account int64
	CC      bool // only to be let known
}

// The states of a reviewer's row.
const (
	stateReviewer = "reviewer"
	stateCC       = "cc"
)

// Reviewers lists who was asked to look at a change, or did, in that order.
func (s *Service) Reviewers(ctx context.Context, q db.Querier, change int64) ([]Reviewer, error) {
	var all []Reviewer
	err := each(ctx, q, "list reviewers", `SELECT account_id, state FROM reviewers WHERE change_id = $1 ORDER BY created_at, account_id`,
		[]any{change}, func(row scanner) error {
			var r Reviewer
			var state string
			err := row.Scan(&r.Account, &state)
			r.CC = state == stateCC
			all = append(all, r)
			return err
		})
	return all, err
}

// addReviewer notes that somebody was asked or looked. A reviewer does not become a cc again.
func addReviewer(ctx context.Context, tx *db.Tx, change, account int64, state string, at int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO reviewers (change_id, account_id, state, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (change_id, account_id) DO UPDATE SET state = CASE WHEN reviewers.state = $5 THEN reviewers.state ELSE $6 END`,
		change, account, state, at, stateReviewer, state)
	if err != nil {
		return fmt.Errorf("review: add reviewer %d to change %d: %w", account, change, err)
	}
	return nil
}

func insertChange(ctx context.Context, tx *db.Tx, c Change) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO changes (id, repo_id, branch, change_key, topic, owner_id, subject, status, wip, current_ps,
		submit_by, submit_at, created_at, updated_at, private, reverts, picked_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		c.ID, c.Repo, c.Branch, c.Key, c.Topic, c.Owner, c.Subject, string(c.Status), db.Bool(c.WIP), c.Current,
		c.SubmitBy, db.Micros(c.SubmitAt), db.Micros(c.CreatedAt), db.Micros(c.UpdatedAt),
		db.Bool(c.Private), c.Reverts, c.PickedFrom)
	if err != nil {
		return fmt.Errorf("review: insert change %d: %w", c.ID, err)
	}
	return nil
}

func insertPatchSet(ctx context.Context, tx *db.Tx, p PatchSet, parents []git.OID) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO patch_sets (change_id, number, commit_oid, tree_oid, parent_oid, parents, uploader_id, author_name,
		author_email, committer_email, co_authors, message, kind, diff_digest, description, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		p.Change, p.Number, string(p.Commit), string(p.Tree), string(p.Parent), p.Parents, p.Uploader, p.AuthorName,
		p.AuthorEmail, p.CommitterEmail, strings.Join(p.CoAuthors, "\n"), p.Message, p.Kind, p.DiffDigest, p.Description, db.Micros(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("review: insert patch set %d of change %d: %w", p.Number, p.Change, err)
	}
	for i, parent := range parents {
		_, err := tx.ExecContext(ctx, `INSERT INTO patch_set_parents (change_id, ps, position, parent_oid) VALUES ($1, $2, $3, $4)`,
			p.Change, p.Number, i, string(parent))
		if err != nil {
			return fmt.Errorf("review: insert parents of change %d: %w", p.Change, err)
		}
	}
	return nil
}

// putVote writes a vote over an earlier one of the same account.
func putVote(ctx context.Context, tx *db.Tx, v Vote) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO votes (change_id, ps, label, account_id, value, commit_oid, diff_digest, branch, copied_from, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (change_id, ps, label, account_id) DO UPDATE SET
		value = excluded.value, commit_oid = excluded.commit_oid, diff_digest = excluded.diff_digest, branch = excluded.branch,
		copied_from = excluded.copied_from, created_at = excluded.created_at`,
		v.Change, v.PS, v.Label, v.Account, v.Value, string(v.Commit), v.DiffDigest, v.Branch, v.CopiedFrom, db.Micros(v.CreatedAt))
	if err != nil {
		return fmt.Errorf("review: vote on change %d: %w", v.Change, err)
	}
	return nil
}

// Say adds a message of the server's to a change's story.
func (s *Service) Say(ctx context.Context, tx *db.Tx, change int64, ps int, text string) error {
	return s.say(ctx, tx, change, ps, 0, text)
}

func (s *Service) say(ctx context.Context, tx *db.Tx, change int64, ps int, author int64, text string) error {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO messages (id, change_id, ps, author_id, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, change, ps, author, text, db.Micros(s.Now()))
	if err != nil {
		return fmt.Errorf("review: message on change %d: %w", change, err)
	}
	return nil
}
