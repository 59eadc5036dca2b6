package gatekeeper_test

import (
	"strconv"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/fault"
)

// shipPlan has the five gates of the field: review, tests, a preview that integration tests run
// against, performance, and acceptance by people.
const shipPlan = `version: 1
app: hello
outcomes:
  deliver: {reach: [production]}
  preview: {reach: [preview]}
  untested: {reach: [preview], bypass: [unit], by: [maintainers]}
artifacts:
  server: {type: file}
environments:
  preview: {class: ephemeral, ttl: 48h}
  staging: {class: standing}
  production: {class: standing, rollback: {when: [deploy-failed, verify-failed]}, accept_bypassed: false}
stages:
  unit: {run: "go test", results: {gotest: unit.json}, bypassable: {by: [maintainers], reason: required}}
  build: {run: "go build", produces: {server: hello}}
  preview: {after: [build, unit], environment: preview, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}}}
  staging: {after: [land], environment: staging, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}}}
  load: {after: [staging], environment: staging, run: ./load.sh, results: {metrics: load.json}, network: true}
  production: {after: [accepted], environment: production, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}, strategy: blue-green}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  smoke: {after: [unit, preview], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
  performance: {subject: artifact, after: [load], require: [{metric: {name: p95_ms, max: 120, regression: {against: production, max: 10%}}}]}
  accepted: {subject: artifact, after: [performance], require: [{approve: {min: 2, by: [release], not: [author]}}]}
land: {after: [review, smoke], how: merge}
roles: {maintainers: [bob], release: [alice, bob, carol]}
`

func (w *world) approve(who, gate string) gatekeeper.Approved {
	w.Helper()
	done, err := w.control.Approve(w.ctx, w.people[who], w.place(), gatekeeper.Approval{Gate: gate})
	w.must(err)
	return done
}

// waits waits until production waits for something.
func (w *world) waits(environment, words string) {
	w.Helper()
	w.environment(environment, "it waits for "+words, func(v deliver.View) bool {
		for _, next := range v.Next {
			if strings.Contains(next.Words, words) {
				return true
			}
		}
		return false
	})
}

