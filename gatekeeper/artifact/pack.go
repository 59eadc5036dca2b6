package artifact

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// How says what an archive keeps of a folder.
type How struct {
	// Loose keeps times and links that lead anywhere, and leaves sockets and the like out. It is
	// for what only a sandbox reads, as caches; artifacts are not loose.
	Loose bool
}

// The modes that archives know.
const (
	plainMode = 0o644
	execMode  = 0o755
	// listStep is how many names of a folder are read at once.
	listStep = 1024
)

// badContent is a mistake in what a stage left, in words for whoever wrote it.
type badContent struct{ words string }

func (b badContent) Error() string { return b.words }

func bad(format string, args ...any) error { return badContent{fmt.Sprintf(format, args...)} }

// unreadable turns an error of reading what a stage left into words, unless it is the machine's.
func unreadable(what, name string, err error) error {
	for _, ours := range []error{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.ESTALE} {
		if errors.Is(err, ours) {
			return fmt.Errorf("read %q: %w", name, err)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no %s %q", what, name)
	case errors.Is(err, fs.ErrPermission):
		return bad("the %s %q cannot be read: its mode does not allow it", what, name)
	default:
		return bad("the %s %q cannot be read: it leads out of its folder, or is not a %s", what, name, what)
	}
}

// packer writes one folder.
type packer struct {
	to      *tar.Writer
	dir     *os.Root
	how     How
	entries int
}

// Pack writes all that is in dir to w, as an archive whose bytes follow from the content. An error
// about the content is one of [Content].
func Pack(w io.Writer, dir *os.Root, how How) error {
	p := &packer{to: tar.NewWriter(w), dir: dir, how: how}
	if err := p.folder(".", 0); err != nil {
		return err
	}
	return p.to.Close()
}

// Content reports whether err is about what a stage left, and not about the server.
func Content(err error) bool {
	var b badContent
	return errors.As(err, &b) || errors.Is(err, errTooLarge)
}

// folder writes what is in the folder name, which has its own entry already.
func (p *packer) folder(name string, depth int) error {
	if depth > MaxDepth {
		return bad("the folder %q is more than %d deep", name, MaxDepth)
	}
	names, err := p.names(name)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := p.entry(path.Join(name, n), depth); err != nil {
			return err
		}
	}
	return nil
}

// names are the sorted names in a folder. They are read in steps: a stage can make more of them
// than we have memory for.
func (p *packer) names(name string) ([]string, error) {
	f, err := p.dir.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, unreadable("folder", name, err)
	}
	defer func() { _ = f.Close() }()
	var names []string
	for {
		some, err := f.Readdirnames(listStep)
		names = append(names, some...)
		if p.entries += len(some); p.entries > MaxEntries {
			return nil, bad("it has more than %d files", MaxEntries)
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, unreadable("folder", name, err)
		}
	}
}

func (p *packer) entry(name string, depth int) error {
	if !utf8.ValidString(name) || strings.ContainsRune(name, '\\') {
		return bad("the name %q cannot be kept: it is not UTF-8, or has a backslash", name)
	}
	info, err := p.dir.Lstat(name)
	if err != nil {
		return unreadable("file", name, err)
	}
	h := &tar.Header{Name: name, Mode: plainMode, ModTime: time.Unix(0, 0)}
	if p.how.Loose {
		h.ModTime, h.Format = info.ModTime(), tar.FormatPAX
	}
	switch info.Mode().Type() {
	case 0:
		return p.file(h)
	case fs.ModeDir:
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, name+"/", execMode
		if err := p.to.WriteHeader(h); err != nil {
			return err
		}
		return p.folder(name, depth+1)
	case fs.ModeSymlink:
		h.Typeflag, h.Mode = tar.TypeSymlink, execMode // as GNU tar has it, told to give all the same
		if h.Linkname, err = p.link(name); err != nil {
			return err
		}
		return p.to.WriteHeader(h)
	default:
		if p.how.Loose {
			return nil
		}
		return bad("%q is neither a file nor a folder nor a link", name)
	}
}

// link reads a link and sees that it stays inside.
func (p *packer) link(name string) (string, error) {
	to, err := p.dir.Readlink(name)
	if err != nil {
		return "", unreadable("link", name, err)
	}
	if p.how.Loose {
		return to, nil
	}
	if _, err := p.dir.Stat(name); err != nil || !utf8.ValidString(to) {
		return "", bad("the link %q leads out of its folder or to nothing: to %q", name, to)
	}
	return to, nil
}

func (p *packer) file(h *tar.Header) error {
	f, info, err := openRegular(p.dir, h.Name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if info.Mode()&0o111 != 0 {
		h.Mode = execMode
	}
	if err := p.to.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(p.to, f, h.Size)
	return err
}

// openRegular opens a regular file; a pipe is not waited for.
func openRegular(dir *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, unreadable("file", name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = bad("%q is not a regular file", name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
