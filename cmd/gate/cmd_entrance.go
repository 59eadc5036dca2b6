package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

type entranceListCmd struct {
	target
	reading
	Repo string `arg:"" help:"The repository."`
}

func (c *entranceListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, entrancesPath(c.Repo), func(w io.Writer, all []api.Entrance) error {
		var rows [][]string
		for _, e := range all {
			poll := "webhook"
			if e.Poll != "" {
				poll = e.Poll
			}
			rows = append(rows, []string{strconv.FormatInt(e.ID, 10), e.Forge, e.Primary, e.Lands, poll, e.Hook, e.Reason})
		}
		return printTable(w, "ID FORGE PRIMARY LANDS EVERY HOOK REASON", rows)
	})
}

type entranceAddCmd struct {
	target
	reading
	Repo       string        `arg:"" help:"The repository."`
	Forge      string        `required:"" enum:"github,gitlab,gitea,forgejo,gerrit,plain" placeholder:"KIND" help:"github, gitlab, gitea, forgejo, gerrit, or plain: a git repository with refs/pull/N/head."`
	Primary    string        `required:"" placeholder:"ADDRESS" help:"Its git repository: https://…, ssh://…, or for administrators a path on the server or http://…"`
	API        string        `name:"api" placeholder:"URL" help:"The root of its API; without it where the forge usually has it."`
	Project    string        `placeholder:"NAME" help:"What its API calls the repository; without it what the address ends in."`
	Username   string        `placeholder:"NAME" help:"Sent with the token."`
	SecretFile string        `name:"secret-file" placeholder:"FILE" help:"What its deliveries are signed with; one is made and printed without it. - is stdin."`
	TokenFor   string        `name:"forge-token-file" placeholder:"FILE" help:"A token for its API and, over https, for git. - is stdin."`
	Events     []string      `placeholder:"KIND" help:"Only these: change, closed, pushed, group, comment, label, review. Without it all."`
	Lands      string        `enum:"push,merge,none" default:"push" help:"How what was tested returns: push, merge (its API), or none."`
	Reviews    string        `enum:",count" default:"" placeholder:"count" help:"count: an approval there is a vote here, of those whom gate entrance person names."`
	Report     string        `placeholder:"PREFIX" help:"What the names of statuses begin with (gatehouse); none sends none."`
	Outcome    string        `placeholder:"NAME" help:"How far what comes in is meant to go: an outcome of the plan."`
	Submit     bool          `help:"What comes in asks to land by itself."`
	RevertRed  bool          `name:"revert-red" help:"What lands there without us and is red is proposed to be taken back."`
	Poll       time.Duration `placeholder:"TIME" help:"Look there every so often, for where its webhooks cannot reach this server."`
}

func (c *entranceAddCmd) Run(p *process) error {
	n := api.NewEntrance{
		Forge: c.Forge, Primary: c.Primary, Username: c.Username, API: c.API, Project: c.Project, Events: c.Events, Lands: c.Lands, Reviews: c.Reviews,
		Report: c.Report, Outcome: c.Outcome, Submit: c.Submit, Revert: c.RevertRed, Poll: int(c.Poll / time.Second),
	}
	var err error
	if n.Secret, err = optionalSecret(p, c.SecretFile); err != nil {
		return err
	}
	if n.Token, err = optionalSecret(p, c.TokenFor); err != nil {
		return err
	}
	return c.with(p, func(cl *client) error {
		var made api.Entrance
		n.Primary = localAbsolute(cl, n.Primary)
		if err := cl.do(http.MethodPost, entrancesPath(c.Repo), n, &made); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		say(p.stderr, "entrance %d; have %s send its webhooks to %s", made.ID, made.Forge, made.Hook)
		if made.PublicKey != "" {
			say(p.stderr, "give this key write access to %s:", made.Primary)
			say(p.stderr, "%s", strings.TrimSpace(made.PublicKey))
		}
		return printSecret(p, made.Secret)
	})
}

// optionalSecret reads a secret from a file, "" without one.
func optionalSecret(p *process, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return readSecret(p, file)
}

func printSecret(p *process, secret string) error {
	if secret == "" {
		return nil
	}
	say(p.stderr, "its secret, shown now and never again:")
	return line(p.stdout, "%s", secret)
}

// oneEntrance names an entrance on the command line.
type oneEntrance struct {
	target
	Repo string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The entrance's id, as gate entrance list shows it."`
}

func (c oneEntrance) path() string {
	return entrancesPath(c.Repo) + "/" + strconv.FormatInt(c.ID, 10)
}

type entranceShowCmd struct {
	oneEntrance
	reading
}

func (c *entranceShowCmd) Run(p *process) error {
	return fetch(p, c.target, c.reading, c.path(), showEntrance)
}

func showEntrance(w io.Writer, e api.Entrance) error {
	rows := [][]string{{"forge", e.Forge}, {"primary", e.Primary}, {"project", e.Project}, {"api", e.API}, {"hook", e.Hook}, {"events", strings.Join(e.Events, ",")},
		{"lands", e.Lands}, {"reviews", e.Reviews}, {"report", e.Report}, {"outcome", e.Outcome}, {"submit", onOff(e.Submit)}, {"revert-red", onOff(e.RevertRed)}, {"poll", e.Poll}, {"key", e.PublicKey}, {"reason", e.Reason}}
	if err := printTable(w, "WHAT VALUE", rows); err != nil {
		return err
	}
	for _, b := range e.Branches {
		if err := line(w, "branch %s is %s there: %s %s", clean(b.Branch), clean(b.Commit), clean(b.State), clean(b.Reason)); err != nil {
			return err
		}
	}
	for _, v := range e.Reverts {
		what := "is not taken back: " + v.Reason
		if v.Change != 0 {
			what = fmt.Sprintf("is taken back by change %d", v.Change)
		}
		if err := line(w, "red commit %s on %s %s", clean(cut(v.Commit)), clean(v.Branch), clean(what)); err != nil {
			return err
		}
	}
	for _, person := range e.People {
		if err := line(w, "%s there is %s here", clean(person.Login), clean(person.Account)); err != nil {
			return err
		}
	}
	return nil
}

