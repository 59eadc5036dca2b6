package gatekeeper

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Delivery is what became of a landed commit: how far its artifacts came.
type Delivery struct {
	Run        int64     `json:"run"`
	Repository string    `json:"repository"`
	Branch     string    `json:"branch"`
	Change     int64     `json:"change,omitempty"`
	PatchSet   int       `json:"patch_set,omitempty"`
	Commit     git.OID   `json:"commit"`
	Outcome    string    `json:"outcome,omitempty"` // how far it was meant to go; "" is as far as the plan goes
	State      RunState  `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	// Summary says where it is and what it waits for, in one sentence.
	Summary string `json:"summary"`
	// Stops are the environments on its way, in the order of the plan.
	Stops      []DeliveryStop      `json:"stops"`
	Stages     []DeliveryStage     `json:"stages"`
	Gates      []plan.Verdict      `json:"gates"`
	Promotions []deliver.Promotion `json:"promotions"`
	Artifacts  []Built             `json:"artifacts"`
}

// DeliveryStop is one environment on the way of a delivery.
type DeliveryStop struct {
	Environment string         `json:"environment"`
	Stage       string         `json:"stage"`
	Promotion   int64          `json:"promotion,omitempty"`
	State       promote.Status `json:"state,omitempty"` // "" before anything asks for its promotion
	Runs        bool           `json:"runs"`            // it is what runs there now
	Words       string         `json:"words"`
	Until       time.Time      `json:"until,omitzero"` // when time alone may change that
}

// DeliveryStage is a stage after the landing.
type DeliveryStage struct {
	Stage       string          `json:"stage"`
	Environment string          `json:"environment,omitempty"`
	State       plan.StageState `json:"state"`
	Reason      string          `json:"reason"`
	Attempt     int             `json:"attempt,omitempty"`
	StageRun    int64           `json:"stage_run,omitempty"`
}

// Deliveries are the deliveries of a branch, newest first, for whoever may read it.
func (c *Controller) Deliveries(ctx context.Context, actor account.Actor, at deliver.Place, limit int) ([]Delivery, error) {
	return c.DeliveriesBefore(ctx, actor, at, 0, limit)
}

// DeliveriesBefore are those whose run has an id below before, 0 being all.
func (c *Controller) DeliveriesBefore(ctx context.Context, actor account.Actor, at deliver.Place, before int64, limit int) ([]Delivery, error) {
	return c.deliveriesWhere(ctx, actor, at, `r.id IN (SELECT id FROM runs WHERE repo_id = $1 AND branch = $2 AND phase = $3 AND ($4 = 0 OR id < $4) ORDER BY id DESC LIMIT $5)`,
		at.Repo, at.Branch, phaseDeliver, before, limit)
}

// deliveriesNamed bounds what a commit's beginning finds: two tell that it is not enough.
const deliveriesNamed = 20

// DeliveriesOfCommit are those of the commits whose name begins with commit.
func (c *Controller) DeliveriesOfCommit(ctx context.Context, actor account.Actor, at deliver.Place, commit string) ([]Delivery, error) {
	if len(commit) < leastCommit || strings.Trim(strings.ToLower(commit), "0123456789abcdef") != "" {
		return nil, fault.New(fault.Invalid, "gatekeeper.Deliveries", fmt.Sprintf("%q names no commit", commit), fmt.Sprintf("write at least %d digits of its name", leastCommit))
	}
	return c.deliveriesWhere(ctx, actor, at, `r.id IN (SELECT id FROM runs WHERE repo_id = $1 AND branch = $2 AND phase = $3 AND commit_oid LIKE $4 ORDER BY id DESC LIMIT $5)`,
		at.Repo, at.Branch, phaseDeliver, strings.ToLower(commit)+"%", deliveriesNamed)
}

func (c *Controller) deliveriesWhere(ctx context.Context, actor account.Actor, at deliver.Place, where string, args ...any) ([]Delivery, error) {
	r, err := c.Repos.ByID(ctx, c.DB.Read(), at.Repo)
	if err != nil {
		return nil, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource(at.Branch)); err != nil {
		return nil, err
	}
	runs, err := queryRuns(ctx, c.DB.Read(), where, args...)
	if err != nil {
		return nil, err
	}
	views, err := c.viewsByName(ctx, actor, at)
	if err != nil {
		return nil, err
	}
	all := make([]Delivery, 0, len(runs))
	for _, run := range slices.Backward(runs) {
		d, err := c.delivered(ctx, run, views)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// DeliveryOf is one delivery by the id of its run.
func (c *Controller) DeliveryOf(ctx context.Context, actor account.Actor, run int64) (Delivery, error) {
	return c.oneDelivery(ctx, actor, fault.Newf(fault.NotFound, "gatekeeper.Delivery", "there is no delivery %d", run), `r.id = $1 AND r.phase = $2`, run, phaseDeliver)
}

// DeliveryOfChange is the delivery of a landed change. Of several that landed at once it is the
// one of the commit that the branch came to.
func (c *Controller) DeliveryOfChange(ctx context.Context, actor account.Actor, change int64) (Delivery, error) {
	ch, err := c.Review.Get(ctx, actor, change)
	if err != nil {
		return Delivery{}, err
	}
	none := fault.New(fault.NotFound, "gatekeeper.Delivery", fmt.Sprintf("nothing is delivered of change %d", change), "its plan has no stages after land, or it has not landed")
	return c.oneDelivery(ctx, actor, none, `r.repo_id = $1 AND r.phase = $2 AND r.commit_oid IN (SELECT l.new_oid FROM landings l WHERE l.group_id IN
		(SELECT group_id FROM landings WHERE change_id = $3 AND state = $4) AND l.repo_id = $1 AND l.group_id > 0)`, ch.Repo, phaseDeliver, change, landingDone)
}

func (c *Controller) oneDelivery(ctx context.Context, actor account.Actor, none error, where string, args ...any) (Delivery, error) {
	runs, err := queryRuns(ctx, c.DB.Read(), where, args...)
	if err != nil {
		return Delivery{}, err
	}
	if len(runs) == 0 {
		return Delivery{}, none
	}
	run := runs[len(runs)-1]
	r, err := c.Repos.ByID(ctx, c.DB.Read(), run.repo)
	if err != nil {
		return Delivery{}, err
	}
	if c.May(ctx, actor, account.Read, r.Resource(run.branch)) != nil {
		return Delivery{}, none
	}
	views, err := c.viewsByName(ctx, actor, deliver.Place{Repo: run.repo, Branch: run.branch})
	if err != nil {
		return Delivery{}, err
	}
	return c.delivered(ctx, run, views)
}

// viewsByName are the environments of a branch. Under a plan that cannot be read there are none:
// what is known about promotions is told all the same.
func (c *Controller) viewsByName(ctx context.Context, actor account.Actor, at deliver.Place) (map[string]deliver.View, error) {
	byName := map[string]deliver.View{}
	if c.Delivery == nil {
		return byName, nil
	}
	r, err := c.Repos.ByID(ctx, c.DB.Read(), at.Repo)
	if err != nil {
		return nil, err
	}
	p, problems, err := c.PlanAt(ctx, r, at.Branch)
	if len(problems) > 0 {
		return byName, nil
	}
	if err != nil {
		return nil, err
	}
	views, err := c.Delivery.Views(ctx, actor, at, p)
	for _, v := range views {
		byName[v.Name] = v
	}
	return byName, err
}

// delivered puts together what is known about a delivery.
func (c *Controller) delivered(ctx context.Context, run *runRow, views map[string]deliver.View) (Delivery, error) {
	q := c.DB.Read()
	_, r, g, err := c.runAnd(ctx, q, run.ID)
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{
		Run: run.ID, Repository: r.Name, Branch: run.branch, Change: run.Change, PatchSet: run.PS, Commit: run.Candidate, Outcome: run.outcome,
		State: run.State, Reason: run.Reason, StartedAt: run.CreatedAt, EndedAt: run.FinishedAt,
		Stops: []DeliveryStop{}, Stages: []DeliveryStage{}, Gates: []plan.Verdict{}, Promotions: []deliver.Promotion{}, Artifacts: []Built{},
	}
	p, err := c.deliveryPlan(ctx, g, run)
	if err != nil {
		return d, err
	}
	pr, err := c.prove(ctx, q, r, g, run)
	if err != nil {
		return d, err
	}
	d.Gates = append(d.Gates, plan.Judge(p, pr.under(p), c.Now())...)
	promotions, err := deliver.OfRun(ctx, q, run.ID)
	if err != nil {
		return d, err
	}
	d.Promotions = append(d.Promotions, promotions...)
	for _, name := range sortedKeys(pr.made) {
		d.Artifacts = append(d.Artifacts, pr.made[name])
	}
	for _, name := range p.StageOrder() {
		stage, _ := p.Stage(name)
		d.Stages = append(d.Stages, c.deliveryStage(p, pr, stage))
		if promotes(p, stage) {
			d.Stops = append(d.Stops, c.stopOf(p, pr, stage, d, views[stage.Environment]))
		}
	}
	d.Summary = d.words()
	return d, nil
}

// deliveryStage is how a stage stands, and what it waits for when it has not begun.
func (c *Controller) deliveryStage(p *plan.Plan, pr *proof, stage plan.Stage) DeliveryStage {
	row := DeliveryStage{Stage: stage.Name, Environment: stage.Environment, State: plan.Blocked}
	if s, ok := pr.run.latest()[stage.Name]; ok {
		row.State, row.Reason, row.Attempt, row.StageRun = s.State, s.words(), s.Attempt, s.ID
		return row
	}
	open, why, _ := p.Before(stage.Name, pr.under(p), c.Now())
	switch {
	case pr.run.State != RunRunning:
		row.Reason = "was not reached"
	case open:
		row.Reason = "starts now"
	default:
		row.Reason = why
	}
	return row
}

// stopOf is how the newest promotion by a stage stands, in the words of its environment.
func (c *Controller) stopOf(p *plan.Plan, pr *proof, stage plan.Stage, d Delivery, v deliver.View) DeliveryStop {
	at := DeliveryStop{Environment: stage.Environment, Stage: stage.Name}
	i := -1
	for j := range d.Promotions {
		if d.Promotions[j].Stage == stage.Name {
			i = j
		}
	}
	if i < 0 {
		row := c.deliveryStage(p, pr, stage)
		at.Words = row.Reason
		if _, _, next := p.Before(stage.Name, pr.under(p), c.Now()); pr.run.State == RunRunning {
			at.Until = next
		}
		return at
	}
	one := d.Promotions[i]
	at.Promotion, at.State, at.Words, at.Until = one.ID, one.State, one.Why, one.Until
	for _, w := range v.Next {
		if w.ID == one.ID {
			at.Words, at.Until = w.Words, w.When
		}
	}
	if v.Entering != nil && v.Entering.ID == one.ID {
		at.Words, at.Until = v.Entering.Why, v.Entering.Until
	}
	if one.State == promote.Succeeded {
		at.Words = "it ran there from " + one.EndedAt.UTC().Format(untilFormat)
		if v.Current != nil && v.Current.Digest == one.Digest && v.Current.Run == one.Run {
			at.Runs, at.Words = true, "it runs there since "+v.Current.EndedAt.UTC().Format(untilFormat)
		}
	}
	if at.Words == "" {
		at.Words = "it is " + string(one.State)
	}
	return at
}

// words say where it is, and what it waits for.
func (d Delivery) words() string {
	var parts []string
	for _, s := range d.Stops {
		parts = append(parts, s.Environment+": "+s.Words)
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, "; ")
	case d.Reason != "":
		return strings.ToLower(string(d.State)) + ": " + d.Reason
	case d.State == RunPassed:
		return "all that comes after the landing is done"
	}
	for _, s := range d.Stages {
		if !s.State.Settled() {
			return s.Stage + ": " + s.Reason
		}
	}
	return strings.ToLower(string(d.State))
}
