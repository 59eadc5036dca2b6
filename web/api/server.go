package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/web/notify"
)

const (
	// maxBody bounds every request body: the largest is a review with its comments.
	maxBody = 1 << 20
	// bodyTimeout bounds how long a body may trickle in; a megabyte needs seconds on any line.
	bodyTimeout = 30 * time.Second
)

// Server answers the API. Its fields are set before Routes and not changed after.
type Server struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Mirrors  *mirror.Store
	Review   *review.Service
	Gate     *gatekeeper.Controller
	Bus      *event.Bus
	Notify   *notify.Service
	// Entrances are the other servers where changes are proposed.
	Entrances *entrance.Service
	Log       *slog.Logger
	Now       func() time.Time

	Version       string // of the program
	URL           string // where people find the server, without a trailing slash
	SSHURL        string // the same for git over SSH, as ssh://git.example.org:29418; "" when there is none
	SessionCookie string // the name of the pages' cookie
	SignInPath    string // where a one-time link is redeemed; the secret is appended
	SecretDir     string // a folder for secrets that git reads for a moment; emptied at every start

	crossOrigin *http.CrossOriginProtection
	api         huma.API
}

// Routes puts the API on r: everything under /api/.
func (s *Server) Routes(r *mux.Router) {
	s.crossOrigin = http.NewCrossOriginProtection()
	// A router of its own, not a subrouter: that would repeat the prefix in front of the
	// document's full paths, and mux forgets there that a method was the only thing wrong.
	sub := mux.NewRouter()
	r.PathPrefix("/api/").Handler(s.guarded(sub))
	sub.NotFoundHandler = s.refuse(fault.New(fault.NotFound, "api", "there is no such operation", "see /api/openapi.json"))
	sub.MethodNotAllowedHandler = s.refuse(&Problem{
		Title: http.StatusText(http.StatusMethodNotAllowed), Code: http.StatusMethodNotAllowed, Kind: fault.Invalid.String(),
		Detail: "this cannot be done with that method", Next: "see /api/openapi.json",
	})
	s.api = humamux.New(sub, config(s.Version))
	s.api.UseMiddleware(s.authenticate)
	s.serveDocument(sub)
	s.metaRoutes()
	s.accountRoutes()
	s.groupRoutes()
	s.repositoryRoutes()
	s.grantRoutes()
	s.mirrorRoutes()
	s.changeRoutes()
	s.reviewRoutes()
	s.viewedRoutes()
	s.turnRoutes()
	s.actRoutes()
	s.gateRoutes()
	s.queueRoutes()
	s.boardRoutes()
	s.notifyRoutes()
	s.entranceRoutes()
	s.environmentRoutes()
	s.deliveryRoutes()
	s.artifactRoutes()
}

// config is huma's without its own pages and without links in the answers: the document is
// served by us, and an answer is only what was asked for.
func config(version string) huma.Config {
	c := huma.DefaultConfig("Gatehouse", version)
	c.CreateHooks = nil
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.RejectUnknownQueryParameters = true
	format := huma.Format{Marshal: writeWhole, Unmarshal: json.Unmarshal}
	c.Formats = map[string]huma.Format{"application/json": format, "json": format}
	c.Info.Description = "The gatekeeper git server. Repository names are written with ~ for / in paths."
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token, as `gate token create` prints it."},
		"basic": {Type: "http", Scheme: "basic", Description: "The account's name, and an API token as the password, as git sends it."},
	}
	return c
}

// Document is the OpenAPI document of the API.
func (s *Server) Document() *huma.OpenAPI { return s.api.OpenAPI() }

func (s *Server) serveDocument(r *mux.Router) {
	text := sync.OnceValues(func() ([]byte, error) { return json.MarshalIndent(s.Document(), "", "  ") })
	r.HandleFunc("/api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		body, err := text()
		if err != nil {
			s.Log.Error("api document", "err", err)
			http.Error(w, "the document could not be made", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(body) // the reader has gone
	}).Methods(http.MethodGet, http.MethodHead)
	// Editors read what a plan may say from here.
	r.HandleFunc("/schema/gatehouse.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		_, _ = w.Write(plan.Schema()) // the reader has gone
	}).Methods(http.MethodGet, http.MethodHead)
}

