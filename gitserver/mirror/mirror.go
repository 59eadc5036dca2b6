// Package mirror keeps upstream repositories at what has landed here.
//
// A mirror is a row: where it goes, how it is, and since when. Whoever moves a gated branch
// calls [Store.EnqueueAll] in the same transaction; the job calls [Store.Sync], which looks
// at both sides, pushes what the upstream lacks, and writes down how it went. Sync can be
// killed at any point and be run again: it decides by what the two repositories have, never
// by what it remembers.
//
// Invariants: only gated branches and the tags that their history reaches are pushed, each
// by an explicit refspec with the object's name, so nothing that has not landed can slip
// along. Nothing is ever forced or deleted upstream: an upstream that has gone its own way
// stops its mirror with a reason, until a person says retry. Any other failure is tried
// again for as long as it takes. Keys and tokens are files that only the server reads; they
// are in no row, no argument list, no reason and no log.
package mirror

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// Job is the kind of the job that syncs one mirror.
const Job = "mirror"

// The states of a mirror.
const (
	Synced   = "synced"   // the upstream has everything that had landed
	Pending  = "pending"  // something landed since, or nothing was tried yet
	Retrying = "retrying" // the last attempt failed; there is a next one
	Diverged = "diverged" // the upstream has what we have not; a person has to look
	Paused   = "paused"   // a person stopped it
)

const (
	// maxMirrors bounds the mirrors of a repository: each landing pushes to all of them.
	maxMirrors = 50
	// maxToken is more than any forge's token.
	maxToken = 4096
	// usualUser is sent with a token when nobody named a user; forges that go by the token
	// alone take any.
	usualUser = "git"
)

