package review_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

func TestPushMakesAChange(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a\n\nBecause.\n\nCo-authored-by: Dan <DAN@example.org>")
	held := w.push(c, "alice", "main%topic=t", "message=first try")
	if len(held) != 1 || !held[0].New || held[0].Unchanged {
		t.Fatalf("held %+v", held)
	}
	ch, ps := held[0].Change, held[0].PatchSet
	head := git.OID(c.git("rev-parse", "HEAD"))
	want := review.Change{ID: ch.ID, Repo: w.repo.ID, RepoName: "hello", Branch: "main", Key: c.id(), Topic: "t", Subject: "Add a",
		Owner: w.people["alice"].ID, Status: review.Open, Current: 1, CreatedAt: ch.CreatedAt, UpdatedAt: ch.CreatedAt}
	if d := cmp.Diff(want, ch); d != "" {
		t.Error(d)
	}
	if ps.Commit != head || ps.Number != 1 || ps.Kind != review.KindFirst || ps.Parents != 1 || ps.Description != "first try" ||
		ps.AuthorEmail != "alice@example.org" || fmt.Sprint(ps.CoAuthors) != "[dan@example.org]" || ps.DiffDigest == "" {
		t.Errorf("patch set %+v", ps)
	}
	stored, err := w.review.PatchSet(w.ctx, w.db.Read(), ch.ID, 1)
	w.must(err)
	if d := cmp.Diff(ps, stored); d != "" {
		t.Errorf("stored otherwise: %s", d)
	}
	if oid, err := w.git.RefOID(w.ctx, review.HoldingRef(ch.ID, 1)); err != nil || oid != head {
		t.Errorf("holding ref %s, %v", oid, err)
	}
	if got := w.story(ch.ID); got != "Uploaded patch set 1\n\nfirst try" {
		t.Errorf("story %q", got)
	}
	events, err := event.OfChange(w.ctx, w.db.Read(), ch.ID, 0)
	w.must(err)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	if fmt.Sprint(kinds) != "[change.created patchset.created]" {
		t.Errorf("events %v", kinds)
	}
	if job := w.jobs.all[len(w.jobs.all)-1]; job != repo.BranchJob(w.repo.ID, "main") {
		t.Errorf("job %+v", job)
	}
}

func TestPushOfTheSameKeyIsAPatchSet(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	w.vote("bob", ch.ID, 1, 2)
	w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], ch.ID))
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "-m", "Add a better\n\nChange-Id: "+ch.Key)
	held := w.push(c, "alice", "main")
	if len(held) != 1 || held[0].New || held[0].Change.ID != ch.ID || held[0].PatchSet.Number != 2 || held[0].PatchSet.Kind != review.KindRework {
		t.Fatalf("held %+v", held)
	}
	now := w.load(ch.ID)
	if now.Current != 2 || now.SubmitBy != 0 || !now.SubmitAt.IsZero() || now.Subject != "Add a better" {
		t.Errorf("change %+v: the wish to land was for patch set 1", now)
	}
	if fmt.Sprint(held[0].VotesVoided) != "[bob Code-Review+2]" {
		t.Errorf("voided %v", held[0].VotesVoided)
	}
	ps, err := w.review.PatchSet(w.ctx, w.db.Read(), ch.ID, 2)
	w.must(err)
	if bound := review.Bound(now, ps, w.votes(ch.ID)); len(bound) != 0 {
		t.Errorf("votes %+v count for patch set 2", bound)
	}
	if !strings.Contains(w.story(ch.ID), "Uploaded patch set 2\n\nVotes that no longer count: bob Code-Review+2") {
		t.Errorf("story %s", w.story(ch.ID))
	}
}

