package review_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// edit is an amendment that writes one file.
func edit(path, content string) review.Amendment {
	return review.Amendment{Files: []review.FileEdit{{Path: path, Content: []byte(content)}}}
}

func TestAmendFiles(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.vote("bob", ch.ID, 1, 2)
	a := edit("dir/b", "new\n")
	a.Title = "Edited in the browser"
	ps, err := w.review.Amend(w.ctx, w.people["carol"], ch.ID, 1, a)
	w.must(err)
	w.check()
	before, err := w.git.Commit(w.ctx, w.patchSet(ch.ID, 1).Commit)
	w.must(err)
	after, err := w.git.Commit(w.ctx, ps.Commit)
	w.must(err)
	if ps.Number != 2 || ps.Uploader != w.people["carol"].ID || ps.Description != a.Title || ps.Kind != review.KindRework {
		t.Errorf("patch set %+v", ps)
	}
	if after.Author != before.Author || after.Committer.Email != "carol@example.org" || after.Message != before.Message || after.Parents[0] != before.Parents[0] {
		t.Errorf("commit %+v", after)
	}
	for path, want := range map[string]string{"a": "1\n", "dir/b": "new\n"} {
		if got, err := w.git.FileAt(w.ctx, ps.Commit, path, 100); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	if now := w.load(ch.ID); now.Current != 2 || len(review.Bound(now, ps, w.votes(ch.ID))) != 0 {
		t.Errorf("change %+v: a vote on patch set 1 counts for 2", now)
	}
	if got := w.story(ch.ID); !strings.Contains(got, "Uploaded patch set 2\n\nVotes that no longer count: bob Code-Review+2\n\nEdited in the browser") {
		t.Errorf("story %s", got)
	}
	sets, err := w.review.PatchSets(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	carol, err := w.review.Accounts.ByName(w.ctx, w.db.Read(), "carol")
	w.must(err)
	if parts := review.Parts(sets, carol); fmt.Sprint(parts) != "[uploader committer]" {
		t.Errorf("carol has the parts %v: who edits a change cannot approve it", parts)
	}
}

func (w *world) patchSet(id int64, number int) review.PatchSet {
	w.t.Helper()
	ps, err := w.review.PatchSet(w.ctx, w.db.Read(), id, number)
	w.must(err)
	return ps
}

func TestAmendMessage(t *testing.T) {
	const other = "I0123456789012345678901234567890123456789"
	tests := []struct {
		name, message, want string // KEY stands for the change's
		kind                fault.Kind
	}{
		{"the line kept", "Add more\r\n\r\nChange-Id: KEY\r\n", "Add more\n\nChange-Id: KEY\n", 0},
		{"the line lost", "Add more", "Add more\n\nChange-Id: KEY\n", 0},
		{"beside other trailers", "Add more\n\nWhy: so\nBug: 1\n", "Add more\n\nWhy: so\nBug: 1\nChange-Id: KEY\n", 0},
		{"a paragraph that is none", "Add more\n\nsee: that\nnone here\n", "Add more\n\nsee: that\nnone here\n\nChange-Id: KEY\n", 0},
		{"another change", "Add more\n\nChange-Id: " + other, "", fault.Invalid},
		{"two lines", "Add more\n\nChange-Id: KEY\nChange-Id: " + other, "", fault.Invalid},
		{"in the wrong place", "Add more\n\nChange-Id: KEY\n\nText", "", fault.Invalid},
		{"empty", " \n ", "", fault.Invalid},
		{"NUL", "a\x00b", "", fault.Invalid},
		{"not UTF-8", "a\xffb", "", fault.Invalid},
		{"long", strings.Repeat("a", 65<<10), "", fault.TooLarge},
		{"the same", "Add a\n\nChange-Id: KEY", "", fault.Refused},
	}
	w := newWorld(t)
	w.review.Labels = func(context.Context, repo.Repository, string) ([]review.Label, error) {
		return []review.Label{{Name: "Code-Review", Min: -2, Max: 2, Copy: []string{review.KindMessageEdit}}}, nil
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, ch := w.propose("alice", "a")
			w.vote("bob", ch.ID, 1, 1)
			ps, err := w.review.Amend(w.ctx, w.people["alice"], ch.ID, 1, review.Amendment{Message: strings.ReplaceAll(tt.message, "KEY", ch.Key)})
			w.check()
			if tt.kind != 0 {
				if fault.KindOf(err) != tt.kind || w.load(ch.ID).Current != 1 {
					t.Fatalf("got %v, want %v", err, tt.kind)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			commit, err := w.git.Commit(w.ctx, ps.Commit)
			w.must(err)
			if want := strings.ReplaceAll(tt.want, "KEY", ch.Key); commit.Message != want || ps.Message != want || ps.Kind != review.KindMessageEdit {
				t.Errorf("kind %s, message %q, want %q", ps.Kind, commit.Message, want)
			}
			if bound := review.Bound(w.load(ch.ID), ps, w.votes(ch.ID)); len(bound) != 1 {
				t.Errorf("votes %+v: the label keeps them over an edit of the message", bound)
			}
		})
	}
}

func TestAmendRefuses(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	alice, bob := w.people["alice"], w.people["bob"]
	try := func(who string, base int, a review.Amendment) error {
		_, err := w.review.Amend(w.ctx, w.people[who], ch.ID, base, a)
		return err
	}
	tests := []struct {
		name string
		who  string
		base int
		a    review.Amendment
		kind fault.Kind
	}{
		{"a stranger", "bob", 1, edit("a", "2"), fault.Denied},
		{"nobody", "", 1, edit("a", "2"), fault.Unauthenticated},
		{"not current", "alice", 2, edit("a", "2"), fault.Conflict},
		{"nothing", "alice", 1, review.Amendment{}, fault.Invalid},
		{"the same", "alice", 1, edit("a", "1\n"), fault.Refused},
		{"a repository's folder", "alice", 1, edit("dir/.GIT/config", "x"), fault.Refused},
		{"up and away", "alice", 1, edit("../a", "x"), fault.Invalid},
		{"a device", "alice", 1, edit("aux.txt", "x"), fault.Refused},
		{"many files", "alice", 1, review.Amendment{Files: make([]review.FileEdit, 201)}, fault.TooLarge},
		{"large files", "alice", 1, edit("a", strings.Repeat("x", 8<<20+1)), fault.TooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := try(tt.who, tt.base, tt.a); fault.KindOf(err) != tt.kind || err == nil {
				t.Errorf("got %v, want %v", err, tt.kind)
			}
			w.check()
		})
	}
	w.review.CheckTip = func(_ context.Context, g *git.Repo, tip git.OID) error {
		_, err := g.FileAt(w.ctx, tip, "a", 100)
		return errors.Join(err, fault.New(fault.Refused, "test", "no", ""))
	}
	if err := try("alice", 1, edit("a", "2")); !strings.Contains(fmt.Sprint(err), "no") {
		t.Errorf("the gate's word was not asked: %v", err)
	}
	w.review.CheckTip = nil
	if now := w.load(ch.ID); now.Current != 1 {
		t.Fatalf("change %+v", now)
	}
	w.must(w.review.Abandon(w.ctx, alice, ch.ID, ""))
	if err := try("alice", 1, edit("a", "2")); !fault.Is(err, fault.Conflict) {
		t.Errorf("an abandoned change: %v", err)
	}
	_, err := w.review.Amend(w.ctx, bob, 999, 1, edit("a", "2"))
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("no such change: %v", err)
	}
}