// userGrammar keeps user names free of what separates them from the token or the host.
var userGrammar = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,99}$`)

// Mirror is a destination that follows a repository, and how it is.
type Mirror struct {
	ID        int64
	Repo      int64
	Position  int // its place among the repository's mirrors, from 1
	URL       string
	Username  string
	PublicKey string // over SSH: the key to let in upstream, as an authorized_keys line
	State     string
	Reason    string // why it is not synced, in words; "" when it is
	Attempts  int    // failed ones since the last success
	NextTry   time.Time
	LastSync  time.Time
	LastOID   git.OID // the default branch upstream after the last sync

	secretFile string // base name of the key or token file
	wanted     int64  // grows with each request: a sync that began before one is not the last
}

// Store keeps mirrors. It is safe for concurrent use.
type Store struct {
	DB    *db.DB
	Repos *repo.Store
	Dir   string // the folder of keys and tokens
	Now   func() time.Time
	Bus   *event.Bus
	Log   *slog.Logger
	// Rand is where keys come from; nil is crypto/rand.
	Rand io.Reader
}

func (s *Store) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

// SyncJob asks for a sync of a mirror.
func SyncJob(id int64) db.Job { return db.Job{Kind: Job, Key: strconv.FormatInt(id, 10)} }

// NewMirror is what [Store.Add] needs.
type NewMirror struct {
	URL string
	// Username and Token are for https addresses.
	Username string
	Token    string
	// AllowLocal permits a folder of this machine; only administrators may ask for one.
	AllowLocal bool
}

// Add adds a mirror behind those that the repository has, and asks for its first sync. For
// an SSH address it makes a key; upstream has to let PublicKey in.
func (s *Store) Add(ctx context.Context, repoID int64, n NewMirror) (Mirror, error) {
	const op = "mirror.Add"
	to, err := repo.ParseAddress(n.URL, n.AllowLocal)
	if err != nil {
		return Mirror{}, err
	}
	if err := checkCredentials(op, to, n); err != nil {
		return Mirror{}, err
	}
	m := Mirror{Repo: repoID, URL: to.URL, Username: n.Username, State: Pending, wanted: 1}
	if n.Token != "" && m.Username == "" {
		m.Username = usualUser
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if _, err := s.Repos.ByID(ctx, tx, repoID); err != nil {
			return err
		}
		m.ID, err = tx.NextID(ctx, db.RowIDs)
		return err
	})
	if err != nil {
		return Mirror{}, err
	}
	// The file is there before the row that needs it; without a row the janitor takes it.
	if err := s.keepSecret(&m, to, n.Token); err != nil {
		return Mirror{}, errors.Join(err, s.files().Forget(m.ID))
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.place(ctx, tx, op, &m); err != nil {
			return err
		}
		return tx.Enqueue(ctx, SyncJob(m.ID))
	})
	if err != nil {
		if fault.KindOf(err) != fault.Internal { // a plain no: certainly no row
			err = errors.Join(err, s.files().Forget(m.ID))
		}
		return Mirror{}, err
	}
	s.Bus.Wake(event.RepoTopic(repoID))
	return m, nil
}

func checkCredentials(op string, to repo.Address, n NewMirror) error {
	if n.Token == "" && n.Username == "" {
		return nil
	}
	if to.Over != repo.OverHTTPS {
		return fault.New(fault.Invalid, op, "a user name and a token are for https addresses", "over SSH the server makes a key and shows it to you")
	}
	if n.Token == "" {
		return fault.New(fault.Invalid, op, "a user name is of no use without a token", "give both or neither")
	}
	if n.Username != "" && !userGrammar.MatchString(n.Username) {
		return fault.New(fault.Invalid, op, "this user name cannot be sent", "use letters, digits and . _ @ + -")
	}
	if len(n.Token) > maxToken || strings.ContainsFunc(n.Token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return fault.New(fault.Invalid, op, "this token cannot be sent", "give the token alone, without spaces or line ends")
	}
	return nil
}

// place writes the row of a new mirror at the end of the repository's list.
func (s *Store) place(ctx context.Context, tx *db.Tx, op string, m *Mirror) error {
	var count, last, twice int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(position), 0), COALESCE(SUM(CASE WHEN url = $2 THEN 1 ELSE 0 END), 0)
		FROM mirrors WHERE repo_id = $1`, m.Repo, m.URL).Scan(&count, &last, &twice)
	switch {
	case err != nil:
		return fmt.Errorf("mirror: add: %w", err)
	case twice > 0:
		return fault.New(fault.Conflict, op, "this repository has a mirror with this address already", "remove that one first to change its credentials")
	case count >= maxMirrors:
		return fault.New(fault.TooLarge, op, fmt.Sprintf("this repository has %d mirrors", count), "remove some first")
	}
	m.Position = last + 1
	_, err = tx.ExecContext(ctx, `INSERT INTO mirrors (id, repo_id, position, url, username, secret_file, public_key, state, wanted, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		m.ID, m.Repo, m.Position, m.URL, m.Username, m.secretFile, m.PublicKey, m.State, m.wanted, db.Micros(s.Now()))
	if err != nil {
		return fmt.Errorf("mirror: add: %w", err)
	}
	return nil
}

const columns = `id, repo_id, position, url, username, secret_file, public_key, state, reason, attempts, next_try_at, last_sync_at, last_oid, wanted`

func scan(row interface{ Scan(...any) error }) (Mirror, error) {
	var m Mirror
	var next, last int64
	err := row.Scan(&m.ID, &m.Repo, &m.Position, &m.URL, &m.Username, &m.secretFile, &m.PublicKey, &m.State, &m.Reason, &m.Attempts, &next, &last, &m.LastOID, &m.wanted)
	m.NextTry, m.LastSync = db.Time(next), db.Time(last)
	return m, err
}

// ByID finds a mirror; NotFound when there is none.
func (s *Store) ByID(ctx context.Context, q db.Querier, id int64) (Mirror, error) {
	m, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM mirrors WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Mirror{}, missing("mirror.ByID")
	}
	if err != nil {
		return Mirror{}, fmt.Errorf("mirror: find %d: %w", id, err)
	}
	return m, nil
}

func missing(op string) error { return fault.New(fault.NotFound, op, "there is no such mirror", "") }

// List gives the mirrors of a repository in order.
func (s *Store) List(ctx context.Context, q db.Querier, repoID int64) ([]Mirror, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM mirrors WHERE repo_id = $1 ORDER BY position`, repoID)
	if err != nil {
		return nil, fmt.Errorf("mirror: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Mirror
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("mirror: list: %w", err)
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// Remove removes a mirror and its key or token. The upstream stays as it is.
func (s *Store) Remove(ctx context.Context, id int64) error {
	var m Mirror
	err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if m, err = s.ByID(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM mirrors WHERE id = $1`, id); err != nil {
			return fmt.Errorf("mirror: remove %d: %w", id, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Bus.Wake(event.RepoTopic(m.Repo))
	return s.files().Forget(id)
}

// Retry tries a mirror now, whatever its state: also one that stopped or was paused.
func (s *Store) Retry(ctx context.Context, tx *db.Tx, id int64) error {
	if _, err := s.ByID(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = $1, reason = '', attempts = 0, next_try_at = 0, wanted = wanted + 1 WHERE id = $2`, Pending, id)
	if err != nil {
		return fmt.Errorf("mirror: retry %d: %w", id, err)
	}
	return tx.Enqueue(ctx, SyncJob(id))
}

// Pause stops a mirror until [Store.Retry]. An attempt that runs is finished.
func (s *Store) Pause(ctx context.Context, tx *db.Tx, id int64, by account.Actor) error {
	if _, err := s.ByID(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE mirrors SET state = $1, reason = $2, attempts = 0, next_try_at = 0, wanted = wanted + 1 WHERE id = $3`,
		Paused, "paused by "+by.Name, id)
	if err != nil {
		return fmt.Errorf("mirror: pause %d: %w", id, err)
	}
	return nil
}

// EnqueueAll asks for a sync of every mirror of a repository that is not stopped, in order.
// It belongs into the transaction that says that something landed.
func (s *Store) EnqueueAll(ctx context.Context, tx *db.Tx, repoID int64) error {
	all, err := s.List(ctx, tx, repoID)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.stopped() {
			continue
		}
		_, err := tx.ExecContext(ctx, `UPDATE mirrors SET wanted = wanted + 1, state = CASE WHEN state = $1 THEN $2 ELSE state END WHERE id = $3`,
			Synced, Pending, m.ID)
		if err != nil {
			return fmt.Errorf("mirror: enqueue %d: %w", m.ID, err)
		}
		if err := tx.Enqueue(ctx, SyncJob(m.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (m Mirror) stopped() bool { return m.State == Diverged || m.State == Paused }
