package web

import (
	"net/http"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/web/notify"
)

// webhooksView is the webhooks of a repository, for its owners.
type webhooksView struct {
	repoPage
	Hooks        []hookRow
	Events       []hookEvent
	Form         notify.NewWebhook // what was refused, for mending
	Secret       string            // one that was just made: shown this once
	Reason, Hint string
}

// hookRow is a webhook in a list.
type hookRow struct {
	notify.Webhook
	Link string
}

// hookEvent is a kind of event to choose.
type hookEvent struct {
	Kind   string
	Chosen bool
}

func (w *Web) webhooks(c *call) error {
	return w.showWebhooks(c, http.StatusOK, webhooksView{Form: notify.NewWebhook{Kind: notify.Generic}})
}

func (w *Web) showWebhooks(c *call, status int, v webhooksView) error {
	var err error
	if v.repoPage, err = w.ownedRepo(c); err != nil {
		return err
	}
	all, err := w.Notify.Webhooks(c.ctx(), v.Repo.ID)
	if err != nil {
		return err
	}
	for _, h := range all {
		v.Hooks = append(v.Hooks, hookRow{h, w.hookURL(v.repoPage, h.ID)})
	}
	for _, kind := range notify.Events() {
		chosen := false
		for _, e := range v.Form.Events {
			chosen = chosen || e == kind
		}
		v.Events = append(v.Events, hookEvent{kind, chosen})
	}
	return w.render(c, status, "webhooks", "Webhooks of "+v.Repo.Name, v, withUp(repoURL(v.Repo.Name, "settings")))
}

func (w *Web) hookURL(p repoPage, id int64) string {
	return repoURL(p.Repo.Name, "webhooks", strconv.FormatInt(id, 10))
}

// addWebhook makes a webhook. A secret that was made is shown in the answer, the only time that it can be.
func (w *Web) addWebhook(c *call) error {
	p, err := w.ownedRepo(c)
	if err != nil {
		return err
	}
	form := c.r.PostForm
	n := notify.NewWebhook{
		Kind: notify.HookKind(form.Get("kind")), URL: strings.TrimSpace(form.Get("url")), Room: strings.TrimSpace(form.Get("room")),
		Secret: strings.TrimSpace(form.Get("secret")), Events: form["event"],
	}
	made, secret, err := w.Notify.AddWebhook(c.ctx(), p.Repo.ID, c.actor, n)
	if kind := fault.KindOf(err); err != nil && kind != fault.Internal {
		v := webhooksView{Form: n}
		v.Form.Secret = ""
		v.Reason, v.Hint = fault.Public(err)
		return w.showWebhooks(c, statusOf(kind), v)
	}
	if err != nil {
		return err
	}
	if secret != "" {
		return w.showWebhooks(c, http.StatusOK, webhooksView{Secret: secret, Form: notify.NewWebhook{Kind: notify.Generic}})
	}
	c.seeOther(w.hookURL(p, made.ID), "hooked")
	return nil
}

// webhookView is one webhook with its deliveries.
type webhookView struct {
	repoPage
	Hook       notify.Webhook
	Deliveries []notify.Delivery
	Action     string
}

func (w *Web) hookID(c *call) int64 {
	id, err := strconv.ParseInt(c.variable("id"), 10, 64)
	if err != nil {
		return 0 // no row has it
	}
	return id
}

func (w *Web) webhook(c *call) error {
	p, err := w.ownedRepo(c)
	if err != nil {
		return err
	}
	v := webhookView{repoPage: p}
	if v.Hook, err = w.Notify.Webhook(c.ctx(), p.Repo.ID, w.hookID(c)); err != nil {
		return err
	}
	if v.Deliveries, err = w.Notify.Deliveries(c.ctx(), p.Repo.ID, v.Hook.ID); err != nil {
		return err
	}
	v.Action = w.hookURL(p, v.Hook.ID)
	return w.render(c, http.StatusOK, "webhook", "Webhook of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "webhooks")))
}

// actOnWebhook does what the pressed button says.
func (w *Web) actOnWebhook(c *call) error {
	p, err := w.ownedRepo(c)
	if err != nil {
		return err
	}
	ctx, id, back, done := c.ctx(), w.hookID(c), w.hookURL(p, w.hookID(c)), ""
	switch c.r.PostForm.Get("do") {
	case "test":
		_, err = w.Notify.TestWebhook(ctx, p.Repo.ID, id)
		done = "hook-sent"
	case "pause":
		err = w.Notify.SetWebhook(ctx, p.Repo.ID, id, false)
		done = "hook-paused"
	case "resume":
		err = w.Notify.SetWebhook(ctx, p.Repo.ID, id, true)
		done = "hook-resumed"
	case "remove":
		err = w.Notify.RemoveWebhook(ctx, p.Repo.ID, id)
		back, done = repoURL(p.Repo.Name, "webhooks"), "unhooked"
	case "redeliver":
		var delivery int64
		if delivery, err = c.formID("delivery"); err == nil {
			_, err = w.Notify.Redeliver(ctx, p.Repo.ID, id, delivery)
		}
		done = "hook-sent"
	default:
		err = fault.New(fault.Invalid, "web.webhook", "the form does not say what to do", "reload the page")
	}
	if err != nil {
		return err
	}
	c.seeOther(back, done)
	return nil
}
