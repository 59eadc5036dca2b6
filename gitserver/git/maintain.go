package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

// When maintenance is worth its work.
const (
	manyPacks     = 24   // each is looked into for each object that is read
	manyLooseRefs = 500  // each is a file to open for each listing
	manyLoose     = 2000 // objects outside packs
)

// Bounds of maintenance.
const (
	maintainWall = 2 * time.Hour
	fsckWall     = 4 * time.Hour
)

// Janitor removes what a crash leaves: quarantines, half-written packs and objects, and lock
// files, which would block the next push. The caller makes sure that no git works in the
// repository (it holds the lock of the data folder).
func (r *Repo) Janitor(ctx context.Context) error {
	objects := r.path("objects")
	entries, err := os.ReadDir(objects)
	if err != nil {
		return fmt.Errorf("git: janitor: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && (strings.HasPrefix(e.Name(), quarantinePrefix) || strings.HasPrefix(e.Name(), "tmp_objdir-")) {
			if err := os.RemoveAll(filepath.Join(objects, e.Name())); err != nil {
				return fmt.Errorf("git: janitor: %w", err)
			}
		}
	}
	for _, dir := range []string{objects, r.path("refs"), r.path("logs")} {
		if err := sweep(ctx, dir); err != nil {
			return fmt.Errorf("git: janitor: %w", err)
		}
	}
	for _, name := range []string{"HEAD.lock", "config.lock", "packed-refs.lock", "packed-refs.new", "shallow.lock"} {
		if err := os.Remove(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("git: janitor: %w", err)
		}
	}
	return nil
}

// sweep removes lock and temporary files below dir.
func sweep(ctx context.Context, dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.Type().IsRegular() && leftover(d.Name()):
			return os.Remove(path)
		}
		return nil
	})
	return err
}

// leftover knows the names that git gives files which are not finished.
func leftover(name string) bool {
	return strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-")
}

// Maintain packs refs when many are loose, and packs objects when there are many packs or
// loose objects; otherwise it does nothing. Nothing is ever dropped: all objects of a pack go
// to the next one, reachable or not.
func (r *Repo) Maintain(ctx context.Context) error {
	loose, err := countFiles(r.path("refs"), func(string) bool { return true })
	if err != nil {
		return fmt.Errorf("git: maintain: %w", err)
	}
	if loose >= manyLooseRefs {
		if err := r.packRefs(ctx); err != nil {
			return err
		}
	}
	packs, err := countFiles(r.path("objects", "pack"), func(name string) bool { return strings.HasSuffix(name, ".idx") })
	if err != nil {
		return fmt.Errorf("git: maintain: %w", err)
	}
	objects, err := r.countLoose()
	if err != nil {
		return fmt.Errorf("git: maintain: %w", err)
	}
	if packs < manyPacks && objects < manyLoose {
		return nil
	}
	return r.repack(ctx)
}

// packRefs moves loose refs into packed-refs. The loose ones go only after the packed ones
// are on disk: on a file system that reorders, a power cut between would lose them.
func (r *Repo) packRefs(ctx context.Context) error {
	for _, args := range [][]string{{"pack-refs", "--all", "--no-prune"}, {"pack-refs", "--all", "--prune"}} {
		if _, err := r.git.run(ctx, child{args: args, env: r.env(), wall: maintainWall}); err != nil {
			return fmt.Errorf("git: pack refs: %w", err)
		}
		if err := syncFile(r.path("packed-refs")); err != nil {
			return fmt.Errorf("git: pack refs: %w", err)
		}
		if err := syncDir(r.dir); err != nil {
			return fmt.Errorf("git: pack refs: %w", err)
		}
	}
	return syncTree(r.path("refs"))
}

// repack rolls small packs and loose objects into larger ones, and writes the commit graph.
func (r *Repo) repack(ctx context.Context) error {
	for _, args := range [][]string{
		{"repack", "--geometric=2", "-d", "-q"},
		{"commit-graph", "write", "--reachable", "--split", "--no-progress"},
	} {
		if _, err := r.git.run(ctx, child{args: args, env: r.env(), wall: maintainWall}); err != nil {
			return fmt.Errorf("git: maintain: %w", err)
		}
	}
	for _, dir := range []string{"pack", "info"} {
		if err := syncTree(r.path("objects", dir)); err != nil {
			return fmt.Errorf("git: maintain: %w", err)
		}
	}
	r.git.readers.closeAll(r) // they hold packs open that are gone
	return syncUp(r.dir, r.path("objects"))
}

// countFiles counts the files below dir whose name counts.
func countFiles(dir string, counts func(name string) bool) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Type().IsRegular() && counts(d.Name()) {
			n++
		}
		return err
	})
	return n, err
}

// countLoose counts loose objects.
func (r *Repo) countLoose() (int, error) {
	total := 0
	fans, err := os.ReadDir(r.path("objects"))
	if err != nil {
		return 0, err
	}
	for _, fan := range fans {
		if !isHex(fan.Name(), 2) {
			continue
		}
		n, err := countFiles(r.path("objects", fan.Name()), func(name string) bool { return isHex(name, oidLen-2) })
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// Fsck reads every object and holds the repository's refs against the rules: nothing under
// refs/replace, no grafts, no alternates, no symbolic ref but HEAD. Refused says what is wrong.
func (r *Repo) Fsck(ctx context.Context) error {
	const op = "git.Fsck"
	for _, name := range []string{"info/grafts", "shallow", "objects/info/alternates", "objects/info/http-alternates"} {
		if _, err := os.Lstat(r.path(name)); err == nil {
			return fault.Newf(fault.Refused, op, "the repository has a file %s, which changes what git sees", name)
		}
	}
	refs, err := r.Refs(ctx)
	if exitCode(err) >= 0 {
		return fault.Wrap(err, fault.Refused, op, "the repository is damaged: "+complaint(stderrOf(err)))
	}
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if strings.HasPrefix(ref.Name, "refs/replace/") {
			return fault.Newf(fault.Refused, op, "the repository has a replacement ref %s", quoteName(ref.Name))
		}
		if sym, err := r.symbolic(ref.Name); err != nil {
			return fmt.Errorf("git: fsck: %w", err)
		} else if sym {
			return fault.Newf(fault.Refused, op, "%s is a symbolic ref", quoteName(ref.Name))
		}
	}
	out, err := r.git.run(ctx, child{args: []string{"fsck", "--full", "--no-dangling", "--no-progress"}, env: r.env(), wall: fsckWall})
	if exitCode(err) >= 0 {
		// Objects that are not there are listed on stdout.
		return fault.Wrap(err, fault.Refused, op, "the repository is damaged: "+complaint(stderrOf(err)+"\nfatal: "+string(out)))
	}
	return err
}
