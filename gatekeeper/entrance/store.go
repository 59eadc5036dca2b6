package entrance

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// secretBytes is the strength of a secret that we make.
const secretBytes = 32

// makeSecret gives a secret in the form that GitLab's signing wants and the others take.
func (s *Service) makeSecret() (string, error) {
	raw := make([]byte, secretBytes)
	if _, err := io.ReadFull(s.random(), raw); err != nil {
		return "", fmt.Errorf("entrance: secret: %w", err)
	}
	return SecretPrefix + base64.StdEncoding.EncodeToString(raw), nil
}

// SecretPrefix begins a secret that is a key in base64 (standardwebhooks.com).
const SecretPrefix = "whsec_"

// Add adds an entrance to a repository. The secret that it returns is the one that was made, or "".
func (s *Service) Add(ctx context.Context, r repo.Repository, by account.Actor, n NewEntrance) (Entrance, string, error) {
	if err := n.check(); err != nil {
		return Entrance{}, "", err
	}
	to, err := n.place()
	if err != nil {
		return Entrance{}, "", err
	}
	if n.API == "" && n.Token != "" {
		n.API = usualAPI(n.Forge, to)
	}
	made := ""
	if n.Secret == "" {
		if made, err = s.makeSecret(); err != nil {
			return Entrance{}, "", err
		}
		n.Secret = made
	}
	e := Entrance{
		Repo: r.ID, Forge: n.Forge, Address: n.Address, Username: n.Username, API: n.API, Project: n.Project, Local: n.AllowLocal, Events: n.Events,
		Lands: n.Lands, Reviews: n.Reviews, Report: n.Report, Outcome: n.Outcome, Submit: n.Submit, RevertRed: n.RevertRed, Poll: n.Poll, CreatedBy: by.ID, CreatedAt: s.Now(),
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
		if e.ID, err = tx.NextID(ctx, db.RowIDs); err == nil {
			e.Account, err = s.standIn(ctx, tx, r, n.Forge)
		}
		return err
	})
	if err != nil {
		return Entrance{}, "", err
	}
	// The files are there before the row that needs them; without a row the janitor takes them.
	if err := s.keepSecrets(&e, to, n.Secret, n.Token); err != nil {
		return Entrance{}, "", errors.Join(err, s.files().Forget(e.ID))
	}
	if err := s.DB.Transact(ctx, func(tx *db.Tx) error { return s.insert(ctx, tx, r, e) }); err != nil {
		if fault.KindOf(err) != fault.Internal { // a plain no: certainly no row
			err = errors.Join(err, s.files().Forget(e.ID))
		}
		return Entrance{}, "", err
	}
	s.Bus.Wake(event.RepoTopic(r.ID))
	return e, made, nil
}

func (s *Service) insert(ctx context.Context, tx *db.Tx, r repo.Repository, e Entrance) error {
	const op = "entrance.Add"
	have, err := entrances(ctx, tx, `WHERE repo_id = $1`, e.Repo)
	if err != nil {
		return err
	}
	if len(have) >= maxEntrances {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("this repository has %d entrances", len(have)), "remove some first")
	}
	for _, other := range have {
		if other.Address == e.Address {
			return fault.New(fault.Conflict, op, "this repository has an entrance with this address already", "remove that one first")
		}
		if other.Lands != LandsNone && e.Lands != LandsNone {
			return fault.New(fault.Conflict, op, fmt.Sprintf("what lands goes to entrance %d already, and a branch has one primary", other.ID), "say that nothing lands here: --lands none")
		}
	}
	var events []string
	for _, k := range e.Events {
		events = append(events, string(k))
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO entrances (id, repo_id, forge, address, username, public_key, api, project, local, account_id, events, lands, reviews, report,
			submit, poll, created_by, created_at, outcome, revert_red) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		e.ID, e.Repo, string(e.Forge), e.Address, e.Username, e.PublicKey, e.API, e.Project, db.Bool(e.Local), e.Account, strings.Join(events, " "), e.Lands, e.Reviews, e.Report,
		db.Bool(e.Submit), e.Poll.Microseconds(), e.CreatedBy, db.Micros(e.CreatedAt), e.Outcome, db.Bool(e.RevertRed))
	if err != nil {
		return fmt.Errorf("entrance: add: %w", err)
	}
	if e.Lands != LandsNone { // the first look takes the branch over
		if err := tx.Enqueue(ctx, repo.BranchJob(r.ID, r.DefaultBranch)); err != nil {
			return err
		}
	}
	if e.Poll == 0 {
		return nil
	}
	return tx.Enqueue(ctx, db.Job{Kind: JobPoll, Key: strconv.FormatInt(e.ID, 10)})
}

