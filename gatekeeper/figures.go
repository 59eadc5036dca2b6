package gatekeeper

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	// figureWeeks is how many weeks figures are of when nobody says; a quarter.
	figureWeeks = 12
	// maxFigureWeeks bounds what is read for them.
	maxFigureWeeks = 52
)

// Figures are those of the value stream of an environment.
type Figures struct {
	Repository  string   `json:"repository"`
	Branch      string   `json:"branch"`
	Environment string   `json:"environment"`
	Weeks       []Figure `json:"weeks"` // the oldest first; a week begins on Monday, UTC
	All         Figure   `json:"all"`
}

// Figure is one stretch of time, as DORA names its parts. Durations are medians, in seconds; they
// rest on Changes, and Restore on Restored: 0 of those is that nothing is known.
type Figure struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Deploys     int       `json:"deploys"`
	PerWeek     float64   `json:"per_week"`
	Failures    int       `json:"failures"`
	FailRate    float64   `json:"fail_rate"`
	Changes     int       `json:"changes"`
	LeadTime    float64   `json:"lead_time"`    // from a commit's author date to its running
	FromLanding float64   `json:"from_landing"` // from its landing to its running
	Restore     float64   `json:"restore"`      // from a failure to something running well again
	Restored    int       `json:"restored"`
	Unrestored  int       `json:"unrestored"`
}

func figureOf(s promote.Stream) Figure {
	return Figure{
		From: s.From, To: s.To, Deploys: s.Deploys, PerWeek: s.PerWeek(), Failures: s.Failures, FailRate: s.FailRate(), Changes: s.Changes,
		LeadTime: s.LeadTime.Seconds(), FromLanding: s.FromLanding.Seconds(), Restore: s.Restore.Seconds(), Restored: s.Restored, Unrestored: s.Unrestored,
	}
}

// Figures says how fast and how well what lands on a branch comes to run in an environment; "" is
// the last standing one of the plan. A promotion that the machinery broke says nothing about
// either, and is left out.
func (c *Controller) Figures(ctx context.Context, actor account.Actor, repository, branch, environment string, weeks int) (Figures, error) {
	const op = "gatekeeper.Figures"
	s, err := c.site(ctx, actor, repository, branch)
	if err != nil {
		return Figures{}, err
	}
	if weeks == 0 {
		weeks = figureWeeks
	}
	if weeks < 0 || weeks > maxFigureWeeks {
		return Figures{}, fault.Newf(fault.Invalid, op, "figures are of 1 to %d weeks", maxFigureWeeks)
	}
	if environment == "" {
		i := lastStanding(s.plan)
		if i < 0 {
			return Figures{}, fault.New(fault.NotFound, op, fmt.Sprintf("the plan of %s has no environment in which something always runs", s.Branch), "see docs/promote.md")
		}
		environment = s.plan.Environments[i].Name
	} else if _, err := s.environment(environment); err != nil {
		return Figures{}, err
	}
	facts, err := c.deliveredFacts(ctx, s, environment, weeks)
	if err != nil {
		return Figures{}, err
	}
	byWeek, all := promote.Weeks(facts, c.Now(), weeks)
	f := Figures{Repository: s.repo.Name, Branch: s.Branch, Environment: environment, All: figureOf(all), Weeks: make([]Figure, 0, len(byWeek))}
	for _, one := range byWeek {
		f.Weeks = append(f.Weeks, figureOf(one))
	}
	return f, nil
}

// lastStanding is the last environment of a plan in which something always runs, -1 without one.
func lastStanding(p *plan.Plan) int {
	last := -1
	for i, e := range p.Environments {
		if e.Class == plan.Standing {
			last = i
		}
	}
	return last
}

// taken is a landed change that a promotion took with it.
type taken struct {
	seq      int64
	authored time.Time
	landed   time.Time
}

