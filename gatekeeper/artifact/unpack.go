package artifact

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"gatehouse/gitserver/fault"
)

// Unpack puts a at the path at below the folder dir: a file, or a folder with what is in it. Folders on
// the way are made. There must be nothing at that place yet, and no link on the way: both are
// faults of kind Invalid. When it fails otherwise, a part of it may be there.
func (s *Store) Unpack(ctx context.Context, a Artifact, dir, at string) error {
	f, size, err := s.open(a)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := verify(ctx, a, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("artifact: unpack %s: %w", a.Digest, err)
	}
	if err := s.room(); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("artifact: unpack %s: %w", a.Digest, err)
	}
	defer func() { _ = root.Close() }()
	if err := Way(root, at); err != nil {
		return err
	}
	if a.Type == File {
		err = writeFile(root, at, contextReader{ctx, f}, a.Executable)
	} else {
		err = root.Mkdir(at, execMode)
		if err == nil {
			err = inFolder(root, at, func(in *os.Root) error { return Extract(contextReader{ctx, f}, size, in, How{}) })
		}
	}
	if err != nil {
		return fmt.Errorf("artifact: unpack %s at %q: %w", a.Digest, at, err)
	}
	return nil
}

// Way makes the folders above the path at below root, and sees that at is free. That there is
// something, or a link on the way, is a fault of kind Invalid.
func Way(root *os.Root, at string) error {
	refuse := func(words string) error {
		return fault.New(fault.Invalid, "artifact.Unpack", fmt.Sprintf("nothing can be put at %q: %s", at, words), "name another path in the plan")
	}
	at = filepath.Clean(at)
	if !filepath.IsLocal(at) || at == "." {
		return refuse("it is not a path below the working copy")
	}
	parts := strings.Split(at, "/")
	for n := range parts {
		name := path.Join(parts[:n+1]...)
		info, err := root.Lstat(name)
		last := n == len(parts)-1
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !last {
				err = root.Mkdir(name, execMode)
			} else {
				err = nil
			}
		case err != nil:
		case info.Mode()&fs.ModeSymlink != 0:
			return refuse(fmt.Sprintf("%q is a link", name))
		case last:
			return refuse("there is something already")
		case !info.IsDir():
			return refuse(fmt.Sprintf("%q is not a folder", name))
		}
		if err != nil {
			return fmt.Errorf("artifact: make %q: %w", name, err)
		}
	}
	return nil
}

func writeFile(root *os.Root, name string, from io.Reader, executable bool) error {
	mode := fs.FileMode(plainMode)
	if executable {
		mode = execMode
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Chmod(mode), f.Close()) // whatever the server's umask is
}

// extractor puts an archive down.
type extractor struct {
	in    *os.Root
	how   How
	left  int64 // bytes that the archive can still hold
	links []*tar.Header
	dirs  []*tar.Header
}

// Extract puts the archive of size bytes that r gives into the folder in, which is empty. It does not
// believe the archive: what is neither a file nor a folder nor a link, what has a name that leads
// out, that comes twice or that lies behind a link ends it.
func Extract(r io.Reader, size int64, in *os.Root, how How) error {
	x := &extractor{in: in, how: how, left: size}
	from := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return x.finish()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if n >= MaxEntries {
			return fmt.Errorf("the archive has more than %d entries", MaxEntries)
		}
		if err := x.entry(h, from); err != nil {
			return err
		}
	}
}

func (x *extractor) entry(h *tar.Header, from io.Reader) error {
	name := strings.TrimSuffix(h.Name, "/")
	if !filepath.IsLocal(name) || path.Clean(name) != name || name == "." || strings.Count(name, "/") > MaxDepth+1 {
		return fmt.Errorf("the archive has an entry %q, which is not a path below it", h.Name)
	}
	// Holes are written out, so that a small archive could become a large file.
	if x.left -= h.Size; h.Size < 0 || x.left < 0 {
		return fmt.Errorf("the archive's entry %q is larger than the archive", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		x.dirs = append(x.dirs, h)
		if err := x.in.Mkdir(name, execMode); err != nil {
			return err
		}
		return x.in.Chmod(name, execMode)
	case tar.TypeReg:
		if err := writeFile(x.in, name, from, h.Mode&0o111 != 0); err != nil {
			return err
		}
		return x.time(h)
	case tar.TypeSymlink:
		if len(h.Linkname) > maxLink {
			return fmt.Errorf("the archive's link %q is too long", h.Name)
		}
		h.Name = name
		x.links = append(x.links, h) // made last, so that nothing is written through one
		return nil
	default:
		return fmt.Errorf("the archive's entry %q is neither a file nor a folder nor a link", h.Name)
	}
}

// finish makes the links, and sees that they stay inside.
func (x *extractor) finish() error {
	for _, h := range x.links {
		if err := x.in.Symlink(h.Linkname, h.Name); err != nil {
			return err
		}
	}
	for _, h := range x.links {
		if x.how.Loose {
			continue
		}
		if _, err := x.in.Stat(h.Name); err != nil {
			return errors.Join(fmt.Errorf("the archive's link %q leads out of it or to nothing: %w", h.Name, err), x.in.Remove(h.Name))
		}
	}
	for _, h := range x.dirs {
		if err := x.time(h); err != nil {
			return err
		}
	}
	return nil
}

func (x *extractor) time(h *tar.Header) error {
	if !x.how.Loose {
		return nil
	}
	return x.in.Chtimes(strings.TrimSuffix(h.Name, "/"), h.ModTime, h.ModTime)
}
