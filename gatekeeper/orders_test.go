package gatekeeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

func (w *world) order(change int64) gatekeeper.Order {
	w.Helper()
	all, err := gatekeeper.Orders(w.ctx, w.db.Read(), []int64{change, change + 1000})
	w.must(err)
	if _, ok := all[change+1000]; ok {
		w.Fatal("there are orders about a change that does not exist")
	}
	return all[change]
}

// refused expects a no of a kind, with words in it.
func (w *world) refused(err error, kind fault.Kind, words string) {
	w.Helper()
	sentence, next := fault.Public(err)
	if !fault.Is(err, kind) || !strings.Contains(sentence+"; "+next, words) {
		w.Errorf("%v (next: %s), want %s with %q", err, next, kind, words)
	}
}

// told expects an event about the change, the newest of its kind, with this data.
func (w *world) told(change int64, kind string, data map[string]string) {
	w.Helper()
	all, err := event.OfChange(w.ctx, w.db.Read(), change, 0)
	w.must(err)
	var newest *event.Event
	for i, e := range all {
		if e.Kind == kind {
			newest = &all[i]
		}
	}
	if newest == nil {
		w.Fatalf("change %d has no event %s", change, kind)
	}
	if newest.Repo != w.repo.ID || fmt.Sprint(newest.Data) != fmt.Sprint(data) {
		w.Errorf("%s: repository %d, data %v, want %d, %v", kind, newest.Repo, newest.Data, w.repo.ID, data)
	}
}

func (w *world) message(change int64, words string) {
	w.Helper()
	all, err := w.review.Messages(w.ctx, w.db.Read(), change)
	w.must(err)
	for _, m := range all {
		if strings.Contains(m.Body, words) {
			return
		}
	}
	w.Errorf("no message on change %d says %q: %+v", change, words, all)
}

// A promotion counts for the patch set that it was given to; a hold stays until it is released.
func TestOrdersCountForWhatTheyWereGiven(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.fromTip()
	key := w.commit(0, "a.txt", "a\n")
	if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	id, alice, bob, carol := w.newest(), w.people["alice"], w.people["bob"], w.people["carol"]
	if got := w.order(id); got != (gatekeeper.Order{}) {
		t.Fatalf("nobody said anything, and yet %+v", got)
	}

	w.must(w.control.Promote(w.ctx, carol, id, false, " the release waits for it "))
	if got, want := w.order(id), (gatekeeper.Order{Priority: gatekeeper.PriorityPromoted, Promoted: "promoted by carol: the release waits for it"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.told(id, "queue.priority", map[string]string{"priority": "100", "by": "carol", "reason": "the release waits for it"})
	w.message(id, "carol promoted patch set 1: the release waits for it")

	w.must(w.control.Promote(w.ctx, carol, id, true, "production is down"))
	w.must(w.control.Hold(w.ctx, bob, id, ""))
	want := gatekeeper.Order{Priority: 1000, Promoted: "made a hotfix by carol: production is down", Held: "held by bob"}
	if got := w.order(id); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.told(id, "queue.held", map[string]string{"by": "bob"})

	w.fromTip()
	w.commit(key, "a.txt", "not what carol saw\n")
	if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	if got := w.order(id); got != (gatekeeper.Order{Held: "held by bob"}) {
		t.Errorf("after a new patch set: %+v, want only the hold", got)
	}
	w.refused(w.control.Demote(w.ctx, carol, id), fault.Conflict, "is not promoted")

	w.must(w.control.Promote(w.ctx, carol, id, true, "this too"))
	w.must(w.control.Demote(w.ctx, carol, id))
	w.told(id, "queue.priority", map[string]string{"priority": "0", "by": "carol"})
	w.must(w.control.Release(w.ctx, alice, id))
	w.told(id, "queue.released", map[string]string{"by": "alice"})
	w.refused(w.control.Release(w.ctx, alice, id), fault.Conflict, "gate why")
	if got := w.order(id); got != (gatekeeper.Order{}) {
		t.Errorf("all was taken back, and yet %+v", got)
	}
}

func TestOrdersAreRefused(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	id := w.propose("alice", "a.txt", "a\n")
	alice, bob, carol := w.people["alice"], w.people["bob"], w.people["carol"]

	w.refused(w.control.Promote(w.ctx, bob, id, false, "me first"), fault.Denied, "promote changes for main")
	w.refused(w.control.Promote(w.ctx, alice, id, true, "mine"), fault.Denied, "ask an owner of hello: carol")
	w.refused(w.control.Promote(w.ctx, carol, id, true, " "), fault.Invalid, "reason")
	w.refused(w.control.Hold(w.ctx, bob, id, strings.Repeat("x", gatekeeper.MaxOrderReason+1)), fault.TooLarge, "500")
	w.refused(w.control.Hold(w.ctx, bob, id, "two\nlines"), fault.Invalid, "one line")
	w.refused(w.control.Remove(w.ctx, alice, id, ""), fault.Conflict, "not in the queue")
	w.must(w.review.SetWIP(w.ctx, alice, id, true))
	w.refused(w.control.Requeue(w.ctx, alice, id), fault.Refused, "gate wip 1 --off")
	w.must(w.review.Abandon(w.ctx, alice, id, ""))
	w.refused(w.control.Hold(w.ctx, alice, id, ""), fault.Conflict, "abandoned")
	if got := w.order(id); got != (gatekeeper.Order{}) {
		t.Errorf("everything was refused, and yet %+v", got)
	}
}

// stopAt makes the server wait at a crash point until the test lets it go on.
func stopAt(w *world, point string) (reached <-chan struct{}, goOn func()) {
	at, on := make(chan struct{}), make(chan struct{})
	first := true // read only where the branch's lock is held
	gatekeeper.CrashPoint = func(name string) {
		if name == point && first {
			first = false
			close(at)
			<-on
		}
	}
	w.Cleanup(func() { gatekeeper.CrashPoint = nil })
	return at, func() { close(on) }
}

// What is landing is neither held nor removed: the answer must not promise what is too late.
func TestOrdersComeTooLateForALanding(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	reached, goOn := stopAt(w, "land.intent.written")
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	<-reached
	w.refused(w.control.Hold(w.ctx, w.people["alice"], id, ""), fault.Conflict, "landing now")
	w.refused(w.control.Remove(w.ctx, w.people["alice"], id, ""), fault.Conflict, "landing now")
	goOn()
	w.state(id, gatekeeper.Landed)
	w.refused(w.control.Remove(w.ctx, w.people["alice"], id, ""), fault.Conflict, "landed")
}

func TestRemovedTakesTheWishAlong(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	release := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-release; return passed() })
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Queued)
	w.must(w.control.Promote(w.ctx, w.people["carol"], id, false, "soon"))
	w.must(w.control.Hold(w.ctx, w.people["bob"], id, "let me look"))
	w.refused(w.control.Requeue(w.ctx, w.people["alice"], id), fault.Conflict, "gate queue why 1")

	w.must(w.control.Remove(w.ctx, w.people["alice"], id, "not on a Friday"))
	w.told(id, "queue.left", map[string]string{"reason": "removed by alice: not on a Friday"})
	w.told(id, "queue.released", map[string]string{"by": "alice"})
	w.message(id, "not on a Friday")
	if got := w.order(id); got != (gatekeeper.Order{}) {
		t.Errorf("it left with its orders, and yet %+v", got)
	}
	close(release)
	w.state(id, gatekeeper.Ready)
	w.refused(w.control.Remove(w.ctx, w.people["alice"], id, ""), fault.Conflict, "not in the queue")
	w.must(w.control.Requeue(w.ctx, w.people["bob"], id))
	w.state(id, gatekeeper.Landed)
}

