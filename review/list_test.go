package review_test

import (
	"fmt"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
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
