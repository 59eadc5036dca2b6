package entrance

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

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

func (s *Service) file(id int64, suffix string) string {
	return filepath.Join(s.Dir, strconv.FormatInt(id, 10)+suffix)
}

// keepSecrets writes the files that e needs, durable and readable for the server alone.
func (s *Service) keepSecrets(e *Entrance, to repo.Address, secret, token string) error {
	if err := s.write(s.file(e.ID, secretSuffix), []byte(secret)); err != nil {
		return err
	}
	if token != "" {
		if err := s.write(s.file(e.ID, tokenSuffix), []byte(token)); err != nil {
			return err
		}
	}
	if to.Over != repo.OverSSH {
		return nil
	}
	public, private, err := ed25519.GenerateKey(s.random())
	if err != nil {
		return fmt.Errorf("entrance: key: %w", err)
	}
	comment := fmt.Sprintf("gatehouse-entrance-%d", e.ID)
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return fmt.Errorf("entrance: key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("entrance: key: %w", err)
	}
	e.PublicKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " " + comment
	return s.write(s.file(e.ID, keySuffix), pem.EncodeToMemory(block))
}

// write makes or replaces a file that only the server reads: whole and durable.
func (s *Service) write(name string, secret []byte) (err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("entrance: secret: %w", err)
	}
	f, err := os.CreateTemp(s.Dir, "new-*") // with the rights 0600
	if err != nil {
		return fmt.Errorf("entrance: secret: %w", err)
	}
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("entrance: secret: %w", errors.Join(err, os.Remove(f.Name())))
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return fmt.Errorf("entrance: secret: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("entrance: secret: %w", err)
	}
	return nil
}

func (s *Service) forgetSecrets(id int64) error {
	var all []error
	for _, suffix := range []string{secretSuffix, oldSuffix, tokenSuffix, keySuffix, hostsSuffix} {
		if err := os.Remove(s.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, fmt.Errorf("entrance: forget: %w", err))
		}
	}
	return errors.Join(all...)
}

// Secrets are what deliveries of an entrance may be signed with now: its secret and, for a day
// after it was replaced, the one before.
func (s *Service) Secrets(e Entrance) ([]string, error) {
	now, err := os.ReadFile(s.file(e.ID, secretSuffix))
	if err != nil || len(now) == 0 { // an empty secret would let everybody in
		return nil, fmt.Errorf("entrance: the secret of %d cannot be read: %w", e.ID, errors.Join(err, fs.ErrInvalid))
	}
	all := []string{string(now)}
	if s.Now().After(e.secretUntil) {
		return all, nil
	}
	if old, err := os.ReadFile(s.file(e.ID, oldSuffix)); err == nil && len(old) > 0 {
		all = append(all, string(old))
	}
	return all, nil
}

// Token is what lets us in at the entrance's API, "" when there is none.
func (s *Service) Token(e Entrance) (string, error) {
	token, err := os.ReadFile(s.file(e.ID, tokenSuffix))
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
	return s.file(e.ID, keySuffix), s.file(e.ID, hostsSuffix)
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
		if err := s.write(s.file(e.ID, tokenSuffix), []byte(token)); err != nil {
			return "", err
		}
	}
	if secret == "" {
		return "", nil
	}
	old, err := os.ReadFile(s.file(e.ID, secretSuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("entrance: secret: %w", err)
	}
	if err := s.write(s.file(e.ID, oldSuffix), old); err != nil {
		return "", err
	}
	if err := s.write(s.file(e.ID, secretSuffix), []byte(secret)); err != nil {
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
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("entrance: janitor: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "new-") {
			if err := os.Remove(filepath.Join(s.Dir, entry.Name())); err != nil {
				return fmt.Errorf("entrance: janitor: %w", err)
			}
			continue
		}
		number, _, _ := strings.Cut(entry.Name(), ".")
		id, err := parseNumber(number)
		if err != nil || s.file(id, filepath.Ext(entry.Name())) != filepath.Join(s.Dir, entry.Name()) {
			continue // not ours
		}
		if _, err := s.ByID(ctx, s.DB.Read(), id); fault.Is(err, fault.NotFound) {
			err = s.forgetSecrets(id)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// auth is how git gets in at e's address.
func (s *Service) auth(e Entrance, to repo.Address) git.Auth {
	if to.Over == repo.OverSSH {
		key, hosts := s.KeyFiles(e)
		return git.Auth{SSHKeyFile: key, KnownHosts: hosts}
	}
	a := git.Auth{Username: e.Username, AllowLocal: e.Local}
	if name := s.file(e.ID, tokenSuffix); to.Over != repo.OverPath {
		if _, err := os.Stat(name); err == nil {
			a.TokenFile = name
		}
	}
	return a
}
