package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

type serveCmd struct{ Settings }

// Run serves until a signal. The first asks the server to drain, a second quits at once: what
// is cut then is repaired at the next start.
func (c *serveCmd) Run(p *process) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	for _, name := range strangers(p.environ) {
		say(p.stderr, "note: %s is set, and nothing reads it", name)
	}
	s, err := startServer(p.ctx, c.Settings, p.stderr)
	if err != nil {
		return err
	}
	if err := s.greet(p.ctx, p.stderr); err != nil {
		return s.stop(err)
	}
	select {
	case <-signals:
	case err := <-s.failed:
		return s.stop(err)
	case <-p.ctx.Done():
	}
	drained := make(chan error, 1)
	go func() { drained <- s.stop(nil) }()
	select {
	case err := <-drained:
		return err
	case <-signals:
		say(p.stderr, "gate: quitting at once")
		return exitError(exitFailed)
	}
}

// greet says, in at most six lines, where the server is and what to do next. The one-time link
// goes to a file as well; with logs in JSON only there, because collectors keep what they read.
func (s *server) greet(ctx context.Context, talk io.Writer) error {
	link, err := s.firstAdmin(ctx)
	if err != nil {
		return err
	}
	set := s.app.settings
	if set.LogForm == logJSON {
		s.log.Info("serving", "version", fullVersion(), "data", s.shown, "database", s.app.db.Dialect(), "http", s.at.HTTP, "ssh", s.at.SSH, "sandbox", s.sandbox, "url", set.URL)
		return nil
	}
	isNew := ""
	if s.fresh {
		isNew = " (new)"
	}
	say(talk, "gate %s  data %s%s  database %s  sandbox %s", fullVersion(), s.shown, isNew, s.app.db.Dialect(), s.sandbox)
	say(talk, "listening on %s and %s", set.URL, set.SSHURL)
	if s.noStages != "" {
		say(talk, "this server runs no stages: %s", s.noStages)
	}
	if link != "" {
		say(talk, "first administrator, once and within 30 minutes:  %s", link)
		say(talk, "next:  gate repo create hello --import PATH --data %s", s.shown)
		return nil
	}
	say(talk, "sign in:  gate account link NAME --data %s", s.shown)
	return nil
}
