package gatekeeper

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// proof is what is known about one run and what was made in it: all that its gates may look at.
type proof struct {
	run  *runRow
	of   *runRow // the gating run of a delivery, nil otherwise
	made map[string]Built
	// landed is when the commit of a delivery landed.
	landed time.Time
	e      plan.Evidence
}

// digests are those of what was made.
func (p *proof) digests() []string {
	all := make([]string, 0, len(p.made))
	for _, b := range p.made {
		all = append(all, b.Digest)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// prove gathers the evidence about a run. votes are those for its patch set, touched the paths
// that the change touches.
func (c *Controller) prove(ctx context.Context, q db.Querier, r repo.Repository, g *git.Repo, run *runRow) (*proof, error) {
	pr := &proof{run: run}
	var err error
	if pr.of, err = gatingRun(ctx, q, run); err != nil {
		return nil, err
	}
	changed, err := c.changedPaths(ctx, g, run.Base, run.Candidate)
	if err != nil {
		return nil, err
	}
	pr.e = run.evidence(nil, changed)
	if pr.of != nil { // what the gating run found holds for what landed
		before := pr.of.evidence(nil, nil)
		maps.Copy(before.Stages, pr.e.Stages)
		maps.Copy(before.Tests, pr.e.Tests)
		pr.e.Stages, pr.e.Tests = before.Stages, before.Tests
	}
	pr.e.Branch = run.branch
	if pr.made, err = artifactsOf(ctx, q, pr.of, run); err != nil {
		return nil, err
	}
	if err := c.proveByPeople(ctx, q, r, pr); err != nil {
		return nil, err
	}
	if pr.e.Bypasses, err = c.bypassesOf(ctx, q, run.Change, run.PS); err != nil {
		return nil, err
	}
	if pr.e.Metrics, err = metricsOf(ctx, q, pr.of, run); err != nil {
		return nil, err
	}
	return pr, c.proveByPlaces(ctx, q, pr)
}

// evidenceOf is the evidence about a gating run: all of it where the plan asks for more than what
// its stages showed.
func (c *Controller) evidenceOf(ctx context.Context, q db.Querier, p *plan.Plan, run *runRow, changed []string) (plan.Evidence, error) {
	if !p.AsksMore() {
		e := run.evidence(nil, changed)
		e.Branch = run.branch
		return e, nil
	}
	r, err := c.Repos.ByID(ctx, q, run.repo)
	if err != nil {
		return plan.Evidence{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return plan.Evidence{}, err
	}
	pr, err := c.prove(ctx, q, r, g, run)
	if err != nil {
		return plan.Evidence{}, err
	}
	return pr.e, nil
}

// leftOutWords say who left a stage out, and why.
func leftOutWords(e plan.Evidence, node string) string {
	for _, b := range slices.Backward(e.Bypasses) {
		if b.Node == node {
			return fmt.Sprintf("left out by %s: %s", b.By, b.Reason)
		}
	}
	return "left out"
}

// proveByPlaces adds what serves where, for how long, and how what serves measured. In a delivery
// the gates before the landing said yes when it landed: they are not asked again.
func (c *Controller) proveByPlaces(ctx context.Context, q db.Querier, pr *proof) error {
	at := deliver.Place{Repo: pr.run.repo, Branch: pr.run.branch}
	soaks, err := deliver.Soaks(ctx, q, at, pr.digests(), c.Now())
	if err != nil {
		return err
	}
	pr.e.Soaks = map[string]plan.Soaked{}
	for environment, s := range soaks {
		pr.e.Soaks[environment] = plan.Soaked{Ready: s.Ready, Since: s.Since, For: s.For}
	}
	if pr.e.Baselines, err = c.baselines(ctx, q, at, pr); err != nil {
		return err
	}
	if pr.run.phase != phaseDeliver {
		return nil
	}
	var landed int64
	err = q.QueryRowContext(ctx, `SELECT COALESCE(MAX(outcome_at), 0) FROM landings WHERE repo_id = $1 AND branch = $2 AND new_oid = $3 AND state = $4`,
		pr.run.repo, pr.run.branch, string(pr.run.Candidate), landingDone).Scan(&landed)
	if err != nil {
		return fmt.Errorf("gatekeeper: landing of run %d: %w", pr.run.ID, err)
	}
	pr.landed = db.Time(landed)
	return nil
}

// baselines are the numbers of what serves in each environment. What serves there itself is no
// measure for itself: then what served before it is none either, and nothing is compared.
func (c *Controller) baselines(ctx context.Context, q db.Querier, at deliver.Place, pr *proof) (map[string]map[string]float64, error) {
	running, err := deliver.Running(ctx, q, at)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]float64{}
	for environment, a := range running {
		if a.Run == pr.run.ID {
			continue
		}
		runs, err := queryRuns(ctx, q, `r.id = $1`, a.Run)
		if err != nil || len(runs) == 0 {
			return nil, err
		}
		of, err := gatingRun(ctx, q, runs[0])
		if err != nil {
			return nil, err
		}
		measured, err := metricsOf(ctx, q, of, runs[0])
		if err != nil {
			return nil, err
		}
		all[environment] = map[string]float64{}
		for name, m := range measured {
			all[environment][name] = m.Value
		}
	}
	return all, nil
}

// under is the evidence as the gates of a plan want it: what those before the landing said is
// evidence for those after it.
func (pr *proof) under(p *plan.Plan) plan.Evidence {
	e := pr.e
	if !p.Landed {
		return e
	}
	e.Statuses = slices.DeleteFunc(slices.Clone(e.Statuses), func(s plan.Status) bool { return s.OfChange })
	e.Approvals = slices.DeleteFunc(slices.Clone(e.Approvals), func(a plan.Approval) bool { return a.OfChange })
	e.Gates, e.Opened = map[string]plan.GateState{}, map[string]time.Time{}
	for _, g := range p.Landing() {
		e.Gates[g.Name], e.Opened[g.Name] = plan.Open, pr.landed
		if slices.ContainsFunc(e.Bypasses, func(b plan.Bypass) bool { return b.Node == g.Name && !b.At.After(pr.landed) }) {
			e.Gates[g.Name] = plan.GateBypassed
		}
	}
	return e
}

// proveByPeople adds votes, approvals and the words of outside systems.
func (c *Controller) proveByPeople(ctx context.Context, q db.Querier, r repo.Repository, pr *proof) error {
	var sets []review.PatchSet
	var f *facts
	if pr.run.Change != 0 {
		var err error
		if f, err = c.gather(ctx, q, r, pr.run.Change); err != nil {
			return err
		}
		sets = f.sets
		if pr.e.Parts, err = c.partsOf(ctx, q, sets); err != nil {
			return err
		}
		pr.e.Touched = f.touched
		if pr.run.PS == f.change.Current { // votes are for the patch set that they were given on
			if pr.e.Votes, err = c.ballots(ctx, q, f); err != nil {
				return err
			}
		}
	}
	groups, err := c.groupNames(ctx, q, true)
	if err != nil {
		return err
	}
	if pr.e.Approvals, err = c.approvalsOf(ctx, q, r, pr.run.branch, pr.digests(), sets, groups); err != nil {
		return err
	}
	pr.e.Statuses, err = c.statusesOf(ctx, q, r, append(pr.digests(), string(pr.run.Candidate)), groups)
	if err != nil || f == nil || pr.run.PS != f.change.Current {
		return err
	}
	said, given, err := c.saidOfChange(ctx, q, f)
	pr.e.Statuses, pr.e.Approvals = append(pr.e.Statuses, said...), append(pr.e.Approvals, given...)
	return err
}

// saidOfChange are the newest words of outside systems about the current patch set's own commit,
// which is what they can fetch before anything of ours has run, and the approvals of the patch set.
func (c *Controller) saidOfChange(ctx context.Context, q db.Querier, f *facts) ([]plan.Status, []plan.Approval, error) {
	groups, err := c.groupNames(ctx, q, true)
	if err != nil {
		return nil, nil, err
	}
	said, err := c.statusesOf(ctx, q, f.repo, []string{string(f.ps.Commit)}, groups)
	if err != nil {
		return nil, nil, err
	}
	for i := range said {
		said[i].OfChange = true
	}
	given, err := c.approvalsOf(ctx, q, f.repo, f.change.Branch, []string{patchSetKey(f.change.ID, f.change.Current)}, f.sets, groups)
	for i := range given {
		given[i].OfChange = true
	}
	return said, given, err
}

// approvalsOf are the acceptances of what was made in a run, or of a patch set, that count now: from
// accounts that may vote, and for every one of its digests where there are several.
func (c *Controller) approvalsOf(ctx context.Context, q db.Querier, r repo.Repository, branch string, digests []string, sets []review.PatchSet, groups map[int64][]string) ([]plan.Approval, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	type key struct {
		gate string
		by   int64
	}
	newest := map[key]map[string]time.Time{} // by digest
	args, marks := []any{r.ID, branch}, make([]string, 0, len(digests))
	for _, digest := range digests {
		args = append(args, digest)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	err := each(ctx, q, `SELECT gate, digest, account_id, created_at FROM approvals
		WHERE repo_id = $1 AND branch = $2 AND digest IN (`+strings.Join(marks, ", ")+`) AND withdrawn_at = 0 ORDER BY id`,
		args, func(rows *sql.Rows) error {
			var k key
			var digest string
			var at int64
			err := rows.Scan(&k.gate, &digest, &k.by, &at)
			if newest[k] == nil {
				newest[k] = map[string]time.Time{}
			}
			newest[k][digest] = db.Time(at)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: approvals: %w", err)
	}
	var all []plan.Approval
	for k, given := range newest {
		at, complete := time.Time{}, true
		for _, digest := range digests {
			when, ok := given[digest]
			complete = complete && ok
			if at.IsZero() || when.Before(at) {
				at = when // the oldest is the first that expires
			}
		}
		if !complete {
			continue
		}
		actor, err := c.Accounts.Actor(ctx, q, k.by, methodVote)
		if err != nil || c.Accounts.May(ctx, q, actor, account.Vote, r.Resource(branch)) != nil {
			continue // disabled, or a right was taken away
		}
		who, err := c.Accounts.ByID(ctx, q, k.by)
		if err != nil {
			return nil, err
		}
		var is []string
		for _, part := range review.Parts(sets, who) {
			is = append(is, string(part))
		}
		all = append(all, plan.Approval{Gate: k.gate, By: who.Name, Groups: groups[k.by], Is: is, At: at})
	}
	slices.SortFunc(all, func(a, b plan.Approval) int { return cmp.Or(cmp.Compare(a.Gate, b.Gate), cmp.Compare(a.By, b.By)) })
	return all, nil
}

// statusesOf are the newest words of outside systems about a commit or digests: one for each
// context and account.
func (c *Controller) statusesOf(ctx context.Context, q db.Querier, r repo.Repository, subjects []string, groups map[int64][]string) ([]plan.Status, error) {
	args, marks := []any{r.ID}, make([]string, 0, len(subjects))
	for _, s := range subjects {
		args = append(args, s)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	type key struct {
		context string
		by      int64
	}
	newest := map[key]plan.Status{}
	err := each(ctx, q, `SELECT context, state, url, account_id, created_at FROM statuses WHERE repo_id = $1 AND subject IN (`+strings.Join(marks, ", ")+`) ORDER BY id`,
		args, func(rows *sql.Rows) error {
			var k key
			var s plan.Status
			var at int64
			err := rows.Scan(&k.context, &s.State, &s.URL, &k.by, &at)
			s.Context, s.At, s.Groups = k.context, db.Time(at), groups[k.by]
			newest[k] = s
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: statuses: %w", err)
	}
	var all []plan.Status
	for _, k := range slices.SortedFunc(maps.Keys(newest), func(a, b key) int { return cmp.Or(cmp.Compare(a.context, b.context), cmp.Compare(a.by, b.by)) }) {
		s := newest[k]
		who, err := c.Accounts.ByID(ctx, q, k.by)
		if err != nil {
			return nil, err
		}
		s.By = who.Name
		all = append(all, s)
	}
	return all, nil
}

// metricsOf are the numbers that the stages of runs measured; where two measured the same, the
// one that ended last counts.
func metricsOf(ctx context.Context, q db.Querier, runs ...*runRow) (map[string]plan.Measured, error) {
	found := map[string]plan.Measured{}
	for _, run := range runs {
		if run == nil {
			continue
		}
		for _, s := range run.latest() {
			if s.State != plan.Passed {
				continue
			}
			err := each(ctx, q, `SELECT name, value FROM metrics WHERE stage_run_id = $1`, []any{s.executed()}, func(rows *sql.Rows) error {
				var name string
				m := plan.Measured{Stage: s.Stage, At: s.FinishedAt}
				err := rows.Scan(&name, &m.Value)
				if old, ok := found[name]; !ok || m.At.After(old.At) {
					found[name] = m
				}
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("gatekeeper: metrics of run %d: %w", run.ID, err)
			}
		}
	}
	return found, nil
}

// bypassesOf are the stages and gates that were left out of a patch set's way.
func (c *Controller) bypassesOf(ctx context.Context, q db.Querier, change int64, ps int) ([]plan.Bypass, error) {
	if change == 0 {
		return nil, nil
	}
	var all []plan.Bypass
	err := each(ctx, q, `SELECT b.node, b.outcome, a.name, b.reason, b.created_at, b.until_at FROM bypasses b JOIN accounts a ON a.id = b.account_id
		WHERE b.change_id = $1 AND b.ps = $2 ORDER BY b.id`, []any{change, ps}, func(rows *sql.Rows) error {
		var b plan.Bypass
		var at, until int64
		err := rows.Scan(&b.Node, &b.Outcome, &b.By, &b.Reason, &at, &until)
		b.At, b.Until = db.Time(at), db.Time(until)
		all = append(all, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: bypasses of change %d: %w", change, err)
	}
	return all, nil
}
