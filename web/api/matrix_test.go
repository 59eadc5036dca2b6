package api_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/web/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// call is how the matrix calls an operation: what stands for {…} in its path, and its body.
// It is asked anew for each caller, so that what one of them takes away is there for the next.
type call func(w *world, r repo.Repository, c review.Change) (vars map[string]string, query string, in any)

func plain(in any) call {
	return func(*world, repo.Repository, review.Change) (map[string]string, string, any) { return nil, "", in }
}

// calls has every operation of the API.
var calls = map[string]call{
	"version": plain(nil), "self": plain(nil),
	"list-accounts": plain(nil), "get-account": onAccount(nil), "create-account": plain(api.NewAccount{Name: "-", Email: "x"}),
	"change-account": onAccount(api.AccountChange{}), "create-link": onAccount(nil),
	"list-keys": onAccount(nil), "add-key": onAccount(api.NewKey{Key: "no key"}), "remove-key": onAccountThing,
	"list-tokens": onAccount(nil), "create-token": onAccount(api.NewToken{}), "revoke-token": onAccountThing,
	"list-groups": plain(nil), "create-group": plain(api.NewGroup{Name: "-"}),
	"add-member": onMember, "remove-member": onMember,
	"list-repositories": plain(nil), "create-repository": plain(api.NewRepository{Name: "-"}), "get-repository": plain(nil),
	"change-repository": plain(api.RepositoryChange{}), "import-repository": plain(api.Import{URL: "nowhere"}),
	"list-grants": plain(nil), "put-grant": plain(api.Grant{Role: "read"}),
	"list-rules": plain(nil), "add-rule": plain(api.Rule{Pattern: "x", Verb: "x", Role: "read"}), "remove-rule": onRule,
	"list-mirrors": plain(nil), "add-mirror": plain(api.NewMirror{URL: "nowhere"}),
	"retry-mirror": onMirror, "pause-mirror": onMirror, "remove-mirror": onMirror,
	"list-changes": onQuery, "get-change": plain(nil), "list-comments": plain(nil), "list-files": plain(nil), "get-diff": plain(nil), "set-viewed": plain(api.ViewedFile{Path: review.CommitMessage, Viewed: true}),
	"review": plain(api.Review{Message: "hm"}), "submit": plain(nil), "withdraw": plain(nil),
	"abandon": plain(api.Reason{}), "restore": plain(api.Reason{}), "set-wip": plain(api.Progress{}), "set-topic": plain(api.Topic{Topic: "x"}), "recheck": plain(nil),
	"explain": plain(nil), "list-runs": plain(nil), "stage-log": onStage, "stop-stage": onRunning, "stage-report": onStage, "stage-tests": onStage, "checks": plain(nil), "list-tests": plain(nil), "test-history": onTest, "list-queues": plain(nil), "queue": onMain(nil), "flakes": plain(nil),
	"promote": plain(api.Promotion{Reason: "x"}), "demote": plain(nil), "hold": plain(api.Order{}), "release": plain(nil),
	"remove": plain(api.Order{}), "requeue": plain(nil), "freeze": onMain(api.NewFreeze{Reason: "x"}), "thaw": onMain(nil), "board": onMain(nil),
}

