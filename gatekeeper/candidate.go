package gatekeeper

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// candidate is the commit that would land: members, patch sets, on a base, made once. A
// candidate that could not be made says why in Conflict instead.
type candidate struct {
	ID      int64
	Repo    int64
	Branch  string
	Change  int64 // of the last member, which stands for the candidate where one change is named; 0 without members
	PS      int
	Members []queue.Member // none for a run of the bare branch
	On      []queue.Member // what it assumes to land before it
	Seq     int64          // how many changes had landed on the branch when it was made
	Base    git.OID        // "" when what it stands on conflicts
	Ground  string         // what was tried where there is no base
	How     string
	Commit  git.OID
	Tree    git.OID
	// Landed are the commits that the members land as, in their order.
	Landed   []git.OID
	Conflict string
	Plan     string // digest of the plan that its runs follow
	Check    bool   // it is the one by which its member is checked before it may queue
	Spare    bool   // it was tried as an alternate
	Void     bool   // it counts for nothing any more

	aim *string // the outcome for which the plan of a check was composed
}

// candidateRef keeps a candidate's objects; it is hidden from pushes and from fetches.
func candidateRef(id int64) string { return candidatePrefix + strconv.FormatInt(id, 10) }

// The roles of changes in a candidate.
const (
	roleMember = "member"
	roleOn     = "on"
)

// membersText writes patch sets as rows and events keep them: "12.1 14.2".
func membersText(members []queue.Member) string {
	var b strings.Builder
	for i, m := range members {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(m.Change, 10) + "." + strconv.Itoa(m.PS))
	}
	return b.String()
}

// parseMembers is the opposite of [membersText].
func parseMembers(text string) ([]queue.Member, error) {
	var members []queue.Member
	for field := range strings.FieldsSeq(text) {
		change, ps, _ := strings.Cut(field, ".")
		c, err1 := strconv.ParseInt(change, 10, 64)
		n, err2 := strconv.Atoi(ps)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("gatekeeper: %q is no list of patch sets", text)
		}
		members = append(members, queue.Member{Change: c, PS: n})
	}
	return members, nil
}

// insertCandidate writes a candidate and the changes in it; its id is set.
func insertCandidate(ctx context.Context, tx *db.Tx, k *candidate, now int64) error {
	var err error
	if k.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
		return err
	}
	if n := len(k.Members); n > 0 {
		k.Change, k.PS = k.Members[n-1].Change, k.Members[n-1].PS
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO candidates (id, repo_id, branch, change_id, ps, members, stands_on, seq, base_oid, ground, how,
			commit_oid, tree_oid, conflict, plan_digest, checks, spare, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		k.ID, k.Repo, k.Branch, k.Change, k.PS, membersText(k.Members), membersText(k.On), k.Seq, string(k.Base), k.Ground, k.How,
		string(k.Commit), string(k.Tree), k.Conflict, k.Plan, db.Bool(k.Check), db.Bool(k.Spare), now)
	if err != nil {
		return fmt.Errorf("gatekeeper: keep candidate of %s: %w", membersText(k.Members), err)
	}
	for i, m := range k.Members {
		landed := git.OID("")
		if i < len(k.Landed) {
			landed = k.Landed[i]
		}
		if err := insertCandidateChange(ctx, tx, k.ID, roleMember, i, m, landed); err != nil {
			return err
		}
	}
	return insertOn(ctx, tx, k)
}

func insertOn(ctx context.Context, tx *db.Tx, k *candidate) error {
	for i, m := range k.On {
		if err := insertCandidateChange(ctx, tx, k.ID, roleOn, i, m, ""); err != nil {
			return err
		}
	}
	return nil
}

