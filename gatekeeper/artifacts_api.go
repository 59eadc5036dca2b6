package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// ArtifactDetail is an artifact with what became of it.
type ArtifactDetail struct {
	Built
	Kept      bool               `json:"kept"` // its content can be fetched
	Runs      []deliver.Assembly `json:"runs"` // where it serves now
	Approvals []ArtifactApproval `json:"approvals"`
	// Words are those by which it was taken back, and let in again, oldest first.
	Words     []ArtifactWord     `json:"words"`
	Signature *ArtifactSignature `json:"signature,omitempty"` // of its statement
}

// ArtifactApproval is somebody's acceptance of an artifact at a gate, as it was given: whether it
// counts is for the gate to say.
type ArtifactApproval struct {
	Branch string    `json:"branch"`
	Gate   string    `json:"gate"`
	By     string    `json:"by"`
	Note   string    `json:"note,omitempty"`
	At     time.Time `json:"at"`
}

// mayHave is the condition under which an actor may have what a stage run made: it landed, or
// was promoted, or no change that it was built with is hidden from them.
func (c *Controller) mayHave(ctx context.Context, actor account.Actor, repoID int64) (where string, err error) {
	sight, err := c.sightOf(ctx, actor, repoID)
	if err != nil || len(sight.unseen) == 0 {
		return `1 = 1`, err
	}
	landed := `EXISTS (SELECT 1 FROM landings l WHERE l.repo_id = a.repo_id AND l.new_oid = a.commit_oid AND l.state = '` + landingDone + `')
		OR EXISTS (SELECT 1 FROM promotions p WHERE p.repo_id = a.repo_id AND p.digest = a.digest)`
	if len(sight.unseen) > maxVeiled {
		return `(` + landed + `)`, nil
	}
	ids := make([]string, 0, len(sight.unseen))
	for _, id := range sortedKeys(sight.unseen) {
		ids = append(ids, fmt.Sprint(id))
	}
	in := strings.Join(ids, ", ")
	return `(` + landed + ` OR r.change_id NOT IN (` + in + `)
		AND NOT EXISTS (SELECT 1 FROM candidate_changes k WHERE k.candidate_id = r.candidate_id AND k.change_id IN (` + in + `)))`, nil
}

// ListArtifacts are what the stages of a repository made, newest first, for whoever may read it: at
// most limit, of those before the place that the page before ended at, 0 being all.
func (c *Controller) ListArtifacts(ctx context.Context, actor account.Actor, repository string, before int64, limit int) (all []Built, next int64, err error) {
	r, err := c.readable(ctx, actor, repository)
	if err != nil {
		return nil, 0, err
	}
	where, err := c.mayHave(ctx, actor, r.ID)
	if err != nil {
		return nil, 0, err
	}
	var ids []int64
	err = each(ctx, c.DB.Read(), `SELECT a.id FROM artifacts a JOIN stage_runs s ON s.id = a.stage_run_id JOIN runs r ON r.id = s.run_id
		WHERE a.repo_id = $1 AND ($2 = 0 OR a.id < $2) AND `+where+` ORDER BY a.id DESC LIMIT $3`, []any{r.ID, before, limit + 1}, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("gatekeeper: artifacts of %s: %w", r.Name, err)
	}
	if len(ids) > limit {
		ids = ids[:limit]
		next = ids[limit-1]
	}
	if len(ids) == 0 {
		return nil, 0, nil
	}
	all, err = queryBuilt(ctx, c.DB.Read(), `a.repo_id = $1 AND a.id >= $2 AND a.id <= $3 AND `+where, r.ID, ids[len(ids)-1], ids[0])
	slices.Reverse(all)
	return all, next, err
}

// leastDigest is how much of a digest, beside its kind, tells it from others.
const leastDigest = 6

// ArtifactNamed finds an artifact by its digest or the beginning of it, with or without its kind.
// What was built twice is told as it was built first.
func (c *Controller) ArtifactNamed(ctx context.Context, actor account.Actor, repository, digest string) (Built, error) {
	const op = "gatekeeper.Artifact"
	r, err := c.readable(ctx, actor, repository)
	if err != nil {
		return Built{}, err
	}
	hex := strings.ToLower(strings.TrimPrefix(digest, "sha256:"))
	if len(hex) < leastDigest || strings.Trim(hex, "0123456789abcdef") != "" {
		return Built{}, fault.New(fault.Invalid, op, fmt.Sprintf("%q is no digest", digest), fmt.Sprintf("write sha256: and at least %d of its digits", leastDigest))
	}
	where, err := c.mayHave(ctx, actor, r.ID)
	if err != nil {
		return Built{}, err
	}
	all, err := queryBuilt(ctx, c.DB.Read(), `a.repo_id = $1 AND a.digest LIKE $2 AND `+where, r.ID, "sha256:"+hex+"%")
	switch {
	case err != nil:
		return Built{}, err
	case len(all) == 0:
		return Built{}, fault.New(fault.NotFound, op, "there is no such artifact", "gate artifact list REPO names those that there are")
	case slices.ContainsFunc(all, func(b Built) bool { return b.Digest != all[0].Digest }):
		return Built{}, fault.New(fault.Invalid, op, digest+" is the beginning of several digests", "write more of it")
	}
	return all[0], nil
}

