// Package db opens Gatehouse's database and runs transactions on it.
//
// One code runs on SQLite (in process, the default) and on PostgreSQL: statements use $1
// placeholders, times are microseconds, ids come from [Tx.NextID]. On SQLite all writes go
// through one connection, so a transaction never waits for another inside this process, and
// synchronous=FULL keeps what was committed through a power cut.
//
// Invariants: a closure given to [DB.Transact] may run twice, so it changes nothing but the
// database; what the world must hear of is asked for with [Tx.Enqueue], which commits or
// vanishes with the rows. No git command runs inside a transaction, and nothing inside a
// closure may use the [DB] itself: on SQLite that would wait for itself.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/migrations"
)

const (
	// busyTimeoutMS is how long SQLite waits for another process's write lock: the command
	// line on the same folder writes for milliseconds, so ten seconds means something is stuck.
	busyTimeoutMS = 10_000
	// readers is the size of SQLite's read-only pool: pages are short, the machine is small.
	readers = 6
	// postgresConns is the size of the PostgreSQL pool.
	postgresConns = 12
	// maxAttempts bounds how often a transaction is tried when the database says that it
	// lost against another one.
	maxAttempts = 20
	// retryBase is the first pause between two attempts; it grows linearly and is jittered.
	retryBase = 2 * time.Millisecond
)

// Querier is what statements run on: a [Tx], or the read side of a [DB].
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Job is a wish for work that must survive a crash. Kind names the worker, Key its subject.
type Job struct {
	Kind string
	Key  string
	// At is when the work should start; zero is now.
	At time.Time
}

// Enqueuer stores a job in the transaction tx. The job engine implements it.
type Enqueuer interface {
	EnqueueTx(ctx context.Context, tx *Tx, job Job) error
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect migrations.Dialect
	write   *sql.DB
	read    *sql.DB
	pool    *pgxpool.Pool
	jobs    Enqueuer
}

// Tx is one transaction. It is valid only inside the closure that it was handed to.
type Tx struct {
	Querier
	db    *DB
	sqlTx *sql.Tx
	pgxTx pgx.Tx
}

// Open opens the database that dsn names — "sqlite:PATH" or "postgres://…" — and applies the
// migrations that it lacks.
func Open(ctx context.Context, dsn string) (*DB, error) {
	var d *DB
	var err error
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		d, err = openSQLite(strings.TrimPrefix(dsn, "sqlite:"))
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		d, err = openPostgres(ctx, dsn)
	default:
		return nil, fmt.Errorf("db: %q is not a database: use sqlite:PATH or postgres://USER@HOST/NAME", dsn)
	}
	if err != nil {
		return nil, err
	}
	if err := migrations.Up(ctx, d.write, d.dialect); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func openSQLite(path string) (*DB, error) {
	pragmas := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeoutMS), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	write, err := sql.Open("sqlite", name+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("db: open %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	if err := write.Ping(); err != nil { // creates the file, which mode=ro would not
		return nil, errors.Join(fmt.Errorf("db: open %s: %w", path, err), write.Close())
	}
	read, err := sql.Open("sqlite", name+"&mode=ro")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("db: open %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(readers)
	return &DB{dialect: migrations.SQLite, write: write, read: read}, nil
}

func openPostgres(ctx context.Context, dsn string) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("db: %w", err)
	}
	cfg.MaxConns = postgresConns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("db: open: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("db: PostgreSQL does not answer: %w", err)
	}
	conn := stdlib.OpenDBFromPool(pool)
	return &DB{dialect: migrations.Postgres, write: conn, read: conn, pool: pool}, nil
}

// Close releases the database.
func (d *DB) Close() error {
	err := d.write.Close()
	if d.read != d.write {
		err = errors.Join(err, d.read.Close())
	}
	if d.pool != nil {
		d.pool.Close()
	}
	return err
}

// Dialect tells which database this is.
func (d *DB) Dialect() migrations.Dialect { return d.dialect }

// SQL is the writing side as database/sql sees it: for the job engine, not for domain code.
func (d *DB) SQL() *sql.DB { return d.write }

// Pool is PostgreSQL's pool, nil on SQLite: for the job engine, not for domain code.
func (d *DB) Pool() *pgxpool.Pool { return d.pool }

