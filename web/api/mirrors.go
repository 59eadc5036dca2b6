package api

import (
	"context"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/mirror"
	"gatehouse/migrations/db"
)

// Mirror is a destination that follows a repository's landed branches and tags.
type Mirror struct {
	ID        int64      `json:"id"`
	URL       string     `json:"url"`
	State     string     `json:"state" doc:"synced, pending, retrying, diverged or paused."`
	Reason    string     `json:"reason,omitempty"`
	Attempts  int        `json:"attempts,omitempty"`
	NextTry   *time.Time `json:"next_try,omitempty"`
	LastSync  *time.Time `json:"last_sync,omitempty"`
	Commit    string     `json:"commit,omitempty" doc:"The default branch's commit there, as of the last sync."`
	PublicKey string     `json:"public_key,omitempty" doc:"For an SSH mirror: the key to give write access upstream."`
}

// NewMirror is what a mirror is made of.
type NewMirror struct {
	URL      string `json:"url" maxLength:"2000" doc:"ssh://…, https://…, or for administrators a path on the server."`
	Username string `json:"username,omitempty" maxLength:"200"`
	Token    string `json:"token,omitempty" maxLength:"2000" doc:"For an https URL; kept in a file that only the server reads."`
}

type mirrorIn struct {
	RepositoryPath
	ID int64 `path:"id"`
}

func (s *Server) mirrorRoutes() {
	add(s, route{id: "list-mirrors", at: "GET /repositories/{repository}/mirrors", summary: "List mirrors and how they are"}, s.listMirrors)
	add(s, route{id: "add-mirror", at: "POST /repositories/{repository}/mirrors", summary: "Add a mirror", status: 201}, s.addMirror)
	add(s, route{id: "retry-mirror", at: "POST /repositories/{repository}/mirrors/{id}/retry", summary: "Try a mirror now, also a stopped one"}, s.retryMirror)
	add(s, route{id: "pause-mirror", at: "POST /repositories/{repository}/mirrors/{id}/pause", summary: "Stop a mirror until it is retried"}, s.pauseMirror)
	add(s, route{id: "remove-mirror", at: "DELETE /repositories/{repository}/mirrors/{id}", summary: "Remove a mirror; upstream stays as it is"}, s.removeMirror)
}

func mirrorOf(m mirror.Mirror) Mirror {
	return Mirror{
		ID: m.ID, URL: m.URL, State: m.State, Reason: m.Reason, Attempts: m.Attempts, NextTry: moment(m.NextTry), LastSync: moment(m.LastSync),
		Commit: string(m.LastOID), PublicKey: m.PublicKey,
	}
}

// moment is t, or nothing for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *Server) listMirrors(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[Mirror]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Read)
	if err != nil {
		return nil, err
	}
	found, err := s.Mirrors.List(ctx, s.DB.Read(), r.ID)
	if err != nil {
		return nil, err
	}
	var all []Mirror
	for _, m := range found {
		all = append(all, mirrorOf(m))
	}
	return listed(all), nil
}

func (s *Server) addMirror(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[NewMirror]
}) (*answer[Mirror], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	// A folder of the server's machine reaches whatever the server can write.
	local := s.may(ctx, who, account.Administer, account.Resource{}) == nil
	made, err := s.Mirrors.Add(ctx, r.ID, mirror.NewMirror{URL: in.Body.URL, Username: in.Body.Username, Token: in.Body.Token, AllowLocal: local})
	if err != nil {
		return nil, err
	}
	return &answer[Mirror]{mirrorOf(made)}, nil
}

// theMirror checks that a mirror is one of a repository that who owns.
func (s *Server) theMirror(ctx context.Context, who account.Actor, in *mirrorIn) error {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return err
	}
	m, err := s.Mirrors.ByID(ctx, s.DB.Read(), in.ID)
	if err == nil && m.Repo != r.ID {
		err = fault.Newf(fault.NotFound, "api.mirror", "%s has no mirror %d", r.Name, in.ID)
	}
	return err
}

func (s *Server) retryMirror(ctx context.Context, who account.Actor, in *mirrorIn) (*nothing, error) {
	if err := s.theMirror(ctx, who, in); err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Mirrors.Retry(ctx, tx, in.ID) })
}

func (s *Server) pauseMirror(ctx context.Context, who account.Actor, in *mirrorIn) (*nothing, error) {
	if err := s.theMirror(ctx, who, in); err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Mirrors.Pause(ctx, tx, in.ID, who) })
}

func (s *Server) removeMirror(ctx context.Context, who account.Actor, in *mirrorIn) (*nothing, error) {
	if err := s.theMirror(ctx, who, in); err != nil {
		return nil, err
	}
	return nil, s.Mirrors.Remove(ctx, in.ID)
}
