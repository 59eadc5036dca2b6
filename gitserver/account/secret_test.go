package account_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

func (w *world) token(id int64, kind account.TokenKind, ttl time.Duration) string {
	w.t.Helper()
	var secret string
	w.must(func(tx *db.Tx) (err error) {
		secret, err = w.NewToken(w.ctx, tx, id, kind, "laptop", ttl)
		return err
	})
	return secret
}

func (w *world) byToken(kind account.TokenKind, secret string) (account.Actor, error) {
	return w.ActorByToken(w.ctx, w.DB.Read(), kind, secret)
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	secret := w.token(alice.ID, account.APIToken, time.Hour)
	if !strings.HasPrefix(secret, "gate_") || len(secret) != len("gate_")+43 {
		t.Errorf("%q is not gate_ and 256 bits", secret)
	}
	who, err := w.byToken(account.APIToken, secret)
	if err != nil || who.ID != alice.ID || who.Method != account.MethodToken || who.Anonymous() {
		t.Fatalf("%+v, %v", who, err)
	}
	var stored string
	if err := w.DB.Read().QueryRowContext(w.ctx, `SELECT hash || label FROM tokens`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, strings.TrimPrefix(secret, "gate_")) {
		t.Error("the secret is stored")
	}
	for _, kind := range []account.TokenKind{account.SessionToken, account.SigninToken, ""} {
		if _, err := w.byToken(kind, secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("an API token as %q: %v", kind, err)
		}
	}
	for _, wrong := range []string{"", "gate_", secret + "x", strings.TrimPrefix(secret, "gate_"), strings.ToUpper(secret)} {
		if _, err := w.byToken(account.APIToken, wrong); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	w.pass(time.Hour)
	_, err = w.byToken(account.APIToken, secret)
	wantKind(t, err, fault.Unauthenticated, "gate token create")
}

func TestTokenRevoked(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.account("alice"), w.account("bob")
	first, second := w.token(alice.ID, account.APIToken, 0), w.token(alice.ID, account.SessionToken, 0)
	all, err := w.Tokens(w.ctx, w.DB.Read(), alice.ID)
	if err != nil || len(all) != 2 || all[1].Label != "laptop" || all[1].Kind != account.APIToken || !all[1].ExpiresAt.After(all[1].CreatedAt) {
		t.Fatalf("%+v, %v", all, err)
	}
	wantKind(t, w.tx(func(tx *db.Tx) error { return w.RevokeToken(w.ctx, tx, bob.ID, all[1].ID) }), fault.NotFound)
	w.must(func(tx *db.Tx) error { return w.RevokeToken(w.ctx, tx, alice.ID, all[1].ID) })
	w.must(func(tx *db.Tx) error { return w.RevokeSecret(w.ctx, tx, second) })
	w.must(func(tx *db.Tx) error { return w.RevokeSecret(w.ctx, tx, second) })
	for kind, secret := range map[account.TokenKind]string{account.APIToken: first, account.SessionToken: second} {
		if _, err := w.byToken(kind, secret); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s after it was revoked: %v", kind, err)
		}
	}
}

