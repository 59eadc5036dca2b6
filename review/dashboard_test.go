package review_test

import (
	"context"
	"fmt"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

func TestDashboard(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.people["alice"], w.people["bob"]
	propose := func(who, file string, opts ...string) review.Change {
		c := w.clone()
		c.commit(file, "1\n", "Add "+file)
		return w.push(c, who, "main", opts...)[0].Change
	}
	propose("bob", "other")
	asked := propose("bob", "asked", "r=alice")
	propose("bob", "wip", "r=alice", "wip")
	reviewed := propose("bob", "reviewed", "r=alice", "r=carol")
	watched := propose("bob", "docs-watched")
	calm := propose("alice", "calm", "r=bob")
	disliked := propose("alice", "disliked")
	mended := propose("alice", "refused")
	propose("alice", "draft", "wip")
	gone := propose("alice", "gone")
	landed := propose("alice", "landed")
	w.vote("alice", reviewed.ID, 1, 1)
	w.vote("bob", disliked.ID, 1, -1)
	w.must(w.review.Abandon(w.ctx, alice, gone.ID, ""))
	w.transact(func(tx *db.Tx) error { return w.review.MarkLanded(w.ctx, tx, landed.ID, 1, "", alice.ID) })
	_, err := w.review.AddWatch(w.ctx, alice, review.Watch{Repo: w.repo.ID, Path: "docs-watched"})
	w.must(err)
	w.review.Refused = func(_ context.Context, ids []int64) (map[int64]bool, error) {
		return map[int64]bool{mended.ID: true, disliked.ID: true}, nil
	}
	d, err := w.review.Dashboard(w.ctx, alice)
	w.must(err)
	for _, part := range []struct {
		name, got, want string
	}{
		{"turn", subjects(d.Turn), "[Add asked Add disliked Add refused]"},
		{"waiting", subjects(d.Waiting), "[Add calm Add reviewed]"},
		{"mine", subjects(d.Mine), "[Add disliked Add draft Add refused Add calm]"},
		{"watched", subjects(d.Watched), "[Add docs-watched]"},
		{"unasked", subjects(d.Unasked), "[Add docs-watched Add other]"},
		{"landed", subjects(d.Landed), "[Add landed]"},
	} {
		if part.got != part.want {
			t.Errorf("%s: %s, want %s", part.name, part.got, part.want)
		}
	}
	for id, want := range map[int64]string{asked.ID: "asked for a review", disliked.ID: "voted Code-Review-1", mended.ID: "it was refused", watched.ID: ""} {
		if d.Why[id].Reason != want {
			t.Errorf("change %d: %q, want %q", id, d.Why[id].Reason, want)
		}
	}
	names := func(id int64) (all []int64) {
		for _, a := range d.WaitFor[id] {
			all = append(all, a.Account)
		}
		return all
	}
	if got := fmt.Sprint(names(calm.ID), names(reviewed.ID)); got != fmt.Sprint([]int64{bob.ID}, []int64{w.people["carol"].ID, bob.ID}) {
		// carol is asked, and bob got alice's vote: both have something to do, carol for longer
		t.Errorf("calm and reviewed wait for %s", got)
	}
	if _, err := w.review.Dashboard(w.ctx, account.Actor{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a stranger's dashboard: %v", err)
	}
	if d, err = w.review.Dashboard(w.ctx, w.people["dan"]); err != nil || len(d.Turn)+len(d.Waiting)+len(d.Mine)+len(d.Watched)+len(d.Landed) != 0 || d.Watches {
		t.Errorf("dan: %+v, %v", d, err)
	}
}

// Changes that stand on each other stand beside each other, the last to land first.
func TestStacked(t *testing.T) {
	w := newWorld(t)
	_, alone := w.propose("alice", "alone")
	c := w.clone()
	for _, file := range []string{"one", "two", "three"} {
		c.commit(file, "1\n", "Add "+file)
	}
	held := w.push(c, "alice", "main")
	_, newest := w.propose("bob", "newest")
	list := []review.Change{newest, held[1].Change, alone, held[0].Change, held[2].Change}
	got, places, err := w.review.Stacked(w.ctx, w.db.Read(), list)
	w.must(err)
	if subjects(got) != "[Add newest Add three Add two Add one Add alone]" {
		t.Error(subjects(got))
	}
	for i, h := range held {
		if want := (review.StackPlace{Stack: held[0].Change.ID, Place: i + 1, Size: 3}); places[h.Change.ID] != want {
			t.Errorf("%s: %+v, want %+v", h.Change.Subject, places[h.Change.ID], want)
		}
	}
	if _, in := places[alone.ID]; in || len(places) != 3 {
		t.Errorf("places %+v", places)
	}
	if got, places, err = w.review.Stacked(w.ctx, w.db.Read(), list[:1]); err != nil || len(got) != 1 || len(places) != 0 {
		t.Errorf("one alone: %v %v %v", got, places, err)
	}
}
