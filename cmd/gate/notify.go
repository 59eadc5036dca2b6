package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

// The workers of what is told: a mail server and a webhook that are slow hold up few others.
const (
	foldWorkers    = 2
	sendWorkers    = 4
	deliverWorkers = 8
)

// mailer is the way to the mail server that the settings name, nil when they name none.
func (s Settings) mailer() *notify.Mailer {
	if s.MailServer == "" {
		return nil
	}
	return &notify.Mailer{Server: s.MailServer, TLS: s.MailTLS, User: s.MailUser, PasswordFile: s.MailPassword, From: s.MailFrom, ReplyTo: s.MailReplyTo}
}

// checkNotify says what is wrong with the settings of mail and webhooks.
func (s Settings) checkNotify() error {
	if _, err := notify.ParseNetworks(s.HookNetworks); err != nil {
		return err
	}
	if s.MailQuiet < 0 {
		return fault.New(fault.Invalid, "config.check", fmt.Sprintf("mail-quiet is %s, which is less than nothing", s.MailQuiet), "write it as 90s")
	}
	if m := s.mailer(); m != nil {
		return m.Check()
	}
	for name, value := range map[string]string{"mail-from": s.MailFrom, "mail-user": s.MailUser, "mail-password-file": s.MailPassword, "mail-reply-to": s.MailReplyTo} {
		if value != "" {
			return fault.New(fault.Invalid, "config.check", name+" is given without mail-server, so no mail is sent", "give --mail-server HOST:PORT as well")
		}
	}
	return nil
}

// notifier is the room that tells people and other servers.
func (a *app) notifier() *notify.Service {
	s := a.settings
	var networks []netip.Prefix
	if all, err := notify.ParseNetworks(s.HookNetworks); err == nil { // checked with the settings
		networks = all
	}
	n := &notify.Service{
		DB: a.db, Accounts: a.accounts, Repos: a.repos, Review: a.review, Explain: a.gate, Bus: a.bus, Now: time.Now, Log: a.log,
		URL: s.URL, Dir: s.folder("notify"), Mail: s.mailer(), Quiet: s.MailQuiet, Networks: networks,
	}
	workers := map[string]int{notify.JobFold: foldWorkers, notify.JobSummary: foldWorkers, notify.JobSend: sendWorkers, notify.JobDeliver: deliverWorkers}
	for kind, handle := range n.Handlers() {
		a.jobs.Handle(kind, workers[kind], handle)
	}
	return n
}

type mailTestCmd struct {
	Data    string `placeholder:"DIR" default:"./gate-data" help:"The server's folder ($GATE_DATA)."`
	Config  string `placeholder:"FILE" help:"The server's settings file, when it is not DIR/gate.yaml ($GATE_CONFIG)."`
	Address string `arg:"" help:"Where the mail goes."`
}

// Run sends one mail with the settings of the server on a folder, from this process.
func (c *mailTestCmd) Run(p *process) error {
	data := c.Data
	if value, ok := p.env("GATE_DATA"); ok && value != "" && data == "./gate-data" {
		data = value
	}
	set, err := settingsOf(p, data, c.Config, "")
	if err != nil {
		return err
	}
	set.useAddresses()
	m := set.mailer()
	if m == nil {
		return fault.New(fault.Invalid, "gate.mail", "this server sends no mail", "set mail-server and mail-from in "+set.folder(fileName)+", or as GATE_MAIL_SERVER and GATE_MAIL_FROM")
	}
	if err := m.TestMail(p.ctx, c.Address, host(set.URL), time.Now()); err != nil {
		return err
	}
	return line(p.stdout, "%s took a mail for %s from %s", set.MailServer, clean(c.Address), set.MailFrom)
}

// host is a server's address for a sentence.
func host(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return "Gatehouse"
}
