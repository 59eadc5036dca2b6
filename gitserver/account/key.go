package account

import (
	"bytes"
	"context"
	"crypto/rsa"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// minRSA is the least modulus that NIST SP 800-57 gives 128 bits of security.
	minRSA = 3072
	// maxRSA bounds what one signature check may cost: pathological moduli are a way to
	// make a server busy before anybody signed in.
	maxRSA = 8192
	// maxKeyLine bounds an authorized_keys line; the largest accepted key needs about 1.5 kB.
	maxKeyLine = 8 << 10
	// maxKeys bounds the keys of an account.
	maxKeys = 100
	// maxComment keeps the list of keys readable.
	maxComment = 100
)

// Key is a public SSH key of an account.
type Key struct {
	ID          int64
	Account     int64
	Fingerprint string // SHA256:…, as ssh-keygen -l prints it
	Comment     string
	Type        string // ssh-ed25519, …
	CreatedAt   time.Time
}

// AddKey adds the key of an authorized_keys line, as in ~/.ssh/id_ed25519.pub. Weak keys,
// certificates and options are Invalid; a key that any account has already is a Conflict.
func (s *Store) AddKey(ctx context.Context, tx *db.Tx, account int64, authorizedLine string) (Key, error) {
	const op = "account.AddKey"
	public, comment, err := parseKeyLine(op, authorizedLine)
	if err != nil {
		return Key{}, err
	}
	if _, err := s.ByID(ctx, tx, account); err != nil {
		return Key{}, err
	}
	wire := base64.StdEncoding.EncodeToString(public.Marshal())
	var owner int64
	err = tx.QueryRowContext(ctx, `SELECT account_id FROM ssh_keys WHERE blob = $1`, wire).Scan(&owner)
	switch {
	case err == nil && owner == account:
		return Key{}, fault.New(fault.Conflict, op, "this account has this key already", "")
	case err == nil:
		return Key{}, fault.New(fault.Conflict, op, "another account has this key", "make a key of your own: ssh-keygen -t ed25519")
	case !errors.Is(err, sql.ErrNoRows):
		return Key{}, fmt.Errorf("account: add key: %w", err)
	}
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM ssh_keys WHERE account_id = $1`, account).Scan(&count); err != nil {
		return Key{}, fmt.Errorf("account: add key: %w", err)
	}
	if count >= maxKeys {
		return Key{}, fault.New(fault.TooLarge, op, fmt.Sprintf("this account has %d keys", count), "remove some first")
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return Key{}, err
	}
	k := Key{ID: id, Account: account, Fingerprint: ssh.FingerprintSHA256(public), Comment: comment, Type: public.Type(), CreatedAt: s.Now().UTC().Truncate(time.Microsecond)}
	_, err = tx.ExecContext(ctx, `INSERT INTO ssh_keys (id, account_id, blob, fingerprint, comment, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, k.ID, k.Account, wire, k.Fingerprint, k.Comment, db.Micros(k.CreatedAt))
	if err != nil {
		return Key{}, fmt.Errorf("account: add key: %w", err)
	}
	return k, nil
}

func parseKeyLine(op, line string) (ssh.PublicKey, string, error) {
	const advice = "send the one line of a public key file, as ~/.ssh/id_ed25519.pub"
	line = strings.TrimSpace(line)
	if len(line) > maxKeyLine || strings.ContainsAny(line, "\n\r\x00") {
		return nil, "", fault.New(fault.Invalid, op, "this is not one public key", advice)
	}
	if strings.Contains(line, "PRIVATE KEY") {
		return nil, "", fault.New(fault.Invalid, op, "this is a private key", "it should be replaced now; "+advice)
	}
	public, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		if strings.Contains(line, "ssh-dss ") { // newer parsers do not even read it
			return nil, "", weakDSA(op)
		}
		return nil, "", fault.New(fault.Invalid, op, "this is not a public SSH key", advice)
	}
	if len(options) > 0 {
		return nil, "", fault.New(fault.Invalid, op, "options before a key have no meaning here", advice)
	}
	if err := checkStrength(op, public); err != nil {
		return nil, "", err
	}
	comment = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, comment)
	if runes := []rune(comment); len(runes) > maxComment {
		comment = string(runes[:maxComment])
	}
	return public, comment, nil
}

