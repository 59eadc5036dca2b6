package account

import (
	"context"
	"fmt"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Group is a named list of accounts. Its name is never an account's as well, so that a plan
// can name either without saying which.
type Group struct {
	ID      int64
	Name    string
	Members []int64
}

// CreateGroup adds an empty group.
func (s *Store) CreateGroup(ctx context.Context, tx *db.Tx, name string) (Group, error) {
	const op = "account.CreateGroup"
	if err := checkName(op, name); err != nil {
		return Group{}, err
	}
	if err := free(ctx, tx, op, name, ""); err != nil {
		return Group{}, err
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return Group{}, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO account_groups (id, name) VALUES ($1, $2)`, id, name); err != nil {
		return Group{}, fmt.Errorf("account: create group %s: %w", name, err)
	}
	return Group{ID: id, Name: name}, nil
}

// AddMember puts an account into a group; being in it already is no error.
func (s *Store) AddMember(ctx context.Context, tx *db.Tx, group, account int64) error {
	var groups int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM account_groups WHERE id = $1`, group).Scan(&groups); err != nil {
		return fmt.Errorf("account: add member: %w", err)
	}
	if groups == 0 {
		return fault.New(fault.NotFound, "account.AddMember", "there is no such group", "")
	}
	if _, err := s.ByID(ctx, tx, account); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO group_members (group_id, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, group, account)
	if err != nil {
		return fmt.Errorf("account: add member: %w", err)
	}
	return nil
}

// RemoveMember takes an account out of a group; NotFound when it is not in it.
func (s *Store) RemoveMember(ctx context.Context, tx *db.Tx, group, account int64) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM group_members WHERE group_id = $1 AND account_id = $2`, group, account)
	if err != nil {
		return fmt.Errorf("account: remove member: %w", err)
	}
	return changedOne(res, "account.RemoveMember", "there is no such member")
}

// Groups lists all groups with their members, by name.
func (s *Store) Groups(ctx context.Context, q db.Querier) ([]Group, error) {
	rows, err := q.QueryContext(ctx, `SELECT g.id, g.name, COALESCE(m.account_id, 0) FROM account_groups g
		LEFT JOIN group_members m ON m.group_id = g.id ORDER BY g.name, m.account_id`)
	if err != nil {
		return nil, fmt.Errorf("account: groups: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Group
	for rows.Next() {
		var g Group
		var member int64
		if err := rows.Scan(&g.ID, &g.Name, &member); err != nil {
			return nil, fmt.Errorf("account: groups: %w", err)
		}
		if len(all) == 0 || all[len(all)-1].ID != g.ID {
			all = append(all, g)
		}
		if member != 0 {
			last := &all[len(all)-1]
			last.Members = append(last.Members, member)
		}
	}
	return all, rows.Err()
}

func groupsOf(ctx context.Context, q db.Querier, account int64) ([]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT group_id FROM group_members WHERE account_id = $1 ORDER BY group_id`, account)
	if err != nil {
		return nil, fmt.Errorf("account: groups of %d: %w", account, err)
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("account: groups of %d: %w", account, err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
