package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// move is what one branch does in a landing.
type move struct {
	*tick
	rows     []landing
	old, new git.OID
	moved    bool // the branch holds it
	lost     bool // the branch went elsewhere
	delivers *delivery
}

// complete does the compare-and-swaps of a landing's intents and writes what came of it. The
// branches themselves say how far it came when a crash cut it: each holds its commit, or it
// does not. When one of them does, the others follow, because it cannot be taken back.
func (r *round) complete(ctx context.Context, s queue.State, group int64) error {
	moves, err := r.moves(ctx, group)
	if err != nil || len(moves) == 0 {
		return err
	}
	begun := slices.ContainsFunc(moves, func(m *move) bool { return m.moved })
	if !begun && slices.ContainsFunc(moves, func(m *move) bool { return m.lost }) {
		return r.withdraw(ctx, moves)
	}
	for _, in := range byRepository(moves) {
		if begun {
			crash("land.part.moved")
		}
		not, err := r.landOutside(ctx, in)
		switch {
		case err != nil:
			return err // the intents stay: the next look asks the primary
		case len(not) > 0 && !begun && len(not) == len(in):
			return r.withdraw(ctx, moves)
		}
		for _, m := range not {
			m.lost = true // the others cannot be taken back
		}
		if in = withoutMoves(in, not); len(in) == 0 {
			continue
		}
		err = moveRefs(ctx, in)
		switch {
		case fault.Is(err, fault.Conflict) && !begun:
			return r.withdraw(ctx, moves)
		case fault.Is(err, fault.Conflict): // somebody moved it between the look and now
			for _, m := range in {
				r.Log.Error("a branch was moved by hand in the middle of a landing of several", "repo", m.lock.repo.Name, "branch", m.lock.branch, "group", group)
				m.lost = true
			}
		case err != nil:
			return err // the intents stay: the next look tries again
		default:
			begun = true
			for _, m := range in {
				m.moved = true
			}
		}
	}
	crash("land.ref.moved")
	return r.outcome(ctx, s, moves)
}

// moves reads the open intents of a landing, and how far each branch is.
func (r *round) moves(ctx context.Context, group int64) ([]*move, error) {
	rows, err := openLandings(ctx, r.DB.Read(), `group_id = $2`, group)
	if err != nil {
		return nil, err
	}
	var moves []*move
	for _, in := range rows {
		i := slices.IndexFunc(moves, func(m *move) bool { return m.key() == in.branchKey })
		if i < 0 {
			t, err := r.on(in.name())
			if err != nil {
				return nil, err
			}
			i = len(moves)
			moves = append(moves, &move{tick: t, old: in.Old})
		}
		moves[i].rows, moves[i].new = append(moves[i].rows, in), in.New
	}
	for _, m := range moves {
		tip, err := m.git.RefOID(ctx, m.lock.ref())
		if err != nil {
			return nil, err
		}
		switch {
		case tip == m.old:
		case tip.IsZero():
			m.lost = true
		default:
			if m.moved, err = m.git.IsAncestor(ctx, m.new, tip); err != nil {
				return nil, err
			}
			m.lost = !m.moved
		}
	}
	return moves, nil
}

// byRepository puts the moves that are still to be made into one transaction per repository.
func byRepository(moves []*move) [][]*move {
	var all [][]*move
	for _, m := range moves {
		if m.moved || m.lost {
			continue
		}
		i := slices.IndexFunc(all, func(in []*move) bool { return in[0].lock.repo.ID == m.lock.repo.ID })
		if i < 0 {
			i = len(all)
			all = append(all, nil)
		}
		all[i] = append(all[i], m)
	}
	return all
}

func moveRefs(ctx context.Context, in []*move) error {
	updates := make([]git.RefUpdate, 0, len(in))
	why := "land"
	for _, m := range in {
		updates = append(updates, git.RefUpdate{Ref: m.lock.ref(), Old: m.old, New: m.new})
		for _, row := range m.rows {
			why += fmt.Sprintf(" change %d", row.Change)
		}
	}
	return in[0].git.UpdateRefs(ctx, updates, why)
}

// outcome writes what landed, and asks for everything that follows.
func (r *round) outcome(ctx context.Context, s queue.State, moves []*move) error {
	for _, m := range moves {
		var err error
		if m.delivers, err = m.deliveryOf(ctx); err != nil {
			return err
		}
	}
	err := r.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, m := range moves {
			if m.lost {
				if err := m.fail(ctx, tx, "the branch was moved by hand while it landed"); err != nil {
					return err
				}
				continue
			}
			if err := m.landed(ctx, tx, len(moves) > 1 || len(m.rows) > 1); err != nil {
				return err
			}
		}
		return r.wakeDependents(ctx, tx, moves)
	})
	if err != nil {
		return err
	}
	crash("land.outcome.written")
	for _, m := range moves {
		if m.lost {
			continue
		}
		for _, row := range m.rows {
			r.Log.Info("landed", "repo", m.lock.repo.Name, "branch", m.lock.branch, "change", row.Change, "commit", row.New)
			r.touched[row.Change] = true
			if i := slices.IndexFunc(s.Entries, func(e queue.Entry) bool { return e.Change == row.Change }); i >= 0 {
				r.learn(r.model().Learn(&s.Entries[i], true))
			}
		}
		if err := m.follow(ctx); err != nil {
			return err
		}
	}
	return nil
}

