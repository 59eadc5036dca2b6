package event

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/migrations/db"
)

const columns = `id, at, kind, repo_id, change_id, account_id, data`

// Story is a part of what happened in one repository.
type Story struct {
	Repo  int64
	Kinds []string // which kinds of event; none is all
	After int64    // those with a larger id
	Limit int      // at most so many, the oldest; 0 is all
}

// Of lists the events of a story, oldest first.
func Of(ctx context.Context, q db.Querier, s Story) ([]Event, error) {
	query, args := s.where(`SELECT ` + columns)
	query += ` ORDER BY id`
	if s.Limit > 0 {
		args = append(args, s.Limit)
		query += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("event: story: %w", err)
	}
	return scan(rows)
}

// where begins a statement that selects the story's events.
func (s Story) where(what string) (query string, args []any) {
	query, args = what+` FROM events WHERE repo_id = $1 AND id > $2`, []any{s.Repo, s.After}
	if len(s.Kinds) == 0 {
		return query, args
	}
	marks := make([]string, 0, len(s.Kinds))
	for _, kind := range s.Kinds {
		args = append(args, kind)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	return query + ` AND kind IN (` + strings.Join(marks, ", ") + `)`, args
}

// Last lists the newest events of one kind in a repository that happened no later than until,
// newest first, at most limit.
func Last(ctx context.Context, q db.Querier, repo int64, kind string, until time.Time, limit int) ([]Event, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM events
		WHERE repo_id = $1 AND kind = $2 AND at <= $3 ORDER BY at DESC, id DESC LIMIT $4`, repo, kind, db.Micros(until), limit)
	if err != nil {
		return nil, fmt.Errorf("event: last %s: %w", kind, err)
	}
	return scan(rows)
}

// TimeOf is when an event of the repository happened; the zero time when there is none with the id.
func TimeOf(ctx context.Context, q db.Querier, repo, id int64) (time.Time, error) {
	var at int64
	err := q.QueryRowContext(ctx, `SELECT at FROM events WHERE id = $1 AND repo_id = $2`, id, repo).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("event: time of %d: %w", id, err)
	}
	return db.Time(at), nil
}

// scan reads all rows and closes them.
func scan(rows *sql.Rows) ([]Event, error) {
	defer func() { _ = rows.Close() }()
	var all []Event
	for rows.Next() {
		var e Event
		var at int64
		var data string
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Repo, &e.Change, &e.Account, &data); err != nil {
			return nil, fmt.Errorf("event: list: %w", err)
		}
		e.At = db.Time(at)
		if err := json.Unmarshal([]byte(data), &e.Data); err != nil {
			return nil, fmt.Errorf("event: decode %d: %w", e.ID, err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}
