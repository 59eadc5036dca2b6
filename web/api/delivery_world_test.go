package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/deliver/delivertest"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// sites keeps the logs of its assemblies in a folder.
type sites struct {
	*delivertest.Driver
	dir string
}

// Log is the path of an assembly's log.
func (s *sites) Log(id int64) string { return filepath.Join(s.dir, fmt.Sprint(id), "log") }

func (s *sites) Deploy(ctx context.Context, spec assembly.Spec) (assembly.Instance, error) {
	if err := os.MkdirAll(filepath.Dir(s.Log(spec.ID)), 0o700); err != nil {
		return assembly.Instance{}, err
	}
	if err := os.WriteFile(s.Log(spec.ID), []byte("listening in "+spec.Environment+"\n"), 0o600); err != nil {
		return assembly.Instance{}, err
	}
	return s.Driver.Deploy(ctx, spec)
}

func (s *sites) Destroy(ctx context.Context, i assembly.Instance) error {
	return errors.Join(s.Driver.Destroy(ctx, i), os.RemoveAll(filepath.Dir(s.Log(delivertest.ID(i)))))
}

func (w *world) delivery(d *db.DB, accounts *account.Store, repos *repo.Store, artifacts *artifact.Store, bus *event.Bus, log *slog.Logger, dir string) *deliver.Service {
	w.sites = &sites{Driver: delivertest.NewDriver(), dir: filepath.Join(dir, "assemblies")}
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
	return delivertest.Make(ctx, b.artifacts, r)
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
