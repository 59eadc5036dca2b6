package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

type accountCreateCmd struct {
	target
	reading
	Name     string   `arg:"" help:"The account's name: a-z 0-9 . _ -"`
	Email    string   `required:"" placeholder:"E" help:"Its address, as in the commits that it makes."`
	FullName string   `name:"full-name" placeholder:"TEXT" help:"A name for people."`
	SSHKey   []string `name:"ssh-key" placeholder:"FILE" help:"Public key to sign in with; may be given more than once. - is stdin."`
	Admin    bool     `help:"Make it an administrator."`
}

func (c *accountCreateCmd) Run(p *process) error {
	n := api.NewAccount{Name: c.Name, Email: c.Email, FullName: c.FullName, Admin: c.Admin}
	for _, file := range c.SSHKey {
		key, err := readKey(p, file)
		if err != nil {
			return err
		}
		n.Keys = append(n.Keys, key)
	}
	c.begins = true // the first administrator may be there before the server
	return c.with(p, func(cl *client) error {
		var made api.Account
		if err := cl.do(http.MethodPost, "/accounts", n, &made); err != nil {
			return err
		}
		say(p.stderr, "created account %s; next: gate token create %s, or gate account link %s for the pages", made.Name, made.Name, made.Name)
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		return nil
	})
}

// readKey reads a public key file. A private key is refused before it leaves this machine.
func readKey(p *process, file string) (string, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(p.stdin, maxSecret))
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fault.Newf(fault.Invalid, "gate.key", "the key cannot be read: %v", err)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return "", fault.New(fault.Invalid, "gate.key", file+" is a private key", "give the public one beside it: "+file+".pub")
	}
	return strings.TrimSpace(string(text)), nil
}

type accountListCmd struct {
	target
	reading
}

func (c *accountListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/accounts", func(w io.Writer, all []api.Account) error {
		var rows [][]string
		for _, a := range all {
			rows = append(rows, []string{a.Name, a.Email, a.FullName, yes(a.Admin, "admin"), yes(a.Disabled, "disabled")})
		}
		return printTable(w, "NAME EMAIL FULL-NAME ADMIN DISABLED", rows)
	})
}

type accountLinkCmd struct {
	target
	Name string `arg:"" help:"Who shall sign in."`
}

func (c *accountLinkCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var made api.Secret
		if err := cl.do(http.MethodPost, "/accounts/"+url.PathEscape(c.Name)+"/link", nil, &made); err != nil {
			return err
		}
		say(p.stderr, "signs %s in once, within 30 minutes:", c.Name)
		return line(p.stdout, "%s", made.URL)
	})
}

type accountPasswordCmd struct {
	target
	Name string `arg:"" help:"Whose password."`
}

func (c *accountPasswordCmd) Run(p *process) error {
	password, err := readSecret(p, "-")
	if err != nil {
		return err
	}
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPatch, "/accounts/"+url.PathEscape(c.Name), api.AccountChange{Password: &password}, nil)
	})
}

type accountDisableCmd struct {
	target
	Name string `arg:"" help:"Whom to cut off."`
}

func (c *accountDisableCmd) Run(p *process) error { return setDisabled(p, c.target, c.Name, true) }

type accountEnableCmd struct {
	target
	Name string `arg:"" help:"Whom to let in again."`
}

func (c *accountEnableCmd) Run(p *process) error { return setDisabled(p, c.target, c.Name, false) }

func setDisabled(p *process, t target, name string, disabled bool) error {
	return t.with(p, func(cl *client) error {
		return cl.do(http.MethodPatch, "/accounts/"+url.PathEscape(name), api.AccountChange{Disabled: &disabled}, nil)
	})
}

type keyAddCmd struct {
	target
	Name string `arg:"" help:"Whose key."`
	File string `arg:"" help:"Public key file; - is stdin."`
}

func (c *keyAddCmd) Run(p *process) error {
	key, err := readKey(p, c.File)
	if err != nil {
		return err
	}
	return c.with(p, func(cl *client) error {
		var made api.Key
		if err := cl.do(http.MethodPost, "/accounts/"+url.PathEscape(c.Name)+"/keys", api.NewKey{Key: key}, &made); err != nil {
			return err
		}
		return line(p.stdout, "%s", made.Fingerprint)
	})
}

