package entrance

import (
	"context"
	"database/sql"
	"fmt"

	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// Sent is what a forge was last told under each name about a commit.
func (s *Service) Sent(ctx context.Context, e Entrance, commit git.OID) (map[string]string, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT name, sent FROM entrance_statuses WHERE entrance_id = $1 AND commit_oid = $2`, e.ID, string(commit))
	if err != nil {
		return nil, fmt.Errorf("entrance: statuses: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]string{}
	for rows.Next() {
		var name, sent string
		if err := rows.Scan(&name, &sent); err != nil {
			return nil, fmt.Errorf("entrance: statuses: %w", err)
		}
		all[name] = sent
	}
	return all, rows.Err()
}

// NoteSent writes down what a forge was told.
func (s *Service) NoteSent(ctx context.Context, e Entrance, commit git.OID, name, sent string) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO entrance_statuses (entrance_id, commit_oid, name, sent, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (entrance_id, commit_oid, name) DO UPDATE SET sent = excluded.sent, at = excluded.at`, e.ID, string(commit), name, sent, db.Micros(s.Now()))
		if err != nil {
			return fmt.Errorf("entrance: note a status: %w", err)
		}
		return nil
	})
}

// NoteReason writes down why an entrance does not do all that it should, "" when it does.
func (s *Service) NoteReason(ctx context.Context, e Entrance, reason string) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE entrances SET reason = $1 WHERE id = $2 AND reason <> $1`, word(reason, maxReason), e.ID)
		if err != nil {
			return fmt.Errorf("entrance: note a reason: %w", err)
		}
		return nil
	})
}

// News is something that a forge may have to be told about: a change that came from there, or
// a run of a commit that landed there.
type News struct {
	Change int64
	Run    int64
	Stamp  string // another one when something happened since
}

// settledMicros is when an event's number can have no older one still to come: far beyond the
// longest transaction.
const settledMicros = 5 * 60 * 1_000_000

// News lists what happened to changes that came from elsewhere, and to runs of what landed
// there, since the cursor.
func (s *Service) News(ctx context.Context) ([]News, error) {
	var all []News
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT e.change_id, COUNT(*), MAX(e.id) FROM events e JOIN change_origins o ON o.change_id = e.change_id
		WHERE e.id > (SELECT floor FROM entrance_cursor WHERE id = 1) AND e.kind <> 'change.viewed' GROUP BY e.change_id ORDER BY e.change_id`)
	if err != nil {
		return nil, fmt.Errorf("entrance: news: %w", err)
	}
	all, err = scanNews(rows, all, func(n *News) *int64 { return &n.Change })
	if err != nil {
		return nil, err
	}
	rows, err = s.DB.Read().QueryContext(ctx, `SELECT x.run_id, COALESCE(v.change_id, 0), r.finished_at FROM entrance_runs x JOIN runs r ON r.id = x.run_id
		LEFT JOIN entrance_reverts v ON v.run_id = x.run_id
		WHERE r.finished_at = 0 OR r.finished_at > $1 ORDER BY x.run_id`, db.Micros(s.Now())-settledMicros)
	if err != nil {
		return nil, fmt.Errorf("entrance: news: %w", err)
	}
	return scanNews(rows, all, func(n *News) *int64 { return &n.Run })
}

// Advance moves the cursor up to what nothing can come before any more. Until then what was
// reported is reported again, which changes nothing.
func (s *Service) Advance(ctx context.Context) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE entrance_cursor SET floor = COALESCE((SELECT MAX(id) FROM events WHERE at < $1 AND id > floor), floor) WHERE id = 1`,
			db.Micros(s.Now())-settledMicros)
		if err != nil {
			return fmt.Errorf("entrance: cursor: %w", err)
		}
		return nil
	})
}

func scanNews(rows *sql.Rows, all []News, id func(*News) *int64) ([]News, error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var n News
		var count, last int64
		if err := rows.Scan(id(&n), &count, &last); err != nil {
			return nil, fmt.Errorf("entrance: news: %w", err)
		}
		n.Stamp = fmt.Sprint(count, " ", last)
		all = append(all, n)
	}
	return all, rows.Err()
}

// RunOf finds which entrance a run of a commit that landed elsewhere is for.
func (s *Service) RunOf(ctx context.Context, run int64) (entrance int64, commit git.OID, err error) {
	err = s.DB.Read().QueryRowContext(ctx, `SELECT entrance_id, commit_oid FROM entrance_runs WHERE run_id = $1`, run).Scan(&entrance, &commit)
	if err == sql.ErrNoRows { //nolint:errorlint // never wrapped by Scan
		return 0, "", nil
	}
	return entrance, commit, err
}