// ship lands a version and accepts it for production.
func (w *world) ship(version string) int64 {
	w.Helper()
	id := w.propose("alice", "version.txt", version+"\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
	w.serving("staging", id)
	w.waitsForApproval(id)
	if a := w.approve("alice", "accepted"); a.Counts || !strings.Contains(a.Why, "author") {
		w.Fatalf("the author's approval counts: %+v", a)
	}
	w.approve("bob", "accepted")
	return id
}

// waitsForApproval waits until only people keep a change out of production.
func (w *world) waitsForApproval(change int64) {
	w.Helper()
	w.until(change, "its delivery waits for approval", func(gatekeeper.Explanation) bool {
		d, err := w.control.DeliveryGates(w.ctx, w.people["carol"], change)
		return err == nil && d["performance"] == plan.Open && d["accepted"] == plan.Closed
	})
}

// What has landed and waits for its gates is there: whoever asks for it is told what it waits for.
func TestPromotedBeforeItsGates(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	id := w.propose("alice", "version.txt", "one\n", "submit")
	w.vote("bob", id, 2)
	w.state(id, gatekeeper.Landed)
	w.waitsForApproval(id)
	for _, what := range []string{"", strconv.FormatInt(id, 10)} {
		_, err := w.control.PromoteArtifact(w.ctx, w.people["carol"], w.repo.Name, "", deliver.Ask{Environment: "production", What: what})
		w.refused(err, fault.Refused, "cannot enter production yet: it waits for gate accepted: ")
	}
	_, err := w.control.PromoteArtifact(w.ctx, w.people["carol"], w.repo.Name, "", deliver.Ask{Environment: "production", What: "4711"})
	w.refused(err, fault.NotFound, "no artifact 4711")
}

func TestOneBuildIsPromoted(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	first := w.ship("one")
	w.approve("carol", "accepted")
	v := w.serving("production", first)

	built := 0
	for _, ran := range w.stages.runs() {
		if strings.HasPrefix(ran, "build ") {
			built++
		}
	}
	if built != 1 {
		t.Errorf("it was built %d times: %q", built, w.stages.runs())
	}
	b, err := w.control.Artifact(w.ctx, w.people["alice"], w.repo.ID, v.Current.Digest)
	w.must(err)
	if b.Stage != "build" || b.Commit != w.tip() || b.Digest != v.Assembly.Digest {
		t.Errorf("production runs %s of %s, built by %s from %s; main is at %s", v.Assembly.Digest, v.Current.Commit, b.Stage, b.Commit, w.tip())
	}
	if !strings.Contains(b.Statement(), strings.TrimPrefix(b.Digest, "sha256:")) {
		t.Errorf("its statement does not name it: %s", b.Statement())
	}
	w.until(first, "its preview has ended", func(gatekeeper.Explanation) bool { return w.driver.Serves(b.Digest) == 2 }) // staging and production
}

func TestABadReleaseGoesBack(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	first := w.ship("one")
	w.approve("carol", "accepted")
	good := w.serving("production", first).Current.Digest

	second := w.ship("two")
	w.driver.Tell(func(s assembly.Spec) error {
		if s.Environment == "production" && s.Digest != good {
			return never(s)
		}
		return nil
	})
	w.approve("carol", "accepted")
	v := w.environment("production", "the second was rolled back and the first runs again", func(v deliver.View) bool {
		return len(v.Past) > 2 && v.Past[0].Kind == promote.Rollback && v.Past[0].State == promote.Succeeded && v.Current.Digest == good &&
			v.Assembly != nil && v.Assembly.State == deliver.AssemblyReady
	})
	if failed := v.Past[1]; failed.Change != second || failed.State != promote.RolledBack || !strings.Contains(failed.Why, "never answered") {
		t.Errorf("the second is %s: %s", failed.State, failed.Why)
	}
	if len(v.Orders) != 1 || v.Orders[0].Kind != deliver.OrderVeto || v.Orders[0].Digest == good {
		t.Errorf("what failed has no veto: %+v", v.Orders)
	}
}

func TestMetricsAreComparedWithWhatRuns(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	first := w.ship("one")
	w.approve("carol", "accepted")
	w.serving("production", first)

	w.stages.set(w.builds(115)) // below the limit, and 15 % worse than what runs
	second := w.propose("alice", "version.txt", "two\n", "submit")
	w.vote("bob", second, 2)
	w.state(second, gatekeeper.Landed)
	w.until(second, "performance refuses it", func(gatekeeper.Explanation) bool {
		d, err := w.control.DeliveryGates(w.ctx, w.people["carol"], second)
		return err == nil && d["performance"] == plan.Refused
	})
}

func TestAPreviewStopsBeforeLanding(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	id := w.propose("alice", "version.txt", "one\n", "outcome=preview", "submit")
	w.stage(id, "preview", plan.Passed)
	w.vote("bob", id, 2)
	e := w.until(id, "it says why it does not land", func(e gatekeeper.Explanation) bool { return e.State == gatekeeper.Open })
	serving, err := deliver.OfChange(w.ctx, w.db.Read(), id)
	w.must(err)
	if len(serving) != 1 || serving[0].State != deliver.AssemblyReady || serving[0].Environment != "preview" {
		t.Fatalf("its assemblies: %+v; %s", serving, e.Summary)
	}
	if v := w.views()[1]; v.Name != "staging" || v.Current != nil {
		t.Errorf("a preview came to staging: %+v", v)
	}
	// Whoever wants it to land after all says so.
	w.must(w.control.SetOutcome(w.ctx, w.people["alice"], id, "", ""))
	w.state(id, gatekeeper.Landed)
	w.until(id, "its preview has ended", func(gatekeeper.Explanation) bool {
		left, err := deliver.OfChange(w.ctx, w.db.Read(), id)
		w.must(err)
		for _, a := range left {
			if a.Environment == "preview" {
				return false
			}
		}
		return true
	})
}

func TestBypassNeedsARoleAndAReason(t *testing.T) {
	w := newWorld(t, shipPlan)
	w.stages.set(w.builds(100))
	w.fromTip()
	w.commit(0, "version.txt", "one\n")
	if r := w.push("bob", "refs/for/main", "HEAD", "outcome=untested"); !strings.Contains(r.Reason, "needs a reason") {
		t.Errorf("without a reason: %q", r.Reason)
	}
	if r := w.push("alice", "refs/for/main", "HEAD", "outcome=untested", "reason=a look"); !strings.Contains(r.Reason, "may not") {
		t.Errorf("by somebody else: %q", r.Reason)
	}
	if r := w.push("alice", "refs/for/main", "HEAD", "bypass=build", "reason=a look"); !strings.Contains(r.Reason, "does not let anybody") {
		t.Errorf("of what may not be left out: %q", r.Reason)
	}
	if r := w.push("bob", "refs/for/main", "HEAD", "bypass=unit", "reason=the fix cannot wait", "submit"); r.Reason != "" {
		t.Fatalf("by bob: %s", r.Reason)
	}
	id := w.newest()
	w.stage(id, "unit", plan.Bypassed)
	w.vote("carol", id, 2)
	e := w.until(id, "its gate says what is missing", func(e gatekeeper.Explanation) bool {
		for _, r := range e.Requirements {
			if r.Name == "smoke" && r.State != string(plan.Waiting) {
				return true
			}
		}
		return e.State == gatekeeper.Landed
	})
	if e.State == gatekeeper.Landed {
		w.Fatal("a gate that asks for tests opened without any")
	}
	if err := w.control.Bypass(w.ctx, w.people["bob"], id, "smoke", "no"); !fault.Is(err, fault.Refused) {
		t.Errorf("a gate that may not be left out: %v", err)
	}
}
