// Package secret keeps what stages and assemblies are told and nobody else: one file for each
// secret of a repository, readable for the server's user alone.
//
// A secret has a revision, a fresh random name for each value that it was set to: results that
// were made with one value are not taken for another, and the value itself is in no key.
//
// Invariants: a value is never in a database, a log or an answer; a name never leads out of the
// folder; when [Store.Set] has returned nil, the value survives a power cut, and a reader gets the
// old value or the new one, never a part.
package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// MinValue is the least length of a value in bytes: a shorter one cannot be masked in a log
	// without masking half of it.
	MinValue = 8
	// MaxValue is what a key with its chain of certificates needs.
	MaxValue = 64 << 10
	// maxName keeps names readable, and within what an environment variable is called.
	maxName = 64
	// maxSecrets bounds what one repository keeps.
	maxSecrets = 200
	// revisionBytes make a name that no other value ever gets.
	revisionBytes = 8
)

// Store is a folder of secrets. It is safe for concurrent use.
type Store struct {
	// Named is what people call a repository, for the commands that refusals name; nil calls none
	// by its name.
	Named func(repo int64) string

	root *os.Root
}

// called is how a command names a repository.
func (s *Store) called(repo int64) string {
	if s.Named != nil {
		if name := s.Named(repo); name != "" {
			return name
		}
	}
	return "REPO"
}

// New opens the folder dir, which it makes when it is missing.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return &Store{root: root}, nil
}

// Close gives the folder back.
func (s *Store) Close() error { return s.root.Close() }

// Info is what anybody may know of a secret.
type Info struct {
	Name     string    `json:"name"`
	Revision string    `json:"revision"`
	SetAt    time.Time `json:"set_at"`
}

// CheckName says whether a secret can be called name.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		ok = ok && (letter || i > 0 && (c >= '0' && c <= '9' || c == '-'))
	}
	if !ok {
		return fault.New(fault.Invalid, "secret.CheckName", fmt.Sprintf("a secret cannot be called %q", name),
			fmt.Sprintf("use at most %d letters, digits, _ and -, with a letter first", maxName))
	}
	return nil
}

func folder(repo int64) string { return strconv.FormatInt(repo, 10) }

// Set keeps a value, in place of the one before.
func (s *Store) Set(repo int64, name string, value []byte) (err error) {
	const op = "secret.Set"
	if err := CheckName(name); err != nil {
		return err
	}
	switch {
	case len(value) < MinValue:
		return fault.New(fault.Invalid, op, fmt.Sprintf("the value has %d bytes; a secret has at least %d", len(value), MinValue),
			"a shorter one could not be masked in logs; put it into the environment's `env` if it is none")
	case len(value) > MaxValue:
		return fault.Newf(fault.TooLarge, op, "the value has %d bytes; at most %d are kept", len(value), MaxValue)
	case bytes.IndexByte(value, 0) >= 0:
		return fault.New(fault.Invalid, op, "the value has a zero byte, which no environment variable can hold", "encode it, for example with base64")
	}
	all, err := s.List(repo)
	if err != nil {
		return err
	}
	if len(all) >= maxSecrets && !slices.ContainsFunc(all, func(i Info) bool { return i.Name == name }) {
		return fault.New(fault.TooLarge, op, fmt.Sprintf("a repository has at most %d secrets", maxSecrets), "remove one first")
	}
	if err := s.root.Mkdir(folder(repo), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("secret: %w", err)
	}
	if err := s.sync("."); err != nil {
		return err
	}
	revision := random()
	temp := filepath.Join(folder(repo), ".new-"+random())
	f, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	_, werr := f.Write(slices.Concat([]byte(revision+"\n"), value))
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("secret: write: %w", err), s.root.Remove(temp))
	}
	if err := s.root.Rename(temp, filepath.Join(folder(repo), name)); err != nil {
		return errors.Join(fmt.Errorf("secret: keep: %w", err), s.root.Remove(temp))
	}
	return s.sync(folder(repo))
}

func (s *Store) sync(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("secret: make durable: %w", err)
	}
	return nil
}

func random() string {
	var b [revisionBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("secret: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}

// Get is a secret's value and its revision.
func (s *Store) Get(repo int64, name string) (value []byte, revision string, err error) {
	if err := CheckName(name); err != nil {
		return nil, "", err
	}
	text, err := s.root.ReadFile(filepath.Join(folder(repo), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fault.New(fault.Unavailable, "secret.Get", fmt.Sprintf("the repository has no secret %s", name), "an owner sets it: gate secret set "+s.called(repo)+" "+name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("secret: read: %w", err)
	}
	first, rest, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return nil, "", fmt.Errorf("secret: %s of repository %d has no revision", name, repo)
	}
	return rest, string(first), nil
}

// List is what secrets a repository has, by name.
func (s *Store) List(repo int64) ([]Info, error) {
	dir, err := s.root.Open(folder(repo))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("secret: list: %w", err)
	}
	entries, err := dir.ReadDir(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("secret: list: %w", err)
	}
	var all []Info
	for _, e := range entries {
		if CheckName(e.Name()) != nil { // a write that was cut
			continue
		}
		_, revision, err := s.Get(repo, e.Name())
		if err != nil {
			return nil, err
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("secret: list: %w", err)
		}
		all = append(all, Info{e.Name(), revision, info.ModTime().UTC()})
	}
	slices.SortFunc(all, func(a, b Info) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return all, nil
}

// Remove forgets a secret.
func (s *Store) Remove(repo int64, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := s.root.Remove(filepath.Join(folder(repo), name))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "secret.Remove", fmt.Sprintf("the repository has no secret %s", name), "gate secret list "+s.called(repo)+" names them")
	}
	if err != nil {
		return fmt.Errorf("secret: remove: %w", err)
	}
	return s.sync(folder(repo))
}