// deliveredFacts are what became of the changes that landed on a branch, in one environment.
func (c *Controller) deliveredFacts(ctx context.Context, s site, environment string, weeks int) ([]promote.Delivered, error) {
	const day = 24 * time.Hour
	from := c.Now().Add(-time.Duration(weeks+1) * 7 * day) // the first week may have begun up to a week earlier
	q := c.DB.Read()
	before, known, err := deliver.LastBefore(ctx, q, s.Place, environment, from)
	if err != nil {
		return nil, err
	}
	all, err := deliver.Since(ctx, q, s.Place, from)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p deliver.Promotion) bool {
		return p.Environment != environment || p.Errored || p.EndedAt.IsZero() || p.State != promote.Succeeded && p.State != promote.Failed && p.State != promote.RolledBack
	})
	slices.SortStableFunc(all, func(a, b deliver.Promotion) int { return cmp.Or(a.EndedAt.Compare(b.EndedAt), cmp.Compare(a.ID, b.ID)) })
	var since int64 // of what runs
	switch {
	case known:
		since = before.Seq
	case len(all) > 0: // the first that ever ran took only itself: what was there before was not on its way
		since = slices.MinFunc(all, func(a, b deliver.Promotion) int { return cmp.Compare(a.Seq, b.Seq) }).Seq - 1
	default:
		return nil, nil
	}
	landed, err := c.landedSince(ctx, q, s, since)
	if err != nil {
		return nil, err
	}
	return streamFacts(all, landed, since), nil
}

// stream is what is known while promotions are walked in the order in which they ended.
type stream struct {
	facts   []promote.Delivered
	landed  []taken
	current []int // the facts of what runs
	since   int64 // the place of what runs among what landed
}

// streamFacts are the facts that promotions come to, each with the changes that it took with it.
func streamFacts(all []deliver.Promotion, landed []taken, since int64) []promote.Delivered {
	s := &stream{landed: landed, since: since}
	for _, p := range all {
		well := p.State == promote.Succeeded
		switch {
		case p.Kind != promote.Rollback:
			s.forward(p, well)
		case well:
			s.back(p)
		}
	}
	return s.facts
}

// back takes in a rollback: what ran before it had failed when somebody asked for it.
func (s *stream) back(p deliver.Promotion) {
	for _, i := range s.current {
		if s.facts[i].Failed.IsZero() {
			s.facts[i].Failed = p.CreatedAt
		}
	}
	s.restored(p.EndedAt)
	s.current, s.since = nil, p.Seq
}

// forward takes in a promotion. One that ran well and took nothing with it brought what was there
// already: it is no step of the stream.
func (s *stream) forward(p deliver.Promotion, well bool) {
	if well {
		s.restored(p.EndedAt)
	}
	first := len(s.facts)
	for _, l := range s.landed {
		if l.seq > s.since && l.seq <= p.Seq {
			s.facts = append(s.facts, promote.Delivered{Promotion: p.ID, Authored: l.authored, Landed: l.landed})
		}
	}
	if !well && len(s.facts) == first {
		s.facts = append(s.facts, promote.Delivered{Promotion: p.ID})
	}
	var took []int
	for i := first; i < len(s.facts); i++ {
		took = append(took, i)
		if well {
			s.facts[i].Promoted = p.EndedAt
		} else {
			s.facts[i].Failed = p.EndedAt
		}
	}
	if well {
		s.since, s.current = p.Seq, took
	}
}

// restored notes that something ran well again.
func (s *stream) restored(at time.Time) {
	for i := range s.facts {
		if f := &s.facts[i]; !f.Failed.IsZero() && f.Restored.IsZero() {
			f.Restored = at
		}
	}
}

// landedSince are the changes that landed on a branch after a place in its order, with when their
// commits were written: as the patch set has it, for the server makes the commit that lands.
func (c *Controller) landedSince(ctx context.Context, q db.Querier, s site, seq int64) ([]taken, error) {
	var all []taken
	var commits []git.OID
	err := each(ctx, q, `SELECT l.seq, l.outcome_at, p.commit_oid FROM landings l JOIN patch_sets p ON p.change_id = l.change_id AND p.number = l.ps
		WHERE l.repo_id = $1 AND l.branch = $2 AND l.state = $3 AND l.seq > $4 ORDER BY l.seq, l.id`, []any{s.Repo, s.Branch, landingDone, seq}, func(rows *sql.Rows) error {
		var t taken
		var at int64
		var commit git.OID
		err := rows.Scan(&t.seq, &at, &commit)
		t.landed = db.Time(at)
		all, commits = append(all, t), append(commits, commit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: landings of %s: %w", s.Branch, err)
	}
	g, err := c.Repos.Open(s.repo)
	if err != nil {
		return nil, err
	}
	for i, oid := range commits {
		commit, err := g.Commit(ctx, oid)
		if err != nil {
			return nil, err
		}
		all[i].authored = commit.Author.When
	}
	return all, nil
}
