package gatekeeper_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

// placePlan has one environment of each class, and a lock.
const placePlan = `version: 1
artifacts:
  server: {type: file}
locks: {printer: 1}
environments:
  look: {class: ephemeral, ttl: 1h}
  production: {class: standing, promote: {mode: hand}, rollback: {when: [deploy-failed]}}
stages:
  build: {run: "go build", produces: {server: hello}}
  one: {run: "print one", locks: [printer]}
  two: {run: "print two", locks: [printer]}
  look: {after: [build], environment: look, deploy: {artifact: server, run: ./server, ready: {http: /, within: 5s}}}
  production: {after: [land], environment: production, deploy: {artifact: server, run: ./server, ready: {http: /, within: 5s}}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  all: {after: [build, one, two, look], require: [{stages: passed}]}
land: {after: [review, all], how: merge}
`

// Two stages that hold one lock never run together, and both run.
func TestALockIsHeldByOne(t *testing.T) {
	w := newWorld(t, placePlan)
	began, let := make(chan string, 2), make(chan struct{})
	build := w.builds(0)
	w.stages.set(func(r runner.Request) runner.Result {
		if r.Stage.Name == "one" || r.Stage.Name == "two" {
			began <- r.Stage.Name
			<-let
		}
		return build(r)
	})
	id := w.propose("alice", "version.txt", "one\n")
	first := <-began
	other := map[string]string{"one": "two", "two": "one"}[first]
	w.until(id, other+" says what it waits for", func(e gatekeeper.Explanation) bool {
		return strings.Contains(reason(e, other), "waits for the lock printer, which "+first)
	})
	select {
	case second := <-began:
		t.Fatalf("%s began beside %s", second, first)
	default:
	}
	let <- struct{}{}
	if second := <-began; second != other {
		t.Fatalf("%s began after %s", second, first)
	}
	let <- struct{}{}
	w.settledStages(id, "one", "two", "build", "look")
}

// land has a version land, with a preview on the way.
func (w *world) landed(version string) int64 {
	w.Helper()
	id := w.propose("alice", "version.txt", version+"\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
	return id
}

func TestNothingEntersBeforeSomebodyAsks(t *testing.T) {
	w := newWorld(t, placePlan)
	w.stages.set(w.builds(0))
	id := w.landed("one")
	w.waits("production", "somebody must ask")
	if _, err := w.delivery.Promote(w.ctx, w.people["alice"], w.place(), deliver.Ask{Environment: "production"}); !fault.Is(err, fault.Denied) {
		t.Errorf("alice may promote: %v", err)
	}
	p, _, err := w.control.PlanAt(w.ctx, w.repo, "main")
	w.must(err)
	production, _ := p.Environment("production")
	if _, err := w.delivery.RollBack(w.ctx, w.people["carol"], w.place(), production, deliver.Ask{Environment: "production", Reason: "x"}); !fault.Is(err, fault.Refused) {
		t.Errorf("a rollback to nothing: %v", err)
	}
	w.must(w.delivery.Give(w.ctx, w.people["carol"], w.place(), deliver.Order{Environment: "production", Kind: deliver.OrderFreeze, Reason: "the fair"}))
	_, err = w.delivery.Promote(w.ctx, w.people["carol"], w.place(), deliver.Ask{Environment: "production"})
	w.must(err)
	w.waits("production", "frozen (by carol: the fair)")
	w.must(w.delivery.Lift(w.ctx, w.people["carol"], w.place(), "production", deliver.OrderFreeze, ""))
	first := w.serving("production", id).Current.Digest

	second := w.landed("two")
	w.waits("production", "somebody must ask")
	_, err = w.delivery.Promote(w.ctx, w.people["carol"], w.place(), deliver.Ask{Environment: "production"})
	w.must(err)
	w.serving("production", second)
	_, err = w.delivery.RollBack(w.ctx, w.people["carol"], w.place(), production, deliver.Ask{Environment: "production", Reason: "the colours are wrong"})
	w.must(err)
	v := w.serving("production", id)
	if v.Current.Digest != first || v.Current.Kind != promote.Rollback || v.Current.By != "carol" {
		t.Errorf("after the rollback it is %+v", v.Current)
	}
}

// A server that dies in the middle of a deploy leaves an environment that is entered again.
func TestADeployOfADeadServerIsDoneAgain(t *testing.T) {
	w := newWorld(t, placePlan)
	w.stages.set(w.builds(0))
	id := w.landed("one")
	w.waits("production", "somebody must ask")
	began, never := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(never) })
	w.driver.Tell(func(s assembly.Spec) error {
		if s.Environment == "production" {
			close(began)
			<-never // the process is killed here
		}
		return nil
	})
	_, err := w.delivery.Promote(w.ctx, w.people["carol"], w.place(), deliver.Ask{Environment: "production"})
	w.must(err)
	<-began
	w.driver.Tell(nil)
	w.restart()
	w.pass(promote.RetryPause + time.Second)
	w.must(w.wakeDelivery()) // and not when the alarm rings by the machine's clock
	v := w.serving("production", id)
	if v.Current.Attempts != 2 {
		t.Errorf("it took %d attempts", v.Current.Attempts)
	}
	w.environment("production", "what the dead server began is gone", func(v deliver.View) bool { return len(v.Running) == 1 })
}