type keyListCmd struct {
	target
	reading
	Name string `arg:"" help:"Whose keys."`
}

func (c *keyListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/accounts/"+url.PathEscape(c.Name)+"/keys", func(w io.Writer, all []api.Key) error {
		var rows [][]string
		for _, k := range all {
			rows = append(rows, []string{strconv.FormatInt(k.ID, 10), k.Type, k.Fingerprint, k.Comment, date(k.CreatedAt)})
		}
		return printTable(w, "ID TYPE FINGERPRINT COMMENT ADDED", rows)
	})
}

type keyRemoveCmd struct {
	target
	Name string `arg:"" help:"Whose key."`
	ID   int64  `arg:"" help:"Its id, as gate account key list shows it."`
}

func (c *keyRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, "/accounts/"+url.PathEscape(c.Name)+"/keys/"+strconv.FormatInt(c.ID, 10), nil, nil)
	})
}

type tokenCreateCmd struct {
	target
	Name  string        `arg:"" help:"Whose token."`
	Label string        `placeholder:"TEXT" help:"What it is for."`
	TTL   time.Duration `name:"ttl" placeholder:"720h" help:"How long it lives; without it a year."`
}

func (c *tokenCreateCmd) Run(p *process) error {
	if c.TTL < 0 {
		return fault.New(fault.Invalid, "gate.token", "a token cannot have expired already", "write --ttl 720h")
	}
	hours := int((c.TTL + time.Hour - 1) / time.Hour)
	return c.with(p, func(cl *client) error {
		var made api.Secret
		if err := cl.do(http.MethodPost, "/accounts/"+url.PathEscape(c.Name)+"/tokens", api.NewToken{Label: c.Label, Hours: hours}, &made); err != nil {
			return err
		}
		return line(p.stdout, "%s", made.Token)
	})
}

type tokenListCmd struct {
	target
	reading
	Name string `arg:"" optional:"" default:"self" help:"Whose tokens; without it your own."`
}

func (c *tokenListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/accounts/"+url.PathEscape(c.Name)+"/tokens", func(w io.Writer, all []api.Token) error {
		var rows [][]string
		for _, t := range all {
			revoked := "-"
			if t.RevokedAt != nil {
				revoked = date(*t.RevokedAt)
			}
			rows = append(rows, []string{strconv.FormatInt(t.ID, 10), t.Label, date(t.CreatedAt), date(t.ExpiresAt), revoked})
		}
		return printTable(w, "ID LABEL CREATED EXPIRES REVOKED", rows)
	})
}

type tokenRevokeCmd struct {
	target
	Name string `arg:"" help:"Whose token."`
	ID   int64  `arg:"" help:"Its id, as gate token list shows it."`
}

func (c *tokenRevokeCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, "/accounts/"+url.PathEscape(c.Name)+"/tokens/"+strconv.FormatInt(c.ID, 10), nil, nil)
	})
}

type groupCreateCmd struct {
	target
	Name string `arg:"" help:"The group's name."`
}

func (c *groupCreateCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, "/groups", api.NewGroup{Name: c.Name}, nil)
	})
}

type groupListCmd struct {
	target
	reading
}

func (c *groupListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/groups", func(w io.Writer, all []api.Group) error {
		var rows [][]string
		for _, g := range all {
			rows = append(rows, []string{g.Name, strings.Join(g.Members, " ")})
		}
		return printTable(w, "NAME MEMBERS", rows)
	})
}

type groupAddCmd struct {
	target
	Group   string   `arg:"" help:"The group."`
	Members []string `arg:"" help:"The accounts."`
}

func (c *groupAddCmd) Run(p *process) error {
	return eachMember(p, c.target, http.MethodPut, c.Group, c.Members)
}

type groupRemoveCmd struct {
	target
	Group   string   `arg:"" help:"The group."`
	Members []string `arg:"" help:"The accounts."`
}

func (c *groupRemoveCmd) Run(p *process) error {
	return eachMember(p, c.target, http.MethodDelete, c.Group, c.Members)
}

func eachMember(p *process, t target, method, group string, members []string) error {
	return t.with(p, func(cl *client) error {
		for _, name := range members {
			if err := cl.do(method, "/groups/"+url.PathEscape(group)+"/members/"+url.PathEscape(name), nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
}
