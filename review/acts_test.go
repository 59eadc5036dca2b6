package review_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// branch makes a gated branch at the tip of main.
func (w *world) branch(name string) {
	w.t.Helper()
	tip, err := w.git.RefOID(w.ctx, "refs/heads/main")
	w.must(err)
	w.must(w.git.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/" + name, Old: git.Zero, New: tip}}, "test"))
	w.repo.Gated = append(w.repo.Gated, name)
	w.transact(func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, w.repo) })
}

// land moves the branch of a change to its commit.
func (w *world) land(id int64) review.Change {
	w.t.Helper()
	ch := w.load(id)
	commit := w.patchSet(id, ch.Current).Commit
	w.must(w.git.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/" + ch.Branch, New: commit}}, "test"))
	w.transact(func(tx *db.Tx) error { return w.review.MarkLanded(w.ctx, tx, id, ch.Current, commit, 0) })
	return w.load(id)
}

// moveOn puts a commit on main that no change brought.
func (w *world) moveOn(file, text string) {
	w.t.Helper()
	c := w.clone()
	c.commit(file, text, "Advance "+file)
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
}

func TestRebase(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	if _, err := w.review.Rebase(w.ctx, w.people["alice"], ch.ID, 0, 0); !fault.Is(err, fault.Refused) {
		t.Errorf("it stands on the tip: %v", err)
	}
	w.moveOn("other", "something else altogether\n")
	if _, err := w.review.Rebase(w.ctx, w.people["bob"], ch.ID, 0, 0); !fault.Is(err, fault.Denied) {
		t.Errorf("a stranger: %v", err)
	}
	ps, err := w.review.Rebase(w.ctx, w.people["alice"], ch.ID, 1, 0)
	w.must(err)
	tip, err := w.git.RefOID(w.ctx, "refs/heads/main")
	w.must(err)
	if ps.Number != 2 || ps.Parent != tip || ps.Kind != review.KindTrivialRebase {
		t.Errorf("patch set %+v", ps)
	}
	if _, err := w.review.Rebase(w.ctx, w.people["alice"], ch.ID, 1, 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("of a patch set that is not current: %v", err)
	}
	_, below := w.propose("bob", "b")
	ps, err = w.review.Rebase(w.ctx, w.people["alice"], ch.ID, 0, below.ID)
	w.must(err)
	st, err := w.review.Stack(w.ctx, w.db.Read(), w.load(ch.ID))
	w.must(err)
	if ps.Number != 3 || len(st.Parents) != 1 || st.Parents[0].Change.ID != below.ID {
		t.Errorf("patch set %+v stands on %+v", ps, st.Parents)
	}
	for name, onto := range map[string]int64{"on itself": ch.ID, "on what stands on it": ch.ID} {
		who, id := "alice", ch.ID
		if name != "on itself" {
			who, id = "bob", below.ID
		}
		if _, err := w.review.Rebase(w.ctx, w.people[who], id, 0, onto); err == nil {
			t.Errorf("%s: it may", name)
		}
	}
	w.check()
}

func TestRebaseConflict(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.moveOn("a", "other\n")
	_, err := w.review.Rebase(w.ctx, w.people["alice"], ch.ID, 0, 0)
	refused(t, err, fault.Conflict, "patch set 1 conflicts in a", review.HoldingRef(ch.ID, 1))
	if now := w.load(ch.ID); now.Current != 1 {
		t.Errorf("change %+v", now)
	}
	w.check()
}

func TestCherryPick(t *testing.T) {
	w := newWorld(t)
	w.branch("stable")
	_, ch := w.propose("alice", "a")
	h, err := w.review.CherryPick(w.ctx, w.people["bob"], ch.ID, 0, "stable", "")
	w.must(err)
	picked := w.load(h.Change.ID)
	if !h.New || picked.Branch != "stable" || picked.Key != ch.Key || picked.Owner != w.people["bob"].ID || picked.PickedFrom != ch.ID {
		t.Errorf("change %+v", picked)
	}
	from := w.patchSet(ch.ID, 1)
	want := fmt.Sprintf("Add a\n\nChange-Id: %s\n(cherry picked from commit %s)\n", ch.Key, from.Commit)
	if h.PatchSet.Message != want || h.PatchSet.AuthorEmail != from.AuthorEmail {
		t.Errorf("message %q, want %q", h.PatchSet.Message, want)
	}
	if _, err := w.review.Amend(w.ctx, w.people["bob"], picked.ID, 1, review.Amendment{Message: h.PatchSet.Message + "\n"}); !fault.Is(err, fault.Refused) {
		t.Errorf("its message names the change: %v", err)
	}
	if _, err := w.review.CherryPick(w.ctx, w.people["bob"], ch.ID, 0, "main", ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("to its own branch: %v", err)
	}
	for branch, kind := range map[string]fault.Kind{"nowhere": fault.NotFound, "../x": fault.Invalid, "": fault.Invalid} {
		if _, err := w.review.CherryPick(w.ctx, w.people["bob"], ch.ID, 0, branch, ""); !fault.Is(err, kind) {
			t.Errorf("to %q: %v", branch, err)
		}
	}
	w.land(picked.ID)
	if _, err := w.review.CherryPick(w.ctx, w.people["bob"], ch.ID, 0, "stable", ""); !fault.Is(err, fault.Refused) {
		t.Errorf("again: %v", err)
	}
	w.check()
}

func TestRevert(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	if _, err := w.review.Revert(w.ctx, w.people["bob"], ch.ID, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("of a change that has not landed: %v", err)
	}
	ch = w.land(ch.ID)
	w.moveOn("other", "something else altogether\n")
	h, err := w.review.Revert(w.ctx, w.people["bob"], ch.ID, "It broke.")
	w.must(err)
	made := w.load(h.Change.ID)
	want := fmt.Sprintf("Revert \"Add a\"\n\nThis reverts commit %s, by which change %d landed.\n\nReason for revert: It broke.\n\nChange-Id: %s\n", ch.LandedCommit, ch.ID, made.Key)
	if !h.New || made.Reverts != ch.ID || made.Owner != w.people["bob"].ID || h.PatchSet.Message != want {
		t.Errorf("change %+v, message %q", made, h.PatchSet.Message)
	}
	if _, err := w.git.FileAt(w.ctx, h.PatchSet.Commit, "a", 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := w.git.FileAt(w.ctx, h.PatchSet.Commit, "other", 100); err != nil {
		t.Error(err)
	}
	w.land(made.ID)
	again, err := w.review.Revert(w.ctx, w.people["bob"], made.ID, "")
	w.must(err)
	if again.Change.Subject != `Revert^2 "Add a"` {
		t.Errorf("subject %q", again.Change.Subject)
	}
	if _, err := w.review.Revert(w.ctx, w.people["bob"], ch.ID, ""); !fault.Is(err, fault.Refused) {
		t.Errorf("nothing is left to take back: %v", err)
	}
	w.moveOn("a", "mine\n")
	if _, err := w.review.Revert(w.ctx, w.people["bob"], ch.ID, ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fmt.Sprint(fault.Sentence(err)), "conflicts in a") {
		t.Errorf("a conflict: %v", err)
	}
	w.check()
}

func TestRetarget(t *testing.T) {
	w := newWorld(t)
	w.branch("stable")
	_, ch := w.propose("alice", "a")
	w.vote("bob", ch.ID, 1, 2)
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], ch.ID))
	if err := w.review.Retarget(w.ctx, w.people["bob"], ch.ID, "stable"); !fault.Is(err, fault.Denied) {
		t.Errorf("a stranger: %v", err)
	}
	w.must(w.review.Retarget(w.ctx, w.people["alice"], ch.ID, "stable"))
	now := w.load(ch.ID)
	if now.Branch != "stable" || now.SubmitBy != 0 || now.Current != 1 {
		t.Errorf("change %+v", now)
	}
	if len(w.votes(ch.ID)) != 0 || !strings.Contains(w.story(ch.ID), "Moved from main to stable\n\nVotes that no longer count: bob Code-Review+2") {
		t.Errorf("votes %+v, story %s", w.votes(ch.ID), w.story(ch.ID))
	}
	// Going back revives nothing.
	w.must(w.review.Retarget(w.ctx, w.people["alice"], ch.ID, "main"))
	if bound := review.Bound(w.load(ch.ID), w.patchSet(ch.ID, 1), w.votes(ch.ID)); len(bound) != 0 {
		t.Errorf("votes %+v count again", bound)
	}
	for branch, kind := range map[string]fault.Kind{"nowhere": fault.NotFound, "main": fault.Invalid} {
		if err := w.review.Retarget(w.ctx, w.people["alice"], ch.ID, branch); !fault.Is(err, kind) {
			t.Errorf("to %s: %v", branch, err)
		}
	}
	_, err := w.review.CherryPick(w.ctx, w.people["alice"], ch.ID, 0, "stable", "")
	w.must(err)
	if err := w.review.Retarget(w.ctx, w.people["alice"], ch.ID, "stable"); !fault.Is(err, fault.Conflict) {
		t.Errorf("its Change-Id is taken there: %v", err)
	}
	w.check()
}