// SetEnqueuer says who keeps the jobs. It is called once, before the first transaction.
func (d *DB) SetEnqueuer(e Enqueuer) { d.jobs = e }

// Read is where statements outside a transaction run. On SQLite it cannot write.
func (d *DB) Read() Querier { return d.read }

// Transact runs f in a transaction and commits when f returns nil. Transactions are
// serialisable on both databases; one that loses against another is run again, so f MAY RUN
// TWICE and must not touch anything but tx and variables that it sets anew.
func (d *DB) Transact(ctx context.Context, f func(tx *Tx) error) error {
	var err error
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		if d.dialect == migrations.Postgres {
			err = d.oncePostgres(ctx, f)
		} else {
			err = d.onceSQLite(ctx, f)
		}
		if err == nil || !lost(err) {
			return err
		}
		pause := time.Duration(attempt)*retryBase + rand.N(retryBase) //nolint:gosec // jitter, not a secret
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("db: gave up after %d attempts: %w", maxAttempts, err)
}

func (d *DB) onceSQLite(ctx context.Context, f func(tx *Tx) error) error {
	sqlTx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("db: begin: %w", err)
	}
	defer func() { _ = sqlTx.Rollback() }() // after a commit this does nothing
	if err := f(&Tx{Querier: sqlTx, db: d, sqlTx: sqlTx}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("db: commit: %w", err)
	}
	return nil
}

// oncePostgres begins with pgx, so that the job engine can share the transaction, and runs
// our statements through database/sql on the same connection.
func (d *DB) oncePostgres(ctx context.Context, f func(tx *Tx) error) error {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("db: connection: %w", err)
	}
	defer func() { _ = conn.Close() }()
	var pgxTx pgx.Tx
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("db: unexpected driver %T", driver)
		}
		pgxTx, err = c.Conn().BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable})
		return err
	})
	if err != nil {
		return fmt.Errorf("db: begin: %w", err)
	}
	// A cancelled request must still give the connection back without an open transaction.
	defer func() { _ = pgxTx.Rollback(context.WithoutCancel(ctx)) }()
	if err := f(&Tx{Querier: conn, db: d, pgxTx: pgxTx}); err != nil {
		return err
	}
	if err := pgxTx.Commit(ctx); err != nil {
		return fmt.Errorf("db: commit: %w", err)
	}
	return nil
}

// lost reports whether the database asks to run the transaction again.
func lost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialisation failure, deadlock
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		code := lite.Code() & 0xff
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	return false
}

// IsUnique reports whether err says that a unique row exists already.
func IsUnique(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// Sequence names a source of ids.
type Sequence string

// The sequences: change numbers are their own so that they stay small.
const (
	RowIDs    Sequence = "row"
	ChangeIDs Sequence = "change"
)

// NextID takes the next id of seq. Ids only grow; one that was rolled back may be missing.
func (tx *Tx) NextID(ctx context.Context, seq Sequence) (int64, error) {
	query := `INSERT INTO sequences (name, value) VALUES ($1, 1)
		ON CONFLICT (name) DO UPDATE SET value = sequences.value + 1 RETURNING value`
	arg := string(seq)
	if tx.pgxTx != nil {
		query, arg = `SELECT nextval($1::regclass)`, "seq_"+string(seq)
	}
	var id int64
	if err := tx.QueryRowContext(ctx, query, arg).Scan(&id); err != nil {
		return 0, fmt.Errorf("db: next id of %s: %w", seq, err)
	}
	return id, nil
}

// Enqueue asks for work that starts after this transaction has committed, and only then.
func (tx *Tx) Enqueue(ctx context.Context, job Job) error {
	if tx.db.jobs == nil {
		return nil // a database opened without an engine: a test of rows alone
	}
	return tx.db.jobs.EnqueueTx(ctx, tx, job)
}

// SQLTx is the transaction as SQLite's driver sees it, nil on PostgreSQL: for the job engine.
func (tx *Tx) SQLTx() *sql.Tx { return tx.sqlTx }

// PgxTx is the transaction as pgx sees it, nil on SQLite: for the job engine.
func (tx *Tx) PgxTx() pgx.Tx { return tx.pgxTx }

// Micros is t as the tables keep it; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the opposite of [Micros].
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Bool is b as the tables keep it.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Touched reports whether a statement met a row; none means that somebody was faster.
func Touched(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
