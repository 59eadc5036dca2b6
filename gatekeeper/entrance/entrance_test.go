package entrance_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// From a ref that somebody pushed elsewhere to the commit on that primary.
func TestFromProposalToLandingElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	head := w.commit("a.txt", "a\n")
	w.proposes(7)
	w.look()
	open := w.open()
	if len(open) != 1 || open[0].Subject != "change a.txt" {
		t.Fatalf("%+v\n%+v", open, w.deliveries())
	}
	o, came, err := w.OriginOf(w.ctx, w.DB.Read(), open[0].ID)
	if err != nil || !came || o.Number != 7 || o.Head != head || o.Forge != entrance.Plain {
		t.Errorf("%+v %v %v", o, came, err)
	}
	w.look() // nothing moved: nothing is done again
	if n := len(w.deliveries()); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	w.approves("bob", open[0].ID)
	w.lands(open[0].ID)
	if w.here() != w.there() {
		t.Errorf("main is %s here and %s there", w.here(), w.there())
	}
	landed, err := w.bare.Commit(w.ctx, w.here())
	must(t, err)
	if len(landed.Parents) != 2 || landed.Parents[1] != head {
		t.Errorf("what landed is %+v", landed)
	}
	w.look()
	if all := w.open(); len(all) != 0 {
		t.Errorf("what landed came in again: %+v", all)
	}
}

// More commits are a stack; a newer head is the next patch sets; what is dropped is given up.
func TestAProposalMoves(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("a.txt", "a\n")
	w.commit("b.txt", "b\n", true)
	w.proposes(3)
	w.look()
	first := w.open()
	if len(first) != 2 {
		t.Fatalf("%+v %+v", first, w.deliveries())
	}
	w.commit("a.txt", "another a\n")
	w.proposes(3)
	w.look()
	now := w.open()
	if len(now) != 1 || now[0].ID != first[0].ID || now[0].Current != 2 {
		t.Fatalf("%+v", now)
	}
	if c := w.change(first[1].ID); c.Status != review.Abandoned {
		t.Errorf("%+v", c)
	}
	w.git("push", "-q", w.up, ":refs/pull/3/head")
	w.look()
	if len(w.open()) != 0 {
		t.Errorf("%+v", w.open())
	}
	w.proposes(3) // once more, as it was
	w.commit("a.txt", "a third\n")
	w.proposes(3)
	w.look()
	if now := w.open(); len(now) != 1 || now[0].ID != first[0].ID {
		t.Errorf("it is not taken up again: %+v %+v", now, w.deliveries())
	}
}

// An attack: a commit names itself a patch set of somebody's change, or an owner as its author.
func TestWhatACommitSaysGivesNoRights(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("a.txt", "a\n")
	w.proposes(1)
	w.look()
	victim := w.open()[0]
	w.git("checkout", "-q", "--detach", string(w.there()))
	w.write("evil.txt", "x\n")
	w.git("add", "-A")
	w.gitAs("carol", "commit", "-qm", "evil\n\nChange-Id: "+victim.Key+"\n")
	w.proposes(2)
	w.look()
	open := w.open()
	if len(open) != 2 || open[0].Current != 1 {
		t.Fatalf("%+v", open)
	}
	evil := open[1]
	if evil.Owner == w.people["carol"].ID || evil.Owner != w.e.Account {
		t.Errorf("it belongs to %d", evil.Owner)
	}
	w.approves("carol", evil.ID) // who is said to have written it
	w.until("the stages have passed", func() bool {
		for _, r := range w.explain(evil.ID).Requirements {
			if r.Kind == "gate" && r.Name == "tested" && r.State == string(plan.Open) {
				return true
			}
		}
		return false
	})
	if s := w.state(evil.ID); s != gatekeeper.Open {
		t.Errorf("%s with the vote of who wrote it", s)
	}
}

// A name there that an owner knows owns the change, and its approval is a vote, on that commit alone.
func TestAnApprovalThereMayCount(t *testing.T) {
	for name, c := range map[string]struct {
		reviews, login string
		vote           int
		old            bool
		want           int
	}{
		"counts":        {entrance.ReviewsCount, "bobby", 1, false, 2},
		"objects":       {entrance.ReviewsCount, "bobby", -1, false, -1},
		"not asked for": {"", "bobby", 1, false, 0},
		"a stranger":    {entrance.ReviewsCount, "mallory", 1, false, 0},
		"another head":  {entrance.ReviewsCount, "bobby", 1, true, 0},
		"the author":    {entrance.ReviewsCount, "alice-x", 1, false, 2}, // a vote, which the gate does not count
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(n *entrance.NewEntrance) { n.Reviews = c.reviews })
			must(t, w.SetPerson(w.ctx, w.e, "bobby", w.people["bob"].ID))
			must(t, w.SetPerson(w.ctx, w.e, "alice-x", w.people["alice"].ID))
			head := w.commit("a.txt", "a\n")
			w.proposes(1)
			w.tell(entrance.Notice{Kind: entrance.Proposed, Number: 1, Branch: "main", Author: "alice-x"}, "1")
			open := w.open()
			if len(open) != 1 || open[0].Owner != w.people["alice"].ID {
				t.Fatalf("%+v %+v", open, w.deliveries())
			}
			if c.old {
				head = git.OID(strings.Repeat("1", 40))
			}
			w.tell(entrance.Notice{Kind: entrance.Reviewed, Number: 1, Head: head, Login: c.login, Vote: c.vote}, "2")
			votes, err := w.Review.Votes(w.ctx, w.DB.Read(), open[0].ID)
			must(t, err)
			got := 0
			for _, v := range votes {
				got += v.Value
			}
			if got != c.want {
				t.Errorf("%+v, want %+d: %+v", votes, c.want, w.deliveries()[0])
			}
		})
	}
}