func TestHashtags(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	ch := w.push(c, "alice", "main%t=one,hashtag=#two", "t=one")[0].Change
	tags := func() string {
		all, err := w.review.Hashtags(w.ctx, w.db.Read(), ch.ID)
		w.must(err)
		return strings.Join(all, " ")
	}
	if tags() != "one two" {
		t.Errorf("hashtags %s", tags())
	}
	w.must(w.review.SetHashtags(w.ctx, w.people["alice"], ch.ID, []string{"#three", "one"}, []string{"two", "none"}))
	if tags() != "one three" || !strings.Contains(w.story(ch.ID), "Hashtags: #two removed, #three added") {
		t.Errorf("hashtags %s, story %s", tags(), w.story(ch.ID))
	}
	if err := w.review.SetHashtags(w.ctx, w.people["bob"], ch.ID, []string{"x"}, nil); !fault.Is(err, fault.Denied) {
		t.Errorf("a stranger: %v", err)
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint(i))
	}
	for name, bad := range map[string][]string{"empty": {" # "}, "comma": {"a,b"}, "control": {"a\x1b[31m"}, "right to left": {"\u202eabc"}, "long": {strings.Repeat("x", 101)}, "many": many, "too many": many[:49]} {
		if err := w.review.SetHashtags(w.ctx, w.people["alice"], ch.ID, bad, nil); err == nil {
			t.Errorf("%s: it may", name)
		}
	}
	w.push(c, "alice", "main%t=four") // the same commit, with another word
	if tags() != "four one three" {
		t.Errorf("hashtags %s", tags())
	}
}
