package api

import (
	"context"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Group is a named list of accounts.
type Group struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

// NewGroup is what a group is made of.
type NewGroup struct {
	Name string `json:"name" maxLength:"39"`
}

type memberIn struct {
	Group string `path:"group" maxLength:"39"`
	Name  string `path:"name" maxLength:"39"`
}

func (s *Server) groupRoutes() {
	add(s, route{id: "list-groups", at: "GET /groups", summary: "List groups"}, s.listGroups)
	add(s, route{id: "create-group", at: "POST /groups", summary: "Create a group", status: 201}, s.createGroup)
	add(s, route{id: "add-member", at: "PUT /groups/{group}/members/{name}", summary: "Put an account into a group"}, s.addMember)
	add(s, route{id: "remove-member", at: "DELETE /groups/{group}/members/{name}", summary: "Take an account out of a group"}, s.removeMember)
}

func (s *Server) listGroups(ctx context.Context, _ account.Actor, _ *struct{}) (*answer[list[Group]], error) {
	found, err := s.Accounts.Groups(ctx, s.DB.Read())
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, g := range found {
		ids = append(ids, g.Members...)
	}
	name, err := s.named(ctx, ids...)
	if err != nil {
		return nil, err
	}
	var all []Group
	for _, g := range found {
		one := Group{Name: g.Name, Members: []string{}}
		for _, id := range g.Members {
			one.Members = append(one.Members, name(id))
		}
		all = append(all, one)
	}
	return listed(all), nil
}

func (s *Server) createGroup(ctx context.Context, who account.Actor, in *body[NewGroup]) (*answer[Group], error) {
	if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
		return nil, err
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := s.Accounts.CreateGroup(ctx, tx, in.Body.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &answer[Group]{Group{Name: in.Body.Name, Members: []string{}}}, nil
}

func (s *Server) addMember(ctx context.Context, who account.Actor, in *memberIn) (*nothing, error) {
	return s.member(ctx, who, in, s.Accounts.AddMember)
}

func (s *Server) removeMember(ctx context.Context, who account.Actor, in *memberIn) (*nothing, error) {
	return s.member(ctx, who, in, s.Accounts.RemoveMember)
}

func (s *Server) member(ctx context.Context, who account.Actor, in *memberIn, do func(context.Context, *db.Tx, int64, int64) error) (*nothing, error) {
	if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error {
		group, err := s.groupID(ctx, tx, in.Group)
		if err != nil {
			return err
		}
		a, err := s.Accounts.ByName(ctx, tx, in.Name)
		if err != nil {
			return err
		}
		return do(ctx, tx, group, a.ID)
	})
}

func (s *Server) groupID(ctx context.Context, q db.Querier, name string) (int64, error) {
	found, err := s.Accounts.Groups(ctx, q)
	if err != nil {
		return 0, err
	}
	for _, g := range found {
		if g.Name == name {
			return g.ID, nil
		}
	}
	return 0, fault.New(fault.NotFound, "api.group", fmt.Sprintf("there is no group called %q", name), "")
}
