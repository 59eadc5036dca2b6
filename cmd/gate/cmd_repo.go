package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

type repoCreateCmd struct {
	target
	reading
	Name            string   `arg:"" help:"Its name, as hello or team/hello."`
	Import          string   `placeholder:"PATH|URL" help:"Fill it with the branches and tags of another repository."`
	ImportTokenFile string   `name:"import-token-file" placeholder:"FILE" help:"File with a token for the URL to import from."`
	Mirror          []string `sep:"none" placeholder:"URL" help:"Push what lands to this URL; may be given more than once."`
	MirrorTokenFile string   `name:"mirror-token-file" placeholder:"FILE" help:"File with a token for https mirrors."`
	DefaultBranch   string   `name:"default-branch" placeholder:"B" help:"Its default branch, which is gated; without it that of the import, or main."`
	Private         bool     `help:"Only for those who are granted a role."`
	Description     string   `placeholder:"TEXT" help:"One line about it."`
	Owner           string   `placeholder:"NAME" help:"Who owns it; without it, you."`
	DirectPush      string   `name:"direct-push" enum:"hold,refuse" default:"hold" help:"What becomes of a push straight to a gated branch: hold it as a change, or refuse."`
	TopicIdentity   bool     `name:"topic-identity" help:"Let -o topic=NAME stand in for a missing Change-Id."`
}

func (c *repoCreateCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		n := api.NewRepository{
			Name: c.Name, Description: c.Description, DefaultBranch: c.DefaultBranch, Private: c.Private, Owner: c.Owner,
			DirectPush: c.DirectPush, TopicIdentity: c.TopicIdentity,
		}
		from, err := findSource(p.ctx, c.Import)
		if err != nil {
			return err
		}
		if n.DefaultBranch == "" && from != nil {
			n.DefaultBranch = from.branch
		}
		tokens, err := c.tokens(p)
		if err != nil {
			return err
		}
		var made api.Repository
		if err := cl.do(http.MethodPost, "/repositories", n, &made); err != nil {
			return err
		}
		if c.Import != "" {
			if made, err = fill(p, cl, made, from, c.Import, tokens.source); err != nil {
				say(p.stderr, "created %s, but it is empty; to try again: gate repo import %s %s", c.Name, c.Name, c.Import)
				return err
			}
			warn(p, made)
		}
		for _, address := range c.Mirror {
			if err := addMirror(p, cl, c.Name, api.NewMirror{URL: address, Token: tokens.forMirror(address)}); err != nil {
				say(p.stderr, "created %s without this mirror; to try again: gate mirror add %s %s", c.Name, c.Name, address)
				return err
			}
		}
		return c.show(p, made)
	})
}

func (c *repoCreateCmd) show(p *process, made api.Repository) error {
	if c.JSON {
		return printJSON(p.stdout, made)
	}
	if c.Import == "" { // nothing can stand on a branch that is not there
		say(p.stderr, "created %s, empty: an owner's first push to %s is taken as it is, later ones are held until its gates open", made.Name, made.DefaultBranch)
		say(p.stderr, "next: git push %s HEAD:%s", made.CloneHTTP, made.DefaultBranch)
		return line(p.stdout, "%s", made.CloneHTTP)
	}
	say(p.stderr, "created %s; what is pushed to %s is held until its gates open", made.Name, strings.Join(made.Gated, ", "))
	say(p.stderr, "next: git push %s HEAD:refs/for/%s", made.CloneHTTP, made.DefaultBranch)
	return line(p.stdout, "%s", made.CloneHTTP)
}

// upstreamTokens are the secrets for other servers.
type upstreamTokens struct{ source, mirror string }

func (c *repoCreateCmd) tokens(p *process) (t upstreamTokens, err error) {
	if c.ImportTokenFile != "" {
		if t.source, err = readSecret(p, c.ImportTokenFile); err != nil {
			return t, err
		}
	}
	if c.MirrorTokenFile != "" {
		t.mirror, err = readSecret(p, c.MirrorTokenFile)
	}
	return t, err
}

