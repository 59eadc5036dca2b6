package account

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// TokenKind says what a token is good for. A token of one kind is never taken for another.
type TokenKind string

// The kinds of token.
const (
	APIToken     TokenKind = "api"     // git over HTTP and the API
	SessionToken TokenKind = "session" // a signed-in browser
	SigninToken  TokenKind = "signin"  // a link that signs in once
)

const (
	// tokenBytes is 256 bits: nobody guesses it, so a plain SHA-256 of it can be stored.
	tokenBytes = 32
	// apiPrefix lets secret scanners find a token that was published by mistake.
	apiPrefix = "gate_"
	// SessionIdle ends a session that nobody used for so long (ASVS 7.3.1).
	SessionIdle = 12 * time.Hour
	// sessionTouch is how stale the record of a session's last use may be: one write in ten
	// minutes instead of one a page.
	sessionTouch = 10 * time.Minute
	// maxLabel keeps the list of tokens readable.
	maxLabel = 100
	// maxTokens bounds the live tokens of one kind that an account has: a script that makes a
	// token a minute should hear of it.
	maxTokens = 500
)

// lifetime is how long a token lives when nobody says, and at most.
var lifetime = map[TokenKind]struct{ usual, most time.Duration }{
	APIToken:     {365 * 24 * time.Hour, 5 * 365 * 24 * time.Hour},
	SessionToken: {7 * 24 * time.Hour, 7 * 24 * time.Hour}, // ASVS 7.3.2
	SigninToken:  {time.Hour, 7 * 24 * time.Hour},
}

// Token is what is known of a token: everything but the secret.
type Token struct {
	ID        int64
	Account   int64
	Kind      TokenKind
	Label     string
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // sessions: roughly the last use; sign-in links: when it was redeemed
	RevokedAt time.Time
}

// NewToken makes a token and returns its secret, which is not kept and cannot be shown again.
// A ttl of 0 is the usual lifetime of the kind.
func (s *Store) NewToken(ctx context.Context, tx *db.Tx, account int64, kind TokenKind, label string, ttl time.Duration) (string, error) {
	const op = "account.NewToken"
	life, ok := lifetime[kind]
	if !ok {
		return "", fault.Newf(fault.Invalid, op, "there is no kind of token called %q", clip(string(kind)))
	}
	if ttl == 0 {
		ttl = life.usual
	}
	if ttl < 0 || ttl > life.most {
		return "", fault.New(fault.Invalid, op, "a token cannot live so long", fmt.Sprintf("ask for at most %d hours", int(life.most.Hours())))
	}
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel || strings.IndexFunc(label, unicode.IsControl) >= 0 {
		return "", fault.New(fault.Invalid, op, "this label cannot be used", fmt.Sprintf("use up to %d printable characters", maxLabel))
	}
	if _, err := s.ByID(ctx, tx, account); err != nil {
		return "", err
	}
	now := s.Now()
	if err := s.roomForToken(ctx, tx, op, account, kind, now); err != nil {
		return "", err
	}
	raw := make([]byte, tokenBytes)
	if _, err := io.ReadFull(s.random(), raw); err != nil {
		return "", fmt.Errorf("account: new token: %w", err)
	}
	secret := base64.RawURLEncoding.EncodeToString(raw)
	if kind == APIToken {
		secret = apiPrefix + secret
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO tokens (id, account_id, kind, hash, label, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, account, string(kind), hashSecret(secret), label, db.Micros(now), db.Micros(now.Add(ttl)))
	if err != nil {
		return "", fmt.Errorf("account: new token: %w", err)
	}
	return secret, nil
}

// roomForToken forgets sessions and links that ended, and refuses when too many are live.
func (s *Store) roomForToken(ctx context.Context, tx *db.Tx, op string, account int64, kind TokenKind, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE account_id = $1 AND kind <> $2 AND (expires_at <= $3 OR revoked_at <> 0)`,
		account, string(APIToken), db.Micros(now))
	if err != nil {
		return fmt.Errorf("account: forget tokens: %w", err)
	}
	var live int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tokens WHERE account_id = $1 AND kind = $2 AND revoked_at = 0 AND expires_at > $3`,
		account, string(kind), db.Micros(now)).Scan(&live)
	if err != nil {
		return fmt.Errorf("account: count tokens: %w", err)
	}
	if live >= maxTokens {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("this account has %d live tokens of this kind", live), "revoke some first")
	}
	return nil
}

// ActorByToken signs in with a token of the given kind. One that is unknown, of another kind,
// expired, revoked or of a disabled account is Unauthenticated, with the same words. A
// sign-in link is not good for this: see [Store.Redeem].
func (s *Store) ActorByToken(ctx context.Context, q db.Querier, kind TokenKind, secret string) (Actor, error) {
	const op = "account.ActorByToken"
	now := s.Now()
	var id, created, used int64
	err := q.QueryRowContext(ctx, `SELECT t.account_id, t.created_at, t.used_at FROM tokens t JOIN accounts a ON a.id = t.account_id
		WHERE t.hash = $1 AND t.kind = $2 AND t.revoked_at = 0 AND t.expires_at > $3 AND a.disabled = 0`,
		hashSecret(secret), string(kind), db.Micros(now)).Scan(&id, &created, &used)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Actor{}, fmt.Errorf("account: token: %w", err)
	}
	idle := kind == SessionToken && !now.Before(db.Time(max(created, used)).Add(SessionIdle))
	if err != nil || idle || kind == SigninToken {
		return Actor{}, badToken(op, kind)
	}
	method := MethodToken
	if kind == SessionToken {
		method = MethodSession
	}
	return s.Actor(ctx, q, id, method)
}