// tell has the entrance told something, and waits until it was acted upon.
func (w *world) tell(n entrance.Notice, name string) entrance.Delivery {
	w.t.Helper()
	must(w.t, n.Check())
	d, err := w.Take(w.ctx, w.e, entrance.Message{Name: name, Event: "test", Body: []byte(name), Notice: &n})
	must(w.t, err)
	w.settled()
	for _, now := range w.deliveries() {
		if now.ID == d.ID {
			return now
		}
	}
	w.t.Fatalf("delivery %s is gone", name)
	return d
}

// A late notice of an older head changes nothing: where the proposal is, git says.
func TestOrderIsGits(t *testing.T) {
	w := newWorld(t, nil)
	old := w.commit("a.txt", "a\n")
	newer := w.commit("a.txt", "newer\n")
	w.proposes(1)
	w.tell(entrance.Notice{Kind: entrance.Proposed, Number: 1, Branch: "main", Head: newer}, "second")
	w.tell(entrance.Notice{Kind: entrance.Proposed, Number: 1, Branch: "main", Head: old}, "first, late")
	open := w.open()
	if len(open) != 1 || open[0].Current != 1 {
		t.Fatalf("%+v", open)
	}
	set, err := w.Review.PatchSet(w.ctx, w.DB.Read(), open[0].ID, 1)
	if err != nil || set.Commit != newer {
		t.Errorf("%+v %v", set, err)
	}
}

