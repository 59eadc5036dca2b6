package deliver

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

// Promotion is an artifact on its way into an environment, or one that was.
type Promotion struct {
	ID          int64          `json:"id"`
	Environment string         `json:"environment"`
	Run         int64          `json:"run"`
	Stage       string         `json:"stage"`
	Seq         int64          `json:"seq"` // orders what landed on the branch
	Kind        promote.Kind   `json:"kind"`
	Artifact    string         `json:"artifact"`
	Digest      string         `json:"digest"`
	Commit      git.OID        `json:"commit"`
	Change      int64          `json:"change,omitempty"`
	State       promote.Status `json:"state"`
	Why         string         `json:"why,omitempty"`
	Until       time.Time      `json:"until,omitzero"`
	RequestedBy int64          `json:"-"`
	By          string         `json:"requested_by,omitempty"`
	Reason      string         `json:"reason,omitempty"`  // of who asked for it
	Because     int64          `json:"because,omitempty"` // the promotion that a rollback answers
	Attempts    int            `json:"attempts"`
	StageRun    int64          `json:"stage_run,omitempty"` // the newest attempt
	CreatedAt   time.Time      `json:"created_at"`
	StartedAt   time.Time      `json:"started_at,omitzero"`
	DeployedAt  time.Time      `json:"deployed_at,omitzero"`
	EndedAt     time.Time      `json:"ended_at,omitzero"`
	Errored     bool           `json:"errored,omitempty"` // the machinery's fault, when it failed

	place   Place
	endedNo int64
}

const promotionColumns = `p.id, p.repo_id, p.branch, p.environment, p.run_id, p.stage, p.seq, p.kind, p.artifact, p.digest, p.commit_oid, p.change_id,
	p.state, p.why, p.until_at, p.requested_by, COALESCE(a.name, ''), p.reason, p.because, p.attempts, p.stage_run_id,
	p.created_at, p.started_at, p.deployed_at, p.ended_at, p.errored, p.ended_no`

// queryPromotions lists promotions, oldest first.
func queryPromotions(ctx context.Context, q db.Querier, where string, args ...any) ([]Promotion, error) {
	var all []Promotion
	err := each(ctx, q, `SELECT `+promotionColumns+` FROM promotions p LEFT JOIN accounts a ON a.id = p.requested_by WHERE `+where+` ORDER BY p.id`, args, func(rows *sql.Rows) error {
		var p Promotion
		var until, created, started, deployed, ended, errored int64
		err := rows.Scan(&p.ID, &p.place.Repo, &p.place.Branch, &p.Environment, &p.Run, &p.Stage, &p.Seq, &p.Kind, &p.Artifact, &p.Digest, &p.Commit, &p.Change,
			&p.State, &p.Why, &until, &p.RequestedBy, &p.By, &p.Reason, &p.Because, &p.Attempts, &p.StageRun,
			&created, &started, &deployed, &ended, &errored, &p.endedNo)
		p.Until, p.CreatedAt, p.StartedAt, p.DeployedAt, p.EndedAt = db.Time(until), db.Time(created), db.Time(started), db.Time(deployed), db.Time(ended)
		p.Errored = errored != 0
		all = append(all, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deliver: promotions: %w", err)
	}
	return all, nil
}

func promotionByID(ctx context.Context, q db.Querier, id int64) (Promotion, error) {
	all, err := queryPromotions(ctx, q, `p.id = $1`, id)
	if err != nil {
		return Promotion{}, err
	}
	if len(all) == 0 {
		return Promotion{}, fault.Newf(fault.NotFound, "deliver.promotion", "there is no promotion %d", id)
	}
	return all[0], nil
}

// insertPromotion writes a promotion that waits; its id is set.
func (s *Service) insertPromotion(ctx context.Context, tx *db.Tx, p *Promotion) error {
	var err error
	if p.ID, err = tx.NextID(ctx, db.RowIDs); err != nil {
		return err
	}
	p.State, p.CreatedAt = promote.Requested, s.Now()
	_, err = tx.ExecContext(ctx, `INSERT INTO promotions (id, repo_id, branch, environment, run_id, stage, seq, kind, artifact, digest, commit_oid, change_id,
			state, requested_by, reason, because, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		p.ID, p.place.Repo, p.place.Branch, p.Environment, p.Run, p.Stage, p.Seq, string(p.Kind), p.Artifact, p.Digest, string(p.Commit), p.Change,
		string(p.State), p.RequestedBy, p.Reason, p.Because, db.Micros(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("deliver: request a promotion into %s: %w", p.Environment, err)
	}
	return s.tell(ctx, tx, p.place, p.Change, p.RequestedBy, "promotion.requested", p.data())
}

// data is what events say about a promotion.
func (p *Promotion) data() map[string]string {
	data := map[string]string{
		"environment": p.Environment, "promotion": fmt.Sprint(p.ID), "run": fmt.Sprint(p.Run), "artifact": p.Artifact, "digest": p.Digest,
		"commit": string(p.Commit), "kind": string(p.Kind),
	}
	if p.Reason != "" {
		data["reason"] = p.Reason
	}
	return data
}

// Request asks for a promotion of what a run made, unless there is one of it already, over or
// not: what was superseded or refused does not come back by itself.
func (s *Service) Request(ctx context.Context, tx *db.Tx, at Place, p Promotion) error {
	p.place = at
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM promotions WHERE run_id = $1 AND stage = $2`, p.Run, p.Stage).Scan(&n)
	if err != nil {
		return fmt.Errorf("deliver: promotions of run %d: %w", p.Run, err)
	}
	if n > 0 {
		return nil
	}
	if p.Kind == "" {
		p.Kind = promote.Forward
	}
	return s.insertPromotion(ctx, tx, &p)
}

// Deployed notes that the assembly of a promotion's newest attempt serves, and is verified next.
func (s *Service) deployed(ctx context.Context, stageRun int64) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE promotions SET deployed_at = $1 WHERE stage_run_id = $2 AND state = $3`,
			db.Micros(s.Now()), stageRun, string(promote.Deploying))
		if err != nil {
			return fmt.Errorf("deliver: deployed by stage run %d: %w", stageRun, err)
		}
		return nil
	})
}

// each calls scan for every row.
func each(ctx context.Context, q db.Querier, query string, args []any, scan func(rows *sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
