package review

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
)

const (
	// maxTurn and maxMine are how many changes the first parts of the dashboard show: more
	// than anybody works through in a day.
	maxTurn = 100
	maxMine = 100
	// maxWaiting, maxWatched, maxUnasked and maxLanded are a glance.
	maxWaiting = 50
	maxWatched = 50
	maxLanded  = 15
	maxUnasked = 25
	// lookBehind is how many more rows are read than are shown, for those that the asker may
	// not see.
	lookBehind = 4
)

// The searches behind parts of the dashboard; the pages link to them.
const (
	WaitingQuery = "is:open -is:wip is:reviewer -is:attention -is:owner"
	WatchedQuery = "is:open is:watched -is:wip -is:owner -is:reviewer -is:attention"
	LandedQuery  = "is:landed -age:14d (is:owner OR is:reviewer OR is:watched)"
	UnaskedQuery = "is:open -is:wip -is:owner -has:reviewer"
	MineQuery    = "is:open is:owner"
	TurnQuery    = "is:open is:attention"
)

// Dashboard is what concerns one person.
type Dashboard struct {
	// Turn are the changes that wait for the person, the longest waiting first; Why says
	// since when and for what, by change number.
	Turn []Change
	Why  map[int64]Attention
	// Waiting are those that the person owns or reviews and that wait for others.
	Waiting []Change
	Mine    []Change // own open changes, last touched first
	Watched []Change // open ones of others that the person watches
	Landed  []Change // lately
	// Unasked are open ones of others that nobody is asked to review and on which the person
	// may vote.
	Unasked []Change
	// WaitFor says whose turn it is on the changes of all lists.
	WaitFor map[int64][]Attention
	// Watches says whether the person watches anything at all.
	Watches bool
}

// Dashboard gathers what concerns actor, who has signed in.
func (s *Service) Dashboard(ctx context.Context, actor account.Actor) (Dashboard, error) {
	if err := person("review.Dashboard", actor); err != nil {
		return Dashboard{}, err
	}
	v := s.sight(s.DB.Read(), actor)
	d := Dashboard{Why: map[int64]Attention{}}
	if err := s.myTurn(ctx, v, &d); err != nil {
		return Dashboard{}, err
	}
	mine, err := changes(ctx, v.q, `WHERE c.owner_id = $1 AND c.status = $2 ORDER BY c.updated_at DESC, c.id DESC LIMIT $3`, actor.ID, string(Open), maxMine)
	if err != nil {
		return Dashboard{}, err
	}
	if d.Mine, err = v.keep(ctx, mine, maxMine); err != nil {
		return Dashboard{}, err
	}
	if err := s.toMend(ctx, &d); err != nil {
		return Dashboard{}, err
	}
	watches, err := s.Watches(ctx, actor)
	if err != nil {
		return Dashboard{}, err
	}
	d.Watches = len(watches) > 0
	for _, part := range []struct {
		list  *[]Change
		query string
		most  int
		ask   bool
	}{
		{&d.Waiting, WaitingQuery, maxWaiting, true}, {&d.Watched, WatchedQuery, maxWatched, d.Watches}, {&d.Landed, LandedQuery, maxLanded, true},
		{&d.Unasked, UnaskedQuery, maxUnasked, true},
	} {
		if !part.ask {
			continue
		}
		page, err := s.Search(ctx, actor, Search{Query: part.query, Limit: part.most})
		if err != nil {
			return Dashboard{}, fmt.Errorf("review: dashboard: %w", err)
		}
		*part.list = page.Changes
	}
	if d.Unasked, err = v.keepThose(ctx, d.Unasked, maxUnasked, account.Vote); err != nil {
		return Dashboard{}, err
	}
	d.ownWaiting()
	return d, s.waitFor(ctx, v.q, &d)
}

// myTurn lists the changes in whose attention set the person is.
func (s *Service) myTurn(ctx context.Context, v *sight, d *Dashboard) error {
	all, err := attentions(ctx, v.q, `t.account_id = $1`, v.actor.ID)
	if err != nil {
		return err
	}
	for _, a := range all {
		d.Why[a.Change] = a
	}
	found, err := changes(ctx, v.q, `JOIN attention t ON t.change_id = c.id AND t.account_id = $1 WHERE c.status = $2 ORDER BY t.since, c.id LIMIT $3`,
		v.actor.ID, string(Open), maxTurn*lookBehind)
	if err != nil {
		return err
	}
	d.Turn, err = v.keep(ctx, found, maxTurn)
	return err
}

// toMend adds own changes that a gate or the queue has refused and that nobody has looked
// after: they wait for nobody else.
func (s *Service) toMend(ctx context.Context, d *Dashboard) error {
	if s.Refused == nil || len(d.Mine) == 0 {
		return nil
	}
	var ids []int64
	for _, c := range d.Mine {
		if _, known := d.Why[c.ID]; !known && !c.WIP {
			ids = append(ids, c.ID)
		}
	}
	refused, err := s.Refused(ctx, ids)
	if err != nil {
		return fmt.Errorf("review: dashboard: %w", err)
	}
	for _, c := range d.Mine {
		if _, known := d.Why[c.ID]; !known && refused[c.ID] && len(d.Turn) < maxTurn {
			d.Turn = append(d.Turn, c)
			d.Why[c.ID] = Attention{Change: c.ID, Account: c.Owner, Reason: "it was refused", Since: c.UpdatedAt}
		}
	}
	return nil
}

// ownWaiting puts the own changes that wait for others before those that the person reviews.
func (d *Dashboard) ownWaiting() {
	var own []Change
	for _, c := range d.Mine {
		if _, mine := d.Why[c.ID]; !mine && !c.WIP {
			own = append(own, c)
		}
	}
	d.Waiting = append(own, d.Waiting...)
	d.Waiting = d.Waiting[:min(len(d.Waiting), maxWaiting)]
}

func (s *Service) waitFor(ctx context.Context, q db.Querier, d *Dashboard) error {
	var ids []int64
	for _, list := range [][]Change{d.Turn, d.Waiting, d.Mine, d.Watched, d.Unasked} {
		for _, c := range list {
			ids = append(ids, c.ID)
		}
	}
	var err error
	d.WaitFor, err = s.AttentionOf(ctx, q, distinct(ids))
	return err
}

// keep leaves the first of the changes that the actor may see.
func (v *sight) keep(ctx context.Context, all []Change, most int) ([]Change, error) {
	return v.keepThose(ctx, all, most, account.Read)
}

// keepThose leaves the first of the changes on which the actor may do verb.
func (v *sight) keepThose(ctx context.Context, all []Change, most int, verb account.Verb) ([]Change, error) {
	var kept []Change
	for _, c := range all {
		ok, err := v.allows(ctx, verb, c)
		if err != nil {
			return nil, err
		}
		if ok && len(kept) < most {
			kept = append(kept, c)
		}
	}
	return kept, nil
}
