package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

type notifyListCmd struct {
	target
	reading
	All bool `help:"Also what was read."`
}

func (c *notifyListCmd) Run(p *process) error {
	path := "/accounts/self/notifications"
	if c.All {
		path += "?all=true"
	}
	return fetchAll(p, c.target, c.reading, path, func(w io.Writer, all []api.Notification) error {
		var rows [][]string
		for _, n := range all {
			who := n.Actor
			if who == "" {
				who = "gatehouse"
			}
			change := "-"
			if n.Change != 0 {
				change = strconv.FormatInt(n.Change, 10)
			}
			rows = append(rows, []string{strconv.FormatInt(n.ID, 10), date(n.At), change, yes(n.Turn, "turn"), n.Reason, who + " " + n.Text, n.Subject})
		}
		return printTable(w, "ID AT CHANGE TURN WHY WHAT SUBJECT", rows)
	})
}

type notifyReadCmd struct {
	target
	IDs    []int64 `arg:"" name:"id" optional:"" help:"Notifications, as gate notify list shows them; none is all."`
	Change int64   `help:"Those about this change."`
}

func (c *notifyReadCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		in := api.Reading{IDs: c.IDs, Change: c.Change}
		if len(c.IDs) == 0 && c.Change == 0 {
			var unread items[api.Notification]
			if err := cl.do(http.MethodGet, "/accounts/self/notifications", nil, &unread); err != nil || len(unread.Items) == 0 {
				return err
			}
			in.UpTo = unread.Items[0].ID // newest first
		}
		return cl.do(http.MethodPost, "/accounts/self/notifications/read", in, nil)
	})
}

type notifyShowCmd struct {
	target
	reading
}

func (c *notifyShowCmd) Run(p *process) error {
	return fetch(p, c.target, c.reading, "/accounts/self/preferences", showPreferences)
}

func showPreferences(w io.Writer, p api.Preferences) error {
	if err := printTable(w, "WHAT CHOICE", [][]string{{"mail", p.Mail}, {"comments", p.Comments}, {"own", onOff(p.Own)}}); err != nil {
		return err
	}
	switch {
	case p.Stopped != "":
		return line(w, "no mail is sent: %s", clean(p.Stopped))
	case !p.Sends:
		return line(w, "this server sends no mail")
	}
	return nil
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

type notifySetCmd struct {
	target
	reading
	Mail     string `enum:",all,turn,none" default:"" placeholder:"WHAT" help:"all; turn: only when it is your turn or somebody calls you by name; none."`
	Comments string `enum:",soon,hourly,daily" default:"" placeholder:"WHEN" help:"Reviews and comments: soon, in one mail an hour (hourly), or a day (daily)."`
	Own      string `enum:",on,off" default:"" placeholder:"on|off" help:"Mail about what the server does with your own changes."`
}

func (c *notifySetCmd) Run(p *process) error {
	var in api.PreferencesChange
	if c.Mail != "" {
		in.Mail = &c.Mail
	}
	if c.Comments != "" {
		in.Comments = &c.Comments
	}
	if c.Own != "" {
		on := c.Own == "on"
		in.Own = &on
	}
	return c.with(p, func(cl *client) error {
		var out api.Preferences
		if err := cl.do(http.MethodPatch, "/accounts/self/preferences", in, &out); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, out)
		}
		return showPreferences(p.stdout, out)
	})
}

type notifyMuteCmd struct {
	target
	Number int64 `arg:"" help:"The change's number."`
	Off    bool  `help:"Mail about it again."`
}

func (c *notifyMuteCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPut, changePath(c.Number, "/mute"), api.Mute{Mute: !c.Off}, nil)
	})
}

type webhookListCmd struct {
	target
	reading
	Repo string `arg:"" help:"The repository."`
}

func (c *webhookListCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, webhooksPath(c.Repo), func(w io.Writer, all []api.Webhook) error {
		var rows [][]string
		for _, h := range all {
			events := "all"
			if len(h.Events) > 0 {
				events = strings.Join(h.Events, ",")
			}
			rows = append(rows, []string{strconv.FormatInt(h.ID, 10), h.Kind, h.URL, events, h.State, h.Reason})
		}
		return printTable(w, "ID KIND URL EVENTS STATE REASON", rows)
	})
}

type webhookAddCmd struct {
	target
	reading
	Repo       string   `arg:"" help:"The repository."`
	Address    string   `arg:"" name:"url" help:"Where to send; for Matrix the home server, for Slack - to read the address from --secret-file."`
	Kind       string   `enum:"generic,slack,matrix" default:"generic" help:"generic (signed JSON), slack or matrix."`
	Room       string   `placeholder:"!ID:SERVER" help:"For Matrix."`
	Event      []string `placeholder:"KIND" help:"Only these events; may be given several times. Without it all."`
	SecretFile string   `name:"secret-file" placeholder:"FILE" help:"generic: what deliveries are signed with (one is made and printed without it); matrix: the access token; slack: the address. - is stdin."`
}