func insertCandidateChange(ctx context.Context, tx *db.Tx, id int64, role string, position int, m queue.Member, landed git.OID) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO candidate_changes (candidate_id, role, position, change_id, ps, commit_oid)
		VALUES ($1, $2, $3, $4, $5, $6)`, id, role, position, m.Change, m.PS, string(landed))
	if err != nil {
		return fmt.Errorf("gatekeeper: changes of candidate %d: %w", id, err)
	}
	return nil
}

// adopt makes a candidate that was made before count as one that was made now, for what want
// says: its base is what that comes to. A check does not take it from the queue.
func adopt(ctx context.Context, tx *db.Tx, k *candidate, want candidate) error {
	k.Check = k.Check || want.Check
	if !want.Check || k.Void {
		k.On, k.Seq, k.Spare, k.Void = want.On, want.Seq, want.Spare, false
	}
	_, err := tx.ExecContext(ctx, `UPDATE candidates SET stands_on = $1, seq = $2, plan_digest = $3, commit_oid = $4, tree_oid = $5, conflict = $6,
		checks = $7, spare = $8, void = $9 WHERE id = $10`, membersText(k.On), k.Seq, k.Plan, string(k.Commit), string(k.Tree), k.Conflict,
		db.Bool(k.Check), db.Bool(k.Spare), db.Bool(k.Void), k.ID)
	if err != nil {
		return fmt.Errorf("gatekeeper: adopt candidate %d: %w", k.ID, err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM candidate_changes WHERE candidate_id = $1 AND role = $2`, k.ID, roleOn); err != nil {
		return fmt.Errorf("gatekeeper: adopt candidate %d: %w", k.ID, err)
	}
	return insertOn(ctx, tx, k)
}

// voidCandidates makes candidates count for nothing.
func voidCandidates(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	if _, err := tx.ExecContext(ctx, `UPDATE candidates SET void = 1 WHERE void = 0 AND `+where, args...); err != nil {
		return fmt.Errorf("gatekeeper: void candidates: %w", err)
	}
	return nil
}

func candidateByID(ctx context.Context, q db.Querier, id int64) (*candidate, error) {
	all, err := queryCandidates(ctx, q, `k.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fault.Newf(fault.NotFound, "gatekeeper.candidate", "there is no candidate %d", id)
	}
	return all[0], nil
}

const candidateColumns = `k.id, k.repo_id, k.branch, k.change_id, k.ps, k.members, k.stands_on, k.seq, k.base_oid, k.ground, k.how, k.commit_oid,
	k.tree_oid, k.conflict, k.plan_digest, k.checks, k.void`

// queryCandidates lists candidates, oldest first, without the commits that members land as.
func queryCandidates(ctx context.Context, q db.Querier, where string, args ...any) ([]*candidate, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+candidateColumns+` FROM candidates k WHERE `+where+` ORDER BY k.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: candidates: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []*candidate
	for rows.Next() {
		k := &candidate{}
		var members, on string
		var checks, void int64
		if err := rows.Scan(&k.ID, &k.Repo, &k.Branch, &k.Change, &k.PS, &members, &on, &k.Seq, &k.Base, &k.Ground, &k.How, &k.Commit, &k.Tree,
			&k.Conflict, &k.Plan, &checks, &void); err != nil {
			return nil, fmt.Errorf("gatekeeper: candidates: %w", err)
		}
		if k.Members, err = parseMembers(members); err != nil {
			return nil, err
		}
		if k.On, err = parseMembers(on); err != nil {
			return nil, err
		}
		k.Check, k.Void = checks != 0, void != 0
		all = append(all, k)
	}
	return all, rows.Err()
}

// fillLanded reads the commits that the candidate's members land as.
func fillLanded(ctx context.Context, q db.Querier, k *candidate) error {
	rows, err := q.QueryContext(ctx, `SELECT commit_oid FROM candidate_changes WHERE candidate_id = $1 AND role = $2 ORDER BY position`, k.ID, roleMember)
	if err != nil {
		return fmt.Errorf("gatekeeper: members of candidate %d: %w", k.ID, err)
	}
	defer func() { _ = rows.Close() }()
	k.Landed = nil
	for rows.Next() {
		var oid git.OID
		if err := rows.Scan(&oid); err != nil {
			return fmt.Errorf("gatekeeper: members of candidate %d: %w", k.ID, err)
		}
		k.Landed = append(k.Landed, oid)
	}
	return rows.Err()
}

// conflictOn is why a patch set by itself does not merge onto a base, "" when it does or
// nobody has tried.
func conflictOn(ctx context.Context, q db.Querier, repoID int64, m queue.Member, base git.OID, how string) (string, error) {
	var conflict string
	err := q.QueryRowContext(ctx, `SELECT conflict FROM candidates WHERE repo_id = $1 AND members = $2 AND base_oid = $3 AND how = $4 AND void = 0
		ORDER BY id LIMIT 1`, repoID, membersText([]queue.Member{m}), string(base), how).Scan(&conflict)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("gatekeeper: conflict of change %d: %w", m.Change, err)
	}
	return conflict, nil
}
