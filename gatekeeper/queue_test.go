package gatekeeper_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// blocked makes every stage wait until it is released; started tells of each.
func (w *world) blocked() (started chan string, release func()) {
	started, open := make(chan string, 64), make(chan struct{})
	w.stages.set(func(r runner.Request) runner.Result {
		started <- string(r.Commit)
		<-open
		return passed()
	})
	release = sync.OnceFunc(func() { close(open) })
	w.Cleanup(release)
	return started, release
}

// waiting proposes changes with their votes, all tested and none of them asked to land.
func (w *world) waiting(n int) (ids []int64) {
	w.Helper()
	for i := range n {
		id := w.propose("alice", fmt.Sprintf("file%d.txt", i), "x\n")
		w.stage(id, "unit", plan.Passed)
		w.vote("bob", id, 2)
		ids = append(ids, id)
	}
	return ids
}

// queued puts changes into the queue whose first runs wait to be released.
func (w *world) queued(n int) (ids []int64, release func()) {
	w.Helper()
	started, release := w.blocked()
	for i := range n {
		id := w.propose("alice", fmt.Sprintf("file%d.txt", i), "x\n", "submit")
		w.vote("bob", id, 2)
		w.state(id, gatekeeper.Queued)
		ids = append(ids, id)
	}
	<-started
	return ids, release
}

func (w *world) submit(ids ...int64) {
	w.Helper()
	for _, id := range ids {
		w.must(w.review.RequestSubmit(w.ctx, w.people["alice"], id))
	}
}

// firstParents are the commits that the branch moved over, the newest first.
func (w *world) firstParents() (chain []git.OID) {
	w.Helper()
	for _, line := range strings.Fields(w.git("-C", w.bare.Dir(), "rev-list", "--first-parent", "refs/heads/main")) {
		chain = append(chain, git.OID(line))
	}
	return chain
}

// audit holds the branch to its promise: every commit that it moved over is that of a landed
// change, and a run passed on exactly it, executed or proven.
func (w *world) audit() {
	w.Helper()
	for _, oid := range w.firstParents()[:len(w.firstParents())-1] {
		var landed, passed int
		w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM landings WHERE new_oid = $1 AND state = 'landed'`, string(oid)).Scan(&landed))
		w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM landings l JOIN runs r ON r.id = l.run_id AND r.state = 'PASSED'
			JOIN candidates k ON k.id = r.candidate_id AND k.commit_oid = r.commit_oid
			JOIN candidate_changes m ON m.candidate_id = k.id AND m.role = 'member' AND m.change_id = l.change_id AND m.commit_oid = l.new_oid
			WHERE l.new_oid = $1 AND l.state = 'landed'`, string(oid)).Scan(&passed))
		if landed == 0 || passed != landed {
			w.Errorf("%s landed for %d changes, %d of them by a run that passed on it", oid.Short(), landed, passed)
		}
	}
}

// Many changes are tried at once, each lands once, and what the branch moved over was tested.
func TestManyLandTogether(t *testing.T) {
	for _, h := range []string{plan.Merge, plan.Rebase} {
		t.Run(h, func(t *testing.T) {
			w := newWorld(t, how(h))
			ids, release := w.queued(5)
			release()
			for _, id := range ids {
				w.state(id, gatekeeper.Landed)
			}
			w.audit()
			for i := range ids {
				w.git("-C", w.bare.Dir(), "cat-file", "-e", fmt.Sprintf("refs/heads/main:file%d.txt", i))
			}
		})
	}
}

// carry does actions under the locks of main.
func (w *world) carry(actions ...queue.Action) error {
	return w.control.Carry(w.ctx, w.repo.ID, "main", func(queue.State) []queue.Action { return actions })
}

func (w *world) main() string { return gatekeeper.BranchName(w.repo.ID, "main") }

func (w *world) queueState() queue.State {
	w.Helper()
	s, err := w.control.QueueState(w.ctx, w.repo.ID, "main")
	w.must(err)
	return s
}

// tried finds the candidate of the members on these in the queue's state.
func (w *world) tried(members, on []queue.Member) queue.Candidate {
	w.Helper()
	s := w.queueState()
	for _, k := range s.Candidates {
		if slices.Equal(k.Members, members) && slices.Equal(k.On, on) {
			return k
		}
	}
	w.Fatalf("no candidate of %v on %v in %+v", members, on, s.Candidates)
	return queue.Candidate{}
}

