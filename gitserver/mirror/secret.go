package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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

// files are the private files of the mirrors.
func (s *Store) files() git.Private { return git.Private{Dir: s.Dir} }

// keepSecret writes the file that m needs, durable and readable for the server alone.
func (s *Store) keepSecret(m *Mirror, to repo.Address, token string) (err error) {
	switch {
	case to.Over == repo.OverSSH:
		m.secretFile = filepath.Base(s.files().File(m.ID, keySuffix))
		m.PublicKey, err = s.files().NewKey(m.ID, keySuffix, fmt.Sprintf("gatehouse-mirror-%d", m.ID), s.random())
		return err
	case token != "":
		m.secretFile = filepath.Base(s.files().File(m.ID, tokenSuffix))
		return s.files().Write(m.ID, tokenSuffix, []byte(token))
	default:
		return nil
	}
}

// Janitor removes the keys and tokens that no mirror needs any more: what a crash left of an
// addition or a removal. The caller makes sure that nobody adds a mirror meanwhile.
func (s *Store) Janitor(ctx context.Context) error {
	return s.files().Sweep(func(id int64) (bool, error) {
		_, err := s.ByID(ctx, s.DB.Read(), id)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		return true, err
	})
}

// auth is how git gets in at m's upstream.
func (s *Store) auth(m Mirror, to repo.Address) git.Auth {
	switch to.Over {
	case repo.OverSSH:
		return git.Auth{SSHKeyFile: filepath.Join(s.Dir, m.secretFile), KnownHosts: s.files().File(m.ID, hostsSuffix)}
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
