package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"gatehouse/migrations/db"
)

const (
	// fetchCooldown is the shortest pause between two looks for work of one kind: it bounds the
	// load of a burst, and adds to the latency of its second job.
	fetchCooldown = 2 * time.Millisecond
	// fetchPoll is how often it is looked for jobs without having been told: for those that another
	// process stored, and those whose time has come.
	fetchPoll = 250 * time.Millisecond
	// nearFuture is how far ahead a job is given to its kind at once, to wait there; River's own
	// scheduler looks only every five seconds.
	nearFuture = 15 * time.Second
	// keepCompleted is how long a finished job stays for those who look into the tables. The truth
	// is in our rows, so an hour is enough and keeps the table small.
	keepCompleted = time.Hour
	// firstRetry is the pause after the first failure; it doubles with each further one.
	firstRetry = time.Second
	// maxRetry is the longest pause between two tries: what comes back is found within a minute.
	maxRetry = time.Minute
	// recorded is how many failures River counts and keeps with the job. Later ones are only
	// logged, because the counter is a small integer and the row would grow for ever.
	recorded = 25
	// attempts is more than River ever counts, so that it never gives up on a job.
	attempts = 1000
	// stopGrace is how long Stop lets handlers go on before it cancels them: most need
	// milliseconds, the others are made to be cancelled.
	stopGrace = 2 * time.Second
)

// Handler does the work on key. With again > 0 it is called again after that time; with an error,
// after a pause that grows from a second to a minute, for as long as it takes. It may be called
// twice for one job, and must return soon after its context ends.
type Handler func(ctx context.Context, key string) (again time.Duration, err error)

// Engine stores jobs and, once started, works them.
type Engine struct {
	// Now is the clock by which jobs are put off.
	Now func() time.Time

	db       *db.DB
	log      *slog.Logger
	backend  backend
	wake     chan string
	subjects subjects

	mu       sync.Mutex
	handlers map[string]Handler
	queues   map[string]river.QueueConfig
	worker   worker
	alone    func(context.Context) // gives up being the only server
	unwatch  func()
}

// backend is River on one kind of database.
type backend interface {
	migrate(ctx context.Context) error
	insert(ctx context.Context, tx *db.Tx, args args, opts *river.InsertOpts) error
	worker(config *river.Config) (worker, error)
	// watch wakes, until ctx ends, the kinds of which jobs wait. It returns at once where River's
	// own looks are cheap.
	watch(ctx context.Context)
	// claim makes this the only engine that works on the database, until release is called.
	claim(ctx context.Context) (release func(context.Context), err error)
}

type worker interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// args is what River stores of a job.
type args struct {
	Subject string `json:"kind"`
	Key     string `json:"key"`
	// At holds a job back that was asked for the near future, in microseconds.
	At int64 `json:"at,omitempty"`
}

// Kind is the same for all jobs: the queue tells our kinds apart.
func (args) Kind() string { return "gate" }

// New makes an engine on d, creates the tables that it needs, and becomes d's [db.Enqueuer].
func New(ctx context.Context, d *db.DB, log *slog.Logger) (*Engine, error) {
	e := &Engine{
		Now: time.Now, db: d, log: log,
		wake:     make(chan string, wakeBuffer),
		handlers: map[string]Handler{},
		queues:   map[string]river.QueueConfig{},
	}
	quiet := slog.New(atLeastWarn{log.Handler()})
	var err error
	if d.Pool() != nil {
		e.backend, err = newPostgres(d, quiet)
	} else {
		e.backend, err = newSQLite(d, quiet, e.wake)
	}
	if err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	if err := e.backend.migrate(ctx); err != nil {
		return nil, fmt.Errorf("job: create tables: %w", err)
	}
	d.SetEnqueuer(e)
	return e, nil
}

// Handle says who works jobs of a kind, and on how many keys at a time. All calls come before
// [Engine.Start]. A kind is lower case letters and digits, joined by hyphens.
func (e *Engine) Handle(kind string, workers int, h Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.worker != nil || e.handlers[kind] != nil || h == nil {
		panic(fmt.Sprintf("job: Handle(%q) is late, twice, or nil", kind))
	}
	e.handlers[kind] = h
	e.queues[kind] = river.QueueConfig{MaxWorkers: workers}
}

// EnqueueTx stores a job in tx. On SQLite it also wakes the workers: their look for work needs the
// only writing connection, which tx holds, so it happens right after the commit. On PostgreSQL the
// database tells them at the commit.
func (e *Engine) EnqueueTx(ctx context.Context, tx *db.Tx, job db.Job) error {
	a, opts := args{Subject: job.Kind, Key: job.Key}, &river.InsertOpts{Queue: job.Kind, MaxAttempts: attempts}
	if wait := job.At.Sub(e.Now()); !job.At.IsZero() && wait > 0 {
		if wait > nearFuture {
			opts.ScheduledAt = job.At
		} else {
			a.At = db.Micros(job.At)
		}
	}
	if err := e.backend.insert(ctx, tx, a, opts); err != nil {
		return fmt.Errorf("job: enqueue %s %s: %w", job.Kind, job.Key, err)
	}
	select {
	case e.wake <- job.Kind:
	default: // nobody listens, or has enough to look for already
	}
	return nil
}

