package gatekeeper

import (
	"context"
	"fmt"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

const (
	// artifactKeep is how long an artifact is kept whose plan does not say, when it entered no
	// environment: as long as results are, since a result is taken over only with what it made.
	artifactKeep = resultAge
	// artifactGrace is how long content stays that no row names: a stage run that made it may be
	// about to write the row.
	artifactGrace = 24 * time.Hour
)

// pruneArtifacts drops the content of artifacts whose time is over. What entered an environment,
// or is on its way there, is kept for as long as the repository: people go back to it.
func (c *Controller) pruneArtifacts(ctx context.Context, r repo.Repository) error {
	if c.Artifacts == nil {
		return nil
	}
	keep := map[string]time.Duration{}
	if p, problems, err := c.PlanAt(ctx, r, r.DefaultBranch); err == nil && len(problems) == 0 {
		keep = keepOf(p)
	}
	old, err := queryBuilt(ctx, c.DB.Read(), `a.repo_id = $1 AND a.state = $2 AND a.created_at < $3
		AND NOT EXISTS (SELECT 1 FROM promotions p WHERE p.repo_id = a.repo_id AND p.digest = a.digest AND (p.ended_at = 0 OR p.state = 'SUCCEEDED'))
		AND NOT EXISTS (SELECT 1 FROM assemblies m WHERE m.repo_id = a.repo_id AND m.digest = a.digest AND m.state NOT IN ('DELETED', 'ERROR'))`,
		r.ID, ArtifactAttested, db.Micros(c.Now().Add(-artifactGrace)))
	if err != nil {
		return err
	}
	for _, b := range old {
		span, said := keep[b.Name]
		if !said {
			span = artifactKeep
		}
		if c.Now().Sub(b.BuiltAt) < span {
			continue
		}
		err := c.DB.Transact(ctx, func(tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE artifacts SET state = $1 WHERE stage_run_id = $2 AND name = $3 AND state = $4`, ArtifactExpired, b.StageRun, b.Name, ArtifactAttested)
			return err
		})
		if err != nil {
			return fmt.Errorf("gatekeeper: artifact %s expires: %w", b.Digest, err)
		}
	}
	crash("artifact.expired")
	return c.dropContent(ctx)
}

func keepOf(p *plan.Plan) map[string]time.Duration {
	keep := map[string]time.Duration{}
	for _, a := range p.Artifacts {
		if a.Keep > 0 {
			keep[a.Name] = a.Keep
		}
	}
	return keep
}

// dropContent removes from the store what no artifact of any repository is any more.
func (c *Controller) dropContent(ctx context.Context) error {
	for kept, err := range c.Artifacts.All() {
		if err != nil {
			return err
		}
		if c.Now().Sub(kept.At) < artifactGrace {
			continue
		}
		var needed int
		err := c.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM artifacts WHERE digest = $1 AND state <> $2`, kept.Digest, ArtifactExpired).Scan(&needed)
		if err != nil {
			return fmt.Errorf("gatekeeper: who needs %s: %w", kept.Digest, err)
		}
		if needed > 0 {
			continue
		}
		if err := c.Artifacts.Remove(artifact.Artifact{Type: kept.Type, Digest: kept.Digest}); err != nil {
			return err
		}
	}
	return nil
}
