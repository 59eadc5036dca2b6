package review_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gatehouse/migrations/db"
	"gatehouse/review"
)

// manyChanges is how many changes the benchmark has, as a large project of ten years.
const manyChanges = 100_000

// fill writes changes with rows as real ones have, in few large transactions.
func fill(w *world, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	people := []int64{w.people["alice"].ID, w.people["bob"].ID, w.people["carol"].ID, w.people["dan"].ID}
	words := []string{"fix", "add", "remove", "handle", "parser", "server", "client", "timeout", "retry", "cache", "index", "page", "queue", "test", "docs"}
	insert := func(tx *db.Tx, query string, args ...any) {
		if _, err := tx.ExecContext(w.ctx, query, args...); err != nil {
			w.t.Fatal(err)
		}
	}
	const batch = 10_000
	for from := 0; from < n; from += batch {
		w.transact(func(tx *db.Tx) error {
			for i := from; i < min(n, from+batch); i++ {
				id, status, owner := int64(1000+i), "landed", people[r.IntN(len(people))]
				switch {
				case i%50 == 0:
					status = "open"
				case i%10 == 1:
					status = "abandoned"
				}
				at := int64(1_000_000 + i*1000 + r.IntN(500))
				insert(tx, `INSERT INTO changes (id, repo_id, branch, change_key, topic, owner_id, subject, status, current_ps, created_at, updated_at)
					VALUES ($1, $2, 'main', $3, $4, $5, $6, $7, 1, $8, $8)`, id, w.repo.ID, fmt.Sprintf("I%040x", i), fmt.Sprint("t", i%500), owner, fmt.Sprint("Change ", i), status, at)
				insert(tx, `INSERT INTO patch_sets (change_id, number, commit_oid, tree_oid, parent_oid, parents, uploader_id, author_name, author_email,
					committer_email, message, kind, diff_digest, created_at, touched) VALUES ($1, 1, $2, '', '', 1, $3, 'A', 'a@example.org', '', 'Change', 'first', '', $4, 1)`,
					id, fmt.Sprintf("%040x", i), owner, at)
				dir := fmt.Sprintf("pkg%d/", r.IntN(200))
				terms := [][2]string{{"path", fmt.Sprintf("%sfile%d.go", dir, i%3000)}, {"part", dir}, {"part", "*.go"}, {"part", fmt.Sprintf("file%d.go", i%3000)}, {"word", fmt.Sprint("unique", i)}}
				for range 4 {
					terms = append(terms, [2]string{"word", words[r.IntN(len(words))]})
				}
				for _, term := range terms {
					insert(tx, `INSERT INTO search_terms (field, term, change_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, term[0], term[1], id)
				}
				insert(tx, `INSERT INTO reviewers (change_id, account_id, state, created_at) VALUES ($1, $2, 'reviewer', 1)`, id, people[r.IntN(len(people))])
				if status == "open" {
					insert(tx, `INSERT INTO attention (change_id, account_id, reason, since) VALUES ($1, $2, 'asked for a review', $3)`, id, people[r.IntN(len(people))], at)
				}
			}
			return nil
		})
	}
}

// BenchmarkList lists fifty of a hundred thousand changes in the ways that people do, and
// prints the slowest of the fast 95 % for each.
func BenchmarkList(b *testing.B) {
	w := newWorld(b)
	fill(w, manyChanges)
	alice := w.people["alice"]
	if _, err := w.review.AddWatch(w.ctx, alice, review.Watch{Repo: w.repo.ID, Path: "pkg7"}); err != nil {
		b.Fatal(err)
	}
	// The gates are somebody else's to measure: here they say no, so that every page asks all it may.
	w.review.Standing = func(context.Context, db.Querier, int64) (review.Standing, error) { return review.Standing{}, nil }
	for _, query := range []string{
		"", "is:submittable", "is:mergeable owner:self", "-is:submittable", "status:open", "status:open owner:self", "attention:self", "reviewer:self status:open", "reviewer:self", "owner:bob status:abandoned",
		"repo:hello branch:main status:landed", "topic:t77", "file:pkg7", "ext:go is:open", "file:pkg7/file3.go", "parser cache", "unique4711",
		"message:retry -status:landed", "(owner:alice OR owner:bob) -is:open timeout", "age:1y is:abandoned", "is:watched is:open -owner:self",
		review.WaitingQuery, review.LandedQuery, review.UnaskedQuery,
	} {
		name := query
		if name == "" {
			name = "everything"
		}
		b.Run(name, func(b *testing.B) {
			measure(b, func() error {
				_, err := w.review.Search(w.ctx, alice, review.Search{Query: query})
				return err
			})
		})
	}
	b.Run("dashboard", func(b *testing.B) {
		measure(b, func() error {
			_, err := w.review.Dashboard(w.ctx, alice)
			return err
		})
	})
}

func measure(b *testing.B, do func() error) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
}
