package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
)

// logPoll is how often a followed log is looked at when nothing woke its reader: another
// process on the same folder hears no wake-ups.
const logPoll = time.Second

type logIn struct {
	ID     int64 `path:"id" minimum:"1"`
	Offset int64 `query:"offset" minimum:"0" doc:"Begin at this byte."`
	Follow bool  `query:"follow" doc:"Stay until the stage has ended, and send what it writes."`
}

func (s *Server) gateRoutes() {
	add(s, route{id: "explain", at: "GET /changes/{number}/explain", summary: "Why a change has not landed, and who can do what", open: true}, s.explain)
	add(s, route{id: "list-runs", at: "GET /changes/{number}/runs", summary: "List the runs of a change with their stages", open: true}, s.listRuns)
	add(s, route{id: "stage-log", at: "GET /stages/{id}/log", summary: "The log of a stage run, as text", open: true}, s.stageLog)
	add(s, route{id: "stop-stage", at: "POST /stages/{id}/stop", summary: "Stop a stage that runs, or its whole run: no verdict comes of it"}, s.stopStage)
	s.flakeRoutes()
}

// StageStop says how much to stop, and why.
type StageStop struct {
	All    bool   `json:"all,omitempty" doc:"The whole run that the stage is of."`
	Reason string `json:"reason,omitempty" maxLength:"1000"`
}

func (s *Server) stopStage(ctx context.Context, who account.Actor, in *struct {
	ID int64 `path:"id"`
	body[StageStop]
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	return nil, s.Gate.Stop(ctx, who, gatekeeper.Stop{StageRun: in.ID, All: in.Body.All, Reason: in.Body.Reason})
}

func (s *Server) explain(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	If []string `query:"if,explode" maxItems:"20" doc:"Say what would become of it if this were so, in what_if: \"alice approves\", vote:bob=-1, stage:unit=passed, change:11=landed, submit, ready, public."`
}) (*answer[gatekeeper.Explanation], error) {
	out, err := s.explained(ctx, who, in.Number)
	if err != nil || len(in.If) == 0 {
		return out, err
	}
	all, err := gatekeeper.ParseSuppositions(in.If)
	if err != nil {
		return nil, err
	}
	then, err := s.Gate.WhatIf(ctx, who, in.Number, all)
	if err != nil {
		return nil, err
	}
	out.Body.WhatIf = &then
	return out, nil
}

func (s *Server) listRuns(ctx context.Context, who account.Actor, in *ChangePath) (*answer[list[gatekeeper.Run]], error) {
	runs, err := s.Gate.Runs(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	return listed(runs), nil
}

// stageLog sends a log from an offset on; with follow until the stage has ended. The rights
// are asked again with every look, so that taking them away ends the stream.
func (s *Server) stageLog(ctx context.Context, who account.Actor, in *logIn) (*huma.StreamResponse, error) {
	woken, stop := s.Bus.Listen(event.StageTopic(in.ID))
	log, done, err := s.Gate.StageLog(ctx, who, in.ID, in.Offset)
	if err != nil {
		stop()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer stop()
		_, w := humamux.Unwrap(hc)
		hc.SetHeader("Content-Type", "text/plain; charset=utf-8")
		hc.SetStatus(http.StatusOK)
		if err := s.follow(ctx, who, in, w, log, done, woken); err != nil && ctx.Err() == nil {
			s.Log.Warn("a log was cut", "stage", in.ID, "err", err)
		}
	}}, nil
}

func (s *Server) follow(ctx context.Context, who account.Actor, in *logIn, w http.ResponseWriter, log io.ReadCloser, done bool, woken <-chan struct{}) error {
	look := time.NewTicker(logPoll)
	defer look.Stop()
	offset := in.Offset
	for {
		sent, err := io.Copy(w, log)
		if err := errors.Join(err, log.Close()); err != nil {
			return err
		}
		if done || !in.Follow {
			return nil
		}
		offset += sent
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-look.C:
		}
		if log, done, err = s.Gate.StageLog(ctx, who, in.ID, offset); err != nil {
			return err
		}
	}
}
