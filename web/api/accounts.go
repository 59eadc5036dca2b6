package api

import (
	"context"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// linkTTL is how long a one-time sign-in link lives: long enough to be sent, short enough to
// be useless when it is found later.
const linkTTL = 30 * time.Minute

// Account is somebody whom the server knows.
type Account struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	FullName  string    `json:"full_name,omitempty"`
	Email     string    `json:"email,omitempty" doc:"Only for administrators and the account itself."`
	Admin     bool      `json:"admin"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
}

// NewAccount is what an account is made of.
type NewAccount struct {
	Name     string   `json:"name" doc:"Up to 39 of a-z 0-9 . _ -" maxLength:"39"`
	Email    string   `json:"email" maxLength:"254"`
	FullName string   `json:"full_name,omitempty" maxLength:"400"`
	Admin    bool     `json:"admin,omitempty"`
	Keys     []string `json:"keys,omitempty" maxItems:"20" doc:"Public SSH keys, each as the line of its .pub file."`
}

// AccountChange is what can be changed about an account.
type AccountChange struct {
	Disabled *bool   `json:"disabled,omitempty"`
	Password *string `json:"password,omitempty" maxLength:"1000"`
}

// Key is a public SSH key.
type Key struct {
	ID          int64     `json:"id"`
	Fingerprint string    `json:"fingerprint"`
	Type        string    `json:"type"`
	Comment     string    `json:"comment,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
}

// NewKey is a public SSH key to add.
type NewKey struct {
	Key string `json:"key" maxLength:"8192" doc:"The line of the key's .pub file."`
}