// landed writes that the branch holds its changes.
func (m *move) landed(ctx context.Context, tx *db.Tx, several bool) error {
	b, _, err := readQueueBranch(ctx, tx, m.key())
	if err != nil {
		return err
	}
	b.Tip = m.new
	for _, row := range m.rows {
		b.Seq++
		done, err := tx.ExecContext(ctx, `UPDATE landings SET state = $1, outcome_at = $2, seq = $3 WHERE id = $4 AND state = $5`,
			landingDone, db.Micros(m.Now()), b.Seq, row.ID, landingIntent)
		if err != nil {
			return fmt.Errorf("gatekeeper: outcome of landing %d: %w", row.ID, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // written already, with all of its group
		}
		if err := m.Review.MarkLanded(ctx, tx, row.Change, row.PS, row.New, row.By); err != nil {
			return err
		}
		if err := dequeue(ctx, tx, row.Change); err != nil {
			return err
		}
		data := map[string]string{"ps": strconv.Itoa(row.PS), "commit": string(row.New), "candidate": strconv.FormatInt(row.Candidate, 10), "branch": m.lock.branch}
		if several {
			data["group"] = strconv.FormatInt(row.Group, 10)
		}
		if err := m.tell(ctx, tx, row.Change, "queue.landed", data); err != nil {
			return err
		}
	}
	if err := writeQueueBranch(ctx, tx, m.key(), b); err != nil {
		return err
	}
	if m.delivers != nil {
		last := m.rows[len(m.rows)-1]
		if err := m.startDelivery(ctx, tx, last, m.delivers); err != nil {
			return err
		}
	}
	if err := m.Mirrors.EnqueueAll(ctx, tx, m.lock.repo.ID); err != nil {
		return err
	}
	return tx.Enqueue(ctx, repo.BranchJob(m.lock.repo.ID, m.lock.branch))
}

// follow takes in what the branch is after a landing.
func (m *move) follow(ctx context.Context) error {
	if err := m.read(ctx); err != nil {
		return err
	}
	b, _, err := readQueueBranch(ctx, m.DB.Read(), m.key())
	if err != nil {
		return err
	}
	m.row = b
	if m.plan == nil {
		return nil
	}
	return m.retell(ctx)
}

// wakeDependents has the branches looked at where a change waits for one that landed.
func (r *round) wakeDependents(ctx context.Context, tx *db.Tx, moves []*move) error {
	landed := map[int64]bool{}
	for _, m := range moves {
		for _, row := range m.rows {
			landed[row.Change] = !m.lost
		}
	}
	waiting := map[branchKey]bool{}
	err := each(ctx, tx, `SELECT `+entryColumns+` WHERE e.depends <> ''`, nil, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		if slices.ContainsFunc(e.Depends, func(id int64) bool { return landed[id] }) {
			waiting[e.branchKey] = true
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("gatekeeper: who waits for what landed: %w", err)
	}
	for k := range waiting {
		if err := tx.Enqueue(ctx, repo.BranchJob(k.repo, k.branch)); err != nil {
			return err
		}
	}
	return nil
}

// fail ends intents that did not come true; their changes stay queued for another try.
func (m *move) fail(ctx context.Context, tx *db.Tx, why string) error {
	for _, row := range m.rows {
		_, err := tx.ExecContext(ctx, `UPDATE landings SET state = $1, reason = $2, outcome_at = $3 WHERE id = $4 AND state = $5`,
			landingFailed, why, db.Micros(m.Now()), row.ID, landingIntent)
		if err != nil {
			return fmt.Errorf("gatekeeper: withdraw landing %d: %w", row.ID, err)
		}
	}
	return nil
}

// withdraw ends a landing of which nothing came true. The branch that moved is looked at anew.
func (r *round) withdraw(ctx context.Context, moves []*move) error {
	err := r.DB.Transact(ctx, func(tx *db.Tx) error {
		for _, m := range moves {
			if err := m.fail(ctx, tx, "a branch moved before it could land"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range moves {
		if err := m.read(ctx); err != nil {
			return err
		}
		if _, err := m.arrive(ctx); err != nil {
			return err
		}
	}
	return nil
}

// repair finishes what a crash cut between intents and their outcome.
func (r *round) repair(ctx context.Context) error {
	seen := map[int64]bool{}
	for _, t := range r.ticks {
		open, err := openLandings(ctx, r.DB.Read(), `repo_id = $2 AND branch = $3`, t.lock.repo.ID, t.lock.branch)
		if err != nil {
			return err
		}
		for _, in := range open {
			if seen[in.Group] {
				continue
			}
			seen[in.Group] = true
			r.Log.Warn("repairing a landing that was cut", "repo", t.lock.repo.Name, "change", in.Change, "commit", in.New)
			if err := r.complete(ctx, queue.State{}, in.Group); err != nil {
				return err
			}
		}
	}
	return nil
}

func openLandings(ctx context.Context, q db.Querier, where string, args ...any) ([]landing, error) {
	var all []landing
	err := each(ctx, q, `SELECT id, repo_id, branch, group_id, change_id, ps, run_id, candidate_id, old_oid, new_oid, landed_by FROM landings
		WHERE state = $1 AND `+where+` ORDER BY id`, append([]any{landingIntent}, args...), func(rows *sql.Rows) error {
		var in landing
		err := rows.Scan(&in.ID, &in.repo, &in.branch, &in.Group, &in.Change, &in.PS, &in.Run, &in.Candidate, &in.Old, &in.New, &in.By)
		all = append(all, in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: open landings: %w", err)
	}
	return all, nil
}
