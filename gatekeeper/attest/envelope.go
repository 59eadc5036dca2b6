package attest

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"gatehouse/gitserver/fault"
)

const (
	// maxEnvelope bounds an envelope: a statement names at most some thousand artifacts.
	maxEnvelope = 16 << 20
	// maxSignatures bounds the signatures that are tried. One server makes one; others may add theirs.
	maxSignatures = 32
)

// Envelope is a DSSE envelope.
type Envelope struct {
	Payload     []byte      `json:"payload"` // base64 in JSON, as the specification asks for
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one signature of an envelope.
type Signature struct {
	KeyID string `json:"keyid"` // a hint: see [Envelope.Verify]
	Sig   []byte `json:"sig"`
}

// PAE is the pre-authentication encoding of DSSE: what is signed.
//
//	"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload
func PAE(payloadType string, payload []byte) []byte {
	head := fmt.Sprintf("DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append([]byte(head), payload...)
}

// envelope is the JSON of what is read, where base64 may be of either alphabet.
type envelope struct {
	Payload     *string `json:"payload"`
	PayloadType string  `json:"payloadType"`
	Signatures  []struct {
		KeyID string `json:"keyid"`
		Sig   string `json:"sig"`
	} `json:"signatures"`
}

// Parse reads an envelope, from whoever it comes. Fields that DSSE does not know are ignored, as it
// demands.
func Parse(text []byte) (Envelope, error) {
	const op = "attest.Parse"
	if len(text) > maxEnvelope {
		return Envelope{}, fault.Newf(fault.TooLarge, op, "the envelope is larger than %d bytes", maxEnvelope)
	}
	var in envelope
	if err := json.Unmarshal(text, &in); err != nil || in.Payload == nil || in.PayloadType == "" {
		return Envelope{}, fault.New(fault.Invalid, op, "this is no signed statement: no DSSE envelope in JSON", "gate artifact show REPO DIGEST --envelope prints one")
	}
	if len(in.Signatures) == 0 || len(in.Signatures) > maxSignatures {
		return Envelope{}, fault.Newf(fault.Refused, op, "the envelope has %d signatures; 1 to %d are read", len(in.Signatures), maxSignatures)
	}
	payload, err := decode(*in.Payload)
	if err != nil {
		return Envelope{}, fault.Newf(fault.Invalid, op, "the payload of the envelope is not base64")
	}
	e := Envelope{Payload: payload, PayloadType: in.PayloadType}
	for _, s := range in.Signatures {
		sig, err := decode(s.Sig)
		if err != nil {
			return Envelope{}, fault.Newf(fault.Invalid, op, "a signature of the envelope is not base64")
		}
		e.Signatures = append(e.Signatures, Signature{s.KeyID, sig})
	}
	return e, nil
}

// decode reads base64 of the standard alphabet or of the one for URLs, both of which DSSE allows.
func decode(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		b, err = base64.URLEncoding.DecodeString(text)
	}
	return b, err
}

// Verify finds the key that has signed the envelope, among those that the reader trusts. A key whose id an
// envelope names is tried first and no other way preferred.
func (e Envelope) Verify(trusted []PublicKey) (PublicKey, error) {
	pae := PAE(e.PayloadType, e.Payload)
	for _, s := range e.Signatures {
		keys := slices.Clone(trusted)
		slices.SortStableFunc(keys, func(a, b PublicKey) int { return cmp.Compare(rank(a, s), rank(b, s)) })
		for _, k := range keys {
			if ed25519.Verify(k.Key, pae, s.Sig) {
				return k, nil
			}
		}
	}
	ids := make([]string, 0, len(e.Signatures))
	for _, s := range e.Signatures {
		ids = append(ids, fmt.Sprintf("%q", s.KeyID))
	}
	return PublicKey{}, fault.New(fault.Refused, "attest.Verify", fmt.Sprintf("none of the keys that are trusted has signed this; it names %s", ids),
		"the statement was changed, or is of another server: gate artifact keys prints the keys of one")
}

func rank(k PublicKey, s Signature) int {
	if k.ID == s.KeyID {
		return 0
	}
	return 1
}
