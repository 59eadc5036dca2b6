package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

const (
	// maxDiff bounds a diff as text; who wants more has git and the holding ref.
	maxDiff = 16 << 20
	// usualPage and the maximum in changesIn bound one list of changes.
	usualPage = 50
)

// Change is one proposed commit for one branch, through all its patch sets.
type Change struct {
	Number       int64      `json:"number"`
	Repository   string     `json:"repository"`
	Branch       string     `json:"branch"`
	Key          string     `json:"key" doc:"Its Change-Id."`
	Topic        string     `json:"topic,omitempty"`
	Subject      string     `json:"subject"`
	Owner        string     `json:"owner"`
	Status       string     `json:"status" enum:"open,landed,abandoned"`
	WIP          bool       `json:"wip,omitempty"`
	Private      bool       `json:"private,omitempty" doc:"Only its owner, its reviewers and administrators see it."`
	Reverts      int64      `json:"reverts,omitempty" doc:"The change that it takes back."`
	PickedFrom   int64      `json:"picked_from,omitempty" doc:"The change that it was picked from for this branch."`
	PatchSet     int        `json:"patch_set" doc:"The current one."`
	SubmitBy     string     `json:"submit_by,omitempty" doc:"Who asked to land it."`
	SubmitAt     *time.Time `json:"submit_at,omitempty"`
	LandedCommit string     `json:"landed_commit,omitempty"`
	URL          string     `json:"url"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
}

// ChangeDetail is a change with everything that was said about it.
type ChangeDetail struct {
	Change
	PatchSets []PatchSet  `json:"patch_sets"`
	Votes     []Vote      `json:"votes" doc:"On the current patch set and on those before."`
	Hashtags  []string    `json:"hashtags"`
	Reviewers []string    `json:"reviewers" doc:"Who was asked to look, or did."`
	CC        []string    `json:"cc,omitempty" doc:"Who is only let know."`
	Attention []Attention `json:"attention" doc:"Whose turn it is, and why."`
	Messages  []Message   `json:"messages"`
	Comments  []Comment   `json:"comments"`
}

// PatchSet is one version of a change.
type PatchSet struct {
	Number      int       `json:"number"`
	Commit      string    `json:"commit"`
	Parent      string    `json:"parent"`
	Ref         string    `json:"ref" doc:"Fetch this to have it."`
	Uploader    string    `json:"uploader"`
	AuthorName  string    `json:"author_name"`
	AuthorEmail string    `json:"author_email"`
	Kind        string    `json:"kind" doc:"What it is to the one before."`
	Message     string    `json:"message"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
}

// Vote is one account's vote on one label of one patch set.
type Vote struct {
	PatchSet   int       `json:"patch_set"`
	Label      string    `json:"label"`
	Account    string    `json:"account"`
	Value      int       `json:"value"`
	CopiedFrom int       `json:"copied_from,omitempty" doc:"The patch set that it was given on."`
	CreatedAt  time.Time `json:"created_at"`
}

// Message is something said about a change as a whole, or a note of what happened to it.
type Message struct {
	PatchSet  int       `json:"patch_set"`
	Author    string    `json:"author,omitempty" doc:"Empty for the server's own."`
	Body      string    `json:"body"`
	CreatedAt time.Time `json:"created_at"`
}

// File is what a patch set does to one file.
type File struct {
	Path    string `json:"path"`
	OldPath string `json:"old_path,omitempty"`
	Status  string `json:"status" doc:"A added, M modified, D deleted, R renamed, C copied, T another kind of file."`
	Added   int    `json:"added"`
	Deleted int    `json:"deleted"`
	Binary  bool   `json:"binary,omitempty"`
	Viewed  bool   `json:"viewed,omitempty" doc:"Whoever asks has marked it as viewed, and the patch set does the same to it still."`
}

// ChangePath names a change in a path.
type ChangePath struct {
	Number int64 `path:"number" minimum:"1"`
}

