// Package blob keeps logs, and whatever else is large and written once, in a folder.
//
// A blob has a key that the server made. It grows while its writer is open, and readers see what
// is there: a reader that reached the end reads on later, which is how a log is followed.
//
// Invariants: a key never leads out of the folder, whatever it says and whatever somebody put
// there (no separators, no symbolic links); a blob is begun at most once and only ever grows; when
// [Writer.Close] has returned nil, the blob and its name survive a power cut. What was written to
// a blob that was never closed survives a kill of the server, but perhaps not a power cut.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxKey is the longest key: our own have 19 bytes, a digest in hexadecimal has 64.
const maxKey = 128

// Store is a folder of blobs. It is safe for concurrent use, also by several processes.
type Store struct {
	root *os.Root
}

// New opens the folder dir, which it makes, for the server's eyes only, when it is missing.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{root}, nil
}

// Close gives the folder back. Open readers and writers go on.
func (s *Store) Close() error { return s.root.Close() }

// Missing reports whether err says that there is no such blob.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// place is the folder and the file of a key. Blobs are spread over 256 folders, because a folder
// with a million files is slow in everything that lists it.
func place(key string) (dir, name string, err error) {
	if key == "" || len(key) > maxKey {
		return "", "", fmt.Errorf("blob: key of %d bytes", len(key))
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", "", fmt.Errorf("blob: %q is not a key", key)
		}
	}
	sum := sha256.Sum256([]byte(key))
	dir = hex.EncodeToString(sum[:1])
	return dir, filepath.Join(dir, key), nil
}

// Create begins the blob key; that there is one already is an error.
func (s *Store) Create(key string) (*Writer, error) { return s.write(key, os.O_CREATE|os.O_EXCL) }

// Append goes on with the blob key, or begins it.
func (s *Store) Append(key string) (*Writer, error) { return s.write(key, os.O_CREATE) }

func (s *Store) write(key string, flags int) (*Writer, error) {
	dir, name, err := place(key)
	if err != nil {
		return nil, err
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("blob: write %s: %w", key, err)
	}
	f, err := s.root.OpenFile(name, flags|os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("blob: write %s: %w", key, err)
	}
	return &Writer{f, s.root, dir}, nil
}

// Writer makes a blob grow. Write may be called by several goroutines.
type Writer struct {
	file *os.File
	root *os.Root
	dir  string
}

// Write appends p; readers see it at once.
func (w *Writer) Write(p []byte) (int, error) { return w.file.Write(p) }

// Sync makes durable what was written so far.
func (w *Writer) Sync() error { return w.file.Sync() }

// Close makes the blob and its name durable.
func (w *Writer) Close() error {
	err := errors.Join(w.file.Sync(), w.file.Close(), syncDir(w.root, w.dir), syncDir(w.root, "."))
	if err != nil {
		return fmt.Errorf("blob: close: %w", err)
	}
	return nil
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open reads the blob key from offset on. At the present end it answers io.EOF, and reads on when
// the blob has grown.
func (s *Store) Open(key string, offset int64) (io.ReadSeekCloser, error) {
	_, name, err := place(key)
	if err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("blob: open %s: %w", key, err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("blob: open %s at %d: %w", key, offset, err), f.Close())
	}
	return f, nil
}

// Size is how long the blob key is now, in bytes.
func (s *Store) Size(key string) (int64, error) {
	_, name, err := place(key)
	if err != nil {
		return 0, err
	}
	info, err := s.root.Lstat(name)
	if err != nil {
		return 0, fmt.Errorf("blob: size of %s: %w", key, err)
	}
	return info.Size(), nil
}

// Remove forgets the blob key; that there is none is fine.
func (s *Store) Remove(key string) error {
	dir, name, err := place(key)
	if err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !Missing(err) {
		return fmt.Errorf("blob: remove %s: %w", key, err)
	}
	if err := syncDir(s.root, dir); err != nil && !Missing(err) {
		return fmt.Errorf("blob: remove %s: %w", key, err)
	}
	return nil
}