// onRunning makes a stage run of the change that runs.
func onRunning(w *world, r repo.Repository, c review.Change) (map[string]string, string, any) {
	vars, query, _ := onStage(w, r, c)
	w.transact(func(tx *db.Tx) error {
		if _, err := tx.ExecContext(w.ctx, `UPDATE stage_runs SET state = 'RUNNING' WHERE id = $1`, 1_000_000+c.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(w.ctx, `UPDATE runs SET state = 'RUNNING' WHERE id = (SELECT run_id FROM stage_runs WHERE id = $1)`, 1_000_000+c.ID)
		return err
	})
	return vars, query, api.StageStop{Reason: "x"}
}

// onTest makes a test that ran in a stage run of the change.
func onTest(w *world, r repo.Repository, c review.Change) (map[string]string, string, any) {
	onStage(w, r, c)
	w.transact(func(tx *db.Tx) error {
		if _, err := tx.ExecContext(w.ctx, `INSERT INTO tests (id, repo_id, stage, test, package) VALUES ($1, $2, 'unit', 'TestAdd', '') ON CONFLICT DO NOTHING`, c.ID, r.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(w.ctx, `INSERT INTO test_results (stage_run_id, test_id, position, status, micros, message, at)
			VALUES ($1, $2, 0, 'passed', 1, '', $3) ON CONFLICT DO NOTHING`, 1_000_000+c.ID, c.ID, db.Micros(w.Now()))
		return err
	})
	return nil, "?test=TestAdd", nil
}

func onAccount(in any) call {
	return func(*world, repo.Repository, review.Change) (map[string]string, string, any) {
		return map[string]string{"name": "reader"}, "", in
	}
}

func onAccountThing(*world, repo.Repository, review.Change) (map[string]string, string, any) {
	return map[string]string{"name": "reader", "id": "999999"}, "", nil
}

func onMember(*world, repo.Repository, review.Change) (map[string]string, string, any) {
	return map[string]string{"name": "reader", "group": "nobody"}, "", nil
}

func onQuery(_ *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
	return nil, "?repository=" + r.Name, nil
}

func onMain(in any) call {
	return func(*world, repo.Repository, review.Change) (map[string]string, string, any) {
		return map[string]string{"branch": "main"}, "", in
	}
}

func onRule(w *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
	w.transact(func(tx *db.Tx) error { return w.Accounts.AddRule(w.ctx, tx, r.ID, "x", account.Vote, account.RoleRead) })
	rules, err := w.Accounts.Rules(w.ctx, w.DB.Read(), r.ID)
	must(w.t, err)
	return map[string]string{"id": itoa(rules[0].ID)}, "", nil
}

func onMirror(w *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
	all, err := w.Mirrors.List(w.ctx, w.DB.Read(), r.ID)
	must(w.t, err)
	if len(all) == 0 {
		m, err := w.Mirrors.Add(w.ctx, r.ID, mirror.NewMirror{URL: "https://forge.test/x.git"})
		must(w.t, err)
		all = []mirror.Mirror{m}
	}
	return map[string]string{"id": itoa(all[0].ID)}, "", nil
}

// onStage makes a stage run of the change, as the controller would.
func onStage(w *world, r repo.Repository, c review.Change) (map[string]string, string, any) {
	id := 1_000_000 + c.ID
	w.transact(func(tx *db.Tx) error {
		for _, statement := range []string{
			fmt.Sprintf(`INSERT INTO candidates (id, repo_id, branch, change_id, ps, members, base_oid, how, created_at) VALUES ($1, $2, 'main', $3, 1, '%d.1', 'x', 'merge', 1) ON CONFLICT DO NOTHING`, c.ID),
			`INSERT INTO runs (id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state, created_at)
				VALUES ($1, $2, 'main', $3, 1, $1, 'x', 'x', 'x', 1, 'PASSED', 1) ON CONFLICT DO NOTHING`,
		} {
			if _, err := tx.ExecContext(w.ctx, statement, id, r.ID, c.ID); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(w.ctx, `INSERT INTO stage_runs (id, run_id, stage, attempt, state, log_key, created_at)
			VALUES ($1, $1, 'unit', 1, 'PASSED', 'log0', 1) ON CONFLICT DO NOTHING`, id)
		return err
	})
	return map[string]string{"id": itoa(id)}, "", nil
}

// verdict sums an answer up to who may: a request that was let in and then found wanting was let in.
func verdict(id string, a answer) string {
	switch {
	case a.Code == http.StatusUnauthorized:
		return "401"
	case a.Code == http.StatusForbidden:
		return "403"
	case a.Code == http.StatusNotFound && strings.HasPrefix(a.problem.Detail, "nothing is delivered"): // of a change that they see
		return "may"
	case a.Code == http.StatusNotFound && !slices.Contains([]string{"remove-key", "revoke-token", "add-member", "remove-member"}, id):
		return "hidden"
	case a.Code >= 500:
		return strconv.Itoa(a.Code)
	default:
		return "may"
	}
}

// The golden matrix: who may call what, on a public and on a private repository. A line that
// changes is a change of the policy.
func TestWhoMayCallWhat(t *testing.T) {
	w := newWorld(t)
	repos := []repo.Repository{w.repository("public", false), w.repository("private", true)}
	changes := []review.Change{w.change(repos[0]), w.change(repos[1])}
	var lines []string
	seen := map[string]bool{}
	for path, item := range w.Document().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			seen[op.OperationID] = true
			how, known := calls[op.OperationID]
			if !known {
				t.Errorf("%s %s (%s) is not in the matrix", method, path, op.OperationID)
				continue
			}
			for i, r := range repos {
				line := fmt.Sprintf("%-18s %-8s", op.OperationID, r.Name)
				if !ofRepository(path) {
					if i > 0 {
						continue
					}
					line = fmt.Sprintf("%-18s %-8s", op.OperationID, "-")
				}
				for _, who := range append([]string{""}, people...) {
					if method != http.MethodGet && strings.Contains(path, "{number}") {
						reopen(w, changes[i].ID)
					}
					vars, query, in := how(w, r, changes[i])
					target := strings.NewReplacer("{repository}", r.Name, "{number}", itoa(changes[i].ID), "{name}", vars["name"], "{id}", vars["id"], "{group}", vars["group"], "{environment}", vars["environment"], "{gate}", vars["gate"], "{digest}", vars["digest"], "{order}", vars["order"], "{branch}", vars["branch"], "{delivery}", vars["delivery"]).Replace(path)
					name := who
					if who == "" {
						name = "nobody"
					}
					line += fmt.Sprintf(" %s=%s", name, verdict(op.OperationID, w.ask(who, method, target+query, in)))
				}
				lines = append(lines, line)
			}
		}
	}
	for id := range calls {
		if !seen[id] {
			t.Errorf("the matrix has %s, which the API has not", id)
		}
	}
	slices.Sort(lines)
	golden(t, "matrix.golden", strings.Join(lines, "\n")+"\n")
	if w.logged.Len() > 0 {
		t.Errorf("the server failed:\n%s", w.logged)
	}
}

// ofRepository reports whether an operation has to do with a repository.
func ofRepository(path string) bool {
	return !strings.HasPrefix(path, "/api/v1/accounts") && !strings.HasPrefix(path, "/api/v1/groups") &&
		path != "/api/v1/queues" && !strings.HasPrefix(path, "/api/v1/self") && path != "/api/v1/version" && path != "/api/v1/repositories"
}

// reopen undoes what an earlier caller did to the change: it is open, and its author asked to land it.
func reopen(w *world, change int64) {
	actor := func(name string) account.Actor {
		a, err := w.Accounts.Actor(w.ctx, w.DB.Read(), w.ids[name], account.MethodKey)
		must(w.t, err)
		return a
	}
	admin := actor("admin")
	_ = w.Review.Restore(w.ctx, admin, change, "")    // an open change cannot be restored, and need not
	_ = w.Review.WithdrawSubmit(w.ctx, admin, change) // nobody may have asked
	must(w.t, w.Review.RequestSubmit(w.ctx, actor("author"), change))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for _, line := range gotLines {
		if !slices.Contains(wantLines, line) {
			t.Errorf("not in %s: %s", file, line)
		}
	}
	for _, line := range wantLines {
		if !slices.Contains(gotLines, line) {
			t.Errorf("only in %s: %s", file, line)
		}
	}
	if t.Failed() {
		t.Log("go test ./web/api -run TestWhoMayCallWhat -update writes it anew")
	}
}