type changesIn struct {
	Repository string `query:"repository" maxLength:"100"`
	Branch     string `query:"branch" maxLength:"200"`
	Owner      string `query:"owner" maxLength:"39" doc:"An account's name; self is whoever asks."`
	Reviewer   string `query:"reviewer" maxLength:"39"`
	Topic      string `query:"topic" maxLength:"400"`
	Key        string `query:"key" maxLength:"100" doc:"A Change-Id."`
	Status     string `query:"status" enum:"open,landed,abandoned"`
	Limit      int    `query:"limit" minimum:"0" maximum:"200" doc:"At most so many; 0 is 50."`
	Query      string `query:"q" maxLength:"2000" doc:"A search, such as is:open owner:self file:web/; the others below narrow it."`
	After      string `query:"after" maxLength:"60" doc:"With q: the next of the answer before."`
	Before     int64  `query:"before" minimum:"0" doc:"Only changes with a smaller number: the next page."`
}

type diffIn struct {
	ChangePath
	PatchSet int  `query:"patch_set" minimum:"0" doc:"0 is the current one."`
	Base     int  `query:"base" minimum:"0" doc:"An older patch set to compare with, without what landed between their parents; 0 is the parent commit."`
	Rebase   bool `query:"rebase" doc:"With base: what landed between their parents as well."`
}

func (s *Server) changeRoutes() {
	add(s, route{id: "list-changes", at: "GET /changes", summary: "List changes, newest first", open: true}, s.listChanges)
	add(s, route{id: "get-change", at: "GET /changes/{number}", summary: "Show a change with all that was said about it", open: true}, s.getChange)
	add(s, route{id: "list-files", at: "GET /changes/{number}/files", summary: "List the files that a patch set changes", open: true}, s.listFiles)
	add(s, route{id: "get-diff", at: "GET /changes/{number}/diff", summary: "The difference that a patch set makes, as git prints it", open: true}, s.getDiff)
}

func (s *Server) listChanges(ctx context.Context, who account.Actor, in *changesIn) (*answer[list[Change]], error) {
	if in.Query != "" {
		return s.searchChanges(ctx, who, in)
	}
	filter := review.Filter{Branch: in.Branch, Topic: in.Topic, Key: in.Key, Status: review.Status(in.Status), Limit: in.Limit, Before: in.Before}
	if filter.Limit == 0 {
		filter.Limit = usualPage
	}
	if in.Repository != "" {
		r, err := s.repository(ctx, who, in.Repository, account.Read)
		if err != nil {
			return nil, err
		}
		filter.Repo = r.ID
	}
	if err := s.lookUp(ctx, who, in.Owner, &filter.Owner); err != nil {
		return nil, err
	}
	if err := s.lookUp(ctx, who, in.Reviewer, &filter.Reviewer); err != nil {
		return nil, err
	}
	found, err := s.Review.List(ctx, who, filter)
	if err != nil {
		return nil, err
	}
	return s.listedChanges(ctx, found)
}

