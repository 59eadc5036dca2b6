// Package repo keeps the repositories that the server owns: their rows, their folders and
// their names.
//
// A repository is a folder named by its id (ROOT/0000000012.git) and a row. The folder is
// made first, under a temporary name, made durable and renamed, and only then the row is
// written: a row always has its folder, and a folder without a row is never looked at.
// Nothing that a client sends becomes part of a path on disk.
//
// Invariants: names are unique whatever their case; [FromPath] is the only way from a
// client's path to a name; a repository always gates at least its default branch unless its
// owner said otherwise.
package repo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	// maxDescription keeps a description on a line of the list.
	maxDescription = 500
	// maxGated bounds the patterns that each push is compared with.
	maxGated    = 50
	usualBranch = "main"
)

// What happens to a push straight to a gated branch.
const (
	HoldDirect   = "hold"   // it is held as a change that asks to land
	RefuseDirect = "refuse" // it is refused
)

// Repository is a row.
type Repository struct {
	ID            int64
	Name          string
	Description   string
	DefaultBranch string // short name
	Private       bool
	// Gated are the patterns (see [account.Matches]) of the branches that only landings move.
	Gated []string
	// DefaultRole is what every signed-in account is.
	DefaultRole account.Role
	// DirectPush is [HoldDirect] or [RefuseDirect].
	DirectPush string
	// TopicIdentity lets a topic stand in for a missing Change-Id.
	TopicIdentity bool
	CreatedAt     time.Time
}

// Gates reports whether only landings move the branch (short name).
func (r Repository) Gates(branch string) bool {
	for _, pattern := range r.Gated {
		if account.Matches(pattern, branch) {
			return true
		}
	}
	return false
}

// Resource is a branch of r, or r itself when branch is "", as [account.Store.May] wants it.
func (r Repository) Resource(branch string) account.Resource {
	return account.Resource{Repo: r.ID, Private: r.Private, DefaultRole: r.DefaultRole, Branch: branch}
}

// Store keeps repositories. It is safe for concurrent use.
type Store struct {
	DB       *db.DB
	Git      *git.Git
	Root     string // the folder of the repositories
	Now      func() time.Time
	Accounts *account.Store

	mu   sync.Mutex
	open map[int64]*git.Repo
}

// NewRepository is what [Store.Create] needs.
type NewRepository struct {
	Name          string
	Description   string
	DefaultBranch string // "" is main
	Private       bool
	Owner         int64 // gets the role own; 0 leaves it to administrators
	TopicIdentity bool
	DirectPush    string // "" is hold
}

// Create makes an empty repository. A name that is taken, in whatever case, is a Conflict.
func (s *Store) Create(ctx context.Context, n NewRepository) (Repository, error) {
	r := Repository{
		Name: n.Name, Description: n.Description, DefaultBranch: n.DefaultBranch, Private: n.Private,
		DefaultRole: account.RoleWrite, DirectPush: n.DirectPush, TopicIdentity: n.TopicIdentity,
		CreatedAt: s.Now().UTC().Truncate(time.Microsecond),
	}
	if r.DefaultBranch == "" {
		r.DefaultBranch = usualBranch
	}
	if r.DirectPush == "" {
		r.DirectPush = HoldDirect
	}
	if r.Private {
		r.DefaultRole = account.RoleNone
	}
	r.Gated = []string{r.DefaultBranch}
	if err := check("repo.Create", r); err != nil {
		return Repository{}, err
	}
	// Asked twice: here so that a plain mistake makes no folder, below so that it holds.
	if err := nameFree(ctx, s.DB.Read(), "repo.Create", r); err != nil {
		return Repository{}, err
	}
	id, err := s.makeFolder(ctx, r.DefaultBranch)
	if err != nil {
		return Repository{}, err
	}
	r.ID = id
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := nameFree(ctx, tx, "repo.Create", r); err != nil {
			return err
		}
		if err := insert(ctx, tx, r); err != nil {
			return err
		}
		if n.Owner == 0 {
			return nil
		}
		return s.Accounts.Grant(ctx, tx, r.ID, account.Subject{Kind: account.ToAccount, ID: n.Owner}, "", account.RoleOwn)
	})
	if err != nil {
		// Only after a plain no is it certain that no row names the folder; after a lost
		// connection the commit may have happened.
		if fault.KindOf(err) != fault.Internal {
			err = errors.Join(err, os.RemoveAll(s.folder(r.ID)))
		}
		return Repository{}, err
	}
	return r, nil
}

const columns = `id, name, description, default_branch, visibility, gated, default_role, direct_push, topic_identity, created_at`

