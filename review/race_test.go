package review_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Of pushes that race for one new key, one makes the change and the others become its next
// patch sets: every push that was told yes is held, and none twice.
func TestRacingPushesOfOneKey(t *testing.T) {
	w := newWorld(t)
	const pushers = 6
	prepared := make([]*review.Prepared, pushers)
	tips := make([]git.OID, pushers)
	for i := range pushers {
		c := w.clone()
		c.commit("a", fmt.Sprint(i), "Add a\n\nChange-Id: "+idA)
		tips[i] = git.OID(c.git("rev-parse", "HEAD"))
		var err error
		prepared[i], err = w.prepare(c, "alice", "main")
		w.must(err)
	}
	var wg sync.WaitGroup
	held := make([][]review.Held, pushers)
	for i := range pushers {
		wg.Go(func() {
			var err error
			if held[i], err = w.review.Hold(w.ctx, prepared[i]); err != nil && !fault.Is(err, fault.Conflict) {
				t.Errorf("push %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	w.check()
	seen := map[int]bool{}
	for i, h := range held {
		if h == nil {
			continue
		}
		ps := h[0].PatchSet
		if seen[ps.Number] || ps.Commit != tips[i] {
			t.Errorf("push %d got %+v", i, ps)
		}
		seen[ps.Number] = true
		stored, err := w.review.PatchSet(w.ctx, w.db.Read(), h[0].Change.ID, ps.Number)
		if err != nil || stored.Commit != tips[i] {
			t.Errorf("push %d was told yes, but patch set %d is %+v, %v", i, ps.Number, stored, err)
		}
	}
	if found, err := w.review.List(w.ctx, w.people["alice"], review.Filter{Key: idA}); err != nil || len(found) != 1 || found[0].Current != len(seen) {
		t.Errorf("found %+v, %v; want one change of %d patch sets", found, err, len(seen))
	}
}

// A second server on the same database and repositories: what the lock of one process cannot
// see, the refs and rows do.
func TestAnotherServerIsFaster(t *testing.T) {
	w := newWorld(t)
	other := &review.Service{DB: w.db, Accounts: w.review.Accounts, Repos: w.repos, Now: w.review.Now, URL: w.review.URL}
	c := w.clone()
	c.commit("a", "1", "Add a\n\nChange-Id: "+idA)
	mine, err := w.prepare(c, "alice", "main")
	w.must(err)
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	theirs, err := w.prepare(c, "alice", "main")
	w.must(err)
	once := false
	review.CrashPoint = func(name string) { // they push when our refs are made and our rows are not
		if name != "review.hold.refs" || once {
			return
		}
		once = true
		if _, err := other.Hold(w.ctx, theirs); err != nil {
			t.Error(err)
		}
	}
	defer func() { review.CrashPoint = nil }()
	held, err := w.review.Hold(w.ctx, mine)
	w.must(err)
	if held[0].New || held[0].PatchSet.Number != 2 {
		t.Errorf("held %+v: theirs was first", held)
	}
	w.check()
}

// The wait of a push between its refs and its rows is lost when the change is closed in it.
func TestChangeIsClosedDuringAPush(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	c.write("a", "2")
	c.git("commit", "-q", "--amend", "--no-edit")
	review.CrashPoint = func(name string) {
		if name == "review.hold.refs" && w.load(ch.ID).Status == review.Open {
			w.must(w.review.Abandon(w.ctx, w.people["alice"], ch.ID, ""))
		}
	}
	defer func() { review.CrashPoint = nil }()
	_, err := w.try(c, "alice", "main")
	refused(t, err, fault.Refused, fmt.Sprintf("change %d closed", ch.ID), "restore it")
	w.check()
}

var errCut = errors.New("cut")

// Wherever a push is cut, the next one of the same commits succeeds after the janitor, or is
// told that it is held already; nothing is held twice.
func TestHoldSurvivesBeingCut(t *testing.T) {
	for _, point := range []string{"review.hold.numbers", "review.hold.refs", "review.hold.rows"} {
		for _, again := range []bool{false, true} { // a new change, or a new patch set
			t.Run(fmt.Sprintf("%s %v", point, again), func(t *testing.T) {
				w := newWorld(t)
				c := w.clone()
				c.commit("a", "1", "Add a")
				if again {
					w.push(c, "alice", "main")
					c.write("a", "2")
					c.git("commit", "-q", "--amend", "--no-edit")
				}
				if !cutAt(w, c, point) {
					if again && point == "review.hold.numbers" {
						return // a patch set needs no new number
					}
					t.Fatalf("%s was not passed", point)
				}
				// a new process: no locks are left, the janitor runs first
				w.review = &review.Service{DB: w.db, Accounts: w.review.Accounts, Repos: w.repos, Now: w.review.Now, URL: w.review.URL}
				w.must(w.review.Janitor(w.ctx, w.repo))
				w.check()
				held, err := w.try(c, "alice", "main")
				if point == "review.hold.rows" {
					if said, _ := fault.Public(err); said != "no new changes" {
						t.Errorf("the retried push was told %q, %v", said, err)
					}
					return
				}
				want := 1
				if again {
					want = 2
				}
				if err != nil || held[0].PatchSet.Number != want {
					t.Errorf("held %+v, %v", held, err)
				}
				w.check()
			})
		}
	}
}

// cutAt pushes and ends the push like a kill at the crash point.
func cutAt(w *world, c *clone, point string) (cut bool) {
	prep, err := w.prepare(c, "alice", "main")
	w.must(err)
	review.CrashPoint = func(name string) {
		if name == point {
			panic(errCut)
		}
	}
	defer func() {
		review.CrashPoint = nil
		if r := recover(); r != nil {
			if r != errCut { //nolint:errorlint // the very value
				panic(r)
			}
			cut = true
		}
	}()
	_, err = w.review.Hold(w.ctx, prep)
	w.must(err)
	return false
}

// When the rows cannot be written the refs go away at once.
func TestHoldLeavesNothingBehindAnError(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a", "1", "Add a")
	prep, err := w.prepare(c, "alice", "main")
	w.must(err)
	ctx, cancel := context.WithCancel(w.ctx)
	review.CrashPoint = func(name string) {
		if name == "review.hold.refs" {
			cancel()
		}
	}
	defer func() { review.CrashPoint = nil }()
	if _, err := w.review.Hold(ctx, prep); err == nil {
		t.Error("a cancelled push was held")
	}
	w.check()
	review.CrashPoint = nil
	w.push(c, "alice", "main")
}

func TestJanitorKeepsWhatRowsKnow(t *testing.T) {
	w := newWorld(t)
	c, ch := w.propose("alice", "a")
	head := git.OID(c.git("rev-parse", "HEAD"))
	w.must(w.git.UpdateRefs(w.ctx, []git.RefUpdate{
		{Ref: review.HoldingRef(ch.ID, 2), Old: git.Zero, New: head},
		{Ref: review.HoldingRef(ch.ID+100, 1), Old: git.Zero, New: head},
		{Ref: "refs/changes/meta", Old: git.Zero, New: head},
	}, "test"))
	w.must(w.review.Janitor(w.ctx, w.repo))
	refs, err := w.git.Refs(w.ctx, "refs/changes/")
	w.must(err)
	var names []string
	for _, r := range refs {
		names = append(names, r.Name)
	}
	if want := fmt.Sprint([]string{review.HoldingRef(ch.ID, 1), "refs/changes/meta"}); fmt.Sprint(names) != want {
		t.Errorf("left %v, want %v", names, want)
	}
}

func TestHoldingRef(t *testing.T) {
	for _, test := range []struct {
		change int64
		ps     int
		want   string
	}{{1, 1, "refs/changes/01/1/1"}, {1234, 5, "refs/changes/34/1234/5"}, {100, 12, "refs/changes/00/100/12"}} {
		if got := review.HoldingRef(test.change, test.ps); got != test.want {
			t.Errorf("HoldingRef(%d, %d) = %s, want %s", test.change, test.ps, got, test.want)
		}
	}
}

// MarkLanded may be repeated by a repair after a crash: it counts once.
func TestMarkLandedTwice(t *testing.T) {
	w := newWorld(t)
	_, ch := w.propose("alice", "a")
	for _, commit := range []git.OID{"0123456789012345678901234567890123456789", "9999999999999999999999999999999999999999"} {
		w.transact(func(tx *db.Tx) error {
			return w.review.MarkLanded(w.ctx, tx, ch.ID, 1, commit, w.people["alice"].ID)
		})
	}
	now := w.load(ch.ID)
	if now.Status != review.Landed || now.LandedCommit != "0123456789012345678901234567890123456789" || now.LandedPS != 1 || now.ClosedAt.IsZero() {
		t.Errorf("change %+v", now)
	}
	if got, want := w.story(ch.ID), "Uploaded patch set 1\n---\nPatch set 1 landed as 0123456789012345678901234567890123456789"; got != want {
		t.Errorf("story %q", got)
	}
}