func TestNewTokenRefuses(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	for name, f := range map[string]func(tx *db.Tx) (string, error){
		"kind": func(tx *db.Tx) (string, error) { return w.NewToken(w.ctx, tx, alice.ID, "magic", "", 0) },
		"long": func(tx *db.Tx) (string, error) {
			return w.NewToken(w.ctx, tx, alice.ID, account.SessionToken, "", 8*24*time.Hour)
		},
		"past":   func(tx *db.Tx) (string, error) { return w.NewToken(w.ctx, tx, alice.ID, account.APIToken, "", -1) },
		"label":  func(tx *db.Tx) (string, error) { return w.NewToken(w.ctx, tx, alice.ID, account.APIToken, "a\nb", 0) },
		"nobody": func(tx *db.Tx) (string, error) { return w.NewToken(w.ctx, tx, 99999, account.APIToken, "", 0) },
	} {
		err := w.tx(func(tx *db.Tx) error { _, err := f(tx); return err })
		if kind := fault.KindOf(err); kind != fault.Invalid && kind != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("no entropy")
	w.Rand = noEntropy{broken}
	err := w.tx(func(tx *db.Tx) error {
		_, err := w.NewToken(w.ctx, tx, alice.ID, account.APIToken, "", 0)
		return err
	})
	if !errors.Is(err, broken) {
		t.Errorf("without randomness: %v", err)
	}
}

type noEntropy struct{ err error }

func (e noEntropy) Read([]byte) (int, error) { return 0, e.err }

func TestSessionIdles(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	used, idle := w.token(alice.ID, account.SessionToken, 0), w.token(alice.ID, account.SessionToken, 0)
	for range 6 * 4 { // six days of a page every half idle time
		w.pass(account.SessionIdle / 2)
		if err := w.KeepAlive(w.ctx, used); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.byToken(account.SessionToken, used); err != nil {
		t.Errorf("the used session: %v", err)
	}
	if _, err := w.byToken(account.SessionToken, idle); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the idle session: %v", err)
	}
	for range 4 {
		w.pass(account.SessionIdle / 2)
		if err := w.KeepAlive(w.ctx, used); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.byToken(account.SessionToken, used); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a session after more than seven days: %v", err)
	}
}

// TestRedeemOnce sends 64 attempts at once after one link.
func TestRedeemOnce(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	secret := w.token(alice.ID, account.SigninToken, 0)
	if _, err := w.byToken(account.SigninToken, secret); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a link as a token: %v", err)
	}
	const attempts = 64
	results := make([]error, attempts)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range attempts {
		wg.Go(func() {
			<-start
			results[i] = w.tx(func(tx *db.Tx) error {
				who, err := w.Redeem(w.ctx, tx, secret)
				if err == nil && who.ID != alice.ID {
					return fmt.Errorf("redeemed for %d", who.ID)
				}
				return err
			})
		})
	}
	close(start)
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !fault.Is(err, fault.Unauthenticated):
			t.Errorf("a loser: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d attempts succeeded", won, attempts)
	}
}

func TestRedeemLate(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice")
	redeem := func(secret string) error {
		return w.tx(func(tx *db.Tx) error { _, err := w.Redeem(w.ctx, tx, secret); return err })
	}
	late, other := w.token(alice.ID, account.SigninToken, time.Minute), w.token(alice.ID, account.APIToken, 0)
	w.pass(time.Minute)
	wantKind(t, redeem(late), fault.Unauthenticated, "new link")
	wantKind(t, redeem(other), fault.Unauthenticated)
	wantKind(t, redeem("nonsense"), fault.Unauthenticated)
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	const good = "correct horse battery"
	var alice account.Account
	w.must(func(tx *db.Tx) (err error) {
		alice, err = w.Create(w.ctx, tx, account.NewAccount{Name: "alice", Email: "alice@example.org", Password: good})
		return err
	})
	keyOnly := w.account("keyonly")
	for id, want := range map[int64]bool{alice.ID: true, keyOnly.ID: false, 99999: false} {
		if got, err := w.HasPassword(w.ctx, w.DB.Read(), id); err != nil || got != want {
			t.Errorf("%d has a password: %v, %v", id, got, err)
		}
	}
	sign := func(name, password string) error {
		_, err := w.ActorByPassword(w.ctx, w.DB.Read(), name, password)
		return err
	}
	if err := sign("alice", good); err != nil {
		t.Fatal(err)
	}
	wrong := sign("alice", good+" ")
	for _, err := range []error{wrong, sign("nobody", good), sign("keyonly", ""), sign("keyonly", good), sign("", ""), sign("alice", ""), sign("Alice", good)} {
		wantKind(t, err, fault.Unauthenticated)
		if fault.Sentence(err) != fault.Sentence(wrong) {
			t.Errorf("%q differs from %q", fault.Sentence(err), fault.Sentence(wrong))
		}
	}
	var stored string
	if err := w.DB.Read().QueryRowContext(w.ctx, `SELECT password_hash FROM accounts WHERE id = $1`, alice.ID).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("stored as %s", stored)
	}

	session, link, api := w.token(alice.ID, account.SessionToken, 0), w.token(alice.ID, account.SigninToken, 0), w.token(alice.ID, account.APIToken, 0)
	w.must(func(tx *db.Tx) error { return w.SetPassword(w.ctx, tx, alice.ID, "another fine phrase") })
	wantKind(t, sign("alice", good), fault.Unauthenticated)
	if _, err := w.byToken(account.SessionToken, session); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an old session outlives the password: %v", err)
	}
	if err := w.tx(func(tx *db.Tx) error { _, err := w.Redeem(w.ctx, tx, link); return err }); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("an old link outlives the password: %v", err)
	}
	if _, err := w.byToken(account.APIToken, api); err != nil {
		t.Errorf("the API token: %v", err)
	}
}

