// Package account knows who asks and decides what they may do.
//
// An [Account] proves itself with an SSH key, a token, a session or a password; the result
// is an [Actor]. [Store.May] is the only place where the server decides whether an actor may
// do something: every room asks it and nobody else looks at roles.
//
// Invariants: of a secret only a hash is kept (SHA-256 of a random token, argon2id of a
// password). A key belongs to one account. A disabled account is nobody, at once and on
// every way in: each sign-in looks at the account's row, and so does each decision. What
// cannot be decided is denied. A private repository that the asker may not read is refused
// with the very words for one that does not exist.
package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

const (
	// maxEmail is the longest address that mail can carry (RFC 5321, 4.5.3.1.3 less the brackets).
	maxEmail = 254
	// maxFullName keeps names on one line of a page and of a commit header.
	maxFullName = 100
)

// nameGrammar is what an account or a group may be called: it is part of URLs, of plans and
// of commit trailers, so it needs no escaping anywhere.
var nameGrammar = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,38}$`)

// reserved names mean something else wherever an account is named.
var reserved = map[string]bool{"self": true, "anonymous": true, "gatehouse": true, "everybody": true}

// Account is somebody whom the server knows.
type Account struct {
	ID        int64
	Name      string
	Email     string // lower case
	FullName  string
	Admin     bool
	Disabled  bool
	CreatedAt time.Time
}

// The ways in which an actor was recognised.
const (
	MethodKey      = "key"
	MethodToken    = "token"
	MethodSession  = "session"
	MethodPassword = "password"
	MethodLocal    = "local" // somebody at the server's own files
)

// Actor is who asks: an account, as it was when it signed in. The zero value is anonymous.
type Actor struct {
	ID     int64
	Name   string
	Email  string
	Admin  bool
	Groups []int64
	Method string
}

// Anonymous reports whether nobody signed in.
func (a Actor) Anonymous() bool { return a.ID == 0 && a.Method != MethodLocal }

// Local is whoever can open the server's data folder: an administrator without an account.
func Local() Actor { return Actor{Name: "local", Admin: true, Method: MethodLocal} }

// Store keeps accounts and what belongs to them.
type Store struct {
	DB  *db.DB
	Now func() time.Time
	// Rand is where secrets come from; nil is crypto/rand.
	Rand io.Reader
}

func (s *Store) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

// NewAccount is what [Store.Create] needs. Password and FullName may be empty.
type NewAccount struct {
	Name     string
	Email    string
	FullName string
	Password string
	Admin    bool
}

// Create adds an account. A name or address that is taken, also by a group, is a Conflict.
func (s *Store) Create(ctx context.Context, tx *db.Tx, n NewAccount) (Account, error) {
	const op = "account.Create"
	if err := checkName(op, n.Name); err != nil {
		return Account{}, err
	}
	email, err := checkEmail(op, n.Email)
	if err != nil {
		return Account{}, err
	}
	if err := checkFullName(op, n.FullName); err != nil {
		return Account{}, err
	}
	hash := ""
	if n.Password != "" {
		if hash, err = s.newPassword(ctx, n.Name, email, n.Password); err != nil {
			return Account{}, err
		}
	}
	if err := free(ctx, tx, op, n.Name, email); err != nil {
		return Account{}, err
	}
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return Account{}, err
	}
	a := Account{ID: id, Name: n.Name, Email: email, FullName: n.FullName, Admin: n.Admin, CreatedAt: s.Now().UTC().Truncate(time.Microsecond)}
	_, err = tx.ExecContext(ctx, `INSERT INTO accounts (id, name, email, full_name, password_hash, admin, disabled, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7)`, a.ID, a.Name, a.Email, a.FullName, hash, db.Bool(a.Admin), db.Micros(a.CreatedAt))
	if db.IsUnique(err) {
		return Account{}, taken(op, n.Name)
	}
	if err != nil {
		return Account{}, fmt.Errorf("account: create %s: %w", n.Name, err)
	}
	return a, nil
}

// free looks before it writes: after a failed INSERT PostgreSQL would refuse the rest of the transaction.
func free(ctx context.Context, q db.Querier, op, name, email string) error {
	var names, emails, groups int
	err := q.QueryRowContext(ctx, `SELECT
		(SELECT COUNT(*) FROM accounts WHERE name = $1),
		(SELECT COUNT(*) FROM accounts WHERE email = $2),
		(SELECT COUNT(*) FROM account_groups WHERE name = $1)`, name, email).Scan(&names, &emails, &groups)
	switch {
	case err != nil:
		return fmt.Errorf("account: look for %s: %w", name, err)
	case names > 0 || groups > 0:
		return taken(op, name)
	case emails > 0:
		return fault.New(fault.Conflict, op, "another account has the address "+email, "use an address of its own for each account")
	}
	return nil
}

func taken(op, name string) error {
	return fault.New(fault.Conflict, op, fmt.Sprintf("the name %s is taken", name), "choose another name")
}

const accountColumns = `id, name, email, full_name, admin, disabled, created_at`

func scanAccount(row interface{ Scan(...any) error }) (Account, error) {
	var a Account
	var admin, disabled, created int64
	err := row.Scan(&a.ID, &a.Name, &a.Email, &a.FullName, &admin, &disabled, &created)
	a.Admin, a.Disabled, a.CreatedAt = admin != 0, disabled != 0, db.Time(created)
	return a, err
}

// ByID finds an account, also a disabled one; NotFound when there is none.
func (s *Store) ByID(ctx context.Context, q db.Querier, id int64) (Account, error) {
	return one(ctx, q, "account.ByID", fmt.Sprintf("there is no account with the id %d", id), `id = $1`, id)
}

// ByName finds an account, also a disabled one; NotFound when there is none.
func (s *Store) ByName(ctx context.Context, q db.Querier, name string) (Account, error) {
	return one(ctx, q, "account.ByName", fmt.Sprintf("there is no account called %q", name), `name = $1`, name)
}

// ByEmail finds the account with an address, whatever its case; NotFound when there is none.
func (s *Store) ByEmail(ctx context.Context, q db.Querier, email string) (Account, error) {
	return one(ctx, q, "account.ByEmail", fmt.Sprintf("no account has the address %q", email), `email = $1`, strings.ToLower(email))
}

func one(ctx context.Context, q db.Querier, op, missing, where string, arg any) (Account, error) {
	a, err := scanAccount(q.QueryRowContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE `+where, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, fault.New(fault.NotFound, op, missing, "")
	}
	if err != nil {
		return Account{}, fmt.Errorf("%s: %w", op, err)
	}
	return a, nil
}

