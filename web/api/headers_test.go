package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
	"gatehouse/web/api"
)

// checkHeaders holds an answer to what every answer of the API carries.
func checkHeaders(t *testing.T, what string, a answer, signed bool) {
	t.Helper()
	cache := "no-cache"
	if signed {
		cache = "private, no-store"
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": cache, "Vary": "Authorization, Cookie",
		"Referrer-Policy": "no-referrer", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := a.Header().Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s (%d): %s is %q, want %q", what, a.Code, name, got, want)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	w := newWorld(t)
	r := w.repository("hello", false)
	c := w.change(r)
	w.tokens["liar"] = "gate_nothing"
	for path, item := range w.Document().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			vars, query, in := calls[op.OperationID](w, r, c)
			target := strings.NewReplacer("{repository}", r.Name, "{number}", itoa(c.ID), "{name}", vars["name"], "{id}", vars["id"], "{group}", vars["group"], "{environment}", vars["environment"], "{gate}", vars["gate"], "{digest}", vars["digest"], "{order}", vars["order"]).Replace(path) + query
			for _, who := range []string{"", "liar", "stranger", "admin"} {
				checkHeaders(t, method+" "+target+" as "+who, w.ask(who, method, target, in), who != "")
			}
			checkHeaders(t, "TRACE "+target, w.ask("", http.MethodTrace, target, nil), false)
		}
	}
	for _, target := range []string{"/api/openapi.json", "/api/", "/api/v1/nothing", "/api/v1/changes?state=open", "/api/v1/changes/twelve"} {
		checkHeaders(t, target, w.ask("", "GET", target, nil), false)
		checkHeaders(t, target+" as admin", w.ask("admin", "GET", target, nil), true)
	}
}

// A session and the operator at the server are somebody, as a token is.
func TestAnswersToSessionsAreKeptByNobody(t *testing.T) {
	w := newWorld(t)
	var session string
	w.transact(func(tx *db.Tx) (err error) {
		session, err = w.Accounts.NewToken(w.ctx, tx, w.ids["writer"], account.SessionToken, "", 0)
		return err
	})
	r := w.request("GET", "/api/v1/self", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: session})
	checkHeaders(t, "with a session", w.send(r), true)
	r = w.request("GET", "/api/v1/self", nil)
	checkHeaders(t, "at the server", w.send(r.WithContext(api.As(w.ctx, account.Local()))), true)
}