// Start begins to work. It fails when another server works on the database. When ctx ends the
// engine stops as with [Engine.Stop].
func (e *Engine) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.worker != nil {
		return errors.New("job: started already")
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &dispatcher{engine: e}); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	w, err := e.backend.worker(&river.Config{
		CompletedJobRetentionPeriod: keepCompleted,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		JobTimeout:                  -1,
		Logger:                      slog.New(atLeastWarn{e.log.Handler()}),
		MaxAttempts:                 attempts,
		Queues:                      e.queues,
		RetryPolicy:                 e,
		SoftStopTimeout:             stopGrace,
		Workers:                     workers,
	})
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	release, err := e.backend.claim(ctx)
	if err != nil {
		return err
	}
	if err := e.revive(ctx); err != nil {
		release(ctx)
		return err
	}
	if err := w.Start(ctx); err != nil {
		release(ctx)
		return fmt.Errorf("job: start: %w", err)
	}
	e.worker, e.alone = w, release
	watching, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { e.backend.watch(watching) })
	e.unwatch = func() { cancel(); watch.Wait() }
	return nil
}

// revive puts the jobs that a killed server was working on back among the waiting ones, and makes
// room for a new leader, without which nothing that is scheduled would move until the dead one's
// term is over. The cut attempt is not counted: it says nothing about the job.
func (e *Engine) revive(ctx context.Context) error {
	return e.db.Transact(ctx, func(tx *db.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'available',
			attempt = CASE WHEN attempt > 0 THEN attempt - 1 ELSE 0 END WHERE state = 'running'`); err != nil {
			return fmt.Errorf("job: revive: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM river_leader`); err != nil {
			return fmt.Errorf("job: revive: %w", err)
		}
		return nil
	})
}

// Stop takes no new work, gives running handlers a moment, then cancels them, and returns when
// they have returned. What was not finished is stored. An engine is not started twice.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.worker == nil {
		return nil
	}
	e.unwatch()
	if err := e.worker.Stop(ctx); err != nil {
		return fmt.Errorf("job: stop: %w", err)
	}
	if e.alone != nil {
		e.alone(context.WithoutCancel(ctx))
		e.alone = nil
	}
	return nil
}

// NextRetry is River's question when to try again after a failure. The pauses of two jobs differ
// a little, so that what failed together does not come back together.
func (e *Engine) NextRetry(job *rivertype.JobRow) time.Time {
	return e.Now().Add(backoff(job.Attempt, job.ID))
}

// backoff is the pause after the nth failure, stretched by up to an eighth.
func backoff(n int, id int64) time.Duration {
	pause := maxRetry
	if doublings := max(n, 1) - 1; doublings < 6 {
		pause = firstRetry << doublings
	}
	return pause + pause/8*time.Duration(uint64(id)%8)/8
}

// dispatcher is the one worker that River knows.
type dispatcher struct {
	river.WorkerDefaults[args]
	engine *Engine
}

// Work is River's call for one job. Its errors are: nil, done; a snooze, later; other, failed.
func (w *dispatcher) Work(ctx context.Context, job *river.Job[args]) error {
	e := w.engine
	if wait := db.Time(job.Args.At).Sub(e.Now()); job.Args.At != 0 && wait > 0 {
		return river.JobSnooze(wait)
	}
	sub := subject{job.Args.Subject, job.Args.Key}
	if !e.subjects.begin(sub, job.ID) {
		return nil
	}
	for {
		again, err := e.call(ctx, sub)
		if e.subjects.end(sub, job.ID, again > 0 || err != nil) {
			if ctx.Err() == nil {
				continue
			}
			e.subjects.abandon(sub, job.ID)
			return river.JobSnooze(0)
		}
		switch {
		case err != nil && ctx.Err() != nil: // stopping, which is not the job's fault
			return river.JobSnooze(0)
		case err != nil:
			return e.failed(job, err)
		case again > 0:
			return river.JobSnooze(again)
		default:
			return nil
		}
	}
}

// failed logs a failure and says when to try again.
func (e *Engine) failed(job *river.Job[args], err error) error {
	e.log.Warn("job failed", "kind", job.Args.Subject, "key", job.Args.Key, "attempt", job.Attempt, "err", err)
	if job.Attempt >= recorded {
		return river.JobSnooze(backoff(job.Attempt, job.ID))
	}
	return err
}

// call runs the handler; a panic is an error like another.
func (e *Engine) call(ctx context.Context, sub subject) (again time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			again, err = 0, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	h := e.handlers[sub.kind]
	if h == nil {
		return 0, fmt.Errorf("nobody works jobs of kind %q", sub.kind)
	}
	return h(ctx, sub.key)
}

// atLeastWarn passes on what River logs at warn and above.
type atLeastWarn struct{ slog.Handler }

// Enabled says whether a record of this level is kept.
func (h atLeastWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// WithAttrs keeps the bar for the derived handler.
func (h atLeastWarn) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the bar for the derived handler.
func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}
