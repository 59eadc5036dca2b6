package review

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// usualList and maxList are how many changes one answer holds.
	usualList = 50
	maxList   = 500
	// maxBatches bounds how often a list reads on because the asker may not see what it
	// found: somebody who may see next to nothing gets a short answer, not a long wait.
	maxBatches = 20
)

// Filter says which changes to list; zero fields do not filter.
type Filter struct {
	Repo     int64
	Branch   string
	Owner    int64
	Reviewer int64 // somebody who was asked, or voted or commented
	Status   Status
	Topic    string
	Key      string
	Limit    int   // 0 is 50, at most 500
	Before   int64 // only changes with a smaller number: the next page
}

// sight remembers what one actor may do while one answer is made, so that a page of changes
// asks once for each repository and branch.
type sight struct {
	*Service
	q       db.Querier
	actor   account.Actor
	repos   map[int64]account.Resource
	answers map[sightKey]bool
}

type sightKey struct {
	repo   int64
	branch string
	verb   account.Verb
}

func (s *Service) sight(q db.Querier, actor account.Actor) *sight {
	return &sight{Service: s, q: q, actor: actor, repos: map[int64]account.Resource{}, answers: map[sightKey]bool{}}
}

// allows reports whether the actor may do v to changes like c.
func (v *sight) allows(ctx context.Context, verb account.Verb, c Change) (bool, error) {
	key := sightKey{c.Repo, c.Branch, verb}
	if verb == account.Read {
		key.branch = ""
	}
	if ok, known := v.answers[key]; known && !c.Private {
		return ok, nil
	}
	resource, known := v.repos[c.Repo]
	if !known {
		r, err := v.Repos.ByID(ctx, v.q, c.Repo)
		if err != nil {
			return false, err
		}
		resource = r.Resource("")
		v.repos[c.Repo] = resource
	}
	resource.Branch = key.branch
	if c.Private {
		return v.allowsPrivate(ctx, verb, c, resource)
	}
	err := v.Accounts.May(ctx, v.q, v.actor, verb, resource)
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Unauthenticated:
		v.answers[key] = false
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v.answers[key] = true
	return true, nil
}

// Get reads a change for somebody: NotFound when there is none or actor may not see it.
func (s *Service) Get(ctx context.Context, actor account.Actor, id int64) (Change, error) {
	c, err := s.Load(ctx, s.DB.Read(), id)
	if err != nil {
		return Change{}, err
	}
	ok, err := s.sight(s.DB.Read(), actor).allows(ctx, account.Read, c)
	if err == nil && !ok {
		err = missing(id)
	}
	if err != nil {
		return Change{}, err
	}
	return c, nil
}

// List finds the changes that actor may see, newest first.
func (s *Service) List(ctx context.Context, actor account.Actor, f Filter) ([]Change, error) {
	switch f.Status {
	case "", Open, Landed, Abandoned:
	default:
		return nil, fault.New(fault.Invalid, "review.List", fmt.Sprintf("%q is no status of a change", clip(string(f.Status))), "use open, landed or abandoned")
	}
	if f.Limit <= 0 {
		f.Limit = usualList
	}
	f.Limit = min(f.Limit, maxList)
	v := s.sight(s.DB.Read(), actor)
	var seen []Change
	for range maxBatches {
		where, args := f.where()
		args = append(args, f.Limit)
		batch, err := changes(ctx, v.q, fmt.Sprintf(`%s ORDER BY c.id DESC LIMIT $%d`, where, len(args)), args...)
		if err != nil {
			return nil, err
		}
		for _, c := range batch {
			ok, err := v.allows(ctx, account.Read, c)
			if err != nil {
				return nil, err
			}
			if f.Before = c.ID; ok {
				seen = append(seen, c)
			}
			if len(seen) == f.Limit {
				return seen, nil
			}
		}
		if len(batch) < f.Limit {
			break
		}
	}
	return seen, nil
}

// where is the filter as SQL.
func (f Filter) where() (clause string, args []any) {
	var parts []string
	add := func(condition string, value any) {
		args = append(args, value)
		parts = append(parts, fmt.Sprintf(condition, len(args)))
	}
	if f.Repo != 0 {
		add("c.repo_id = $%d", f.Repo)
	}
	if f.Branch != "" {
		add("c.branch = $%d", f.Branch)
	}
	if f.Owner != 0 {
		add("c.owner_id = $%d", f.Owner)
	}
	if f.Reviewer != 0 {
		add("EXISTS (SELECT 1 FROM reviewers w WHERE w.change_id = c.id AND w.account_id = $%d)", f.Reviewer)
	}
	if f.Status != "" {
		add("c.status = $%d", string(f.Status))
	}
	if f.Topic != "" {
		add("c.topic = $%d", f.Topic)
	}
	if f.Key != "" {
		add("c.change_key = $%d", f.Key)
	}
	if f.Before != 0 {
		add("c.id < $%d", f.Before)
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(parts, " AND "), args
}
