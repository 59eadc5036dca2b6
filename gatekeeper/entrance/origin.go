package entrance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Origin is where a change came from.
type Origin struct {
	Change   int64
	Entrance int64
	Forge    Forge
	Project  string
	Number   int64   // of the proposal there
	URL      string  // of its page, "" when nobody said
	Author   string  // whose proposal it is there
	Head     git.OID // its newest commit when it was last fetched
	Outcome  string  // how far its run is meant to go, "" for as far as usual
	By       string  // who there said so
	At       time.Time
}

const originColumns = `o.change_id, o.entrance_id, e.forge, e.project, o.number, o.url, o.author, o.head_oid, o.outcome, o.outcome_by, o.at
	FROM change_origins o JOIN entrances e ON e.id = o.entrance_id`

func scanOrigin(row interface{ Scan(...any) error }) (Origin, error) {
	var o Origin
	var at int64
	err := row.Scan(&o.Change, &o.Entrance, &o.Forge, &o.Project, &o.Number, &o.URL, &o.Author, &o.Head, &o.Outcome, &o.By, &at)
	o.At = db.Time(at)
	return o, err
}

// OriginOf is where a change came from, if it came through an entrance that still is.
func (s *Service) OriginOf(ctx context.Context, q db.Querier, change int64) (Origin, bool, error) {
	o, err := scanOrigin(q.QueryRowContext(ctx, `SELECT `+originColumns+` WHERE o.change_id = $1`, change))
	if errors.Is(err, sql.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("entrance: origin of change %d: %w", change, err)
	}
	return o, true, nil
}

// cameAs lists what a proposal came in as, oldest change first.
func (s *Service) cameAs(ctx context.Context, e Entrance, number int64) ([]Origin, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT `+originColumns+` WHERE o.entrance_id = $1 AND o.number = $2 ORDER BY o.change_id`, e.ID, number)
	if err != nil {
		return nil, fmt.Errorf("entrance: origins: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Origin
	for rows.Next() {
		o, err := scanOrigin(rows)
		if err != nil {
			return nil, fmt.Errorf("entrance: origins: %w", err)
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// holding is which changes hold a proposal: its newest commit, and the open ones beside it with
// their commits, "" for one that is for another branch.
type holding struct {
	tip    int64
	others map[int64]git.OID
}

func (s *Service) holds(ctx context.Context, e Entrance, r repo.Repository, number int64, branch string, head git.OID) (holding, error) {
	h := holding{others: map[int64]git.OID{}}
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT c.id, c.branch, c.status, p.commit_oid FROM changes c
		JOIN patch_sets p ON p.change_id = c.id AND p.number = c.current_ps
		WHERE c.repo_id = $1 AND (c.change_key LIKE $2 OR p.commit_oid = $3 AND c.branch = $4)`,
		r.ID, review.OriginPrefix(e.origin(number))+"%", string(head), branch)
	if err != nil {
		return h, fmt.Errorf("entrance: what is held of %d: %w", number, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var on string
		var status review.Status
		var commit git.OID
		if err := rows.Scan(&id, &on, &status, &commit); err != nil {
			return h, fmt.Errorf("entrance: what is held of %d: %w", number, err)
		}
		switch {
		case on == branch && commit == head:
			h.tip = id
		case status == review.Open && on != branch:
			h.others[id] = ""
		case status == review.Open:
			h.others[id] = commit
		}
	}
	return h, rows.Err()
}

// writeOrigins notes where changes came from, and that they did.
func (s *Service) writeOrigins(ctx context.Context, e Entrance, n Notice, head git.OID, changes []int64) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, id := range changes {
			fresh, err := db.Touched(tx.ExecContext(ctx, `INSERT INTO change_origins (change_id, entrance_id, number, url, author, head_oid, at)
				VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`, id, e.ID, n.Number, n.URL, n.Author, string(head), db.Micros(s.Now())))
			if err != nil {
				return fmt.Errorf("entrance: origin of change %d: %w", id, err)
			}
			if !fresh {
				_, err := tx.ExecContext(ctx, `UPDATE change_origins SET head_oid = $1, url = CASE WHEN $2 = '' THEN url ELSE $2 END,
					author = CASE WHEN $3 = '' THEN author ELSE $3 END WHERE change_id = $4 AND entrance_id = $5`, string(head), n.URL, n.Author, id, e.ID)
				if err != nil {
					return fmt.Errorf("entrance: origin of change %d: %w", id, err)
				}
			}
			if _, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: "change.fetched", Repo: e.Repo, Change: id, Account: e.Account,
				Data: map[string]string{"forge": string(e.Forge), "number": fmt.Sprint(n.Number), "head": string(head)}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range changes {
		s.Bus.Wake(event.ChangeTopic(id))
	}
	return nil
}

// numberOf is the newest proposal whose head a commit is, 0 when there is none.
func (s *Service) numberOf(ctx context.Context, e Entrance, head git.OID) (int64, error) {
	var number int64
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COALESCE(MAX(number), 0) FROM change_origins WHERE entrance_id = $1 AND head_oid = $2`, e.ID, string(head)).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("entrance: whose head is %s: %w", head, err)
	}
	return number, nil
}
