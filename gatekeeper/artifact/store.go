package artifact

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// Types of artifacts, as the plan spells them.
const (
	File   = plan.FileArtifact
	Bundle = plan.BundleArtifact
	Image  = plan.OCIImage
)

// Limits of what is kept.
const (
	// MaxEntries is how many files, folders and links one bundle has; the largest trees of
	// dependencies that we know have half as many.
	MaxEntries = 200_000
	// MaxDepth is how deep its folders nest: tar archives of deeper ones trouble many tools.
	MaxDepth = 64
	// maxLink is the longest target of a link, the kernel's own limit.
	maxLink = 4096
	// defaultSpare is what stays free on the disk: git and the database need room to refuse in.
	defaultSpare = 256 << 20
	// spareStep is how many bytes are written between two looks at the disk.
	spareStep = 32 << 20
)

const (
	digestPrefix = "sha256:"
	tmpDir       = "tmp"
)

// CrashPoint, when set, is called at named points of durable writes, so that a test can end the
// process there.
var CrashPoint func(name string)

func crashPoint(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Artifact is what a stage made.
type Artifact struct {
	Name       string `json:"name"`   // the plan's; the store does not ask for it
	Type       string `json:"type"`   // File, Bundle or Image
	Digest     string `json:"digest"` // sha256:HEX
	Size       int64  `json:"size"`   // bytes of the file, or of the archive
	Executable bool   `json:"executable,omitempty"`
}

// Kept is one content in the store.
type Kept struct {
	Type   string
	Digest string
	Size   int64
	At     time.Time // when it was put last
}

// Store is a folder of artifacts. It is safe for concurrent use, also by several processes.
type Store struct {
	root *os.Root
	// Spare is how many bytes stay free on the disk; 0 is a default.
	Spare int64
}

// New opens the folder dir, which it makes, for the server's eyes only, when it is missing.
func New(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	if err := root.MkdirAll(tmpDir, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("artifact: %w", err), root.Close())
	}
	return &Store{root: root}, nil
}

// Close gives the folder back. Open readers go on.
func (s *Store) Close() error { return s.root.Close() }

// Missing reports whether err says that the store has no such artifact.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// place is the folder and the file of an artifact. The type is a part of it: a file may have the
// very bytes of an image's manifest.
func place(typ, digest string) (dir, name string, err error) {
	if typ != File && typ != Bundle && typ != Image {
		return "", "", fmt.Errorf("artifact: %q is no type of artifact: use %s, %s or %s", typ, File, Bundle, Image)
	}
	hexed, ok := hexOf(digest)
	if !ok {
		return "", "", fmt.Errorf("artifact: %q is not a digest: it is sha256: and 64 hexadecimal digits", digest)
	}
	dir = path.Join(typ, hexed[:2])
	return dir, path.Join(dir, hexed), nil
}

// hexOf is the hexadecimal part of a well-formed digest.
func hexOf(digest string) (string, bool) {
	hexed, ok := strings.CutPrefix(digest, digestPrefix)
	raw, err := hex.DecodeString(hexed)
	return hexed, ok && err == nil && len(raw) == 32 && strings.ToLower(hexed) == hexed
}

// Has reports whether the content of a is in the store.
func (s *Store) Has(a Artifact) (bool, error) {
	_, name, err := place(a.Type, a.Digest)
	if err != nil {
		return false, err
	}
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("artifact: look for %s: %w", a.Digest, err)
	}
	return info.Mode().IsRegular(), nil
}

// Open reads the content of a: the bytes of a file, the tar archive of the others. The error is
// [Missing] when the store has no such artifact.
func (s *Store) Open(a Artifact) (io.ReadSeekCloser, error) {
	f, _, err := s.open(a)
	if err != nil {
		return nil, err // and no *os.File that is nil
	}
	return f, nil
}

func (s *Store) open(a Artifact) (*os.File, int64, error) {
	_, name, err := place(a.Type, a.Digest)
	if err != nil {
		return nil, 0, err
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("artifact: open %s %s: %w", a.Type, a.Digest, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("artifact: open %s %s: %w", a.Type, a.Digest, err), f.Close())
	}
	return f, info.Size(), nil
}