// An action asked for twice is done once, and the state that is rebuilt says what came of it.
func TestTryingIsIdempotent(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids := w.waiting(2)
	w.still()
	w.must(w.control.Enqueue(w.ctx, w.repo.ID, "main", ids...))
	one, two := member(ids[0]), member(ids[1])
	try := queue.Try{Branch: w.main(), Members: []queue.Member{two}, On: []queue.Member{one}, Attempt: 1}
	w.must(w.carry(try))
	first := w.tried(try.Members, try.On)
	if first.Run.State != queue.RunRunning || first.Base != string(w.candidate(plan.Merge, []queue.Member{one}, nil).Commit) {
		t.Errorf("%+v", first)
	}
	w.must(w.carry(try))
	if again := w.tried(try.Members, try.On); again.ID != first.ID || again.Run.ID != first.Run.ID {
		t.Errorf("asked again: %+v, was %+v", again, first)
	}
	w.must(w.carry(queue.Cancel{Candidate: first.ID, Run: first.Run.ID, Reason: "test"}))
	if k := w.tried(try.Members, try.On); k.Run.State != queue.RunNone {
		t.Errorf("cancelled: %+v", k.Run)
	}
	w.must(w.carry(queue.Cancel{Candidate: first.ID, Run: first.Run.ID, Reason: "test"}))
	w.must(w.carry(try))
	if k := w.tried(try.Members, try.On); k.Run.State != queue.RunRunning || k.Run.ID == first.Run.ID || k.Run.Refusals != 0 {
		t.Errorf("tried after it was cancelled: %+v", k.Run)
	}
}

// A vote that is withdrawn while its candidate runs takes the change out, and lands nothing
// of it; what was tried on top of it lands by itself.
func TestAVoteWithdrawnFromATrain(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids, release := w.queued(2)
	w.vote("bob", ids[0], 0)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	release()
	w.state(ids[1], gatekeeper.Landed)
	if e := w.explain(ids[0]); e.State != gatekeeper.Open {
		t.Errorf("without its approval it is %s", e.State)
	}
	if _, err := w.bare.FileAt(w.ctx, w.tip(), "file0.txt", 100); err == nil {
		t.Error("it landed with the other")
	}
	w.audit()
}

// A new patch set pushed while its candidate runs: the old one never lands.
func TestANewPatchSetWhileItsCandidateRuns(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids, release := w.queued(2)
	w.fromTip()
	w.commit(1, "file0.txt", "better\n")
	if r := w.push("alice", "refs/for/main", "HEAD", "submit"); r.Reason != "" {
		t.Fatal(r.Reason)
	}
	release()
	w.state(ids[1], gatekeeper.Landed)
	w.vote("bob", ids[0], 2)
	w.state(ids[0], gatekeeper.Landed)
	if text, err := w.bare.FileAt(w.ctx, w.tip(), "file0.txt", 100); err != nil || string(text) != "better\n" {
		t.Errorf("%q landed, %v", text, err)
	}
	w.audit()
}