// forMirror is the token for https mirrors; others have keys, or need none.
func (t upstreamTokens) forMirror(address string) string {
	if strings.HasPrefix(address, "http") {
		return t.mirror
	}
	return ""
}

type repoImportCmd struct {
	target
	Name      string `arg:"" help:"An empty repository."`
	From      string `arg:"" name:"path|url" help:"Where its branches and tags come from."`
	TokenFile string `name:"import-token-file" placeholder:"FILE" help:"File with a token for the URL."`
}

func (c *repoImportCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		from, err := findSource(p.ctx, c.From)
		if err != nil {
			return err
		}
		token := ""
		if c.TokenFile != "" {
			if token, err = readSecret(p, c.TokenFile); err != nil {
				return err
			}
		}
		var into api.Repository
		if err := cl.do(http.MethodGet, "/repositories/"+inPath(c.Name), nil, &into); err != nil {
			return err
		}
		if into, err = fill(p, cl, into, from, c.From, token); err != nil {
			return err
		}
		warn(p, into)
		return nil
	})
}

// warn says what is wrong with a repository that was filled, and the way out.
func warn(p *process, filled api.Repository) {
	for _, warning := range filled.Warnings {
		say(p.stderr, "warning: %s", clean(warning))
	}
	if len(filled.Warnings) > 0 {
		say(p.stderr, "next: gate repo set %s --ungated, push the fix to %s, then gate repo set %s --gated %s", filled.Name, filled.DefaultBranch, filled.Name, filled.DefaultBranch)
	}
}

type repoListCmd struct {
	target
	reading
}

func (c *repoListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/repositories", func(w io.Writer, all []api.Repository) error {
		var rows [][]string
		for _, r := range all {
			seen := "public"
			if r.Private {
				seen = "private"
			}
			rows = append(rows, []string{r.Name, r.DefaultBranch, seen, strings.Join(r.Gated, ","), r.Description})
		}
		return printTable(w, "NAME BRANCH VISIBLE GATED DESCRIPTION", rows)
	})
}

type repoSetCmd struct {
	target
	reading
	Name          string   `arg:"" help:"The repository."`
	Rename        string   `placeholder:"NAME" help:"Call it something else; old URLs stop working."`
	Description   *string  `placeholder:"TEXT" help:"One line about it."`
	DefaultBranch string   `name:"default-branch" placeholder:"B" help:"Its default branch."`
	Private       bool     `xor:"visibility" help:"Only for those who are granted a role: without --default-role it becomes none."`
	Public        bool     `xor:"visibility" help:"For everybody to read."`
	Gated         []string `sep:"none" xor:"gated" placeholder:"PATTERN" help:"A pattern of gated branches; may be given more than once and replaces those of before."`
	Ungated       bool     `xor:"gated" help:"Gate no branch at all, as for an owner to push the fix of a plan that nobody can read; --gated gates again."`
	Role          string   `name:"default-role" enum:"none,read,write,maintain,unset" default:"unset" placeholder:"ROLE" help:"What every account is: none, read, write or maintain."`
	DirectPush    string   `name:"direct-push" enum:"hold,refuse,unset" default:"unset" placeholder:"WHAT" help:"What becomes of a push straight to a gated branch: hold or refuse."`
	TopicIdentity *bool    `name:"topic-identity" negatable:"" help:"Let -o topic=NAME stand in for a missing Change-Id."`
}

func (c *repoSetCmd) Run(p *process) error {
	change := api.RepositoryChange{Description: c.Description, TopicIdentity: c.TopicIdentity}
	given(&change.Name, c.Rename)
	given(&change.DefaultBranch, c.DefaultBranch)
	given(&change.DefaultRole, c.Role)
	given(&change.DirectPush, c.DirectPush)
	if c.Private || c.Public {
		change.Private = &c.Private
	}
	if len(c.Gated) > 0 {
		change.Gated = &c.Gated
	}
	if c.Ungated {
		change.Gated = &[]string{}
	}
	if change == (api.RepositoryChange{}) {
		return fault.New(fault.Invalid, "gate.repo.set", "nothing to set", "gate repo set --help lists the settings")
	}
	return c.with(p, func(cl *client) error {
		var now api.Repository
		if err := cl.do(http.MethodPatch, "/repositories/"+inPath(c.Name), change, &now); err != nil {
			return err
		}
		c.tell(p, now)
		if c.JSON {
			return printJSON(p.stdout, now)
		}
		return nil
	})
}

