package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// argon2id with OWASP's first recommended setting: 19 MiB, two passes, one lane.
const (
	argonMemory  = 19 * 1024 // KiB
	argonPasses  = 2
	argonLanes   = 1
	argonSaltLen = 16
	argonKeyLen  = 32
	// argonMemoryMost and argonPassesMost bound what a stored hash may ask for, so that a
	// damaged row cannot eat the machine.
	argonMemoryMost = 256 * 1024
	argonPassesMost = 16
	// argonAtOnce bounds how many hashes are computed at a time (76 MiB): a flood of
	// sign-ins waits instead of filling the memory.
	argonAtOnce = 4

	// minPassword and maxPassword are characters (OWASP ASVS 5.0, 6.2.1 and 6.2.9).
	minPassword = 12
	maxPassword = 128
)

var argonSlots = make(chan struct{}, argonAtOnce)

// nobody is compared with when there is no such account or it has no password, so that the
// answer takes the same work. Nothing hashes to it but by chance.
var nobody = encodeHash(argonMemory, argonPasses, argonLanes, make([]byte, argonSaltLen), make([]byte, argonKeyLen))

// SetPassword replaces the password of an account and ends its sessions and sign-in links.
func (s *Store) SetPassword(ctx context.Context, tx *db.Tx, id int64, password string) error {
	a, err := s.ByID(ctx, tx, id)
	if err != nil {
		return err
	}
	hash, err := s.newPassword(ctx, a.Name, a.Email, password)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE accounts SET password_hash = $1 WHERE id = $2`, hash, id); err != nil {
		return fmt.Errorf("account: set password of %d: %w", id, err)
	}
	return s.endSessions(ctx, tx, id)
}

// ActorByPassword signs in with a name and a password. Every failure is Unauthenticated with
// the same words after the same work.
func (s *Store) ActorByPassword(ctx context.Context, q db.Querier, name, password string) (Actor, error) {
	const op = "account.ActorByPassword"
	var id int64
	var hash string
	err := q.QueryRowContext(ctx, `SELECT id, password_hash FROM accounts WHERE name = $1 AND disabled = 0`, name).Scan(&id, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Actor{}, fmt.Errorf("account: sign in: %w", err)
	}
	known := err == nil && hash != ""
	if !known {
		hash = nobody
	}
	matches, err := verify(ctx, hash, password)
	if err != nil {
		return Actor{}, err
	}
	if !known || !matches {
		return Actor{}, fault.New(fault.Unauthenticated, op, "the name or the password is wrong", "")
	}
	return s.Actor(ctx, q, id, MethodPassword)
}

// HasPassword reports whether an account can sign in with a password: one that came by a
// link or a key alone has none yet, and need not know it to set one.
func (s *Store) HasPassword(ctx context.Context, q db.Querier, id int64) (bool, error) {
	var has bool
	err := q.QueryRowContext(ctx, `SELECT password_hash <> '' FROM accounts WHERE id = $1`, id).Scan(&has)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("account: password of %d: %w", id, err)
	}
	return has, nil
}

func (s *Store) newPassword(ctx context.Context, name, email, password string) (string, error) {
	if err := checkPassword(name, email, password); err != nil {
		return "", err
	}
	salt := make([]byte, argonSaltLen)
	if _, err := io.ReadFull(s.random(), salt); err != nil {
		return "", fmt.Errorf("account: salt: %w", err)
	}
	key, err := derive(ctx, password, salt, argonMemory, argonPasses, argonLanes, argonKeyLen)
	if err != nil {
		return "", err
	}
	return encodeHash(argonMemory, argonPasses, argonLanes, salt, key), nil
}

// derive is argon2id, a few at a time.
func derive(ctx context.Context, password string, salt []byte, memory, passes uint32, lanes uint8, keyLen uint32) ([]byte, error) {
	select {
	case argonSlots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("account: derive: %w", ctx.Err())
	}
	defer func() { <-argonSlots }()
	return argon2.IDKey([]byte(password), salt, passes, memory, lanes, keyLen), nil
}

// encodeHash writes the PHC string format, which carries its own parameters: stronger ones
// can be chosen later without locking anybody out.
func encodeHash(memory, passes uint32, lanes uint8, salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// verify compares a password with a stored hash. A hash that cannot be read matches nothing.
func verify(ctx context.Context, encoded, password string) (bool, error) {
	var version int
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("account: stored password hash is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil {
		return false, fmt.Errorf("account: stored password hash: %w", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("account: stored password hash: %w", err)
	}
	key, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, fmt.Errorf("account: stored password hash: %w", err)
	}
	if version != argon2.Version || memory > argonMemoryMost || passes < 1 || passes > argonPassesMost || lanes < 1 || len(key) != argonKeyLen {
		return false, errors.New("account: stored password hash has unusable parameters")
	}
	got, err := derive(ctx, password, salt, memory, passes, lanes, argonKeyLen)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}

// checkPassword asks for length, not for character classes (OWASP ASVS 5.0, 6.2), and
// refuses what is tried first.
func checkPassword(name, email, password string) error {
	const op = "account.SetPassword"
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return fault.New(fault.Invalid, op, "this password is not text", "use printable characters")
	case n < minPassword:
		return fault.New(fault.Invalid, op, fmt.Sprintf("this password has %d characters", n), fmt.Sprintf("use at least %d; a few random words are good", minPassword))
	case n > maxPassword:
		return fault.New(fault.Invalid, op, fmt.Sprintf("this password has %d characters", n), fmt.Sprintf("use at most %d", maxPassword))
	case guessable(name, email, password):
		return fault.New(fault.Invalid, op, "this password would be guessed at once", "use a few random words")
	}
	return nil
}

// guessable finds the long passwords that guessers try first: one's own name, something
// short over and over, and walks along the keyboard or the alphabet.
func guessable(name, email, password string) bool {
	low := strings.ToLower(password)
	local, _, _ := strings.Cut(email, "@")
	for _, known := range []string{name, local, email, "password", "passwort", "gatehouse", "letmein", "welcome", "changeme"} {
		if known == "" {
			continue
		}
		// what is left beside the known word has to be worth something by itself
		if rest := strings.ReplaceAll(low, known, ""); len(rest) < len(low) && len(rest) < minPassword/2 {
			return true
		}
	}
	for period := 1; period <= 4; period++ {
		if strings.Repeat(low[:period], len(low)/period+1)[:len(low)] == low {
			return true
		}
	}
	for _, walk := range []string{"01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm"} {
		if strings.Contains(walk, low) || strings.Contains(reverse(walk), low) {
			return true
		}
	}
	return false
}

func reverse(text string) string {
	b := []byte(text)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}
