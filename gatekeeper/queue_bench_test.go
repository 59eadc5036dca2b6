package gatekeeper_test

import (
	"fmt"
	"testing"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/migrations/db"
)

// benchQueued is how many changes wait in the benchmark.
const benchQueued = 1000

// crowd writes a queue of n changes as rows: each with a check that passed, every tenth with a
// candidate on the one before it that runs.
func (w *world) crowd(n int) {
	w.Helper()
	tip := string(w.tip())
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		exec := func(query string, args ...any) {
			w.Helper()
			_, err := tx.ExecContext(w.ctx, query, args...)
			w.must(err)
		}
		owner := w.people["alice"].ID
		for i := 1; i <= n; i++ {
			id, oid := int64(1000+i), fmt.Sprintf("%040x", i)
			exec(`INSERT INTO changes (id, repo_id, branch, change_key, owner_id, subject, status, current_ps, submit_by, created_at, updated_at)
				VALUES ($1, $2, 'main', $3, $4, 'crowd', 'open', 1, $4, 1, 1)`, id, w.repo.ID, "I"+oid, owner)
			exec(`INSERT INTO patch_sets (change_id, number, commit_oid, tree_oid, parent_oid, parents, uploader_id, author_name, author_email,
				committer_email, message, kind, diff_digest, created_at) VALUES ($1, 1, $2, 'x', $3, 1, $4, 'a', 'a@x', 'a@x', 'm', 'first', 'x', 1)`, id, oid, tip, owner)
			exec(`INSERT INTO patch_set_parents (change_id, ps, position, parent_oid) VALUES ($1, 1, 0, $2)`, id, tip)
			exec(`INSERT INTO queue_entries (change_id, repo_id, branch, ps, enqueued_at, targets, barrier) VALUES ($1, $2, 'main', 1, $3, $4, 0)`,
				id, w.repo.ID, i, fmt.Sprintf("t%d\nt%d", i%97, i%89))
			k, run, state, on := 10_000+int64(i), 20_000+int64(i), "PASSED", ""
			if i%10 == 0 {
				state, on = "RUNNING", fmt.Sprintf("%d.1", id-1)
			}
			exec(`INSERT INTO candidates (id, repo_id, branch, change_id, ps, members, stands_on, base_oid, how, commit_oid, tree_oid, plan_digest, checks, created_at)
				VALUES ($1, $2, 'main', $3, 1, $4, $5, $6, 'merge', $7, 'x', 'd', 1, 1)`, k, w.repo.ID, id, fmt.Sprintf("%d.1", id), on, tip, oid)
			exec(`INSERT INTO candidate_changes (candidate_id, role, position, change_id, ps, commit_oid) VALUES ($1, 'member', 0, $2, 1, $3)`, k, id, oid)
			exec(`INSERT INTO runs (id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state, created_at, finished_at)
				VALUES ($1, $2, 'main', $3, 1, $4, $5, $6, 'd', 1, $7, 1, 2)`, run, w.repo.ID, id, k, oid, tip, state)
		}
		return nil
	}))
}

// benchWorld is a world that stands still with a crowd in its queue.
func benchWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, how(plan.Merge))
	w.still()
	w.crowd(benchQueued)
	return w
}

// The rows of a thousand queued changes become the queue's state: once for each step of a look.
func BenchmarkStateOfAThousand(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		if s := w.queueState(); len(s.Entries) != benchQueued || len(s.Candidates) != benchQueued {
			b.Fatalf("%d entries, %d candidates", len(s.Entries), len(s.Candidates))
		}
	}
}

// What a page, a waiting push and `gate why` ask for one of a thousand queued changes.
func BenchmarkExplainOneOfAThousand(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		if st := queue.Words(w.queueState(), 1500, w.now()); st.Position == 0 {
			b.Fatal("it has no place")
		}
	}
}

// A look at a branch about which nothing has changed since the last, as most looks are.
func BenchmarkIdleLookAtAThousand(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		n, err := w.control.Stamps(w.ctx, w.repo.ID, "main")
		w.must(err)
		if n != benchQueued {
			b.Fatalf("%d stamps", n)
		}
	}
}
