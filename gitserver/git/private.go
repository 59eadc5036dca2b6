package git

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Private is a folder of files that only the server reads: the keys and tokens by which others
// let it in, and by which it knows them. A file is the number of what it belongs to and an
// ending, as in 12.key.
type Private struct{ Dir string }

// halfWritten is how the name of a file begins that has no name of its own yet.
const halfWritten = "new-"

// File is the path of a file, whether it is there or not.
func (p Private) File(id int64, ending string) string {
	return filepath.Join(p.Dir, strconv.FormatInt(id, 10)+ending)
}

// Write makes or replaces a file: whole, and durable with its folder.
func (p Private) Write(id int64, ending string, secret []byte) error {
	if err := p.write(p.File(id, ending), secret); err != nil {
		return fmt.Errorf("git: private file %d%s: %w", id, ending, err)
	}
	return nil
}

func (p Private) write(name string, secret []byte) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.Dir, halfWritten+"*") // with the rights 0600
	if err != nil {
		return err
	}
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(p.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// NewKey makes a key pair for ssh, keeps the private half, in OpenSSH's format, and returns the
// public half as a line of an authorized_keys file.
func (p Private) NewKey(id int64, ending, comment string, random io.Reader) (string, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return "", fmt.Errorf("git: new key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return "", fmt.Errorf("git: new key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("git: new key: %w", err)
	}
	if err := p.Write(id, ending, pem.EncodeToMemory(block)); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " " + comment, nil
}

// Forget removes all files of id.
func (p Private) Forget(id int64) error {
	return p.remove(func(name string) (bool, error) {
		of, ok := owner(name)
		return ok && of == id, nil
	})
}

// Sweep removes the files of whatever is not needed any more, and those that a crash left half
// written. Files that are not named as these are stay. The caller makes sure that nobody writes
// meanwhile.
func (p Private) Sweep(needed func(id int64) (bool, error)) error {
	return p.remove(func(name string) (bool, error) {
		if strings.HasPrefix(name, halfWritten) {
			return true, nil
		}
		of, ok := owner(name)
		if !ok {
			return false, nil
		}
		keep, err := needed(of)
		return !keep && err == nil, err
	})
}

// owner is the number of what a file belongs to.
func owner(name string) (id int64, ok bool) {
	number, _, ok := strings.Cut(name, ".")
	id, err := strconv.ParseInt(number, 10, 64)
	return id, ok && err == nil && strconv.FormatInt(id, 10) == number
}

func (p Private) remove(goes func(name string) (bool, error)) error {
	entries, err := os.ReadDir(p.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("git: private files: %w", err)
	}
	var all []error
	for _, entry := range entries {
		gone, err := goes(entry.Name())
		if err == nil && gone {
			err = os.Remove(filepath.Join(p.Dir, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, fmt.Errorf("git: private files: %w", err))
		}
	}
	return errors.Join(all...)
}
