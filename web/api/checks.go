package api

import (
	"context"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
)

// Recheck says what to run again, and why.
type Recheck struct {
	Stages []string `json:"stages,omitempty" maxItems:"64" doc:"Stages that run again even where they passed. Without any, what did not pass runs again, or everything when all passed."`
	Reason string   `json:"reason,omitempty" maxLength:"1000"`
}

type recheckIn struct {
	ChangePath
	Body *Recheck `required:"false"`
}

type checksIn struct {
	ChangePath
	PatchSet int `query:"patch_set" minimum:"0" doc:"0 is the current one."`
}

type stagePath struct {
	ID int64 `path:"id" minimum:"1"`
}

type testsIn struct {
	RepositoryPath
	Text string `query:"text" maxLength:"300" doc:"A part of the tests' names; letters of either case."`
}

type historyIn struct {
	RepositoryPath
	Test  string `query:"test" required:"true" maxLength:"700" doc:"The test's name with its package, as package.Name."`
	Stage string `query:"stage" maxLength:"40" doc:"Needed when the test runs in several stages."`
}

func (s *Server) checkRoutes() {
	add(s, route{id: "recheck", at: "POST /changes/{number}/recheck", summary: "Run stages of the current patch set again"}, s.recheck)
	add(s, route{id: "checks", at: "GET /changes/{number}/checks", summary: "What stages say about the lines of a change: findings and coverage", open: true}, s.checks)
	add(s, route{id: "stage-report", at: "GET /stages/{id}/report", summary: "What a stage run reported beside its result", open: true}, s.stageReport)
	add(s, route{id: "stage-tests", at: "GET /stages/{id}/tests", summary: "How each test of a stage run ended", open: true}, s.stageTests)
	add(s, route{id: "list-tests", at: "GET /repositories/{repository}/tests", summary: "The tests of a repository, those that fail most first", open: true}, s.listTests)
	add(s, route{id: "test-history", at: "GET /repositories/{repository}/tests/history", summary: "How a test ended in its last runs", open: true}, s.testHistory)
}

func (s *Server) recheck(ctx context.Context, who account.Actor, in *recheckIn) (*answer[gatekeeper.Explanation], error) {
	var what gatekeeper.Rerun
	if in.Body != nil {
		what = gatekeeper.Rerun{Stages: in.Body.Stages, Reason: in.Body.Reason}
	}
	return s.act(ctx, who, in.Number, func() error { return s.Gate.Rerun(ctx, who, in.Number, what) })
}

func (s *Server) checks(ctx context.Context, who account.Actor, in *checksIn) (*answer[gatekeeper.Checks], error) {
	checks, err := s.Gate.Checks(ctx, who, in.Number, in.PatchSet)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.Checks]{checks}, nil
}

func (s *Server) stageReport(ctx context.Context, who account.Actor, in *stagePath) (*answer[gatekeeper.StageReport], error) {
	report, err := s.Gate.StageReport(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.StageReport]{report}, nil
}

func (s *Server) stageTests(ctx context.Context, who account.Actor, in *stagePath) (*answer[list[gatekeeper.TestRow]], error) {
	rows, err := s.Gate.StageTests(ctx, who, in.ID)
	if err != nil {
		return nil, err
	}
	return listed(rows), nil
}

func (s *Server) listTests(ctx context.Context, who account.Actor, in *testsIn) (*answer[list[gatekeeper.TestCount]], error) {
	found, err := s.Gate.Tests(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.Text)
	if err != nil {
		return nil, err
	}
	return listed(found), nil
}

func (s *Server) testHistory(ctx context.Context, who account.Actor, in *historyIn) (*answer[gatekeeper.TestHistory], error) {
	h, err := s.Gate.TestHistory(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"), in.Stage, in.Test)
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.TestHistory]{h}, nil
}