// Remove forgets the content of a; that there is none is fine.
func (s *Store) Remove(a Artifact) error {
	dir, name, err := place(a.Type, a.Digest)
	if err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil && !Missing(err) {
		return fmt.Errorf("artifact: remove %s: %w", a.Digest, err)
	}
	if err := syncDir(s.root, dir); err != nil && !Missing(err) {
		return fmt.Errorf("artifact: remove %s: %w", a.Digest, err)
	}
	return nil
}

// All lists what is kept, in no order. Whoever removes what nothing names any more leaves alone
// what was put lately: its row may not be written yet.
func (s *Store) All() iter.Seq2[Kept, error] {
	return func(yield func(Kept, error) bool) {
		for _, typ := range []string{File, Bundle, Image} {
			dirs, err := s.list(typ)
			if err != nil && !yield(Kept{}, err) {
				return
			}
			for _, d := range dirs {
				files, err := s.list(path.Join(typ, d.Name()))
				if err != nil && !yield(Kept{}, err) {
					return
				}
				for _, f := range files {
					info, err := f.Info()
					digest := digestPrefix + f.Name()
					if _, ok := hexOf(digest); err != nil || !ok || !info.Mode().IsRegular() {
						continue // it has just been removed, or is none of ours
					}
					if !yield(Kept{Type: typ, Digest: digest, Size: info.Size(), At: info.ModTime()}, nil) {
						return
					}
				}
			}
		}
	}
}

func (s *Store) list(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil && !Missing(err) {
		return nil, fmt.Errorf("artifact: list: %w", err)
	}
	return entries, nil
}

// Sweep removes what a server that was killed had begun to write before the time old.
func (s *Store) Sweep(old time.Time) error {
	entries, err := s.list(tmpDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(old) {
			errs = append(errs, s.root.Remove(path.Join(tmpDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// draft is content that has no name yet.
type draft struct {
	store *Store
	file  *os.File
	name  string
	ctx   context.Context //nolint:containedctx // it lives as long as one Put
	left  int64           // bytes until the limit
	look  int64           // bytes until the next look at the disk
}

// begin makes a draft of at most limit bytes. Whoever has it calls drop at the end.
func (s *Store) begin(ctx context.Context, limit int64) (*draft, error) {
	name := path.Join(tmpDir, rand.Text())
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	return &draft{store: s, file: f, name: name, ctx: ctx, left: limit}, nil
}

// errTooLarge is beyond the limit that Put was given.
var errTooLarge = errors.New("it is larger than its limit")

// Write is bounded by the limit, the disk and the context.
func (d *draft) Write(p []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(p)) > d.left {
		return 0, errTooLarge
	}
	if d.look -= int64(len(p)); d.look < 0 {
		d.look = spareStep
		if err := d.store.room(); err != nil {
			return 0, err
		}
	}
	n, err := d.file.Write(p)
	d.left -= int64(n)
	return n, err
}

// room says whether the disk has some left.
func (s *Store) room() error {
	spare := s.Spare
	if spare == 0 {
		spare = defaultSpare
	}
	dir, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("artifact: look at the disk: %w", err)
	}
	defer func() { _ = dir.Close() }()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil { //nolint:gosec // a small number
		return fmt.Errorf("artifact: look at the disk: %w", err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < spare { //nolint:gosec // sizes of real disks
		return fault.New(fault.Unavailable, "artifact.Put",
			fmt.Sprintf("the disk of the server is nearly full: %d MiB left, %d MiB are kept free", free>>20, spare>>20), "make room on the server and run the stage again")
	}
	return nil
}

// keep gives the draft its name, durably. What had the name already is the same, and is replaced:
// its time is new then, and if a disk has spoilt it, it is whole again.
func (d *draft) keep(typ, digest string) error {
	dir, name, err := place(typ, digest)
	if err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("artifact: keep %s: %w", digest, err)
	}
	crashPoint("artifact.written")
	root := d.store.root
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("artifact: keep %s: %w", digest, err)
	}
	if err := root.Rename(d.name, name); err != nil {
		return fmt.Errorf("artifact: keep %s: %w", digest, err)
	}
	crashPoint("artifact.named")
	if err := errors.Join(syncDir(root, dir), syncDir(root, typ), syncDir(root, ".")); err != nil {
		return fmt.Errorf("artifact: keep %s: %w", digest, err)
	}
	return nil
}

// drop ends the draft, and removes it when it got no name.
func (d *draft) drop() {
	_ = d.file.Close()              // it was synced, or is not wanted
	_ = d.store.root.Remove(d.name) // it has another name now, or Sweep finds it
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
