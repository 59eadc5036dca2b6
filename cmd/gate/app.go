package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/web"
	"gatehouse/web/api"
	"gatehouse/web/forge"
	"gatehouse/web/notify"
	"gatehouse/web/words"
)

// app is the rooms, wired. Serving, the verbs with --data and the tests build the same one.
type app struct {
	settings  Settings
	log       *slog.Logger
	db        *db.DB
	git       *git.Git
	accounts  *account.Store
	repos     *repo.Store
	mirrors   *mirror.Store
	blobs     *blob.Store
	runner    *runner.Runner
	artifacts *artifact.Store
	signing   *attest.Keys
	secrets   *secret.Store
	places    places
	jobs      *job.Engine
	bus       *event.Bus
	review    *review.Service
	gate      *gatekeeper.Controller
	server    *gitserver.Server
	api       *api.Server
	web       *web.Web
	notify    *notify.Service
	entrance  *entrance.Service
	forge     *forge.Service
}

// appOptions is what an app needs beside the settings.
type appOptions struct {
	log     *slog.Logger
	sandbox runner.Mode
	// noStages, when not "", is why this app runs no stages.
	noStages string
	// serves says that this app is a server: only a server runs assemblies.
	serves bool
}

// folders of a data folder.
func (s Settings) folder(name string) string { return filepath.Join(s.Data, name) }

// newApp opens everything in the data folder and wires it. It starts nothing. The settings
// have the URL that people use in URL, and mean the database that the folder has had so far.
func newApp(ctx context.Context, s Settings, o appOptions) (a *app, err error) {
	a = &app{settings: s, log: o.log, bus: &event.Bus{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := s.checkDatabase(); err != nil {
		return a, err
	}
	if a.git, err = git.Find(ctx); err != nil {
		return a, err
	}
	if a.db, err = db.Open(ctx, s.databaseDSN()); err != nil {
		return a, fmt.Errorf("database: %w", err)
	}
	if a.jobs, err = job.New(ctx, a.db, o.log); err != nil {
		return a, err
	}
	if a.blobs, err = blob.New(s.folder("logs")); err != nil {
		return a, err
	}
	if err := a.openDelivery(); err != nil {
		return a, err
	}
	if err := os.MkdirAll(s.folder("tmp"), 0o700); err != nil {
		return a, fmt.Errorf("data folder: %w", err)
	}
	a.wire(o)
	return a, nil
}

func (a *app) wire(o appOptions) {
	s := a.settings
	a.accounts = &account.Store{DB: a.db, Now: time.Now}
	a.repos = &repo.Store{DB: a.db, Git: a.git, Root: s.folder("repositories"), Now: time.Now, Accounts: a.accounts}
	a.mirrors = &mirror.Store{DB: a.db, Repos: a.repos, Dir: s.folder("mirrors"), Now: time.Now, Bus: a.bus, Log: a.log}
	a.review = &review.Service{DB: a.db, Accounts: a.accounts, Repos: a.repos, Bus: a.bus, Now: time.Now, URL: s.URL}
	a.runner = &runner.Runner{
		Work: s.folder("work"), Cache: s.folder("cache"), Sandbox: o.sandbox, Hide: []string{s.Data},
		Toolchain: runner.Toolchain{ReadOnly: s.StageDir, Env: s.stageEnv()}, Limits: runner.Limits{Memory: int64(s.StageMem)}, Now: time.Now,
		Artifacts: a.artifacts,
	}
	a.gate = gatekeeper.New(gatekeeper.Config{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Review: a.review, Mirrors: a.mirrors, Jobs: a.jobs, Blobs: a.blobs,
		Runner: a.runner, Bus: a.bus, Now: time.Now, Log: a.log, URL: s.URL, Workers: s.workers(), NoStages: o.noStages,
		Secrets: a.secrets, Delivery: a.delivery(o), Artifacts: a.artifacts, Signing: a.signing,
	})
	a.notify = a.notifier()
	a.entrance, a.forge = a.entrances()
	a.server = &gitserver.Server{
		Git: a.git, Accounts: a.accounts, Repos: a.repos, Decide: a.gate, Veil: a.gate.Veil, Log: a.log, Now: time.Now,
		Limits: gitserver.Limits{Pack: git.PackLimits{Bytes: int64(s.MaxPack)}, File: int64(s.MaxBlob)},
	}
	a.web = &web.Web{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Review: a.review, Gate: a.gate, Veil: a.gate.Veil, Mirrors: a.mirrors, Bus: a.bus, Notify: a.notify,
		Now: time.Now, URL: s.URL, SSHURL: s.SSHURL, Log: a.log, Languages: a.languages(),
	}
	a.api = &api.Server{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Mirrors: a.mirrors, Review: a.review, Gate: a.gate, Bus: a.bus, Notify: a.notify, Entrances: a.entrance, Log: a.log, Now: time.Now,
		Version: fullVersion(), URL: s.URL, SSHURL: s.SSHURL, SessionCookie: a.web.CookieName(), SignInPath: web.SignInPath, SecretDir: s.folder("tmp"),
	}
}

// languages are what the pages speak beside English: the files of a folder. One that cannot
// be read is no reason not to serve.
func (a *app) languages() []*words.Language {
	all, err := words.ReadAll(os.DirFS(a.settings.folder("languages")))
	if err != nil {
		a.log.Warn("a language of the pages was left out", "folder", a.settings.folder("languages"), "err", err)
	}
	return all
}

// handler answers everything that comes over HTTP. The transport and the API come first: the
// pages take what is left.
func (a *app) handler() http.Handler {
	r := mux.NewRouter()
	a.server.Routes(r)
	a.api.Routes(r)
	a.forge.Routes(r)
	a.web.Routes(r)
	if a.places.router == nil {
		return r
	}
	return a.places.router.Before(r) // the names of assemblies are not the server's own
}

// recover repairs what a crash cut and looks at every branch. The caller holds both locks of
// the data folder.
func (a *app) recover(ctx context.Context) error {
	if err := emptyFolder(a.settings.folder("tmp")); err != nil {
		return err
	}
	if err := a.repos.Janitor(); err != nil {
		return err
	}
	if err := a.mirrors.Janitor(ctx); err != nil {
		return err
	}
	if err := a.notify.Janitor(ctx); err != nil {
		return err
	}
	if err := a.entrance.Janitor(ctx); err != nil {
		return err
	}
	if err := a.runner.Janitor(); err != nil {
		return err
	}
	if err := a.artifacts.Sweep(time.Now()); err != nil { // nobody writes any yet
		return err
	}
	return a.gate.Recover(ctx)
}

// emptyFolder removes what a crash left among the short-lived files.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	}
	return nil
}

// Close gives back what newApp opened. It may be called on an app that is half open.
func (a *app) Close() error {
	var err error
	if a.blobs != nil {
		err = a.blobs.Close()
	}
	err = errors.Join(err, a.closeDelivery())
	if a.db != nil {
		err = errors.Join(err, a.db.Close())
	}
	if a.git != nil {
		a.git.Close()
	}
	return err
}
