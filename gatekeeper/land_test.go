package gatekeeper_test

import (
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/fault"
)

// alone stops the world with changes that were tested on the tip and wait in the queue.
func (w *world) alone(n int) (ids []int64) {
	w.Helper()
	ids = w.waiting(n)
	w.still()
	w.submit(ids...)
	w.must(w.control.Enqueue(w.ctx, w.repo.ID, "main", ids...))
	return ids
}

// landing is the order to land the candidates of changes by themselves, one on the other.
func (w *world) landing(ids ...int64) queue.Land {
	w.Helper()
	p := queue.Part{Branch: w.main(), Old: string(w.tip())}
	for _, id := range ids {
		k := w.tried([]queue.Member{member(id)}, nil)
		p.Candidates, p.Members = append(p.Candidates, k.ID), append(p.Members, k.Members...)
	}
	return queue.Land{Parts: []queue.Part{p}}
}

// Whatever the queue may ask for, only what was tested lands: two changes that were both tested
// on the tip, by stages that read everything, are not landed one on the other.
func TestWhatIsNotProvenDoesNotLand(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids := w.alone(2)
	before := w.tip()
	second := w.tried([]queue.Member{member(ids[1])}, nil)
	w.must(w.carry(w.landing(ids...)))
	if w.tip() != before {
		t.Fatalf("main moved to %s", w.tip())
	}
	for _, k := range w.queueState().Candidates {
		if k.ID == second.ID {
			t.Errorf("it counts still: %+v", k)
		}
	}
	w.must(w.carry(w.landing(ids[0]))) // the first is proven by itself
	if e := w.explain(ids[0]); e.State != gatekeeper.Landed || e.LandedCommit != w.tip() {
		t.Errorf("the first is %s", e.State)
	}
}

// Gates are judged again in the moment of landing, each change of a landing for itself.
func TestEveryGateIsAskedAtLanding(t *testing.T) {
	for name, spoil := range map[string]func(w *world, id int64){
		"a vote withdrawn": func(w *world, id int64) { w.vote("bob", id, 0) },
		"a veto":           func(w *world, id int64) { w.vote("carol", id, -2) },
		"a wish withdrawn": func(w *world, id int64) { w.must(w.review.WithdrawSubmit(w.ctx, w.people["alice"], id)) },
		"abandoned":        func(w *world, id int64) { w.must(w.review.Abandon(w.ctx, w.people["alice"], id, "")) },
		"work in progress": func(w *world, id int64) { w.must(w.review.SetWIP(w.ctx, w.people["alice"], id, true)) },
		"a voter disabled": func(w *world, _ int64) { w.disable("bob", true) },
		"held":             func(w *world, id int64) { w.must(w.control.Hold(w.ctx, w.people["alice"], id, "")) },
		"a new patch set": func(w *world, id int64) {
			w.fromTip()
			w.commit(w.serial, "file0.txt", "other\n")
			if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
				w.Fatal(r.Reason)
			}
		},
		"frozen": func(w *world, _ int64) {
			_, err := w.control.Freeze(w.ctx, w.people["carol"], "hello", "main", "release", time.Time{})
			w.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, how(plan.Merge))
			ids := w.alone(1)
			land := w.landing(ids[0])
			before := w.tip()
			spoil(w, ids[0])
			if err := w.carry(land); err != nil && !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
			if w.tip() != before {
				t.Errorf("it landed: %+v", w.explain(ids[0]))
			}
		})
	}
}

// A worker that reports for a run that was cancelled meanwhile is not heard.
func TestACancelledRunIsNotHeard(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	ids := w.alone(2)
	try := queue.Try{Branch: w.main(), Members: []queue.Member{member(ids[1])}, On: []queue.Member{member(ids[0])}, Attempt: 1}
	w.must(w.carry(try))
	k := w.tried(try.Members, try.On)
	w.must(w.control.Advance(w.ctx, k.Run.ID))
	stages, err := w.control.StagesOf(w.ctx, k.Run.ID)
	w.must(err)
	attempt, err := w.control.Claim(w.ctx, stages[0].ID)
	w.must(err)
	w.must(w.carry(queue.Cancel{Candidate: k.ID, Run: k.Run.ID, Reason: "the test cancels it"}))
	for range 2 {
		w.must(attempt.Report(w.ctx, passed()))
	}
	if stages, err = w.control.StagesOf(w.ctx, k.Run.ID); err != nil || stages[0].State != plan.Canceled {
		t.Errorf("%+v, %v", stages, err)
	}
	if k = w.tried(try.Members, try.On); k.Run.State != queue.RunNone {
		t.Errorf("the candidate has %+v", k.Run)
	}
	var kept int
	w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM stage_results WHERE stage_run_id = $1`, stages[0].ID).Scan(&kept))
	if kept != 0 {
		t.Error("its result was kept for others")
	}
}
