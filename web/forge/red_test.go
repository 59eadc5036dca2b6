package forge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/review"
	"gatehouse/web/forge/forgetest"
)

func revertRed(n *entrance.NewEntrance) { n.RevertRed = true }

// lands brings HEAD to the primary past us, and says so.
func (w *world) landsThere(delivery string) string {
	w.t.Helper()
	before := w.here()
	head := w.git("rev-parse", "HEAD")
	w.git("push", "-q", w.vendor.Dir, "HEAD:refs/heads/main")
	name, body := w.vendor.Pushed("main", before, head)
	w.delivers(delivery, name, body)
	return head
}

// decided waits for what was decided about a red commit.
func (w *world) decided(commit string) entrance.Revert {
	w.t.Helper()
	var found entrance.Revert
	w.until("something is decided about "+commit, func() bool {
		all, err := w.Reverts(w.ctx, w.e)
		must(w.t, err)
		for _, v := range all {
			if string(v.Commit) == commit {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) told(commit, state string) {
	w.t.Helper()
	w.until(commit+" is told "+state, func() bool { return w.vendor.Latest(commit)["gatehouse/stages"] == state })
}

// What landed elsewhere and is red is proposed to be taken back, once, and that goes the way of
// every change: votes, stages, and the primary first.
func TestARedLandingIsTakenBack(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, revertRed)
	before := w.here()
	w.verdict.Store(string(plan.Failed))
	w.commit(1, "a.txt", "a\n")
	head := w.landsThere("d-1")
	v := w.decided(head)
	if v.Change == 0 || v.Branch != "main" || v.Reason != "" {
		t.Fatalf("%+v", v)
	}
	c, err := w.Review.Load(w.ctx, w.DB.Read(), v.Change)
	must(t, err)
	if c.Subject != `Revert "change a.txt"` || c.Owner != w.e.Account || c.SubmitBy != 0 {
		t.Errorf("%+v", c)
	}
	set, err := w.Review.PatchSet(w.ctx, w.DB.Read(), c.ID, 1)
	must(t, err)
	for _, want := range []string{"This reverts commit " + head + ".", "red: stage unit is FAILED\nhttp://gate.test/stage/", "Takes-Back-Red: " + head} {
		if !strings.Contains(set.Message, want) {
			t.Errorf("no %q in\n%s", want, set.Message)
		}
	}
	w.told(head, "failure")
	w.until("the forge hears of the revert", func() bool {
		for _, s := range w.vendor.Statuses() {
			if s.Commit == head && strings.Contains(s.Words, fmt.Sprintf("change %d takes it back", c.ID)) {
				return strings.HasPrefix(s.URL, "http://gate.test/stage/")
			}
		}
		return false
	})
	// The same again, by another name, and the job again: nothing is made twice.
	name, body := w.vendor.Pushed("main", before, head)
	body = append(body, ' ')
	if a := w.send(w.vendor.Request(w.hook(), "d-again", name, body)); a.Code != http.StatusAccepted {
		t.Fatalf("%+v", a)
	}
	w.settled()
	for range 2 {
		_, err := w.TakeBack(w.ctx, fmt.Sprint(v.Run))
		must(t, err)
	}
	if open := w.open(); len(open) != 1 || open[0].Current != 1 {
		t.Errorf("%+v", open)
	}
	w.verdict.Store("")
	must(t, w.control.Recheck(w.ctx, w.people["carol"], c.ID))
	w.tested(c.ID, plan.Open)
	w.approves("bob", c.ID)
	w.lands(c.ID)
	if w.here() != w.vendor.Tip("main") {
		t.Errorf("main is %s here and %s there", w.here(), w.vendor.Tip("main"))
	}
	had, err := w.bare.Commit(w.ctx, git.OID(before))
	must(t, err)
	has, err := w.bare.Commit(w.ctx, git.OID(w.here()))
	must(t, err)
	if had.Tree != has.Tree {
		t.Error("something of it is left")
	}
}

// Cut between the change and the row that says that it was made, the change is found again.
func TestATakeBackThatWasCut(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, revertRed)
	w.verdict.Store(string(plan.Failed))
	w.commit(1, "a.txt", "a\n")
	v := w.decided(w.landsThere("d-1"))
	_, err := w.DB.SQL().ExecContext(w.ctx, `DELETE FROM entrance_reverts`)
	must(t, err)
	_, err = w.TakeBack(w.ctx, fmt.Sprint(v.Run))
	must(t, err)
	if again := w.decided(string(v.Commit)); again.Change != v.Change || len(w.open()) != 1 {
		t.Errorf("%+v, then %+v", v, again)
	}
}

// What is not taken back says why: more was built on it, it stands on what is red, or it is
// about a revert of ours; and without the setting nothing is decided.
func TestWhatIsNotTakenBack(t *testing.T) {
	t.Run("it conflicts", func(t *testing.T) {
		w := newWorld(t, forgetest.GitHub, nil)
		w.verdict.Store(string(plan.Failed))
		w.commit(1, "a.txt", "a\n")
		head := w.landsThere("d-1")
		w.told(head, "failure")
		w.commit(2, "a.txt", "another a\n")
		next := w.landsThere("d-2")
		w.told(next, "failure")
		if all, err := w.Reverts(w.ctx, w.e); err != nil || len(all) != 0 || len(w.open()) != 0 {
			t.Errorf("not asked for: %+v %v", all, err)
		}
		var err error
		w.e, err = w.SetRevertRed(w.ctx, w.e, true)
		must(t, err)
		for _, run := range w.runsOf(head, next) {
			_, err := w.TakeBack(w.ctx, fmt.Sprint(run))
			must(t, err)
		}
		if v := w.decided(head); v.Change != 0 || !strings.Contains(v.Reason, "conflicts in a.txt") {
			t.Errorf("%+v", v)
		}
		if v := w.decided(next); v.Change != 0 || !strings.Contains(v.Reason, "was red already") {
			t.Errorf("%+v", v)
		}
	})
	for name, message := range map[string]func(red string, ours review.PatchSet) string{
		"the revert, merged by the forge": func(_ string, ours review.PatchSet) string { return ours.Message + "\n(#7)" },
		"a revert of the revert": func(_ string, ours review.PatchSet) string {
			return "Again\n\nThis reverts commit " + string(ours.Commit) + "."
		},
		"a revert of it as the forge made": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, forgetest.GitHub, revertRed)
			w.verdict.Store(string(plan.Failed))
			w.commit(1, "a.txt", "a\n")
			v := w.decided(w.landsThere("d-1"))
			ours, err := w.Review.PatchSet(w.ctx, w.DB.Read(), v.Change, 1)
			must(t, err)
			w.verdict.Store("") // what is between is green
			w.commit(2, "b.txt", "b\n")
			between := w.landsThere("d-2")
			w.told(between, "success")
			if message == nil {
				w.commit(3, "c.txt", "c\n")
				w.git("commit", "-q", "--amend", "-m", ours.Message)
				squashed := w.landsThere("d-3")
				w.told(squashed, "success")
				message = func(string, review.PatchSet) string { return "Again\n\nThis reverts commit " + squashed + "." }
			}
			w.verdict.Store(string(plan.Failed))
			w.commit(4, "d.txt", "d\n")
			w.git("commit", "-q", "--amend", "-m", message(string(v.Commit), ours))
			if got := w.decided(w.landsThere("d-4")); got.Change != 0 || !strings.Contains(got.Reason, "is about what was taken back before") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A red group of a merge queue has not landed: nothing is taken back.
func TestARedGroupIsNotTakenBack(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, revertRed)
	w.verdict.Store(string(plan.Failed))
	before := w.here()
	head := w.commit(1, "a.txt", "a\n")
	ref := "refs/heads/gh-readonly-queue/main/pr-7-" + before
	w.git("push", "-q", w.vendor.Dir, "HEAD:"+ref)
	body := fmt.Appendf(nil, `{"action":"checks_requested","repository":{"full_name":"acme/hello"},"merge_group":{"head_ref":%q,"head_sha":%q,"base_ref":"refs/heads/main","base_sha":%q}}`, ref, head, before)
	w.delivers("g-1", "merge_group", body)
	w.told(head, "failure")
	for _, run := range w.runsOf(head) {
		_, err := w.TakeBack(w.ctx, fmt.Sprint(run))
		must(t, err)
	}
	if all, err := w.Reverts(w.ctx, w.e); err != nil || len(all) != 0 || len(w.open()) != 0 {
		t.Errorf("%+v %v", all, err)
	}
}

// An attack: somebody proposes under the name that the revert would have, so that it never comes.
func TestARevertsNameIsTaken(t *testing.T) {
	w := newWorld(t, forgetest.GitHub, nil)
	w.verdict.Store(string(plan.Failed))
	w.commit(1, "a.txt", "a\n")
	head := w.landsThere("d-1")
	w.told(head, "failure")
	key := review.RevertOutside{Repo: w.repo, Branch: "main", To: git.OID(head)}.Name(0)
	w.commit(2, "b.txt", "b\n")
	w.git("commit", "-q", "--amend", "-m", "mine\n\nChange-Id: "+string(key))
	if r := w.push("alice"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	var err error
	w.e, err = w.SetRevertRed(w.ctx, w.e, true)
	must(t, err)
	_, err = w.TakeBack(w.ctx, fmt.Sprint(w.runsOf(head)[0]))
	must(t, err)
	v := w.decided(head)
	if c, err := w.Review.Load(w.ctx, w.DB.Read(), v.Change); err != nil || c.Owner != w.e.Account || c.Subject != `Revert "change a.txt"` {
		t.Errorf("%+v %v", c, err)
	}
	if e := w.explain(v.Change); e.State == gatekeeper.Landed {
		t.Error("it landed by itself")
	}
}

func (w *world) runsOf(commits ...string) (all []int64) {
	w.t.Helper()
	for _, commit := range commits {
		var id int64
		must(w.t, w.DB.Read().QueryRowContext(w.ctx, `SELECT MAX(run_id) FROM entrance_runs WHERE commit_oid = $1`, commit).Scan(&id))
		all = append(all, id)
	}
	return all
}
