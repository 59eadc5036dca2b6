package api_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
	"gatehouse/web/api"
)

func init() {
	maps.Copy(calls, map[string]call{
		"list-environments": onSite("?branch=site", nil), "get-environment": onSite("?branch=site", nil), "list-promotions": onSite("?branch=site", nil), "figures": onSite("?branch=site", nil),
		"promote-artifact": onSite("?branch=site", api.NewPromotion{}), "roll-back": onSite("?branch=site", api.NewRollback{Reason: "x"}), "cancel-promotion": onSite("", nil),
		"pin-environment": onSite("?branch=site", api.NewPin{What: siteDigest, Reason: "x"}), "veto-artifact": onSite("?branch=site", api.NewVeto{NewPin: api.NewPin{What: siteDigest, Reason: "x"}}),
		"freeze-environment": onSite("?branch=site", api.NewEnvironmentFreeze{Reason: "x"}), "lift-order": onSite("?branch=site", nil),
		"deliveries": onSite("?branch=site", nil), "delivery": onSite("", nil), "delivery-of-change": plain(nil), "approve": onSite("?branch=site", api.NewApproval{}),
		"bypass": plain(api.NewBypass{Node: "review", Reason: "x"}), "set-outcome": plain(api.NewOutcome{}),
		"post-status":    onSite("", api.NewStatus{Subject: strings.Repeat("a", 40), Context: "ci", State: "PASSED"}),
		"list-artifacts": onSite("", nil), "get-artifact": onSite("", nil), "artifact-content": onSite("", nil), "artifact-statement": onSite("", nil), "artifact-envelope": onSite("", nil), "signing-keys": plain(nil), "rotate-signing-key": plain(nil), "revoke-artifact": onSite("", api.Reason{Message: "x"}), "restore-artifact": onSite("", api.Reason{Message: "x"}),
		"list-assemblies": onSite("?branch=site", nil), "assembly-log": onSite("", nil), "stop-assembly": onSite("", nil),
		"list-secrets": onSite("", nil), "set-secret": onSite("", api.NewSecret{Value: "a long secret"}), "remove-secret": onSite("", nil),
	})
}

// siteDigest is that of what the site has built.
var siteDigest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(siteContent)))

const siteContent = "one\n"

// onSite has a branch with environments, and in its rows what a delivery leaves: a run, an
// artifact that waits for staging, a freeze, and the preview of an earlier change. Each is there
// anew for each caller.
func onSite(query string, in any) call {
	return func(w *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
		g, err := w.Repos.Open(r)
		must(w.t, err)
		tip, err := g.RefOID(w.ctx, "refs/heads/site")
		must(w.t, err)
		if tip.IsZero() {
			tip = w.commitFiles(g, map[string]string{"gatehouse.yaml": sitePlan, "version.txt": siteContent}, "a site\n")
			must(w.t, g.UpdateRefs(w.ctx, []git.RefUpdate{{Ref: "refs/heads/site", Old: git.Zero, New: tip}}, "test"))
		}
		id := 3_000_000 + r.ID
		w.siteRows(r, id, tip)
		_ = w.Gate.Secrets.Set(r.ID, "KEY", []byte("a long secret"))
		must(w.t, os.MkdirAll(filepath.Dir(w.sites.Log(id)), 0o700))
		must(w.t, os.WriteFile(w.sites.Log(id), []byte("listening\n"), 0o600))
		w.keep(siteContent)
		vars := map[string]string{"environment": "staging", "id": itoa(id), "gate": "accepted", "digest": siteDigest, "order": "freeze", "name": "KEY"}
		return vars, query, in
	}
}

func (w *world) siteRows(r repo.Repository, id int64, tip git.OID) {
	w.t.Helper()
	statements := []string{
		`INSERT INTO candidates (id, repo_id, branch, change_id, ps, members, base_oid, how, created_at) VALUES ($1, $2, 'site', 0, 0, '', '', 'deliver', 1) ON CONFLICT DO NOTHING`,
		`INSERT INTO runs (id, repo_id, branch, change_id, ps, candidate_id, commit_oid, plan_oid, plan_digest, attempt, state, created_at, phase)
			VALUES ($1, $2, 'site', 0, 0, $1, '` + string(tip) + `', '` + string(tip) + `', 'x', 1, 'RUNNING', 1, 'deliver') ON CONFLICT DO NOTHING`,
		`INSERT INTO stage_runs (id, run_id, stage, attempt, state, log_key, created_at) VALUES ($1, $1, 'build', 1, 'PASSED', 'log0', $2) ON CONFLICT DO NOTHING`,
		`DELETE FROM artifacts WHERE id = $1 AND repo_id = $2`,
		`INSERT INTO artifacts (id, repo_id, stage_run_id, name, type, digest, size, commit_oid, tree_oid, state, statement, created_at)
			VALUES ($1, $2, $1, 'server', 'file', '` + siteDigest + `', 4, '` + string(tip) + `', 'x', 'ATTESTED', '{"payload":"e30=","payloadType":"x","signatures":[{"keyid":"k","sig":"AA=="}]}', 1)`,
		`DELETE FROM promotions WHERE repo_id = $2 AND $1 > 0`,
		`INSERT INTO promotions (id, repo_id, branch, environment, run_id, stage, seq, kind, artifact, digest, commit_oid, state, created_at)
			VALUES ($1, $2, 'site', 'staging', $1, 'staging', 1, 'forward', 'server', '` + siteDigest + `', '` + string(tip) + `', 'REQUESTED', 1)`,
		`DELETE FROM environment_orders WHERE repo_id = $2 AND $1 > 0`,
		`INSERT INTO environment_orders (id, repo_id, branch, environment, kind, created_at) VALUES ($1, $2, 'site', 'staging', 'freeze', 1)`,
		`DELETE FROM assemblies WHERE id = $1 AND repo_id = $2`,
		`INSERT INTO assemblies (id, repo_id, branch, environment, instance, run_id, stage_run_id, artifact, digest, commit_oid, driver, state, created_at)
			VALUES ($1, $2, 'site', 'preview', 'c1', $1, $1, 'server', '` + siteDigest + `', '` + string(tip) + `', 'process', 'READY', 1)`,
	}
	w.transact(func(tx *db.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(w.ctx, statement, id, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// keep puts the content of a file into the artifact store.
func (w *world) keep(content string) {
	w.t.Helper()
	dir := w.t.TempDir()
	must(w.t, os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o600))
	root, err := os.OpenRoot(dir)
	must(w.t, err)
	defer func() { _ = root.Close() }()
	_, err = w.Gate.Artifacts.Put(w.ctx, plan.FileArtifact, root, "file", 1<<20)
	must(w.t, err)
}
