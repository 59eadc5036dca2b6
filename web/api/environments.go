package api

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// BranchPath names a branch of a repository.
type BranchPath struct {
	RepositoryPath
	Branch string `query:"branch" maxLength:"200" doc:"Empty is the default branch."`
}

// names are those of the repository and the branch, as they are written elsewhere.
func (b BranchPath) names() (repository, branch string) {
	return strings.ReplaceAll(b.Repository, "~", "/"), b.Branch
}

// EnvironmentPath names an environment of a branch.
type EnvironmentPath struct {
	BranchPath
	Environment string `path:"environment" maxLength:"100"`
}

// Page asks for a page of a list whose newest come first.
type Page struct {
	Limit int    `query:"limit" minimum:"0" maximum:"200" doc:"At most so many; 0 is 50."`
	After string `query:"after" maxLength:"20" pattern:"^[0-9]*$" doc:"The next of the answer before."`
}

// page is how many are asked for, and below which id they are.
func (p Page) page() (before int64, limit int, err error) {
	if limit = p.Limit; limit == 0 {
		limit = usualPage
	}
	if p.After == "" {
		return 0, limit, nil
	}
	before, err = strconv.ParseInt(p.After, 10, 64)
	if err != nil {
		err = fault.New(fault.Invalid, "api.page", "after names no place in the list", "give the next of the answer before, or leave it out")
	}
	return before, limit, err
}

// paged is a page of things that were read with one more than fits.
func paged[T any](items []T, limit int, id func(T) int64) *answer[list[T]] {
	next := ""
	if len(items) > limit {
		items = items[:limit]
		next = strconv.FormatInt(id(items[limit-1]), 10)
	}
	out := listed(items)
	out.Body.Next = next
	return out
}

// NewPromotion asks for an artifact to enter an environment.
type NewPromotion struct {
	What   string `json:"what,omitempty" maxLength:"100" doc:"An artifact by its digest, its commit or its change. Empty is the newest that waits."`
	Hotfix bool   `json:"hotfix,omitempty" doc:"Before others, and also in a freeze; its gates are asked all the same."`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Needed for a hotfix."`
}

// NewRollback asks for what ran well before.
type NewRollback struct {
	What   string `json:"what,omitempty" maxLength:"100" doc:"What ran well there, by its digest, its commit or its change. Empty is the last before what runs."`
	Reason string `json:"reason" maxLength:"1000" doc:"What is wrong with what runs."`
}

// NewPin lets nothing but one artifact enter.
type NewPin struct {
	What    string    `json:"what" minLength:"1" maxLength:"100" doc:"The artifact by its digest, its commit or its change."`
	Reason  string    `json:"reason" maxLength:"1000"`
	Until   time.Time `json:"until,omitzero" doc:"When it ends by itself; without it somebody has to lift it."`
	Seconds int64     `json:"seconds,omitempty" minimum:"0" maximum:"31536000" doc:"Instead of until: how long from now on."`
}

// NewVeto keeps one artifact out.
type NewVeto struct {
	NewPin
	Rollback bool `json:"rollback,omitempty" doc:"Also goes back when it is what runs."`
}

// NewEnvironmentFreeze freezes an environment.
type NewEnvironmentFreeze struct {
	Reason  string    `json:"reason" maxLength:"1000"`
	Until   time.Time `json:"until,omitzero" doc:"When it ends by itself; without it somebody has to lift it."`
	Seconds int64     `json:"seconds,omitempty" minimum:"0" maximum:"31536000" doc:"Instead of until: how long from now on."`
}

func (s *Server) environmentRoutes() {
	const at = "/repositories/{repository}/environments"
	add(s, route{id: "list-environments", at: "GET " + at, summary: "The environments of a branch: what runs where, what comes next, and what keeps it out", open: true}, s.listEnvironments)
	add(s, route{id: "get-environment", at: "GET " + at + "/{environment}", summary: "One environment of a branch", open: true}, s.getEnvironment)
	add(s, route{id: "list-promotions", at: "GET " + at + "/{environment}/promotions", summary: "The promotions into an environment, newest first", open: true}, s.listPromotions)
	add(s, route{id: "promote-artifact", at: "POST " + at + "/{environment}/promote", summary: "Ask for an artifact to enter an environment"}, s.promoteArtifact)
	add(s, route{id: "roll-back", at: "POST " + at + "/{environment}/rollback", summary: "Go back to what ran well in an environment before"}, s.rollBack)
	add(s, route{id: "pin-environment", at: "POST " + at + "/{environment}/pin", summary: "Let nothing but one artifact enter an environment"}, s.pin)
	add(s, route{id: "veto-artifact", at: "POST " + at + "/{environment}/veto", summary: "Keep an artifact out of an environment"}, s.veto)
	add(s, route{id: "freeze-environment", at: "POST " + at + "/{environment}/freeze", summary: "Let nothing but hotfixes and rollbacks enter an environment"}, s.freezeEnvironment)
	add(s, route{id: "lift-order", at: "DELETE " + at + "/{environment}/{order}", summary: "End a pin, a veto or a freeze"}, s.lift)
	add(s, route{id: "cancel-promotion", at: "POST /repositories/{repository}/promotions/{id}/cancel", summary: "Withdraw a promotion that waits"}, s.cancelPromotion)
	add(s, route{id: "figures", at: "GET /repositories/{repository}/figures", summary: "How fast, and how well, what lands comes to run in an environment", open: true}, s.figures)
}

func (s *Server) listEnvironments(ctx context.Context, who account.Actor, in *BranchPath) (*answer[list[gatekeeper.EnvironmentView]], error) {
	repository, branch := in.names()
	found, err := s.Gate.Environments(ctx, who, repository, branch)
	if err != nil {
		return nil, err
	}
	return listed(found), nil
}

