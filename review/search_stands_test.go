package review_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// gates answers for the gates, and counts who asks.
type gates struct {
	stands map[int64]review.Standing
	asked  int
}

func (g *gates) standing(_ context.Context, _ db.Querier, change int64) (review.Standing, error) {
	g.asked++
	return g.stands[change], nil
}

// What is:submittable and is:mergeable find is what the gates say, wherever in a search they
// stand; and the gates are asked only where it depends on them.
func TestSearchByStanding(t *testing.T) {
	w := newWorld(t)
	all := library(w)
	const login, logout, docs, wip = "Fix login", "Add logout", "Describe LOGGING in Zürich", "Try a schema"
	g := &gates{stands: map[int64]review.Standing{
		all["login"].ID:  {Submittable: true, Mergeable: true},
		all["logout"].ID: {Mergeable: false},
		all["wip"].ID:    {Mergeable: true},
	}}
	w.review.Standing = g.standing
	for _, c := range []struct {
		query string
		want  []string
		asked int
	}{
		{"is:submittable", []string{login}, 2}, // not what is work in progress, or closed
		{"-is:submittable", []string{docs, logout, wip}, 2},
		{"is:mergeable", []string{login, wip}, 3},
		{"is:open -is:mergeable", []string{logout}, 3},
		{"is:submittable is:mergeable", []string{login}, 2},
		{"is:mergeable -is:submittable", []string{wip}, 3},
		{"is:wip OR is:submittable", []string{login, wip}, 2},
		{"is:abandoned OR (is:mergeable owner:alice)", []string{docs, login, wip}, 2},
		{"NOT (is:mergeable OR is:submittable)", []string{docs, logout}, 3},
		{"(is:submittable OR is:wip) (is:mergeable OR owner:bob)", []string{login, wip}, 3},
		{"is:submittable owner:carol", nil, 0},
		{"topic:session is:submittable", []string{login}, 1},
		{"is:wip is:mergeable is:closed", nil, 0},
	} {
		g.asked = 0
		got, err := w.find("dan", c.query)
		if want := strings.Join(c.want, " "); err != nil || got != want {
			t.Errorf("%q finds %q, want %q (%v)", c.query, got, want, err)
		}
		if g.asked != c.asked {
			t.Errorf("%q asks the gates %d times, want %d", c.query, g.asked, c.asked)
		}
	}
	w.review.Standing = nil
	if _, err := w.find("dan", "is:open is:submittable"); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "character 9") {
		t.Errorf("without gates: %v", err)
	}
}

// A page asks about a bounded number of changes; the pages together find every one.
func TestSearchByStandingIsPaged(t *testing.T) {
	w := newWorld(t)
	fill(w, 700)
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `UPDATE changes SET status = 'open'`)
		return err
	})
	g := &gates{stands: map[int64]review.Standing{}}
	w.review.Standing = g.standing
	open, want := 0, map[string]bool{}
	for after := ""; ; {
		page, err := w.review.Search(w.ctx, w.people["alice"], review.Search{Query: "is:open", After: after})
		w.must(err)
		for _, c := range page.Changes {
			if open++; open%40 == 0 {
				g.stands[c.ID] = review.Standing{Submittable: true}
				want[fmt.Sprint(c.ID)] = !c.WIP && !c.Private
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	found, most := map[string]bool{}, 0
	for after, pages := "", 0; ; pages++ {
		if pages > 100 {
			t.Fatal("the pages do not end")
		}
		g.asked = 0
		page, err := w.review.Search(w.ctx, w.people["alice"], review.Search{Query: "is:submittable", After: after, Limit: 10})
		w.must(err)
		for _, c := range page.Changes {
			if found[fmt.Sprint(c.ID)] {
				t.Errorf("change %d is found twice", c.ID)
			}
			found[fmt.Sprint(c.ID)] = true
		}
		most = max(most, g.asked)
		if after = page.Next; after == "" {
			break
		}
	}
	for id, is := range want {
		if found[id] != is {
			t.Errorf("change %s is found: %v, want %v", id, found[id], is)
		}
	}
	t.Logf("%d open, %d found, at most %d asked about on a page", open, len(found), most)
	if len(found) == 0 || most > 150 {
		t.Errorf("%d found, %d asked about", len(found), most)
	}
}