// refuse is a handler that answers with err.
func (s *Server) refuse(err error) http.Handler {
	p := problemOf(err)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", p.ContentType(""))
		w.WriteHeader(p.Code)
		writeJSON(w, p)
	})
}

func writeJSON(w io.Writer, v any) {
	_ = writeWhole(w, v) // our own types can be encoded
}

// writeWhole encodes v and only then writes it. A write fails when the reader has gone, which
// is no error of ours; the framework would make a panic of it.
func writeWhole(w io.Writer, v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, _ = w.Write(text.Bytes())
	return nil
}

// route describes an operation: "GET /accounts/{name}", and what it does.
type route struct {
	id      string
	at      string
	summary string
	open    bool // for strangers too: reading what is public
	status  int  // 0 is 200, or 204 without an answer
}

// add registers an operation. Errors of the handler become problems.
func add[I, O any](s *Server, at route, handle func(ctx context.Context, who account.Actor, in *I) (*O, error)) {
	method, path, _ := strings.Cut(at.at, " ")
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	op := huma.Operation{
		OperationID: at.id, Method: method, Path: "/api/v1" + path, Summary: at.summary, Tags: []string{tag},
		DefaultStatus: at.status, MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		Metadata: map[string]any{openKey: at.open},
		Security: []map[string][]string{{"token": {}}, {"basic": {}}},
	}
	if at.open {
		op.Security = append(op.Security, map[string][]string{})
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		unhurried(ctx)
		out, err := handle(ctx, actorOf(ctx), in)
		if err != nil {
			return nil, s.problem(ctx, at.id, err)
		}
		return out, nil
	})
}

// answer is the body of an operation's answer.
type answer[T any] struct{ Body T }

// list is the body of an operation that lists things.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Where there is another page: the value of after that asks for it."`
}

func listed[T any](items []T) *answer[list[T]] {
	if items == nil {
		items = []T{}
	}
	return &answer[list[T]]{list[T]{Items: items}}
}

// nothing is the answer of an operation that has none.
type nothing struct{}

// body is what an operation is sent.
type body[T any] struct{ Body T }

// may asks the one decision point with the rows of now.
func (s *Server) may(ctx context.Context, who account.Actor, verb account.Verb, r account.Resource) error {
	return s.Accounts.May(ctx, s.DB.Read(), who, verb, r)
}

// repository finds a repository by its name in a path and asks whether who may do verb to it.
// One that who may not read answers like one that does not exist.
func (s *Server) repository(ctx context.Context, who account.Actor, inPath string, verb account.Verb) (repo.Repository, error) {
	r, err := s.Repos.ByName(ctx, s.DB.Read(), strings.ReplaceAll(inPath, "~", "/"))
	if fault.Is(err, fault.NotFound) {
		return repo.Repository{}, account.Missing("api.repository")
	}
	if err != nil {
		return repo.Repository{}, err
	}
	if err := s.may(ctx, who, verb, r.Resource("")); err != nil {
		return repo.Repository{}, err
	}
	return r, nil
}

// named is the set of accounts that some rows speak of, for their names.
func (s *Server) named(ctx context.Context, ids ...int64) (func(int64) string, error) {
	found, err := s.Accounts.Names(ctx, s.DB.Read(), ids)
	if err != nil {
		return nil, err
	}
	return func(id int64) string { return found[id].Name }, nil
}

// person refuses the local operator without a name: votes and the like are somebody's.
func person(who account.Actor) error {
	if who.ID == 0 {
		return fault.New(fault.Invalid, "api.person", "this is done in somebody's name, and the local operator has none", "say whose: --as NAME")
	}
	return nil
}
