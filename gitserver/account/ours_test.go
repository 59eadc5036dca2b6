package account_test

import (
	"encoding/base64"
	"testing"
	"time"

	"gatehouse/gitserver/account"
)

// An attack: whoever runs an assembly reads the tokens of those who visit it.
func TestOursIsKnownHoweverItIsSent(t *testing.T) {
	w := newWorld(t)
	token := w.token(w.account("alice").ID, account.APIToken, time.Hour)
	basic := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, value := range []string{
		"Bearer " + token, "bearer  " + token + " ", "Bearer \t" + token, "token " + token, token, "Bearer\u00a0" + token, "Bearer Bearer " + token,
		"Basic " + basic("alice:"+token), "basic " + basic("alice: "+token+"\n"), "Basic " + basic(token+":"), "Basic " + basic(token), "Basic " + basic("a:b:"+token),
		"Basic " + base64.RawURLEncoding.EncodeToString([]byte("alice?>:"+token)), "Basic  " + basic("alice:"+token), "Bearer GATE_x",
	} {
		if !account.Ours(value) {
			t.Errorf("%q passes", value)
		}
	}
	for _, value := range []string{
		"", " ", "Basic " + basic("alice:their own"), "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "Digest username=\"alice\"", "Bearer agate_x", "Bearer gate-x", "Basic !!", "Basic " + basic("gate:keeper"),
	} {
		if account.Ours(value) {
			t.Errorf("%q is kept back", value)
		}
	}
}