func TestPushOfASeriesIsAStack(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	c.commit("b", "1\n", "Add b")
	c.commit("c", "1\n", "Add c")
	held := w.push(c, "alice", "main")
	if len(held) != 3 || held[0].Change.Subject != "Add a" || held[2].Change.Subject != "Add c" {
		t.Fatalf("held %+v", held)
	}
	a, b, d := held[0].Change, held[1].Change, held[2].Change
	related := func(ch review.Change) string {
		st, err := w.review.Stack(w.ctx, w.db.Read(), w.load(ch.ID))
		w.must(err)
		var text []string
		for _, r := range st.Parents {
			text = append(text, fmt.Sprintf("on %s/%d %v %s", r.Change.Subject, r.PS, r.Outdated, r.Change.Status))
		}
		for _, r := range st.Children {
			text = append(text, fmt.Sprintf("below %s/%d %v", r.Change.Subject, r.PS, r.Outdated))
		}
		return strings.Join(text, ", ")
	}
	if got := related(b); got != "on Add a/1 false open, below Add c/1 false" {
		t.Errorf("stack of b: %s", got)
	}
	// Only the top is reworked: the changes below are left as they are.
	c.write("c", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	held = w.push(c, "alice", "main")
	if len(held) != 3 || !held[0].Unchanged || !held[1].Unchanged || held[2].PatchSet.Number != 2 {
		t.Fatalf("held %+v", held)
	}
	// The lowest is reworked alone: those above stand on an old patch set of it.
	top := c.git("rev-parse", "HEAD")
	c.git("checkout", "-q", "HEAD~2")
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	if got := related(b); got != "on Add a/1 true open, below Add c/2 false" {
		t.Errorf("stack of b: %s", got)
	}
	if got := related(a); got != "below Add b/1 true" {
		t.Errorf("stack of a: %s", got)
	}
	// A commit on top of the old stack is held too, and the old patch set of a is no news.
	c.git("checkout", "-q", top)
	c.commit("d", "1\n", "Add d")
	held = w.push(c, "alice", "main")
	if len(held) != 3 || held[2].Change.Subject != "Add d" || !held[2].New {
		t.Fatalf("held %+v", held)
	}
	w.must(w.review.Abandon(w.ctx, w.people["alice"], b.ID, ""))
	if got := related(d); got != "on Add b/1 false abandoned, below Add d/1 false" {
		t.Errorf("stack of c: %s", got)
	}
}

func TestPushOfAMergeHoldsEveryCommit(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.git("checkout", "-q", "-b", "side")
	c.commit("b", "1\n", "Add b")
	c.git("checkout", "-q", "main")
	c.commit("a", "1\n", "Add a")
	c.git("merge", "-q", "--no-ff", "--no-edit", "side")
	held := w.push(c, "alice", "main")
	if len(held) != 3 || held[2].PatchSet.Parents != 2 {
		t.Fatalf("held %+v", held)
	}
	st, err := w.review.Stack(w.ctx, w.db.Read(), held[2].Change)
	w.must(err)
	if len(st.Parents) != 2 || st.Parents[0].Change.Subject != "Add a" || st.Parents[1].Change.Subject != "Add b" {
		t.Errorf("stack %+v", st)
	}
}

func TestKindsOfPatchSets(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		do         func(w *world, c *clone)
	}{
		{"other content", review.KindRework, func(_ *world, c *clone) {
			c.write("a", "2\n")
			c.git("commit", "-q", "--amend", "--no-edit")
		}},
		{"only the message", review.KindMessageEdit, func(_ *world, c *clone) {
			c.git("commit", "-q", "--amend", "-m", "Add the file a\n\nChange-Id: "+c.id())
		}},
		{"only the parent", review.KindTrivialRebase, func(w *world, c *clone) { w.advance(c, "other", "x\n"); c.git("rebase", "-q", "FETCH_HEAD") }},
		{"parent and message", review.KindRework, func(w *world, c *clone) {
			w.advance(c, "other", "x\n")
			c.git("rebase", "-q", "FETCH_HEAD")
			c.git("commit", "-q", "--amend", "-m", "Add the file a\n\nChange-Id: "+c.id())
		}},
		{"parent and content", review.KindRework, func(w *world, c *clone) {
			w.advance(c, "other", "x\n")
			c.git("rebase", "-q", "FETCH_HEAD")
			c.write("a", "2\n")
			c.git("commit", "-q", "--amend", "--no-edit")
		}},
		{"only spaces", review.KindRework, func(_ *world, c *clone) {
			c.write("a", "1 \n")
			c.git("commit", "-q", "--amend", "--no-edit")
		}},
		{"only a mode", review.KindRework, func(_ *world, c *clone) {
			c.git("update-index", "--chmod=+x", "a")
			c.git("commit", "-q", "--amend", "--no-edit")
		}},
		{"another author", review.KindRework, func(_ *world, c *clone) {
			c.git("commit", "-q", "--amend", "--no-edit", "--author=Bob <bob@example.org>")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			c, _ := w.propose("alice", "a")
			test.do(w, c)
			held := w.push(c, "alice", "main")
			if got := held[len(held)-1].PatchSet; got.Kind != test.kind || got.Number != 2 {
				t.Errorf("patch set %d is %s, want %s", got.Number, got.Kind, test.kind)
			}
		})
	}
}