// Requeue is for what the machinery or a flake spoilt: the same patch set gets another chance.
func TestRequeueTestsAnew(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.stages.set(w.but(failed))
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Refused)
	w.stages.set(nil)
	w.must(w.control.Requeue(w.ctx, w.people["bob"], id))
	w.message(id, "bob put patch set 1 into the queue again")
	w.state(id, gatekeeper.Landed)
}

func TestFreezes(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.must(w.bare.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/topic", Old: git.Zero, New: w.tip()}}, "test"))
	bob, carol, now := w.people["bob"], w.people["carol"], time.Now().Truncate(time.Second)
	freeze := func(branch, reason string, until time.Time) error {
		_, err := w.control.Freeze(w.ctx, carol, "hello", branch, reason, until)
		return err
	}
	frozen := func(policy *plan.Plan, now time.Time, wantReason string, wantUntil time.Time) {
		t.Helper()
		reason, until, err := gatekeeper.Freezes(w.ctx, w.db.Read(), w.repo.ID, "main", policy, now)
		w.must(err)
		if reason != wantReason || !until.Equal(wantUntil) {
			t.Errorf("%q until %v, want %q until %v", reason, until, wantReason, wantUntil)
		}
	}
	_, err := w.control.Freeze(w.ctx, bob, "hello", "main", "x", time.Time{})
	w.refused(err, fault.Denied, "freeze or thaw the branch main")
	_, err = w.control.Freeze(w.ctx, carol, "nowhere", "main", "x", time.Time{})
	w.refused(err, fault.NotFound, "no such repository")
	w.refused(freeze("main", "", time.Time{}), fault.Invalid, "reason")
	w.refused(freeze("main", "x", now.Add(-time.Hour)), fault.Invalid, "over already")
	w.refused(freeze("mian", "x", time.Time{}), fault.NotFound, "no branch mian")
	w.refused(freeze("topic", "x", time.Time{}), fault.Refused, "gate repo set hello --gated topic")
	w.refused(w.control.Thaw(w.ctx, carol, "hello", "main"), fault.Conflict, "gate queue show hello main")
	frozen(nil, now, "", time.Time{})

	w.must(freeze("main", "release week", time.Time{}))
	frozen(nil, now, "by carol: release week", time.Time{})
	end := now.Add(time.Hour)
	w.must(freeze("main", "release day", end))
	words := "by carol until " + end.UTC().Format("2006-01-02 15:04 UTC") + ": release day"
	frozen(nil, now, words, end)
	frozen(nil, end.Add(-time.Microsecond), words, end)
	frozen(nil, end, "", time.Time{})

	// together with what the plan itself closes
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
	from, to := now.Add(-24*time.Hour).UTC().Truncate(time.Minute), now.Add(24*time.Hour).UTC().Truncate(time.Minute)
	policy, problems := plan.Parse(plan.File, []byte(strings.Replace(how(plan.Merge), "how: merge", fmt.Sprintf(
		"how: merge, freeze: [{deny: %q, tz: UTC, reason: holidays}]", stamp(from)+"-"+stamp(to)), 1)))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	planned, _ := policy.Frozen(now)
	if planned == "" {
		t.Fatal("the plan closes nothing")
	}
	frozen(policy, now, words+"; "+planned, to)
	w.must(w.control.Thaw(w.ctx, carol, "hello", "main"))
	frozen(policy, now, planned, to)
	frozen(nil, now, "", time.Time{})
	w.must(freeze("main", "for good", time.Time{}))
	frozen(policy, now, "by carol: for good; "+planned, time.Time{})
}