// Token is an API token without its secret.
type Token struct {
	ID        int64      `json:"id"`
	Label     string     `json:"label,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// NewToken asks for an API token.
type NewToken struct {
	Label string `json:"label,omitempty" maxLength:"400"`
	Hours int    `json:"hours,omitempty" minimum:"0" maximum:"43800" doc:"How long it lives; 0 is the usual year."`
}

// Secret is a token or a link that is shown once.
type Secret struct {
	Token string `json:"token,omitempty" doc:"Shown now and never again."`
	URL   string `json:"url,omitempty" doc:"Signs in once."`
}

// AccountPath names an account in a path. (It is exported because the framework looks only at
// exported fields, also of what is embedded.)
type AccountPath struct {
	Name string `path:"name" maxLength:"39" doc:"An account's name; self is whoever asks."`
}

func (s *Server) accountRoutes() {
	add(s, route{id: "list-accounts", at: "GET /accounts", summary: "List accounts"}, s.listAccounts)
	add(s, route{id: "create-account", at: "POST /accounts", summary: "Create an account", status: 201}, s.createAccount)
	add(s, route{id: "get-account", at: "GET /accounts/{name}", summary: "Show an account"}, s.getAccount)
	add(s, route{id: "change-account", at: "PATCH /accounts/{name}", summary: "Disable an account, or set its password"}, s.changeAccount)
	add(s, route{id: "create-link", at: "POST /accounts/{name}/link", summary: "Make a one-time sign-in link", status: 201}, s.createLink)
	add(s, route{id: "list-keys", at: "GET /accounts/{name}/keys", summary: "List an account's SSH keys"}, s.listKeys)
	add(s, route{id: "add-key", at: "POST /accounts/{name}/keys", summary: "Add an SSH key", status: 201}, s.addKey)
	add(s, route{id: "remove-key", at: "DELETE /accounts/{name}/keys/{id}", summary: "Remove an SSH key"}, s.removeKey)
	add(s, route{id: "list-tokens", at: "GET /accounts/{name}/tokens", summary: "List an account's API tokens"}, s.listTokens)
	add(s, route{id: "create-token", at: "POST /accounts/{name}/tokens", summary: "Make an API token", status: 201}, s.createToken)
	add(s, route{id: "revoke-token", at: "DELETE /accounts/{name}/tokens/{id}", summary: "Revoke an API token"}, s.revokeToken)
}

// accountOf is an account as who may see it.
func accountOf(a account.Account, who account.Actor) Account {
	out := Account{ID: a.ID, Name: a.Name, FullName: a.FullName, Email: a.Email, Admin: a.Admin, Disabled: a.Disabled, CreatedAt: a.CreatedAt}
	if !who.Admin && who.ID != a.ID {
		out.Email = ""
	}
	return out
}

// theAccount finds the account of a path that who may manage: one's own, or any for an administrator.
func (s *Server) theAccount(ctx context.Context, who account.Actor, name string) (account.Account, error) {
	own := who.ID != 0 && (name == "self" || name == who.Name)
	if !own {
		if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
			return account.Account{}, err
		}
	}
	if own {
		name = who.Name
	}
	return s.Accounts.ByName(ctx, s.DB.Read(), name)
}

func (s *Server) listAccounts(ctx context.Context, who account.Actor, _ *struct{}) (*answer[list[Account]], error) {
	found, err := s.Accounts.List(ctx, s.DB.Read())
	if err != nil {
		return nil, err
	}
	all := make([]Account, 0, len(found))
	for _, a := range found {
		all = append(all, accountOf(a, who))
	}
	return listed(all), nil
}

func (s *Server) createAccount(ctx context.Context, who account.Actor, in *body[NewAccount]) (*answer[Account], error) {
	if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
		return nil, err
	}
	var made account.Account
	err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		made, err = s.Accounts.Create(ctx, tx, account.NewAccount{Name: in.Body.Name, Email: in.Body.Email, FullName: in.Body.FullName, Admin: in.Body.Admin})
		if err != nil {
			return err
		}
		for _, line := range in.Body.Keys {
			if _, err := s.Accounts.AddKey(ctx, tx, made.ID, line); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &answer[Account]{accountOf(made, who)}, nil
}

func (s *Server) getAccount(ctx context.Context, who account.Actor, in *AccountPath) (*answer[Account], error) {
	name := in.Name
	if name == "self" {
		name = who.Name
	}
	a, err := s.Accounts.ByName(ctx, s.DB.Read(), name)
	if err != nil {
		return nil, err
	}
	return &answer[Account]{accountOf(a, who)}, nil
}

func (s *Server) changeAccount(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	body[AccountChange]
}) (*answer[Account], error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	if in.Body.Disabled != nil {
		if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
			return nil, err
		}
		if *in.Body.Disabled && a.ID == who.ID {
			return nil, fault.New(fault.Refused, "api.changeAccount", "nobody can shut themselves out", "let another administrator do it")
		}
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if in.Body.Password != nil {
			if err := s.Accounts.SetPassword(ctx, tx, a.ID, *in.Body.Password); err != nil {
				return err
			}
		}
		if in.Body.Disabled != nil {
			return s.Accounts.SetDisabled(ctx, tx, a.ID, *in.Body.Disabled)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if a, err = s.Accounts.ByID(ctx, s.DB.Read(), a.ID); err != nil {
		return nil, err
	}
	return &answer[Account]{accountOf(a, who)}, nil
}

// createLink is for administrators alone: a link makes a session, and a token that was made
// for a script must not turn into one.
func (s *Server) createLink(ctx context.Context, who account.Actor, in *AccountPath) (*answer[Secret], error) {
	if err := s.may(ctx, who, account.Administer, account.Resource{}); err != nil {
		return nil, err
	}
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	link, err := s.SignInLink(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Secret]{Secret{URL: link}}, nil
}

// SignInLink makes a link that signs an account in once, within half an hour.
func (s *Server) SignInLink(ctx context.Context, account int64) (string, error) {
	secret, err := s.newToken(ctx, account, "signin", "", linkTTL)
	if err != nil {
		return "", err
	}
	return s.URL + s.SignInPath + secret, nil
}

func (s *Server) newToken(ctx context.Context, id int64, kind account.TokenKind, label string, ttl time.Duration) (secret string, err error) {
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		secret, err = s.Accounts.NewToken(ctx, tx, id, kind, label, ttl)
		return err
	})
	return secret, err
}

func (s *Server) listKeys(ctx context.Context, who account.Actor, in *AccountPath) (*answer[list[Key]], error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	found, err := s.Accounts.Keys(ctx, s.DB.Read(), a.ID)
	if err != nil {
		return nil, err
	}
	var all []Key
	for _, k := range found {
		all = append(all, keyOf(k))
	}
	return listed(all), nil
}

func keyOf(k account.Key) Key {
	return Key{ID: k.ID, Fingerprint: k.Fingerprint, Type: k.Type, Comment: k.Comment, CreatedAt: k.CreatedAt}
}

func (s *Server) addKey(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	body[NewKey]
}) (*answer[Key], error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	var made account.Key
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		made, err = s.Accounts.AddKey(ctx, tx, a.ID, in.Body.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &answer[Key]{keyOf(made)}, nil
}

type ownedPath struct {
	AccountPath
	ID int64 `path:"id"`
}

func (s *Server) removeKey(ctx context.Context, who account.Actor, in *ownedPath) (*nothing, error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Accounts.RemoveKey(ctx, tx, a.ID, in.ID) })
}

func (s *Server) listTokens(ctx context.Context, who account.Actor, in *AccountPath) (*answer[list[Token]], error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	found, err := s.Accounts.Tokens(ctx, s.DB.Read(), a.ID)
	if err != nil {
		return nil, err
	}
	var all []Token
	for _, t := range found {
		if t.Kind != account.APIToken {
			continue
		}
		one := Token{ID: t.ID, Label: t.Label, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt}
		if !t.RevokedAt.IsZero() {
			one.RevokedAt = &t.RevokedAt
		}
		all = append(all, one)
	}
	return listed(all), nil
}

func (s *Server) createToken(ctx context.Context, who account.Actor, in *struct {
	AccountPath
	body[NewToken]
}) (*answer[Secret], error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	secret, err := s.newToken(ctx, a.ID, account.APIToken, in.Body.Label, time.Duration(in.Body.Hours)*time.Hour)
	if err != nil {
		return nil, err
	}
	return &answer[Secret]{Secret{Token: secret}}, nil
}

func (s *Server) revokeToken(ctx context.Context, who account.Actor, in *ownedPath) (*nothing, error) {
	a, err := s.theAccount(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, s.DB.Transact(ctx, func(tx *db.Tx) error { return s.Accounts.RevokeToken(ctx, tx, a.ID, in.ID) })
}
