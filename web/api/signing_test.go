package api_test

import (
	"net/http"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/attest"
	"gatehouse/migrations/db"
	"gatehouse/web/api"
)

// signed checks the envelope of an artifact as a stranger does who has the public keys.
func (s *site) signed(at string, info gatekeeper.ArtifactDetail) {
	s.t.Helper()
	a := s.ask("", "GET", at+"/envelope", nil)
	e, err := attest.Parse(a.Body.Bytes())
	must(s.t, err)
	keys := get[pageOf[api.SigningKey]](s.world, "", "GET", "/api/v1/signing-keys", nil)
	trusted, err := attest.ParsePublic([]byte(keys.Items[0].PEM))
	must(s.t, err)
	by, err := e.Verify(trusted)
	must(s.t, err)
	if a.Header().Get("Content-Type") != "application/vnd.dsse.envelope.v1+json" || string(e.Payload) != s.ask("", "GET", at+"/statement", nil).Body.String() {
		s.t.Errorf("its envelope: %s with %v", a.Body, a.Header())
	}
	if g := info.Signature; g == nil || !g.Valid || g.Retired || g.KeyID != by.ID || string(g.Signature) != string(e.Signatures[0].Sig) {
		s.t.Errorf("its signature: %+v, by %s", info.Signature, by.ID)
	}
	// Another key signs from now on. This one is verified still.
	next := get[api.SigningKey](s.world, "admin", "POST", "/api/v1/signing-keys", nil)
	if again := get[gatekeeper.ArtifactDetail](s.world, "reader", "GET", at, nil).Signature; !again.Valid || !again.Retired || again.KeyID == next.ID {
		s.t.Errorf("after a rotation: %+v", again)
	}
	if keys := get[pageOf[api.SigningKey]](s.world, "", "GET", "/api/v1/signing-keys", nil).Items; len(keys) != 2 || !keys[0].Signs || keys[0].ID != next.ID || keys[1].Signs {
		s.t.Errorf("keys: %+v", keys)
	}
	// Whoever can write the database cannot write a statement that is valid.
	text := strings.Replace(a.Body.String(), `"payload":"`, `"payload":"AAAA`, 1)
	s.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(s.ctx, `UPDATE artifacts SET statement = $1 WHERE digest = $2`, strings.TrimSpace(text), info.Digest)
		return err
	})
	if g := get[gatekeeper.ArtifactDetail](s.world, "reader", "GET", at, nil).Signature; g.Valid {
		s.t.Errorf("a changed statement: %+v", g)
	}
	s.refused("owner", "POST", "/api/v1/signing-keys", nil, http.StatusForbidden, "")
}
