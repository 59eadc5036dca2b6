package api

import (
	"context"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Grant is a role that somebody has on a repository.
type Grant struct {
	Account string `json:"account,omitempty" maxLength:"39"`
	Group   string `json:"group,omitempty" maxLength:"39"`
	Branch  string `json:"branch,omitempty" maxLength:"200" doc:"A pattern of branches; without it the whole repository."`
	Role    string `json:"role" enum:"none,read,write,maintain,own" doc:"none takes the grant back."`
}

// Rule takes a verb on some branches away from everybody below a role.
type Rule struct {
	ID      int64  `json:"id,omitempty" readOnly:"true"`
	Pattern string `json:"pattern" maxLength:"200"`
	Verb    string `json:"verb" maxLength:"20"`
	Role    string `json:"role" enum:"read,write,maintain,own"`
}

type grantIn struct {
	RepositoryPath
	body[Grant]
}

type ruleIn struct {
	RepositoryPath
	body[Rule]
}

func (s *Server) grantRoutes() {
	add(s, route{id: "list-grants", at: "GET /repositories/{repository}/grants", summary: "List who has which role"}, s.listGrants)
	add(s, route{id: "put-grant", at: "PUT /repositories/{repository}/grants", summary: "Give somebody a role, or take it back"}, s.putGrant)
	add(s, route{id: "list-rules", at: "GET /repositories/{repository}/rules", summary: "List the branch rules"}, s.listRules)
	add(s, route{id: "add-rule", at: "POST /repositories/{repository}/rules", summary: "Keep a verb on some branches for a role", status: 201}, s.addRule)
	add(s, route{id: "remove-rule", at: "DELETE /repositories/{repository}/rules/{id}", summary: "Remove a branch rule"}, s.removeRule)
}

func (s *Server) listGrants(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[Grant]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	found, err := s.Accounts.Grants(ctx, s.DB.Read(), r.ID)
	if err != nil {
		return nil, err
	}
	var all []Grant
	for _, g := range found {
		one := Grant{Branch: g.Branch, Role: roleName(g.Role)}
		if g.Subject.Kind == account.ToGroup {
			one.Group = g.Name
		} else {
			one.Account = g.Name
		}
		all = append(all, one)
	}
	return listed(all), nil
}

func (s *Server) putGrant(ctx context.Context, who account.Actor, in *grantIn) (*answer[list[Grant]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	role, err := account.ParseRole(in.Body.Role)
	if err != nil {
		return nil, err
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		subject, err := s.subject(ctx, tx, in.Body)
		if err != nil {
			return err
		}
		if role == account.RoleNone {
			err = s.Accounts.Revoke(ctx, tx, r.ID, subject, in.Body.Branch)
		} else {
			err = s.Accounts.Grant(ctx, tx, r.ID, subject, in.Body.Branch, role)
		}
		if err != nil {
			return err
		}
		return s.lookAgain(ctx, tx, r) // a gate may count votes of those who lost or gained a role
	})
	if err != nil {
		return nil, err
	}
	return s.listGrants(ctx, who, &in.RepositoryPath)
}

// subject finds the one account or group that a grant is for.
func (s *Server) subject(ctx context.Context, q db.Querier, g Grant) (account.Subject, error) {
	if (g.Account == "") == (g.Group == "") {
		return account.Subject{}, fault.New(fault.Invalid, "api.grant", "a grant is for one account or one group", "name either account or group")
	}
	if g.Group != "" {
		id, err := s.groupID(ctx, q, g.Group)
		return account.Subject{Kind: account.ToGroup, ID: id}, err
	}
	a, err := s.Accounts.ByName(ctx, q, g.Account)
	return account.Subject{Kind: account.ToAccount, ID: a.ID}, err
}

func (s *Server) listRules(ctx context.Context, who account.Actor, in *RepositoryPath) (*answer[list[Rule]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	return s.rules(ctx, r)
}

func (s *Server) rules(ctx context.Context, r repo.Repository) (*answer[list[Rule]], error) {
	found, err := s.Accounts.Rules(ctx, s.DB.Read(), r.ID)
	if err != nil {
		return nil, err
	}
	var all []Rule
	for _, rule := range found {
		all = append(all, Rule{ID: rule.ID, Pattern: rule.Pattern, Verb: string(rule.Verb), Role: roleName(rule.Role)})
	}
	return listed(all), nil
}

func (s *Server) addRule(ctx context.Context, who account.Actor, in *ruleIn) (*answer[list[Rule]], error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		return s.Accounts.AddRule(ctx, tx, r.ID, in.Body.Pattern, account.Verb(in.Body.Verb), account.Role(in.Body.Role))
	})
	if err != nil {
		return nil, err
	}
	return s.rules(ctx, r)
}

func (s *Server) removeRule(ctx context.Context, who account.Actor, in *struct {
	RepositoryPath
	ID int64 `path:"id"`
}) (*nothing, error) {
	r, err := s.repository(ctx, who, in.Repository, account.Own)
	if err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Accounts.RemoveRule(ctx, tx, r.ID, in.ID) })
}
