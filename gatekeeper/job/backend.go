package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"gatehouse/migrations/db"
)

const (
	// migrateTries is for two processes that create the tables of a new SQLite file at once: the
	// one that comes second fails, and then finds them there.
	migrateTries = 3
	// tablesKey names the advisory lock under which the tables are created on PostgreSQL ("gat0").
	tablesKey = 0x67617430
	// aloneKey names the advisory lock of the server that works on a PostgreSQL database ("gate").
	aloneKey = 0x67617465
	// alonePatience is how long a starting server waits for the lock: after a kill -9 PostgreSQL
	// needs a moment to notice that its client is gone.
	alonePatience = 10 * time.Second
	// alonePoll is the pause between two tries to get the lock.
	alonePoll = 100 * time.Millisecond
	// lookAnyway is how often River looks on SQLite although nobody woke it: should a wake get lost.
	lookAnyway = 10 * time.Second
)

// on is River with the transactions of one database.
type on[TTx any] struct {
	driver   riverdriver.Driver[TTx]
	log      *slog.Logger
	inserter *river.Client[TTx]
	txOf     func(*db.Tx) TTx
}

func newOn[TTx any](driver riverdriver.Driver[TTx], log *slog.Logger, txOf func(*db.Tx) TTx) (on[TTx], error) {
	inserter, err := river.NewClient(driver, &river.Config{Logger: log, FetchCooldown: fetchCooldown})
	return on[TTx]{driver, log, inserter, txOf}, err
}

func (o on[TTx]) migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(o.driver, &rivermigrate.Config{Logger: o.log})
	if err != nil {
		return err
	}
	for range migrateTries {
		if _, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err == nil {
			return nil
		}
	}
	return err
}

func (o on[TTx]) insert(ctx context.Context, tx *db.Tx, a args, opts *river.InsertOpts) error {
	_, err := o.inserter.InsertTx(ctx, o.txOf(tx), a, opts)
	return err
}

func (o on[TTx]) worker(config *river.Config) (worker, error) {
	return river.NewClient(o.driver, config)
}

// onSQLite is River on SQLite.
type onSQLite struct {
	on[*sql.Tx]
	db   *db.DB
	wake chan<- string
}

func newSQLite(d *db.DB, log *slog.Logger, wake chan string) (backend, error) {
	driver := &wakingDriver{Driver: riversqlite.New(d.SQL()), wake: wake}
	o, err := newOn[*sql.Tx](driver, log, (*db.Tx).SQLTx)
	return onSQLite{o, d, wake}, err
}

// worker has River look by itself only now and then: each of its looks is a write, of each kind.
func (o onSQLite) worker(config *river.Config) (worker, error) {
	config.FetchPollInterval = lookAnyway
	return o.on.worker(config)
}

// watch looks for the jobs of all kinds in one read, and wakes those kinds that have some.
func (o onSQLite) watch(ctx context.Context) {
	look := time.NewTicker(fetchPoll)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		kinds, err := o.waiting(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.Error("job: looking for work", "err", err)
		}
		for _, kind := range kinds {
			select {
			case o.wake <- kind:
			default: // enough are on their way
			}
		}
	}
}

// waiting are the kinds of which a job could be worked now.
func (o onSQLite) waiting(ctx context.Context) ([]string, error) {
	rows, err := o.db.Read().QueryContext(ctx, `SELECT DISTINCT queue FROM river_job WHERE state = 'available' AND scheduled_at <= datetime('now', 'subsec')`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var kinds []string
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			return nil, err
		}
		kinds = append(kinds, kind)
	}
	return kinds, rows.Err()
}

// claim has nothing to do: one process at a time serves a data folder, and its lock is the caller's.
func (onSQLite) claim(context.Context) (func(context.Context), error) {
	return func(context.Context) {}, nil
}

// onPostgres is River on PostgreSQL.
type onPostgres struct {
	on[pgx.Tx]
	pool     *pgxpool.Pool
	patience time.Duration
}

func newPostgres(d *db.DB, log *slog.Logger) (backend, error) {
	o, err := newOn[pgx.Tx](riverpgxv5.New(d.Pool()), log, (*db.Tx).PgxTx)
	return onPostgres{o, d.Pool(), alonePatience}, err
}

// watch has nothing to do: the database tells of new jobs, and River's look is one cheap query.
func (onPostgres) watch(context.Context) {}

// migrate lets one process at a time create tables.
func (o onPostgres) migrate(ctx context.Context) error {
	conn, err := o.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Hijack().Close(context.WithoutCancel(ctx)) }() // gives the lock up
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(tablesKey)); err != nil {
		return err
	}
	return o.on.migrate(ctx)
}

// claim takes the advisory lock on a connection that is kept for nothing else: PostgreSQL gives
// the lock up when the connection ends, in whatever way this process ends.
func (o onPostgres) claim(ctx context.Context) (func(context.Context), error) {
	conn, err := o.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("job: claim: %w", err)
	}
	giveUp := time.NewTimer(o.patience)
	defer giveUp.Stop()
	for {
		var got bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(aloneKey)).Scan(&got); err != nil {
			conn.Release()
			return nil, fmt.Errorf("job: claim: %w", err)
		}
		if got {
			return func(ctx context.Context) { _ = conn.Hijack().Close(ctx) }, nil
		}
		select {
		case <-time.After(alonePoll):
		case <-giveUp.C:
			conn.Release()
			return nil, errors.New("job: another server works on this database; stop it first")
		case <-ctx.Done():
			conn.Release()
			return nil, fmt.Errorf("job: claim: %w", ctx.Err())
		}
	}
}