// restart plays another process on the same rows: the old one never reports again.
func (w *world) restart() {
	w.Helper()
	_, err := w.db.SQL().ExecContext(w.ctx, `UPDATE stage_runs SET owner = 'dead' WHERE state = 'RUNNING'`)
	w.must(err)
	_, err = w.db.SQL().ExecContext(w.ctx, `UPDATE assemblies SET owner = 'dead'`)
	w.must(err)
	w.must(w.control.Recover(w.ctx))
}

// What serves is taken over by the next process, and what ends by itself is seen.
func TestAssembliesOutliveTheServer(t *testing.T) {
	w := newWorld(t, placePlan)
	w.stages.set(w.builds(0))
	id := w.landed("one")
	w.waits("production", "somebody must ask")
	_, err := w.delivery.Promote(w.ctx, w.people["carol"], w.place(), deliver.Ask{Environment: "production"})
	w.must(err)
	a := w.serving("production", id).Assembly
	w.restart()
	w.environment("production", "it was taken over", func(deliver.View) bool {
		w.driver.mu.Lock()
		defer w.driver.mu.Unlock()
		return strings.Contains(strings.Join(w.driver.told, "\n"), "adopt production")
	})
	w.driver.mu.Lock()
	w.driver.health[a.ID] = assembly.Health{State: assembly.Degraded, Words: "it answers 500"}
	w.driver.mu.Unlock()
	w.environment("production", "it is seen to be unwell", func(v deliver.View) bool {
		return v.Assembly.State == deliver.AssemblyDegraded && v.Assembly.Reason == "it answers 500" && v.Assembly.ReadySince.IsZero()
	})
	w.driver.mu.Lock()
	delete(w.driver.health, a.ID)
	w.driver.mu.Unlock()
	w.environment("production", "it is well again", func(v deliver.View) bool { return v.Assembly.State == deliver.AssemblyReady })
}

// A preview ends when its time is over, or its change is given up.
func TestPreviewsEnd(t *testing.T) {
	w := newWorld(t, placePlan)
	w.stages.set(w.builds(0))
	looks := func(id int64, n int) {
		t.Helper()
		w.until(id, "its previews are as expected", func(gatekeeper.Explanation) bool {
			all, err := deliver.OfChange(w.ctx, w.db.Read(), id)
			w.must(err)
			return len(all) == n && (n == 0 || all[0].State == deliver.AssemblyReady)
		})
	}
	first := w.propose("alice", "version.txt", "one\n")
	second := w.propose("alice", "other.txt", "two\n")
	_ = second
	w.settledStages(first, "look")
	looks(first, 1)
	w.must(w.review.Abandon(w.ctx, w.people["alice"], first, ""))
	w.must(w.wakeDelivery())
	looks(first, 0)
	third := w.propose("alice", "version.txt", "three\n")
	w.settledStages(third, "look")
	looks(third, 1)
	w.pass(time.Hour)
	w.must(w.wakeDelivery())
	looks(third, 0)
}

func (w *world) wakeDelivery() error {
	_, err := w.control.Deliver(w.ctx, w.repo.ID, "main")
	return err
}

// Whatever state an assembly is in, it can be taken away.
func TestStatesOfAssembliesHaveNoDeadEnd(t *testing.T) {
	all := []deliver.AssemblyState{deliver.AssemblyDeploying, deliver.AssemblyStarting, deliver.AssemblyReady, deliver.AssemblyDegraded,
		deliver.AssemblySuperseded, deliver.AssemblyDeleting, deliver.AssemblyDeleted, deliver.AssemblyError}
	reach := map[deliver.AssemblyState]bool{deliver.AssemblyDeploying: true}
	for range all {
		for from := range reach {
			for _, to := range from.Next() {
				reach[to] = true
			}
		}
	}
	for _, s := range all {
		if !reach[s] {
			t.Errorf("%s is never reached", s)
		}
		if s != deliver.AssemblyDeleted && len(s.Next()) == 0 {
			t.Errorf("%s is a dead end", s)
		}
	}
}

// What entered no environment is dropped when its time is over; what did is kept.
func TestArtifactsExpire(t *testing.T) {
	w := newWorld(t, placePlan)
	w.stages.set(w.builds(0))
	id := w.landed("one")
	w.waits("production", "somebody must ask")
	_, err := w.delivery.Promote(w.ctx, w.people["carol"], w.place(), deliver.Ask{Environment: "production"})
	w.must(err)
	kept := w.serving("production", id).Current.Digest
	other := w.propose("alice", "version.txt", "two\n")
	w.settledStages(other, "look")
	w.must(w.review.Abandon(w.ctx, w.people["alice"], other, ""))
	w.must(w.wakeDelivery())
	w.until(other, "its preview has ended", func(gatekeeper.Explanation) bool {
		var stands int
		w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM assemblies WHERE change_id = $1 AND state <> $2`, other, deliver.AssemblyDeleted).Scan(&stands))
		return stands == 0
	})
	digests := func() (all []string) {
		for k, err := range w.artifacts.All() {
			w.must(err)
			all = append(all, k.Digest)
		}
		return all
	}
	if n := len(digests()); n != 2 {
		t.Fatalf("%d contents were kept before their time was over", n)
	}
	w.pass(31 * 24 * time.Hour)
	w.must(w.control.PruneArtifacts(w.ctx, w.repo))
	if left := digests(); len(left) != 1 || left[0] != kept {
		t.Errorf("%q are left, and %s runs", left, kept)
	}
}
