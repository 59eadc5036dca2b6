package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gatehouse/gitserver/git"
	"gatehouse/migrations/db"
)

const (
	// maxOrphans is how many left-over folders Create steps over: a database that was
	// restored from a backup hands out ids again whose folders exist already.
	maxOrphans = 1000
	// newPrefix marks a folder that is still being made.
	newPrefix = ".new-"
)

// makeFolder makes the folder of the next id, durable and complete before it has its name.
func (s *Store) makeFolder(ctx context.Context, branch string) (int64, error) {
	if err := os.MkdirAll(s.Root, 0o700); err != nil {
		return 0, fmt.Errorf("repo: create: %w", err)
	}
	for range maxOrphans {
		var id int64
		err := s.DB.Transact(ctx, func(tx *db.Tx) (err error) {
			id, err = tx.NextID(ctx, db.RowIDs)
			return err
		})
		if err != nil {
			return 0, err
		}
		final := s.folder(id)
		if _, err := os.Lstat(final); err == nil {
			continue
		}
		making := filepath.Join(s.Root, newPrefix+filepath.Base(final))
		if err := s.makeAt(ctx, making, final, branch); err != nil {
			return 0, errors.Join(err, os.RemoveAll(making))
		}
		return id, nil
	}
	return 0, fmt.Errorf("repo: create: %s has more than %d folders that no row names", s.Root, maxOrphans)
}

func (s *Store) makeAt(ctx context.Context, making, final, branch string) error {
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("repo: create: %w", err)
	}
	if _, err := s.Git.Init(ctx, making, branch); err != nil {
		return fmt.Errorf("repo: create: %w", err)
	}
	if err := os.Rename(making, final); err != nil {
		return fmt.Errorf("repo: create: %w", err)
	}
	if err := syncDir(s.Root); err != nil {
		return fmt.Errorf("repo: create: %w", err)
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Janitor removes the folders of creations that a crash cut. The caller makes sure that
// nobody creates meanwhile. Folders with a final name are left alone, also without a row.
func (s *Store) Janitor() error {
	left, err := filepath.Glob(filepath.Join(s.Root, newPrefix+"*"))
	if err != nil {
		return fmt.Errorf("repo: janitor: %w", err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("repo: janitor: %w", err)
		}
	}
	return nil
}

func (s *Store) folder(id int64) string {
	return filepath.Join(s.Root, fmt.Sprintf("%010d.git", id))
}

// Open gives r's git repository, the same one each time.
func (s *Store) Open(r Repository) (*git.Repo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.open[r.ID]; g != nil {
		return g, nil
	}
	g, err := s.Git.Open(s.folder(r.ID))
	if err != nil {
		return nil, fmt.Errorf("repo: open %s: %w", r.Name, err)
	}
	if s.open == nil {
		s.open = map[int64]*git.Repo{}
	}
	s.open[r.ID] = g
	return g, nil
}
