package api

import (
	"context"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/review"
)

// Review is what a reviewer publishes at once: votes, a message, comments.
type Review struct {
	PatchSet int            `json:"patch_set,omitempty" minimum:"0" doc:"The patch set that was looked at; a vote on one that is not current is a conflict. 0 is the current one."`
	Votes    map[string]int `json:"votes,omitempty" doc:"Label to value, as {\"Code-Review\": 2}."`
	Message  string         `json:"message,omitempty" maxLength:"100000"`
	Comments []NewComment   `json:"comments,omitempty" maxItems:"500"`
	Drafts   bool           `json:"drafts,omitempty" doc:"Publish your drafts on the change with it."`
}

// Reason says why somebody abandons or restores a change.
type Reason struct {
	Message string `json:"message,omitempty" maxLength:"100000"`
}

// Progress says whether a change is work in progress.
type Progress struct {
	WIP bool `json:"wip"`
}

// Topic names what a change belongs to.
type Topic struct {
	Topic string `json:"topic" maxLength:"400"`
}

type reasonIn struct {
	ChangePath
	body[Reason]
}

func (s *Server) reviewRoutes() {
	s.threadRoutes()
	add(s, route{id: "review", at: "POST /changes/{number}/votes", summary: "Publish votes, a message and comments together"}, s.vote)
	add(s, route{id: "submit", at: "POST /changes/{number}/submit", summary: "Ask that a change land as soon as its gates are open"}, s.submit)
	add(s, route{id: "withdraw", at: "DELETE /changes/{number}/submit", summary: "Take the wish to land back"}, s.withdraw)
	add(s, route{id: "abandon", at: "POST /changes/{number}/abandon", summary: "Give a change up"}, s.abandon)
	add(s, route{id: "restore", at: "POST /changes/{number}/restore", summary: "Take an abandoned change up again"}, s.restore)
	add(s, route{id: "set-wip", at: "POST /changes/{number}/wip", summary: "Mark a change as work in progress, or as ready"}, s.setWIP)
	add(s, route{id: "set-topic", at: "POST /changes/{number}/topic", summary: "Set a change's topic"}, s.setTopic)
	s.checkRoutes()
}

func (s *Server) vote(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Review]
}) (*answer[gatekeeper.Explanation], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	var comments []review.NewComment
	for _, c := range in.Body.Comments {
		comments = append(comments, c.comment())
	}
	rv := review.Review{PS: in.Body.PatchSet, Votes: in.Body.Votes, Message: in.Body.Message, Comments: comments, Drafts: in.Body.Drafts}
	if err := s.Review.Publish(ctx, who, in.Number, rv); err != nil {
		return nil, err
	}
	return s.explained(ctx, who, in.Number)
}

// explained is what most acts on a change answer: where it stands now.
func (s *Server) explained(ctx context.Context, who account.Actor, change int64) (*answer[gatekeeper.Explanation], error) {
	e, err := s.Gate.Explain(ctx, who, change)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Explanation]{e}, nil
}

// act does one thing to a change in somebody's name and answers where it stands.
func (s *Server) act(ctx context.Context, who account.Actor, change int64, do func() error) (*answer[gatekeeper.Explanation], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	if err := do(); err != nil {
		return nil, err
	}
	return s.explained(ctx, who, change)
}

func (s *Server) submit(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Explanation], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	e, err := s.Gate.Submit(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Explanation]{e}, nil
}

func (s *Server) withdraw(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.WithdrawSubmit(ctx, who, in.Number) })
}

func (s *Server) abandon(ctx context.Context, who account.Actor, in *reasonIn) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.Abandon(ctx, who, in.Number, in.Body.Message) })
}

func (s *Server) restore(ctx context.Context, who account.Actor, in *reasonIn) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.Restore(ctx, who, in.Number, in.Body.Message) })
}

func (s *Server) setWIP(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Progress]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.SetWIP(ctx, who, in.Number, in.Body.WIP) })
}

func (s *Server) setTopic(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Topic]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Review.SetTopic(ctx, who, in.Number, in.Body.Topic) })
}
