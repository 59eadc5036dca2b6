package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// Pipeline is the plan of a change with how each of its stages and gates stands, for a picture.
type Pipeline struct {
	// More says that the plan has more than what stands before a landing: something that is
	// delivered, environments, outcomes, or what may be left out.
	More  bool
	Nodes []PipelineNode // stages, gates and the landing, in the order of the plan
}

// PipelineNode is a stage, a gate or the landing of a change's plan.
type PipelineNode struct {
	Name        string
	Kind        string // "stage", "gate" or "land"
	Environment string // into which the stage deploys, or in which it runs
	Deploys     bool
	After       []string
	State       string // of a stage, a gate or a promotion, as its own package names it; "" for not reached
	Why         string
	StageRun    int64
	Until       time.Time // when time alone may change it
	Left        bool      // the outcome of the change does not reach it
}

// Pipeline reads the plan that a change is judged by, with how its nodes stand.
func (c *Controller) Pipeline(ctx context.Context, actor account.Actor, change int64) (Pipeline, error) {
	ch, _, g, err := c.changeAnd(ctx, actor, change)
	if err != nil {
		return Pipeline{}, err
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), ch.Repo)
	if err != nil {
		return Pipeline{}, err
	}
	p, err := c.policyFor(ctx, g, r, ch)
	if err != nil {
		return Pipeline{}, err
	}
	stands, err := c.stands(ctx, actor, ch, p)
	if err != nil {
		return Pipeline{}, err
	}
	line := Pipeline{More: len(p.Delivering("").Stages) > 0 || len(p.Environments) > 0 || len(p.Outcomes) > 0}
	add := func(n PipelineNode) {
		n.Left = !p.Reaches(ch.Outcome, n.Name)
		if s, ok := stands[n.Name]; ok && !(n.Left && n.Kind == plan.LandNode) { // that it is not asked for says all
			n.State, n.Why, n.StageRun, n.Until = s.State, s.Why, s.StageRun, s.Until
		}
		line.Nodes = append(line.Nodes, n)
	}
	for _, s := range p.Stages {
		line.More = line.More || s.Bypassable != nil
		add(PipelineNode{Name: s.Name, Kind: "stage", Environment: s.Environment, Deploys: s.Deploy != nil, After: s.After})
	}
	for _, gate := range p.Gates {
		line.More = line.More || gate.Bypassable != nil
		add(PipelineNode{Name: gate.Name, Kind: "gate", After: gate.After})
	}
	add(PipelineNode{Name: plan.LandNode, Kind: plan.LandNode, After: p.Land.After})
	return line, nil
}

// stands is how each node of a change's plan stands: before the landing as it is explained, after
// it as its delivery says.
func (c *Controller) stands(ctx context.Context, actor account.Actor, ch review.Change, p *plan.Plan) (map[string]PipelineNode, error) {
	all := map[string]PipelineNode{}
	e, err := c.Explain(ctx, actor, ch.ID)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Requirements {
		if r.Kind == "gate" || r.Kind == "stage" {
			all[r.Name] = PipelineNode{State: r.State, Why: r.Reason, StageRun: r.StageRun}
		}
	}
	all[plan.LandNode] = PipelineNode{State: string(e.State), Why: e.Summary}
	if ch.Status != review.Landed {
		return all, nil
	}
	bypasses, err := c.bypassesOf(ctx, c.DB.Read(), ch.ID, ch.LandedPS)
	if err != nil {
		return nil, err
	}
	for _, gate := range p.Landing() {
		all[gate.Name] = PipelineNode{State: string(plan.Open), Why: "it was open when the change landed"}
		if slices.ContainsFunc(bypasses, func(b plan.Bypass) bool { return b.Node == gate.Name }) {
			all[gate.Name] = PipelineNode{State: string(plan.GateBypassed), Why: leftOutWords(plan.Evidence{Bypasses: bypasses}, gate.Name)}
		}
	}
	runs, err := c.Runs(ctx, actor, ch.ID)
	if err != nil {
		return nil, err
	}
	for _, run := range slices.Backward(runs) { // the newest says the last word
		for name, s := range run.latest() {
			if s.State != plan.Canceled {
				all[name] = PipelineNode{State: string(s.State), Why: s.words(), StageRun: s.ID}
			}
		}
	}
	d, err := c.DeliveryOfChange(ctx, actor, ch.ID)
	if fault.Is(err, fault.NotFound) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	for _, s := range d.Stages {
		all[s.Stage] = PipelineNode{State: string(s.State), Why: s.Reason, StageRun: s.StageRun}
	}
	for _, s := range d.Stops {
		n := all[s.Stage]
		if n.Why, n.Until = s.Words, s.Until; s.State != "" {
			n.State = string(s.State)
		}
		all[s.Stage] = n
	}
	for _, v := range d.Gates {
		if _, before := all[v.Gate]; before && v.State == plan.Closed && len(v.Reasons) == 0 { // it is not asked again
			continue
		}
		all[v.Gate] = PipelineNode{State: string(v.State), Why: verdictWords(v), Until: v.Next}
	}
	return all, nil
}

