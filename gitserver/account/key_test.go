package account_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

func keyLine(t *testing.T, public any) (wire []byte, line string) {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key.Marshal(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func ed25519Key(t *testing.T) (wire []byte, line string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyLine(t, public)
}

// rsaOf makes a public key of a size; nobody signs with it, so it need not be a product of primes.
func rsaOf(t *testing.T, bits int) (wire []byte, line string) {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n, bits-1, 1)
	n.SetBit(n, 0, 1)
	return keyLine(t, &rsa.PublicKey{N: n, E: 65537})
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.account("alice"), w.account("bob")
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type pair struct {
		wire []byte
		line string
	}
	var pairs []pair
	add := func(wire []byte, line string) { pairs = append(pairs, pair{wire, line}) }
	add(ed25519Key(t))
	add(keyLine(t, &curve.PublicKey))
	add(rsaOf(t, 3072))
	for _, p := range pairs {
		var k account.Key
		w.must(func(tx *db.Tx) (err error) {
			k, err = w.AddKey(w.ctx, tx, alice.ID, p.line+" alice@laptop\x1b[2J\n")
			return err
		})
		if k.Comment != "alice@laptop[2J" || !strings.HasPrefix(k.Fingerprint, "SHA256:") || !strings.HasPrefix(p.line, k.Type+" ") {
			t.Errorf("%+v", k)
		}
		who, err := w.ActorByKey(w.ctx, w.DB.Read(), p.wire)
		if err != nil || who.Name != "alice" || who.Method != account.MethodKey {
			t.Errorf("%+v, %v", who, err)
		}
		wantKind(t, w.tx(func(tx *db.Tx) error { _, err := w.AddKey(w.ctx, tx, alice.ID, p.line); return err }), fault.Conflict, "this account has")
		wantKind(t, w.tx(func(tx *db.Tx) error { _, err := w.AddKey(w.ctx, tx, bob.ID, p.line); return err }), fault.Conflict, "another account")
	}
	all, err := w.Keys(w.ctx, w.DB.Read(), alice.ID)
	if err != nil || len(all) != 3 || all[2].Type != ssh.KeyAlgoRSA {
		t.Fatalf("%+v, %v", all, err)
	}
	wantKind(t, w.tx(func(tx *db.Tx) error { return w.RemoveKey(w.ctx, tx, bob.ID, all[0].ID) }), fault.NotFound)
	w.must(func(tx *db.Tx) error { return w.RemoveKey(w.ctx, tx, alice.ID, all[0].ID) })
	_, err = w.ActorByKey(w.ctx, w.DB.Read(), pairs[0].wire)
	wantKind(t, err, fault.Unauthenticated)
	w.must(func(tx *db.Tx) error { _, err := w.AddKey(w.ctx, tx, bob.ID, pairs[0].line); return err })
}

func TestWeakKeysRefused(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	wire2048, line2048 := rsaOf(t, 2048)
	_, line16k := rsaOf(t, 10240)
	_, good := ed25519Key(t)
	for name, c := range map[string]struct {
		line string
		word string
	}{
		"RSA 2048":    {line2048, "2048 bits"},
		"RSA huge":    {line16k, "ssh-keygen"},
		"DSA":         {dsaLine(), "DSA"},
		"options":     {`command="id" ` + good, "options"},
		"two keys":    {good + "\n" + good, "one public key"},
		"certificate": {certLine(t), "cert"},
		"private":     {"-----BEGIN OPENSSH PRIVATE KEY-----", "private key"},
		"nothing":     {"", "not a public SSH key"},
		"nonsense":    {"ssh-ed25519 AAAA", "not a public SSH key"},
		"long":        {good + strings.Repeat(" x", 8<<10), "not one"},
	} {
		err := w.tx(func(tx *db.Tx) error { _, err := w.AddKey(w.ctx, tx, alice.ID, c.line); return err })
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Sentence(err), c.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A row from before a rule was made stricter does not let anybody in.
	w.must(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO ssh_keys (id, account_id, blob, fingerprint, created_at) VALUES (900001, $1, $2, 'x', 0)`,
			alice.ID, base64.StdEncoding.EncodeToString(wire2048))
		return err
	})
	_, err := w.ActorByKey(w.ctx, w.DB.Read(), wire2048)
	wantKind(t, err, fault.Unauthenticated)
	_, err = w.ActorByKey(w.ctx, w.DB.Read(), []byte("nonsense"))
	wantKind(t, err, fault.Unauthenticated)
}

// dsaLine builds a DSA key by hand: what is refused is its type.
func dsaLine() string {
	blob := ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).SetBit(big.NewInt(1), 1023, 1), new(big.Int).SetBit(big.NewInt(1), 159, 1), big.NewInt(2), big.NewInt(3)})
	return "ssh-dss " + base64.StdEncoding.EncodeToString(blob) + " old@host"
}

func certLine(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert)))
}

func FuzzAddKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGnfO3L1ujqG1kbVrqgmG0vvJkVnXcGLQZ4kzZx0RZ9v x")
	f.Add(`command="x" ssh-rsa AAAA`)
	f.Fuzz(func(t *testing.T, line string) {
		w := newWorld(t)
		alice := w.account("alice")
		err := w.tx(func(tx *db.Tx) error { _, err := w.AddKey(w.ctx, tx, alice.ID, line); return err })
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
