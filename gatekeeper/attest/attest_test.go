package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
)

const testType = "application/vnd.in-toto+json"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Keys {
	t.Helper()
	k, err := Open(dir)
	must(t, err)
	return k
}

func public(t *testing.T, k *Keys) []PublicKey {
	t.Helper()
	all, err := k.Public()
	must(t, err)
	return all
}

func sign(t *testing.T, k *Keys, payload string) Envelope {
	t.Helper()
	text, err := k.Sign(testType, []byte(payload))
	must(t, err)
	e, err := Parse(text)
	must(t, err)
	return e
}

// The example of the specification (dsse/protocol.md, test vectors).
func TestPAE(t *testing.T) {
	const want = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if got := string(PAE("http://example.com/HelloWorld", []byte("hello world"))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(PAE("", nil)); got != "DSSEv1 0  0 " {
		t.Errorf("%q", got)
	}
}

func TestSignAndVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "signing")
	k := open(t, dir)
	const payload = `{"_type":"<&>"}`
	text, err := k.Sign(testType, []byte(payload))
	must(t, err)
	again, err := open(t, dir).Sign(testType, []byte(payload)) // after a restart
	must(t, err)
	if !bytes.Equal(text, again) || bytes.ContainsRune(text, '\n') {
		t.Errorf("%s\n%s", text, again)
	}
	e, err := Parse(text)
	must(t, err)
	by, err := e.Verify(public(t, k))
	must(t, err)
	if by.ID != e.Signatures[0].KeyID || len(by.ID) != 64 || string(e.Payload) != payload || e.PayloadType != testType || !by.Signs {
		t.Errorf("%+v by %+v", e, by)
	}
	info, err := os.Stat(filepath.Join(dir, "0001.key"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	// The other alphabet, another's signature before ours, and fields that nobody knows.
	var loose map[string]any
	must(t, json.Unmarshal(text, &loose))
	loose["payload"] = base64.URLEncoding.EncodeToString([]byte(payload))
	loose["extra"] = 1
	ours := loose["signatures"].([]any)[0]
	loose["signatures"] = []any{map[string]any{"sig": "AAAA"}, ours}
	other, err := json.Marshal(loose)
	must(t, err)
	e, err = Parse(other)
	must(t, err)
	if _, err := e.Verify(public(t, k)); err != nil {
		t.Error(err)
	}
	// The id is a hint only.
	e.Signatures[1].KeyID = "another"
	if by, err := e.Verify(public(t, k)); err != nil || by.ID != public(t, k)[0].ID {
		t.Errorf("%+v, %v", by, err)
	}
}

func TestTampering(t *testing.T) {
	k, stranger := open(t, t.TempDir()), open(t, t.TempDir())
	trusted := public(t, k)
	for what, edit := range map[string]func(*Envelope){
		"payload":           func(e *Envelope) { e.Payload[3] ^= 1 },
		"a byte more":       func(e *Envelope) { e.Payload = append(e.Payload, ' ') },
		"a byte less":       func(e *Envelope) { e.Payload = e.Payload[:len(e.Payload)-1] },
		"type":              func(e *Envelope) { e.PayloadType += "x" },
		"bytes move":        func(e *Envelope) { e.PayloadType, e.Payload = e.PayloadType+" 1", e.Payload[1:] },
		"signature":         func(e *Envelope) { e.Signatures[0].Sig[0] ^= 1 },
		"short signature":   func(e *Envelope) { e.Signatures[0].Sig = e.Signatures[0].Sig[:63] },
		"no signature":      func(e *Envelope) { e.Signatures = nil },
		"another's":         func(e *Envelope) { *e = sign(t, stranger, "payload") },
		"another's, our id": func(e *Envelope) { *e = sign(t, stranger, "payload"); e.Signatures[0].KeyID = trusted[0].ID },
		"another text's":    func(e *Envelope) { e.Signatures = sign(t, k, "other").Signatures },
	} {
		e := sign(t, k, "payload")
		if _, err := e.Verify(trusted); err != nil {
			t.Fatal(err)
		}
		edit(&e)
		if by, err := e.Verify(trusted); !fault.Is(err, fault.Refused) {
			t.Errorf("%s: verified by %q, %v", what, by.ID, err)
		}
	}
	if _, err := sign(t, k, "payload").Verify(nil); err == nil {
		t.Error("verified by no key")
	}
}

func TestHostileEnvelopes(t *testing.T) {
	many := `{"payload":"","payloadType":"x","signatures":[` + strings.Repeat(`{"sig":""},`, maxSignatures) + `{"sig":""}]}`
	for what, text := range map[string]string{
		"empty": "", "a statement": `{"_type":"https://in-toto.io/Statement/v1"}`, "a list": `[]`, "no type": `{"payload":"","signatures":[{"sig":""}]}`,
		"no signatures": `{"payload":"","payloadType":"x"}`, "too many": many, "not base64": `{"payload":"*","payloadType":"x","signatures":[{"sig":""}]}`,
		"signature not base64": `{"payload":"","payloadType":"x","signatures":[{"sig":"*"}]}`, "too large": strings.Repeat(" ", maxEnvelope+1),
		"two of them": `{"payload":"","payloadType":"x","signatures":[{"sig":""}]}{}`,
	} {
		if e, err := Parse([]byte(text)); err == nil || fault.KindOf(err) == fault.Internal {
			t.Errorf("%s: %+v, %v", what, e, err)
		}
	}
}

// What the old key signed stays verified, and it signs nothing more.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir)
	before := sign(t, k, "before")
	first := public(t, k)[0]
	second, err := k.Rotate()
	must(t, err)
	after := sign(t, k, "after")
	all := public(t, k)
	if len(all) != 2 || all[0].ID != second.ID || !all[0].Signs || all[1].ID != first.ID || all[1].Signs {
		t.Fatalf("%+v", all)
	}
	if by, err := before.Verify(all); err != nil || by.ID != first.ID || by.Signs {
		t.Errorf("%+v, %v", by, err)
	}
	if by, err := after.Verify(all); err != nil || by.ID != second.ID {
		t.Errorf("%+v, %v", by, err)
	}
	if _, err := after.Verify([]PublicKey{first}); err == nil {
		t.Error("the old key signed again")
	}
	if _, err := os.Stat(filepath.Join(dir, "0001.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old private key: %v", err)
	}
	// Another process has the folder open as well.
	other := open(t, dir)
	third, err := other.Rotate()
	must(t, err)
	if e := sign(t, k, "x"); e.Signatures[0].KeyID != third.ID {
		t.Errorf("%q signs, not %q", e.Signatures[0].KeyID, third.ID)
	}
	read, err := ParsePublic(append([]byte("# our keys\n"), PEM(public(t, k))...))
	must(t, err)
	ids := func(all []PublicKey) (ids []string) {
		for _, k := range all {
			ids = append(ids, k.ID)
		}
		return ids
	}
	if !slices.Equal(ids(read), ids(public(t, k))) || len(read) != 3 {
		t.Errorf("%q", ids(read))
	}
}

