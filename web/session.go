package web

import (
	"context"
	"net/http"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// sessionSeconds is how long a browser keeps the cookie: the longest life of a session. The
// server ends it earlier when it is idle.
const sessionSeconds = 7 * 24 * 60 * 60

// cookieName carries the __Host- prefix where TLS allows it: such a cookie cannot be set by
// a neighbour's subdomain or over plain HTTP.
func (w *Web) cookieName() string {
	if w.secure() {
		return "__Host-gate"
	}
	return "gate_session"
}

// CookieName is the cookie that holds a session, for the API, which takes it as well.
func (w *Web) CookieName() string { return w.cookieName() }

func (w *Web) setCookie(c *call, secret string, maxAge int) {
	c.rw.Header().Set("Cache-Control", "private, no-store") // no cache may hand a session on
	http.SetCookie(c.rw, &http.Cookie{
		Name: w.cookieName(), Value: secret, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: w.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// recognise finds out who asks. A cookie that is no session any more is taken away, and its
// bearer is a visitor like any other.
func (w *Web) recognise(c *call) error {
	cookie, err := c.r.Cookie(w.cookieName())
	if err != nil || cookie.Value == "" {
		return nil
	}
	actor, err := w.Accounts.ActorByToken(c.ctx(), w.DB.Read(), account.SessionToken, cookie.Value)
	if fault.Is(err, fault.Unauthenticated) {
		w.setCookie(c, "", -1)
		return nil
	}
	if err != nil {
		return err
	}
	c.actor, c.session = actor, cookie.Value
	return w.Accounts.KeepAlive(c.ctx(), cookie.Value)
}

// stillThere reports whether the session of c is still good: streams ask before they say more.
func (w *Web) stillThere(c *call) bool {
	if c.session == "" {
		return true
	}
	_, err := w.Accounts.ActorByToken(c.ctx(), w.DB.Read(), account.SessionToken, c.session)
	return err == nil
}

// open starts a session for whoever prove returns, and ends the one that the browser had: a
// secret from before signing in is never one after it.
func (w *Web) open(c *call, prove func(ctx context.Context, tx *db.Tx) (account.Actor, error)) error {
	var secret string
	err := w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
		actor, err := prove(c.ctx(), tx)
		if err != nil {
			return err
		}
		if c.session != "" {
			if err := w.Accounts.RevokeSecret(c.ctx(), tx, c.session); err != nil {
				return err
			}
		}
		secret, err = w.Accounts.NewToken(c.ctx(), tx, actor.ID, account.SessionToken, "browser", 0)
		return err
	})
	if err != nil {
		return err
	}
	w.setCookie(c, secret, sessionSeconds)
	return nil
}

// signinView is what the sign-in page shows.
type signinView struct {
	Name   string
	Next   string
	Reason string // why the last attempt failed
	Hint   string
}

func (w *Web) signinPage(c *call) error {
	next := safeNext(c.query("next"))
	if c.signedIn() {
		c.seeOther(next, "")
		return nil
	}
	return w.render(c, http.StatusOK, "signin", "Sign in", signinView{Next: next})
}

// signin takes a password or an API token. Every failure looks the same.
func (w *Web) signin(c *call) error {
	form := c.r.PostForm
	view := signinView{Name: form.Get("name"), Next: safeNext(form.Get("next"))}
	if err := w.signins.allow(w.Now(), c.r.RemoteAddr, view.Name); err != nil {
		return w.signinAgain(c, view, err)
	}
	// Deriving a password's key takes long on purpose, so it happens before the transaction.
	actor, err := w.prove(c, view.Name, form.Get("password"), form.Get("token"))
	if err != nil {
		return w.signinAgain(c, view, err)
	}
	err = w.open(c, func(context.Context, *db.Tx) (account.Actor, error) { return actor, nil })
	if err != nil {
		return err
	}
	c.seeOther(view.Next, "")
	return nil
}

func (w *Web) prove(c *call, name, password, token string) (account.Actor, error) {
	if token != "" {
		return w.Accounts.ActorByToken(c.ctx(), w.DB.Read(), account.APIToken, token)
	}
	return w.Accounts.ActorByPassword(c.ctx(), w.DB.Read(), name, password)
}

// signinAgain shows the form once more with the reason; anything but a refusal is an error page.
func (w *Web) signinAgain(c *call, view signinView, err error) error {
	kind := fault.KindOf(err)
	if kind != fault.Unauthenticated && kind != fault.Unavailable {
		return err
	}
	view.Reason, view.Hint = fault.Public(err)
	return w.render(c, statusOf(kind), "signin", "Sign in", view)
}

// linkPage shows a button and redeems nothing: programs that fetch links to show a preview
// of them would otherwise burn the link before its owner sees it.
func (w *Web) linkPage(c *call) error {
	return w.render(c, http.StatusOK, "link", "Sign in", nil)
}

func (w *Web) link(c *call) error {
	if err := w.signins.allow(w.Now(), c.r.RemoteAddr, ""); err != nil {
		return err
	}
	err := w.open(c, func(ctx context.Context, tx *db.Tx) (account.Actor, error) {
		return w.Accounts.Redeem(ctx, tx, c.variable("secret"))
	})
	if err != nil {
		return err
	}
	c.seeOther("/", "welcome")
	return nil
}

func (w *Web) signout(c *call) error {
	if c.session != "" {
		err := w.DB.Transact(c.ctx(), func(tx *db.Tx) error {
			return w.Accounts.RevokeSecret(c.ctx(), tx, c.session)
		})
		if err != nil {
			return err
		}
	}
	w.setCookie(c, "", -1)
	c.seeOther("/signin", "")
	return nil
}
