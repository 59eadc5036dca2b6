package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
	"gatehouse/web/notify/inbound"
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
	return &notify.Mailer{Server: s.MailServer, TLS: s.MailTLS, User: s.MailUser, PasswordFile: s.MailPassword, From: s.MailFrom, ReplyTo: s.MailReplyTo, Answers: s.answerDomain()}
}

// answerDomain is the domain of the addresses that take answers, "" when nobody listens.
func (s Settings) answerDomain() string {
	if s.MailAnswers == "" || s.AnswerDomain != "" {
		return s.AnswerDomain
	}
	_, domain, _ := strings.Cut(s.MailFrom, "@")
	return domain
}

// listenForAnswers takes answers to mails until the returned function is called.
func (s *server) listenForAnswers(set Settings) (stop func() error, err error) {
	if set.MailAnswers == "" {
		return func() error { return nil }, nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", set.MailAnswers)
	if err != nil {
		return nil, fault.New(fault.Invalid, "gate.serve", "mail-answers: "+err.Error(), "name an address of this machine and a port that nothing else has")
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	in := &inbound.Server{Domain: set.answerDomain(), Taker: s.app.notify, Log: s.log}
	go func() {
		err := in.Serve(ctx, l)
		if err != nil {
			s.log.Error("answers to mails are not taken any more", "err", err)
		}
		over <- err
	}()
	s.log.Info("takes answers to mails", "address", l.Addr().String(), "domain", set.answerDomain())
	return func() error {
		cancel()
		return <-over
	}, nil
}

// checkNotify says what is wrong with the settings of mail and webhooks.
func (s Settings) checkNotify() error {
	if _, err := notify.ParseNetworks(s.HookNetworks); err != nil {
		return err
	}
	if s.MailQuiet < 0 {
		return fault.New(fault.Invalid, "config.check", fmt.Sprintf("mail-quiet is %s, which is less than nothing", s.MailQuiet), "write it as 90s")
	}
	if s.AnswerDomain != "" && s.MailAnswers == "" {
		return fault.New(fault.Invalid, "config.check", "mail-answers-domain is given without mail-answers, so nothing listens", "give mail-answers as well, as 127.0.0.1:2525")
	}
	if m := s.mailer(); m != nil {
		return m.Check()
	}
	for name, value := range map[string]string{"mail-from": s.MailFrom, "mail-user": s.MailUser, "mail-password-file": s.MailPassword, "mail-reply-to": s.MailReplyTo, "mail-answers": s.MailAnswers, "mail-answers-domain": s.AnswerDomain} {
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