// A crash leaves what the next opening completes.
func TestKeysAfterACrash(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir)
	old := sign(t, k, "old")
	private, err := os.ReadFile(filepath.Join(dir, "0001.key"))
	must(t, err)
	_, err = k.Rotate()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "0001.key"), private, 0o600)) // the removal was lost
	k = open(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "0001.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("two keys sign: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "0002.key"))) // there was the public one only
	k = open(t, dir)
	if e := sign(t, k, "new"); e.Signatures[0].KeyID != public(t, k)[0].ID || len(public(t, k)) != 3 {
		t.Errorf("%+v", public(t, k))
	}
	if _, err := old.Verify(public(t, k)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestBadKeys(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir)
	file := filepath.Join(dir, "0001.key")
	must(t, os.Chmod(file, 0o640))
	if _, err := k.Sign(testType, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Sentence(err), "chmod 600") {
		t.Errorf("%v", err)
	}
	must(t, os.Chmod(file, 0o600))
	must(t, os.WriteFile(file, []byte("nothing"), 0o600))
	if _, err := Open(dir); err == nil {
		t.Error("a key that is none")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	must(t, err)
	for what, text := range map[string][]byte{
		"empty": nil, "of ECDSA": pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: der}), "private": pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: der}),
		"rubbish": pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: []byte("x")}),
	} {
		if keys, err := ParsePublic(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", what, keys, err)
		}
	}
}

// Another implementation of ed25519 verifies what we sign, from the files that we write.
func TestOpenSSLVerifies(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl")
	}
	dir := t.TempDir()
	k := open(t, dir)
	e := sign(t, k, "a statement")
	verify := func(pae []byte) error {
		must(t, os.WriteFile(filepath.Join(dir, "pae"), pae, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "sig"), e.Signatures[0].Sig, 0o600))
		cmd := exec.Command(openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "0001.pub", "-rawin", "-in", "pae", "-sigfile", "sig") //nolint:gosec // a test's
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil && !strings.Contains(string(out), "Verified Successfully") {
			t.Errorf("%s", out)
		}
		return err
	}
	must(t, verify(PAE(e.PayloadType, e.Payload)))
	if verify(PAE(e.PayloadType, []byte("another"))) == nil {
		t.Error("another text is verified")
	}
}