// advance lands a commit on main behind the gate's back; FETCH_HEAD is the new tip.
func (w *world) advance(c *clone, file, text string) {
	w.t.Helper()
	other := w.clone()
	other.write(file, text)
	other.git("commit", "-q", "-m", "Advance")
	other.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
}

func TestVotesAreKeptWhereTheLabelSaysSo(t *testing.T) {
	for _, test := range []struct {
		copy []string
		edit bool // the message; else a rebase
		kept bool
	}{
		{nil, false, false}, {nil, true, false},
		{[]string{"trivial-rebase"}, false, true}, {[]string{"trivial-rebase"}, true, false},
		{[]string{"message-edit"}, true, true}, {[]string{"message-edit"}, false, false},
	} {
		t.Run(fmt.Sprintf("%v %v", test.copy, test.edit), func(t *testing.T) {
			w := newWorld(t)
			label := review.DefaultLabel()
			label.Copy = test.copy
			w.review.Labels = func(_ context.Context, _ repo.Repository, _ string) ([]review.Label, error) {
				return []review.Label{label}, nil
			}
			c, ch := w.propose("alice", "a")
			w.vote("bob", ch.ID, 1, 2)
			if test.edit {
				c.git("commit", "-q", "--amend", "-m", "Add the file a\n\nChange-Id: "+c.id())
			} else {
				w.advance(c, "other", "x\n")
				c.git("rebase", "-q", "FETCH_HEAD")
			}
			h := w.push(c, "alice", "main")[0]
			bound := review.Bound(h.Change, h.PatchSet, w.votes(ch.ID))
			if kept := len(bound) == 1; kept != test.kept || (kept && bound[0].CopiedFrom != 1) || (len(h.VotesVoided) == 0) != test.kept {
				t.Errorf("bound %+v, voided %v", bound, h.VotesVoided)
			}
			// what was copied once stays the vote on patch set 1
			if test.kept && !test.edit {
				w.advance(c, "more", "x\n")
				c.git("rebase", "-q", "FETCH_HEAD")
				h = w.push(c, "alice", "main")[0]
				if bound = review.Bound(h.Change, h.PatchSet, w.votes(ch.ID)); len(bound) != 1 || bound[0].CopiedFrom != 1 || bound[0].PS != 3 {
					t.Errorf("bound %+v", bound)
				}
			}
		})
	}
}

func TestTopicIsAnIdentityWhereAllowed(t *testing.T) {
	w := newWorld(t)
	w.repo.TopicIdentity = true
	c := w.clone()
	c.git("config", "gerrit.createChangeId", "false")
	c.commit("a", "1\n", "Add a")
	ch := w.push(c, "alice", "main%topic=one")[0].Change
	if ch.Key != "topic:one" {
		t.Errorf("key %q", ch.Key)
	}
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	c.commit("b", "1\n", "Add b")
	held := w.push(c, "alice", "main%topic=one")
	if len(held) != 2 || held[0].Change.ID != ch.ID || held[0].PatchSet.Number != 2 || held[1].Change.Key != "topic/2:one" {
		t.Errorf("held %+v", held)
	}
	if held = w.push(c, "alice", "main%topic=one", "wait"); !held[0].Unchanged {
		t.Errorf("held %+v", held)
	}
	// the very commits stay the changes that they are, whatever topic they come with
	if held = w.push(c, "alice", "main%topic=two"); len(held) != 2 || held[0].Change.ID != ch.ID || held[0].Change.Key != "topic:one" || held[0].Change.Topic != "two" {
		t.Errorf("held %+v", held)
	}
}

