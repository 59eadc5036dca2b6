package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/api"
	"gatehouse/web/notify"
)

func init() {
	maps.Copy(calls, map[string]call{
		"list-notifications": onSelf(nil), "read-notifications": onSelf(api.Reading{UpTo: 1}), "get-preferences": onSelf(nil), "set-preferences": onSelf(map[string]string{"mail": "turn"}),
		"mute-change": plain(api.Mute{Mute: true}), "list-webhooks": plain(nil), "add-webhook": plain(api.NewWebhook{Kind: "generic", URL: "nowhere"}),
		"change-webhook": onHook(api.WebhookChange{}), "remove-webhook": onHook(nil), "test-webhook": onHook(nil), "list-deliveries": onHook(nil), "redeliver": onHook(nil),
	})
}

// onSelf is about whoever asks.
func onSelf(in any) call {
	return func(*world, repo.Repository, review.Change) (map[string]string, string, any) {
		return map[string]string{"name": "self"}, "", in
	}
}

// onHook makes a webhook of the repository, with a delivery.
func onHook(in any) call {
	return func(w *world, r repo.Repository, _ review.Change) (map[string]string, string, any) {
		all, err := w.Notify.Webhooks(w.ctx, r.ID)
		must(w.t, err)
		for _, h := range all { // there is a bound, and each caller gets one
			must(w.t, w.Notify.RemoveWebhook(w.ctx, r.ID, h.ID))
		}
		h, _, err := w.Notify.AddWebhook(w.ctx, r.ID, account.Local(), notify.NewWebhook{Kind: notify.Generic, URL: "https://hook.test/"})
		must(w.t, err)
		d, err := w.Notify.TestWebhook(w.ctx, r.ID, h.ID)
		must(w.t, err)
		return map[string]string{"id": itoa(h.ID), "delivery": itoa(d.ID)}, "", in
	}
}

// What an account is told is for itself alone, also when an administrator asks.
func TestNotificationsAreOnesOwn(t *testing.T) {
	w := newWorld(t)
	for who, want := range map[string]int{"reader": http.StatusOK, "writer": http.StatusForbidden, "admin": http.StatusForbidden, "": http.StatusUnauthorized} {
		for _, path := range []string{"/accounts/reader/notifications", "/accounts/reader/preferences"} {
			if a := w.ask(who, "GET", "/api/v1"+path, nil); a.Code != want {
				t.Errorf("%q asks for %s: %d, want %d", who, path, a.Code, want)
			}
		}
	}
}

func TestPreferences(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		in   string
		code int
		has  string
	}{
		{`{"mail":"turn"}`, 200, `"mail":"turn","comments":"soon","own":true`},
		{`{"comments":"daily","own":false}`, 200, `"mail":"turn","comments":"daily","own":false`},
		{`{"mail":"loud"}`, 400, "mail"},
		{`{"nothing":1}`, 400, "nothing"},
	} {
		a := w.ask("writer", "PATCH", "/api/v1/accounts/self/preferences", json.RawMessage(c.in))
		if a.Code != c.code || !strings.Contains(a.Body.String(), c.has) {
			t.Errorf("%s: %d %s", c.in, a.Code, a.Body)
		}
	}
}

// A webhook's secret is told once, and what is secret of an address never.
func TestWebhooksHideSecrets(t *testing.T) {
	w := newWorld(t)
	w.repository("hello", false)
	made := w.ask("owner", "POST", "/api/v1/repositories/hello/webhooks", api.NewWebhook{Kind: "generic", URL: "https://hook.test/x"})
	if made.Code != 201 || !strings.Contains(made.Body.String(), "whsec_") {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	w.ask("owner", "POST", "/api/v1/repositories/hello/webhooks", api.NewWebhook{Kind: "slack", URL: "https://hooks.slack.test/services/T0/B0/verysecret"})
	w.ask("owner", "POST", "/api/v1/repositories/hello/webhooks", api.NewWebhook{Kind: "matrix", URL: "https://matrix.test", Room: "!a:matrix.test", Secret: "verysecret"})
	all := w.ask("owner", "GET", "/api/v1/repositories/hello/webhooks", nil)
	if text := all.Body.String(); all.Code != 200 || strings.Contains(text, "verysecret") || strings.Contains(text, "whsec_") || strings.Count(text, `"kind"`) != 3 {
		t.Errorf("%d %s", all.Code, text)
	}
}
