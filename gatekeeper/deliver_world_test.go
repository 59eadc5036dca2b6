package gatekeeper_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/deliver/delivertest"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
)

// places is a driver that keeps what it was told to do.
type places struct {
	*delivertest.Driver
	mu     sync.Mutex
	health map[int64]assembly.Health
	told   []string // "deploy ENV DIGEST", "adopt …", "destroy …"
}

func (p *places) note(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, strings.Join(words, " "))
}

func (p *places) Deploy(ctx context.Context, s assembly.Spec) (assembly.Instance, error) {
	p.note("deploy", s.Environment, s.Digest)
	return p.Driver.Deploy(ctx, s)
}

func (p *places) Adopt(ctx context.Context, s assembly.Spec, i assembly.Instance) (assembly.Instance, error) {
	p.note("adopt", s.Environment, s.Digest)
	return p.Driver.Adopt(ctx, s, i)
}

func (p *places) Health(ctx context.Context, i assembly.Instance) (assembly.Health, error) {
	p.mu.Lock()
	h, ok := p.health[delivertest.ID(i)]
	p.mu.Unlock()
	if ok {
		return h, nil
	}
	return p.Driver.Health(ctx, i)
}

func (p *places) Destroy(ctx context.Context, i assembly.Instance) error {
	p.note("destroy", string(i.Handle))
	return p.Driver.Destroy(ctx, i)
}

// never is a deploy whose code does not come to serve.
func never(s assembly.Spec) error {
	return fault.New(fault.Refused, "test.deploy", "it never answered at "+s.Ready.HTTP, "")
}

func (w *world) openDelivery(dir string, log *slog.Logger) {
	w.Helper()
	var err error
	w.artifacts, err = artifact.New(filepath.Join(dir, "artifacts"))
	w.must(err)
	w.driver = &places{Driver: delivertest.NewDriver(), health: map[int64]assembly.Health{}}
	w.delivery = deliver.New(deliver.Config{
		DB: w.db, Accounts: w.account, Repos: w.repos, Artifacts: w.artifacts, Bus: w.bus, Now: w.now, Log: log,
		Drivers: map[string]assembly.Driver{plan.DriverProcess: w.driver},
	}, "test")
}

// builds answers for stages: the one called build makes an artifact of what version.txt of the
// commit says; all others pass, and load measures p95.
func (w *world) builds(p95 float64) func(r runner.Request) runner.Result {
	return func(r runner.Request) runner.Result {
		result := delivertest.Make(w.ctx, w.artifacts, r)
		result.Tests = &plan.Tests{Passed: 3}
		if r.Stage.Name == "load" {
			result.Metrics = map[string]float64{"p95_ms": p95}
		}
		return result
	}
}

func (w *world) place() deliver.Place { return deliver.Place{Repo: w.repo.ID, Branch: "main"} }

// environment waits until an environment of main meets the condition.
func (w *world) environment(name, what string, met func(v deliver.View) bool) deliver.View {
	w.Helper()
	woken, stop := w.bus.Listen(event.RepoTopic(w.repo.ID))
	defer stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	var last deliver.View
	for {
		for _, v := range w.views() {
			if v.Name == name {
				last = v
			}
		}
		if met(last) {
			return last
		}
		select {
		case <-woken:
		case <-again.C:
		case <-deadline.C:
			text, _ := json.MarshalIndent(last, "", " ")
			w.Fatalf("environment %s: waited in vain until %s; it is %s", name, what, text)
		}
	}
}

func (w *world) views() []deliver.View {
	w.Helper()
	p, _, err := w.control.PlanAt(w.ctx, w.repo, "main")
	w.must(err)
	all, err := w.delivery.Views(w.ctx, w.people["carol"], w.place(), p)
	w.must(err)
	return all
}

// runsCommit waits until what landed by a change runs in an environment.
func (w *world) serving(environment string, change int64) deliver.View {
	w.Helper()
	return w.environment(environment, fmt.Sprintf("change %d runs", change), func(v deliver.View) bool {
		return v.Current != nil && v.Current.Change == change && v.Assembly != nil && v.Assembly.State == deliver.AssemblyReady
	})
}