func weakDSA(op string) error {
	return fault.New(fault.Invalid, op, "DSA keys are too weak", "make a new key: ssh-keygen -t ed25519")
}

// checkStrength says which keys are good enough; adding a key and signing in both ask it.
func checkStrength(op string, public ssh.PublicKey) error {
	switch public.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
		return nil
	case "ssh-dss":
		return weakDSA(op)
	case ssh.KeyAlgoRSA:
		return checkRSA(op, public)
	default:
		return fault.New(fault.Invalid, op, fmt.Sprintf("keys of the type %s are not accepted", clip(public.Type())), "make a new key: ssh-keygen -t ed25519")
	}
}

func checkRSA(op string, public ssh.PublicKey) error {
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return fault.New(fault.Invalid, op, "this RSA key cannot be read", "make a new key: ssh-keygen -t ed25519")
	}
	key, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return fault.New(fault.Invalid, op, "this RSA key cannot be read", "make a new key: ssh-keygen -t ed25519")
	}
	bits := key.N.BitLen()
	if bits < minRSA || bits > maxRSA || key.E < 3 || key.E%2 == 0 || key.N.Bit(0) == 0 {
		return fault.New(fault.Invalid, op, fmt.Sprintf("this RSA key has %d bits; %d to %d are accepted", bits, minRSA, maxRSA),
			"make a new key: ssh-keygen -t ed25519")
	}
	return nil
}

// Keys lists the keys of an account, oldest first.
func (s *Store) Keys(ctx context.Context, q db.Querier, account int64) ([]Key, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, account_id, blob, fingerprint, comment, created_at FROM ssh_keys WHERE account_id = $1 ORDER BY id`, account)
	if err != nil {
		return nil, fmt.Errorf("account: keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Key
	for rows.Next() {
		var k Key
		var wire string
		var created int64
		if err := rows.Scan(&k.ID, &k.Account, &wire, &k.Fingerprint, &k.Comment, &created); err != nil {
			return nil, fmt.Errorf("account: keys: %w", err)
		}
		raw, err := base64.StdEncoding.DecodeString(wire)
		if err != nil {
			return nil, fmt.Errorf("account: key %d: %w", k.ID, err)
		}
		public, err := ssh.ParsePublicKey(raw)
		if err != nil {
			return nil, fmt.Errorf("account: key %d: %w", k.ID, err)
		}
		k.Type, k.CreatedAt = public.Type(), db.Time(created)
		all = append(all, k)
	}
	return all, rows.Err()
}

// RemoveKey removes a key of an account. One that is not the account's is NotFound.
func (s *Store) RemoveKey(ctx context.Context, tx *db.Tx, account, keyID int64) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM ssh_keys WHERE id = $1 AND account_id = $2`, keyID, account)
	if err != nil {
		return fmt.Errorf("account: remove key: %w", err)
	}
	return changedOne(res, "account.RemoveKey", "there is no such key")
}

// ActorByKey signs in with a public key in wire format (RFC 4253, 6.6) whose possession the
// caller has verified. A key that nobody has, that is too weak by now, or whose account is
// disabled is Unauthenticated, with the same words.
func (s *Store) ActorByKey(ctx context.Context, q db.Querier, wire []byte) (Actor, error) {
	const op = "account.ActorByKey"
	unknown := fault.New(fault.Unauthenticated, op, "this key belongs to no account here", "add it on your settings page, or with gate account key add")
	public, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return Actor{}, unknown
	}
	if err := checkStrength(op, public); err != nil {
		return Actor{}, unknown
	}
	var id int64
	err = q.QueryRowContext(ctx, `SELECT k.account_id FROM ssh_keys k JOIN accounts a ON a.id = k.account_id
		WHERE k.blob = $1 AND a.disabled = 0`, base64.StdEncoding.EncodeToString(wire)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return Actor{}, unknown
	}
	if err != nil {
		return Actor{}, fmt.Errorf("account: key: %w", err)
	}
	return s.Actor(ctx, q, id, MethodKey)
}
