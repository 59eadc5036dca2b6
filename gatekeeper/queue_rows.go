package gatekeeper

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// queueEntry is a row of the queue.
type queueEntry struct {
	branchKey
	Change     int64
	PS         int
	EnqueuedAt time.Time
	Targets    []string
	Barrier    bool
	Size       int64
	Takes      time.Duration
	Depends    []int64 // the changes that its message names
	Subject    string
	Owner      string
	Topic      string
}

const entryColumns = `e.repo_id, e.branch, e.change_id, e.ps, e.enqueued_at, e.targets, e.barrier, e.size, e.takes, e.depends, c.subject, c.topic, a.name
	FROM queue_entries e JOIN changes c ON c.id = e.change_id JOIN accounts a ON a.id = c.owner_id`

func scanEntry(row interface{ Scan(dest ...any) error }) (queueEntry, error) {
	var e queueEntry
	var at, barrier, takes int64
	var targets, depends string
	if err := row.Scan(&e.repo, &e.branch, &e.Change, &e.PS, &at, &targets, &barrier, &e.Size, &takes, &depends, &e.Subject, &e.Topic, &e.Owner); err != nil {
		return e, err
	}
	e.EnqueuedAt, e.Targets, e.Barrier, e.Takes = db.Time(at), splitTargets(targets), barrier != 0, time.Duration(takes)*time.Microsecond
	for field := range strings.FieldsSeq(depends) {
		id, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return e, err
		}
		e.Depends = append(e.Depends, id)
	}
	return e, nil
}

// queryEntries lists a branch's queue, who came first first.
func queryEntries(ctx context.Context, q db.Querier, repoID int64, branch string) ([]queueEntry, error) {
	return entriesOf(ctx, q, []branchKey{{repoID, branch}})
}

func entriesOf(ctx context.Context, q db.Querier, branches []branchKey) ([]queueEntry, error) {
	where, args := onBranches("e", branches)
	var all []queueEntry
	err := each(ctx, q, `SELECT `+entryColumns+` WHERE `+where+` ORDER BY e.enqueued_at, e.change_id`, args, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		all = append(all, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: queue: %w", err)
	}
	return all, nil
}

func entryOf(ctx context.Context, q db.Querier, change int64) (*queueEntry, error) {
	e, err := scanEntry(q.QueryRowContext(ctx, `SELECT `+entryColumns+` WHERE e.change_id = $1`, change))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: queue entry of change %d: %w", change, err)
	}
	return &e, nil
}

func dequeue(ctx context.Context, tx *db.Tx, change int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM queue_entries WHERE change_id = $1`, change); err != nil {
		return fmt.Errorf("gatekeeper: dequeue change %d: %w", change, err)
	}
	return nil
}

// ejection is why the queue put a patch set out.
type ejection struct {
	PS        int
	Reason    queue.EjectReason
	Words     string
	Candidate int64
	Run       int64
	At        time.Time
}

// ejectionOf is the ejection of a patch set, nil when there is none.
func ejectionOf(ctx context.Context, q db.Querier, change int64, ps int) (*ejection, error) {
	e := ejection{PS: ps}
	var at int64
	err := q.QueryRowContext(ctx, `SELECT reason, words, candidate_id, run_id, at FROM ejections WHERE change_id = $1 AND ps = $2`, change, ps).
		Scan(&e.Reason, &e.Words, &e.Candidate, &e.Run, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: ejection of change %d: %w", change, err)
	}
	e.At = db.Time(at)
	return &e, nil
}

// each runs a query and hands every row to scan.
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

// onBranches selects rows of some branches.
func onBranches(alias string, branches []branchKey, before ...any) (where string, args []any) {
	args = before
	parts := make([]string, 0, len(branches))
	for _, k := range branches {
		args = append(args, k.repo, k.branch)
		parts = append(parts, fmt.Sprintf("%[1]s.repo_id = $%[2]d AND %[1]s.branch = $%[3]d", alias, len(args)-1, len(args)))
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// among is "$first, $first+1, …" for the ids, which it appends to args.
func among(args []any, ids []int64) (marks string, all []any) {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		args = append(args, id)
		parts = append(parts, "$"+strconv.Itoa(len(args)))
	}
	return strings.Join(parts, ", "), args
}