// searchChanges lists what a search finds, last touched first.
func (s *Server) searchChanges(ctx context.Context, who account.Actor, in *changesIn) (*answer[list[Change]], error) {
	query := in.Query
	for _, narrow := range [][2]string{{"repo", in.Repository}, {"branch", in.Branch}, {"owner", in.Owner}, {"reviewer", in.Reviewer}, {"topic", in.Topic}, {"status", in.Status}, {"change", in.Key}} {
		if narrow[1] != "" {
			// Behind what was asked, so that a place in that stays the same.
			query += fmt.Sprintf(" %s:{%s}", narrow[0], strings.NewReplacer(`\`, `\\`, "}", `\}`).Replace(narrow[1]))
		}
	}
	if query != in.Query && strings.Contains(in.Query, "OR") {
		query = "(" + in.Query + ")" + query[len(in.Query):]
	}
	page, err := s.Review.Search(ctx, who, review.Search{Query: query, Limit: in.Limit, After: in.After})
	if err != nil {
		return nil, err
	}
	out, err := s.listedChanges(ctx, page.Changes)
	if err == nil {
		out.Body.Next = page.Next
	}
	return out, err
}

func (s *Server) listedChanges(ctx context.Context, found []review.Change) (*answer[list[Change]], error) {
	var ids []int64
	for _, c := range found {
		ids = append(ids, c.Owner, c.SubmitBy)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var all []Change
	for _, c := range found {
		all = append(all, s.changeOf(c, name))
	}
	return listed(all), nil
}

// lookUp puts the id of the account called name into id; "" leaves it.
func (s *Server) lookUp(ctx context.Context, who account.Actor, name string, id *int64) error {
	switch name {
	case "":
		return nil
	case "self":
		if who.ID == 0 {
			return fault.New(fault.Unauthenticated, "api.lookUp", "nobody is signed in, so there is no self", "send a token, or name an account")
		}
		*id = who.ID
		return nil
	}
	a, err := s.Accounts.ByName(ctx, s.DB.Read(), name)
	*id = a.ID
	return err
}

func (s *Server) changeOf(c review.Change, name func(int64) string) Change {
	out := Change{
		Number: c.ID, Repository: c.RepoName, Branch: c.Branch, Key: c.Key, Topic: c.Topic, Subject: c.Subject, Owner: name(c.Owner),
		Status: string(c.Status), WIP: c.WIP, Private: c.Private, Reverts: c.Reverts, PickedFrom: c.PickedFrom, PatchSet: c.Current, SubmitAt: moment(c.SubmitAt), LandedCommit: string(c.LandedCommit),
		URL: fmt.Sprintf("%s/c/%s/+/%d", s.URL, c.RepoName, c.ID), CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if c.SubmitBy != 0 {
		out.SubmitBy = name(c.SubmitBy)
	}
	return out
}

func (s *Server) getChange(ctx context.Context, who account.Actor, in *ChangePath) (*answer[ChangeDetail], error) {
	c, err := s.Review.Get(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	q := s.DB.Read()
	sets, err := s.Review.PatchSets(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	votes, err := s.Review.Votes(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	messages, err := s.Review.Messages(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	comments, err := s.Review.Comments(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	reviewers, err := s.Review.Reviewers(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	tags, err := s.Review.Hashtags(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	ids := []int64{c.Owner, c.SubmitBy}
	for _, r := range reviewers {
		ids = append(ids, r.Account)
	}
	for _, ps := range sets {
		ids = append(ids, ps.Uploader)
	}
	for _, v := range votes {
		ids = append(ids, v.Account)
	}
	for _, m := range messages {
		ids = append(ids, m.Author)
	}
	for _, c := range comments {
		ids = append(ids, c.Author)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	detail := ChangeDetail{Change: s.changeOf(c, name), PatchSets: []PatchSet{}, Votes: []Vote{}, Reviewers: []string{}, Messages: []Message{}, Comments: commentsOf(comments, sets, name)}
	detail.Hashtags = append([]string{}, tags...)
	for _, r := range reviewers {
		if r.CC {
			detail.CC = append(detail.CC, name(r.Account))
		} else {
			detail.Reviewers = append(detail.Reviewers, name(r.Account))
		}
	}
	for _, ps := range sets {
		detail.PatchSets = append(detail.PatchSets, patchSetOf(ps, name))
	}
	for _, v := range votes {
		detail.Votes = append(detail.Votes, Vote{PatchSet: v.PS, Label: v.Label, Account: name(v.Account), Value: v.Value, CopiedFrom: v.CopiedFrom, CreatedAt: v.CreatedAt})
	}
	for _, m := range messages {
		detail.Messages = append(detail.Messages, Message{PatchSet: m.PS, Author: name(m.Author), Body: m.Body, CreatedAt: m.CreatedAt})
	}
	turn, err := s.Review.Attention(ctx, q, c.ID)
	if err != nil {
		return nil, err
	}
	if detail.Attention, err = s.attentionOf(ctx, turn); err != nil {
		return nil, err
	}
	return &answer[ChangeDetail]{detail}, nil
}

func patchSetOf(ps review.PatchSet, name func(int64) string) PatchSet {
	return PatchSet{
		Number: ps.Number, Commit: string(ps.Commit), Parent: string(ps.Parent), Ref: review.HoldingRef(ps.Change, ps.Number), Uploader: name(ps.Uploader),
		AuthorName: ps.AuthorName, AuthorEmail: ps.AuthorEmail, Kind: string(ps.Kind), Message: ps.Message, Description: ps.Description, CreatedAt: ps.CreatedAt,
	}
}
