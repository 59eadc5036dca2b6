package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/entrance"
)

// tolerance is by how much the time that a signature names may differ from ours
// (standardwebhooks.com asks for a bound and names none; five minutes are usual).
const tolerance = 5 * time.Minute

// errForged says no more: whoever forges learns nothing from the answer.
var errForged = errors.New("the signature does not hold")

// one is the value of a header that must be there once. A header that is there twice means
// another thing to each of its readers.
func one(h http.Header, name string) (string, bool) {
	values := h[textproto.CanonicalMIMEHeaderKey(name)]
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

func has(h http.Header, name string) bool {
	return len(h[textproto.CanonicalMIMEHeaderKey(name)]) > 0
}

// verify finds out whether a request was sent by who has one of the secrets, by the scheme of
// the entrance's forge and no other.
func verify(f entrance.Forge, r *http.Request, body []byte, secrets []string, now time.Time) error {
	var check func(secret string) bool
	switch f {
	case entrance.GitHub, entrance.Plain:
		check = func(secret string) bool {
			return hexSignature(r.Header, "X-Hub-Signature-256", "sha256=", secret, body)
		}
	case entrance.Gitea, entrance.Forgejo:
		check = func(secret string) bool { return giteaSignature(r.Header, secret, body) }
	case entrance.GitLab:
		check = func(secret string) bool { return gitlabSignature(r.Header, secret, body, now) }
	case entrance.Gerrit:
		check = func(secret string) bool { return bearer(r, secret) }
	default:
		return errForged
	}
	for _, secret := range secrets {
		if secret != "" && check(secret) {
			return nil
		}
	}
	return errForged
}

// hexSignature checks a header that holds PREFIX and the HMAC-SHA256 of the body in hexadecimal
// (GitHub, "Validating webhook deliveries").
func hexSignature(h http.Header, name, prefix, secret string, body []byte) bool {
	value, ok := one(h, name)
	if !ok {
		return false
	}
	digits, ok := strings.CutPrefix(value, prefix)
	if !ok || len(digits) != 2*sha256.Size {
		return false
	}
	got, err := hex.DecodeString(digits)
	return err == nil && hmac.Equal(got, mac([]byte(secret), body))
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p) // a hash never fails
	}
	return m.Sum(nil)
}

// giteaSignature checks the headers of Gitea and Forgejo, which sends both: each that is there
// must hold, and one must be there.
func giteaSignature(h http.Header, secret string, body []byte) bool {
	found := false
	for _, name := range []string{"X-Forgejo-Signature", "X-Gitea-Signature"} {
		if !has(h, name) {
			continue
		}
		if !hexSignature(h, name, "", secret, body) {
			return false
		}
		found = true
	}
	return found
}

// gitlabSignature checks the signature of standardwebhooks.com where GitLab sends one, else
// the secret itself in X-Gitlab-Token, which is all that older ones send.
func gitlabSignature(h http.Header, secret string, body []byte, now time.Time) bool {
	if has(h, "Webhook-Signature") {
		return standardSignature(h, secret, body, now)
	}
	token, ok := one(h, "X-Gitlab-Token")
	return ok && same(token, secret)
}

// standardSignature checks "v1,BASE64 v1,BASE64 …" over "ID.TIME.BODY".
func standardSignature(h http.Header, secret string, body []byte, now time.Time) bool {
	id, ok1 := one(h, "Webhook-Id")
	at, ok2 := one(h, "Webhook-Timestamp")
	signatures, ok3 := one(h, "Webhook-Signature")
	if !ok1 || !ok2 || !ok3 {
		return false
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	want := mac(signingKey(secret), []byte(id+"."+at+"."), body)
	for signature := range strings.FieldsSeq(signatures) {
		text, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue
		}
		if got, err := base64.StdEncoding.DecodeString(text); err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}

// signingKey is the key that a secret means: base64 after whsec_, else its own bytes.
func signingKey(secret string) []byte {
	if rest, ok := strings.CutPrefix(secret, entrance.SecretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(rest); err == nil && len(key) > 0 {
			return key
		}
	}
	return []byte(secret)
}

// bearer checks the secret itself: as the password of basic authentication, as a bearer token,
// or as token= in the address. Gerrit's webhooks plugin signs nothing and can send no more.
func bearer(r *http.Request, secret string) bool {
	given := ""
	switch {
	case len(r.Header["Authorization"]) > 1:
		return false
	case has(r.Header, "Authorization"):
		if _, password, ok := r.BasicAuth(); ok {
			given = password
		} else if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			given = token
		}
	default:
		tokens := r.URL.Query()["token"]
		if len(tokens) != 1 {
			return false
		}
		given = tokens[0]
	}
	return given != "" && same(given, secret)
}

// same compares in constant time, whatever the lengths.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}