func (s *Server) getEnvironment(ctx context.Context, who account.Actor, in *EnvironmentPath) (*answer[gatekeeper.EnvironmentView], error) {
	return s.environmentNow(ctx, who, in)
}

// environmentNow is the answer to what somebody does with an environment: how it is then.
func (s *Server) environmentNow(ctx context.Context, who account.Actor, in *EnvironmentPath) (*answer[gatekeeper.EnvironmentView], error) {
	repository, branch := in.names()
	v, err := s.Gate.Environment(ctx, who, repository, branch, in.Environment)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.EnvironmentView]{v}, nil
}

func (s *Server) listPromotions(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	Page
}) (*answer[list[deliver.Promotion]], error) {
	before, limit, err := in.page()
	if err != nil {
		return nil, err
	}
	repository, branch := in.names()
	found, err := s.Gate.Promotions(ctx, who, repository, branch, in.Environment, before, limit+1)
	if err != nil {
		return nil, err
	}
	return paged(found, limit, func(p deliver.Promotion) int64 { return p.ID }), nil
}

func (s *Server) promoteArtifact(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	Body *NewPromotion `required:"false"`
}) (*answer[deliver.Promotion], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	ask := deliver.Ask{Environment: in.Environment}
	if in.Body != nil {
		ask.What, ask.Hotfix, ask.Reason = in.Body.What, in.Body.Hotfix, in.Body.Reason
	}
	repository, branch := in.names()
	p, err := s.Gate.PromoteArtifact(ctx, who, repository, branch, ask)
	if err != nil {
		return nil, err
	}
	return &answer[deliver.Promotion]{p}, nil
}

func (s *Server) rollBack(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	body[NewRollback]
}) (*answer[deliver.Promotion], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	repository, branch := in.names()
	p, err := s.Gate.RollBack(ctx, who, repository, branch, deliver.Ask{Environment: in.Environment, What: in.Body.What, Reason: in.Body.Reason})
	if err != nil {
		return nil, err
	}
	return &answer[deliver.Promotion]{p}, nil
}

func (s *Server) cancelPromotion(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	ID   int64   `path:"id" minimum:"1"`
	Body *Reason `required:"false"`
}) (*answer[deliver.Promotion], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	reason := ""
	if in.Body != nil {
		reason = in.Body.Message
	}
	p, err := s.Gate.CancelPromotion(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.ID, reason)
	if err != nil {
		return nil, err
	}
	return &answer[deliver.Promotion]{p}, nil
}

// end is when an order ends: at a time, or after so many seconds.
func (s *Server) end(until time.Time, seconds int64) (time.Time, error) {
	if seconds == 0 {
		return until, nil
	}
	if !until.IsZero() {
		return until, fault.New(fault.Invalid, "api.order", "until and seconds name two ends", "give one of them")
	}
	return s.Now().Add(time.Duration(seconds) * time.Second), nil
}

func (s *Server) order(ctx context.Context, who account.Actor, in *EnvironmentPath, o deliver.Order, until time.Time, seconds int64) (*answer[gatekeeper.EnvironmentView], error) {
	if err := person(who); err != nil {
		return nil, err
	}
	var err error
	if o.Until, err = s.end(until, seconds); err != nil {
		return nil, err
	}
	o.Environment = in.Environment
	repository, branch := in.names()
	if err := s.Gate.Order(ctx, who, repository, branch, o); err != nil {
		return nil, err
	}
	return s.environmentNow(ctx, who, in)
}

func (s *Server) pin(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	body[NewPin]
}) (*answer[gatekeeper.EnvironmentView], error) {
	return s.order(ctx, who, &in.EnvironmentPath, deliver.Order{Kind: deliver.OrderPin, Digest: in.Body.What, Reason: in.Body.Reason}, in.Body.Until, in.Body.Seconds)
}

func (s *Server) veto(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	body[NewVeto]
}) (*answer[gatekeeper.EnvironmentView], error) {
	o := deliver.Order{Kind: deliver.OrderVeto, Digest: in.Body.What, Reason: in.Body.Reason, RollBack: in.Body.Rollback}
	return s.order(ctx, who, &in.EnvironmentPath, o, in.Body.Until, in.Body.Seconds)
}

func (s *Server) freezeEnvironment(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	body[NewEnvironmentFreeze]
}) (*answer[gatekeeper.EnvironmentView], error) {
	return s.order(ctx, who, &in.EnvironmentPath, deliver.Order{Kind: deliver.OrderFreeze, Reason: in.Body.Reason}, in.Body.Until, in.Body.Seconds)
}

func (s *Server) lift(ctx context.Context, who account.Actor, in *struct {
	EnvironmentPath
	Order string `path:"order" enum:"pin,veto,freeze"`
	What  string `query:"what" maxLength:"100" doc:"The artifact of a veto, where there are several: by its digest, its commit or its change."`
}) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	repository, branch := in.names()
	return nil, s.Gate.LiftOrder(ctx, who, repository, branch, in.Environment, in.Order, in.What)
}

func (s *Server) figures(ctx context.Context, who account.Actor, in *struct {
	BranchPath
	Environment string `query:"environment" maxLength:"100" doc:"Empty is the last standing one of the plan."`
	Weeks       int    `query:"weeks" minimum:"0" maximum:"52" doc:"0 is 12."`
}) (*answer[gatekeeper.Figures], error) {
	repository, branch := in.names()
	f, err := s.Gate.Figures(ctx, who, repository, branch, in.Environment, in.Weeks)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Figures]{f}, nil
}