// ArtifactDetail is an artifact with where it serves and who accepted it.
func (c *Controller) ArtifactDetail(ctx context.Context, actor account.Actor, repository, digest string) (ArtifactDetail, error) {
	b, err := c.ArtifactNamed(ctx, actor, repository, digest)
	if err != nil {
		return ArtifactDetail{}, err
	}
	d := ArtifactDetail{Built: b, Approvals: []ArtifactApproval{}}
	if c.Artifacts != nil {
		if d.Kept, err = c.Artifacts.Has(b.Artifact); err != nil {
			return d, err
		}
	}
	if d.Signature, err = c.signature(b); err != nil {
		return d, err
	}
	if d.Runs, err = c.servingFor(ctx, actor, b); err != nil {
		return d, err
	}
	if d.Words, err = artifactWords(ctx, c.DB.Read(), b); err != nil {
		return d, err
	}
	err = each(ctx, c.DB.Read(), `SELECT p.branch, p.gate, u.name, p.note, p.created_at FROM approvals p JOIN accounts u ON u.id = p.account_id
		WHERE p.repo_id = $1 AND p.digest = $2 AND p.withdrawn_at = 0 ORDER BY p.id`, []any{b.repo, b.Digest}, func(rows *sql.Rows) error {
		var a ArtifactApproval
		var at int64
		err := rows.Scan(&a.Branch, &a.Gate, &a.By, &a.Note, &at)
		a.At = db.Time(at)
		d.Approvals = append(d.Approvals, a)
		return err
	})
	if err != nil {
		return d, fmt.Errorf("gatekeeper: approvals of %s: %w", b.Digest, err)
	}
	return d, nil
}

// servingFor are the assemblies that run an artifact, as far as an actor may see them.
func (c *Controller) servingFor(ctx context.Context, actor account.Actor, b Built) ([]deliver.Assembly, error) {
	all, err := deliver.Serving(ctx, c.DB.Read(), b.repo, b.Digest)
	if err != nil {
		return nil, err
	}
	sight, err := c.sightOf(ctx, actor, b.repo)
	return append([]deliver.Assembly{}, sight.assemblies(all)...), err
}

// ArtifactContent opens the content of an artifact: the bytes of a file, the tar archive of the
// others.
func (c *Controller) ArtifactContent(ctx context.Context, actor account.Actor, repository, digest string) (Built, io.ReadSeekCloser, error) {
	b, err := c.ArtifactNamed(ctx, actor, repository, digest)
	if err != nil {
		return b, nil, err
	}
	gone := fault.New(fault.NotFound, "gatekeeper.ArtifactContent", fmt.Sprintf("the content of %s is not kept any more", b.Digest), "it is built again when its change is rechecked")
	if c.Artifacts == nil {
		return b, nil, gone
	}
	if ok, err := c.Artifacts.Has(b.Artifact); err != nil || !ok {
		if err == nil {
			err = gone
		}
		return b, nil, err
	}
	content, err := c.Artifacts.Open(b.Artifact)
	return b, content, err
}

// branchesOfDigest are the branches for which an artifact was built, or to whose environments it
// was on its way.
func (c *Controller) branchesOfDigest(ctx context.Context, q db.Querier, repoID int64, digest string) ([]string, error) {
	var all []string
	err := each(ctx, q, `SELECT r.branch FROM artifacts a JOIN stage_runs s ON s.id = a.stage_run_id JOIN runs r ON r.id = s.run_id WHERE a.repo_id = $1 AND a.digest = $2
		UNION SELECT branch FROM promotions WHERE repo_id = $1 AND digest = $2 ORDER BY 1`, []any{repoID, digest}, func(rows *sql.Rows) error {
		var branch string
		err := rows.Scan(&branch)
		all = append(all, branch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: branches of %s: %w", digest, err)
	}
	return all, nil
}

// archived reports whether the content of an artifact is a tar archive.
func (b Built) archived() bool { return b.Type != plan.FileArtifact }

// FileName is what the content of an artifact is called when it is kept as a file.
func (b Built) FileName() string {
	if b.archived() {
		return b.Name + ".tar"
	}
	return b.Name
}
