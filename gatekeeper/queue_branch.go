package gatekeeper

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// queueBranch is what the queue knows of a branch.
type queueBranch struct {
	Queue string  // the name of the queue that it shares, "" for its own
	Seq   int64   // how many changes have landed on it
	Tip   git.OID // where it pointed when it was last looked at
	Lanes string  // digest of the plan that told the lanes of its entries
}

func readQueueBranch(ctx context.Context, q db.Querier, k branchKey) (b queueBranch, found bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT queue, seq, tip_oid, lanes FROM queue_branches WHERE repo_id = $1 AND branch = $2`, k.repo, k.branch).
		Scan(&b.Queue, &b.Seq, &b.Tip, &b.Lanes)
	if errors.Is(err, sql.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("gatekeeper: queue of %s: %w", k.branch, err)
	}
	return b, true, nil
}

func writeQueueBranch(ctx context.Context, tx *db.Tx, k branchKey, b queueBranch) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO queue_branches (repo_id, branch, queue, seq, tip_oid, lanes) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repo_id, branch) DO UPDATE SET queue = excluded.queue, seq = excluded.seq, tip_oid = excluded.tip_oid, lanes = excluded.lanes`,
		k.repo, k.branch, b.Queue, b.Seq, string(b.Tip), b.Lanes)
	if err != nil {
		return fmt.Errorf("gatekeeper: queue of %s: %w", k.branch, err)
	}
	return nil
}

// together lists the branches that have to be looked at with one: those that share its queue,
// and those on which something is half landed with it. They are locked in this order.
func together(ctx context.Context, q db.Querier, k branchKey) ([]branchKey, error) {
	rows, err := q.QueryContext(ctx, `SELECT b.repo_id, b.branch FROM queue_branches b JOIN queue_branches own ON own.queue = b.queue
			WHERE own.repo_id = $1 AND own.branch = $2 AND own.queue <> ''
		UNION SELECT other.repo_id, other.branch FROM landings own JOIN landings other ON other.group_id = own.group_id
			WHERE own.repo_id = $1 AND own.branch = $2 AND own.state = $3 AND own.group_id <> 0`, k.repo, k.branch, landingIntent)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: branches of a queue: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := []branchKey{k}
	for rows.Next() {
		var other branchKey
		if err := rows.Scan(&other.repo, &other.branch); err != nil {
			return nil, fmt.Errorf("gatekeeper: branches of a queue: %w", err)
		}
		all = append(all, other)
	}
	slices.SortFunc(all, branchKey.compare)
	return slices.Compact(all), rows.Err()
}

func (k branchKey) compare(other branchKey) int {
	return cmp.Or(cmp.Compare(k.repo, other.repo), cmp.Compare(k.branch, other.branch))
}

// name is the branch as the queue knows it: unique on the server.
func (k branchKey) name() string { return repo.BranchJob(k.repo, k.branch).Key }

// arrive takes note of what is so about the branch: which queue it shares, and whether it was
// moved past the queue, which makes all that was tried on it count for nothing. It reports
// whether the branch belongs to another queue than the rows said.
func (t *tick) arrive(ctx context.Context) (moved bool, err error) {
	have, found, err := readQueueBranch(ctx, t.DB.Read(), t.key())
	if err != nil {
		return false, err
	}
	now := have
	now.Tip = t.tip
	if t.plan != nil {
		now.Queue = t.plan.Land.Queue
	}
	past := found && have.Tip != t.tip
	if past {
		now.Seq++
	}
	t.row = now
	if now == have {
		return false, nil
	}
	return now.Queue != have.Queue, t.DB.Transact(ctx, func(tx *db.Tx) error {
		if past {
			t.Log.Warn("a branch was moved past its queue", "repo", t.lock.repo.Name, "branch", t.lock.branch, "from", have.Tip, "to", t.tip)
			if err := voidCandidates(ctx, tx, `repo_id = $1 AND branch = $2`, t.lock.repo.ID, t.lock.branch); err != nil {
				return err
			}
		}
		return writeQueueBranch(ctx, tx, t.key(), now)
	})
}

// retell tells the lanes of all entries anew when the plan is another than the one by which
// they were told.
func (t *tick) retell(ctx context.Context) error {
	digest := t.plan.Digest()
	if t.row.Lanes == digest {
		return nil
	}
	entries, err := queryEntries(ctx, t.DB.Read(), t.lock.repo.ID, t.lock.branch)
	if err != nil {
		return err
	}
	held, err := linksOf(ctx, t.DB.Read(), []branchKey{t.key()}, entries, nil)
	if err != nil {
		return err
	}
	ids := make([]int64, len(entries))
	told := make([]lanes, len(entries))
	for i, e := range entries {
		ids[i] = e.Change
		if told[i], err = t.lanesOf(ctx, e.Change, e.PS); err != nil {
			return err
		}
	}
	given, err := orders(ctx, t.DB.Read(), ids)
	if err != nil {
		return err
	}
	t.row.Lanes = digest
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		for i, e := range entries {
			if slices.Equal(told[i].targets, e.Targets) && told[i].barrier == e.Barrier {
				continue
			}
			_, err := tx.ExecContext(ctx, `UPDATE queue_entries SET targets = $1, barrier = $2, size = $3 WHERE change_id = $4 AND ps = $5`,
				told[i].text(), db.Bool(told[i].barrier), told[i].size, e.Change, e.PS)
			if err != nil {
				return fmt.Errorf("gatekeeper: lanes of change %d: %w", e.Change, err)
			}
			e.Targets, e.Barrier = told[i].targets, told[i].barrier
			if err := t.entered(ctx, tx, e, given[e.Change].Priority, held.before[e.Change]); err != nil {
				return err
			}
		}
		return writeQueueBranch(ctx, tx, t.key(), t.row)
	})
}

// frozen is why nothing lands on the branch now, which is looked at when that ends.
func (t *tick) frozen(ctx context.Context) (string, error) {
	reason, until, err := freezes(ctx, t.DB.Read(), t.lock.repo.ID, t.lock.branch, t.plan, t.Now())
	if err == nil && reason == "" {
		reason, until, err = t.shut(ctx, t.DB.Read())
	}
	if err != nil || reason == "" || until.IsZero() || t.lock.unlock == nil { // who only reads asks for nothing
		return reason, err
	}
	return reason, t.lookLater(ctx, until)
}

// lookLater asks for a look at the branch, unless one is to come before.
func (t *tick) lookLater(ctx context.Context, at time.Time) error {
	t.mu.Lock()
	have := t.looks[t.key()]
	asked := have.After(t.Now()) && !have.After(at)
	if !asked {
		t.looks[t.key()] = at
	}
	t.mu.Unlock()
	if asked {
		return nil
	}
	return t.DB.Transact(ctx, func(tx *db.Tx) error {
		look := repo.BranchJob(t.lock.repo.ID, t.lock.branch)
		look.At = at
		return tx.Enqueue(ctx, look)
	})
}

// maxBatch is how many changes a candidate of the branch may try.
func maxBatch(p *plan.Plan) int { return max(p.Land.Batch, 1) }
