package job

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

// childEnv makes the test binary a server that works one job until it is killed.
const childEnv = "JOB_TEST_CHILD_DSN"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		child(dsn)
	}
	os.Exit(m.Run())
}

func child(dsn string) {
	ctx := context.Background()
	d, err := db.Open(ctx, dsn)
	if err == nil {
		var e *Engine
		if e, err = New(ctx, d, slog.Default()); err == nil {
			e.Handle("work", 1, func(context.Context, string) (time.Duration, error) {
				fmt.Println("working")
				select {} // the parent kills us
			})
			err = e.Start(ctx)
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	select {}
}

func open(t testing.TB, d *db.DB) *Engine {
	t.Helper()
	e, err := New(context.Background(), d, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func start(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
}

func stop(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func enqueue(t testing.TB, d *db.DB, jobs ...db.Job) {
	t.Helper()
	ctx := context.Background()
	if err := d.Transact(ctx, func(tx *db.Tx) error {
		for _, j := range jobs {
			if err := tx.Enqueue(ctx, j); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// settle returns when no job is left to do.
func settle(t testing.TB, d *db.DB) {
	t.Helper()
	for {
		var n int
		if err := d.Read().QueryRowContext(context.Background(),
			`SELECT count(*) FROM river_job WHERE state <> 'completed'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestOnlyCommittedJobsRun(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	e, ran := open(t, d), make(chan string, 10)
	e.Handle("work", 2, func(_ context.Context, key string) (time.Duration, error) {
		ran <- key
		return 0, nil
	})
	start(t, e)
	no := errors.New("no")
	if err := d.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Enqueue(ctx, db.Job{Kind: "work", Key: "rolled-back"}); err != nil {
			return err
		}
		return no
	}); !errors.Is(err, no) {
		t.Fatal(err)
	}
	enqueue(t, d, db.Job{Kind: "work", Key: "committed"})
	settle(t, d)
	if got := <-ran; got != "committed" || len(ran) != 0 {
		t.Errorf("ran %q and %d more, want committed alone", got, len(ran))
	}
}

// What arrives during a run is not covered by it, however much arrives, and one run covers it all.
func TestJobsDuringARunShareOneRunAfterIt(t *testing.T) {
	d := dbtest.Open(t)
	e, entered, leave := open(t, d), make(chan struct{}, 10), make(chan struct{})
	e.Handle("work", 4, func(context.Context, string) (time.Duration, error) {
		entered <- struct{}{}
		<-leave
		return 0, nil
	})
	start(t, e)
	job := db.Job{Kind: "work", Key: "k"}
	enqueue(t, d, job)
	<-entered
	enqueue(t, d, job, job, job)
	for n := 4; n != 1; { // the three are done with, because the run that goes on answers for them
		if err := d.Read().QueryRowContext(context.Background(),
			`SELECT count(*) FROM river_job WHERE state <> 'completed'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	leave <- struct{}{}
	<-entered
	leave <- struct{}{}
	settle(t, d)
	if len(entered) != 0 {
		t.Errorf("%d runs more than two", len(entered))
	}
}

// Writers add to rows and enqueue; handlers copy what they see. If a wake-up were lost, a copy
// would stay behind; if runs of a key overlapped, busy would show it.
func TestNoWakeUpIsLost(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	keys, writers, each := 3, 6, 25
	var seen, busy [3]atomic.Int64
	e := open(t, d)
	e.Handle("work", 4, func(ctx context.Context, key string) (time.Duration, error) {
		k := int(key[0] - '0')
		if busy[k].Add(1) != 1 {
			t.Error("two runs of one key at once")
		}
		defer busy[k].Add(-1)
		var n int64
		err := d.Read().QueryRowContext(ctx, `SELECT count(*) FROM account_groups WHERE name LIKE $1`, key+":%").Scan(&n)
		seen[k].Store(n)
		return 0, err
	})
	start(t, e)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				key := fmt.Sprint((w + i) % keys)
				if err := d.Transact(ctx, func(tx *db.Tx) error {
					id := w*each + i
					if _, err := tx.ExecContext(ctx, `INSERT INTO account_groups (id, name) VALUES ($1, $2)`, id, fmt.Sprintf("%s:%d", key, id)); err != nil {
						return err
					}
					return tx.Enqueue(ctx, db.Job{Kind: "work", Key: key})
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	settle(t, d)
	for k := range keys {
		if got, want := seen[k].Load(), int64(writers*each/keys); got != want {
			t.Errorf("the last run of key %d saw %d rows, want %d", k, got, want)
		}
	}
}

func TestFailuresPanicsAndAgain(t *testing.T) {
	d := dbtest.Open(t)
	e := open(t, d)
	var calls [3]atomic.Int64
	e.Handle("fails", 1, func(context.Context, string) (time.Duration, error) {
		if calls[0].Add(1) == 1 {
			return 0, errors.New("try again")
		}
		return 0, nil
	})
	e.Handle("panics", 1, func(context.Context, string) (time.Duration, error) {
		if calls[1].Add(1) == 1 {
			panic("try again")
		}
		return 0, nil
	})
	e.Handle("again", 1, func(context.Context, string) (time.Duration, error) {
		if calls[2].Add(1) < 3 {
			return time.Millisecond, nil
		}
		return 0, nil
	})
	start(t, e)
	enqueue(t, d, db.Job{Kind: "fails"}, db.Job{Kind: "panics"}, db.Job{Kind: "again"})
	settle(t, d)
	for i, want := range []int64{2, 2, 3} {
		if got := calls[i].Load(); got != want {
			t.Errorf("handler %d was called %d times, want %d", i, got, want)
		}
	}
}

// A job whose failures are past counting is put off without a further count, so that it never ends.
func TestAJobIsNeverGivenUp(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	e, fail := open(t, d), make(chan bool, 1)
	called := make(chan struct{})
	e.Handle("work", 1, func(context.Context, string) (time.Duration, error) {
		called <- struct{}{}
		if <-fail {
			return 0, errors.New("down")
		}
		return 0, nil
	})
	enqueue(t, d, db.Job{Kind: "work"})
	if err := d.Transact(ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE river_job SET attempt = $1`, recorded+5)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	start(t, e)
	<-called
	fail <- true
	var state string
	var attempt int
	for state == "" || state == "running" || state == "available" {
		if err := d.Read().QueryRowContext(ctx, `SELECT state, attempt FROM river_job`).Scan(&state, &attempt); err != nil {
			t.Fatal(err)
		}
	}
	if state != "scheduled" || attempt != recorded+5 {
		t.Errorf("state %s, attempt %d; want scheduled with the count as it was", state, attempt)
	}
}

func TestAJobOfTheNearFutureWaits(t *testing.T) {
	d := dbtest.Open(t)
	e, ran := open(t, d), make(chan time.Time, 1)
	e.Handle("work", 1, func(context.Context, string) (time.Duration, error) {
		ran <- e.Now()
		return 0, nil
	})
	start(t, e)
	at := e.Now().Add(300 * time.Millisecond)
	enqueue(t, d, db.Job{Kind: "work", At: at})
	if got := <-ran; got.Before(at) {
		t.Errorf("ran at %v, before %v", got, at)
	}
	enqueue(t, d, db.Job{Kind: "work", At: e.Now().Add(time.Hour)})
	var state string
	if err := d.Read().QueryRowContext(context.Background(),
		`SELECT state FROM river_job ORDER BY id DESC LIMIT 1`).Scan(&state); err != nil || state != "scheduled" {
		t.Errorf("a job in an hour is %q, %v; want scheduled", state, err)
	}
}

// The command line stores jobs beside a running server, over its own connection.
func TestAnEngineThatIsNotStartedOnlyStores(t *testing.T) {
	dsn, ctx := dbtest.DSN(t), context.Background()
	var both [2]*db.DB
	for i := range both {
		d, err := db.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		both[i] = d
	}
	server, ran := open(t, both[0]), make(chan string, 1)
	server.Handle("work", 1, func(_ context.Context, key string) (time.Duration, error) {
		ran <- key
		return 0, nil
	})
	start(t, server)
	open(t, both[1])
	enqueue(t, both[1], db.Job{Kind: "work", Key: "from-outside"})
	if got := <-ran; got != "from-outside" {
		t.Errorf("ran %q", got)
	}
}

func TestTablesAreCreatedByTwoAtOnce(t *testing.T) {
	dsn, ctx := dbtest.DSN(t), context.Background()
	d, err := db.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	var wg sync.WaitGroup
	for range 2 {
		other, err := db.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
		wg.Go(func() {
			if _, err := New(ctx, other, slog.Default()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Stop cancels a handler that does not end by itself, and the next server takes its job up.
func TestStopPutsWorkBack(t *testing.T) {
	d := dbtest.Open(t)
	first, entered := open(t, d), make(chan struct{}, 1)
	first.Handle("work", 1, func(ctx context.Context, _ string) (time.Duration, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return 0, ctx.Err()
	})
	start(t, first)
	enqueue(t, d, db.Job{Kind: "work", Key: "k"})
	<-entered
	stop(t, first)
	second, ran := open(t, d), make(chan string, 1)
	second.Handle("work", 1, func(_ context.Context, key string) (time.Duration, error) {
		ran <- key
		return 0, nil
	})
	start(t, second)
	if got := <-ran; got != "k" {
		t.Errorf("ran %q", got)
	}
}

func TestAKilledServersJobRunsAgain(t *testing.T) {
	dsn, ctx := dbtest.DSN(t), context.Background()
	d, err := db.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	e, ran := open(t, d), make(chan string, 1)
	e.Handle("work", 1, func(_ context.Context, key string) (time.Duration, error) {
		ran <- key
		return 0, nil
	})
	enqueue(t, d, db.Job{Kind: "work", Key: "k"})

	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), childEnv+"="+dsn)
	server.Stderr = t.Output()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "working") {
		rest, _ := io.ReadAll(out)
		t.Fatalf("child says %q %q, %v", line, rest, err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // it was killed
	start(t, e)
	if got := <-ran; got != "k" {
		t.Errorf("ran %q", got)
	}
	settle(t, d)
}

func TestOneServerPerPostgres(t *testing.T) {
	d := dbtest.Open(t)
	if d.Pool() == nil {
		t.Skip("on SQLite the lock of the data folder keeps the second server out")
	}
	work := func(context.Context, string) (time.Duration, error) { return 0, nil }
	first, second := open(t, d), open(t, d)
	first.Handle("work", 1, work)
	second.Handle("work", 1, work)
	start(t, first)
	b, ok := second.backend.(onPostgres)
	if !ok {
		t.Fatalf("backend is %T", second.backend)
	}
	b.patience = 0
	second.backend = b
	if err := second.Start(context.Background()); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Fatalf("second Start = %v", err)
	}
	stop(t, first)
	b.patience = alonePatience
	second.backend = b
	start(t, second)
}

func TestSubjects(t *testing.T) {
	var s subjects
	sub := subject{"work", "k"}
	begin := func(job int64, want bool) {
		t.Helper()
		if got := s.begin(sub, job); got != want {
			t.Fatalf("begin(%d) = %v", job, got)
		}
	}
	end := func(job int64, waits, want bool) {
		t.Helper()
		if got := s.end(sub, job, waits); got != want {
			t.Fatalf("end(%d) = %v", job, got)
		}
	}
	begin(1, true)
	end(1, true, false) // 1 sleeps
	begin(2, true)
	begin(1, false)     // 2's run started after 1's: covered
	end(2, true, false) // and was not late for anybody
	begin(3, true)
	begin(4, false)
	end(3, true, true) // 4 came during the run
	end(3, true, false)
	begin(2, false) // 2's alarm has lapsed: 3 ran last and sleeps
	begin(3, true)
	end(3, false, false)
	if len(s.m) != 0 {
		t.Fatalf("%d subjects are remembered", len(s.m))
	}
	begin(5, true)
	end(5, true, false)
	begin(6, true)
	begin(7, false)
	s.abandon(sub, 6) // stopping
	begin(5, false)
	begin(6, true)
	end(6, false, false)
	if len(s.m) != 0 {
		t.Fatalf("%d subjects are remembered", len(s.m))
	}
}

func TestBackoff(t *testing.T) {
	last := time.Duration(0)
	for n := range 10 {
		p := backoff(n+1, 8)
		if p < last || p < firstRetry || p > maxRetry {
			t.Errorf("backoff(%d) = %v after %v", n+1, p, last)
		}
		last = p
	}
	if last != maxRetry || backoff(1, 0) == backoff(1, 1) {
		t.Errorf("the longest pause is %v; two jobs wait %v and %v", last, backoff(1, 0), backoff(1, 1))
	}
}

// BenchmarkStart measures from the commit to the handler's start, on an idle engine.
func BenchmarkStart(b *testing.B) {
	d, ctx := dbtest.Open(b), context.Background()
	e, ran := open(b, d), make(chan time.Time)
	e.Handle("work", 1, func(context.Context, string) (time.Duration, error) {
		ran <- time.Now()
		return 0, nil
	})
	start(b, e)
	var total time.Duration
	for n := range b.N {
		key := fmt.Sprint(n)
		if err := d.Transact(ctx, func(tx *db.Tx) error { return tx.Enqueue(ctx, db.Job{Kind: "work", Key: key}) }); err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		total += (<-ran).Sub(committed)
	}
	b.ReportMetric(float64(total.Microseconds())/1000/float64(b.N), "ms/start")
}
