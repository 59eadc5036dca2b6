package web

import (
	"context"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

const (
	planText = `version: 1
app: hello
stages:
  unit: {run: "go vet ./... && go test -json ./... > unit.json", results: {gotest: unit.json}, timeout: 10m}
  build: {run: "go build -o out/hello .", after: [unit]}
gates:
  review: {subject: change, require: [{review: {min: 1, not: [author, uploader]}}]}
  smoke: {subject: change, after: [unit, build], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
land: {after: [review, smoke], how: merge}
`
	serverFile = `package main

import (
	"fmt"
	"log/slog"
)

// Server answers greetings over HTTP.
type Server struct {
	Addr string
	Log  *slog.Logger
}

// ServeHTTP greets whoever the query names.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		name = "world"
	}
	fmt.Fprintf(w, "%s\n", greet(name))
}

// Run listens until it fails.
func (s *Server) Run() error {
	s.Log.Info("listening", "addr", s.Addr)
	return http.ListenAndServe(s.Addr, s)
}
`
)

// showcase is a server as it looks after a few days of work.
func showcase(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	r := w.showRepositories()
	w.showChanges(r)
	w.showTalk(r)
	w.showThreads()
	w.showActs()
	w.showGates()
	w.showMirror(r)
	w.showQueue(r)
	w.showTold(r)
	w.showDiff(r)
	w.showChecks()
	w.showTurn(r)
	return w
}

// polite is the server after the second change of the showcase.
var polite = strings.NewReplacer(
	`	name := r.URL.Query().Get("name")
	if name == "" {
		name = "world"
	}
	fmt.Fprintf(w, "%s\n", greet(name))`, `	if r.Method != http.MethodGet {
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimSpace(r.URL.Query().Get("name"))
	if name == "" || len(name) > maxName {
		name = "world"
	}
	fmt.Fprintf(w, "%s\n", greet(name))`, `	"net/http"
)`, `	"net/http"
	"strings"
)

// maxName is the longest name that is greeted.
const maxName = 80`).Replace(serverFile)

func (w *world) showRepositories() repo.Repository {
	w.t.Helper()
	r := w.repo("team/hello", "alice", false, map[string]string{
		"main.go": goFile, "server.go": serverFile, "gatehouse.yaml": planText, "go.mod": "module example.test/hello\n\ngo 1.26\n",
		"docs/guide.md": "# Guide\n", "internal/words/words.go": "package words\n", ".gitignore": "out/\n", "Makefile": "test:\n\tgo test ./...\n",
		"README.md": readmeText,
	})
	w.repo("team/toolbox", "bob", true, map[string]string{"tool.sh": "#!/bin/sh\necho tool\n"})
	w.repo("empty", "alice", false, nil)
	w.clone("again")
	w.git("pull", "-q", w.dir(r), "main")
	w.git("tag", "v0.1.0")
	w.git("push", "-q", w.dir(r), "v0.1.0")
	return r
}

// showChanges is a stack of three.
func (w *world) showChanges(r repo.Repository) {
	w.t.Helper()
	w.pass(-70 * time.Hour)
	w.commit("alice", "Greet in the language of the reader\n\nAccept-Language tells which words to use; English stays the fallback.\n\n"+changeID(7), map[string]string{"internal/words/words.go": "package words\n\n// Hello is the greeting by language.\nvar Hello = map[string]string{\n\t\"en\": \"hello\",\n\t\"de\": \"guten Tag\",\n}\n"})
	w.propose(r, "alice", review.PushOptions{Topic: "languages"})
	w.pass(20 * time.Hour)
	w.commit("alice", "Refuse what is no greeting\n\nOnly GET asks for a greeting, and a name that fills the screen is none.\nThe limit is the width of a terminal.\n\nSee https://example.test/issues/12\n\n"+changeID(8), map[string]string{
		"server.go": polite, "server_test.go": "package main\n\nimport \"testing\"\n\nfunc TestGreet(t *testing.T) {\n\tif got := greet(\"you\"); got != \"hello, you\" {\n\t\tt.Errorf(\"greet = %q\", got)\n\t}\n}\n",
		"go.sum": "example.test/x v1.0.0 h1:abc\n", "logo.png": "\x89PNG\r\n\x1a\n\x00\x00", "docs/guide.md": "# Guide\n\nOnly `GET` is answered.\n",
	})
	w.propose(r, "alice", review.PushOptions{Topic: "languages"})
	w.commit("alice", "Log every greeting\n\n"+changeID(9), map[string]string{"main.go": strings.Replace(goFile, "fmt.Println", "fmt.Print", 1)})
	w.propose(r, "alice", review.PushOptions{Topic: "languages"})
	w.must(w.web.Review.SetWIP(context.Background(), w.actor("alice"), 3, true))
}

// showTalk is what people said about them, and a second patch set that answers.
func (w *world) showTalk(r repo.Repository) {
	w.t.Helper()
	ctx := context.Background()
	vote := func(who string, id int64, value int, message string, comments ...review.NewComment) {
		w.pass(95 * time.Minute)
		votes := map[string]int{}
		if value != 0 {
			votes["Code-Review"] = value
		}
		w.must(w.web.Review.Vote(ctx, w.actor(who), id, 0, votes, message, comments))
	}
	vote("bob", 1, 2, "Lovely. Could you add French later?")
	vote("bob", 2, -1, "Nearly there: two questions inline.\n\n- the limit counts *bytes*\n- the test does not cover it",
		review.NewComment{Path: "server.go", Line: 25, Body: "This counts bytes, so `ÄÄÄ` is longer than it looks. Is `utf8.RuneCountInString` meant?", Unresolved: true},
		review.NewComment{Path: "server_test.go", Line: 5, Body: "Please add a case that is over the limit:\n\n```go\nif got := greet(strings.Repeat(\"x\", 81)); got != \"hello, world\" {\n\tt.Error(got)\n}\n```", Unresolved: true})
	comments, err := w.web.Review.Comments(ctx, w.web.DB.Read(), 2)
	w.must(err)
	vote("alice", 2, 0, "", review.NewComment{ReplyTo: comments[0].ID, Body: "Good catch, bytes are what the terminal bothers least about. Changed in the next patch set."})

	// the second patch set of change 2
	w.git("checkout", "-q", "HEAD~1")
	w.pass(3 * time.Hour)
	w.commit("alice", "x", map[string]string{"server.go": strings.Replace(polite, "len(name)", "utf8.RuneCountInString(name)", 1)})
	w.git("reset", "-q", "--soft", "HEAD~2")
	w.git("commit", "-q", "-m", "Refuse what is no greeting\n\nOnly GET asks for a greeting, and a name that fills the screen is none.\nThe limit is the width of a terminal.\n\nSee https://example.test/issues/12\n\n"+changeID(8))
	w.propose(r, "alice", review.PushOptions{})
	vote("carol", 2, 1, "Reads well to me; somebody who owns the server should have the last word.", review.NewComment{Path: "server.go", Line: 20, Body: "Why not 400 for a name that is too long?"})
}

// showStages are stage runs unit and build in the given states, with ids from base on.
func showStages(now time.Time, base int64, states ...plan.StageState) []gatekeeper.StageRun {
	var all []gatekeeper.StageRun
	for i, s := range states {
		run := gatekeeper.StageRun{ID: base + int64(i), Change: 2, Stage: []string{"unit", "build"}[i], Attempt: 1, State: s}
		if s != plan.Queued && s != plan.Blocked {
			run.StartedAt = now.Add(-9 * time.Minute)
		}
		if s.Settled() {
			run.FinishedAt = now.Add(-8*time.Minute + 12*time.Second)
		}
		all = append(all, run)
	}
	return all
}

// showGates is what the gates say: one change that waits for much, and one in the queue.
func (w *world) showGates() {
	w.t.Helper()
	ctx := context.Background()
	now := w.clock()
	failed := showStages(now, 11, plan.Failed, plan.Blocked)
	failed[0].Tests = &plan.Tests{Passed: 41, Failed: 1, Skipped: 2, Cases: []plan.Case{{Package: "example.test/hello", Name: "TestGreet", Status: plan.CaseFailed, Output: "    server_test.go:7: greet = \"good day, you!\"\n"}}}
	failed[0].Reason = "exit code 1"
	running := showStages(now, 21, plan.Running, plan.Blocked)
	oid := git.OID(w.git("rev-parse", "HEAD"))
	w.gate.set(2, []gatekeeper.Requirement{
		{Name: "change 1", Kind: "parent", State: string(plan.Waiting), Reason: "it stands on change 1 (Greet in the language of the reader), which lands first"},
		{Name: "review", Kind: "gate", State: string(plan.Closed), Reason: "needs 1 approval of Code-Review+2 by somebody other than the author and uploader", Evidence: "carol Code-Review+1", Who: []string{"anyone who may vote"}, Next: "vote Code-Review+2", Source: "gatehouse.yaml:7"},
		{Name: "smoke", Kind: "gate", State: string(plan.Waiting), Reason: "stage unit is running", Source: "gatehouse.yaml:8"},
		{Name: "unit", Kind: "stage", State: string(plan.Running), Reason: "running for 9 min of at most 10", StageRun: 21, Source: "gatehouse.yaml:4"},
		{Name: "submit", Kind: "submit", State: string(plan.Closed), Reason: "nobody has asked to land it yet", Who: []string{"anyone who may submit"}, Next: "gate submit 2, or push with -o submit"},
	}, []gatekeeper.Run{
		{ID: 2, Change: 2, PS: 2, Candidate: oid, Base: oid, Attempt: 1, State: gatekeeper.RunRunning, CreatedAt: now.Add(-10 * time.Minute), Stages: running},
		{ID: 1, Change: 2, PS: 1, Candidate: oid, Base: oid, Attempt: 1, State: gatekeeper.RunSuperseded, CreatedAt: now.Add(-5 * time.Hour), Stages: failed},
	})
	passed := showStages(now, 31, plan.Passed, plan.Passed)
	passed[0].Tests = &plan.Tests{Passed: 42}
	w.gate.set(1, []gatekeeper.Requirement{
		{Name: "review", Kind: "gate", State: string(plan.Open), Reason: "approved", Evidence: "bob Code-Review+2", Source: "gatehouse.yaml:7"},
		{Name: "smoke", Kind: "gate", State: string(plan.Open), Reason: "all stages passed", Evidence: "42 passed, 0 failed", Source: "gatehouse.yaml:8"},
		{Name: "submit", Kind: "submit", State: string(plan.Open), Reason: "alice asked to land it"},
	}, []gatekeeper.Run{{ID: 3, Change: 1, PS: 1, Candidate: oid, Base: oid, State: gatekeeper.RunPassed, CreatedAt: now.Add(-time.Hour), Stages: passed}})
	w.gate.write(11, failedLog, true)
	w.gate.write(21, runningLog, false)
	w.gate.write(31, "ok  \texample.test/hello\t0.41s\n", true)
	w.gate.flaky = gatekeeper.FlakeReport{
		Stages: []gatekeeper.FlakeCount{
			{Stage: "unit", Runs: 212, Failures: 31, Flakes: 5, OnBase: 1, Rate: 5. / 212, LastSeen: now.Add(-3 * time.Hour), LastRun: 11},
			{Stage: "build", Runs: 180, Failures: 2},
		},
		Tests: []gatekeeper.FlakeCount{
			{Stage: "unit", Test: "example.test/hello.TestManyGreetingsAtTheSameTimeFromManyClients", Runs: 212, Failures: 6, Flakes: 4, OnBase: 1, Rate: 4. / 212, LastSeen: now.Add(-3 * time.Hour), LastRun: 11},
			{Stage: "unit", Test: "example.test/hello.TestClock", Runs: 212, Failures: 1, Flakes: 1, Rate: 1. / 212, LastSeen: now.Add(-50 * time.Hour), LastRun: 21},
		},
		Quarantines: []gatekeeper.QuarantineState{
			{Branch: "main", Stage: "browser", Owner: "bob", Until: now.AddDate(0, 0, 3).Format(time.DateOnly), Reason: "the driver loses its window, see change 2", State: gatekeeper.QuarantineEnds},
			{Branch: "main", Stage: "load", Owner: "group:core", Until: now.AddDate(0, 0, 20).Format(time.DateOnly), State: gatekeeper.QuarantineHolds},
		},
	}
	w.must(w.web.Review.RequestSubmit(ctx, w.actor("alice"), 1))
	w.pass(4 * time.Minute)
}

func (w *world) showMirror(r repo.Repository) {
	w.t.Helper()
	ctx := context.Background()
	m, err := w.web.Mirrors.Add(ctx, r.ID, mirror.NewMirror{URL: "https://git.example.test/team/hello.git", Username: "mirror", Token: "x"})
	w.must(err)
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = 'retrying', reason = 'git.example.test does not answer (attempt 3)', attempts = 3, next_try_at = $1 WHERE id = $2`, db.Micros(w.clock().Add(2*time.Minute)), m.ID)
		return err
	})
	w.transact(func(tx *db.Tx) error {
		_, err := w.web.Accounts.NewToken(ctx, tx, w.people["alice"].ID, account.APIToken, "laptop", 0)
		return err
	})
}

const readmeText = "# hello\n\nA small service that says hello. It stands behind a **gate**: what lands is what was tested.\n\n" +
	"## Run it\n\n```sh\ngo run .   # listens on :8080\ncurl 'localhost:8080/?name=you'\n```\n\n## Status\n\n- [x] greets\n- [x] refuses what is no greeting\n- [ ] speaks French\n\n" +
	"| path | what |\n|---|---|\n| `server.go` | the [server](server.go) |\n| `docs/` | the [guide](docs/guide.md) |\n\n> Hello is the shortest way to say that somebody is there.\n"

const failedLog = "\x1b[1m$ go vet ./... && go test -json ./...\x1b[0m\n=== RUN   TestGreet\n    server_test.go:7: greet = \"good day, you!\"\n\x1b[31m--- FAIL: TestGreet (0.00s)\x1b[0m\nFAIL\nFAIL\texample.test/hello\t0.312s\n\x1b[32mok\x1b[0m  \texample.test/hello/internal/words\t0.021s\nFAIL\n"

const runningLog = "\x1b[1m$ go vet ./... && go test -json ./...\x1b[0m\ngo: downloading golang.org/x/text v0.43.0\n=== RUN   TestGreet\n--- PASS: TestGreet (0.00s)\n=== RUN   TestSlow\n"
