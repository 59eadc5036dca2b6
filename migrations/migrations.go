// Package migrations holds the SQL of Gatehouse's tables and applies it.
//
// The files under sql/shared run on SQLite and on PostgreSQL as they are; what the two
// cannot share is in sql/sqlite and sql/postgres. Versions are numbered over all three
// folders, so a version exists either in shared or in both of the others. A migration
// that has been released is never edited: the next one mends it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"testing/fstest"

	"github.com/pressly/goose/v3"
)

//go:embed sql
var files embed.FS

// Dialect names the database that migrations are applied to.
type Dialect string

// The databases that Gatehouse runs on.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Up applies every migration that the database has not seen, in order.
// It may be called by several processes at once.
func Up(ctx context.Context, conn *sql.DB, d Dialect) error {
	provider, err := newProvider(conn, d)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrations: up: %w", err)
	}
	return nil
}

// Down undoes every migration; tests use it to show that each one can be undone.
func Down(ctx context.Context, conn *sql.DB, d Dialect) error {
	provider, err := newProvider(conn, d)
	if err != nil {
		return err
	}
	if _, err := provider.DownTo(ctx, 0); err != nil {
		return fmt.Errorf("migrations: down: %w", err)
	}
	return nil
}

func newProvider(conn *sql.DB, d Dialect) (*goose.Provider, error) {
	all, err := union("sql/shared", "sql/"+string(d))
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if d == Postgres {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, conn, all)
	if err != nil {
		return nil, fmt.Errorf("migrations: provider: %w", err)
	}
	return provider, nil
}

// union copies the named folders of the embedded files into one flat file system.
func union(dirs ...string) (fs.FS, error) {
	all := fstest.MapFS{}
	for _, dir := range dirs {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return nil, fmt.Errorf("migrations: read %s: %w", dir, err)
		}
		for _, e := range entries {
			text, err := fs.ReadFile(files, dir+"/"+e.Name())
			if err != nil {
				return nil, fmt.Errorf("migrations: read %s: %w", e.Name(), err)
			}
			if _, twice := all[e.Name()]; twice {
				return nil, fmt.Errorf("migrations: %s exists twice", e.Name())
			}
			all[e.Name()] = &fstest.MapFile{Data: text, Mode: 0o444}
		}
	}
	return all, nil
}
