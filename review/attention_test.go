package review_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// turn is whose turn it is on a change: "alice: bob replied; carol: …", by name.
func (w *world) turn(id int64) string {
	w.t.Helper()
	all, err := w.review.Attention(w.ctx, w.db.Read(), id)
	w.must(err)
	found := map[string]string{}
	for _, a := range all {
		for name, who := range w.people {
			if who.ID == a.Account {
				by := ""
				for other, o := range w.people {
					if o.ID == a.By {
						by = other + " "
					}
				}
				found[name] = by + a.Reason
			}
		}
	}
	var parts []string
	for _, name := range []string{"alice", "bob", "carol", "dan", "root"} {
		if why, ok := found[name]; ok {
			parts = append(parts, name+": "+why)
		}
	}
	return strings.Join(parts, "; ")
}

func (w *world) ask(who string, id int64, cc bool, whom ...string) error {
	var ids []int64
	for _, name := range whom {
		ids = append(ids, w.people[name].ID)
	}
	return w.review.AddReviewers(w.ctx, w.people[who], id, ids, cc)
}

// One change's way, and whose turn it is at every step.
func TestWhoseTurn(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1\n", "Add a")
	ch := w.push(c, "alice", "main", "r=bob", "cc=dan")[0].Change
	alice, bob, carol := w.people["alice"], w.people["bob"], w.people["carol"]
	step := func(what, want string) {
		t.Helper()
		if got := w.turn(ch.ID); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	step("pushed with a reviewer", "bob: alice asked for a review")
	w.vote("bob", ch.ID, 1, -1)
	step("bob voted", "alice: bob voted Code-Review-1")
	w.must(w.review.Vote(w.ctx, alice, ch.ID, 1, nil, "why?", nil))
	step("alice answered", "bob: alice replied")
	w.vote("bob", ch.ID, 1, 2)
	w.vote("carol", ch.ID, 1, -1)
	step("two voted", "alice: carol voted Code-Review-1")
	c.write("a", "2\n")
	c.git("commit", "-q", "-a", "--amend", "--no-edit")
	w.push(c, "alice", "main")
	step("a new patch set voids both votes", "bob: alice uploaded patch set 2; carol: alice uploaded patch set 2")
	w.vote("bob", ch.ID, 2, 2)
	w.must(w.review.Vote(w.ctx, alice, ch.ID, 2, nil, "thanks", nil))
	step("bob is content and need not look again", "carol: alice replied")
	w.must(w.review.Vote(w.ctx, bob, ch.ID, 2, nil, "", []review.NewComment{{Path: "a", Line: 1, Body: "one more", Unresolved: true}}))
	comments, err := w.review.Comments(w.ctx, w.db.Read(), ch.ID)
	w.must(err)
	w.must(w.review.Vote(w.ctx, alice, ch.ID, 2, nil, "", []review.NewComment{{ReplyTo: comments[0].ID, Body: "done"}}))
	step("but his thread was answered", "bob: alice replied; carol: alice replied")
	w.must(w.review.TakeTurn(w.ctx, carol, ch.ID, carol.ID, ""))
	step("carol is done with it", "bob: alice replied")
	w.must(w.review.GiveTurn(w.ctx, bob, ch.ID, w.people["dan"].ID, "you know this  file"))
	w.must(w.review.Vote(w.ctx, w.people["root"], ch.ID, 2, nil, "I only say something", nil))
	w.must(w.review.TakeTurn(w.ctx, alice, ch.ID, alice.ID, ""))
	w.must(w.review.Vote(w.ctx, alice, ch.ID, 2, nil, "thank you", nil))
	step("a message alone is taking part", "bob: alice replied; carol: alice replied; dan: bob said: you know this file; root: alice replied")
	w.must(w.review.TakeTurn(w.ctx, carol, ch.ID, carol.ID, ""))
	w.must(w.review.RemoveReviewer(w.ctx, alice, ch.ID, w.people["root"].ID))
	step("by hand", "bob: alice replied; dan: bob said: you know this file")
	w.transact(func(tx *db.Tx) error { return w.review.NeedsMending(w.ctx, tx, ch.ID, "unit failed") })
	step("a gate refused", "alice: unit failed; bob: alice replied; dan: bob said: you know this file")
	w.must(w.review.RequestSubmit(w.ctx, alice, ch.ID))
	step("alice asked to land it", "bob: alice replied; dan: bob said: you know this file")
	w.transact(func(tx *db.Tx) error { return w.review.NeedsLanding(w.ctx, tx, ch.ID) })
	w.must(w.review.SetWIP(w.ctx, alice, ch.ID, true))
	step("work in progress", "")
	w.must(w.ask("alice", ch.ID, false, "root"))
	step("asked meanwhile", "")
	w.must(w.review.SetWIP(w.ctx, alice, ch.ID, false))
	step("ready again: all reviewers", "bob: alice made it ready for review; carol: alice made it ready for review; root: alice made it ready for review")
	w.must(w.review.RemoveReviewer(w.ctx, alice, ch.ID, w.people["root"].ID))
	step("root is no reviewer", "bob: alice made it ready for review; carol: alice made it ready for review")
	w.must(w.review.Abandon(w.ctx, alice, ch.ID, ""))
	step("abandoned", "")
	w.must(w.review.Vote(w.ctx, bob, ch.ID, 2, nil, "pity", nil))
	step("a closed change waits for nobody", "")
	w.must(w.review.Restore(w.ctx, alice, ch.ID, ""))
	step("restored", "bob: alice restored it; carol: alice restored it")
	w.must(w.review.Vote(w.ctx, bob, ch.ID, 2, nil, "@dan look, @nobody too", nil))
	step("mentioned", "alice: bob replied; carol: alice restored it; dan: bob mentioned you")
	w.transact(func(tx *db.Tx) error { return w.review.MarkLanded(w.ctx, tx, ch.ID, 2, "", alice.ID) })
	step("landed", "")
}

// Whose turn it is is told in the transaction that made it so, and not once more.
func TestAttentionIsTold(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	w.must(w.ask("alice", ch.ID, false, "bob"))
	w.must(w.ask("alice", ch.ID, false, "bob"))
	w.must(w.ask("alice", ch.ID, true, "bob"))
	all, err := event.OfChange(w.ctx, w.db.Read(), ch.ID, 0)
	w.must(err)
	var told []string
	for _, e := range all {
		if e.Kind == "attention" || strings.Contains(e.Kind, "reviewer") || e.Kind == "cc.added" {
			told = append(told, fmt.Sprint(e.Kind, e.Data["accounts"], e.Data["added"], e.Data["removed"]))
		}
	}
	bob := fmt.Sprint(w.people["bob"].ID)
	if got, want := fmt.Sprint(told), fmt.Sprintf("[reviewer.added%s attention%s]", bob, bob); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got := w.turn(ch.ID); got != "bob: alice asked for a review" {
		t.Error(got)
	}
}

func TestReviewersAreRefused(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	refused(t, w.ask("alice", ch.ID, false), fault.Invalid, "nobody is named", "name an account")
	refused(t, w.ask("bob", ch.ID, false, "alice"), fault.Invalid, "the owner of a change does not review it", "ask somebody else")
	refused(t, w.review.RemoveReviewer(w.ctx, w.people["alice"], ch.ID, w.people["dan"].ID), fault.NotFound, "dan is no reviewer of change "+fmt.Sprint(ch.ID), "")
	w.must(w.ask("alice", ch.ID, false, "dan"))
	if err := w.review.RemoveReviewer(w.ctx, w.people["bob"], ch.ID, w.people["dan"].ID); !fault.Is(err, fault.Denied) {
		t.Errorf("bob removes a reviewer of alice's: %v", err)
	}
	w.must(w.review.RemoveReviewer(w.ctx, w.people["dan"], ch.ID, w.people["dan"].ID))
	if err := w.ask("", ch.ID, false, "dan"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a stranger asks: %v", err)
	}
	w.must(w.review.Abandon(w.ctx, w.people["alice"], ch.ID, ""))
	if err := w.ask("alice", ch.ID, false, "dan"); !fault.Is(err, fault.Conflict) {
		t.Errorf("on an abandoned change: %v", err)
	}
	hidden, err := w.repos.Create(w.ctx, repo.NewRepository{Name: "hidden", Private: true})
	w.must(err)
	w.repo = hidden
	w.grant("alice", account.RoleWrite)
	w.git, err = w.repos.Open(hidden)
	w.must(err)
	c := newClone(t, true)
	c.commit("x", "1", "Start")
	c.git("push", "-q", w.git.Dir(), "HEAD:refs/heads/main")
	c.commit("y", "1", "Hide")
	prep, err := w.prepare(c, "alice", "main")
	w.must(err)
	held, err := w.review.Hold(w.ctx, prep)
	w.must(err)
	id := held[0].Change.ID
	refused(t, w.ask("alice", id, false, "dan"), fault.Invalid, fmt.Sprintf("dan cannot see change %d", id), "gate repo grant hidden --to dan")
	if err := w.review.GiveTurn(w.ctx, w.people["alice"], id, w.people["dan"].ID, ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("attention for who cannot see it: %v", err)
	}
	if err := w.review.TakeTurn(w.ctx, w.people["dan"], id, w.people["dan"].ID, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("dan acts on what he cannot see: %v", err)
	}
	w.must(w.review.Vote(w.ctx, w.people["alice"], id, 1, nil, "@dan psst", nil))
	if got := w.turn(id); got != "" {
		t.Errorf("attention of a hidden change: %s", got)
	}
}
