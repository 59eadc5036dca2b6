package gatekeeper_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/repo"
)

func sharing(name string) string {
	return strings.Replace(how(plan.Merge), "how: merge", "how: merge, queue: "+name, 1)
}

// second is another repository of the same server, with a plan of its own.
func (w *world) second(planText string) *world {
	w.Helper()
	o := &world{TB: w.TB, ctx: w.ctx, db: w.db, people: w.people, account: w.account, review: w.review, repos: w.repos, bus: w.bus,
		control: w.control, jobs: w.jobs, stages: w.stages, serial: 100}
	var err error
	o.repo, err = w.repos.Create(w.ctx, repo.NewRepository{Name: "other", DefaultBranch: "main", Owner: w.people["carol"].ID})
	w.must(err)
	o.bare, err = w.repos.Open(o.repo)
	w.must(err)
	o.work = filepath.Join(w.TempDir(), "other")
	o.git("init", "-q", "-b", "main", o.work)
	o.write(plan.File, planText)
	o.git("add", "-A")
	o.git("commit", "-qm", "begin")
	if r := o.push("carol", "refs/heads/main", "HEAD"); r.Reason != "" {
		w.Fatalf("first push: %s", r.Reason)
	}
	return o
}

// depending proposes a change that depends on others, by their Change-Ids.
func (w *world) depending(id int, name string, on ...int) int64 {
	w.Helper()
	w.fromTip()
	w.write(name, "x\n")
	w.git("add", "-A")
	message := fmt.Sprintf("change %s\n\nChange-Id: I%040x", name, id)
	for _, other := range on {
		message += fmt.Sprintf("\nDepends-On: I%040x", other)
	}
	w.git("commit", "-qm", message)
	if r := w.push("alice", "refs/for/main", "HEAD"); r.Reason != "" {
		w.Fatalf("push of %s: %s", name, r.Reason)
	}
	return w.newest()
}

// agree gives a change all that it needs to land.
func (w *world) agree(change int64) {
	w.Helper()
	w.vote("bob", change, 2)
	w.submit(change)
}

// Changes of two repositories that depend on each other land in one landing, whatever cuts it.
func TestACycleOfRepositoriesLandsTogether(t *testing.T) {
	for _, point := range []string{"", "land.intent.written", "land.part.moved", "land.ref.moved", "land.outcome.written"} {
		t.Run(point, func(t *testing.T) {
			one := newWorld(t, sharing("both"))
			two := one.second(sharing("both"))
			a := one.depending(0xa, "a.txt", 0xb)
			b := two.depending(0xb, "b.txt", 0xa)
			one.agree(a)
			e := one.state(a, gatekeeper.Queued)
			if !strings.Contains(e.Summary, fmt.Sprintf("only together with change %d", b)) {
				t.Errorf("%q does not say that it waits for the other", e.Summary)
			}
			cut := one.cutAt(point)
			two.agree(b)
			first, second := one.state(a, gatekeeper.Landed), two.state(b, gatekeeper.Landed)
			if point != "" && !cut() {
				t.Fatalf("it was never at %s", point)
			}
			if first.LandedCommit != one.tip() || second.LandedCommit != two.tip() {
				t.Errorf("landed as %s and %s, the branches are at %s and %s", first.LandedCommit, second.LandedCommit, one.tip(), two.tip())
			}
			var groups int
			one.must(one.db.Read().QueryRowContext(one.ctx, `SELECT COUNT(DISTINCT group_id) FROM landings WHERE state = 'landed'`).Scan(&groups))
			if groups != 1 {
				t.Errorf("they landed in %d landings", groups)
			}
			one.audit()
			two.audit()
		})
	}
}

// cutAt panics once at a crash point; the engine survives that and looks again. cut tells
// whether it came to it.
func (w *world) cutAt(point string) (cut func() bool) {
	reached := make(chan struct{}, 1)
	if point != "" {
		gatekeeper.CrashPoint = func(name string) {
			if name != point {
				return
			}
			select {
			case reached <- struct{}{}:
				panic("crash at " + point)
			default: // once
			}
		}
	}
	w.Cleanup(func() { gatekeeper.CrashPoint = nil })
	return func() bool { return len(reached) == 1 }
}

// Where the queues differ a cycle waits, and says so; nothing of it lands.
func TestACycleOfTwoQueuesWaits(t *testing.T) {
	one := newWorld(t, sharing("mine"))
	two := one.second(sharing("yours"))
	a := one.depending(0xa, "a.txt", 0xb)
	b := two.depending(0xb, "b.txt", 0xa)
	one.agree(a)
	two.agree(b)
	one.stage(a, "unit", plan.Passed)
	two.stage(b, "unit", plan.Passed)
	for _, look := range []struct {
		w     *world
		id    int64
		other int64
	}{{one, a, b}, {two, b, a}} {
		look.w.must(look.w.control.Tick(look.w.ctx, look.w.repo.ID, "main"))
		e := look.w.explain(look.id)
		if e.State != gatekeeper.Queued || !strings.Contains(e.Summary, fmt.Sprintf("only together with change %d, which is not in the same queue", look.other)) {
			t.Errorf("change %d is %s: %s", look.id, e.State, e.Summary)
		}
	}
}

