package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gatehouse/gitserver/fault"
)

const (
	// maxKeys bounds the keys of a folder, and those that a reader trusts at once: one a day for
	// more than ten years.
	maxKeys = 5000
	// maxKeyFile bounds a key's file: PEM of 32 bytes with a head.
	maxKeyFile = 4 << 10
	publicPEM  = "PUBLIC KEY"
	privatePEM = "PRIVATE KEY"
)

// PublicKey is a key that signatures are checked with.
type PublicKey struct {
	ID    string            `json:"id"`    // SHA-256 of the key in DER, in hexadecimal
	Signs bool              `json:"signs"` // the server signs with it now
	Key   ed25519.PublicKey `json:"-"`
}

// keyID is how keys are told apart.
func keyID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// PEM is the key as tools read it.
func (k PublicKey) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Key)
	if err != nil {
		panic(fmt.Sprintf("attest: an ed25519 key always encodes: %v", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: der})
}

// ParsePublic reads the public keys of a file in PEM, one or several. What stands between them is ignored.
func ParsePublic(text []byte) ([]PublicKey, error) {
	const op = "attest.ParsePublic"
	var all []PublicKey
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != publicPEM {
			return nil, fault.Newf(fault.Invalid, op, "there is a %s among the public keys", strings.ToLower(block.Type))
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, fault.Newf(fault.Invalid, op, "one of the public keys is not of ed25519")
		}
		if all = append(all, PublicKey{ID: keyID(block.Bytes), Key: key}); len(all) > maxKeys {
			return nil, fault.Newf(fault.TooLarge, op, "there are more than %d public keys", maxKeys)
		}
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, op, "there is no public key in PEM", "gate artifact keys --public prints those of a server")
	}
	return all, nil
}

// Keys are those of a server, in a folder. All methods are safe for concurrent use, also by several
// processes: each looks into the folder.
type Keys struct {
	dir    string
	random io.Reader
	mu     sync.Mutex // one rotation at once in this process
}

// Open opens the folder and makes the first key when there is none. Private keys that a crash left behind
// the newest are removed.
func Open(dir string) (*Keys, error) {
	k := &Keys{dir: dir, random: rand.Reader}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	numbers, err := k.numbers(".key")
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		_, err := k.Rotate()
		return k, err
	}
	if _, _, err := k.current(); err != nil { // better now than at the first signature
		return nil, err
	}
	return k, k.retire(numbers[:len(numbers)-1])
}

func (k *Keys) file(number int, suffix string) string {
	return filepath.Join(k.dir, fmt.Sprintf("%04d%s", number, suffix))
}

// numbers are those of the files with a suffix, in order.
func (k *Keys) numbers(suffix string) ([]int, error) {
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		return nil, fmt.Errorf("attest: keys: %w", err)
	}
	var all []int
	for _, e := range entries {
		var n int
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok {
			if _, err := fmt.Sscanf(name, "%d", &n); err == nil && filepath.Base(k.file(n, suffix)) == e.Name() {
				all = append(all, n)
			}
		}
	}
	if len(all) > maxKeys {
		return nil, fmt.Errorf("attest: %s has more than %d keys", k.dir, maxKeys)
	}
	slices.Sort(all)
	return all, nil
}