func insert(ctx context.Context, tx *db.Tx, r Repository) error {
	gated, err := json.Marshal(r.Gated)
	if err != nil {
		return fmt.Errorf("repo: create %s: %w", r.Name, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO repositories (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		r.ID, r.Name, r.Description, r.DefaultBranch, visibility(r.Private), string(gated), string(r.DefaultRole), r.DirectPush,
		db.Bool(r.TopicIdentity), db.Micros(r.CreatedAt))
	if err != nil {
		return fmt.Errorf("repo: create %s: %w", r.Name, err)
	}
	return nil
}

// Update writes r's name, description, visibility, gated branches, default role, direct-push
// and topic settings. The default branch is [Store.SetDefaultBranch]'s: it is on disk too.
func (s *Store) Update(ctx context.Context, tx *db.Tx, r Repository) error {
	const op = "repo.Update"
	if err := check(op, r); err != nil {
		return err
	}
	if err := nameFree(ctx, tx, op, r); err != nil {
		return err
	}
	gated, err := json.Marshal(r.Gated)
	if err != nil {
		return fmt.Errorf("repo: update %s: %w", r.Name, err)
	}
	res, err := tx.ExecContext(ctx, `UPDATE repositories SET name = $1, description = $2, visibility = $3, gated = $4,
		default_role = $5, direct_push = $6, topic_identity = $7 WHERE id = $8`,
		r.Name, r.Description, visibility(r.Private), string(gated), string(r.DefaultRole), r.DirectPush, db.Bool(r.TopicIdentity), r.ID)
	if err != nil {
		return fmt.Errorf("repo: update %s: %w", r.Name, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, account.Missing(op))
	}
	return nil
}

// ByName finds a repository by its exact name. The fault for one that is missing is the one
// that [account.Store.May] gives for one that may not be seen.
func (s *Store) ByName(ctx context.Context, q db.Querier, name string) (Repository, error) {
	return one(q.QueryRowContext(ctx, `SELECT `+columns+` FROM repositories WHERE name = $1`, name), "repo.ByName")
}

// ByID finds a repository.
func (s *Store) ByID(ctx context.Context, q db.Querier, id int64) (Repository, error) {
	return one(q.QueryRowContext(ctx, `SELECT `+columns+` FROM repositories WHERE id = $1`, id), "repo.ByID")
}

// List gives every repository, by name. Who may see which is for the caller to ask.
func (s *Store) List(ctx context.Context, q db.Querier) ([]Repository, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM repositories ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("repo: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Repository
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("repo: list: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func one(row *sql.Row, op string) (Repository, error) {
	r, err := scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return Repository{}, account.Missing(op)
	}
	if err != nil {
		return Repository{}, fmt.Errorf("%s: %w", op, err)
	}
	return r, nil
}

func scan(row interface{ Scan(...any) error }) (Repository, error) {
	var r Repository
	var seen, gated string
	var topic, created int64
	err := row.Scan(&r.ID, &r.Name, &r.Description, &r.DefaultBranch, &seen, &gated, &r.DefaultRole, &r.DirectPush, &topic, &created)
	if err != nil {
		return Repository{}, err
	}
	// whatever is not known to be public is private
	r.Private, r.TopicIdentity, r.CreatedAt = seen != visibility(false), topic != 0, db.Time(created)
	if err := json.Unmarshal([]byte(gated), &r.Gated); err != nil {
		return Repository{}, fmt.Errorf("gated branches of %s: %w", r.Name, err)
	}
	return r, nil
}

func visibility(private bool) string {
	if private {
		return "private"
	}
	return "public"
}

// nameFree looks for r's name in whatever case among the others: names that differ by case
// alone would be mistaken for each other.
func nameFree(ctx context.Context, q db.Querier, op string, r Repository) error {
	var count int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM repositories WHERE lower(name) = $1 AND id <> $2`, strings.ToLower(r.Name), r.ID).Scan(&count)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if count > 0 {
		return fault.New(fault.Conflict, op, "there is a repository called "+r.Name+" already", "choose another name")
	}
	return nil
}

func check(op string, r Repository) error {
	if err := CheckName(r.Name); err != nil {
		return err
	}
	if err := checkBranch(op, r.DefaultBranch); err != nil {
		return err
	}
	if !utf8.ValidString(r.Description) || utf8.RuneCountInString(r.Description) > maxDescription || strings.IndexFunc(r.Description, unicode.IsControl) >= 0 {
		return fault.New(fault.Invalid, op, "this description cannot be used", fmt.Sprintf("use one line of up to %d characters", maxDescription))
	}
	if !account.RoleOwn.Includes(r.DefaultRole) || r.DefaultRole == account.RoleOwn {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q cannot be everybody's role", clip(string(r.DefaultRole))), "use none, read, write or maintain")
	}
	if r.DirectPush != HoldDirect && r.DirectPush != RefuseDirect {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q says nothing about direct pushes", clip(r.DirectPush)), "use hold or refuse")
	}
	if len(r.Gated) > maxGated {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("these are %d gated patterns", len(r.Gated)), fmt.Sprintf("use at most %d", maxGated))
	}
	for _, pattern := range r.Gated {
		if err := account.CheckPattern(pattern); err != nil {
			return err
		}
	}
	return nil
}

func checkBranch(op, branch string) error {
	if err := git.CheckRefName("refs/heads/" + branch); err != nil {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q cannot be the name of a branch", clip(branch)), "use a name as main")
	}
	return nil
}
