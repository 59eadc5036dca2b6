package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"gatehouse/gitserver/fault"
)

const (
	// keyName is the file of the key that unsubscribe links are signed with.
	keyName  = "unsubscribe.key"
	keyBytes = 32
)

// keyFile is the server's own key, made when it is first needed.
type keyFile struct {
	mu  sync.Mutex
	key []byte
}

func (s *Service) signingKey() ([]byte, error) {
	s.key.mu.Lock()
	defer s.key.mu.Unlock()
	if s.key.key != nil {
		return s.key.key, nil
	}
	name := filepath.Join(s.Dir, keyName)
	key, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := make([]byte, keyBytes)
		if _, err := io.ReadFull(s.random(), fresh); err != nil {
			return nil, fmt.Errorf("notify: key: %w", err)
		}
		if err := s.writeSecret(keyName, fresh); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		key, err = os.ReadFile(name) // another process may have been first
		if err != nil {
			return nil, fmt.Errorf("notify: key: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("notify: key: %w", err)
	}
	if len(key) != keyBytes {
		return nil, fmt.Errorf("notify: %s is not a key; remove it, and older unsubscribe links end", name)
	}
	s.key.key = key
	return key, nil
}

// writeSecret makes a file that only the server reads: whole, durable, and never over another.
func (s *Service) writeSecret(name string, secret []byte) (err error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	f, err := os.CreateTemp(s.Dir, "new-*")
	if err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	if err := os.Link(f.Name(), filepath.Join(s.Dir, name)); err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("notify: secret: %w", err)
	}
	return nil
}

// Subscription is what an unsubscribe link is about: an account's mail about a change, or with
// change 0 all of it.
type Subscription struct {
	Account int64
	Change  int64
}

// Token is the signed name of a subscription. It lets its bearer stop or restart that mail and
// nothing else, so it has no end: mails are kept for years.
func (s *Service) Token(sub Subscription) (string, error) {
	key, err := s.signingKey()
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d.%d", sub.Account, sub.Change)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(key, "unsubscribe "+text)), nil
}

// sign is the HMAC-SHA256 of text.
func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text)) // a hash never fails
	return mac.Sum(nil)
}

// Subscription reads the token of an unsubscribe link.
func (s *Service) Subscription(token string) (Subscription, error) {
	bad := fault.New(fault.NotFound, "notify.Subscription", "this is no link to stop mail", "take it whole from a mail, or change what is mailed in your settings")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Subscription{}, bad
	}
	account, err1 := strconv.ParseInt(parts[0], 10, 64)
	change, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil || account <= 0 || change < 0 {
		return Subscription{}, bad
	}
	sub := Subscription{account, change}
	want, err := s.Token(sub)
	if err != nil {
		return Subscription{}, err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(token)) != 1 {
		return Subscription{}, bad
	}
	return sub, nil
}
