// Package web serves the pages: sign-in, dashboard, repositories, changes, queue, logs.
//
// A page is plain HTML made on the server; it reads and votes without script. One small
// script adds what only script can: comment forms that open in place, keys, and parts that
// are replaced when the server says, over one event stream, that they changed. The server
// makes all HTML, also of those parts, so there is one place where text becomes markup.
//
// Invariants: every address is in the table of routes.go with the right that it needs, and a
// test walks the table as each kind of visitor. Pages decide nothing: they ask the rooms
// below with the actor of the session and show the refusal. Nothing changes on GET. A
// request that changes something is taken only from this site's own pages. Text from people
// reaches a page escaped and with its hidden characters shown. No page needs inline script
// or style, and the policy sent with each page forbids them. A stream looks at the session
// and at the rights again before it says more.
package web

import (
	"context"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/text/language"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/web/notify"
	"gatehouse/web/words"
)

// Gate is what the pages ask of the gatekeeper. Each method checks the actor's rights itself.
type Gate interface {
	Explain(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error)
	Submit(ctx context.Context, a account.Actor, change int64) (gatekeeper.Explanation, error)
	Rerun(ctx context.Context, a account.Actor, change int64, what gatekeeper.Rerun) error
	Stop(ctx context.Context, a account.Actor, what gatekeeper.Stop) error
	Runs(ctx context.Context, a account.Actor, change int64) ([]gatekeeper.Run, error)
	Stage(ctx context.Context, a account.Actor, stageRun int64) (gatekeeper.StageRun, error)
	WhatIf(ctx context.Context, a account.Actor, change int64, all []gatekeeper.Supposition) (gatekeeper.WhatIf, error)
	StageTimes(ctx context.Context, a account.Actor, stageRun int64) (gatekeeper.LogTimes, error)
	StageSubject(ctx context.Context, a account.Actor, stageRun int64) (gatekeeper.StageSubject, error)
	StageLog(ctx context.Context, a account.Actor, stageRun, offset int64) (log io.ReadCloser, done bool, err error)
	WatchBoard(ctx context.Context, a account.Actor, repoName, branch string, m gatekeeper.Moment) (gatekeeper.BoardView, error)
	Flakes(ctx context.Context, a account.Actor, repoName string) (gatekeeper.FlakeReport, error)
	Checks(ctx context.Context, a account.Actor, change int64, ps int) (gatekeeper.Checks, error)
	StageReport(ctx context.Context, a account.Actor, stageRun int64) (gatekeeper.StageReport, error)
	StageTests(ctx context.Context, a account.Actor, stageRun int64) ([]gatekeeper.TestRow, error)
	Tests(ctx context.Context, a account.Actor, repoName, text string) ([]gatekeeper.TestCount, error)
	Delivery
	TestHistory(ctx context.Context, a account.Actor, repoName, stage, test string) (gatekeeper.TestHistory, error)
}

// Web is the pages and what they are made from. Its fields are set before [Web.Routes] and
// not changed afterwards. Streams end when the context of their request does: the server
// that carries them cancels its base context when it stops.
type Web struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Review   *review.Service
	Gate     Gate
	Mirrors  *mirror.Store
	Bus      *event.Bus
	Notify   *notify.Service // nil: nobody is told anything
	// Veil says what of a repository a visitor may not have; nil means everything may be had.
	Veil   func(ctx context.Context, a account.Actor, r repo.Repository) (git.Veil, error)
	Now    func() time.Time
	URL    string // where people find the pages, without a trailing slash
	SSHURL string // what a clone over SSH begins with, "ssh://host:29418"; "" hides it
	Log    *slog.Logger
	// Languages are what the pages speak beside English.
	Languages []*words.Language

	speeches []*speech
	matcher  language.Matcher
	guard    *http.CrossOriginProtection
	heavy    chan struct{}
	streams  streamLimit
	signins  signinLimit
	colors   lru[source]
	diffs    *diffCache
	texts    lru[template.HTML]
	logs     lru[logIndex]
	slow     chan struct{}
}

// Routes adds the pages to r. They take every path that nothing before them took: the
// transport and the API come first.
func (w *Web) Routes(r *mux.Router) {
	w.URL = strings.TrimSuffix(w.URL, "/")
	w.setLanguages()
	w.guard = newGuard(w.URL)
	w.heavy, w.slow = make(chan struct{}, maxHeavy), make(chan struct{}, maxSlowTexts)
	w.colors.most, w.texts.most = maxColorCache, maxTextCache
	w.logs.most = maxLogIndex
	w.diffs = newDiffCache()
	for _, rt := range routes() {
		methods := []string{rt.method}
		if rt.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		r.HandleFunc(rt.path, w.serve(rt)).Methods(methods...).Name(rt.name)
	}
	r.NotFoundHandler = w.serve(route{name: "missing", handle: (*Web).missing})
	r.MethodNotAllowedHandler = w.serve(route{name: "wrong-method", handle: (*Web).wrongMethod})
}