// An administrator moves the branch around the queue: nothing lands that was tested on what is
// not there any more, and everything lands in the end.
func TestTheBranchIsMovedByHand(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids, release := w.queued(2)
	old := w.tip()
	w.git("checkout", "-q", "--detach", string(old))
	w.commit(0, "byhand.txt", "x\n")
	w.git("push", "-q", w.bare.Dir(), "HEAD:refs/heads/main")
	moved := w.tip()
	release()
	for _, id := range ids {
		e := w.state(id, gatekeeper.Landed)
		if ok, err := w.bare.IsAncestor(w.ctx, moved, e.LandedCommit); err != nil || !ok {
			t.Errorf("change %d landed as %s, which lacks what was moved in by hand", id, e.LandedCommit.Short())
		}
	}
	var n int
	w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM landings l JOIN runs r ON r.id = l.run_id JOIN candidates k ON k.id = r.candidate_id
		WHERE l.state = 'landed' AND k.base_oid = $1`, string(old)).Scan(&n))
	if n > 0 {
		t.Error("something landed by a run on the tip before")
	}
}

const lanesPlan = `version: 1
targets:
  one: {paths: [one/**]}
  two: {paths: [two/**]}
stages:
  unit: {run: "true", results: {gotest: unit.json}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [review, tested], how: merge, lanes: LANES}
`

// A plan that changes the lanes while changes wait: those are told anew.
func TestThePlanChangesLanesWhileChangesWait(t *testing.T) {
	w := newWorld(t, strings.Replace(lanesPlan, "LANES", "targets", 1))
	one := w.propose("alice", "one/a.txt", "x\n")
	w.stage(one, "unit", plan.Passed)
	w.vote("bob", one, 2)
	w.must(w.control.Hold(w.ctx, w.people["carol"], one, "the test holds it"))
	w.submit(one)
	w.state(one, gatekeeper.Queued)
	if e := w.queueState().Entries; len(e) != 1 || e[0].Barrier || !slices.Equal(e[0].Targets, []string{"one"}) {
		t.Fatalf("%+v", e)
	}
	change := w.propose("alice", plan.File, strings.Replace(lanesPlan, "LANES", "branch", 1), "submit")
	w.vote("bob", change, 2)
	w.state(change, gatekeeper.Landed)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e := w.queueState().Entries; len(e) != 1 || !e[0].Barrier || len(e[0].Targets) != 0 {
		t.Errorf("with one lane: %+v", e)
	}
	w.must(w.control.Release(w.ctx, w.people["carol"], one))
	w.state(one, gatekeeper.Landed)
	w.audit()
}

// A change of another lane lands though another landed below it since it was tested: its stages
// read nothing of that. They are not run again.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	w := newWorld(t, strings.Replace(lanesPlan, "LANES", "targets", 1))
	one, two := w.propose("alice", "one/a.txt", "x\n"), w.propose("alice", "two/a.txt", "x\n")
	for _, id := range []int64{one, two} {
		w.stage(id, "unit", plan.Passed)
		w.vote("bob", id, 2)
	}
	ran := len(w.stages.runs())
	w.submit(one)
	w.state(one, gatekeeper.Landed)
	w.submit(two)
	e := w.state(two, gatekeeper.Landed)
	if n := len(w.stages.runs()); n != ran {
		t.Errorf("%d stages ran again", n-ran)
	}
	if p := w.parents(e.LandedCommit); len(p) != 2 {
		t.Errorf("it landed as %s with parents %v", e.LandedCommit, p)
	}
	w.audit()
}

// A change that was refused with evidence can be fetched and tried by name, and comes back when
// it is rechecked.
func TestARefusalCanBeTried(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids := w.waiting(2)
	w.stages.set(w.but(failed))
	first := w.propose("alice", "more.txt", "x\n", "submit") // the tip moves on below it
	w.state(first, gatekeeper.Refused)
	w.stages.set(nil)
	w.submit(ids[1])
	w.state(ids[1], gatekeeper.Landed)
	w.stages.set(w.but(failed))
	w.submit(ids[0])
	e := w.state(ids[0], gatekeeper.Refused)
	at := strings.Index(e.Requirements[0].Next, "refs/gate/tested/")
	if at < 0 {
		t.Fatalf("nothing says how to try it: %+v", e.Requirements[0])
	}
	ref := strings.Fields(e.Requirements[0].Next[at:])[0]
	oid, err := w.bare.RefOID(w.ctx, ref)
	w.must(err)
	if _, err := w.bare.FileAt(w.ctx, oid, "file0.txt", 100); err != nil {
		t.Errorf("%s is not what was tested: %v", ref, err)
	}
	messages, err := w.review.Messages(w.ctx, w.db.Read(), ids[0])
	w.must(err)
	if !slices.ContainsFunc(messages, func(m review.Message) bool { return strings.Contains(m.Body, "git fetch http://gate.test/hello "+ref) }) {
		t.Errorf("no message says how to try it: %+v", messages)
	}
	w.stages.set(nil)
	w.must(w.control.Recheck(w.ctx, w.people["alice"], ids[0]))
	w.state(ids[0], gatekeeper.Landed)
	w.audit()
}

// Where the branch itself fails nobody leaves; the change says so, and the branch is looked at
// a few times and then rests.
func TestARedBranchPutsNobodyOut(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	w.stages.set(func(runner.Request) runner.Result { return failed() })
	release := w.heldBack()
	id := w.propose("alice", "a.txt", "a\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Queued)
	release()
	w.until(id, "it says that main is red", func(e gatekeeper.Explanation) bool {
		return strings.Contains(e.Summary, "main itself fails its stages")
	})
	bare := func() (n int) {
		w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM runs WHERE change_id = 0`).Scan(&n))
		return n
	}
	w.until(id, "the branch was looked at twice", func(gatekeeper.Explanation) bool { return bare() >= 2 })
	for range 10 {
		w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	}
	if n := bare(); n > 3 {
		t.Errorf("the branch was looked at %d times", n)
	}
	if e := w.explain(id); e.State != gatekeeper.Queued {
		t.Errorf("it is %s: %s", e.State, e.Summary)
	}
}

// heldBack keeps the verdicts that the test has set until they are released.
func (w *world) heldBack() (release func()) {
	open := make(chan struct{})
	w.stages.mu.Lock()
	verdict := w.stages.verdict
	w.stages.mu.Unlock()
	w.stages.set(func(r runner.Request) runner.Result {
		<-open
		return verdict(r)
	})
	release = sync.OnceFunc(func() { close(open) })
	w.Cleanup(release)
	return release
}
