package gitserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"

	"gatehouse/gitserver/fault"
)

// hostKey reads the server's ed25519 key, and makes it when there is none. Clients remember
// it, so it is on disk for good before it is used.
func hostKey(file string) (gossh.Signer, error) {
	const op = "gitserver.hostKey"
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeHostKey(file); err != nil {
			return nil, err
		}
		info, err = os.Stat(file)
	}
	if err != nil {
		return nil, fmt.Errorf("gitserver: host key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, op, "the host key "+file+" can be read by others", "run chmod 600 "+file)
	}
	text, err := os.ReadFile(file) //nolint:gosec // the path is the administrator's
	if err != nil {
		return nil, fmt.Errorf("gitserver: host key: %w", err)
	}
	signer, err := gossh.ParsePrivateKey(text)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, op, file+" is no private key without a passphrase")
	}
	if signer.PublicKey().Type() != gossh.KeyAlgoED25519 {
		return nil, fault.New(fault.Invalid, op, "the host key "+file+" is not an ed25519 key", "move it away: a new one is made at the next start")
	}
	return signer, nil
}

// makeHostKey writes a new key under another name and links it in place: a crash leaves
// either none or all of it, and of two servers that start at once one wins.
func makeHostKey(file string) (err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	block, err := gossh.MarshalPrivateKey(private, "gatehouse host key")
	if err != nil {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	dir := filepath.Dir(file)
	temp, err := os.CreateTemp(dir, ".host-key-*") // 0600
	if err != nil {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(pem.EncodeToMemory(block))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	if err := os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	d, err := os.Open(dir) //nolint:gosec // the path is the administrator's
	if err != nil {
		return fmt.Errorf("gitserver: make host key: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
