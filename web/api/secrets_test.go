package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"gatehouse/gatekeeper/secret"
	"gatehouse/web/api"
)

func TestSecretsOverHTTP(t *testing.T) {
	w := newWorld(t)
	r := w.repository("hello", false)
	const value = "correct horse battery"
	at := siteAt + "/secrets"
	for _, in := range []api.NewSecret{{Value: value}, {Value: base64.StdEncoding.EncodeToString([]byte(value)), Base64: true}} {
		a := w.ask("owner", "PUT", at+"/API_KEY", in)
		if a.Code != http.StatusOK || strings.Contains(a.Body.String(), value) {
			t.Fatalf("set: %d %s", a.Code, a.Body)
		}
		got, _, err := w.Gate.Secrets.Get(r.ID, "API_KEY")
		if err != nil || string(got) != value {
			t.Errorf("kept %q, %v", got, err)
		}
	}
	if all := get[list[secret.Info]](w, "owner", "GET", at, nil); len(all.Items) != 1 || all.Items[0].Name != "API_KEY" || all.Items[0].Revision == "" {
		t.Errorf("listed: %+v", all)
	}
	for path, c := range map[string]struct {
		in   any
		code int
	}{
		"/..%5C1": {api.NewSecret{Value: value}, http.StatusBadRequest},
		"/.new-x": {api.NewSecret{Value: value}, http.StatusBadRequest},
		"/SHORT":  {api.NewSecret{Value: "x"}, http.StatusBadRequest},
		"/ZERO":   {api.NewSecret{Value: value + "\x00"}, http.StatusBadRequest},
		"/LONG":   {api.NewSecret{Value: strings.Repeat(value, 4000)}, http.StatusRequestEntityTooLarge},
		"/BASE":   {api.NewSecret{Value: value, Base64: true}, http.StatusBadRequest},
		"/TYPE":   {map[string]any{"value": []string{value}}, http.StatusBadRequest},
		"/MORE":   {map[string]any{"value": value, value: value}, http.StatusBadRequest},
	} {
		a := w.ask("owner", "PUT", at+path, c.in)
		if a.Code != c.code && !(path == "/LONG" && a.Code == http.StatusBadRequest) {
			t.Errorf("%s: %d %s, want %d", path, a.Code, a.Body, c.code)
		}
		if path != "/MORE" && strings.Contains(a.Body.String(), value) {
			t.Errorf("%s: the answer has the value: %s", path, a.Body)
		}
	}
	if a := w.ask("owner", "DELETE", at+"/API_KEY", nil); a.Code != http.StatusNoContent {
		t.Errorf("remove: %d %s", a.Code, a.Body)
	}
	if a := w.ask("owner", "DELETE", at+"/API_KEY", nil); a.Code != http.StatusNotFound {
		t.Errorf("removed twice: %d %s", a.Code, a.Body)
	}
	var events int
	must(t, w.DB.Read().QueryRowContext(w.ctx, `SELECT COUNT(*) FROM events WHERE kind IN ('secret.set', 'secret.removed') AND data NOT LIKE $1`, "%"+value+"%").Scan(&events))
	if events != 3 || strings.Contains(w.logged.String(), value) {
		t.Errorf("%d events; logged: %s", events, w.logged)
	}
}