func TestOptionsApplyToTheChanges(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	h := w.push(c, "alice", "main%wip,topic=x,r=bob,cc=carol@example.org,l=code-review+1")[0]
	ch := h.Change
	if !ch.WIP || ch.Topic != "x" {
		t.Errorf("change %+v", ch)
	}
	people, err := w.review.Reviewers(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	want := []review.Reviewer{{Account: w.people["bob"].ID}, {Account: w.people["carol"].ID, CC: true}}
	if d := cmp.Diff(want, people); d != "" {
		t.Error(d)
	}
	if v := w.votes(ch.ID); len(v) != 1 || v[0].Label != "Code-Review" || v[0].Value != 1 {
		t.Errorf("votes %+v", v)
	}
	// options alone are news, once
	if h = w.push(c, "alice", "main%ready,submit,topic=")[0]; !h.Unchanged || h.Change.WIP || h.Change.SubmitBy != w.people["alice"].ID || h.Change.Topic != "" {
		t.Errorf("held %+v", h)
	}
	if _, err := w.try(c, "alice", "main%ready,submit,topic="); err == nil {
		t.Error("the same options again were news")
	}
	// a new patch set takes the wish to land back, unless it asks too
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	if h = w.push(c, "alice", "main%submit")[0]; h.Change.SubmitBy == 0 || h.PatchSet.Number != 2 {
		t.Errorf("held %+v", h)
	}
	if h = w.push(c, "alice", "main%wip")[0]; !h.Change.WIP || h.Change.SubmitBy != 0 {
		t.Errorf("held %+v: work in progress does not land", h)
	}
}

func TestDirectPushAsksToLand(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	c.commit("b", "1\n", "Add b")
	prep, err := w.review.Prepare(w.ctx, review.Proposal{Repo: w.repo, Git: w.git, Actor: w.people["alice"], Branch: "main", Tip: w.send(c, "HEAD"), Direct: true})
	w.must(err)
	held, err := w.review.Hold(w.ctx, prep)
	w.must(err)
	for _, h := range held {
		if h.Change.SubmitBy != w.people["alice"].ID {
			t.Errorf("held %+v", h)
		}
	}
	if oid, err := w.git.RefOID(w.ctx, "refs/heads/main"); err != nil || oid == prepTip(held) {
		t.Errorf("main moved to %s, %v", oid, err)
	}
}

func prepTip(held []review.Held) git.OID { return held[len(held)-1].PatchSet.Commit }

func TestMaintainerMayAddAPatchSet(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	c.write("a", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	h := w.push(c, "carol", "main")[0]
	if h.Change.ID != ch.ID || h.Change.Owner != w.people["alice"].ID || h.PatchSet.Uploader != w.people["carol"].ID {
		t.Errorf("held %+v", h)
	}
}

// A stack's lower change that was committed anew without any difference is held again, so
// that the stack stands on what was pushed.
func TestNoChangeBelowAChangeIsHeld(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	c.commit("b", "1\n", "Add b")
	label := review.DefaultLabel()
	label.Copy = []string{review.KindMessageEdit}
	w.review.Labels = func(context.Context, repo.Repository, string) ([]review.Label, error) {
		return []review.Label{label}, nil
	}
	for _, h := range w.push(c, "alice", "main") {
		w.vote("bob", h.Change.ID, 1, 2)
	}
	c.env = append(c.env, "GIT_COMMITTER_DATE=2031-01-01T00:00:00Z")
	c.git("rebase", "-q", "-f", "HEAD~2")
	held := w.push(c, "alice", "main")
	if len(held) != 2 || held[0].PatchSet.Kind != review.KindNoChange || held[1].PatchSet.Kind != review.KindTrivialRebase {
		t.Errorf("held %+v", held)
	}
	if len(held[0].VotesVoided) != 0 || len(held[1].VotesVoided) != 1 {
		t.Errorf("voided %v and %v: no change keeps what a lesser edit would", held[0].VotesVoided, held[1].VotesVoided)
	}
}
