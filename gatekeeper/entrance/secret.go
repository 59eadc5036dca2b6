package entrance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// The files of an entrance are its id and one of these.
const (
	secretSuffix = ".secret" // what deliveries are signed with
	oldSuffix    = ".old"    // the one before it
	tokenSuffix  = ".token"  // for the API, and for git over https
	keySuffix    = ".key"    // the private key, in OpenSSH's format
	hostsSuffix  = ".hosts"  // the host keys that were seen
)

// rotateGrace is how long the secret before counts after it was replaced: a person has to
// change it at the other end as well, and deliveries on their way were signed with the old one.
const rotateGrace = 24 * time.Hour

// files are the private files of the entrances.
func (s *Service) files() git.Private { return git.Private{Dir: s.Dir} }

// keepSecrets writes the files that e needs, durable and readable for the server alone.
func (s *Service) keepSecrets(e *Entrance, to repo.Address, secret, token string) error {
	if err := s.files().Write(e.ID, secretSuffix, []byte(secret)); err != nil {
		return err
	}
	if token != "" {
		if err := s.files().Write(e.ID, tokenSuffix, []byte(token)); err != nil {
			return err
		}
	}
	if to.Over != repo.OverSSH {
		return nil
	}
	public, err := s.files().NewKey(e.ID, keySuffix, fmt.Sprintf("gatehouse-entrance-%d", e.ID), s.random())
	e.PublicKey = public
	return err
}

// Secrets are what deliveries of an entrance may be signed with now: its secret and, for a day
// after it was replaced, the one before.
func (s *Service) Secrets(e Entrance) ([]string, error) {
	now, err := os.ReadFile(s.files().File(e.ID, secretSuffix))
	if err != nil || len(now) == 0 { // an empty secret would let everybody in
		return nil, fmt.Errorf("entrance: the secret of %d cannot be read: %w", e.ID, errors.Join(err, fs.ErrInvalid))
	}
	all := []string{string(now)}
	if s.Now().After(e.secretUntil) {
		return all, nil
	}
	if old, err := os.ReadFile(s.files().File(e.ID, oldSuffix)); err == nil && len(old) > 0 {
		all = append(all, string(old))
	}
	return all, nil
}

// Token is what lets us in at the entrance's API, "" when there is none.
func (s *Service) Token(e Entrance) (string, error) {
	token, err := os.ReadFile(s.files().File(e.ID, tokenSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("entrance: the token of %d cannot be read: %w", e.ID, err)
	}
	return string(token), nil
}

// KeyFiles are where the private key of an SSH entrance and the host keys seen there are.
func (s *Service) KeyFiles(e Entrance) (key, hosts string) {
	return s.files().File(e.ID, keySuffix), s.files().File(e.ID, hostsSuffix)
}

// Rotate replaces the secret of deliveries, and with token not "" that of the API. The secret
// before counts for another day. It returns the secret that was made, or "".
func (s *Service) Rotate(ctx context.Context, e Entrance, secret, token string) (made string, err error) {
	n := NewEntrance{Forge: e.Forge, Secret: secret, Token: token}
	if err := n.check(); err != nil {
		return "", err
	}
	if secret == "" && token == "" {
		if made, err = s.makeSecret(); err != nil {
			return "", err
		}
		secret = made
	}
	if token != "" {
		if err := s.files().Write(e.ID, tokenSuffix, []byte(token)); err != nil {
			return "", err
		}
	}
	if secret == "" {
		return "", nil
	}
	old, err := os.ReadFile(s.files().File(e.ID, secretSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("entrance: secret: %w", err)
	}
	if err := s.files().Write(e.ID, oldSuffix, old); err != nil {
		return "", err
	}
	if err := s.files().Write(e.ID, secretSuffix, []byte(secret)); err != nil {
		return "", err
	}
	return made, s.DB.Transact(ctx, func(tx *db.Tx) error {
		met, err := db.Touched(tx.ExecContext(ctx, `UPDATE entrances SET secret_until = $1 WHERE id = $2`, db.Micros(s.Now().Add(rotateGrace)), e.ID))
		if err != nil {
			return fmt.Errorf("entrance: rotate %d: %w", e.ID, err)
		}
		if !met {
			return fault.New(fault.NotFound, "entrance.Rotate", "the entrance is gone", "")
		}
		return nil
	})
}

// Janitor removes the secrets that no entrance needs any more, and half-written files. The
// caller makes sure that nobody adds an entrance meanwhile.
func (s *Service) Janitor(ctx context.Context) error {
	return s.files().Sweep(func(id int64) (bool, error) {
		_, err := s.ByID(ctx, s.DB.Read(), id)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return true, err
	})
}

// auth is how git gets in at e's address.
func (s *Service) auth(e Entrance, to repo.Address) git.Auth {
	if to.Over == repo.OverSSH {
		key, hosts := s.KeyFiles(e)
		return git.Auth{SSHKeyFile: key, KnownHosts: hosts}
	}
	a := git.Auth{Username: e.Username, AllowLocal: e.Local}
	if name := s.files().File(e.ID, tokenSuffix); to.Over != repo.OverPath {
		if _, err := os.Stat(name); err == nil {
			a.TokenFile = name
		}
	}
	return a
}
