package runner

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gitserver/fault"
)

const (
	// cachedFolders is where the folders are that outlive their stage, below [Runner.Cache]. No stage
	// sees it; the other names there are numbers of repositories.
	cachedFolders = "folders"
	cachedEnd     = ".tar"
	draftEnd      = ".tmp"
	cacheBuffer   = 256 << 10 // what is read and written at once
)

// cached is the file in which a folder of the working copy is kept between stages; "" without a
// cache. It is a copy: a stage that reads it and one that writes it do not meet.
func (j *job) cached(folder string) string {
	if j.cache == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(filepath.Clean(folder)))
	return filepath.Join(filepath.Dir(j.cache), cachedFolders, filepath.Base(j.cache), hex.EncodeToString(sum[:])+cachedEnd)
}

// restore puts the folders that outlive their stage into the tree. One that cannot be is noted: the
// stage does without it.
func (j *job) restore(ctx context.Context) error {
	for _, folder := range j.req.Stage.Caches {
		if !filepath.IsLocal(folder) || filepath.Clean(folder) == "." {
			return refusal{fmt.Sprintf("its cache %q is not a folder below the working copy: name another one in the plan", folder)}
		}
		from := j.cached(folder)
		if from == "" {
			continue
		}
		if err := j.restoreOne(ctx, from, folder); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			j.note("its cache %q was not restored: %s", folder, words(err))
		}
	}
	return nil
}

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// words are what an error says to a reader: of one that is a fault, that.
func words(err error) string {
	if fault.KindOf(err) != fault.Internal {
		return fault.Sentence(err)
	}
	return err.Error()
}

func (j *job) restoreOne(ctx context.Context, from, folder string) error {
	f, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the first time
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := enoughDisk(j.dir, j.limits.DiskSpare+info.Size()); err != nil {
		return err
	}
	root, err := os.OpenRoot(j.tree)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if there, err := root.Lstat(folder); err == nil && there.IsDir() {
		_ = root.Remove(folder) // an empty one; of others Way says that they are there
	}
	if err := artifact.Way(root, folder); err != nil {
		return err
	}
	if err := root.Mkdir(folder, 0o755); err != nil {
		return err
	}
	in, err := root.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if err := artifact.Extract(readUntil{ctx, bufio.NewReaderSize(f, cacheBuffer)}, info.Size(), in, artifact.How{Loose: true}); err != nil {
		// Half a cache would be worse than none, now and the next time.
		return errors.Join(err, root.RemoveAll(folder), os.Remove(from))
	}
	now := j.now()
	return os.Chtimes(from, now, now) // the one that was used last is the last to go
}

// now is the runner's clock.
func (j *job) now() time.Time {
	if j.runner.Now != nil {
		return j.runner.Now()
	}
	return time.Now()
}

// readUntil reads until its context ends.
type readUntil struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	r   io.Reader
}

// Read reads until the context ends.
func (r readUntil) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// save keeps the folders that outlive the stage, which has passed. It changes no verdict.
func (j *job) save(ctx context.Context) {
	saved := false
	for _, folder := range j.req.Stage.Caches {
		to := j.cached(folder)
		if to == "" || ctx.Err() != nil {
			continue
		}
		if err := j.saveOne(ctx, to, folder); err != nil {
			j.note("its cache %q was not kept: %s", folder, words(err))
			continue
		}
		saved = true
	}
	if saved {
		if err := evict(filepath.Join(filepath.Dir(j.cache), cachedFolders), j.limits.Caches); err != nil {
			j.note("old caches were not removed: %v", err)
		}
	}
}

func (j *job) saveOne(ctx context.Context, to, folder string) (err error) {
	root, err := os.OpenRoot(j.tree)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	in, err := root.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is nothing to keep
	}
	if err != nil {
		return errors.New("it is not a folder, or leads out of the working copy")
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	draft := to + "." + rand.Text() + draftEnd
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(draft) // or the janitor does
		}
	}()
	w := bufio.NewWriterSize(&bounded{j: j, ctx: ctx, to: f, left: j.limits.CacheFolder}, cacheBuffer)
	err = artifact.Pack(w, in, artifact.How{Loose: true})
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		return firstOf(err)
	}
	return os.Rename(draft, to)
}

// firstOf is the cause among errors that were joined: what follows from it says nothing more.
func firstOf(err error) error {
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) {
		return all.Unwrap()[0]
	}
	return err
}

// bounded writes a cache within its limit and the disk's.
type bounded struct {
	j    *job
	ctx  context.Context //nolint:containedctx // it lives as long as one save
	to   io.Writer
	left int64
	look int64 // bytes until the next look at the disk
}

// diskStep is how many bytes of a cache are written between two looks at the disk.
const diskStep = 32 << 20

// Write fails when the cache is too large or the disk is full.
func (b *bounded) Write(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("it is larger than %d bytes", b.j.limits.CacheFolder)
	}
	if b.look -= int64(len(p)); b.look < 0 {
		b.look = diskStep
		if err := enoughDisk(b.j.dir, b.j.limits.DiskSpare); err != nil {
			return 0, err
		}
	}
	return b.to.Write(p)
}

// evict removes the folders that were not used for longest until the others have at most limit bytes.
func evict(dir string, limit int64) error {
	type kept struct {
		name string
		info fs.FileInfo
	}
	var all []kept
	var sum int64
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, cachedEnd) {
			return ignoreMissing(err)
		}
		if info, err := d.Info(); err == nil { // else another stage has just removed it
			all = append(all, kept{name, info})
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b kept) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), strings.Compare(a.name, b.name))
	})
	for _, k := range all {
		if sum <= limit {
			return nil
		}
		if err := ignoreMissing(os.Remove(k.name)); err != nil {
			return err
		}
		sum -= k.info.Size()
	}
	return nil
}

// sweepCaches removes what a server that was killed had begun to write.
func sweepCaches(dir string) error {
	drafts, err := filepath.Glob(filepath.Join(dir, cachedFolders, "*", "*"+draftEnd))
	for _, name := range drafts {
		err = errors.Join(err, ignoreMissing(os.Remove(name)))
	}
	return err
}