// standIn is the account that stands for everybody of a kind of forge, made when it is first
// needed, with the right to propose. A person's account is never taken for it.
func (s *Service) standIn(ctx context.Context, tx *db.Tx, r repo.Repository, f Forge) (int64, error) {
	const op = "entrance.Add"
	var id int64
	err := tx.QueryRowContext(ctx, `SELECT account_id FROM entrance_accounts WHERE forge = $1`, string(f)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		if id, err = s.makeStandIn(ctx, tx, f); err != nil {
			return 0, err
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", op, err)
	}
	return id, s.Accounts.Grant(ctx, tx, r.ID, account.Subject{Kind: account.ToAccount, ID: id}, "", account.RoleWrite)
}

// maxStandIns is how many names are tried for an account that stands for a forge.
const maxStandIns = 20

func (s *Service) makeStandIn(ctx context.Context, tx *db.Tx, f Forge) (int64, error) {
	for i := range maxStandIns {
		name := string(f)
		switch {
		case i == 1:
			name += "-forge"
		case i > 1:
			name += "-forge-" + strconv.Itoa(i)
		}
		_, err := s.Accounts.ByName(ctx, tx, name)
		if err == nil {
			continue
		}
		if !fault.Is(err, fault.NotFound) {
			return 0, err
		}
		// The domain is one that no mail goes to (RFC 6761), so that it is no author's.
		a, err := s.Accounts.Create(ctx, tx, account.NewAccount{Name: name, Email: name + "@entrance.invalid", FullName: "Proposed on " + string(f)})
		if fault.Is(err, fault.Conflict) { // a group has the name
			continue
		}
		if err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO entrance_accounts (forge, account_id) VALUES ($1, $2)`, string(f), a.ID)
		return a.ID, err
	}
	return 0, fault.New(fault.Conflict, "entrance.Add", fmt.Sprintf("every name for an account that stands for %s is taken", f), "rename one of them")
}

const columns = `id, repo_id, forge, address, username, public_key, api, project, local, account_id, events, lands, reviews, report, submit, poll,
	secret_until, looked_at, reason, created_by, created_at, outcome, revert_red`

func entrances(ctx context.Context, q db.Querier, rest string, args ...any) ([]Entrance, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM entrances `+rest+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("entrance: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Entrance
	for rows.Next() {
		var e Entrance
		var events string
		var local, submit, poll, until, looked, created, revert int64
		err := rows.Scan(&e.ID, &e.Repo, &e.Forge, &e.Address, &e.Username, &e.PublicKey, &e.API, &e.Project, &local, &e.Account, &events, &e.Lands, &e.Reviews, &e.Report,
			&submit, &poll, &until, &looked, &e.Reason, &e.CreatedBy, &created, &e.Outcome, &revert)
		if err != nil {
			return nil, fmt.Errorf("entrance: list: %w", err)
		}
		for name := range strings.FieldsSeq(events) {
			e.Events = append(e.Events, Kind(name))
		}
		e.Local, e.Submit, e.RevertRed, e.Poll = local != 0, submit != 0, revert != 0, time.Duration(poll)*time.Microsecond
		e.secretUntil, e.LookedAt, e.CreatedAt = db.Time(until), db.Time(looked), db.Time(created)
		all = append(all, e)
	}
	return all, rows.Err()
}

// List gives the entrances of a repository, oldest first.
func (s *Service) List(ctx context.Context, repoID int64) ([]Entrance, error) {
	return entrances(ctx, s.DB.Read(), `WHERE repo_id = $1`, repoID)
}

// Speaking gives the entrances of every repository to one kind of forge.
func (s *Service) Speaking(ctx context.Context, f Forge) ([]Entrance, error) {
	return entrances(ctx, s.DB.Read(), `WHERE forge = $1`, string(f))
}

// ByID finds an entrance; NotFound when there is none.
func (s *Service) ByID(ctx context.Context, q db.Querier, id int64) (Entrance, error) {
	found, err := entrances(ctx, q, `WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = fault.New(fault.NotFound, "entrance.ByID", "there is no such entrance", "gate entrance list shows those of a repository")
	}
	if err != nil {
		return Entrance{}, err
	}
	return found[0], nil
}

// Of finds an entrance of a repository; NotFound when it is another's or none.
func (s *Service) Of(ctx context.Context, repoID, id int64) (Entrance, error) {
	e, err := s.ByID(ctx, s.DB.Read(), id)
	if err == nil && e.Repo != repoID {
		err = fault.New(fault.NotFound, "entrance.Of", fmt.Sprintf("this repository has no entrance %d", id), "gate entrance list shows those that it has")
	}
	return e, err
}

// SetRevertRed says whether what landed on the primary without us, and is red, is proposed to be
// taken back from now on.
func (s *Service) SetRevertRed(ctx context.Context, e Entrance, on bool) (Entrance, error) {
	if on && e.Lands == LandsNone {
		return e, errNotThere("entrance.Set")
	}
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE entrances SET revert_red = $1 WHERE id = $2`, db.Bool(on), e.ID)
		if err != nil {
			return fmt.Errorf("entrance: set %d: %w", e.ID, err)
		}
		return nil
	})
	e.RevertRed = on
	return e, err
}

// Remove removes an entrance with its secrets and all that it was told. The changes that came
// through it stay, and so does the other server.
func (s *Service) Remove(ctx context.Context, e Entrance) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := s.ByID(ctx, tx, e.ID); err != nil {
			return err
		}
		for _, table := range []string{"entrance_people", "entrance_deliveries", "change_origins", "entrance_branches", "entrance_runs", "entrance_statuses", "entrance_reverts"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE entrance_id = $1`, e.ID); err != nil {
				return fmt.Errorf("entrance: remove %d: %w", e.ID, err)
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM entrances WHERE id = $1`, e.ID); err != nil {
			return fmt.Errorf("entrance: remove %d: %w", e.ID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Bus.Wake(event.RepoTopic(e.Repo))
	return s.files().Forget(e.ID)
}
