package api

import (
	"context"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// Promotion lets a change go before others.
type Promotion struct {
	Hotfix bool   `json:"hotfix,omitempty" doc:"Before everything, and also while the branch is frozen; its gates stay what they are."`
	Reason string `json:"reason" maxLength:"500" doc:"One line, for those who wait behind it."`
}

// Order is why somebody gives an order about a change.
type Order struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"One line."`
}

// NewFreeze stops the landings on a branch.
type NewFreeze struct {
	Reason  string    `json:"reason" maxLength:"500" doc:"One line, for those who wait."`
	Until   time.Time `json:"until,omitzero" doc:"When it ends by itself; without it somebody has to thaw the branch."`
	Seconds int64     `json:"seconds,omitempty" minimum:"0" maximum:"31536000" doc:"Instead of until: how long from now on."`
}

// QueuePath names the queue of a branch in a path.
type QueuePath struct {
	Repository string `path:"repository" maxLength:"100" doc:"The repository's name with ~ for /."`
	Branch     string `path:"branch" maxLength:"200" doc:"The branch with ~ for /."`
}

func (p QueuePath) names() (repository, branch string) {
	return strings.ReplaceAll(p.Repository, "~", "/"), strings.ReplaceAll(p.Branch, "~", "/")
}

func (s *Server) queueRoutes() {
	add(s, route{id: "list-queues", at: "GET /queues", summary: "List the queues that hold changes or are frozen", open: true}, s.listQueues)
	add(s, route{id: "queue", at: "GET /queues/{repository}/{branch}", summary: "The queue of a branch: its changes in order, what is tested, what each waits for", open: true}, s.queue)
	add(s, route{id: "promote", at: "POST /changes/{number}/promote", summary: "Let the current patch set of a change go before others in the queue"}, s.promote)
	add(s, route{id: "demote", at: "DELETE /changes/{number}/promote", summary: "Take a promotion back"}, s.demote)
	add(s, route{id: "hold", at: "POST /changes/{number}/hold", summary: "Keep a change from being tried and from landing"}, s.hold)
	add(s, route{id: "release", at: "DELETE /changes/{number}/hold", summary: "End a hold"}, s.release)
	add(s, route{id: "remove", at: "POST /changes/{number}/remove", summary: "Take a change out of the queue, with the wish to land it"}, s.remove)
	add(s, route{id: "requeue", at: "POST /changes/{number}/requeue", summary: "Ask again to land a patch set that left the queue, and test it anew"}, s.requeue)
	add(s, route{id: "freeze", at: "POST /queues/{repository}/{branch}/freeze", summary: "Let nothing but hotfixes land on a branch"}, s.freeze)
	add(s, route{id: "thaw", at: "DELETE /queues/{repository}/{branch}/freeze", summary: "End a freeze that somebody ordered"}, s.thaw)
}

func (s *Server) listQueues(ctx context.Context, who account.Actor, _ *struct{}) (*answer[list[gatekeeper.QueueSummary]], error) {
	found, err := s.Gate.Queues(ctx, who)
	if err != nil {
		return nil, err
	}
	return listed(found), nil
}

func (s *Server) queue(ctx context.Context, who account.Actor, in *QueuePath) (*answer[gatekeeper.QueueStatus], error) {
	repository, branch := in.names()
	if _, err := s.repository(ctx, who, repository, account.Read); err != nil {
		return nil, err
	}
	status, err := s.Gate.QueueStatus(ctx, who, repository, branch)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.QueueStatus]{status}, nil
}

func (s *Server) promote(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[Promotion]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Promote(ctx, who, in.Number, in.Body.Hotfix, in.Body.Reason) })
}

func (s *Server) demote(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Demote(ctx, who, in.Number) })
}

type orderIn struct {
	ChangePath
	body[Order]
}

func (s *Server) hold(ctx context.Context, who account.Actor, in *orderIn) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Hold(ctx, who, in.Number, in.Body.Reason) })
}

func (s *Server) release(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Release(ctx, who, in.Number) })
}

func (s *Server) remove(ctx context.Context, who account.Actor, in *orderIn) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Remove(ctx, who, in.Number, in.Body.Reason) })
}

func (s *Server) requeue(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Requeue(ctx, who, in.Number) })
}

func (s *Server) freeze(ctx context.Context, who account.Actor, in *struct {
	QueuePath
	body[NewFreeze]
}) (*answer[gatekeeper.Freeze], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	until := in.Body.Until
	if in.Body.Seconds > 0 {
		if !until.IsZero() {
			return nil, fault.New(fault.Invalid, "api.freeze", "until and seconds name two ends", "give one of them")
		}
		until = s.Now().Add(time.Duration(in.Body.Seconds) * time.Second)
	}
	repository, branch := in.names()
	made, err := s.Gate.Freeze(ctx, who, repository, branch, in.Body.Reason, until)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Freeze]{made}, nil
}

func (s *Server) thaw(ctx context.Context, who account.Actor, in *QueuePath) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	repository, branch := in.names()
	return nil, s.Gate.Thaw(ctx, who, repository, branch)
}
