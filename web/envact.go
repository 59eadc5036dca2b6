package web

import (
	"fmt"
	"strings"
	"time"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gitserver/fault"
)

// envForm is what somebody asked of an environment, shown again where it was not taken.
type envForm struct {
	Environment, Do, What, Reason, For string
	Problem, Hint                      string
}

// holdTimes are how long an order may hold that says when it ends.
var holdTimes = map[string]time.Duration{"1h": time.Hour, "4h": 4 * time.Hour, "1d": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// actOnEnvironment does what the pressed button says. A refusal is shown where the form was.
func (w *Web) actOnEnvironment(c *call) error {
	p, err := w.placeOf(c, "environments")
	if err != nil {
		return err
	}
	form := c.r.PostForm
	f := envForm{Environment: form.Get("environment"), Do: form.Get("do"), What: form.Get("what"), Reason: strings.TrimSpace(newlines(form.Get("reason"))), For: form.Get("for")}
	done, err := w.doOnEnvironment(c, p, f)
	if kind := fault.KindOf(err); err != nil && kind != fault.Internal && kind != fault.Unauthenticated {
		f.Problem, f.Hint = fault.Public(err)
		return w.refusedOn(c, p, &f, err)
	}
	if err != nil {
		return err
	}
	c.seeOther(repoURL(p.Repo.Name, "environments")+p.Query(), done)
	return nil
}

// refusedOn shows the page again with why a form was not taken, or the error where the page has
// no such environment.
func (w *Web) refusedOn(c *call, p placePage, f *envForm, err error) error {
	v, viewErr := w.envsOf(c.ctx(), c, p)
	if viewErr != nil {
		return viewErr
	}
	for _, e := range v.Envs {
		if e.Name == f.Environment {
			return w.showEnvironments(c, statusOf(fault.KindOf(err)), p, f)
		}
	}
	return err
}

// doOnEnvironment asks for it, and names what the next page says.
func (w *Web) doOnEnvironment(c *call, p placePage, f envForm) (done string, err error) {
	ctx, name := c.ctx(), p.Repo.Name
	ask := deliver.Ask{Environment: f.Environment, What: f.What, Reason: f.Reason}
	switch f.Do {
	case "promote", "hotfix":
		ask.Hotfix = f.Do == "hotfix"
		_, err = w.Gate.PromoteArtifact(ctx, c.actor, name, p.Branch, ask)
		return "promoted", err
	case "rollback":
		_, err = w.Gate.RollBack(ctx, c.actor, name, p.Branch, ask)
		return "rolled-back", err
	case "cancel":
		id := c.field("promotion")
		if id <= 0 {
			return "", fault.New(fault.Invalid, "web.environments", "the form does not say which promotion", "reload the page")
		}
		_, err = w.Gate.CancelPromotion(ctx, c.actor, name, id, f.Reason)
		return "promotion-canceled", err
	case deliver.OrderPin, deliver.OrderVeto, deliver.OrderFreeze:
		o := deliver.Order{Environment: f.Environment, Kind: f.Do, Digest: f.What, Reason: f.Reason, RollBack: f.Do == deliver.OrderVeto && c.r.PostForm.Get("back") != ""}
		if hold, ok := holdTimes[f.For]; ok {
			o.Until = w.Now().Add(hold)
		} else if f.For != "" {
			return "", fault.Newf(fault.Invalid, "web.environments", "%s is no time that an order can hold", plain(f.For))
		}
		return "ordered", w.Gate.Order(ctx, c.actor, name, p.Branch, o)
	case "lift":
		return "lifted", w.Gate.LiftOrder(ctx, c.actor, name, p.Branch, f.Environment, c.r.PostForm.Get("kind"), f.What)
	}
	return "", fault.New(fault.Invalid, "web.environments", "the form does not say what to do", "reload the page")
}

// setOutcome takes the form that says how far a change is meant to go.
func (w *Web) setOutcome(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if err := w.Gate.SetOutcome(c.ctx(), c.actor, id, c.r.PostForm.Get("outcome"), newlines(c.r.PostForm.Get("reason"))); err != nil {
		return w.aimAgain(c, id, err)
	}
	c.seeOther(fmt.Sprintf("/c/%d#delivery", id), "outcome")
	return nil
}

// bypass takes the form that leaves a stage or a gate out of a change's way.
func (w *Web) bypass(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if err := w.Gate.Bypass(c.ctx(), c.actor, id, c.r.PostForm.Get("node"), newlines(c.r.PostForm.Get("reason"))); err != nil {
		return w.aimAgain(c, id, err)
	}
	c.seeOther(fmt.Sprintf("/c/%d#delivery", id), "bypassed")
	return nil
}

// aimAgain shows the page of a change's way with why a form was not taken.
func (w *Web) aimAgain(c *call, id int64, err error) error {
	kind := fault.KindOf(err)
	if kind == fault.Internal || kind == fault.Unauthenticated || kind == fault.NotFound {
		return err
	}
	v, viewErr := w.wayOf(c, id)
	if viewErr != nil {
		return viewErr
	}
	form := c.r.PostForm
	v.Form = &envForm{What: form.Get("node") + form.Get("outcome"), Reason: form.Get("reason")}
	v.Form.Problem, v.Form.Hint = fault.Public(err)
	return w.showWay(c, statusOf(kind), v)
}

// deliverNotices are what the page says after one of these acts: see notices.
func init() {
	for name, text := range map[string]string{
		"promoted": "It is asked for. It enters when its gates are open and it is its turn.", "rolled-back": "The rollback is asked for.",
		"promotion-canceled": "The promotion is withdrawn.", "ordered": "The order holds from now on.", "lifted": "The order is lifted.",
		"outcome": "The outcome is chosen. Stages that are needed for it run now.", "bypassed": "It is left out, and said so wherever the change is.",
		"approved": "Your approval is written down.", "unapproved": "Your approval is withdrawn.",
	} {
		notices[name] = text
	}
}
