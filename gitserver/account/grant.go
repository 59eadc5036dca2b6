package account

import (
	"context"
	"fmt"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// SubjectKind says whether a grant is for an account or for a group.
type SubjectKind string

// The kinds of subject.
const (
	ToAccount SubjectKind = "account"
	ToGroup   SubjectKind = "group"
)

// Subject is who a grant is for.
type Subject struct {
	Kind SubjectKind
	ID   int64
}

// Grant is a role that somebody has on a repository, or on those of its branches that the
// pattern means.
type Grant struct {
	ID      int64
	Repo    int64
	Subject Subject
	Name    string // of the subject
	Branch  string // a pattern; "" is the whole repository
	Role    Role
}

// Rule takes a verb on the branches that Pattern means away from everybody below Role.
type Rule struct {
	ID      int64
	Repo    int64
	Pattern string
	Verb    Verb
	Role    Role
}

// Grant gives subject a role on a repository, or on branches only, in place of the one that
// it had there. Owning is of a whole repository.
func (s *Store) Grant(ctx context.Context, tx *db.Tx, repo int64, subject Subject, branch string, role Role) error {
	const op = "account.Grant"
	if role == RoleNone || role.rank() < 0 {
		return fault.New(fault.Invalid, op, fmt.Sprintf("the role %q cannot be granted", clip(string(role))), "use read, write, maintain or own, or revoke the grant")
	}
	if branch != "" {
		if err := CheckPattern(branch); err != nil {
			return err
		}
		if role == RoleOwn {
			return fault.New(fault.Invalid, op, "nobody can own single branches", "grant maintain on the branch, or own on the repository")
		}
	}
	table := map[SubjectKind]string{ToAccount: "accounts", ToGroup: "account_groups"}[subject.Kind]
	if table == "" {
		return fault.Newf(fault.Invalid, op, "a grant is for an account or a group, not for %q", clip(string(subject.Kind)))
	}
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table+` WHERE id = $1`, subject.ID).Scan(&count); err != nil {
		return fmt.Errorf("account: grant: %w", err)
	}
	if count == 0 {
		return fault.Newf(fault.NotFound, op, "there is no such %s", subject.Kind)
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO grants (id, repo_id, subject_kind, subject_id, branch, role) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repo_id, subject_kind, subject_id, branch) DO UPDATE SET role = excluded.role`,
		id, repo, string(subject.Kind), subject.ID, branch, string(role))
	if err != nil {
		return fmt.Errorf("account: grant: %w", err)
	}
	return nil
}

// Revoke takes a grant back; NotFound when there is none.
func (s *Store) Revoke(ctx context.Context, tx *db.Tx, repo int64, subject Subject, branch string) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM grants WHERE repo_id = $1 AND subject_kind = $2 AND subject_id = $3 AND branch = $4`,
		repo, string(subject.Kind), subject.ID, branch)
	if err != nil {
		return fmt.Errorf("account: revoke: %w", err)
	}
	return changedOne(res, "account.Revoke", "there is no such grant")
}

// Grants lists the grants on a repository with the names of their subjects.
func (s *Store) Grants(ctx context.Context, q db.Querier, repo int64) ([]Grant, error) {
	rows, err := q.QueryContext(ctx, `SELECT g.id, g.repo_id, g.subject_kind, g.subject_id, COALESCE(a.name, p.name, ''), g.branch, g.role
		FROM grants g
		LEFT JOIN accounts a ON g.subject_kind = 'account' AND a.id = g.subject_id
		LEFT JOIN account_groups p ON g.subject_kind = 'group' AND p.id = g.subject_id
		WHERE g.repo_id = $1 ORDER BY g.id`, repo)
	if err != nil {
		return nil, fmt.Errorf("account: grants: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Grant
	for rows.Next() {
		var g Grant
		if err := rows.Scan(&g.ID, &g.Repo, &g.Subject.Kind, &g.Subject.ID, &g.Name, &g.Branch, &g.Role); err != nil {
			return nil, fmt.Errorf("account: grants: %w", err)
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// AddRule takes verb on the branches that pattern means away from everybody below role, in
// place of the rule that was there for the two. Reading cannot be narrowed to branches: git
// gives a whole repository or nothing.
func (s *Store) AddRule(ctx context.Context, tx *db.Tx, repo int64, pattern string, verb Verb, role Role) error {
	const op = "account.AddRule"
	if err := CheckPattern(pattern); err != nil {
		return err
	}
	if !verb.ruled() {
		return fault.New(fault.Invalid, op, fmt.Sprintf("no branch rule can be made for %q", clip(string(verb))),
			"use propose, comment, vote, submit, hold, promote, freeze, edit, push, delete or tag")
	}
	if role == RoleNone || role.rank() < 0 {
		return fault.New(fault.Invalid, op, fmt.Sprintf("a rule cannot be for the role %q", clip(string(role))), "use read, write, maintain or own")
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO branch_rules (id, repo_id, pattern, verb, role) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (repo_id, pattern, verb) DO UPDATE SET role = excluded.role`, id, repo, pattern, string(verb), string(role))
	if err != nil {
		return fmt.Errorf("account: add rule: %w", err)
	}
	return nil
}

// RemoveRule removes a rule of a repository; NotFound when it is none of its rules.
func (s *Store) RemoveRule(ctx context.Context, tx *db.Tx, repo, rule int64) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM branch_rules WHERE id = $1 AND repo_id = $2`, rule, repo)
	if err != nil {
		return fmt.Errorf("account: remove rule: %w", err)
	}
	return changedOne(res, "account.RemoveRule", "there is no such rule")
}

// Rules lists the branch rules of a repository.
func (s *Store) Rules(ctx context.Context, q db.Querier, repo int64) ([]Rule, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, repo_id, pattern, verb, role FROM branch_rules WHERE repo_id = $1 ORDER BY id`, repo)
	if err != nil {
		return nil, fmt.Errorf("account: rules: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Rule
	for rows.Next() {
		var r Rule
		if err := rows.Scan(&r.ID, &r.Repo, &r.Pattern, &r.Verb, &r.Role); err != nil {
			return nil, fmt.Errorf("account: rules: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
