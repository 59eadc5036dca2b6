package gatekeeper_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
)

// places is a driver that keeps its assemblies in memory, and does what the test tells it.
type places struct {
	mu     sync.Mutex
	runs   map[int64]string // assembly to digest
	health map[int64]assembly.Health
	deploy func(s assembly.Spec) error // nil: every deploy succeeds
	told   []string                    // "deploy ENV DIGEST", "adopt …", "destroy …"
}

func (p *places) note(what string, s assembly.Spec) {
	p.told = append(p.told, fmt.Sprintf("%s %s %s", what, s.Environment, s.Digest))
}

func (p *places) Deploy(ctx context.Context, s assembly.Spec) (assembly.Instance, error) {
	p.mu.Lock()
	deploy := p.deploy
	p.note("deploy", s)
	p.mu.Unlock()
	if deploy != nil {
		if err := deploy(s); err != nil {
			return assembly.Instance{}, err
		}
	}
	dir, err := os.MkdirTemp("", "assembly")
	if err != nil {
		return assembly.Instance{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := s.Unpack(ctx, dir); err != nil { // what is deployed can be read from the store
		return assembly.Instance{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[s.ID] = s.Digest
	return assembly.Instance{Driver: plan.DriverProcess, Handle: json.RawMessage(fmt.Sprint(s.ID)), Address: fmt.Sprintf("http://127.0.0.1:%d", 20000+s.ID%10000)}, nil
}

func (p *places) Adopt(_ context.Context, s assembly.Spec, i assembly.Instance) (assembly.Instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("adopt", s)
	p.runs[s.ID] = s.Digest
	return i, nil
}

func (p *places) Health(_ context.Context, i assembly.Instance) (assembly.Health, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.id(i)
	if h, ok := p.health[id]; ok {
		return h, nil
	}
	if _, ok := p.runs[id]; !ok {
		return assembly.Health{State: assembly.Gone, Words: "there is no such assembly"}, nil
	}
	return assembly.Health{State: assembly.Ready}, nil
}

func (p *places) Destroy(_ context.Context, i assembly.Instance) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, p.id(i))
	p.told = append(p.told, "destroy "+string(i.Handle))
	return nil
}

func (p *places) id(i assembly.Instance) (id int64) {
	_ = json.Unmarshal(i.Handle, &id) // a handle of ours
	return id
}

// serves counts the assemblies that run a digest.
func (p *places) serves(digest string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.runs {
		if d == digest {
			n++
		}
	}
	return n
}

func (p *places) set(deploy func(s assembly.Spec) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deploy = deploy
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
	w.driver = &places{runs: map[int64]string{}, health: map[int64]assembly.Health{}}
	w.delivery = deliver.New(deliver.Config{
		DB: w.db, Accounts: w.account, Repos: w.repos, Artifacts: w.artifacts, Bus: w.bus, Now: w.now, Log: log,
		Drivers: map[string]assembly.Driver{plan.DriverProcess: w.driver},
	}, "test")
}

// builds answers for stages: the one called build makes an artifact of what version.txt of the
// commit says; all others pass, and load measures p95.
func (w *world) builds(p95 float64) func(r runner.Request) runner.Result {
	return func(r runner.Request) runner.Result {
		result := runner.Result{State: string(plan.Passed), Tests: &plan.Tests{Passed: 3}}
		if r.Stage.Name == "load" {
			result.Metrics = map[string]float64{"p95_ms": p95}
		}
		for name := range r.Stage.Produces {
			dir, err := os.MkdirTemp("", "built")
			if err != nil {
				return runner.Result{State: string(plan.Errored), Reason: err.Error()}
			}
			defer func() { _ = os.RemoveAll(dir) }()
			if err := r.Repo.Checkout(w.ctx, r.Commit, dir); err != nil {
				return runner.Result{State: string(plan.Errored), Reason: err.Error()}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				return runner.Result{State: string(plan.Errored), Reason: err.Error()}
			}
			made, err := w.artifacts.Put(w.ctx, plan.FileArtifact, root, "version.txt", 1<<20)
			_ = root.Close()
			if err != nil {
				return runner.Result{State: string(plan.Failed), Reason: err.Error()}
			}
			made.Name = name
			result.Artifacts = append(result.Artifacts, made)
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