// A change waits for the one that it depends on, in whichever repository and queue.
func TestADependencyLandsFirst(t *testing.T) {
	one := newWorld(t, how(plan.Merge))
	two := one.second(how(plan.Merge))
	b := two.depending(0xb, "b.txt")
	a := one.depending(0xa, "a.txt", 0xb)
	one.agree(a)
	one.state(a, gatekeeper.Queued)
	one.stage(a, "unit", plan.Passed)
	one.must(one.control.Tick(one.ctx, one.repo.ID, "main"))
	if e := one.explain(a); e.State != gatekeeper.Queued {
		t.Fatalf("it is %s before what it depends on: %s", e.State, e.Summary)
	}
	two.agree(b)
	two.state(b, gatekeeper.Landed)
	one.state(a, gatekeeper.Landed)
}

// A message may name a change that comes later, in another repository: it waits until then.
func TestADependencyThatComesLater(t *testing.T) {
	one := newWorld(t, how(plan.Merge))
	two := one.second(how(plan.Merge))
	a := one.depending(0xa, "a.txt", 0xb)
	one.agree(a)
	one.stage(a, "unit", plan.Passed)
	one.must(one.control.Tick(one.ctx, one.repo.ID, "main"))
	if e := one.explain(a); e.State != gatekeeper.Open || !strings.Contains(e.Summary, "names no change") {
		t.Fatalf("it is %s: %s", e.State, e.Summary)
	}
	b := two.depending(0xb, "b.txt")
	one.state(a, gatekeeper.Queued)
	two.agree(b)
	one.state(a, gatekeeper.Landed)
}

// The changes of one topic land in one landing where the plan says so.
func TestATopicLandsTogether(t *testing.T) {
	w := newWorld(t, strings.Replace(how(plan.Merge), "how: merge", "how: merge, together: topic", 1))
	first := w.propose("alice", "one.txt", "1\n", "topic=t")
	second := w.propose("alice", "two.txt", "2\n", "topic=t")
	w.agree(first)
	w.state(first, gatekeeper.Queued)
	w.stage(first, "unit", plan.Passed)
	w.must(w.control.Tick(w.ctx, w.repo.ID, "main"))
	if e := w.explain(first); e.State != gatekeeper.Queued || !strings.Contains(e.Summary, "only together") {
		t.Fatalf("it is %s without the rest of its topic: %s", e.State, e.Summary)
	}
	w.agree(second)
	w.state(first, gatekeeper.Landed)
	w.state(second, gatekeeper.Landed)
	var groups int
	w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(DISTINCT group_id) FROM landings WHERE state = 'landed'`).Scan(&groups))
	if groups != 1 {
		t.Errorf("they landed in %d landings", groups)
	}
	w.audit()
}

// The branch of one part of a landing has moved: none of the parts lands.
func TestNoPartLandsAlone(t *testing.T) {
	one := newWorld(t, sharing("both"))
	two := one.second(sharing("both"))
	a, b := one.depending(0xa, "a.txt"), two.depending(0xb, "b.txt")
	one.stage(a, "unit", plan.Passed)
	two.stage(b, "unit", plan.Passed)
	one.must(one.control.Tick(one.ctx, one.repo.ID, "main"))
	one.must(one.control.Tick(one.ctx, two.repo.ID, "main"))
	one.still()
	one.agree(a)
	two.agree(b)
	one.must(one.control.Enqueue(one.ctx, one.repo.ID, "main", a))
	one.must(one.control.Enqueue(one.ctx, two.repo.ID, "main", b))
	before := one.tip()
	gatekeeper.CrashPoint = func(name string) {
		if name == "land.intent.written" { // somebody moves the second branch in this very moment
			two.git("push", "-q", two.bare.Dir(), "HEAD:refs/heads/main")
		}
	}
	t.Cleanup(func() { gatekeeper.CrashPoint = nil })
	two.git("checkout", "-q", "--detach", string(two.tip()))
	two.commit(0, "byhand.txt", "x\n")
	one.must(one.control.Carry(one.ctx, one.repo.ID, "main", func(s queue.State) []queue.Action {
		var parts []queue.Part
		for _, k := range s.Candidates {
			tip := one.tip()
			if k.Branch == gatekeeper.BranchName(two.repo.ID, "main") {
				tip = two.tip()
			}
			parts = append(parts, queue.Part{Branch: k.Branch, Old: string(tip), Candidates: []int64{k.ID}, Members: k.Members})
		}
		if len(parts) != 2 {
			t.Fatalf("candidates: %+v", s.Candidates)
		}
		return []queue.Action{queue.Land{Parts: parts}}
	}))
	if one.tip() != before {
		t.Error("the first part landed without the second")
	}
	var open, landed int
	one.must(one.db.Read().QueryRowContext(one.ctx, `SELECT COUNT(*) FROM landings WHERE state = 'intent'`).Scan(&open))
	one.must(one.db.Read().QueryRowContext(one.ctx, `SELECT COUNT(*) FROM landings WHERE state = 'landed'`).Scan(&landed))
	if open != 0 || landed != 0 {
		t.Errorf("%d intents are open and %d landed", open, landed)
	}
}
