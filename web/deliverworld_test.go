package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	blobs "gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/deliver/delivertest"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// shipyard is what is delivered with: a real controller and real environments, on a runner and a
// driver that keep what they made in memory. Its engine stands still until a test starts it.
type shipyard struct {
	control   *gatekeeper.Controller
	jobs      *job.Engine
	artifacts *artifact.Store
	driver    *docks
	builder   *builder
	shop      deliver.Place // the repository and branch that [shop] made
}

// docks binds names too.
type docks struct {
	*delivertest.Driver
	mu    sync.Mutex
	hosts map[string]string
}

// Set, Unset and Drain make it the one that binds names.
func (d *docks) Set(host string, to assembly.Instance) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[host] = to.Address
	return nil
}

func (d *docks) Unset(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hosts, host)
}

func (d *docks) Drain(context.Context, assembly.Instance) error { return nil }

// builder runs stages: each passes, what one produces has the content of version.txt, and load
// measures.
type builder struct{ artifacts *artifact.Store }

func (b *builder) Identity() string { return "test" }

func (b *builder) Run(ctx context.Context, r runner.Request) runner.Result {
	_, _ = io.WriteString(r.Log, "ran "+r.Stage.Name+"\n")
	result := delivertest.Make(ctx, b.artifacts, r)
	result.Tests = &plan.Tests{Passed: 42}
	if r.Stage.Name == "load" {
		result.Metrics = map[string]float64{"p95_ms": 84}
	}
	return result
}

// openDelivery gives the world a real controller, with reviews of its own on the same database:
// a controller takes over what reviews ask, and most tests want to turn that themselves.
func (w *world) openDelivery() {
	w.t.Helper()
	ctx, dir := context.Background(), w.t.TempDir()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	y := &shipyard{driver: &docks{Driver: delivertest.NewDriver(), hosts: map[string]string{}}}
	var err error
	y.artifacts, err = artifact.New(filepath.Join(dir, "artifacts"))
	w.must(err)
	y.builder = &builder{artifacts: y.artifacts}
	kept, err := blobs.New(filepath.Join(dir, "blobs"))
	w.must(err)
	y.jobs, err = job.New(ctx, w.web.DB, quiet)
	w.must(err)
	reviews := &review.Service{DB: w.web.DB, Accounts: w.web.Accounts, Repos: w.web.Repos, Bus: w.web.Bus, Now: w.clock, URL: "http://gate.test"}
	y.control = gatekeeper.New(gatekeeper.Config{
		DB: w.web.DB, Accounts: w.web.Accounts, Repos: w.web.Repos, Review: reviews, Mirrors: w.web.Mirrors, Jobs: y.jobs, Blobs: kept, Runner: y.builder, Bus: w.web.Bus,
		Artifacts: y.artifacts, Now: w.clock, Log: quiet, URL: "http://gate.test", Workers: boardWorkers, KeepAlive: 200 * time.Millisecond,
		Delivery: deliver.New(deliver.Config{
			DB: w.web.DB, Accounts: w.web.Accounts, Repos: w.web.Repos, Artifacts: y.artifacts, Bus: w.web.Bus, Now: w.clock, Log: quiet, Names: y.driver,
			Drivers: map[string]assembly.Driver{plan.DriverProcess: y.driver},
		}, "test"),
	})
	w.ship, w.gate.Controller = y, y.control
}

// start has the controller do its work, and the pages ask it alone.
func (w *world) start() {
	w.t.Helper()
	w.web.Gate = w.ship.control
	w.must(w.ship.control.Recover(context.Background()))
	w.must(w.ship.jobs.Start(context.Background()))
	w.t.Cleanup(func() { _ = w.ship.jobs.Stop(context.Background()) })
}

// shopPlan has the five gates of the field, and two environments in which something always runs.
const shopPlan = `version: 1
app: shop
outcomes:
  check: {reach: [review, smoke]}
  preview: {reach: [preview]}
  preview-untested: {reach: [preview], bypass: [unit], by: [maintainers]}
  deliver: {reach: [production]}
artifacts:
  server: {type: file}
environments:
  preview: {class: ephemeral, ttl: 48h, dns: {name: "{{change}}.preview.example.test", optional: true}}
  staging: {class: standing, dns: {name: staging.example.test, optional: true}}
  production: {class: standing, rollback: {when: [deploy-failed, verify-failed]}, dns: {name: shop.example.test, optional: true}}
stages:
  unit: {run: "go test", results: {gotest: unit.json}, bypassable: {by: [maintainers], reason: required, expires: 24h}}
  lint: {run: "staticcheck", bypassable: {by: [maintainers], reason: required}}
  build: {run: "go build", produces: {server: version.txt}}
  preview: {after: [build, unit], environment: preview, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}}}
  staging: {after: [land], environment: staging, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}}}
  load: {after: [staging], environment: staging, run: ./load.sh, results: {metrics: load.json}, network: true}
  production: {after: [accepted], environment: production, deploy: {artifact: server, run: ./server, ready: {http: /healthz, within: 5s}, strategy: blue-green}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  smoke: {after: [unit, lint, preview], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
  performance: {subject: artifact, after: [load], require: [{metric: {name: p95_ms, max: 120}}]}
  accepted: {subject: artifact, after: [performance], require: [{approve: {min: 2, by: [release], not: [author]}}]}
land: {after: [review, smoke], how: rebase}
roles: {maintainers: [alice, bob], release: [alice, bob, carol, admin]}
`

