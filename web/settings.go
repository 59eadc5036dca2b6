package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/mirror"
	"gatehouse/migrations/db"
)

// settingsView is an account's own settings.
type settingsView struct {
	Account      account.Account
	Keys         []account.Key
	Tokens       []tokenRow
	HasPassword  bool
	Secret       string // a token that was just made: shown this once
	KeyText      string // a key that was refused, for mending
	Reason, Hint string // why the last form was refused
}

type tokenRow struct {
	account.Token
	What string
}

func (w *Web) settings(c *call) error { return w.showSettings(c, http.StatusOK, settingsView{}) }

func (w *Web) showSettings(c *call, status int, v settingsView) error {
	ctx, q := c.ctx(), w.DB.Read()
	var err error
	if v.Account, err = w.Accounts.ByID(ctx, q, c.actor.ID); err != nil {
		return err
	}
	if v.Keys, err = w.Accounts.Keys(ctx, q, c.actor.ID); err != nil {
		return err
	}
	if v.HasPassword, err = w.Accounts.HasPassword(ctx, q, c.actor.ID); err != nil {
		return err
	}
	tokens, err := w.Accounts.Tokens(ctx, q, c.actor.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.RevokedAt.IsZero() && t.ExpiresAt.After(w.Now()) && t.Kind != account.SigninToken {
			v.Tokens = append(v.Tokens, tokenRow{t, pick(t.Kind == account.APIToken, "API token", "browser session")})
		}
	}
	return w.render(c, status, "settings", "Settings", v, withUp("/"))
}

// settingsAgain shows the page with why a form was refused.
func (w *Web) settingsAgain(c *call, v settingsView, err error) error {
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		return err
	}
	v.Reason, v.Hint = fault.Public(err)
	return w.showSettings(c, statusOf(kind), v)
}

func (w *Web) addKey(c *call) error {
	text := newlines(c.r.PostForm.Get("key"))
	err := w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
		_, err := w.Accounts.AddKey(c.ctx(), tx, c.actor.ID, text)
		return err
	})
	if err != nil {
		return w.settingsAgain(c, settingsView{KeyText: text}, err)
	}
	c.seeOther("/settings", "key")
	return nil
}

// formID reads the id of a row from a form.
func (c *call) formID(field string) (int64, error) {
	id, err := strconv.ParseInt(c.r.PostForm.Get(field), 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.New(fault.Invalid, "web.settings", "the form does not say what it is about", "reload the page")
	}
	return id, nil
}

func (w *Web) removeKey(c *call) error {
	id, err := c.formID("key_id")
	if err != nil {
		return err
	}
	err = w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
		return w.Accounts.RemoveKey(c.ctx(), tx, c.actor.ID, id)
	})
	if err != nil {
		return w.settingsAgain(c, settingsView{}, err)
	}
	c.seeOther("/settings", "unkeyed")
	return nil
}

// addToken makes an API token and shows it in the answer, the only time that it is known.
// The page is not stored (no-store), and reloading it asks before it sends the form again.
func (w *Web) addToken(c *call) error {
	days, err := strconv.Atoi(c.r.PostForm.Get("days"))
	if err != nil || days <= 0 {
		return w.settingsAgain(c, settingsView{}, fault.New(fault.Invalid, "web.addToken", "a token is valid for a number of days", ""))
	}
	var secret string
	err = w.DB.Transact(c.ctx(), func(tx *db.Tx) (err error) {
		secret, err = w.Accounts.NewToken(c.ctx(), tx, c.actor.ID, account.APIToken, newlines(c.r.PostForm.Get("label")), time.Duration(days)*24*time.Hour)
		return err
	})
	if err != nil {
		return w.settingsAgain(c, settingsView{}, err)
	}
	return w.showSettings(c, http.StatusOK, settingsView{Secret: secret})
}

func (w *Web) revokeToken(c *call) error {
	id, err := c.formID("token_id")
	if err != nil {
		return err
	}
	err = w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
		return w.Accounts.RevokeToken(c.ctx(), tx, c.actor.ID, id)
	})
	if err != nil {
		return w.settingsAgain(c, settingsView{}, err)
	}
	c.seeOther("/settings", "revoked")
	return nil
}

