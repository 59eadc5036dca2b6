package api

import (
	"context"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// Reviewer is somebody who was asked to look at a change, or did.
type Reviewer struct {
	Account string `json:"account"`
	CC      bool   `json:"cc,omitempty" doc:"Only let know."`
}

// NewReviewers says whom to ask.
type NewReviewers struct {
	Accounts []string `json:"accounts" minItems:"1" maxItems:"50" doc:"Names or e-mail addresses."`
	CC       bool     `json:"cc,omitempty" doc:"Only let them know."`
}

// SuggestedReviewer is somebody who could review a change.
type SuggestedReviewer struct {
	Account string   `json:"account"`
	Why     []string `json:"why"`
}

// Attention says that it is somebody's turn on a change.
type Attention struct {
	Change  int64     `json:"change"`
	Account string    `json:"account"`
	Reason  string    `json:"reason"`
	By      string    `json:"by,omitempty" doc:"Who made it so; empty for the server."`
	Since   time.Time `json:"since"`
}

// NewAttention makes it somebody's turn.
type NewAttention struct {
	Account string `json:"account" maxLength:"254" doc:"A name or an e-mail address."`
	Reason  string `json:"reason,omitempty" maxLength:"2000"`
}

// Dashboard is what concerns whoever asks.
type Dashboard struct {
	Turn    []Turn   `json:"turn" doc:"What waits for you, the longest waiting first."`
	Waiting []Change `json:"waiting" doc:"What waits for others."`
	Mine    []Change `json:"mine"`
	Watched []Change `json:"watched"`
	Unasked []Change `json:"unasked" doc:"Open ones of others that nobody is asked to review and on which you may vote."`
	Landed  []Change `json:"landed"`
}

// Turn is a change that waits for whoever asks, and why.
type Turn struct {
	Change
	Reason string    `json:"reason"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
}

// Watch says which changes somebody wants to see; what is empty narrows nothing.
type Watch struct {
	ID         int64  `json:"id,omitempty"`
	Repository string `json:"repository,omitempty" maxLength:"100"`
	Branch     string `json:"branch,omitempty" maxLength:"200"`
	Path       string `json:"path,omitempty" maxLength:"4096" doc:"A path, a folder, a name or *.EXT."`
	Query      string `json:"query,omitempty" maxLength:"2000" doc:"A search."`
}

// SavedSearch is a search that is kept under a name.
type SavedSearch struct {
	Name  string `json:"name" maxLength:"40"`
	Query string `json:"query" maxLength:"2000"`
}

type namedIn struct {
	ChangePath
	Name string `path:"name" maxLength:"254"`
}

func (s *Server) turnRoutes() {
	add(s, route{id: "list-reviewers", at: "GET /changes/{number}/reviewers", summary: "List who was asked to review, or did", open: true}, s.listReviewers)
	add(s, route{id: "add-reviewers", at: "POST /changes/{number}/reviewers", summary: "Ask people to review"}, s.addReviewers)
	add(s, route{id: "remove-reviewer", at: "DELETE /changes/{number}/reviewers/{name}", summary: "Take somebody off the reviewers, with their votes"}, s.removeReviewer)
	add(s, route{id: "suggest-reviewers", at: "GET /changes/{number}/suggested-reviewers", summary: "Whom to ask: owners of the paths, and who wrote the lines"}, s.suggestReviewers)
	add(s, route{id: "list-attention", at: "GET /changes/{number}/attention", summary: "List whose turn it is, and why", open: true}, s.listAttention)
	add(s, route{id: "add-attention", at: "POST /changes/{number}/attention", summary: "Make it somebody's turn"}, s.addAttention)
	add(s, route{id: "remove-attention", at: "DELETE /changes/{number}/attention/{name}", summary: "Say that it is not somebody's turn"}, s.removeAttention)
	add(s, route{id: "star", at: "PUT /changes/{number}/star", summary: "Star a change"}, s.starOn)
	add(s, route{id: "unstar", at: "DELETE /changes/{number}/star", summary: "Take the star away"}, s.starOff)
	add(s, route{id: "dashboard", at: "GET /self/dashboard", summary: "What concerns you: your turn, waiting on others, yours, watched, landed"}, s.dashboard)
	add(s, route{id: "list-watches", at: "GET /self/watches", summary: "List what you watch"}, s.listWatches)
	add(s, route{id: "add-watch", at: "POST /self/watches", summary: "Watch a repository, a branch, a path or a search", status: 201}, s.addWatch)
	add(s, route{id: "remove-watch", at: "DELETE /self/watches/{id}", summary: "Watch no more"}, s.removeWatch)
	add(s, route{id: "list-searches", at: "GET /self/searches", summary: "List your saved searches"}, s.listSearches)
	add(s, route{id: "save-search", at: "POST /self/searches", summary: "Save a search under a name"}, s.saveSearch)
	add(s, route{id: "forget-search", at: "DELETE /self/searches/{name}", summary: "Forget a saved search"}, s.forgetSearch)
}

// someone finds an account by its name or address; self is whoever asks.
func (s *Server) someone(ctx context.Context, who account.Actor, name string) (int64, error) {
	if name == "self" {
		return who.ID, person(who)
	}
	find := s.Accounts.ByName
	for _, r := range name {
		if r == '@' {
			find = s.Accounts.ByEmail
		}
	}
	a, err := find(ctx, s.DB.Read(), name)
	return a.ID, err
}

func (s *Server) listReviewers(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[Reviewer]], error) {
	c, err := s.Review.Get(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	found, err := s.Review.Reviewers(ctx, s.DB.Read(), c.ID)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, r := range found {
		ids = append(ids, r.Account)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var all []Reviewer
	for _, r := range found {
		all = append(all, Reviewer{Account: name(r.Account), CC: r.CC})
	}
	return listed(all), nil
}

func (s *Server) addReviewers(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[NewReviewers]
}) (*answer[list[Reviewer]], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	if _, err := s.Review.Get(ctx, who, in.Number); err != nil {
		return nil, err // before it tells whether accounts exist
	}
	var whom []int64
	for _, name := range in.Body.Accounts {
		id, err := s.someone(ctx, who, name)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Newf(fault.Invalid, "api.addReviewers", "there is no account %q", name)
		}
		if err != nil {
			return nil, err
		}
		whom = append(whom, id)
	}
	if err := s.Review.AddReviewers(ctx, who, in.Number, whom, in.Body.CC); err != nil {
		return nil, err
	}
	return s.listReviewers(ctx, who, &in.ChangePath)
}

func (s *Server) removeReviewer(ctx context.Context, who account.Actor, in *namedIn) (*nothing, error) {
	return s.toSomeone(ctx, who, in, func(id int64) error { return s.Review.RemoveReviewer(ctx, who, in.Number, id) })
}

// toSomeone does something about a change and an account.
func (s *Server) toSomeone(ctx context.Context, who account.Actor, in *namedIn, do func(id int64) error) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	if _, err := s.Review.Get(ctx, who, in.Number); err != nil {
		return nil, err
	}
	id, err := s.someone(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, do(id)
}

func (s *Server) suggestReviewers(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[SuggestedReviewer]], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	found, err := s.Review.SuggestReviewers(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	var all []SuggestedReviewer
	for _, one := range found {
		all = append(all, SuggestedReviewer{Account: one.Account.Name, Why: one.Why})
	}
	return listed(all), nil
}

func (s *Server) listAttention(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[Attention]], error) {
	c, err := s.Review.Get(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	found, err := s.Review.Attention(ctx, s.DB.Read(), c.ID)
	if err != nil {
		return nil, err
	}
	all, err := s.attentionOf(ctx, found)
	return listed(all), err
}

func (s *Server) attentionOf(ctx context.Context, found []review.Attention) ([]Attention, error) {
	var ids []int64
	for _, a := range found {
		ids = append(ids, a.Account, a.By)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	all := []Attention{}
	for _, a := range found {
		all = append(all, Attention{Change: a.Change, Account: name(a.Account), Reason: a.Reason, By: name(a.By), Since: a.Since})
	}
	return all, nil
}

func (s *Server) addAttention(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[NewAttention]
}) (*answer[list[Attention]], error) {
	_, err := s.toSomeone(ctx, who, &namedIn{ChangePath: in.ChangePath, Name: in.Body.Account}, func(id int64) error {
		return s.Review.GiveTurn(ctx, who, in.Number, id, in.Body.Reason)
	})
	if err != nil {
		return nil, err
	}
	return s.listAttention(ctx, who, &in.ChangePath)
}

func (s *Server) removeAttention(ctx context.Context, who account.Actor, in *namedIn) (*nothing, error) {
	return s.toSomeone(ctx, who, in, func(id int64) error { return s.Review.TakeTurn(ctx, who, in.Number, id, "") })
}

func (s *Server) starOn(ctx context.Context, who account.Actor, in *ChangePath) (*nothing, error) {
	return nil, s.Review.Star(ctx, who, in.Number, true)
}

func (s *Server) starOff(ctx context.Context, who account.Actor, in *ChangePath) (*nothing, error) {
	return nil, s.Review.Star(ctx, who, in.Number, false)
}

func (s *Server) dashboard(ctx context.Context, who account.Actor, _ *struct{}) (*answer[Dashboard], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	d, err := s.Review.Dashboard(ctx, who)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, part := range [][]review.Change{d.Turn, d.Waiting, d.Mine, d.Watched, d.Unasked, d.Landed} {
		for _, c := range part {
			ids = append(ids, c.Owner, c.SubmitBy)
		}
	}
	for _, a := range d.Why {
		ids = append(ids, a.By)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	changes := func(part []review.Change) []Change {
		all := []Change{}
		for _, c := range part {
			all = append(all, s.changeOf(c, name))
		}
		return all
	}
	out := Dashboard{Turn: []Turn{}, Waiting: changes(d.Waiting), Mine: changes(d.Mine), Watched: changes(d.Watched), Unasked: changes(d.Unasked), Landed: changes(d.Landed)}
	for _, c := range d.Turn {
		a := d.Why[c.ID]
		out.Turn = append(out.Turn, Turn{Change: s.changeOf(c, name), Reason: a.Reason, By: name(a.By), Since: a.Since})
	}
	return &answer[Dashboard]{out}, nil
}

func watchOf(w review.Watch) Watch {
	return Watch{ID: w.ID, Repository: w.RepoName, Branch: w.Branch, Path: w.Path, Query: w.Query}
}

func (s *Server) listWatches(ctx context.Context, who account.Actor, _ *struct{}) (*answer[list[Watch]], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	found, err := s.Review.Watches(ctx, who)
	if err != nil {
		return nil, err
	}
	var all []Watch
	for _, w := range found {
		all = append(all, watchOf(w))
	}
	return listed(all), nil
}

func (s *Server) addWatch(ctx context.Context, who account.Actor, in *body[Watch]) (*answer[Watch], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	w := review.Watch{Branch: in.Body.Branch, Path: in.Body.Path, Query: in.Body.Query}
	if in.Body.Repository != "" {
		r, err := s.repository(ctx, who, in.Body.Repository, account.Read)
		if err != nil {
			return nil, err
		}
		w.Repo = r.ID
	}
	made, err := s.Review.AddWatch(ctx, who, w)
	if err != nil {
		return nil, err
	}
	return &answer[Watch]{watchOf(made)}, nil
}

func (s *Server) removeWatch(ctx context.Context, who account.Actor, in *struct {
	ID int64 `path:"id"`
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	return nil, s.Review.RemoveWatch(ctx, who, in.ID)
}

func (s *Server) listSearches(ctx context.Context, who account.Actor, _ *struct{}) (*answer[list[SavedSearch]], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	found, err := s.Review.SavedSearches(ctx, who)
	if err != nil {
		return nil, err
	}
	var all []SavedSearch
	for _, one := range found {
		all = append(all, SavedSearch(one))
	}
	return listed(all), nil
}

func (s *Server) saveSearch(ctx context.Context, who account.Actor, in *body[SavedSearch]) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	return nil, s.Review.SaveSearch(ctx, who, in.Body.Name, in.Body.Query)
}

func (s *Server) forgetSearch(ctx context.Context, who account.Actor, in *struct {
	Name string `path:"name" maxLength:"200"`
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	return nil, s.Review.ForgetSearch(ctx, who, in.Name)
}