func (c *webhookAddCmd) Run(p *process) error {
	if c.Kind == "slack" && (c.Address != "-" || c.SecretFile == "") {
		return fault.New(fault.Invalid, "gate.webhook", "the address of a Slack webhook is a secret, and a command line is not", "write - in its place and give it with --secret-file FILE")
	}
	n := api.NewWebhook{Kind: c.Kind, URL: c.Address, Room: c.Room, Events: c.Event}
	if c.SecretFile != "" {
		secret, err := readSecret(p, c.SecretFile)
		if err != nil {
			return err
		}
		if c.Kind == "slack" {
			n.URL = secret
		} else {
			n.Secret = secret
		}
	}
	return c.with(p, func(cl *client) error {
		var made api.Webhook
		if err := cl.do(http.MethodPost, webhooksPath(c.Repo), n, &made); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		say(p.stderr, "webhook %d; try it: gate webhook test %s %d", made.ID, c.Repo, made.ID)
		if made.Secret == "" {
			return nil
		}
		say(p.stderr, "its secret, shown now and never again:")
		return line(p.stdout, "%s", made.Secret)
	})
}

// oneWebhook names a webhook on the command line.
type oneWebhook struct {
	target
	Repo string `arg:"" help:"The repository."`
	ID   int64  `arg:"" help:"The webhook's id, as gate webhook list shows it."`
}

func (c oneWebhook) path() string { return webhooksPath(c.Repo) + "/" + strconv.FormatInt(c.ID, 10) }

type webhookTestCmd struct{ oneWebhook }

func (c *webhookTestCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var d api.Delivery
		if err := cl.do(http.MethodPost, c.path()+"/test", nil, &d); err != nil {
			return err
		}
		return line(p.stdout, "%d is being sent: gate webhook deliveries %s %d", d.ID, c.Repo, c.ID)
	})
}

type webhookDeliveriesCmd struct {
	oneWebhook
	reading
}

func (c *webhookDeliveriesCmd) Run(p *process) error {
	return fetchAll(p, c.target, c.reading, c.path()+"/deliveries", func(w io.Writer, all []api.Delivery) error {
		var rows [][]string
		for _, d := range all {
			status := "-"
			if d.Status != 0 {
				status = strconv.Itoa(d.Status)
			}
			rows = append(rows, []string{strconv.FormatInt(d.ID, 10), date(d.CreatedAt), d.Event, d.State, strconv.Itoa(d.Attempts), status, d.Reason})
		}
		return printTable(w, "ID AT EVENT STATE ATTEMPTS STATUS REASON", rows)
	})
}

type webhookRedeliverCmd struct {
	oneWebhook
	Delivery int64 `arg:"" help:"The delivery's id, as gate webhook deliveries shows it."`
}

func (c *webhookRedeliverCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPost, c.path()+"/deliveries/"+strconv.FormatInt(c.Delivery, 10)+"/redeliver", nil, nil)
	})
}

type webhookPauseCmd struct{ oneWebhook }

func (c *webhookPauseCmd) Run(p *process) error { return c.set(p, true) }

type webhookResumeCmd struct{ oneWebhook }

func (c *webhookResumeCmd) Run(p *process) error { return c.set(p, false) }

func (c oneWebhook) set(p *process, paused bool) error {
	return c.with(p, func(cl *client) error {
		return cl.do(http.MethodPatch, c.path(), api.WebhookChange{Paused: paused}, nil)
	})
}

type webhookRemoveCmd struct{ oneWebhook }

func (c *webhookRemoveCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error { return cl.do(http.MethodDelete, c.path(), nil, nil) })
}

func webhooksPath(repository string) string {
	return "/repositories/" + inPath(repository) + "/webhooks"
}

// notifyVerbs, webhookVerbs and mailVerbs are their parts of the command tree.
type notifyVerbs struct {
	List notifyListCmd `cmd:"" help:"List what you were told and have not read."`
	Read notifyReadCmd `cmd:"" help:"Mark notifications as read."`
	Show notifyShowCmd `cmd:"" help:"Show what is mailed to you."`
	Set  notifySetCmd  `cmd:"" help:"Choose what is mailed to you."`
	Mute notifyMuteCmd `cmd:"" help:"Stop mail to you about a change."`
}

type webhookVerbs struct {
	List       webhookListCmd       `cmd:"" help:"List webhooks and how they are."`
	Add        webhookAddCmd        `cmd:"" help:"Add a webhook."`
	Test       webhookTestCmd       `cmd:"" help:"Send a test."`
	Deliveries webhookDeliveriesCmd `cmd:"" help:"List what was sent, and how it went."`
	Redeliver  webhookRedeliverCmd  `cmd:"" help:"Send a delivery once more, under its name."`
	Pause      webhookPauseCmd      `cmd:"" help:"Stop a webhook."`
	Resume     webhookResumeCmd     `cmd:"" help:"Have a webhook go on, also one that the server stopped."`
	Remove     webhookRemoveCmd     `cmd:"" help:"Remove a webhook."`
}

type mailVerbs struct {
	Test mailTestCmd `cmd:"" help:"Send one mail with a server's settings."`
}

func init() {
	for command, lines := range map[string][]string{
		"notify":      {"gate notify list", "gate notify set --mail turn --comments daily", "gate notify read --change 12"},
		"notify set":  {"gate notify set --mail turn", "gate notify set --comments hourly --own off", "gate notify set --mail none --data gate-data --as alice"},
		"webhook add": {"gate webhook add hello https://ci.example.org/gate", "gate webhook add hello - --kind slack --secret-file slack-address --event landed", "gate webhook add hello https://matrix.example.org --kind matrix --room '!abc:example.org' --secret-file token"},
		"mail test":   {"gate mail test alice@example.org --data /var/lib/gatehouse"},
	} {
		examples[command] = lines
	}
}
