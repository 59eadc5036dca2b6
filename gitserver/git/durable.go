package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// syncFile flushes a file.
func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// syncDir flushes a directory, so that the names in it survive a power cut.
func syncDir(name string) error { return syncFile(name) }

// syncUp flushes the directories from start up to and including top. A directory that has
// gone is passed over: its absence is a fact of its parent.
func syncUp(top string, starts ...string) error {
	dirs := map[string]bool{}
	for _, dir := range starts {
		for {
			dirs[dir] = true
			if dir == top || dir == filepath.Dir(dir) {
				break
			}
			dir = filepath.Dir(dir)
		}
	}
	order := make([]string, 0, len(dirs))
	for dir := range dirs {
		order = append(order, dir)
	}
	sort.Slice(order, func(i, j int) bool { return len(order[i]) > len(order[j]) }) // children first
	for _, dir := range order {
		if err := syncDir(dir); err != nil && !absent(err) {
			return fmt.Errorf("git: sync %s: %w", dir, err)
		}
	}
	return nil
}

// syncTree flushes every file and directory below dir, and dir. Things that vanish meanwhile
// are passed over.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			err = syncFile(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}
