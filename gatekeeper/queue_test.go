package gatekeeper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	queue "gatehouse/gatekeeper/queue2"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/git"
)

// blocked makes every stage wait until it is released; started tells of each.
func (w *world) blocked() (started chan string, release func()) {
	started, open := make(chan string, 64), make(chan struct{})
	w.stages.set(func(r runner.Request) runner.Result {
		started <- string(r.Commit)
		<-open
		return passed()
	})
	return started, func() { close(open) }
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
			ids := w.waiting(5)
			started, release := w.blocked()
			w.submit(ids...)
			<-started
			<-started // both workers have a candidate
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
