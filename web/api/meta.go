package api

import (
	"context"

	"gatehouse/gitserver/account"
)

// Version says what answers.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	API     string `json:"api"`
}

// Self is who asks, as the server sees it.
type Self struct {
	Name   string `json:"name"`
	Email  string `json:"email,omitempty"`
	Admin  bool   `json:"admin"`
	Method string `json:"method" doc:"How it was recognised: token, session or local."`
}

func (s *Server) metaRoutes() {
	add(s, route{id: "version", at: "GET /version", summary: "What answers", open: true}, s.version)
	add(s, route{id: "self", at: "GET /self", summary: "Who asks"}, s.self)
}

func (s *Server) version(context.Context, account.Actor, *struct{}) (*answer[Version], error) {
	return &answer[Version]{Version{Name: "Gatehouse", Version: s.Version, API: "v1"}}, nil
}

func (s *Server) self(_ context.Context, who account.Actor, _ *struct{}) (*answer[Self], error) {
	return &answer[Self]{Self{Name: who.Name, Email: who.Email, Admin: who.Admin, Method: who.Method}}, nil
}
