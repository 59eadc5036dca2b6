package entrance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// maxPeople bounds the logins that an entrance knows.
const maxPeople = 5000

// methodForge is how somebody is known whom a forge named and an owner mapped.
const methodForge = "forge"

// Person is who somebody at the other end is here.
type Person struct {
	Login   string
	Account int64
}

// SetPerson says who a login at the other end is here; account 0 forgets it. It gives that
// account's rights to whoever has the login there, so it is for the repository's owners.
func (s *Service) SetPerson(ctx context.Context, e Entrance, login string, id int64) error {
	const op = "entrance.SetPerson"
	if !loginGrammar.MatchString(login) {
		return fault.New(fault.Invalid, op, fmt.Sprintf("%q is no login", clip(login)), "write it as the forge does")
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM entrance_people WHERE entrance_id = $1 AND login = $2`, e.ID, login); err != nil || id == 0 {
			return err
		}
		if id == e.Account {
			return fault.New(fault.Invalid, op, "this account stands for the forge itself", "name somebody's own account")
		}
		var count int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM entrance_people WHERE entrance_id = $1`, e.ID).Scan(&count); err != nil {
			return fmt.Errorf("entrance: people: %w", err)
		}
		if count >= maxPeople {
			return fault.Newf(fault.TooLarge, op, "this entrance knows %d logins", count)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO entrance_people (entrance_id, login, account_id) VALUES ($1, $2, $3)`, e.ID, login, id)
		if err != nil {
			return fmt.Errorf("entrance: people: %w", err)
		}
		return nil
	})
}

// People lists the logins that an entrance knows.
func (s *Service) People(ctx context.Context, e Entrance) ([]Person, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT login, account_id FROM entrance_people WHERE entrance_id = $1 ORDER BY login`, e.ID)
	if err != nil {
		return nil, fmt.Errorf("entrance: people: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []Person
	for rows.Next() {
		var p Person
		if err := rows.Scan(&p.Login, &p.Account); err != nil {
			return nil, fmt.Errorf("entrance: people: %w", err)
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// who is somebody at the other end as an actor here, if an owner named them and they are not
// disabled.
func (s *Service) who(ctx context.Context, e Entrance, login string) (account.Actor, bool, error) {
	if login == "" {
		return account.Actor{}, false, nil
	}
	var id int64
	err := s.DB.Read().QueryRowContext(ctx, `SELECT account_id FROM entrance_people WHERE entrance_id = $1 AND login = $2`, e.ID, login).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return account.Actor{}, false, nil
	}
	if err != nil {
		return account.Actor{}, false, fmt.Errorf("entrance: who is %s: %w", clip(login), err)
	}
	a, err := s.Accounts.Actor(ctx, s.DB.Read(), id, methodForge)
	if fault.Is(err, fault.Unauthenticated) || fault.Is(err, fault.NotFound) {
		return account.Actor{}, false, nil
	}
	a.Admin = false // a login elsewhere administers nothing here
	return a, err == nil, err
}

// forge is the account that stands for everybody there.
func (s *Service) forge(ctx context.Context, e Entrance) (account.Actor, error) {
	return s.Accounts.Actor(ctx, s.DB.Read(), e.Account, methodForge)
}

// mayAsk finds in whose name a command of a comment is done: of the account that an owner
// named for the login, else of the forge's own, when the forge calls them a collaborator.
func (s *Service) mayAsk(ctx context.Context, e Entrance, n Notice) (account.Actor, bool, error) {
	a, known, err := s.who(ctx, e, n.Login)
	if err != nil || known {
		return a, known, err
	}
	trusted := n.Trusted
	if !trusted && s.API != nil && e.API != "" && loginGrammar.MatchString(n.Login) {
		token, err := s.Token(e)
		if err != nil {
			return a, false, err
		}
		if trusted, err = s.API.Collaborator(ctx, e, token, n.Login); err != nil {
			return a, false, err
		}
	}
	if !trusted {
		return a, false, nil
	}
	a, err = s.forge(ctx, e)
	return a, err == nil, err
}
