package mirror

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

	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
)

// The files of a mirror are its id and one of these.
const (
	keySuffix   = ".key"   // the private key, in OpenSSH's format
	tokenSuffix = ".token" // the token alone
	hostsSuffix = ".hosts" // the host keys that were seen, in OpenSSH's format
)

// keepSecret writes the file that m needs, durable and readable for the server alone.
func (s *Store) keepSecret(m *Mirror, to repo.Address, token string) error {
	switch {
	case to.Over == repo.OverSSH:
		public, private, err := ed25519.GenerateKey(s.random())
		if err != nil {
			return fmt.Errorf("mirror: key: %w", err)
		}
		comment := fmt.Sprintf("gatehouse-mirror-%d", m.ID)
		block, err := ssh.MarshalPrivateKey(private, comment)
		if err != nil {
			return fmt.Errorf("mirror: key: %w", err)
		}
		line, err := ssh.NewPublicKey(public)
		if err != nil {
			return fmt.Errorf("mirror: key: %w", err)
		}
		m.PublicKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " " + comment
		m.secretFile = fileName(m.ID, keySuffix)
		return s.writeSecret(m.secretFile, pem.EncodeToMemory(block))
	case token != "":
		m.secretFile = fileName(m.ID, tokenSuffix)
		return s.writeSecret(m.secretFile, []byte(token))
	default:
		return nil
	}
}

func fileName(id int64, suffix string) string { return strconv.FormatInt(id, 10) + suffix }

func (s *Store) writeSecret(name string, secret []byte) (err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("mirror: secret: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("mirror: secret: %w", err)
	}
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("mirror: secret: %w", err)
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return fmt.Errorf("mirror: secret: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("mirror: secret: %w", err)
	}
	return nil
}

func (s *Store) forgetSecret(id int64) error {
	var all []error
	for _, suffix := range []string{keySuffix, tokenSuffix, hostsSuffix} {
		if err := os.Remove(filepath.Join(s.Dir, fileName(id, suffix))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, fmt.Errorf("mirror: forget: %w", err))
		}
	}
	return errors.Join(all...)
}

// Janitor removes the keys and tokens that no mirror needs any more: what a crash left of an
// addition or a removal. The caller makes sure that nobody adds a mirror meanwhile.
func (s *Store) Janitor(ctx context.Context) error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mirror: janitor: %w", err)
	}
	for _, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), ".")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || fileName(id, filepath.Ext(entry.Name())) != entry.Name() {
			continue // not ours
		}
		if _, err := s.ByID(ctx, s.DB.Read(), id); fault.Is(err, fault.NotFound) {
			err = s.forgetSecret(id)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// auth is how git gets in at m's upstream.
func (s *Store) auth(m Mirror, to repo.Address) git.Auth {
	switch to.Over {
	case repo.OverSSH:
		return git.Auth{SSHKeyFile: filepath.Join(s.Dir, m.secretFile), KnownHosts: filepath.Join(s.Dir, fileName(m.ID, hostsSuffix))}
	case repo.OverPath:
		return git.Auth{AllowLocal: true}
	default:
		a := git.Auth{Username: m.Username}
		if m.secretFile != "" {
			a.TokenFile = filepath.Join(s.Dir, m.secretFile)
		}
		return a
	}
}

// hide takes the mirror's own token out of a text: an upstream could send it back.
func (s *Store) hide(m Mirror, text string) string {
	if !strings.HasSuffix(m.secretFile, tokenSuffix) {
		return text
	}
	token, err := os.ReadFile(filepath.Join(s.Dir, m.secretFile))
	if err != nil || len(token) == 0 {
		return text
	}
	return strings.ReplaceAll(text, string(token), "(token)")
}
