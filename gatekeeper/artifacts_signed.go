package gatekeeper

import (
	"context"
	"strings"

	"gatehouse/gatekeeper/attest"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

// envelopeBegins is how the JSON of an envelope begins, as attest writes it. That of a statement, which
// stands alone where nobody signed it, begins with its type.
const envelopeBegins = `{"payload":`

// ArtifactSignature is the server's signature of an artifact's statement.
type ArtifactSignature struct {
	KeyID     string `json:"key_id"`    // SHA-256 of the public key
	Signature []byte `json:"signature"` // in base64
	// Valid says that one of this server's keys has signed this very statement. Others ask for
	// themselves: gate artifact verify.
	Valid bool `json:"valid"`
	// Retired says that the key signs nothing any more.
	Retired bool `json:"retired,omitempty"`
}

// Envelope is the signed statement of an artifact: a DSSE envelope in JSON. It is "" when the artifact was
// built before this server signed.
func (b Built) Envelope() string {
	if strings.HasPrefix(b.statement, envelopeBegins) {
		return b.statement
	}
	return ""
}

// Statement is the provenance of an artifact: an in-toto statement, as it was written when the
// artifact was built.
func (b Built) Statement() string {
	if b.Envelope() == "" {
		return b.statement
	}
	e, err := attest.Parse([]byte(b.statement))
	if err != nil { // the row was changed: there is no statement in it any more
		return ""
	}
	return string(e.Payload)
}

// signature is what is said of the signature of b, nil when it was not signed.
func (c *Controller) signature(b Built) (*ArtifactSignature, error) {
	if b.Envelope() == "" {
		return nil, nil
	}
	e, err := attest.Parse([]byte(b.statement))
	if err != nil {
		return &ArtifactSignature{}, nil //nolint:nilerr // what cannot be read is not valid
	}
	s := ArtifactSignature{KeyID: e.Signatures[0].KeyID, Signature: e.Signatures[0].Sig}
	if c.Signing == nil {
		return &s, nil
	}
	keys, err := c.Signing.Public()
	if err != nil {
		return nil, err
	}
	if by, err := e.Verify(keys); err == nil {
		s.KeyID, s.Valid, s.Retired = by.ID, true, !by.Signs
	}
	return &s, nil
}

// SigningKeys are the public keys of all that this server has signed, newest first, for everybody.
func (c *Controller) SigningKeys() ([]attest.PublicKey, error) {
	if c.Signing == nil {
		return nil, errNoSigning
	}
	return c.Signing.Public()
}

// RotateSigningKey makes a new key to sign with, for administrators. What the old one signed is
// still verified; nothing is signed with it any more.
func (c *Controller) RotateSigningKey(ctx context.Context, actor account.Actor) (attest.PublicKey, error) {
	if c.Signing == nil {
		return attest.PublicKey{}, errNoSigning
	}
	if err := c.May(ctx, actor, account.Administer, account.Resource{}); err != nil {
		return attest.PublicKey{}, err
	}
	k, err := c.Signing.Rotate()
	if err == nil {
		c.Log.Info("a new key signs statements", "key", k.ID, "by", actor.Name)
	}
	return k, err
}

var errNoSigning = fault.New(fault.Unavailable, "gatekeeper.signing", "this server signs nothing", "")
