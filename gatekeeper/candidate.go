package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// candidate is the commit that would land: a patch set on a base, made once. A candidate
// that could not be made names the paths in conflict instead.
type candidate struct {
	ID       int64
	Change   int64
	PS       int
	Base     git.OID
	How      string
	Commit   git.OID
	Tree     git.OID
	Conflict string
}

// committer signs candidates. Its time is the patch set's, so that the same patch set on the
// same base is the same commit whenever and wherever it is made.
const (
	committerName  = "Gatehouse"
	committerEmail = "gatehouse@localhost"
)

// candidateRef keeps a candidate's objects; it is hidden from pushes and from fetches.
func candidateRef(change int64, id int64) string {
	return fmt.Sprintf("refs/gate/candidates/%d/%d", change, id)
}

// candidateFor returns the candidate of the patch set on base, making it when it is new.
func (c *Controller) candidateFor(ctx context.Context, r repo.Repository, g *git.Repo, ch review.Change, ps review.PatchSet, base git.OID, how string) (candidate, error) {
	cand, found, err := findCandidate(ctx, c.DB.Read(), ch.ID, ps.Number, base, how)
	if err != nil || found {
		return cand, err
	}
	commit, conflict, err := makeCandidate(ctx, g, ch, ps, base, how)
	if err != nil {
		return candidate{}, err
	}
	cand = candidate{Change: ch.ID, PS: ps.Number, Base: base, How: how, Conflict: conflict}
	if conflict == "" {
		cand.Commit, cand.Tree = commit.OID, commit.Tree
	}
	err = c.DB.Transact(ctx, func(tx *db.Tx) error {
		var err error
		if cand.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO candidates
			(id, repo_id, branch, change_id, ps, base_oid, how, commit_oid, tree_oid, conflict, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			cand.ID, r.ID, ch.Branch, ch.ID, ps.Number, string(base), how, string(cand.Commit), string(cand.Tree), conflict, db.Micros(c.Now()))
		return err
	})
	if err != nil {
		return candidate{}, fmt.Errorf("gatekeeper: keep candidate of change %d: %w", ch.ID, err)
	}
	if cand.Commit != "" {
		ref := git.RefUpdate{Ref: candidateRef(ch.ID, cand.ID), New: cand.Commit}
		if err := g.UpdateRefs(ctx, []git.RefUpdate{ref}, "candidate"); err != nil {
			return candidate{}, err
		}
	}
	return cand, nil
}

func findCandidate(ctx context.Context, q db.Querier, change int64, ps int, base git.OID, how string) (candidate, bool, error) {
	all, err := queryCandidates(ctx, q, `change_id = $1 AND ps = $2 AND base_oid = $3 AND how = $4`, change, ps, string(base), how)
	if err != nil || len(all) == 0 {
		return candidate{}, false, err
	}
	return all[0], true, nil
}

func candidateByID(ctx context.Context, q db.Querier, id int64) (candidate, error) {
	all, err := queryCandidates(ctx, q, `id = $1`, id)
	if err != nil {
		return candidate{}, err
	}
	if len(all) == 0 {
		return candidate{}, fault.Newf(fault.NotFound, "gatekeeper.candidate", "there is no candidate %d", id)
	}
	return all[0], nil
}

func queryCandidates(ctx context.Context, q db.Querier, where string, args ...any) ([]candidate, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, change_id, ps, base_oid, how, commit_oid, tree_oid, conflict
		FROM candidates WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: candidates: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []candidate
	for rows.Next() {
		var cand candidate
		if err := rows.Scan(&cand.ID, &cand.Change, &cand.PS, &cand.Base, &cand.How, &cand.Commit, &cand.Tree, &cand.Conflict); err != nil {
			return nil, fmt.Errorf("gatekeeper: candidates: %w", err)
		}
		all = append(all, cand)
	}
	return all, rows.Err()
}

