// Package dbtest gives each test a fresh database of the kind under test.
//
// Without configuration that is a SQLite file in the test's folder. With
// GATE_TEST_DATABASE=postgres://… each test gets a database of its own on that cluster, dropped
// at its end; `make test` runs the whole suite both ways.
package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"gatehouse/migrations/db"
)

// Env names the variable that selects PostgreSQL.
const Env = "GATE_TEST_DATABASE"

var serial atomic.Int64

// Open opens a fresh, migrated database that lives as long as the test.
func Open(t testing.TB) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// DSN names a fresh, empty database that lives as long as the test.
func DSN(t testing.TB) string {
	t.Helper()
	cluster := os.Getenv(Env)
	if cluster == "" {
		return "sqlite:" + filepath.Join(t.TempDir(), "gate.db")
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, cluster)
	if err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	name := fmt.Sprintf("gate_test_%d_%d", os.Getpid(), serial.Add(1))
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer func() { _ = admin.Close(ctx) }()
		if _, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	u, err := url.Parse(cluster)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
