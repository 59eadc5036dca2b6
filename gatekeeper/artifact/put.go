package artifact

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"gatehouse/gitserver/fault"
)

// bufferSize is what is written at once: tar headers are half a kilobyte each.
const bufferSize = 256 << 10

// Put takes the file or folder name below root into the store. limit is how many bytes it may
// have. Links are followed as long as they stay below root. Nobody may write there meanwhile.
func (s *Store) Put(ctx context.Context, typ string, root *os.Root, name string, limit int64) (Artifact, error) {
	a, err := s.put(ctx, typ, root, name, limit)
	var f *fault.Error
	var b badContent
	switch {
	case err == nil:
		return a, nil
	case errors.As(err, &f):
		return Artifact{}, f
	case errors.Is(err, errTooLarge):
		return Artifact{}, fault.New(fault.TooLarge, "artifact.Put", fmt.Sprintf("%q is larger than %d bytes", name, limit),
			"leave out what need not be deployed, or ask the owner of the server for a higher limit")
	case errors.As(err, &b):
		return Artifact{}, fault.New(fault.Invalid, "artifact.Put", b.words, "")
	default:
		return Artifact{}, fmt.Errorf("artifact: put %q: %w", name, err)
	}
}

func (s *Store) put(ctx context.Context, typ string, root *os.Root, name string, limit int64) (Artifact, error) {
	if _, _, err := place(typ, digestPrefix+hex.EncodeToString(make([]byte, sha256.Size))); err != nil {
		return Artifact{}, err
	}
	if !filepath.IsLocal(name) {
		return Artifact{}, bad("%q is not a path below the working copy", name)
	}
	d, err := s.begin(ctx, limit)
	if err != nil {
		return Artifact{}, err
	}
	defer d.drop()
	sum := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(d, sum), bufferSize)
	a := Artifact{Type: typ}
	switch typ {
	case File:
		a.Executable, err = copyFile(to, root, name)
	case Bundle:
		err = inFolder(root, name, func(dir *os.Root) error { return Pack(to, dir, How{}) })
	case Image:
		err = inFolder(root, name, func(dir *os.Root) error {
			a.Digest, err = packImage(ctx, to, folder{dir})
			return err
		})
	}
	if err := errors.Join(err, to.Flush()); err != nil {
		return Artifact{}, err
	}
	if a.Digest == "" {
		a.Digest = digestOf(sum)
	}
	a.Size = limit - d.left
	return a, d.keep(typ, a.Digest)
}

func digestOf(sum hash.Hash) string { return digestPrefix + hex.EncodeToString(sum.Sum(nil)) }

func copyFile(w io.Writer, root *os.Root, name string) (executable bool, err error) {
	f, info, err := openRegular(root, name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	_, err = io.CopyN(w, f, info.Size())
	return info.Mode()&0o111 != 0, err
}

func inFolder(root *os.Root, name string, f func(dir *os.Root) error) error {
	dir, err := root.OpenRoot(name)
	if err != nil {
		return unreadable("folder", name, err)
	}
	defer func() { _ = dir.Close() }()
	return f(dir)
}

// Verify reads the content of a and reports an error when it is missing or not what the digest
// says.
func (s *Store) Verify(ctx context.Context, a Artifact) error {
	f, _, err := s.open(a)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return verify(ctx, a, f)
}

func verify(ctx context.Context, a Artifact, f *os.File) error {
	sum := sha256.New()
	size, err := io.Copy(sum, contextReader{ctx, f})
	if err != nil {
		return fmt.Errorf("artifact: verify %s: %w", a.Digest, err)
	}
	got := digestOf(sum)
	if a.Type == Image {
		// The archive of an image follows from its digest, so it is made again and compared.
		again := sha256.New()
		l, err := indexTar(f, size)
		if err == nil {
			var digest string
			digest, err = packImage(ctx, again, l)
			if err == nil && digestOf(again) == got {
				got = digest
			}
		}
		if err != nil {
			return fmt.Errorf("artifact: verify %s %s: the store is damaged: %w", a.Type, a.Digest, err)
		}
	}
	if got != a.Digest {
		return fmt.Errorf("artifact: the store is damaged: what should be %s %s is %s", a.Type, a.Digest, got)
	}
	return nil
}

// contextReader ends with its context: a large artifact is read for minutes.
type contextReader struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	r   io.Reader
}

// Read reads until the context ends.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
