package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/entrance"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/review/reviewtest"
	"gatehouse/web/api"
	"gatehouse/web/notify"
)

const cookieName = "test_session"

// world is an API on real stores, with people, two repositories and a change in each.
type world struct {
	*api.Server
	t       *testing.T
	ctx     context.Context
	handler http.Handler
	logged  *bytes.Buffer
	blobs   *blob.Store
	sites   *sites // what is deployed
	ids     map[string]int64
	tokens  map[string]string
}

// people of the tests: on each repository their name is their role, but for the author, who
// has write and owns the changes, and the stranger, who has none.
var people = []string{"stranger", "reader", "writer", "author", "maintainer", "owner", "admin"}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	rooms := reviewtest.Open(t, dir, "https://gate.test", time.Now)
	d, accounts, repos, reviews, bus := rooms.DB, rooms.Accounts, rooms.Repos, rooms.Review, rooms.Bus
	w := &world{t: t, ctx: ctx, logged: &bytes.Buffer{}, ids: map[string]int64{}, tokens: map[string]string{}}
	log := slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	jobs, err := job.New(ctx, d, log)
	must(t, err)
	w.blobs, err = blob.New(filepath.Join(dir, "logs"))
	must(t, err)
	mirrors := &mirror.Store{DB: d, Repos: repos, Dir: filepath.Join(dir, "mirrors"), Now: time.Now, Bus: bus, Log: log}
	artifacts, err := artifact.New(filepath.Join(dir, "artifacts"))
	must(t, err)
	secrets, err := secret.New(filepath.Join(dir, "secrets"))
	must(t, err)
	signing, err := attest.Open(filepath.Join(dir, "signing"))
	must(t, err)
	gate := gatekeeper.New(gatekeeper.Config{
		DB: d, Accounts: accounts, Repos: repos, Review: reviews, Mirrors: mirrors, Jobs: jobs, Blobs: w.blobs,
		Runner: &builder{artifacts: artifacts}, Delivery: w.delivery(d, accounts, repos, artifacts, bus, log, dir), Artifacts: artifacts, Signing: signing, Secrets: secrets, Bus: bus, Now: time.Now, Log: log, URL: "https://gate.test", Workers: 1,
	})
	w.Server = &api.Server{
		DB: d, Accounts: accounts, Repos: repos, Mirrors: mirrors, Review: reviews, Gate: gate, Bus: bus, Log: log, Now: time.Now,
		Version: "test", URL: "https://gate.test", SSHURL: "ssh://gate.test", SessionCookie: cookieName, SignInPath: "/signin/", SecretDir: dir,
	}
	w.Notify = &notify.Service{DB: d, Accounts: accounts, Repos: repos, Review: reviews, Explain: gate, Bus: bus, Now: time.Now, Log: log, URL: "https://gate.test", Dir: filepath.Join(dir, "notify")}
	w.Entrances = &entrance.Service{DB: d, Accounts: accounts, Repos: repos, Review: reviews, Gate: gate, Bus: bus, Now: time.Now, Log: log, Dir: filepath.Join(dir, "entrances")}
	r := mux.NewRouter()
	w.Routes(r)
	w.handler = r
	for _, name := range people {
		w.account(name, name == "admin")
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) transact(f func(tx *db.Tx) error) {
	w.t.Helper()
	must(w.t, w.DB.Transact(w.ctx, f))
}

func (w *world) account(name string, admin bool) {
	w.t.Helper()
	w.transact(func(tx *db.Tx) error {
		a, err := w.Accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.test", Admin: admin})
		if err != nil {
			return err
		}
		w.ids[name] = a.ID
		w.tokens[name], err = w.Accounts.NewToken(w.ctx, tx, a.ID, account.APIToken, "", 0)
		return err
	})
}

