package db_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"gatehouse/migrations"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

func TestTransactCommitsOrVanishes(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	insert := `INSERT INTO account_groups (id, name) VALUES ($1, $2)`
	stop := errors.New("stop")
	err := d.Transact(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, insert, 1, "gone"); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatalf("Transact = %v, want the closure's error", err)
	}
	if err := d.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, insert, 1, "kept")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var name string
	if err := d.Read().QueryRowContext(ctx, `SELECT name FROM account_groups WHERE id = $1`, 1).Scan(&name); err != nil || name != "kept" {
		t.Fatalf("row 1 = %q, %v; want kept", name, err)
	}
	err = d.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, insert, 2, "kept")
		return err
	})
	if !db.IsUnique(err) {
		t.Fatalf("second row of the same name: %v, want a unique violation", err)
	}
}

// Sixteen writers add one to the same row; a lost update would show in the sum.
func TestTransactIsSerialisable(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(d.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO account_groups (id, name) VALUES (0, 'n')`)
		return err
	}))
	const writers = 16
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			must(d.Transact(ctx, func(tx *db.Tx) error {
				var n int64
				if err := tx.QueryRowContext(ctx, `SELECT id FROM account_groups WHERE name = 'n'`).Scan(&n); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, `UPDATE account_groups SET id = $1 WHERE name = 'n'`, n+1)
				return err
			}))
		})
	}
	wg.Wait()
	var n int64
	must(d.Read().QueryRowContext(ctx, `SELECT id FROM account_groups WHERE name = 'n'`).Scan(&n))
	if n != writers {
		t.Errorf("sum = %d, want %d", n, writers)
	}
}

func TestNextIDGrows(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	var last int64
	for range 3 {
		if err := d.Transact(ctx, func(tx *db.Tx) error {
			id, err := tx.NextID(ctx, db.ChangeIDs)
			if err == nil && id <= last {
				t.Errorf("id %d after %d", id, last)
			}
			last = id
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	if err := migrations.Down(ctx, d.SQL(), d.Dialect()); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(ctx, d.SQL(), d.Dialect()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesUnknownDatabase(t *testing.T) {
	if _, err := db.Open(context.Background(), "mysql://x"); err == nil {
		t.Fatal("mysql:// was accepted")
	}
}
