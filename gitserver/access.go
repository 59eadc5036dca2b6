package gitserver

import (
	"context"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// service is what a client wants executed.
type service string

const (
	uploadPack  service = "git-upload-pack"
	receivePack service = "git-receive-pack"
)

// open finds the repository that path names and decides whether actor may have svc run on it.
// A path that names nothing, a missing repository and one that actor may not read are the
// same NotFound.
func (s *Server) open(ctx context.Context, actor account.Actor, path string, svc service) (repo.Repository, *git.Repo, error) {
	const op = "gitserver.open"
	var none repo.Repository
	name, err := repo.FromPath(path)
	if err != nil {
		return none, nil, account.Missing(op)
	}
	q := s.Accounts.DB.Read()
	r, err := s.Repos.ByName(ctx, q, name)
	if fault.Is(err, fault.NotFound) {
		// The same question about nothing, so that an answer takes as long either way.
		_ = s.Accounts.May(ctx, q, actor, account.Read, account.Resource{Repo: -1, Private: true})
		return none, nil, account.Missing(op)
	}
	if err != nil {
		return none, nil, err
	}
	if err := s.Accounts.May(ctx, q, actor, account.Read, r.Resource("")); err != nil {
		return none, nil, err
	}
	if svc == receivePack {
		if err := s.mayPush(ctx, actor, r); err != nil {
			return none, nil, err
		}
	}
	g, err := s.Repos.Open(r)
	if err != nil {
		return none, nil, err
	}
	if svc == uploadPack && s.Veil != nil {
		veil, err := s.Veil(ctx, actor, r)
		if err != nil {
			return none, nil, err
		}
		g = g.Under(veil)
	}
	return r, g, nil
}

// mayPush decides whether actor may open a push at all: who may propose on the repository or
// on some branch of it. Which refs may be moved is the Decider's question.
func (s *Server) mayPush(ctx context.Context, actor account.Actor, r repo.Repository) error {
	const op = "gitserver.mayPush"
	if actor.Anonymous() {
		return fault.New(fault.Unauthenticated, op, "you have to sign in to push", "use your account's name and a token as password")
	}
	q := s.Accounts.DB.Read()
	refused := s.Accounts.May(ctx, q, actor, account.Propose, r.Resource(""))
	if !fault.Is(refused, fault.Denied) {
		return refused
	}
	grants, err := s.Accounts.Grants(ctx, q, r.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		// A pattern matches itself, so it stands for the branches that it means.
		if g.Branch != "" && s.Accounts.May(ctx, q, actor, account.Propose, r.Resource(g.Branch)) == nil {
			return nil
		}
	}
	return refused
}