// current is the key that signs.
func (k *Keys) current() (ed25519.PrivateKey, PublicKey, error) {
	numbers, err := k.numbers(".key")
	if err == nil && len(numbers) == 0 {
		err = fmt.Errorf("attest: there is no private key in %s any more", k.dir)
	}
	if err != nil {
		return nil, PublicKey{}, err
	}
	file := k.file(numbers[len(numbers)-1], ".key")
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, PublicKey{}, fault.New(fault.Invalid, "attest.key", "the key "+file+" can be read by others", "run chmod 600 "+file+", and gate artifact rotate if somebody did")
	}
	text, err := readSmall(file)
	if err != nil {
		return nil, PublicKey{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != privatePEM {
		return nil, PublicKey{}, fmt.Errorf("attest: %s is no private key in PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, PublicKey{}, fmt.Errorf("attest: %s is no private key of ed25519: %w", file, err)
	}
	public, err := named(private)
	return private, public, err
}

func named(private ed25519.PrivateKey) (PublicKey, error) {
	public := private.Public().(ed25519.PublicKey) //nolint:forcetypeassert // that of an ed25519 key
	der, err := x509.MarshalPKIXPublicKey(public)
	return PublicKey{ID: keyID(der), Signs: true, Key: public}, err
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // below the server's own folder
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("it is larger than %d bytes", maxKeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("attest: %s: %w", file, err)
	}
	return text, nil
}

// Sign puts the payload into an envelope, signed with the current key: one line of JSON. The same
// payload and key give the same bytes.
func (k *Keys) Sign(payloadType string, payload []byte) ([]byte, error) {
	private, public, err := k.current()
	if errors.Is(err, fs.ErrNotExist) { // it was rotated just now
		private, public, err = k.current()
	}
	if err != nil {
		return nil, err
	}
	e := Envelope{Payload: payload, PayloadType: payloadType, Signatures: []Signature{{public.ID, ed25519.Sign(private, PAE(payloadType, payload))}}}
	return json.Marshal(e)
}

// Public are all keys that this server has signed with, newest first.
func (k *Keys) Public() ([]PublicKey, error) {
	numbers, err := k.numbers(".pub")
	if err != nil {
		return nil, err
	}
	_, signing, err := k.current()
	if err != nil {
		return nil, err
	}
	var all []PublicKey
	for _, n := range slices.Backward(numbers) {
		text, err := readSmall(k.file(n, ".pub"))
		if err != nil {
			return nil, err
		}
		keys, err := ParsePublic(text)
		if err != nil {
			return nil, fmt.Errorf("attest: %s: %w", k.file(n, ".pub"), err)
		}
		for _, key := range keys {
			key.Signs = key.ID == signing.ID
			all = append(all, key)
		}
	}
	return all, nil
}

// PEM are keys as a file that [ParsePublic] reads.
func PEM(keys []PublicKey) []byte {
	var all bytes.Buffer
	for _, k := range keys {
		all.Write(k.PEM())
	}
	return all.Bytes()
}

// Rotate makes a new key, which signs from now on. The private keys before it are removed.
func (k *Keys) Rotate() (PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, err := k.numbers(".key")
	if err != nil {
		return PublicKey{}, err
	}
	all, err := k.numbers(".pub")
	if err != nil {
		return PublicKey{}, err
	}
	next := 1
	for _, n := range append(slices.Clone(all), old...) {
		next = max(next, n+1)
	}
	_, private, err := ed25519.GenerateKey(k.random)
	if err != nil {
		return PublicKey{}, fmt.Errorf("attest: make a key: %w", err)
	}
	public, err := named(private)
	if err != nil {
		return PublicKey{}, fmt.Errorf("attest: make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return PublicKey{}, fmt.Errorf("attest: make a key: %w", err)
	}
	// The public one first: nothing is ever signed that cannot be verified.
	if err := k.write(next, ".pub", public.PEM()); err != nil {
		return PublicKey{}, err
	}
	if err := k.write(next, ".key", pem.EncodeToMemory(&pem.Block{Type: privatePEM, Bytes: der})); err != nil {
		return PublicKey{}, err
	}
	return public, k.retire(old)
}

// write makes a file that is whole and on disk, with its folder, or not there.
func (k *Keys) write(number int, suffix string, text []byte) error {
	temp, err := os.CreateTemp(k.dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	if err := os.Link(temp.Name(), k.file(number, suffix)); err != nil { // never over another one
		return fmt.Errorf("attest: %w", err)
	}
	return k.sync()
}

// retire removes private keys.
func (k *Keys) retire(numbers []int) error {
	for _, n := range numbers {
		if err := os.Remove(k.file(n, ".key")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("attest: remove an old key: %w", err)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	return k.sync()
}

func (k *Keys) sync() error {
	d, err := os.Open(k.dir)
	if err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
