package gatekeeper

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// maxReplay is how many decisions one replay looks at: the newest of the time.
const maxReplay = 500

// Replay says which past decisions on a branch another plan would have made otherwise.
type Replay struct {
	Repository string       `json:"repository"`
	Branch     string       `json:"branch"`
	Since      time.Time    `json:"since"`
	Looked     int          `json:"looked"`            // decisions that were made since
	Otherwise  []Redecision `json:"otherwise"`         // newest first
	Unknown    []Redecision `json:"unknown,omitempty"` // whose evidence does not say
	More       bool         `json:"more,omitempty"`    // there are older decisions that were not looked at
}

// Redecision is a past decision beside what the plan says to its evidence.
type Redecision struct {
	Change   int64     `json:"change"`
	PatchSet int       `json:"patch_set"`
	Subject  string    `json:"subject"`
	At       time.Time `json:"at"`
	Was      string    `json:"was"` // "landed" or "refused"
	Now      string    `json:"now"` // "would land", "would be refused", "would wait" or "unknown"
	Why      string    `json:"why"`
	Source   string    `json:"source,omitempty"` // the gate's line
}

// pastDecision is a patch set that landed, or that a run refused.
type pastDecision struct {
	change, run int64
	ps          int
	at          time.Time
	landed      bool
}

// Replay judges the decisions since a moment again, by the evidence that there was: the votes
// given until then and the stages of the run that decided. text is the plan to judge by, nil
// for the branch's own. What the plan asks and nobody looked at then is Unknown, no guess.
// Changes that actor may not see are left out.
func (c *Controller) Replay(ctx context.Context, actor account.Actor, repoName, branch string, since time.Time, text []byte) (Replay, error) {
	const op = "gatekeeper.Replay"
	q := c.DB.Read()
	r, err := c.Repos.ByName(ctx, q, repoName)
	if fault.Is(err, fault.NotFound) {
		return Replay{}, account.Missing(op)
	}
	if err != nil {
		return Replay{}, err
	}
	if err := c.May(ctx, actor, account.Read, r.Resource("")); err != nil {
		return Replay{}, err
	}
	if branch == "" {
		branch = r.DefaultBranch
	}
	p, err := c.replayPlan(ctx, r, branch, text)
	if err != nil {
		return Replay{}, err
	}
	g, err := c.Repos.Open(r)
	if err != nil {
		return Replay{}, err
	}
	past, err := pastDecisions(ctx, q, branchKey{r.ID, branch}, since)
	if err != nil {
		return Replay{}, err
	}
	out := Replay{Repository: r.Name, Branch: branch, Since: since, Otherwise: []Redecision{}, More: len(past) > maxReplay}
	for _, d := range past[:min(len(past), maxReplay)] {
		f, err := c.factsThen(ctx, q, g, r, d, p)
		if err != nil {
			return Replay{}, err
		}
		if ok, err := c.Review.Sees(ctx, q, actor, f.change); err != nil {
			return Replay{}, err
		} else if !ok {
			continue
		}
		out.Looked++
		switch again := f.again(d); {
		case again.Now == unknown:
			out.Unknown = append(out.Unknown, again)
		case d.landed != (again.Now == wouldLand):
			out.Otherwise = append(out.Otherwise, again)
		}
	}
	return out, nil
}

func (c *Controller) replayPlan(ctx context.Context, r repo.Repository, branch string, text []byte) (*plan.Plan, error) {
	if text == nil {
		p, problems, err := c.PlanAt(ctx, r, branch)
		if len(problems) > 0 {
			err = badPlan("", problems)
		}
		return p, err
	}
	p, problems := plan.Parse(plan.File, text)
	if len(problems) > 0 {
		first := problems[0]
		fix := first.Fix
		first.Fix = ""
		return nil, fault.New(fault.Invalid, "gatekeeper.Replay", first.String(), fix)
	}
	return p, nil
}

// pastDecisions are the landings on a branch since a moment, and the patch sets whose newest
// run was refused, newest first.
func pastDecisions(ctx context.Context, q db.Querier, k branchKey, since time.Time) ([]pastDecision, error) {
	var all []pastDecision
	scan := func(landed bool) func(rows *sql.Rows) error {
		return func(rows *sql.Rows) error {
			d := pastDecision{landed: landed}
			var at int64
			err := rows.Scan(&d.change, &d.ps, &d.run, &at)
			d.at = db.Time(at)
			all = append(all, d)
			return err
		}
	}
	err := each(ctx, q, `SELECT l.change_id, l.ps, l.run_id, l.outcome_at FROM landings l JOIN changes c ON c.id = l.change_id
		WHERE l.repo_id = $1 AND l.branch = $2 AND l.outcome_at >= $3 AND c.status = $4 AND c.landed_ps = l.ps AND c.landed_commit <> ''
		ORDER BY l.outcome_at DESC, l.id DESC LIMIT $5`, []any{k.repo, k.branch, db.Micros(since), string(review.Landed), maxReplay + 1}, scan(true))
	if err == nil {
		err = each(ctx, q, `SELECT r.change_id, r.ps, r.id, r.finished_at FROM runs r JOIN changes c ON c.id = r.change_id
			WHERE r.repo_id = $1 AND r.branch = $2 AND r.finished_at >= $3 AND r.state = $4 AND r.phase = 'gate'
			AND NOT EXISTS (SELECT 1 FROM runs n WHERE n.phase = 'gate' AND n.change_id = r.change_id AND n.ps = r.ps AND n.id > r.id AND n.state <> $5)
			AND NOT EXISTS (SELECT 1 FROM landings l WHERE l.change_id = r.change_id AND l.ps = r.ps AND l.outcome_at > 0)
			ORDER BY r.finished_at DESC, r.id DESC LIMIT $6`,
			[]any{k.repo, k.branch, db.Micros(since), string(RunRefused), string(RunSuperseded), maxReplay + 1}, scan(false))
	}
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: past decisions: %w", err)
	}
	slices.SortStableFunc(all, func(a, b pastDecision) int { return b.at.Compare(a.at) })
	return all, nil
}