// makeCandidate merges the patch set onto base the way the plan says. What it cannot do
// comes back as words in conflict, for people.
//
// merge and fast-forward bring the patch set's own commit onto the branch, and with it all
// of its history, so they refuse a patch set whose history holds a commit that has not
// landed: it would land unreviewed. rebase and squash take only the patch set's difference.
func makeCandidate(ctx context.Context, g *git.Repo, ch review.Change, ps review.PatchSet, base git.OID, how string) (commit git.Commit, conflict string, err error) {
	own, err := g.Commit(ctx, ps.Commit)
	if err != nil {
		return git.Commit{}, "", err
	}
	if how == plan.Rebase || how == plan.FastForward {
		if len(own.Parents) == 1 && own.Parents[0] == base {
			return own, "", nil // already there: what was pushed is what lands
		}
	}
	switch how {
	case plan.FastForward:
		return git.Commit{}, fmt.Sprintf("%s has moved on and the plan lands by fast-forward only: rebase onto it and push again", ch.Branch), nil
	case plan.Rebase:
		if len(own.Parents) > 1 {
			return git.Commit{}, "a merge commit cannot be rebased: push single commits, or set land.how to merge or squash", nil
		}
		tree, paths, err := g.PickTree(ctx, base, own.OID)
		return finish(ctx, g, ps, own, own.Author, own.Message, []git.OID{base}, tree, paths, base, err)
	case plan.Squash:
		pick := mergeOnly
		if len(own.Parents) == 1 {
			pick = func(ctx context.Context, g *git.Repo, own git.Commit, base git.OID) (git.OID, []string, error) {
				return g.PickTree(ctx, base, own.OID)
			}
		}
		tree, paths, err := pick(ctx, g, own, base)
		return finish(ctx, g, ps, own, own.Author, own.Message, []git.OID{base}, tree, paths, base, err)
	case plan.Merge:
		tree, paths, err := mergeOnly(ctx, g, own, base)
		message := fmt.Sprintf("Merge change %d: %s\n\nLands patch set %d of change %d (%s).\n", ch.ID, ch.Subject, ps.Number, ch.ID, ch.Key)
		merger := git.Signature{Name: committerName, Email: committerEmail, When: own.Committer.When}
		return finish(ctx, g, ps, own, merger, message, []git.OID{base, own.OID}, tree, paths, base, err)
	default:
		panic("gatekeeper: unknown way to land: " + how)
	}
}

// unlanded is why a merge is refused: these commits would land with the patch set.
type unlandedError struct{ commits []git.Commit }

func (e *unlandedError) Error() string { return "history holds commits that have not landed" }

// mergeOnly merges own onto base if own is the only commit that the merge would bring.
func mergeOnly(ctx context.Context, g *git.Repo, own git.Commit, base git.OID) (git.OID, []string, error) {
	const enough = 50 // more than this need not be counted to say no
	brought, err := g.Commits(ctx, []git.OID{own.OID}, []git.OID{base}, enough)
	if err != nil && !fault.Is(err, fault.TooLarge) {
		return "", nil, err
	}
	if len(brought) > 1 || fault.Is(err, fault.TooLarge) {
		return "", nil, &unlandedError{brought}
	}
	return g.MergeTree(ctx, base, own.OID)
}

func finish(ctx context.Context, g *git.Repo, ps review.PatchSet, own git.Commit, author git.Signature, message string, parents []git.OID, tree git.OID, conflicts []string, base git.OID, err error) (git.Commit, string, error) {
	if unlanded, ok := err.(*unlandedError); ok { //nolint:errorlint // made two calls below, never wrapped
		return git.Commit{}, unlanded.words(), nil
	}
	if err != nil {
		return git.Commit{}, "", err
	}
	if len(conflicts) > 0 {
		return git.Commit{}, "conflicts in " + strings.Join(conflicts, ", "), nil
	}
	committer := git.Signature{Name: committerName, Email: committerEmail, When: ps.CreatedAt}
	if len(parents) > 1 {
		author.When = ps.CreatedAt
	}
	oid, err := g.WriteCommit(ctx, tree, parents, author, committer, message)
	if err != nil {
		return git.Commit{}, "", err
	}
	return git.Commit{OID: oid, Tree: tree, Parents: parents}, "", nil
}

func (e *unlandedError) words() string {
	if len(e.commits) == 0 {
		return "its history holds many commits that have not landed: rebase it onto the branch and push again"
	}
	first := e.commits[0]
	return fmt.Sprintf("its history holds commit %s (%s) that has not landed: rebase it onto the branch and push again", first.OID.Short(), first.Subject())
}
