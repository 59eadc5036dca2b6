package main

import (
	"errors"
	"time"

	"gatehouse/gatekeeper/sim"
	"gatehouse/gitserver/fault"
)

// check holds the queue to its rules in random histories, and tells the story of the first in which it broke
// one. It ends with 1 then.
func (c *simCmd) check(p *process) error {
	if c.Seed < 0 || c.Histories < 1 {
		return fault.New(fault.Invalid, "gate.sim", "a check needs a seed from 0 on and at least one history", "gate sim --check --seed 1 --histories 1000")
	}
	begin := time.Now()
	s, err := sim.Check(uint64(c.Seed), c.Histories, func(done int) {
		say(p.stderr, "%d of %d histories, %.0f a second", done, c.Histories, float64(done)/time.Since(begin).Seconds())
	})
	var broken *sim.Violation
	switch {
	case errors.As(err, &broken):
		say(p.stderr, "gate: %v\n%s", broken, broken.Story)
		return exitError(exitFailed)
	case err != nil:
		return err
	case c.JSON:
		return printJSON(p.stdout, s)
	default:
		return line(p.stdout, "%d histories, %d steps: no rule was broken (%s)", s.Histories, s.Steps, s.Digest)
	}
}