// verdictWords is the reason that decides a verdict.
func verdictWords(v plan.Verdict) string {
	for _, r := range v.Reasons {
		if r.State == v.State && r.What != "" {
			return r.What
		}
	}
	return ""
}

// Aim is how far a change is meant to go, and what was left out on its way.
type Aim struct {
	Outcome  string // "" for the usual one
	Outcomes []AimOutcome
	Nodes    []AimNode // what may be left out, by somebody
	Bypasses []plan.Bypass
	Previews []deliver.Assembly // of the change, newest first
}

// AimOutcome is an outcome of the plan; May says that the reader may ask for it.
type AimOutcome struct {
	plan.Outcome
	May bool
}

// AimNode is a stage or a gate that may be left out; May says that the reader may do so now.
type AimNode struct {
	Name string
	plan.Bypassable
	May bool
}

// Aim reads how far a change is meant to go, and what the reader may ask of it.
func (c *Controller) Aim(ctx context.Context, actor account.Actor, change int64) (Aim, error) {
	ch, r, g, err := c.changeAnd(ctx, actor, change)
	if err != nil {
		return Aim{}, err
	}
	q := c.DB.Read()
	a := Aim{Outcome: ch.Outcome}
	ps := ch.Current
	if ch.Status == review.Landed {
		ps = ch.LandedPS
	}
	if a.Bypasses, err = c.bypassesOf(ctx, q, ch.ID, ps); err != nil {
		return a, err
	}
	if a.Previews, err = deliver.OfChange(ctx, q, ch.ID); err != nil {
		return a, err
	}
	a.Previews = slices.DeleteFunc(a.Previews, func(m deliver.Assembly) bool { return m.Instance == "" })
	p, err := c.policyFor(ctx, g, r, ch)
	if err != nil {
		return a, err
	}
	aims := ch.Status == review.Open && c.mayAim(ctx, actor, r, ch) == nil
	vote := ch.Status != review.Abandoned && c.May(ctx, actor, account.Vote, r.Resource(ch.Branch)) == nil
	for _, o := range p.Outcomes {
		a.Outcomes = append(a.Outcomes, AimOutcome{o, aims && c.inRoles(ctx, q, actor, p, o.By, "") == nil})
	}
	node := func(name string, b *plan.Bypassable) {
		if b != nil {
			left := slices.ContainsFunc(a.Bypasses, func(was plan.Bypass) bool {
				return was.Node == name && (was.Until.IsZero() || c.Now().Before(was.Until))
			})
			a.Nodes = append(a.Nodes, AimNode{name, *b, vote && !left && c.inRoles(ctx, q, actor, p, b.By, "") == nil})
		}
	}
	for _, s := range p.Stages {
		node(s.Name, s.Bypassable)
	}
	for _, gate := range p.Gates {
		node(gate.Name, gate.Bypassable)
	}
	return a, nil
}

