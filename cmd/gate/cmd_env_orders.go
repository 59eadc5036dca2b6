package main

import (
	"fmt"
	"net/http"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/fault"
	"gatehouse/web/api"
)

// ending says when an order ends.
type ending struct {
	Until string        `placeholder:"TIME" xor:"end" help:"When it ends, in local time: 2026-12-24, 2026-12-24 18:00, 18:00, or with a zone as in RFC 3339."`
	For   time.Duration `placeholder:"DURATION" xor:"end" help:"How long from now on: 90m, 48h. Without an end somebody has to lift it."`
}

func (e ending) end() (until time.Time, seconds int64, err error) {
	switch {
	case e.Until != "":
		until, err = parseEnd(e.Until, time.Now())
		return until, 0, err
	case e.For < 0, e.For > 0 && e.For < time.Second:
		return until, 0, fault.New(fault.Invalid, "gate.env", fmt.Sprintf("an order cannot take %s", e.For), "write --for 90m or --for 48h")
	default:
		return until, int64(e.For / time.Second), nil
	}
}

// environmentDo does something with an environment and shows what it is then.
func environmentDo(p *process, t target, r reading, path string, in any) error {
	return t.with(p, func(cl *client) error {
		var v gatekeeper.EnvironmentView
		if err := cl.do(http.MethodPost, path, in, &v); err != nil {
			return err
		}
		if r.JSON {
			return printJSON(p.stdout, v)
		}
		return showEnvironment(p.stdout, v)
	})
}

type envPinCmd struct {
	target
	reading
	ofEnvironment
	What   string `arg:"" help:"The artifact, by its digest, its commit or its change."`
	Reason string `required:"" placeholder:"TEXT" help:"Why: others will ask."`
	ending
}

func (c *envPinCmd) Run(p *process) error {
	until, seconds, err := c.end()
	if err != nil {
		return err
	}
	return environmentDo(p, c.target, c.reading, c.at("/pin"), api.NewPin{What: c.What, Reason: c.Reason, Until: until, Seconds: seconds})
}

type envVetoCmd struct {
	target
	reading
	ofEnvironment
	What     string `arg:"" help:"The artifact, by its digest, its commit or its change."`
	Reason   string `required:"" placeholder:"TEXT" help:"Why: others will ask."`
	Rollback bool   `help:"Also go back when it is what runs."`
	ending
}

func (c *envVetoCmd) Run(p *process) error {
	until, seconds, err := c.end()
	if err != nil {
		return err
	}
	pin := api.NewPin{What: c.What, Reason: c.Reason, Until: until, Seconds: seconds}
	return environmentDo(p, c.target, c.reading, c.at("/veto"), api.NewVeto{NewPin: pin, Rollback: c.Rollback})
}

type envFreezeCmd struct {
	target
	reading
	ofEnvironment
	Reason string `required:"" placeholder:"TEXT" help:"Why, for those who wait."`
	ending
}

func (c *envFreezeCmd) Run(p *process) error {
	until, seconds, err := c.end()
	if err != nil {
		return err
	}
	return environmentDo(p, c.target, c.reading, c.at("/freeze"), api.NewEnvironmentFreeze{Reason: c.Reason, Until: until, Seconds: seconds})
}

type envLiftCmd struct {
	target
	ofEnvironment
	Order string `arg:"" enum:"pin,veto,freeze" help:"pin, veto or freeze."`
	What  string `arg:"" optional:"" help:"The artifact of a veto, where there are several: by its digest, its commit or its change."`
}

func (c *envLiftCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error { return cl.do(http.MethodDelete, c.at("/"+c.Order, "what", c.What), nil, nil) })
}
