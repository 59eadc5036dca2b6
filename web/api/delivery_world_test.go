package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// sites is a driver that keeps its assemblies in memory and their logs in a folder.
type sites struct {
	mu     sync.Mutex
	dir    string
	serves map[int64]string // assembly to digest
	refuse string           // a digest that never comes to serve
}

// Log is the path of an assembly's log.
func (s *sites) Log(id int64) string { return filepath.Join(s.dir, fmt.Sprint(id), "log") }

func (s *sites) Deploy(_ context.Context, spec assembly.Spec) (assembly.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spec.Digest == s.refuse {
		return assembly.Instance{}, fault.New(fault.Refused, "test.deploy", "it never answered", "")
	}
	if err := os.MkdirAll(filepath.Dir(s.Log(spec.ID)), 0o700); err != nil {
		return assembly.Instance{}, err
	}
	if err := os.WriteFile(s.Log(spec.ID), []byte("listening in "+spec.Environment+"\n"), 0o600); err != nil {
		return assembly.Instance{}, err
	}
	s.serves[spec.ID] = spec.Digest
	return assembly.Instance{Driver: plan.DriverProcess, Handle: json.RawMessage(fmt.Sprint(spec.ID)), Address: fmt.Sprintf("http://127.0.0.1:%d", 20000+spec.ID%10000)}, nil
}

func (s *sites) Adopt(_ context.Context, spec assembly.Spec, i assembly.Instance) (assembly.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serves[spec.ID] = spec.Digest
	return i, nil
}

func (s *sites) Health(_ context.Context, i assembly.Instance) (assembly.Health, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.serves[handled(i)]; !ok {
		return assembly.Health{State: assembly.Gone, Words: "there is no such assembly"}, nil
	}
	return assembly.Health{State: assembly.Ready}, nil
}

func (s *sites) Destroy(_ context.Context, i assembly.Instance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.serves, handled(i))
	return os.RemoveAll(filepath.Dir(s.Log(handled(i))))
}

func handled(i assembly.Instance) (id int64) {
	_ = json.Unmarshal(i.Handle, &id) // a handle of ours
	return id
}

// count is how many assemblies there are.
func (s *sites) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.serves)
}

func (w *world) delivery(d *db.DB, accounts *account.Store, repos *repo.Store, artifacts *artifact.Store, bus *event.Bus, log *slog.Logger, dir string) *deliver.Service {
	w.sites = &sites{dir: filepath.Join(dir, "assemblies"), serves: map[int64]string{}}
	return deliver.New(deliver.Config{
		DB: d, Accounts: accounts, Repos: repos, Artifacts: artifacts, Bus: bus, Now: time.Now, Log: log,
		Drivers: map[string]assembly.Driver{plan.DriverProcess: w.sites},
	}, "test")
}

// builder runs stages: each passes, and what one produces has the content of version.txt.
type builder struct {
	artifacts *artifact.Store
}

func (b *builder) Identity() string { return "test" }

func (b *builder) Run(ctx context.Context, r runner.Request) runner.Result {
	errored := func(err error) runner.Result {
		return runner.Result{State: string(plan.Errored), Reason: err.Error()}
	}
	result := runner.Result{State: string(plan.Passed)}
	for name := range r.Stage.Produces {
		dir, err := os.MkdirTemp("", "built")
		if err != nil {
			return errored(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := r.Repo.Checkout(ctx, r.Commit, dir); err != nil {
			return errored(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return errored(err)
		}
		made, err := b.artifacts.Put(ctx, plan.FileArtifact, root, "version.txt", 1<<20)
		_ = root.Close() // it was only read
		if err != nil {
			return errored(err)
		}
		made.Name = name
		result.Artifacts = append(result.Artifacts, made)
	}
	return result
}

// sitePlan delivers what lands to staging by itself, and to production when it is accepted.
const sitePlan = `version: 1
app: hello
outcomes:
  preview: {reach: [preview]}
  deliver: {reach: [production]}
  quick: {reach: [production], bypass: [lint], by: [release]}
artifacts:
  server: {type: file}
environments:
  preview: {class: ephemeral, ttl: 48h}
  staging: {class: standing}
  production: {class: standing}
stages:
  lint: {run: "true", bypassable: {by: [release], reason: required}}
  build: {run: "true", produces: {server: version.txt}}
  preview: {after: [build], environment: preview, deploy: {artifact: server, run: ./server, ready: {http: /, within: 5s}}}
  staging: {after: [land], environment: staging, deploy: {artifact: server, run: ./server, ready: {http: /, within: 5s}}}
  production: {after: [accepted], environment: production, deploy: {artifact: server, run: ./server, ready: {http: /, within: 5s}}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  built: {after: [lint, build], require: [{stages: passed}]}
  accepted: {subject: artifact, after: [staging], require: [{stages: passed}, {approve: {min: 1, by: [release], not: [author]}}]}
land: {after: [review, built], how: merge}
roles: {release: [maintainer, owner, author]}
`

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// until asks until the answer is as it must be.
func until[T any](w *world, who, path, what string, met func(T) bool) T {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := get[T](w, who, "GET", path, nil)
		if met(got) {
			return got
		}
		if time.Now().After(deadline) {
			text, _ := json.MarshalIndent(got, "", " ")
			w.t.Fatalf("%s: waited in vain until %s: %s\n%s", path, what, text, w.logged)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// short is a digest as people write it.
func short(digest string) string { return strings.TrimPrefix(digest, "sha256:")[:12] }

// pageOf is a page of a list.
type pageOf[T any] struct {
	Items []T
	Next  string
}
