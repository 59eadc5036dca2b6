package api

import (
	"context"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
)

func (s *Server) flakeRoutes() {
	add(s, route{id: "flakes", at: "GET /repositories/{repository}/flakes", summary: "How reliable the stages and tests of a repository are", open: true}, s.flakes)
}

func (s *Server) flakes(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[gatekeeper.FlakeReport], error) {
	report, err := s.Gate.Flakes(ctx, who, strings.ReplaceAll(in.Repository, "~", "/"))
	if err != nil {
		return nil, err
	}
	return &answer[gatekeeper.FlakeReport]{report}, nil
}
