package deliver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/promote"
	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

// View is one environment as people see it.
type View struct {
	Name     string      `json:"name"`
	Class    string      `json:"class"`
	Driver   string      `json:"driver"`
	Hand     bool        `json:"by_hand"`
	Current  *Promotion  `json:"current,omitempty"` // what should run
	Assembly *Assembly   `json:"assembly,omitempty"`
	Entering *Promotion  `json:"entering,omitempty"`
	Next     []Waiting   `json:"next"`
	Past     []Promotion `json:"past"` // newest first
	Orders   []Order     `json:"orders"`
	Frozen   string      `json:"frozen,omitempty"`
	Until    time.Time   `json:"frozen_until,omitzero"`
	Broken   string      `json:"broken,omitempty"`
	Running  []Assembly  `json:"assemblies"` // all that are not gone
}

// Waiting is a promotion that waits, with why it does.
type Waiting struct {
	Promotion
	Next  bool      `json:"next"` // it enters at the next look
	May   bool      `json:"may"`  // its gates are open
	Older bool      `json:"older"`
	Words string    `json:"words"`
	When  time.Time `json:"when,omitzero"`
}

// pastShown is how many promotions that are over a view lists.
const pastShown = 20

// Views are the environments of a place, in the order of the plan, for whoever may read the branch.
func (s *Service) Views(ctx context.Context, actor account.Actor, at Place, p *plan.Plan) ([]View, error) {
	r, err := s.Repos.ByID(ctx, s.DB.Read(), at.Repo)
	if err != nil {
		return nil, err
	}
	if err := s.Accounts.May(ctx, s.DB.Read(), actor, account.Read, r.Resource(at.Branch)); err != nil {
		return nil, err
	}
	all := make([]View, 0, len(p.Environments))
	for _, e := range p.Environments {
		v, err := s.view(ctx, s.DB.Read(), at, e)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (s *Service) view(ctx context.Context, q db.Querier, at Place, e plan.Environment) (View, error) {
	v := View{Name: e.Name, Class: e.Class, Driver: e.Driver, Hand: e.Promote == plan.PromoteHand, Next: []Waiting{}, Past: []Promotion{}, Orders: []Order{}, Running: []Assembly{}}
	running, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.environment = $3 AND m.state NOT IN ($4, $5)`,
		at.Repo, at.Branch, e.Name, string(AssemblyDeleted), string(AssemblyError))
	if err != nil {
		return v, err
	}
	v.Running = append(v.Running, running...)
	orders, err := ordersOf(ctx, q, at, s.Now())
	if err != nil {
		return v, err
	}
	for _, o := range orders {
		if o.Environment == e.Name && o.Kind != OrderBroken {
			v.Orders = append(v.Orders, o)
		}
	}
	if e.Class != plan.Standing {
		return v, nil
	}
	st, err := s.state(ctx, q, at, e)
	if err != nil {
		return v, err
	}
	v.Broken = st.Broken
	for _, f := range st.Freezes {
		v.Frozen, v.Until = f.Why, f.Until
	}
	if err := s.viewPromotions(ctx, q, at, st, &v); err != nil {
		return v, err
	}
	latest, err := queryAssemblies(ctx, q, `m.repo_id = $1 AND m.branch = $2 AND m.environment = $3 AND m.promotion_id = $4`, at.Repo, at.Branch, e.Name, st.Current.Promotion)
	if err == nil && len(latest) > 0 && st.Current.Promotion != 0 {
		v.Assembly = &latest[len(latest)-1]
	}
	return v, err
}

func (s *Service) viewPromotions(ctx context.Context, q db.Querier, at Place, st promote.State, v *View) error {
	active, err := queryPromotions(ctx, q, `p.repo_id = $1 AND p.branch = $2 AND p.environment = $3 AND p.ended_at = 0`, at.Repo, at.Branch, v.Name)
	if err != nil {
		return err
	}
	byID := map[int64]Promotion{}
	for _, p := range active {
		byID[p.ID] = p
		if p.State.Enters() {
			p.Why, p.Until = promote.Why(st, s.Now(), p.ID)
			v.Entering = &p
		}
	}
	for _, k := range promote.Candidates(st, s.Now()) {
		v.Next = append(v.Next, Waiting{Promotion: byID[k.Promotion], Next: k.Next, May: k.May, Older: k.Older, Words: k.Why, When: k.Until})
	}
	past, err := queryPromotions(ctx, q, `p.id IN (SELECT id FROM promotions WHERE repo_id = $1 AND branch = $2 AND environment = $3 AND ended_at > 0
		ORDER BY ended_no DESC LIMIT $4)`, at.Repo, at.Branch, v.Name, pastShown)
	if err != nil {
		return err
	}
	slices.SortFunc(past, func(a, b Promotion) int { return cmp.Compare(b.endedNo, a.endedNo) })
	v.Past = append(v.Past, past...)
	if st.Current.Promotion == 0 {
		return nil
	}
	current, err := promotionByID(ctx, q, st.Current.Promotion)
	v.Current = &current
	return err
}

// OfChange are the assemblies that serve of a change, newest first.
func OfChange(ctx context.Context, q db.Querier, change int64) ([]Assembly, error) {
	all, err := queryAssemblies(ctx, q, `m.change_id = $1 AND m.state NOT IN ($2, $3, $4)`, change, string(AssemblyDeleted), string(AssemblyDeleting), string(AssemblySuperseded))
	slices.Reverse(all)
	return all, err
}

// OfRun are the promotions of a run, oldest first.
func OfRun(ctx context.Context, q db.Querier, run int64) ([]Promotion, error) {
	return queryPromotions(ctx, q, `p.run_id = $1`, run)
}

// Since are the promotions of a place that ended after a time, oldest first: what the figures of
// the value stream are made of.
func Since(ctx context.Context, q db.Querier, at Place, t time.Time) ([]Promotion, error) {
	return queryPromotions(ctx, q, `p.repo_id = $1 AND p.branch = $2 AND p.ended_at >= $3`, at.Repo, at.Branch, db.Micros(t))
}
