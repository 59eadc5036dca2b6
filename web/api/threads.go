package api

import (
	"context"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// Comment is something said about lines, a file or a patch set.
type Comment struct {
	ID       int64  `json:"id"`
	PatchSet int    `json:"patch_set"`
	Commit   string `json:"commit,omitempty" doc:"That of the patch set; of a comment on the old side, its parent."`
	Spot
	ReplyTo    int64     `json:"reply_to,omitempty"`
	Author     string    `json:"author"`
	Body       string    `json:"body"`
	Unresolved bool      `json:"unresolved"`
	CreatedAt  time.Time `json:"created_at"`
}

// Spot is a place in a patch set.
type Spot struct {
	Path      string `json:"path,omitempty" maxLength:"4096" doc:"Empty for the patch set as a whole, /COMMIT_MSG for its message."`
	Side      string `json:"side,omitempty" enum:"old,new" doc:"Which side of the difference the line is on."`
	Line      int    `json:"line,omitempty" minimum:"0" doc:"The last line; 0 for the file as a whole."`
	StartLine int    `json:"start_line,omitempty" minimum:"0" doc:"The first of several lines."`
	StartChar int    `json:"start_char,omitempty" minimum:"0" doc:"In the first line, in characters from 0."`
	EndChar   int    `json:"end_char,omitempty" minimum:"0" doc:"In the last line, behind the last character; 0 for whole lines."`
}

// Place is where a spot is on another patch set.
type Place struct {
	PatchSet int `json:"patch_set"`
	Spot
	Fate     string   `json:"fate" enum:"kept,edited,gone" doc:"Kept: the very lines are there. Gone: line is the one that was closest to them."`
	FileGone bool     `json:"file_gone,omitempty"`
	Was      []string `json:"was,omitempty" doc:"The lines that are gone, or as they were before they were edited."`
}

// Thread is a conversation about one place.
type Thread struct {
	ID         int64     `json:"id" doc:"That of its first comment."`
	Unresolved bool      `json:"unresolved" doc:"As its last comment says."`
	Now        *Place    `json:"now,omitempty" doc:"Where it is on the patch set that was asked for; missing when that is older."`
	Comments   []Comment `json:"comments"`
}

// NewComment is a comment to publish or to keep as a draft.
type NewComment struct {
	PatchSet int `json:"patch_set,omitempty" minimum:"0" doc:"0 is the review's, or the current one."`
	Spot
	ReplyTo    int64  `json:"reply_to,omitempty" minimum:"0" doc:"A comment on the same change; the answer goes where that one is."`
	Body       string `json:"body" maxLength:"100000" doc:"Markdown. A block that begins with three backticks and the word suggestion suggests other lines."`
	Unresolved bool   `json:"unresolved,omitempty"`
}

// Draft is a comment that its writer has not published.
type Draft struct {
	ID       int64 `json:"id"`
	PatchSet int   `json:"patch_set"`
	Spot
	ReplyTo    int64     `json:"reply_to,omitempty"`
	Body       string    `json:"body"`
	Unresolved bool      `json:"unresolved"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// DraftText is what a draft says.
type DraftText struct {
	Body       string `json:"body" maxLength:"100000"`
	Unresolved bool   `json:"unresolved,omitempty"`
}

// Answer resolves a thread, or opens it again.
type Answer struct {
	Message    string `json:"message,omitempty" maxLength:"100000" doc:"Done, or Reopened, when there is none."`
	Unresolved bool   `json:"unresolved,omitempty"`
}

// Suggestion names a suggestion in a comment.
type Suggestion struct {
	Comment int64 `json:"comment" minimum:"1"`
	Index   int   `json:"index,omitempty" minimum:"0" doc:"Which one of the comment's, from 0."`
}

// Batch is the suggestions to apply together.
type Batch struct {
	PatchSet    int          `json:"patch_set,omitempty" minimum:"0" doc:"The one that was looked at; a conflict when it is not current. 0 is the current one."`
	Suggestions []Suggestion `json:"suggestions" minItems:"1" maxItems:"100"`
}

type threadsIn struct {
	ChangePath
	Unresolved bool `query:"unresolved" doc:"Only threads that ask for something."`
	PatchSet   int  `query:"patch_set" minimum:"0" doc:"Where to carry them; 0 is the current one."`
}

// CommentPath names a comment or a draft of a change in a path.
type CommentPath struct {
	ChangePath
	ID int64 `path:"id" minimum:"1"`
}

func (s *Server) threadRoutes() {
	add(s, route{id: "list-comments", at: "GET /changes/{number}/comments", summary: "List the comments on a change", open: true}, s.listComments)
	add(s, route{id: "list-threads", at: "GET /changes/{number}/threads", summary: "List the threads on a change, and where they are on a patch set", open: true}, s.listThreads)
	add(s, route{id: "answer-thread", at: "POST /changes/{number}/threads/{id}/resolve", summary: "Resolve a thread, or open it again"}, s.answerThread)
	add(s, route{id: "list-drafts", at: "GET /changes/{number}/drafts", summary: "List your drafts on a change"}, s.listDrafts)
	add(s, route{id: "create-draft", at: "POST /changes/{number}/drafts", summary: "Keep a comment as a draft", status: 201}, s.createDraft)
	add(s, route{id: "change-draft", at: "PUT /changes/{number}/drafts/{id}", summary: "Write a draft anew"}, s.changeDraft)
	add(s, route{id: "remove-draft", at: "DELETE /changes/{number}/drafts/{id}", summary: "Throw a draft away"}, s.removeDraft)
	add(s, route{id: "apply-suggestions", at: "POST /changes/{number}/suggestions/apply", summary: "Make a patch set of suggestions"}, s.applySuggestions)
}

func spotOf(c review.Spot) Spot {
	return Spot{Path: c.Path, Side: c.Side, Line: c.Line, StartLine: c.StartLine, StartChar: c.StartChar, EndChar: c.EndChar}
}

func (n NewComment) comment() review.NewComment {
	return review.NewComment{PS: n.PatchSet, Path: n.Path, Side: n.Side, Line: n.Line, StartLine: n.StartLine, StartChar: n.StartChar, EndChar: n.EndChar,
		ReplyTo: n.ReplyTo, Body: n.Body, Unresolved: n.Unresolved}
}

// commentsOf are comments as the API tells them; sets are the patch sets of their change.
func commentsOf(comments []review.Comment, sets []review.PatchSet, name func(int64) string) []Comment {
	commits := map[int]review.PatchSet{}
	for _, ps := range sets {
		commits[ps.Number] = ps
	}
	all := []Comment{}
	for _, c := range comments {
		commit := commits[c.PS].Commit
		if c.Side == review.SideOld {
			commit = commits[c.PS].Parent
		}
		all = append(all, Comment{
			ID: c.ID, PatchSet: c.PS, Commit: string(commit), Spot: spotOf(c.Spot()), ReplyTo: c.ReplyTo, Author: name(c.Author), Body: c.Body,
			Unresolved: c.Unresolved, CreatedAt: c.CreatedAt,
		})
	}
	return all
}

// said reads the comments on a change that who may see.
func (s *Server) said(ctx context.Context, who account.Actor, number int64) (c review.Change, sets []review.PatchSet, comments []review.Comment, name func(int64) string, err error) {
	if c, err = s.Review.Get(ctx, who, number); err != nil {
		return c, nil, nil, nil, err
	}
	if sets, err = s.Review.PatchSets(ctx, s.DB.Read(), c.ID); err != nil {
		return c, nil, nil, nil, err
	}
	if comments, err = s.Review.Comments(ctx, s.DB.Read(), c.ID); err != nil {
		return c, nil, nil, nil, err
	}
	var ids []int64
	for _, one := range comments {
		ids = append(ids, one.Author)
	}
	name, err = s.named(ctx, ids...)
	return c, sets, comments, name, err
}

func (s *Server) listComments(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[Comment]], error) {
	_, sets, comments, name, err := s.said(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	return listed(commentsOf(comments, sets, name)), nil
}

var fateWords = map[diff.Fate]string{diff.Kept: "kept", diff.Edited: "edited", diff.Gone: "gone"}

func (s *Server) listThreads(ctx context.Context, who account.Actor, in *threadsIn) (*answer[list[Thread]], error) {
	c, sets, comments, name, err := s.said(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	number := in.PatchSet
	if number == 0 {
		number = c.Current
	}
	to, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, number)
	if err != nil {
		return nil, err
	}
	r, err := s.Repos.ByID(ctx, s.DB.Read(), c.Repo)
	if err != nil {
		return nil, err
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	var threads []review.Thread
	var spots []review.Spot
	for _, t := range review.Threads(comments) {
		if !in.Unresolved || t.Unresolved() {
			threads, spots = append(threads, t), append(spots, t.Root().Spot())
		}
	}
	placed, err := s.Review.Place(ctx, g, sets, to, spots)
	if err != nil {
		return nil, err
	}
	var all []Thread
	for _, t := range threads {
		out := Thread{ID: t.Root().ID, Unresolved: t.Unresolved(), Comments: commentsOf(t.Comments, sets, name)}
		if p, ok := placed[t.Root().Spot()]; ok {
			out.Now = &Place{PatchSet: p.PS, Spot: spotOf(p.Spot), Fate: fateWords[p.Fate], FileGone: p.FileGone, Was: p.Was}
		}
		all = append(all, out)
	}
	return listed(all), nil
}

func (s *Server) answerThread(ctx context.Context, who account.Actor, in *struct {
	CommentPath
	body[Answer]
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	text := in.Body.Message
	if text == "" && in.Body.Unresolved {
		text = "Reopened"
	} else if text == "" {
		text = "Done"
	}
	return &nothing{}, s.Review.Publish(ctx, who, in.Number, review.Review{Comments: []review.NewComment{{ReplyTo: in.ID, Body: text, Unresolved: in.Body.Unresolved}}})
}

func draftOf(d review.Draft) Draft {
	return Draft{ID: d.ID, PatchSet: d.PS, Spot: spotOf(d.Spot()), ReplyTo: d.ReplyTo, Body: d.Body, Unresolved: d.Unresolved, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt}
}

func (s *Server) listDrafts(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[Draft]], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	c, err := s.Review.Get(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	mine, err := s.Review.Drafts(ctx, s.DB.Read(), c.ID, who.ID)
	if err != nil {
		return nil, err
	}
	var all []Draft
	for _, d := range mine {
		all = append(all, draftOf(d))
	}
	return listed(all), nil
}

func (s *Server) createDraft(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[NewComment]
}) (*answer[Draft], error) {
	d, err := s.Review.SaveDraft(ctx, who, in.Number, in.Body.comment())
	if err != nil {
		return nil, err
	}
	return &answer[Draft]{draftOf(d)}, nil
}

func (s *Server) changeDraft(ctx context.Context, who account.Actor, in *struct {
	CommentPath
	body[DraftText]
}) (*answer[Draft], error) {
	d, err := s.Review.EditDraft(ctx, who, in.Number, in.ID, in.Body.Body, in.Body.Unresolved)
	if err != nil {
		return nil, err
	}
	return &answer[Draft]{draftOf(d)}, nil
}

func (s *Server) removeDraft(ctx context.Context, who account.Actor, in *CommentPath) (*nothing, error) {
	return &nothing{}, s.Review.DropDraft(ctx, who, in.Number, in.ID)
}

func (s *Server) applySuggestions(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Batch]
}) (*answer[PatchSet], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	var picks []review.Pick
	for _, one := range in.Body.Suggestions {
		picks = append(picks, review.Pick{Comment: one.Comment, Index: one.Index})
	}
	made, err := s.Review.Apply(ctx, who, in.Number, in.Body.PatchSet, picks)
	if err != nil {
		return nil, err
	}
	name, err := s.named(ctx, made.Uploader)
	if err != nil {
		return nil, err
	}
	return &answer[PatchSet]{patchSetOf(made, name)}, nil
}