// Of two edits of the same patch set one wins; the other is told, and nothing of it is lost on
// the way because nothing was written.
func TestAmendRace(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = w.review.Amend(w.ctx, w.people["alice"], ch.ID, 1, edit("a", fmt.Sprint(i)))
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !fault.Is(err, fault.Conflict):
			t.Errorf("got %v", err)
		}
	}
	if now := w.load(ch.ID); won != 1 || now.Current != 2 {
		t.Errorf("%d edits won, the change has %d patch sets", won, now.Current)
	}
	w.check()
}

// A change in the middle of a stack is amended alone, whatever became of those around it.
func TestAmendInAStack(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	c.commit("b", "1\n", "Add b")
	held := w.push(c, "alice", "main")
	w.must(w.review.Abandon(w.ctx, w.people["alice"], held[0].Change.ID, ""))
	ps, err := w.review.Amend(w.ctx, w.people["alice"], held[1].Change.ID, 1, edit("b", "2\n"))
	w.must(err)
	if ps.Parent != held[0].PatchSet.Commit {
		t.Errorf("its parent is %s", ps.Parent)
	}
	w.check()
}

// A change that is named by its topic stays it without a Change-Id.
func TestAmendTopicChange(t *testing.T) {
	w := newWorld(t)
	w.repo.TopicIdentity = true
	c := newClone(t, false)
	c.git("fetch", "-q", w.git.Dir(), "refs/heads/main")
	c.git("reset", "-q", "--hard", "FETCH_HEAD")
	c.commit("a", "1\n", "Add a")
	ch := w.push(c, "alice", "main%topic=t")[0].Change
	ps, err := w.review.Amend(w.ctx, w.people["alice"], ch.ID, 1, review.Amendment{Message: "Add a well"})
	w.must(err)
	if ps.Message != "Add a well\n" || ps.Change != ch.ID {
		t.Errorf("patch set %+v", ps)
	}
	_, err = w.review.Amend(w.ctx, w.people["alice"], ch.ID, 2, review.Amendment{Message: "Add\n\nChange-Id: I0123456789012345678901234567890123456789"})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("a message that names another change: %v", err)
	}
}
