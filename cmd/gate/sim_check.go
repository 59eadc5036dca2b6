package main

import (
	"cmp"
	"errors"
	"time"

	"gatehouse/gatekeeper/sim"
	"gatehouse/gitserver/fault"
)

// checkReport is what a check answers: of the queue and, beside it, of environments.
type checkReport struct {
	sim.Summary
	Promotions sim.Summary `json:"promotions"`
}

// check holds the queue and the promotions to their rules in random histories, and tells the story of the first
// in which one broke one. It ends with 1 then.
func (c *simCmd) check(p *process) error {
	if c.Seed < 0 || c.Histories < 1 {
		return fault.New(fault.Invalid, "gate.sim", "a check needs a seed from 0 on and at least one history", "gate sim --check --seed 1 --histories 1000")
	}
	var r checkReport
	var queue, promotions error // one that breaks a rule does not keep the other from being looked at
	r.Summary, queue = c.checkOne(p, "queue", sim.Check)
	r.Promotions, promotions = c.checkOne(p, "promotions", sim.CheckPromotions)
	if err := cmp.Or(queue, promotions); err != nil || !c.JSON {
		return err
	}
	return printJSON(p.stdout, r)
}

// checkOne checks one machine, and says how far it is.
func (c *simCmd) checkOne(p *process, of string, check func(uint64, int, func(int)) (sim.Summary, error)) (sim.Summary, error) {
	begin := time.Now()
	s, err := check(uint64(c.Seed), c.Histories, func(done int) {
		say(p.stderr, "%s: %d of %d histories, %.0f a second", of, done, c.Histories, float64(done)/time.Since(begin).Seconds())
	})
	var broken *sim.Violation
	if errors.As(err, &broken) {
		say(p.stderr, "gate: %s: %v\n%s", of, broken, broken.Story)
		return s, exitError(exitFailed)
	}
	if err != nil || c.JSON {
		return s, err
	}
	return s, line(p.stdout, "%s: %d histories, %d steps: no rule was broken (%s)", of, s.Histories, s.Steps, s.Digest)
}
