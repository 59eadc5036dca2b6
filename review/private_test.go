package review_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// sees reports what who gets to know of a change, on every way that this room has.
func (w *world) sees(who string, id int64) map[string]bool {
	w.t.Helper()
	actor := w.people[who]
	ways := map[string]bool{}
	_, err := w.review.Get(w.ctx, actor, id)
	ways["get"] = err == nil
	if err != nil {
		same := fault.Sentence(w.err2(w.review.Get(w.ctx, actor, 1<<40)))
		if strings.ReplaceAll(same, "1099511627776", "N") != strings.ReplaceAll(fault.Sentence(err), "change "+itoa(id), "change N") {
			w.t.Errorf("%s is told %q of a private change, and %q of none", who, fault.Sentence(err), same)
		}
	}
	list, err := w.review.List(w.ctx, actor, review.Filter{Repo: w.repo.ID})
	w.must(err)
	for _, c := range list {
		ways["list"] = ways["list"] || c.ID == id
	}
	for name, err := range map[string]error{
		"vote":     w.review.Vote(w.ctx, actor, id, 0, nil, "hello", nil),
		"hashtags": w.review.SetHashtags(w.ctx, actor, id, []string{"x"}, nil),
		"revert":   w.err3(w.review.Revert(w.ctx, actor, id, "")),
		"pick":     w.err3(w.review.CherryPick(w.ctx, actor, id, 0, "main", "")),
		"show":     w.review.SetPrivate(w.ctx, actor, id, false),
	} {
		ways[name] = !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Unauthenticated)
		if name == "show" && err == nil {
			w.must(w.review.SetPrivate(w.ctx, actor, id, true))
		}
	}
	unseen, err := w.review.Unseen(w.ctx, w.db.Read(), actor, w.repo.ID)
	w.must(err)
	ways["objects"] = len(unseen) == 0
	return ways
}

func (w *world) err2(_ review.Change, err error) error { return err }
func (w *world) err3(_ review.Held, err error) error   { return err }

// A private change does not exist for anybody but its owner, those who were asked, and
// administrators: not for those who maintain the repository either.
func TestPrivateIsNotSeen(t *testing.T) {
	w := newWorld(t)
	w.people[""] = account.Actor{}
	c := w.clone()
	c.commit("secret", "1\n", "Mend the hole")
	ch := w.push(c, "alice", "main%private,r=bob,cc=dan")[0].Change
	if !ch.Private {
		t.Fatalf("change %+v", ch)
	}
	for who, want := range map[string]bool{"alice": true, "bob": true, "dan": true, "root": true, "carol": false, "": false} {
		for way, got := range w.sees(who, ch.ID) {
			if got != want {
				t.Errorf("%q, %s: sees it: %v", who, way, got)
			}
		}
	}
	c.write("secret", "2\n")
	c.git("commit", "-q", "--amend", "--no-edit")
	_, err := w.try(c, "carol", "main")
	refused(t, err, fault.Denied, "cannot add patch set to "+itoa(ch.ID)+".", "only its owner")
	w.must(w.review.SetPrivate(w.ctx, w.people["alice"], ch.ID, false))
	if !w.sees("carol", ch.ID)["get"] {
		t.Error("it is shown, and carol does not see it")
	}
}

// What stands on a private change, or is below it, does not tell of it.
func TestPrivateInAStack(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	c.commit("b", "1\n", "Add b")
	held := w.push(c, "alice", "main")
	w.must(w.review.SetPrivate(w.ctx, w.people["alice"], held[0].Change.ID, true))
	st, err := w.review.Stack(w.ctx, w.db.Read(), held[1].Change)
	w.must(err)
	for who, want := range map[string]int{"alice": 1, "carol": 0} {
		seen, err := w.review.Seen(w.ctx, w.db.Read(), w.people[who], st)
		w.must(err)
		if len(seen.Parents) != want {
			t.Errorf("%s sees %d changes below", who, len(seen.Parents))
		}
	}
}

func TestPrivateDoesNotLand(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	alice := w.people["alice"]
	w.must(w.review.RequestSubmit(w.ctx, alice, ch.ID))
	w.must(w.review.SetPrivate(w.ctx, alice, ch.ID, true))
	if now := w.load(ch.ID); now.SubmitBy != 0 || !now.Private {
		t.Errorf("change %+v", now)
	}
	if err := w.review.RequestSubmit(w.ctx, alice, ch.ID); !fault.Is(err, fault.Refused) {
		t.Errorf("asked to land: %v", err)
	}
	_, err := w.try(c, "alice", "main%submit")
	refused(t, err, fault.Refused, "change "+itoa(ch.ID)+" is private and does not land", "remove-private")
	w.push(c, "alice", "main%submit,remove-private")
	if now := w.load(ch.ID); now.SubmitBy != alice.ID || now.Private {
		t.Errorf("change %+v", now)
	}
	for _, opts := range []string{"private,submit", "private,remove-private", "private,wait"} {
		if _, _, err := review.ParseOptions("refs/for/main%"+opts, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", opts, err)
		}
	}
	if _, err := w.prepare(c, "alice", "main%private", "submit"); !fault.Is(err, fault.Invalid) {
		t.Errorf("private and submit in two forms: %v", err)
	}
}

// A private change is picked as a private one.
func TestPrivatePick(t *testing.T) {
	w := newWorld(t)
	w.branch("stable")
	c := w.clone()
	c.commit("secret", "1\n", "Mend the hole")
	ch := w.push(c, "alice", "main%private")[0].Change
	h, err := w.review.CherryPick(w.ctx, w.people["alice"], ch.ID, 0, "stable", "")
	w.must(err)
	if !h.Change.Private {
		t.Errorf("change %+v", h.Change)
	}
}
func itoa(n int64) string { return fmt.Sprint(n) }