// repository makes one whose people have the roles that they are named after.
func (w *world) repository(name string, private bool) repo.Repository {
	w.t.Helper()
	r, err := w.Repos.Create(w.ctx, repo.NewRepository{Name: name, Private: private, Owner: w.ids["owner"]})
	must(w.t, err)
	w.transact(func(tx *db.Tx) error {
		for who, role := range map[string]account.Role{"reader": account.RoleRead, "writer": account.RoleWrite, "author": account.RoleWrite, "maintainer": account.RoleMaintain} {
			if err := w.Accounts.Grant(w.ctx, tx, r.ID, account.Subject{Kind: account.ToAccount, ID: w.ids[who]}, "", role); err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// commit writes a commit with one file on top of parents into a repository of the server's.
func (w *world) commit(g *git.Repo, file, text, message string, parents ...git.OID) git.OID {
	w.t.Helper()
	return w.commitFiles(g, map[string]string{file: text}, message, parents...)
}

func (w *world) commitFiles(g *git.Repo, files map[string]string, message string, parents ...git.OID) git.OID {
	w.t.Helper()
	run := func(in string, args ...string) string {
		cmd := exec.Command("git", append([]string{"--git-dir", g.Dir()}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.Output()
		must(w.t, err)
		return strings.TrimSpace(string(out))
	}
	var entries strings.Builder
	for file, text := range files {
		fmt.Fprintf(&entries, "100644 blob %s\t%s\n", run(text, "hash-object", "-w", "--stdin"), file)
	}
	tree := run(entries.String(), "mktree")
	who := git.Signature{Name: "Author", Email: "author@example.test", When: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	oid, err := g.WriteCommit(w.ctx, git.OID(tree), parents, who, who, message)
	must(w.t, err)
	return oid
}

// change holds a change of the author's for main, which it makes first when it is not there.
func (w *world) change(r repo.Repository) review.Change {
	w.t.Helper()
	g, err := w.Repos.Open(r)
	must(w.t, err)
	tip, err := g.RefOID(w.ctx, "refs/heads/main")
	must(w.t, err)
	if tip.IsZero() {
		tip = w.commit(g, "hello.txt", "hello\n", "begin\n")
		must(w.t, g.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/main", Old: git.Zero, New: tip}}, "test"))
	}
	commit := w.commit(g, "hello.txt", "hello, world\n", fmt.Sprintf("greet the world\n\nChange-Id: I%040d\n", r.ID), tip)
	actor, err := w.Accounts.Actor(w.ctx, w.DB.Read(), w.ids["author"], account.MethodKey)
	must(w.t, err)
	prepared, err := w.Review.Prepare(w.ctx, review.Proposal{Repo: r, Git: g, Actor: actor, Branch: "main", Tip: commit})
	must(w.t, err)
	held, err := w.Review.Hold(w.ctx, prepared)
	must(w.t, err)
	return held[0].Change
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	problem api.Problem
}

// ask sends a request as somebody of the world; "" is a stranger to the server.
func (w *world) ask(who, method, path string, in any) answer {
	w.t.Helper()
	r := w.request(method, path, in)
	if token := w.tokens[who]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.send(r)
}

func (w *world) request(method, path string, in any) *http.Request {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		must(w.t, err)
		body = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, "https://gate.test"+path, body)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	w.handler.ServeHTTP(a, r)
	if a.Code >= 400 {
		if got := a.Header().Get("Content-Type"); got != "application/problem+json" {
			w.t.Errorf("%s %s: %d with the type %q: %s", r.Method, r.URL.Path, a.Code, got, a.Body)
		}
		must(w.t, json.Unmarshal(a.Body.Bytes(), &a.problem))
	}
	return a
}

// get asks and decodes the answer, which must be a good one.
func get[T any](w *world, who, method, path string, in any) T {
	w.t.Helper()
	a := w.ask(who, method, path, in)
	var out T
	if a.Code >= 300 {
		w.t.Fatalf("%s %s as %s: %d %s", method, path, who, a.Code, a.Body)
	}
	if a.Body.Len() > 0 {
		must(w.t, json.Unmarshal(a.Body.Bytes(), &out))
	}
	return out
}

type list[T any] struct{ Items []T }