// List gives every account, by name.
func (s *Store) List(ctx context.Context, q db.Querier) ([]Account, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+accountColumns+` FROM accounts ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("account: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("account: list: %w", err)
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// Names finds several accounts in one statement; ids that name nobody are left out.
func (s *Store) Names(ctx context.Context, q db.Querier, ids []int64) (map[int64]Account, error) {
	found := make(map[int64]Account, len(ids))
	var marks []string
	var args []any
	for _, id := range ids {
		if _, seen := found[id]; seen {
			continue
		}
		found[id] = Account{}
		args = append(args, id)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	clear(found)
	if len(args) == 0 {
		return found, nil
	}
	rows, err := q.QueryContext(ctx, `SELECT `+accountColumns+` FROM accounts WHERE id IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("account: names: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, fmt.Errorf("account: names: %w", err)
		}
		found[a.ID] = a
	}
	return found, rows.Err()
}

// SetDisabled cuts an account off, or lets it in again. Cutting off also ends its sessions
// and sign-in links for good; keys and API tokens work again when it is let in.
func (s *Store) SetDisabled(ctx context.Context, tx *db.Tx, id int64, disabled bool) error {
	if _, err := s.ByID(ctx, tx, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE accounts SET disabled = $1 WHERE id = $2`, db.Bool(disabled), id); err != nil {
		return fmt.Errorf("account: disable %d: %w", id, err)
	}
	if !disabled {
		return nil
	}
	return s.endSessions(ctx, tx, id)
}

// Actor is the account id as somebody who asks now: its present rights, not those of the day
// it signed in. A disabled account is Unauthenticated. Landing asks so for the submitter.
func (s *Store) Actor(ctx context.Context, q db.Querier, id int64, method string) (Actor, error) {
	a, err := s.ByID(ctx, q, id)
	if err != nil {
		return Actor{}, err
	}
	return s.actor(ctx, q, "account.Actor", a, method)
}

func (s *Store) actor(ctx context.Context, q db.Querier, op string, a Account, method string) (Actor, error) {
	if a.Disabled {
		return Actor{}, fault.New(fault.Unauthenticated, op, "this account is disabled", "ask an administrator")
	}
	groups, err := groupsOf(ctx, q, a.ID)
	if err != nil {
		return Actor{}, err
	}
	return Actor{ID: a.ID, Name: a.Name, Email: a.Email, Admin: a.Admin, Groups: groups, Method: method}, nil
}

func checkName(op, name string) error {
	if !nameGrammar.MatchString(name) {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q cannot be a name", clip(name)),
			"use up to 39 of a-z 0-9 . _ -, beginning with a letter or a digit")
	}
	if reserved[name] {
		return fault.New(fault.Invalid, op, fmt.Sprintf("the name %s is reserved", name), "choose another name")
	}
	return nil
}

// checkEmail accepts what can stand in a commit header and be compared; whether mail arrives
// there nobody can know from the text. It returns the address in lower case.
func checkEmail(op, email string) (string, error) {
	local, domain, ok := strings.Cut(email, "@")
	bad := !ok || local == "" || domain == "" || len(email) > maxEmail || strings.Contains(domain, "@")
	for _, c := range email {
		bad = bad || !unicode.IsPrint(c) || unicode.IsSpace(c) || strings.ContainsRune("<>\"\\,;:()", c)
	}
	if bad || !utf8.ValidString(email) {
		return "", fault.New(fault.Invalid, op, fmt.Sprintf("%q is not an e-mail address", clip(email)), "write it as name@example.org")
	}
	return strings.ToLower(email), nil
}

func checkFullName(op, name string) error {
	bad := !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxFullName
	for _, c := range name {
		bad = bad || !unicode.IsPrint(c) || c == '<' || c == '>'
	}
	if bad {
		return fault.New(fault.Invalid, op, "this full name cannot be used",
			fmt.Sprintf("use up to %d printable characters without < and >", maxFullName))
	}
	return nil
}

// clip shortens what somebody sent before it is quoted back.
func clip(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
