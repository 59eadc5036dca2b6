package web

import (
	"fmt"

	"gatehouse/gatekeeper"
)

// recheck runs stages of a change again: what did not pass, and those that the form names.
func (w *Web) recheck(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	what := gatekeeper.Rerun{Stages: c.r.PostForm["stage"], Reason: newlines(c.r.PostForm.Get("reason"))}
	if err := w.Gate.Rerun(c.ctx(), c.actor, id, what); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "rechecked")
	return nil
}