// setPassword asks for the present password, so that an unlocked screen is not enough to
// take an account over. Changing it ends every session; this browser gets a new one.
func (w *Web) setPassword(c *call) error {
	ctx, form := c.ctx(), c.r.PostForm
	has, err := w.Accounts.HasPassword(ctx, w.DB.Read(), c.actor.ID)
	if err != nil {
		return err
	}
	if has {
		if err := w.signins.allow(w.Now(), c.r.RemoteAddr, c.actor.Name); err != nil {
			return w.settingsAgain(c, settingsView{}, err)
		}
		who, err := w.Accounts.ActorByPassword(ctx, w.DB.Read(), c.actor.Name, form.Get("old"))
		if fault.Is(err, fault.Unauthenticated) || err == nil && who.ID != c.actor.ID {
			err = fault.New(fault.Denied, "web.setPassword", "the present password is wrong", "type it again, or ask an administrator for a one-time link")
		}
		if err != nil {
			return w.settingsAgain(c, settingsView{}, err)
		}
	}
	err = w.open(c, func(ctx context.Context, tx *db.Tx) (account.Actor, error) {
		return c.actor, w.Accounts.SetPassword(ctx, tx, c.actor.ID, form.Get("new"))
	})
	if err != nil {
		return w.settingsAgain(c, settingsView{}, err)
	}
	c.seeOther("/settings", "password")
	return nil
}

// repoSettingsView is a repository as its owners see it.
type repoSettingsView struct {
	repoPage
	Grants   []account.Grant
	Rules    []account.Rule
	Mirrors  []mirrorRow
	Problems []string
	PlanURL  string
	RetryURL string
}

type mirrorRow struct {
	mirror.Mirror
	MayRetry bool
}

func (w *Web) repoSettings(c *call) error {
	p, err := w.ownedRepo(c)
	if err != nil {
		return err
	}
	ctx, q := c.ctx(), w.DB.Read()
	v := repoSettingsView{repoPage: p, RetryURL: repoURL(p.Repo.Name, "retry")}
	if v.Grants, err = w.Accounts.Grants(ctx, q, p.Repo.ID); err != nil {
		return err
	}
	if v.Rules, err = w.Accounts.Rules(ctx, q, p.Repo.ID); err != nil {
		return err
	}
	mirrors, err := w.Mirrors.List(ctx, q, p.Repo.ID)
	if err != nil {
		return err
	}
	for _, m := range mirrors {
		v.Mirrors = append(v.Mirrors, mirrorRow{m, m.State != mirror.Synced})
	}
	if err := v.readPlan(c); err != nil {
		return err
	}
	return w.render(c, http.StatusOK, "repo-settings", "Settings of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "")))
}

// readPlan says whether the default branch has a plan, and what is wrong with it.
func (v *repoSettingsView) readPlan(c *call) error {
	rev, err := revisionOf(c.ctx(), v.git, v.Repo.DefaultBranch)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := v.git.FileAt(c.ctx(), rev.OID, plan.File, plan.MaxFile)
	switch fault.KindOf(err) {
	case fault.NotFound:
		return nil
	case fault.Invalid, fault.TooLarge:
		v.Problems = []string{fault.Sentence(err)}
		return nil
	}
	if err != nil {
		return err
	}
	v.PlanURL = repoURL(v.Repo.Name, "file", v.Repo.DefaultBranch, plan.File)
	_, problems := plan.Parse(plan.File, text)
	for _, problem := range problems {
		v.Problems = append(v.Problems, problem.String())
	}
	return nil
}

func (w *Web) ownedRepo(c *call) (repoPage, error) {
	p, err := w.repoOf(c, "settings")
	if err != nil {
		return p, err
	}
	return p, w.may(c, account.Own, p.Repo.Resource(""))
}

// retryMirror tries a mirror at once that waits, stopped or was paused.
func (w *Web) retryMirror(c *call) error {
	p, err := w.ownedRepo(c)
	if err != nil {
		return err
	}
	id, err := c.formID("mirror")
	if err != nil {
		return err
	}
	err = w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
		m, err := w.Mirrors.ByID(c.ctx(), tx, id)
		if err == nil && m.Repo != p.Repo.ID {
			err = notFound("web.retryMirror", "there is no such mirror")
		}
		if err != nil {
			return err
		}
		return w.Mirrors.Retry(c.ctx(), tx, id)
	})
	if err != nil {
		return err
	}
	w.Bus.Wake(event.RepoTopic(p.Repo.ID))
	c.seeOther(repoURL(p.Repo.Name, "settings"), "retried")
	return nil
}
