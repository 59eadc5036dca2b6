package api

import (
	"context"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// BoardMoment is which moment of a queue is asked for.
type BoardMoment struct {
	QueuePath
	At    time.Time `query:"at" doc:"The moment, as RFC 3339; without it now."`
	Event int64     `query:"event" minimum:"0" doc:"Instead of at: just after the event with this id. Answers name the events before and after them as back and forward."`
}

func (s *Server) boardRoutes() {
	add(s, route{id: "board", at: "GET /queues/{repository}/{branch}/board", summary: "The queue of a branch with all that is being tried, now or at a moment of the past", open: true}, s.board)
}

func (s *Server) board(ctx context.Context, who account.Actor, in *BoardMoment) (*answer[gatekeeper.BoardView], error) {
	if !in.At.IsZero() && in.Event != 0 {
		return nil, fault.New(fault.Invalid, "api.board", "both a time and an event are given", "give one of at and event")
	}
	repository, branch := in.names()
	view, err := s.Gate.WatchBoard(ctx, who, repository, branch, gatekeeper.Moment{At: in.At, Event: in.Event})
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.BoardView]{view}, nil
}
