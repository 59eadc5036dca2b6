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

// stopStage stops a stage that runs, or with all of its run.
func (w *Web) stopStage(c *call) error {
	id, err := c.number("id")
	if err != nil {
		return err
	}
	form := c.r.PostForm
	if err := w.Gate.Stop(c.ctx(), c.actor, gatekeeper.Stop{StageRun: id, All: form.Get("all") != "", Reason: newlines(form.Get("reason"))}); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/stage/%d/log", id), "stopped")
	return nil
}