func TestPasswordsRefused(t *testing.T) {
	w := newWorld(t)
	alice := w.account("alice-liddell")
	for password, word := range map[string]string{
		"elevenchars": "12", strings.Repeat("xy9-", 33): "128", "alice-liddell1": "guessed", "aaaaaaaaaaaaaaa": "guessed",
		"abcabcabcabcabc": "guessed", "123456789012": "guessed", "qwertyuiopas": "guessed", "password1234": "guessed", "zyxwvutsrqponm": "guessed", "nul\x00nulnulnul": "text", "\xff\xff\xffxxxxxxxxxx": "text",
	} {
		err := w.tx(func(tx *db.Tx) error { return w.SetPassword(w.ctx, tx, alice.ID, password) })
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Sentence(err), word) {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{"correct horse battery", "pässwörter sind länger", "my password is longer", strings.Repeat("x y9-", 26)[:128]} {
		if err := w.tx(func(tx *db.Tx) error { return w.SetPassword(w.ctx, tx, alice.ID, password) }); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// TestDisabledIsCut holds one of everything when the account is disabled.
func TestDisabledIsCut(t *testing.T) {
	w := newWorld(t)
	const good = "correct horse battery"
	alice := w.account("alice")
	wire, line := ed25519Key(t)
	w.must(func(tx *db.Tx) error {
		if _, err := w.AddKey(w.ctx, tx, alice.ID, line); err != nil {
			return err
		}
		return w.SetPassword(w.ctx, tx, alice.ID, good)
	})
	api, session, link := w.token(alice.ID, account.APIToken, 0), w.token(alice.ID, account.SessionToken, 0), w.token(alice.ID, account.SigninToken, 0)
	ways := map[string]func() error{
		"key":      func() error { _, err := w.ActorByKey(w.ctx, w.DB.Read(), wire); return err },
		"api":      func() error { _, err := w.byToken(account.APIToken, api); return err },
		"session":  func() error { _, err := w.byToken(account.SessionToken, session); return err },
		"password": func() error { _, err := w.ActorByPassword(w.ctx, w.DB.Read(), "alice", good); return err },
		"id":       func() error { _, err := w.Actor(w.ctx, w.DB.Read(), alice.ID, account.MethodKey); return err },
	}
	for name, way := range ways {
		if err := way(); err != nil {
			t.Errorf("%s before: %v", name, err)
		}
	}
	ways["link"] = func() error {
		return w.tx(func(tx *db.Tx) error { _, err := w.Redeem(w.ctx, tx, link); return err })
	}
	w.must(func(tx *db.Tx) error { return w.SetDisabled(w.ctx, tx, alice.ID, true) })
	for name, way := range ways {
		if err := way(); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s of a disabled account: %v", name, err)
		}
	}
	w.must(func(tx *db.Tx) error { return w.SetDisabled(w.ctx, tx, alice.ID, false) })
	for name, way := range ways {
		err := way()
		if ended := name == "session" || name == "link"; (err != nil) != ended {
			t.Errorf("%s of an account that was let in again: %v", name, err)
		}
	}
}
