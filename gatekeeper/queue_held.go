package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// A window that is shut refuses nothing: what waits for it keeps its place in the queue, is held
// there, and goes on by itself when the window opens.

// shutWindows are the queued changes of a branch that wait for a window of its plan, each with the
// words for it. A window counts for a change unless it was left out for its patch set.
func shutWindows(ctx context.Context, q db.Querier, k branchKey, policy *plan.Plan, now time.Time) (map[int64]string, error) {
	if policy == nil {
		return nil, nil
	}
	policy = policy.Gating("")
	if words, _ := policy.ShutWindow(nil, now); words == "" {
		return nil, nil
	}
	left := map[int64][]plan.Bypass{}
	err := each(ctx, q, `SELECT e.change_id, COALESCE(b.node, ''), COALESCE(b.outcome, ''), COALESCE(a.name, ''), COALESCE(b.reason, ''), COALESCE(b.created_at, 0), COALESCE(b.until_at, 0)
		FROM queue_entries e LEFT JOIN bypasses b ON b.change_id = e.change_id AND b.ps = e.ps LEFT JOIN accounts a ON a.id = b.account_id
		WHERE e.repo_id = $1 AND e.branch = $2 ORDER BY e.change_id, b.id`, []any{k.repo, k.branch}, func(rows *sql.Rows) error {
		var change, at, until int64
		var b plan.Bypass
		err := rows.Scan(&change, &b.Node, &b.Outcome, &b.By, &b.Reason, &at, &until)
		b.At, b.Until = db.Time(at), db.Time(until)
		left[change] = append(left[change], b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: what waits for a window on %s: %w", k.branch, err)
	}
	shut := map[int64]string{}
	for change, bypasses := range left {
		if words, _ := policy.ShutWindow(bypasses, now); words != "" {
			shut[change] = words
		}
	}
	return shut, nil
}

// holdForWindows holds the entries that wait for a window. What a person holds is told first: that
// does not end by itself.
func holdForWindows(entries []queue.Entry, shut map[int64]string) {
	for i, e := range entries {
		if e.Held == "" {
			entries[i].Held = shut[e.Change]
		}
	}
}

// forWindow reports whether a hold is until a window opens.
func forWindow(held string) bool { return strings.HasPrefix(held, plan.WindowWords) }

// standings is [queue.Standings], which takes each hold for somebody's order: what a window holds
// waits for nobody.
func standings(s queue.State, now time.Time) []queue.Standing {
	all := queue.Standings(s, now)
	held := map[int64]string{}
	for _, e := range s.Entries {
		held[e.Change] = e.Held
	}
	for i := range all {
		awaitsWindow(&all[i], held[all[i].Change])
	}
	return all
}

func awaitsWindow(st *queue.Standing, held string) {
	if !forWindow(held) || st.Phase != queue.PhaseHeld {
		return
	}
	st.Doing, st.WaitsFor = held, []string{"the window"}
	st.Sentence = fmt.Sprintf("number %d: %s", st.Position, held)
}

// awaitWindows asks for a look when the next window of the plan opens: a change that it holds, or a
// stage behind it, goes on then.
func (t *tick) awaitWindows(ctx context.Context) error {
	if t.plan == nil {
		return nil
	}
	if opens := t.plan.WindowOpens(t.Now()); !opens.IsZero() {
		return t.lookLater(ctx, opens)
	}
	return nil
}