func TestADeliveryCountsOnce(t *testing.T) {
	w := newWorld(t, nil)
	n := entrance.Notice{Kind: entrance.Pushed, Branch: "main"}
	take := func(name, body string) (entrance.Delivery, error) {
		return w.Take(w.ctx, w.e, entrance.Message{Name: name, Event: "push", Body: []byte(body), Notice: &n})
	}
	if d, err := take("one", "body"); err != nil || d.State != entrance.Verified {
		t.Fatalf("%+v %v", d, err)
	}
	for _, name := range []string{"one", "another name"} {
		if d, err := take(name, "body"); err != nil || d.State != entrance.Duplicate {
			t.Errorf("%s: %+v %v", name, d, err)
		}
	}
	if _, err := take("one", "another body"); !fault.Is(err, fault.Invalid) {
		t.Errorf("its name for another body: %v", err)
	}
	for range 500 { // refusals are kept within bounds, and take no name
		w.Refuse(w.ctx, w.e, "two", "push", "forged")
		w.ahead.Add(int64(10 * time.Second))
	}
	if d, err := take("two", "the real one"); err != nil || d.State != entrance.Verified {
		t.Errorf("%+v %v", d, err)
	}
	var rows int
	must(t, w.DB.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM entrance_deliveries WHERE state IN ('REJECTED', 'DUPLICATE')`).Scan(&rows))
	if rows == 0 || rows > 100 {
		t.Errorf("%d refusals are kept", rows)
	}
}

// The primary moves between the test and the landing: what was tested does not land on it.
func TestThePrimaryMoves(t *testing.T) {
	w := newWorld(t, func(n *entrance.NewEntrance) { n.Events = []entrance.Kind{entrance.Proposed} })
	w.commit("a.txt", "a\n")
	w.proposes(1)
	w.look()
	id := w.open()[0].ID
	theirs := w.commit("theirs.txt", "x\n")
	w.git("push", "-q", w.up, "HEAD:refs/heads/main")
	w.approves("bob", id)
	w.lands(id)
	if w.here() != w.there() {
		t.Fatalf("main is %s here and %s there", w.here(), w.there())
	}
	if in, err := w.bare.IsAncestor(w.ctx, theirs, w.here()); err != nil || !in {
		t.Errorf("theirs is lost: %v", err)
	}
	landed, err := w.bare.Commit(w.ctx, w.here())
	if err != nil || landed.Parents[0] != theirs {
		t.Errorf("it landed on %v, %v", landed.Parents, err)
	}
}

// A primary that was rewritten closes the branch until an owner accepts it.
func TestThePrimaryIsRewritten(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("a.txt", "a\n")
	w.proposes(1)
	w.look()
	id := w.open()[0].ID
	before := w.here()
	w.git("checkout", "-q", "--orphan", "other")
	w.git("commit", "-qm", "begin anew")
	w.git("push", "-q", "-f", w.up, "HEAD:refs/heads/main")
	w.look()
	w.until("it is seen", func() bool {
		all, err := w.Branches(w.ctx, w.e)
		must(t, err)
		return len(all) == 1 && all[0].State == entrance.Rewritten
	})
	w.approves("bob", id)
	must(t, w.control.Tick(w.ctx, w.repo.ID, "main"))
	if w.here() != before || w.state(id) == gatekeeper.Landed {
		t.Fatalf("main moved to %s", w.here())
	}
	if err := w.Accept(w.ctx, w.people["bob"], w.repo, w.e, "main"); !fault.Is(err, fault.Denied) {
		t.Errorf("bob accepts it: %v", err)
	}
	must(t, w.Accept(w.ctx, w.people["carol"], w.repo, w.e, "main"))
	w.until("main follows", func() bool { return w.here() == w.there() })
}

// A primary that does not take what lands is not asked again and again, and the change says why.
func TestThePrimaryRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.commit("a.txt", "a\n")
	w.proposes(1)
	w.look()
	id := w.open()[0].ID
	before := w.there()
	w.git("--git-dir", w.up, "config", "receive.denyCurrentBranch", "refuse")
	hook := w.up + "/hooks/update"
	w.git("init", "-q", "--bare", w.up) // makes hooks/
	must(t, writeHook(hook, "#!/bin/sh\necho x >> "+w.up+"/asked\necho protected >&2\nexit 1\n"))
	w.approves("bob", id)
	w.until("the refusal is known", func() bool {
		all, err := w.Branches(w.ctx, w.e)
		must(t, err)
		return len(all) == 1 && all[0].State == entrance.Refusing
	})
	for range 5 {
		must(t, w.control.Tick(w.ctx, w.repo.ID, "main"))
	}
	if asked := readFile(t, w.up+"/asked"); strings.Count(asked, "x") != 1 {
		t.Errorf("it was asked %d times", strings.Count(asked, "x"))
	}
	if w.here() != before || w.there() != before {
		t.Errorf("here %s, there %s, before %s", w.here(), w.there(), before)
	}
	if e := w.explain(id); e.State != gatekeeper.Queued || !strings.Contains(e.Summary, "the primary does not take it") {
		t.Errorf("%s: %s", e.State, e.Summary)
	}
	must(t, removeFile(hook))
	w.ahead.Add(int64(6 * time.Minute))
	must(t, w.control.Tick(w.ctx, w.repo.ID, "main"))
	w.lands(id)
}

// What somebody landed there without us is tested, and its changes have landed.
func TestWhatLandedThereIsTested(t *testing.T) {
	w := newWorld(t, nil)
	head := w.commit("a.txt", "a\n")
	w.proposes(1)
	w.look()
	id := w.open()[0].ID
	w.verdict.Store(string(plan.Failed))
	w.git("push", "-q", w.up, "HEAD:refs/heads/main") // somebody merges it there
	w.look()
	w.lands(id)
	if w.here() != head || w.change(id).LandedCommit != head {
		t.Errorf("main is %s, it landed as %s", w.here(), w.change(id).LandedCommit)
	}
	w.until("it is tested and red", func() bool {
		var state string
		err := w.DB.Read().QueryRowContext(w.ctx, `SELECT r.state FROM runs r JOIN entrance_runs x ON x.run_id = r.id WHERE x.commit_oid = $1`, string(head)).Scan(&state)
		return err == nil && state == string(gatekeeper.RunRefused)
	})
}

// Cut at any point of a landing, what was begun is finished, once.
func TestALandingThatWasCut(t *testing.T) {
	for _, at := range []string{"land.intent.written", "entrance.landed", "land.primary.moved", "land.ref.moved"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t, nil)
			w.commit("a.txt", "a\n")
			w.proposes(1)
			w.look()
			id := w.open()[0].ID
			cut := make(chan struct{}, 1)
			stop := func(name string) {
				if name == at {
					select {
					case cut <- struct{}{}:
						panic("cut at " + name) // the job's attempt ends here, as the process would
					default:
					}
				}
			}
			gatekeeper.CrashPoint, entrance.CrashPoint = stop, stop
			t.Cleanup(func() { gatekeeper.CrashPoint, entrance.CrashPoint = nil, nil })
			w.approves("bob", id)
			w.lands(id)
			if len(cut) != 1 {
				t.Fatal("it was not cut")
			}
			if w.here() != w.there() || w.change(id).LandedCommit != w.here() {
				t.Errorf("here %s, there %s, landed as %s", w.here(), w.there(), w.change(id).LandedCommit)
			}
			var landings int
			must(t, w.DB.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM landings WHERE state = 'landed'`).Scan(&landings))
			if landings != 1 {
				t.Errorf("it landed %d times", landings)
			}
		})
	}
}