// KeepAlive notes that a session is in use. Called with each page, it writes seldom.
func (s *Store) KeepAlive(ctx context.Context, secret string) error {
	now := s.Now()
	stale := db.Micros(now.Add(-sessionTouch))
	hash := hashSecret(secret)
	var due int
	err := s.DB.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM tokens
		WHERE hash = $1 AND kind = $2 AND used_at < $3 AND created_at < $3`, hash, string(SessionToken), stale).Scan(&due)
	if err != nil {
		return fmt.Errorf("account: keep alive: %w", err)
	}
	if due == 0 {
		return nil
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tokens SET used_at = $1 WHERE hash = $2 AND kind = $3 AND revoked_at = 0`,
			db.Micros(now), hash, string(SessionToken))
		if err != nil {
			return fmt.Errorf("account: keep alive: %w", err)
		}
		return nil
	})
}

// Redeem uses up a one-time sign-in link: of any number of attempts exactly one succeeds.
func (s *Store) Redeem(ctx context.Context, tx *db.Tx, secret string) (Actor, error) {
	const op = "account.Redeem"
	now := db.Micros(s.Now())
	var id int64
	err := tx.QueryRowContext(ctx, `UPDATE tokens SET used_at = $1
		WHERE hash = $2 AND kind = $3 AND used_at = 0 AND revoked_at = 0 AND expires_at > $1
		AND account_id IN (SELECT id FROM accounts WHERE disabled = 0) RETURNING account_id`,
		now, hashSecret(secret), string(SigninToken)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return Actor{}, badToken(op, SigninToken)
	}
	if err != nil {
		return Actor{}, fmt.Errorf("account: redeem: %w", err)
	}
	return s.Actor(ctx, tx, id, MethodSession)
}

func badToken(op string, kind TokenKind) error {
	switch kind {
	case SigninToken:
		return fault.New(fault.Unauthenticated, op, "this sign-in link has been used, has expired or never was one", "ask for a new link: gate account link NAME on the server, or an administrator")
	case SessionToken:
		return fault.New(fault.Unauthenticated, op, "you are not signed in any more", "sign in again")
	default:
		return fault.New(fault.Unauthenticated, op, "this token is unknown, revoked or expired", "make a new one with gate token create")
	}
}

// RevokeToken ends a token of an account. One that is not the account's is NotFound.
func (s *Store) RevokeToken(ctx context.Context, tx *db.Tx, account, tokenID int64) error {
	res, err := tx.ExecContext(ctx, `UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND account_id = $3 AND revoked_at = 0`,
		db.Micros(s.Now()), tokenID, account)
	if err != nil {
		return fmt.Errorf("account: revoke token: %w", err)
	}
	return changedOne(res, "account.RevokeToken", "there is no such live token")
}

// RevokeSecret ends the token that secret belongs to: signing out. Ending what is not is no error.
func (s *Store) RevokeSecret(ctx context.Context, tx *db.Tx, secret string) error {
	_, err := tx.ExecContext(ctx, `UPDATE tokens SET revoked_at = $1 WHERE hash = $2 AND revoked_at = 0`, db.Micros(s.Now()), hashSecret(secret))
	if err != nil {
		return fmt.Errorf("account: revoke: %w", err)
	}
	return nil
}

// endSessions ends what a browser holds: sessions and links. API tokens stay.
func (s *Store) endSessions(ctx context.Context, tx *db.Tx, account int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE tokens SET revoked_at = $1 WHERE account_id = $2 AND kind <> $3 AND revoked_at = 0`,
		db.Micros(s.Now()), account, string(APIToken))
	if err != nil {
		return fmt.Errorf("account: end sessions: %w", err)
	}
	return nil
}

// Tokens lists the tokens of an account, also those that ended, newest first.
func (s *Store) Tokens(ctx context.Context, q db.Querier, account int64) ([]Token, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, account_id, kind, label, created_at, expires_at, used_at, revoked_at
		FROM tokens WHERE account_id = $1 ORDER BY id DESC`, account)
	if err != nil {
		return nil, fmt.Errorf("account: tokens: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Token
	for rows.Next() {
		var t Token
		var created, expires, used, revoked int64
		if err := rows.Scan(&t.ID, &t.Account, &t.Kind, &t.Label, &created, &expires, &used, &revoked); err != nil {
			return nil, fmt.Errorf("account: tokens: %w", err)
		}
		t.CreatedAt, t.ExpiresAt, t.UsedAt, t.RevokedAt = db.Time(created), db.Time(expires), db.Time(used), db.Time(revoked)
		all = append(all, t)
	}
	return all, rows.Err()
}

// hashSecret is what is stored and looked up. Looking up by hash also means that the time of
// a lookup says nothing about the secret.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func changedOne(res sql.Result, op, missing string) error {
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if n == 0 {
		return fault.New(fault.NotFound, op, missing, "")
	}
	return nil
}