// ArtifactStory is an artifact with where it came from, where it is and was, and who accepted it.
type ArtifactStory struct {
	Built
	Branch     string
	Plan       git.OID // the commit whose policy it was built under
	PlanDigest string
	Kept       bool      // its content can be read
	Delivery   *Delivery // the newest that carries it, nil for none
	Promotions []deliver.Promotion
	Assemblies []deliver.Assembly
	Approvals  []GivenApproval // newest first
	Words      []ArtifactWord  // by which it was taken back and let in again, oldest first
}

// GivenApproval is an acceptance of a digest at a gate.
type GivenApproval struct {
	Gate, By, Note string
	At             time.Time
	Withdrawn      time.Time // zero while it holds
}

// ArtifactStory tells of an artifact by its digest, to whoever may read its repository.
func (c *Controller) ArtifactStory(ctx context.Context, actor account.Actor, repository, digest string) (ArtifactStory, error) {
	b, err := c.ArtifactNamed(ctx, actor, repository, digest)
	if err != nil {
		return ArtifactStory{}, err
	}
	q := c.DB.Read()
	s := ArtifactStory{Built: b}
	runs, err := queryRuns(ctx, q, `r.id = (SELECT run_id FROM stage_runs WHERE id = $1)`, b.StageRun)
	if err != nil || len(runs) == 0 {
		return s, err
	}
	s.Branch, s.Plan, s.PlanDigest = runs[0].branch, runs[0].planOID, runs[0].planDigest
	if c.Artifacts != nil && b.State == ArtifactAttested {
		if s.Kept, err = c.Artifacts.Has(b.Artifact); err != nil {
			return s, err
		}
	}
	if s.Promotions, s.Assemblies, err = deliver.OfDigest(ctx, q, b.repo, b.Digest); err != nil {
		return s, err
	}
	sight, err := c.sightOf(ctx, actor, b.repo)
	if err != nil {
		return s, err
	}
	s.Assemblies = sight.assemblies(s.Assemblies)
	if s.Approvals, err = givenApprovals(ctx, q, b.repo, b.Digest); err != nil {
		return s, err
	}
	if s.Words, err = artifactWords(ctx, q, b); err != nil {
		return s, err
	}
	return s, c.carries(ctx, actor, &s)
}

// carries finds the newest delivery of what the artifact was built for.
func (c *Controller) carries(ctx context.Context, actor account.Actor, s *ArtifactStory) error {
	runs, err := queryRuns(ctx, c.DB.Read(), `r.repo_id = $1 AND r.phase = $2 AND (r.commit_oid = $3 OR r.id IN (SELECT run_id FROM promotions WHERE repo_id = $1 AND digest = $4))`,
		s.repo, phaseDeliver, string(s.Commit), s.Digest)
	if err != nil || len(runs) == 0 {
		return err
	}
	d, err := c.DeliveryOf(ctx, actor, runs[len(runs)-1].ID)
	if err == nil {
		s.Delivery = &d
	}
	return err
}

func givenApprovals(ctx context.Context, q db.Querier, repoID int64, digest string) ([]GivenApproval, error) {
	var all []GivenApproval
	err := each(ctx, q, `SELECT p.gate, a.name, p.note, p.created_at, p.withdrawn_at FROM approvals p JOIN accounts a ON a.id = p.account_id
		WHERE p.repo_id = $1 AND p.digest = $2 ORDER BY p.id DESC`, []any{repoID, digest}, func(rows *sql.Rows) error {
		var g GivenApproval
		var at, withdrawn int64
		err := rows.Scan(&g.Gate, &g.By, &g.Note, &at, &withdrawn)
		g.At, g.Withdrawn = db.Time(at), db.Time(withdrawn)
		all = append(all, g)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: approvals of %s: %w", digest, err)
	}
	return all, nil
}