type entranceSetCmd struct {
	oneEntrance
	reading
	RevertRed *bool `name:"revert-red" negatable:"" help:"Whether what lands there without us and is red is proposed to be taken back."`
}

func (c *entranceSetCmd) Run(p *process) error {
	if c.RevertRed == nil {
		return fault.New(fault.Invalid, "gate.entrance.set", "nothing to set", "give --revert-red or --no-revert-red")
	}
	return c.with(p, func(cl *client) error {
		var out api.Entrance
		if err := cl.do(http.MethodPatch, c.path(), api.EntranceChange{RevertRed: c.RevertRed}, &out); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, out)
		}
		return nil
	})
}

type entranceRemoveCmd struct{ oneEntrance }

func (c *entranceRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error { return cl.do(http.MethodDelete, c.path(), nil, nil) })
}

type entranceRotateCmd struct {
	oneEntrance
	reading
	SecretFile string `name:"secret-file" placeholder:"FILE" help:"The new secret of its deliveries; one is made and printed without either file. - is stdin."`
	TokenFor   string `name:"forge-token-file" placeholder:"FILE" help:"A new token for its API. - is stdin."`
}

func (c *entranceRotateCmd) Run(p *process) error {
	var in api.EntranceSecrets
	var err error
	if in.Secret, err = optionalSecret(p, c.SecretFile); err != nil {
		return err
	}
	if in.Token, err = optionalSecret(p, c.TokenFor); err != nil {
		return err
	}
	return c.with(p, func(cl *client) error {
		var out api.Entrance
		if err := cl.do(http.MethodPost, c.path()+"/rotate", in, &out); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, out)
		}
		return printSecret(p, out.Secret)
	})
}

type entranceLookCmd struct{ oneEntrance }

func (c *entranceLookCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error { return cl.do(http.MethodPost, c.path()+"/look", nil, nil) })
}

type entranceAcceptCmd struct {
	oneEntrance
	Branch string `required:"" placeholder:"BRANCH" help:"The branch that was rewritten there."`
}

func (c *entranceAcceptCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, c.path()+"/accept", api.EntranceAccept{Branch: c.Branch}, nil)
	})
}

type entrancePersonCmd struct {
	oneEntrance
	Login  string `arg:"" help:"Somebody's login there."`
	Person string `arg:"" name:"account" optional:"" help:"Their account here; without it the login is forgotten."`
}

func (c *entrancePersonCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPut, c.path()+"/people", api.EntrancePerson{Login: c.Login, Account: c.Person}, nil)
	})
}

type entranceDeliveriesCmd struct {
	oneEntrance
	reading
}

func (c *entranceDeliveriesCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, c.path()+"/deliveries", func(w io.Writer, all []api.EntranceDelivery) error {
		var rows [][]string
		for _, d := range all {
			change, number := "-", "-"
			if d.Change != 0 {
				change = strconv.FormatInt(d.Change, 10)
			}
			if d.Number != 0 {
				number = strconv.FormatInt(d.Number, 10)
			}
			rows = append(rows, []string{strconv.FormatInt(d.ID, 10), date(d.At), d.Event, d.Kind, number, d.State, change, d.Reason})
		}
		return printTable(w, "ID AT EVENT KIND NUMBER STATE CHANGE REASON", rows)
	})
}

func entrancesPath(repository string) string {
	return "/repositories/" + inPath(repository) + "/entrances"
}

type entranceVerbs struct {
	List       entranceListCmd       `cmd:"" help:"List the servers where changes are proposed too."`
	Add        entranceAddCmd        `cmd:"" help:"Add a server where changes are proposed, and where they may land."`
	Show       entranceShowCmd       `cmd:"" help:"Show an entrance, how its branches are, and who is who."`
	Set        entranceSetCmd        `cmd:"" help:"Change how an entrance acts."`
	Remove     entranceRemoveCmd     `cmd:"" help:"Remove an entrance; the other server stays as it is."`
	Rotate     entranceRotateCmd     `cmd:"" help:"Replace its secret or its token; the secret before counts for a day."`
	Look       entranceLookCmd       `cmd:"" help:"Look now what is proposed there."`
	Accept     entranceAcceptCmd     `cmd:"" help:"Follow a primary that was rewritten, to where it is now."`
	Person     entrancePersonCmd     `cmd:"" help:"Say who a login there is here."`
	Deliveries entranceDeliveriesCmd `cmd:"" help:"List what an entrance was told, and what was decided."`
}

func init() {
	for command, lines := range map[string][]string{
		"entrance add": {"gate entrance add hello --forge github --primary https://github.com/acme/hello.git --forge-token-file token",
			"gate entrance add hello --forge plain --primary /srv/git/hello.git --poll 1m --data gate-data"},
		"entrance set":    {"gate entrance set hello 7 --revert-red"},
		"entrance person": {"gate entrance person hello 7 octocat alice"},
	} {
		examples[command] = lines
	}
}
