package api

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Repository is a repository behind the gate.
type Repository struct {
	ID            int64     `json:"id"`
	Name          string    `json:"name"`
	Description   string    `json:"description,omitempty"`
	DefaultBranch string    `json:"default_branch"`
	Private       bool      `json:"private"`
	Gated         []string  `json:"gated" doc:"Patterns of the branches that only landings move."`
	DefaultRole   string    `json:"default_role" doc:"What every account is: none, read, write or maintain."`
	DirectPush    string    `json:"direct_push" doc:"What becomes of a push straight to a gated branch: hold or refuse."`
	TopicIdentity bool      `json:"topic_identity" doc:"Whether a topic may stand in for a missing Change-Id."`
	URL           string    `json:"url" doc:"Its page."`
	CloneHTTP     string    `json:"clone_http"`
	CloneSSH      string    `json:"clone_ssh,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	Warnings      []string  `json:"warnings,omitempty" doc:"After an import: what keeps changes from landing, each with its place in the plan."`
}

// NewRepository is what a repository is made of.
type NewRepository struct {
	Name          string `json:"name" maxLength:"100"`
	Description   string `json:"description,omitempty" maxLength:"2000"`
	DefaultBranch string `json:"default_branch,omitempty" maxLength:"200"`
	Private       bool   `json:"private,omitempty"`
	DirectPush    string `json:"direct_push,omitempty" enum:"hold,refuse"`
	TopicIdentity bool   `json:"topic_identity,omitempty"`
	Owner         string `json:"owner,omitempty" maxLength:"39" doc:"Who owns it; without it, who asks."`
}

// RepositoryChange is what can be changed about a repository. What is left out stays.
type RepositoryChange struct {
	Name          *string   `json:"name,omitempty" maxLength:"100"`
	Description   *string   `json:"description,omitempty" maxLength:"2000"`
	DefaultBranch *string   `json:"default_branch,omitempty" maxLength:"200"`
	Private       *bool     `json:"private,omitempty" doc:"Made private without a default_role, it gets none."`
	Gated         *[]string `json:"gated,omitempty" maxItems:"50" doc:"Replaces the patterns; an empty list gates no branch at all."`
	DefaultRole   *string   `json:"default_role,omitempty" enum:"none,read,write,maintain"`
	DirectPush    *string   `json:"direct_push,omitempty" enum:"hold,refuse"`
	TopicIdentity *bool     `json:"topic_identity,omitempty"`
}

// Import names what a new repository is filled with.
type Import struct {
	URL      string `json:"url" maxLength:"2000" doc:"https://… or ssh://…; a path only from the server's own machine."`
	Username string `json:"username,omitempty" maxLength:"200"`
	Token    string `json:"token,omitempty" maxLength:"2000" doc:"For an https URL that needs one; it is not kept."`
}

// RepositoryPath names a repository in a path.
type RepositoryPath struct {
	Repository string `path:"repository" maxLength:"100" doc:"The repository's name with ~ for /."`
}

func (s *Server) repositoryRoutes() {
	add(s, route{id: "list-repositories", at: "GET /repositories", summary: "List repositories", open: true}, s.listRepositories)
	add(s, route{id: "create-repository", at: "POST /repositories", summary: "Create a repository", status: 201}, s.createRepository)
	add(s, route{id: "get-repository", at: "GET /repositories/{repository}", summary: "Show a repository", open: true}, s.getRepository)
	add(s, route{id: "change-repository", at: "PATCH /repositories/{repository}", summary: "Change a repository's settings"}, s.changeRepository)
	add(s, route{id: "import-repository", at: "POST /repositories/{repository}/import", summary: "Fill an empty repository with another's branches and tags"}, s.importRepository)
}

// repositoryOf is a repository as the API shows it.
func (s *Server) repositoryOf(r repo.Repository) Repository {
	out := Repository{
		ID: r.ID, Name: r.Name, Description: r.Description, DefaultBranch: r.DefaultBranch, Private: r.Private, Gated: r.Gated,
		DefaultRole: roleName(r.DefaultRole), DirectPush: r.DirectPush, TopicIdentity: r.TopicIdentity, CreatedAt: r.CreatedAt,
		URL: s.URL + "/" + r.Name, CloneHTTP: s.URL + "/" + r.Name + ".git",
	}
	if out.Gated == nil {
		out.Gated = []string{}
	}
	if s.SSHURL != "" {
		out.CloneSSH = s.SSHURL + "/" + r.Name + ".git"
	}
	return out
}

// roleName is a role in words; the empty role is "none".
func roleName(r account.Role) string {
	if r == account.RoleNone {
		return "none"
	}
	return string(r)
}

func (s *Server) listRepositories(ctx context.Context, who account.Actor, _ *struct{}) (*answer[list[Repository]], error) {
	found, err := s.Repos.List(ctx, s.DB.Read())
	if err != nil {
		return nil, err
	}
	var all []Repository
	for _, r := range found {
		switch err := s.may(ctx, who, account.Read, r.Resource("")); {
		case err == nil:
			all = append(all, s.repositoryOf(r))
		case fault.Is(err, fault.Internal):
			return nil, err
		}
	}
	return listed(all), nil
}

func (s *Server) createRepository(ctx context.Context, who account.Actor, in *body[NewRepository]) (*answer[Repository], error) {
	if err := s.may(ctx, who, account.Create, account.Resource{}); err != nil {
		return nil, err
	}
	owner := who.ID
	if in.Body.Owner != "" {
		a, err := s.Accounts.ByName(ctx, s.DB.Read(), in.Body.Owner)
		if err != nil {
			return nil, err
		}
		owner = a.ID
	}
	made, err := s.Repos.Create(ctx, repo.NewRepository{
		Name: in.Body.Name, Description: in.Body.Description, DefaultBranch: in.Body.DefaultBranch, Private: in.Body.Private,
		Owner: owner, TopicIdentity: in.Body.TopicIdentity, DirectPush: in.Body.DirectPush,
	})
	if err != nil {
		return nil, err
	}
	return &answer[Repository]{s.repositoryOf(made)}, nil
}

func (s *Server) getRepository(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[Repository], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Read)
	if err != nil {
		return nil, err
	}
	return &answer[Repository]{s.repositoryOf(r)}, nil
}

func (s *Server) changeRepository(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[RepositoryChange]
}) (*answer[Repository], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	if in.Body.DefaultRole != nil {
		if _, err := account.ParseRole(*in.Body.DefaultRole); err != nil {
			return nil, err
		}
	}
	refs, err := s.branchesOf(ctx, r)
	if err != nil {
		return nil, err
	}
	var changed repo.Repository
	write := func(tx *db.Tx, before, now repo.Repository) error {
		in.Body.apply(&now)
		changed = now
		if err := s.Repos.Update(ctx, tx, now); err != nil {
			return err
		}
		return s.followUp(ctx, tx, before, now, refs)
	}
	if to := in.Body.DefaultBranch; to != nil && *to != r.DefaultBranch {
		_, err = s.Repos.SetDefaultBranch(ctx, r, *to, write)
	} else {
		err = s.DB.Transact(ctx, func(tx *db.Tx) error {
			now, err := s.Repos.ByID(ctx, tx, r.ID)
			if err != nil {
				return err
			}
			return write(tx, now, now)
		})
	}
	if err != nil {
		return nil, err
	}
	s.Bus.Wake(event.RepoTopic(r.ID))
	return &answer[Repository]{s.repositoryOf(changed)}, nil
}

// branchesOf lists the branches (short names) that are in git.
func (s *Server) branchesOf(ctx context.Context, r repo.Repository) ([]string, error) {
	const heads = "refs/heads/"
	g, err := s.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	refs, err := g.Refs(ctx, heads)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(refs))
	for _, ref := range refs {
		names = append(names, strings.TrimPrefix(ref.Name, heads))
	}
	return names, nil
}

// followUp asks for what a change of settings brings with it, in its transaction: looks at
// branches, those that are newly gated among them, and a sync of the mirrors, which carry the
// gated branches and no others.
func (s *Server) followUp(ctx context.Context, tx *db.Tx, before, now repo.Repository, branches []string) error {
	var newly []string
	for _, branch := range branches {
		if now.Gates(branch) && !before.Gates(branch) {
			newly = append(newly, branch)
		}
	}
	if err := s.lookAgain(ctx, tx, now, newly...); err != nil {
		return err
	}
	if before.DefaultBranch == now.DefaultBranch && slices.Equal(before.Gated, now.Gated) {
		return nil
	}
	return s.Mirrors.EnqueueAll(ctx, tx, now.ID)
}

// apply puts the changes that were asked for into r.
func (c RepositoryChange) apply(r *repo.Repository) {
	put(&r.Name, c.Name)
	put(&r.Description, c.Description)
	if c.Private != nil && *c.Private && !r.Private {
		r.DefaultRole = account.RoleNone // as one that is created private: it is for those who are granted a role
	}
	put(&r.Private, c.Private)
	put(&r.Gated, c.Gated)
	put(&r.DirectPush, c.DirectPush)
	put(&r.TopicIdentity, c.TopicIdentity)
	if c.DefaultRole != nil {
		r.DefaultRole, _ = account.ParseRole(*c.DefaultRole) // looked at before the transaction
	}
}

func put[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// lookAgain asks for a look at the branches that a change of settings may have to do with:
// those that it names, and more.
func (s *Server) lookAgain(ctx context.Context, tx *db.Tx, r repo.Repository, more ...string) error {
	branches := append([]string{r.DefaultBranch}, more...)
	for _, pattern := range r.Gated {
		if !strings.Contains(pattern, "*") {
			branches = append(branches, pattern)
		}
	}
	slices.Sort(branches)
	for _, branch := range slices.Compact(branches) {
		if err := tx.Enqueue(ctx, repo.BranchJob(r.ID, branch)); err != nil {
			return err
		}
	}
	return nil
}

// importRepository is for those who may create repositories: the server goes out to an
// address that somebody names, which is more than an owner's business.
func (s *Server) importRepository(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	body[Import]
}) (*answer[Repository], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	if err := s.may(ctx, who, account.Create, account.Resource{}); err != nil {
		return nil, err
	}
	auth := git.Auth{Username: in.Body.Username, AllowLocal: who.Method == account.MethodLocal}
	if in.Body.Token != "" {
		file, forget, err := s.secretFile(in.Body.Token)
		if err != nil {
			return nil, err
		}
		defer forget()
		auth.TokenFile = file
	}
	if err := s.Repos.Import(ctx, r, in.Body.URL, auth); err != nil {
		return nil, err
	}
	if r, err = s.Repos.ByID(ctx, s.DB.Read(), r.ID); err != nil {
		return nil, err
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.lookAgain(ctx, tx, r); err != nil {
			return err
		}
		return s.Mirrors.EnqueueAll(ctx, tx, r.ID)
	})
	if err != nil {
		return nil, err
	}
	s.Bus.Wake(event.RepoTopic(r.ID))
	out := s.repositoryOf(r)
	out.Warnings = s.planWarnings(ctx, r)
	return &answer[Repository]{out}, nil
}

// planWarnings says why the plan on the default branch, which an import brings in without
// asking, keeps everything from landing there. The import itself is done by then: a failure of
// the server's own is logged and takes nothing back.
func (s *Server) planWarnings(ctx context.Context, r repo.Repository) []string {
	_, problems, err := s.Gate.PlanAt(ctx, r, r.DefaultBranch)
	var warnings []string
	for _, problem := range problems {
		warnings = append(warnings, fmt.Sprintf("nothing lands on %s: %s", r.DefaultBranch, problem))
	}
	switch {
	case err == nil || len(warnings) > 0:
	case fault.Is(err, fault.Internal):
		s.Log.Error("plan after an import", "repo", r.Name, "err", err)
	default: // no regular file, too large
		warnings = append(warnings, fmt.Sprintf("nothing lands on %s: %s", r.DefaultBranch, fault.Sentence(err)))
	}
	return warnings
}

// secretFile keeps a secret in a file that only the server can read, for git to read it from
// there: on a command line every process could.
func (s *Server) secretFile(secret string) (name string, forget func(), err error) {
	f, err := os.CreateTemp(s.SecretDir, "import-*")
	if err != nil {
		return "", nil, err
	}
	forget = func() { _ = os.Remove(f.Name()) } // the folder is emptied at the next start as well
	_, err = f.WriteString(secret)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		forget()
		return "", nil, err
	}
	return f.Name(), forget, nil
}
