package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"gatehouse/gatekeeper/assembly"
	"gatehouse/web"
)

// An attack: an assembly reads the visitors' tokens and sessions of this server. What they send it
// to sign in there arrives.
func TestAssembliesSeeTheirOwnCredentialsOnly(t *testing.T) {
	s := Settings{URL: "https://gate.example.test", HTTP: "127.0.0.1:1", SSH: "127.0.0.1:2"}
	r := assembly.NewRouter(s.routing())
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.Header.Get("Authorization")+"|"+req.Header.Get("Cookie"))
	}))
	defer theirs.Close()
	const name = "app.example.test"
	if err := r.Set(name, assembly.Instance{Driver: "test", Address: theirs.URL}); err != nil {
		t.Fatal(err)
	}
	front := r.Before(http.NotFoundHandler())
	session := (&web.Web{URL: s.URL}).CookieName()
	for _, c := range []struct{ authorization, cookie, want string }{
		{"Basic dGhlaXJzOm93bg==", "theirs=1", "Basic dGhlaXJzOm93bg==|theirs=1"},
		{"Bearer eyJhbGciOiJub25lIn0.e30.", "", "Bearer eyJhbGciOiJub25lIn0.e30.|"},
		{"Bearer gate_0123456789", session + "=secret; theirs=1", "|theirs=1"},
		{"Basic YWxpY2U6Z2F0ZV8wMTIzNDU2Nzg5", session + "=secret", "|"}, // alice:gate_0123456789
	} {
		req := httptest.NewRequest(http.MethodGet, "http://"+name+"/", nil)
		req.Header.Set("Authorization", c.authorization)
		req.Header.Set("Cookie", c.cookie)
		answer := httptest.NewRecorder()
		front.ServeHTTP(answer, req)
		if answer.Code != http.StatusOK || answer.Body.String() != c.want {
			t.Errorf("%q, %q: %d %q, want %q", c.authorization, c.cookie, answer.Code, answer.Body, c.want)
		}
	}
}