// factsThen are the facts about a patch set as they were when it was decided, under the plan.
func (c *Controller) factsThen(ctx context.Context, q db.Querier, g *git.Repo, r repo.Repository, d pastDecision, p *plan.Plan) (*facts, error) {
	f := &facts{now: d.at, repo: r, plan: p}
	var err error
	if f.change, err = c.Review.Load(ctx, q, d.change); err != nil {
		return nil, err
	}
	if f.sets, err = c.Review.PatchSets(ctx, q, d.change); err != nil {
		return nil, err
	}
	f.sets = slices.DeleteFunc(f.sets, func(ps review.PatchSet) bool { return ps.Number > d.ps })
	if f.ps, err = c.Review.PatchSet(ctx, q, d.change, d.ps); err != nil {
		return nil, err
	}
	votes, err := c.Review.Votes(ctx, q, d.change)
	if err != nil {
		return nil, err
	}
	f.votes = slices.DeleteFunc(votes, func(v review.Vote) bool { return v.CreatedAt.After(d.at) })
	if err := c.gatherPeople(ctx, q, f); err != nil {
		return nil, err
	}
	groups, err := c.groupNames(ctx, q, len(f.votes) > 0)
	if err != nil {
		return nil, err
	}
	for _, v := range review.Bound(f.change, f.ps, f.votes) { // whether they may vote today is not asked: they did
		who := f.people[v.Account]
		f.ballots = append(f.ballots, plan.Vote{Label: v.Label, Value: v.Value, By: who.Name, Groups: groups[who.ID], Is: f.relations(who)})
	}
	base, subject := f.ps.Parent, f.ps.Commit
	runs, err := queryRuns(ctx, q, `r.id = $1`, d.run)
	if err != nil {
		return nil, err
	}
	if len(runs) > 0 {
		f.run = runs[0]
		base, subject = f.run.Base, f.run.Candidate
	}
	f.changed, err = c.changedPaths(ctx, g, base, subject)
	if fault.Is(err, fault.NotFound) { // a candidate that was pruned: what the patch set itself changes
		f.changed, err = c.changedPaths(ctx, g, f.ps.Parent, f.ps.Commit)
	}
	if err != nil {
		return nil, err
	}
	return f, c.ownersThen(ctx, g, f)
}

// ownersThen gives the plan the owners of the commit that the patch set stood on.
func (c *Controller) ownersThen(ctx context.Context, g *git.Repo, f *facts) error {
	if !f.plan.AsksOwners() {
		return nil
	}
	at := f.ps.Parent
	if f.run != nil {
		at = f.run.Base
	}
	file, err := review.ReadOwners(ctx, g, at)
	if err != nil && fault.Is(err, fault.Internal) {
		return err
	}
	if err == nil {
		own := *f.plan // the plan may be another's too: its gates are copied before they change
		own.Gates = slices.Clone(own.Gates)
		for i := range own.Gates {
			own.Gates[i].Require = slices.Clone(own.Gates[i].Require)
		}
		own.SetOwners(file)
		f.plan = &own
	}
	return nil
}

// What a plan says to past evidence.
const (
	wouldLand = "would land"
	wouldNot  = "would be refused"
	wouldWait = "would wait"
	unknown   = "unknown"
)

// again judges the evidence of a past decision.
func (f *facts) again(d pastDecision) Redecision {
	out := Redecision{Change: f.change.ID, PatchSet: d.ps, Subject: f.change.Subject, At: d.at, Was: "refused", Now: wouldLand}
	if d.landed {
		out.Was = "landed"
	}
	ran := f.run.forGates().stages()
	var unseen []string
	for _, v := range f.verdicts() {
		for _, reason := range v.Reasons {
			if reason.State == plan.Open {
				continue
			}
			if reason.Stage != "" {
				if _, known := ran[reason.Stage]; !known {
					unseen = append(unseen, fmt.Sprintf("stage %s did not run then", reason.Stage))
					continue
				}
			}
			now := wouldWait
			if reason.State == plan.Refused {
				now = wouldNot
			}
			if !d.landed && reason.Kind != kindStages && reason.Kind != kindTests && now == wouldWait {
				continue // it was refused before anybody had to vote: that is no difference
			}
			if out.Now == wouldLand || out.Now == wouldWait && now == wouldNot {
				out.Now, out.Why, out.Source = now, "gate "+v.Gate+": "+reason.What, f.source(v.Line)
			}
		}
	}
	switch {
	case out.Now == wouldLand && len(unseen) > 0:
		out.Now, out.Why = unknown, strings.Join(slices.Compact(unseen), ", ")
	case out.Now == wouldLand:
		out.Why = "every gate is open"
		if !d.landed {
			out.Why = "no stage refuses it any more"
		}
	}
	return out
}

// kindTests is the kind of a reason about test results.
const kindTests = "tests"