// shop is a repository whose plan delivers, in which bob and carol may do all that is done every
// day, and nothing has landed yet. Its controller is at work.
func shop(t testing.TB) (*world, repo.Repository) { return shopFor(t, false) }

func shopFor(t testing.TB, private bool) (*world, repo.Repository) {
	t.Helper()
	w := newWorld(t)
	w.wrote = w.clock()
	r := w.repo("team/shop", "alice", private, map[string]string{"version.txt": "zero\n", "main.go": goFile, plan.File: shopPlan})
	w.grant(r, "bob", "maintain")
	w.grant(r, "carol", "write")
	w.ship.shop = deliver.Place{Repo: r.ID, Branch: "main"}
	w.start()
	return w, r
}

// offer proposes a change of the version on the tip of main.
func (w *world) offer(r repo.Repository, who, subject, version string) int64 {
	w.t.Helper()
	w.wrote = w.clock().Add(-3 * time.Hour)
	w.git("fetch", "-q", w.dir(r), "refs/heads/main")
	w.git("checkout", "-q", "--detach", "FETCH_HEAD")
	w.commit(who, subject+"\n\n"+changeID(int(w.clock().UnixNano())), map[string]string{"version.txt": version + "\n"})
	return w.propose(r, who, review.PushOptions{})[0].Change.ID
}

// land has a change approved, and waits until it has landed.
func (w *world) land(id int64) {
	w.t.Helper()
	ctx := context.Background()
	w.must(w.web.Review.Vote(ctx, w.actor("bob"), id, 0, map[string]int{"Code-Review": 2}, "", nil))
	_, err := w.ship.control.Submit(ctx, w.actor("bob"), id)
	w.must(err)
	w.waits(fmt.Sprintf("change %d lands", id), func() bool {
		e, err := w.ship.control.Explain(ctx, w.actor("bob"), id)
		return err == nil && e.State == gatekeeper.Landed
	})
}

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// waits waits until the condition holds.
func (w *world) waits(what string, met func() bool) {
	w.t.Helper()
	woken, stop := w.web.Bus.Listen(event.RepoTopic(w.ship.shop.Repo))
	defer stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	for !met() {
		select {
		case <-woken:
		case <-again.C:
		case <-deadline.C:
			text, _ := json.MarshalIndent(w.environments(), "", " ")
			w.t.Fatalf("waited in vain until %s; the environments are %s", what, text)
		}
	}
}

func (w *world) environments() []gatekeeper.EnvironmentView {
	w.t.Helper()
	all, err := w.ship.control.Environments(context.Background(), w.actor("alice"), "team/shop", "main")
	w.must(err)
	return all
}

// environment waits until an environment of the shop is as it must be.
func (w *world) environment(name, what string, met func(v gatekeeper.EnvironmentView) bool) {
	w.t.Helper()
	w.waits(name+": "+what, func() bool {
		for _, v := range w.environments() {
			if v.Name == name && met(v) {
				return true
			}
		}
		return false
	})
}

func (w *world) runsIn(environment string, change int64) {
	w.t.Helper()
	w.environment(environment, fmt.Sprintf("change %d runs", change), func(v gatekeeper.EnvironmentView) bool {
		return v.Current != nil && v.Current.Change == change && v.Assembly != nil && v.Assembly.State == deliver.AssemblyReady && v.Entering == nil
	})
}

// accept gives approvals for what a change landed as, once its delivery asks for them.
func (w *world) accept(change int64, who ...string) {
	w.t.Helper()
	ctx := context.Background()
	w.waits("it waits for approval", func() bool {
		said, err := w.ship.control.DeliveryGates(ctx, w.actor("bob"), change)
		return err == nil && said["performance"] == plan.Open
	})
	for _, name := range who {
		_, err := w.ship.control.Approve(ctx, w.actor(name), w.ship.shop, gatekeeper.Approval{Gate: "accepted", What: fmt.Sprint(change), Note: "looked at it in staging"})
		w.must(err)
	}
}

// never is a deploy whose code does not come to serve.
func never(s assembly.Spec) error {
	return fault.New(fault.Refused, "test.deploy", "it never answered at "+s.Ready.HTTP, "")
}

// sail delivers one change to production.
func (w *world) sail(r repo.Repository, subject, version string) int64 {
	w.t.Helper()
	id := w.offer(r, "alice", subject, version)
	w.land(id)
	w.runsIn("staging", id)
	w.pass(5 * time.Hour)
	w.accept(id, "bob", "carol")
	w.runsIn("production", id)
	return id
}

func TestShopShowcase(t *testing.T) {
	begun := time.Now()
	w := shopShowcase(t)
	t.Log(time.Since(begun))
	for _, p := range w.shopPages() {
		if a := w.session(p.who).get(p.path); a.status != 200 {
			t.Errorf("%s: status %d", p.path, a.status)
		}
	}
}
