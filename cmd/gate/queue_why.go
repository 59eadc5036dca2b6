package main

import (
	"io"
	"slices"

	"gatehouse/gatekeeper"
)

type queueWhyCmd struct {
	target
	reading
	Number int64 `arg:"" help:"The change's number."`
}

func (c *queueWhyCmd) Run(p *process) error {
	return c.with(p, func(cl *client) error {
		var e gatekeeper.Explanation
		if err := cl.do("GET", changePath(c.Number, "/explain"), nil, &e); err != nil {
			return err
		}
		e = queuePart(e)
		if c.JSON {
			return printJSON(p.stdout, e)
		}
		return showQueuePart(p.stdout, e)
	})
}

// queuePart leaves of an explanation what the queue says.
func queuePart(e gatekeeper.Explanation) gatekeeper.Explanation {
	e.Requirements = slices.DeleteFunc(slices.Clone(e.Requirements), func(r gatekeeper.Requirement) bool { return r.Kind != "queue" })
	return e
}

func showQueuePart(w io.Writer, e gatekeeper.Explanation) error {
	if err := showExplanation(w, e); err != nil {
		return err
	}
	if e.QueuePosition == 0 && !e.State.Final() {
		return line(w, "  not in the queue: gate why %d says what is missing", e.Change)
	}
	return nil
}