// tell says what the settings that were asked for bring with them.
func (c *repoSetCmd) tell(p *process, now api.Repository) {
	if c.Private && c.Role == unset && now.DefaultRole == "none" {
		say(p.stderr, "%s is private, and its default role is none: only those with a grant may read it", now.Name)
	}
	if c.Ungated {
		say(p.stderr, "%s gates no branch: a push that may move one goes straight in; to gate again: gate repo set %s --gated %s", now.Name, now.Name, now.DefaultBranch)
	}
}

// unset is the value of a flag with fixed values that was not given.
const unset = "unset"

// given sets field to what a flag says; a flag that was not given is empty or [unset].
func given(field **string, value string) {
	if value != "" && value != unset {
		*field = &value
	}
}

type repoGrantCmd struct {
	target
	Name   string `arg:"" help:"The repository."`
	To     string `required:"" placeholder:"WHO" help:"An account, or group:NAME."`
	Role   string `required:"" enum:"none,read,write,maintain,own" help:"none, read, write, maintain or own; none takes the grant back."`
	Branch string `placeholder:"PATTERN" help:"Only on these branches."`
}

func (c *repoGrantCmd) Run(p *process) error {
	grant := api.Grant{Role: c.Role, Branch: c.Branch}
	if group, ok := strings.CutPrefix(c.To, "group:"); ok {
		grant.Group = group
	} else {
		grant.Account = c.To
	}
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPut, "/repositories/"+inPath(c.Name)+"/grants", grant, nil)
	})
}

type repoGrantsCmd struct {
	target
	reading
	Name string `arg:"" help:"The repository."`
}

func (c *repoGrantsCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/repositories/"+inPath(c.Name)+"/grants", func(w io.Writer, all []api.Grant) error {
		var rows [][]string
		for _, g := range all {
			who, where := g.Account, g.Branch
			if g.Group != "" {
				who = "group:" + g.Group
			}
			if where == "" {
				where = "(all)"
			}
			rows = append(rows, []string{who, g.Role, where})
		}
		return printTable(w, "WHO ROLE BRANCHES", rows)
	})
}

type repoRuleCmd struct {
	target
	Name   string `arg:"" help:"The repository."`
	Branch string `required:"" placeholder:"PATTERN" help:"On which branches."`
	Verb   string `required:"" enum:"propose,comment,vote,submit,hold,promote,freeze,edit,push,delete,tag" help:"propose, comment, vote, submit, hold, promote, freeze, edit, push, delete or tag."`
	Role   string `required:"" enum:"read,write,maintain,own" help:"The least role that still may: read, write, maintain or own."`
}

func (c *repoRuleCmd) Run(p *process) error {
	rule := api.Rule{Pattern: c.Branch, Verb: c.Verb, Role: c.Role}
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, "/repositories/"+inPath(c.Name)+"/rules", rule, nil)
	})
}

type repoRulesCmd struct {
	target
	reading
	Name string `arg:"" help:"The repository."`
}

func (c *repoRulesCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, "/repositories/"+inPath(c.Name)+"/rules", func(w io.Writer, all []api.Rule) error {
		var rows [][]string
		for _, r := range all {
			rows = append(rows, []string{strconv.FormatInt(r.ID, 10), r.Pattern, r.Verb, r.Role})
		}
		return printTable(w, "ID BRANCHES VERB ROLE", rows)
	})
}

type repoRuleGoneCmd struct {
	target
	Name string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The rule's id, as gate repo rules shows it."`
}

func (c *repoRuleGoneCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodDelete, "/repositories/"+inPath(c.Name)+"/rules/"+strconv.FormatInt(c.ID, 10), nil, nil)
	})
}
