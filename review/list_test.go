package review_test

import (
	"context"
	"fmt"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

func subjects(changes []review.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.Subject)
	}
	return fmt.Sprint(all)
}

func TestList(t *testing.T) {
	w := newWorld(t)
	_, a := w.propose("alice", "a")
	_, b := w.propose("bob", "b")
	_, c := w.propose("alice", "c")
	w.must(w.review.Abandon(w.ctx, w.people["bob"], b.ID, ""))
	w.must(w.review.SetTopic(w.ctx, w.people["alice"], c.ID, "x"))
	w.vote("dan", a.ID, 1, 1)
	for _, test := range []struct {
		filter review.Filter
		want   string
	}{
		{review.Filter{}, "[Add c Add b Add a]"},
		{review.Filter{Limit: 2}, "[Add c Add b]"},
		{review.Filter{Limit: 1, Before: c.ID}, "[Add b]"},
		{review.Filter{Status: review.Open}, "[Add c Add a]"},
		{review.Filter{Status: review.Abandoned, Repo: w.repo.ID, Branch: "main"}, "[Add b]"},
		{review.Filter{Owner: w.people["alice"].ID}, "[Add c Add a]"},
		{review.Filter{Reviewer: w.people["dan"].ID}, "[Add a]"},
		{review.Filter{Topic: "x"}, "[Add c]"},
		{review.Filter{Key: b.Key}, "[Add b]"},
		{review.Filter{Repo: w.repo.ID + 1}, "[]"},
		{review.Filter{Branch: "stable"}, "[]"},
	} {
		got, err := w.review.List(w.ctx, w.people["dan"], test.filter)
		if err != nil || subjects(got) != test.want {
			t.Errorf("List(%+v) = %s, %v; want %s", test.filter, subjects(got), err, test.want)
		}
	}
	_, err := w.review.List(w.ctx, w.people["dan"], review.Filter{Status: "new"})
	refused(t, err, fault.Invalid, `"new" is no status of a change`, "open, landed")
	if open, err := w.review.OpenOn(w.ctx, w.db.Read(), w.repo.ID, "main"); err != nil || subjects(open) != "[Add a Add c]" {
		t.Errorf("OpenOn = %s, %v", subjects(open), err)
	}
}

// What somebody may not see does not shorten their pages.
func TestListReadsOnBehindHiddenChanges(t *testing.T) {
	w := newWorld(t)
	c, _ := w.propose("alice", "a")
	var err error
	w.repo, err = w.repos.Create(w.ctx, repo.NewRepository{Name: "hidden", Private: true})
	w.must(err)
	w.grant("alice", account.RoleWrite)
	w.git, err = w.repos.Open(w.repo)
	w.must(err)
	c.git("push", "-q", w.git.Dir(), "HEAD~:refs/heads/main")
	for i := range 4 {
		c.commit(fmt.Sprint(i), "1", fmt.Sprintf("Hide %d", i))
	}
	prep, err := w.prepare(c, "alice", "main")
	w.must(err)
	if _, err := w.review.Hold(w.ctx, prep); err != nil {
		t.Fatal(err)
	}
	got, err := w.review.List(w.ctx, w.people["bob"], review.Filter{Limit: 2})
	if err != nil || subjects(got) != "[Add a]" {
		t.Errorf("bob sees %s, %v", subjects(got), err)
	}
	if got, err = w.review.List(w.ctx, w.people["alice"], review.Filter{Limit: 2}); err != nil || len(got) != 2 {
		t.Errorf("alice sees %s, %v", subjects(got), err)
	}
}

func TestDashboard(t *testing.T) {
	w := newWorld(t)
	_, old := w.propose("bob", "old")
	_, asked := w.propose("bob", "asked")
	_, wip := w.propose("bob", "wip")
	_, voted := w.propose("bob", "voted")
	_, calm := w.propose("alice", "calm")
	_, disliked := w.propose("alice", "disliked")
	_, open := w.propose("alice", "open")
	_, answered := w.propose("alice", "answered")
	_, refusedByGate := w.propose("alice", "refused")
	_, closed := w.propose("alice", "closed")
	alice, bob := w.people["alice"], w.people["bob"]
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO reviewers (change_id, account_id, state, created_at) VALUES ($1, $2, 'reviewer', 1)`, asked.ID, alice.ID)
		return err
	})
	w.must(w.review.SetWIP(w.ctx, bob, wip.ID, true))
	w.vote("alice", voted.ID, 1, 1)
	w.vote("bob", disliked.ID, 1, -1)
	w.must(w.review.Vote(w.ctx, bob, open.ID, 1, nil, "", []review.NewComment{{Path: "open", Line: 1, Body: "why?", Unresolved: true}}))
	w.must(w.review.Vote(w.ctx, bob, answered.ID, 1, nil, "", []review.NewComment{{Path: "answered", Line: 1, Body: "why?", Unresolved: true}}))
	comments, err := w.review.Comments(w.ctx, w.db.Read(), answered.ID)
	w.must(err)
	w.must(w.review.Vote(w.ctx, alice, answered.ID, 1, nil, "", []review.NewComment{{ReplyTo: comments[0].ID, Body: "so", Unresolved: true}}))
	w.must(w.review.Abandon(w.ctx, alice, closed.ID, ""))
	w.review.Refused = func(_ context.Context, ids []int64) (map[int64]bool, error) {
		if len(ids) != 5 {
			t.Errorf("asked about %v", ids)
		}
		return map[int64]bool{refusedByGate.ID: true}, nil
	}
	d, err := w.review.Dashboard(w.ctx, alice)
	w.must(err)
	if got := subjects(d.MyTurn); got != "[Add open Add disliked Add refused Add asked Add old]" {
		t.Errorf("my turn: %s", got)
	}
	for id, want := range map[int64]string{
		old.ID: "you have not voted on its current patch set", asked.ID: "you are asked to review it", disliked.ID: "it has 1 negative vote",
		open.ID: "it has 1 unresolved comment", refusedByGate.ID: "a gate has refused it", calm.ID: "", voted.ID: "", answered.ID: "",
	} {
		if d.Why[id] != want {
			t.Errorf("change %d: %q, want %q", id, d.Why[id], want)
		}
	}
	if got := subjects(d.Mine); got != "[Add answered Add open Add disliked Add refused Add calm]" {
		t.Errorf("mine: %s", got)
	}
	if got := subjects(d.Recent); got != "[Add closed Add answered Add open Add disliked Add voted Add wip Add refused Add calm Add asked Add old]" {
		t.Errorf("recent: %s", got)
	}
	d, err = w.review.Dashboard(w.ctx, account.Actor{})
	w.must(err)
	if len(d.MyTurn)+len(d.Mine) != 0 || len(d.Recent) != 10 {
		t.Errorf("anonymous: %+v", d)
	}
	w.review.Refused = nil
	d, err = w.review.Dashboard(w.ctx, bob)
	w.must(err)
	if d.Why[disliked.ID] != "" || d.Why[calm.ID] == "" {
		t.Errorf("bob: %v", d.Why)
	}
}
