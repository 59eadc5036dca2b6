package review_test

import (
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// viewed is which of the marks of an account hold for a patch set.
func (w *world) viewed(who string, change int64, number int) string {
	w.t.Helper()
	marks, err := w.review.ViewedBy(w.ctx, w.db.Read(), w.people[who].ID, change)
	w.must(err)
	ps, err := w.review.PatchSet(w.ctx, w.db.Read(), change, number)
	w.must(err)
	digests, err := w.review.FileDigests(w.ctx, w.git, ps)
	w.must(err)
	var hold []string
	for _, path := range []string{"a", "b", "c", review.CommitMessage} {
		if m, ok := marks[path]; ok && m.Digest == digests[path] {
			hold = append(hold, path)
		}
	}
	return strings.Join(hold, " ")
}

// A mark holds for every patch set that does the same to the file, also on another parent.
func TestViewedMarksSurviveAPatchSet(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.write("a", "1\n")
	c.write("b", "1\n")
	c.commit("c", "1\n", "Add three")
	id := w.push(c, "alice", "main")[0].Change.ID
	mark := func(who, path string, on bool) error {
		return w.review.SetViewed(w.ctx, w.people[who], id, 0, path, on)
	}
	for _, path := range []string{"a", "b", review.CommitMessage} {
		w.must(mark("bob", path, true))
	}
	w.must(mark("bob", "a", true)) // again is the same
	if got := w.viewed("bob", id, 1); got != "a b /COMMIT_MSG" {
		t.Errorf("bob viewed %q", got)
	}
	if got := w.viewed("carol", id, 1); got != "" {
		t.Errorf("carol viewed %q", got)
	}
	c.write("b", "2\n")
	c.git("commit", "-q", "-a", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	if got := w.viewed("bob", id, 2); got != "a /COMMIT_MSG" {
		t.Errorf("after the second patch set: %q", got)
	}
	other := w.clone()
	other.commit("elsewhere", "x\n", "Land something")
	other.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("rebase", "-q", "FETCH_HEAD")
	w.push(c, "alice", "main")
	if got := w.viewed("bob", id, 3); got != "a /COMMIT_MSG" {
		t.Errorf("after a rebase: %q", got)
	}
	w.must(mark("bob", "a", false))
	w.must(mark("bob", "a", false))
	if got := w.viewed("bob", id, 3); got != "/COMMIT_MSG" {
		t.Errorf("after taking a mark back: %q", got)
	}
	refused(t, mark("bob", "none", true), fault.NotFound, "patch set 3 of change 1 has no such file", "name one of the files")
	if err := w.review.SetViewed(w.ctx, account.Actor{}, id, 0, "a", true); fault.KindOf(err) != fault.Unauthenticated && fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Invalid {
		t.Errorf("a stranger: %v", err)
	}
	if err := w.review.SetViewed(w.ctx, w.people["bob"], id, 9, "a", true); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no such patch set: %v", err)
	}
}
