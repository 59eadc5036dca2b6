package api

import (
	"context"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// NewApproval accepts what was built from a landed commit at a gate.
type NewApproval struct {
	What     string `json:"what,omitempty" maxLength:"100" doc:"What landed, by its change, its commit, or the digest of something built from it; at a gate before the landing an open change, as 17 or with the patch set that was looked at as 17/3. Empty is the newest that landed."`
	Note     string `json:"note,omitempty" maxLength:"1000"`
	Withdraw bool   `json:"withdraw,omitempty" doc:"Takes an approval back."`
}

// NewBypass leaves a stage or a gate out.
type NewBypass struct {
	Node   string `json:"node" minLength:"1" maxLength:"100" doc:"The stage or the gate."`
	Reason string `json:"reason" maxLength:"1000" doc:"It is shown wherever the change is."`
}

// NewOutcome says how far a change is meant to go.
type NewOutcome struct {
	Outcome string `json:"outcome,omitempty" maxLength:"100" doc:"One of the plan's; empty is the usual one."`
	Reason  string `json:"reason,omitempty" maxLength:"1000" doc:"Needed where the outcome leaves something out."`
}

// NewStatus is what an outside system says.
type NewStatus struct {
	Subject     string `json:"subject" minLength:"1" maxLength:"100" doc:"A full commit name, or a full digest."`
	Context     string `json:"context" minLength:"1" maxLength:"200" doc:"What says so, such as ci/windows."`
	State       string `json:"state" enum:"RUNNING,PASSED,FAILED,ERRORED"`
	Description string `json:"description,omitempty" maxLength:"1000"`
	URL         string `json:"url,omitempty" maxLength:"2000"`
}

func (s *Server) deliveryRoutes() {
	add(s, route{id: "deliveries", at: "GET /repositories/{repository}/deliveries", summary: "What landed on a branch and how far it came, newest first", open: true}, s.deliveries)
	add(s, route{id: "delivery", at: "GET /repositories/{repository}/deliveries/{id}", summary: "One delivery by the id of its run: stages, gates, promotions, artifacts", open: true}, s.delivery)
	add(s, route{id: "delivery-of-change", at: "GET /changes/{number}/delivery", summary: "Where what a change built is, and what it waits for", open: true}, s.deliveryOfChange)
	add(s, route{id: "approve", at: "POST /repositories/{repository}/gates/{gate}/approve", summary: "Accept an open change or what was built at a gate, or take that back"}, s.approve)
	add(s, route{id: "bypass", at: "POST /changes/{number}/bypass", summary: "Leave a stage or a gate out of a change's way, where the plan lets it"}, s.bypass)
	add(s, route{id: "set-outcome", at: "POST /changes/{number}/outcome", summary: "Say how far a change is meant to go"}, s.setOutcome)
	add(s, route{id: "post-status", at: "POST /repositories/{repository}/statuses", summary: "Say what an outside system found about a commit or an artifact"}, s.postStatus)
}

func (s *Server) deliveries(ctx context.Context, who account.Actor, in *struct {
	BranchPath
	Page
	Commit string `query:"commit" maxLength:"64" doc:"Only of this commit, by the beginning of its name."`
}) (*answer[list[gatekeeper.Delivery]], error) {
	before, limit, err := in.page()
	if err != nil {
		return nil, err
	}
	repository, branch := in.names()
	at, err := s.Gate.PlaceFor(ctx, who, repository, branch)
	if err != nil {
		return nil, err
	}
	if in.Commit != "" {
		found, err := s.Gate.DeliveriesOfCommit(ctx, who, at, in.Commit)
		if err != nil {
			return nil, err
		}
		return listed(found), nil
	}
	found, err := s.Gate.DeliveriesBefore(ctx, who, at, before, limit+1)
	if err != nil {
		return nil, err
	}
	return paged(found, limit, func(d gatekeeper.Delivery) int64 { return d.Run }), nil
}

func (s *Server) delivery(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	ID int64 `path:"id" minimum:"1"`
}) (*answer[gatekeeper.Delivery], error) {
	repository := strings.ReplaceAll(in.Repository, "~", "/")
	if _, err := s.repository(ctx, who, in.Repository, account.Read); err != nil {
		return nil, err
	}
	d, err := s.Gate.DeliveryOf(ctx, who, in.ID)
	if err == nil && d.Repository != repository {
		err = fault.Newf(fault.NotFound, "api.delivery", "there is no delivery %d", in.ID)
	}
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Delivery]{d}, nil
}

func (s *Server) deliveryOfChange(ctx context.Context, who account.Actor, in *ChangePath) (*answer[gatekeeper.Delivery], error) {
	d, err := s.Gate.DeliveryOfChange(ctx, who, in.Number)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Delivery]{d}, nil
}

func (s *Server) approve(ctx context.Context, who account.Actor, in *struct {
	BranchPath
	Gate string       `path:"gate" maxLength:"100"`
	Body *NewApproval `required:"false"`
}) (*answer[gatekeeper.Approved], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	a := gatekeeper.Approval{Gate: in.Gate}
	if in.Body != nil {
		a.What, a.Note, a.Withdraw = in.Body.What, in.Body.Note, in.Body.Withdraw
	}
	repository, branch := in.names()
	at, err := s.Gate.PlaceFor(ctx, who, repository, branch)
	if err != nil {
		return nil, err
	}
	done, err := s.Gate.Approve(ctx, who, at, a)
	if fault.Is(err, fault.NotFound) && a.What != "" && !strings.Contains(a.What, ":") { // it may be a digest without its kind
		whole := a
		whole.What = "sha256:" + a.What
		if again, secondErr := s.Gate.Approve(ctx, who, at, whole); secondErr == nil {
			done, err = again, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Approved]{done}, nil
}

func (s *Server) bypass(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[NewBypass]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Bypass(ctx, who, in.Number, in.Body.Node, in.Body.Reason) })
}

func (s *Server) setOutcome(ctx context.Context, who account.Actor, in *struct {
	ChangePath
	body[NewOutcome]
}) (*answer[gatekeeper.Explanation], error) {
	return s.act(ctx, who, in.Number, func() error { return s.Gate.SetOutcome(ctx, who, in.Number, in.Body.Outcome, in.Body.Reason) })
}

func (s *Server) postStatus(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[NewStatus]
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	r, err := s.repository(ctx, who, in.Repository, account.Read)
	if err != nil {
		return nil, err
	}
	return nil, s.Gate.PostStatus(ctx, who, r.ID, gatekeeper.NewStatus{
		Subject: in.Body.Subject, Context: in.Body.Context, State: plan.StageState(in.Body.State), Description: in.Body.Description, URL: in.Body.URL,
	})
}
