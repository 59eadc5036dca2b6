package main

import (
	"fmt"
	"net/http"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// queueCmd is the queue and the orders that people give it.
type queueCmd struct {
	Show    queueShowCmd    `cmd:"" help:"Show the queue of a branch: what is tried, what waits, and for what."`
	Why     queueWhyCmd     `cmd:"" help:"Where a change stands in its queue, and what it waits for."`
	Promote queuePromoteCmd `cmd:"" help:"Let a change go before others."`
	Hold    queueHoldCmd    `cmd:"" help:"Keep a change from being tried and from landing; it keeps its place."`
	Release queueReleaseCmd `cmd:"" help:"End a hold."`
	Remove  queueRemoveCmd  `cmd:"" help:"Take a change out of the queue, with the wish to land it."`
	Requeue queueRequeueCmd `cmd:"" help:"Ask again to land a patch set that left the queue, and test it anew."`
	Freeze  queueFreezeCmd  `cmd:"" help:"Let nothing but hotfixes land on a branch."`
	Thaw    queueThawCmd    `cmd:"" help:"End a freeze."`
}

type queuePromoteCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Hotfix bool   `help:"Before everything, and also while the branch is frozen. Its gates stay what they are."`
	Reason string `placeholder:"TEXT" help:"Why, in a line: those who wait behind it read it."`
	Off    bool   `help:"Take the promotion back."`
}

func (c *queuePromoteCmd) Run(p *process) error {
	if c.Off {
		if c.Hotfix || c.Reason != "" {
			return fault.New(fault.Invalid, "gate.queue", "--off takes a promotion back, and takes neither --hotfix nor --reason", fmt.Sprintf("gate queue promote %d --off", c.Number))
		}
		return c.act(p, c.Number, http.MethodDelete, "/promote", nil, c.reading)
	}
	return c.act(p, c.Number, http.MethodPost, "/promote", api.Promotion{Hotfix: c.Hotfix, Reason: c.Reason}, c.reading)
}

type queueHoldCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Reason string `placeholder:"TEXT" help:"Why, in a line."`
}

func (c *queueHoldCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/hold", api.Order{Reason: c.Reason}, c.reading)
}

type queueReleaseCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *queueReleaseCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodDelete, "/hold", nil, c.reading)
}

type queueRemoveCmd struct {
	target
	reading
	Number int64  `arg:"" help:"The change's number."`
	Reason string `placeholder:"TEXT" help:"Why, in a line."`
}

func (c *queueRemoveCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/remove", api.Order{Reason: c.Reason}, c.reading)
}

type queueRequeueCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *queueRequeueCmd) Run(p *process) error {
	return c.act(p, c.Number, http.MethodPost, "/requeue", nil, c.reading)
}

// queueOf names the queue of a branch.
type queueOf struct {
	Repo   string `arg:"" help:"The repository."`
	Branch string `arg:"" optional:"" help:"The branch; without it the default branch."`
}

// path is where the API has the queue.
func (q queueOf) path(cl *client) (string, error) {
	branch := q.Branch
	if branch == "" {
		var r api.Repository
		if err := cl.do(http.MethodGet, "/repositories/"+inPath(q.Repo), nil, &r); err != nil {
			return "", err
		}
		branch = r.DefaultBranch
	}
	return "/queues/" + inPath(q.Repo) + "/" + inPath(branch), nil
}

type queueFreezeCmd struct {
	target
	reading
	queueOf
	Reason string        `placeholder:"TEXT" help:"Why, in a line: those who wait read it."`
	Until  string        `placeholder:"TIME" xor:"end" help:"When it ends, in local time: 2026-12-24, 2026-12-24 18:00, 18:00, or with a zone as in RFC 3339."`
	For    time.Duration `placeholder:"DURATION" xor:"end" help:"How long from now on: 90m, 48h. Without an end somebody has to thaw the branch."`
}

func (c *queueFreezeCmd) Run(p *process) error {
	in := api.NewFreeze{Reason: c.Reason}
	switch {
	case c.Until != "":
		until, err := parseEnd(c.Until, time.Now())
		if err != nil {
			return err
		}
		in.Until = until
	case c.For < 0, c.For > 0 && c.For < time.Second:
		return fault.New(fault.Invalid, "gate.queue", fmt.Sprintf("a freeze cannot take %s", c.For), "write --for 90m or --for 48h")
	default:
		in.Seconds = int64(c.For / time.Second)
	}
	return c.with(p, func(cl *client) error {
		path, err := c.path(cl)
		if err != nil {
			return err
		}
		var made gatekeeper.Freeze
		if err := cl.do(http.MethodPost, path+"/freeze", in, &made); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, made)
		}
		return line(p.stdout, "%s", clean(freezeWords(made)))
	})
}

type queueThawCmd struct {
	target
	queueOf
}

func (c *queueThawCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		path, err := c.path(cl)
		if err != nil {
			return err
		}
		return cl.do(http.MethodDelete, path+"/freeze", nil, nil)
	})
}

func freezeWords(f gatekeeper.Freeze) string {
	end := "until somebody thaws it"
	if !f.Until.IsZero() {
		end = "until " + date(f.Until)
	}
	return fmt.Sprintf("frozen by %s %s: %s", f.By, end, f.Reason)
}

// parseEnd reads a time as people write it. A time of day alone is the next one.
func parseEnd(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "gate.queue", fmt.Sprintf("%q is no time", text), "write 2026-12-24, \"2026-12-24 18:00\", 18:00 or 2026-12-24T18:00:00+01:00")
	}
	next := time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location())
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	return next, nil
}
