package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

// boardWorld is a controller with a database and nothing to control: stories are told to it.
type boardWorld struct {
	*testing.T
	*Controller
	ctx  context.Context
	now  time.Time
	repo repo.Repository
	ann  account.Actor
	last int64 // id of the newest event
}

func newBoardWorld(t *testing.T) *boardWorld {
	t.Helper()
	w := &boardWorld{T: t, ctx: context.Background(), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	d := dbtest.Open(t)
	found, err := git.Find(w.ctx)
	w.must(err)
	t.Cleanup(found.Close)
	accounts := &account.Store{DB: d, Now: clock}
	repos := &repo.Store{DB: d, Git: found, Root: filepath.Join(t.TempDir(), "repositories"), Now: clock, Accounts: accounts}
	w.Controller = &Controller{Config: Config{DB: d, Accounts: accounts, Repos: repos, Now: clock, Workers: 3, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}}
	w.must(d.Transact(w.ctx, func(tx *db.Tx) error {
		a, err := accounts.Create(w.ctx, tx, account.NewAccount{Name: "ann", Email: "ann@example.test"})
		if err == nil {
			w.ann, err = accounts.Actor(w.ctx, tx, a.ID, "token")
		}
		return err
	}))
	w.repo, err = repos.Create(w.ctx, repo.NewRepository{Name: "hello", DefaultBranch: "main", Owner: w.ann.ID, Private: true})
	w.must(err)
	return w
}

func (w *boardWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// happen appends an event, a second after the one before.
func (w *boardWorld) happen(kind string, change int64, pairs ...string) int64 {
	w.Helper()
	data := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	w.now = w.now.Add(time.Second)
	w.must(w.DB.Transact(w.ctx, func(tx *db.Tx) (err error) {
		w.last, err = event.Append(w.ctx, tx, event.Event{At: w.now, Kind: kind, Repo: w.repo.ID, Change: change, Data: data})
		return err
	}))
	return w.last
}

// pass is the way of one change through the queue, in seven events.
func (w *boardWorld) pass(change int64, branch string) {
	w.Helper()
	id := fmt.Sprint(change)
	w.happen("queue.entered", change, "branch", branch, "ps", "1", "subject", "change "+id, "owner", "ann")
	w.happen("candidate.tried", change, "branch", branch, "candidate", "1"+id, "run", "2"+id, "members", id+".1", "on", "", "base", "b", "commit", "c"+id, "attempt", "1")
	w.happen("run.started", change, "branch", branch, "ps", "1", "run", "2"+id, "candidate", "1"+id)
	w.happen("stage.started", change, "run", "2"+id, "stage", "unit", "stage_run", "3"+id)
	w.happen("stage.ended", change, "run", "2"+id, "stage", "unit", "state", "PASSED")
	w.happen("run.ended", change, "run", "2"+id, "candidate", "1"+id, "state", "PASSED")
	w.happen("queue.landed", change, "ps", "1", "commit", "c"+id, "candidate", "1"+id)
}

func (w *boardWorld) json(b Board, err error) string {
	w.Helper()
	w.must(err)
	text, err := json.Marshal(b)
	w.must(err)
	return string(text)
}

// Every moment of a story shows the same board with snapshots as without.
func TestTimeMachineSeesThroughSnapshots(t *testing.T) {
	w := newBoardWorld(t)
	type moment struct {
		at    time.Time
		event int64
		was   string
	}
	var moments []moment
	shadow := boards{}
	told := int64(0)
	for i := range int64(400) {
		w.pass(100+i, []string{"main", "main", "release/1"}[i%3])
		if i%23 != 0 {
			continue
		}
		w.happen("queue.entered", 5000+i, "branch", repo.BranchJob(w.repo.ID, "main").Key, "ps", "1", "subject", "stays", "owner", "ann")
		page, err := event.Of(w.ctx, w.DB.Read(), event.Story{Repo: w.repo.ID, Kinds: queue.BoardKinds(), After: told})
		w.must(err)
		for _, e := range page {
			shadow.apply(boardEvent(e))
			told = e.ID
		}
		moments = append(moments, moment{w.now, w.last, w.json(*shadow.of("main"), nil)})
	}
	look := func(when string) {
		t.Helper()
		for i, m := range moments {
			if got := w.json(w.BoardAt(w.ctx, w.repo.ID, "main", m.at)); got != m.was {
				t.Fatalf("%s, by time, moment %d:\n got %.300s\nwant %.300s", when, i, got, m.was)
			}
			if got := w.json(w.board(w.ctx, w.DB.Read(), w.repo.ID, "main", Moment{Event: m.event})); got != m.was {
				t.Fatalf("%s, by event, moment %d:\n got %.300s\nwant %.300s", when, i, got, m.was)
			}
		}
	}
	look("without snapshots")
	now := w.json(w.Board(w.ctx, w.repo.ID, "main"))
	w.must(w.keepBoards(w.ctx, w.repo.ID)) // the newest events have not settled
	w.now = w.now.Add(boardSettled)
	w.must(w.keepBoards(w.ctx, w.repo.ID))
	kept, err := event.Last(w.ctx, w.DB.Read(), w.repo.ID, boardKind, w.now, 100)
	w.must(err)
	if want := (400*7 + len(moments)) / boardEvery; len(kept) != want {
		t.Errorf("%d snapshots, want %d", len(kept), want)
	}
	look("with snapshots")
	if got := w.json(w.Board(w.ctx, w.repo.ID, "main")); got != now {
		t.Errorf("now:\n got %.300s\nwant %.300s", got, now)
	}
	if got := w.json(w.Board(w.ctx, w.repo.ID, "nothing")); got != w.json(Board{Branch: "nothing"}, nil) {
		t.Errorf("a branch without a story: %s", got)
	}
}

// A snapshot waits until nothing older can turn up: on PostgreSQL an event with a smaller id
// may become visible after one with a larger.
func TestSnapshotsWait(t *testing.T) {
	w := newBoardWorld(t)
	for i := range int64(boardEvery/7 + 1) {
		w.pass(100+i, "main")
	}
	w.must(w.keepBoards(w.ctx, w.repo.ID))
	if kept, err := event.Last(w.ctx, w.DB.Read(), w.repo.ID, boardKind, w.now, 1); err != nil || len(kept) != 0 {
		t.Errorf("%d snapshots of what has just happened, %v", len(kept), err)
	}
}

// A board that nobody has been on for long is not carried on for ever.
func TestQuietBoardsAreLeftOut(t *testing.T) {
	w := newBoardWorld(t)
	w.pass(1, "release/0")
	w.happen("queue.entered", 2, "branch", "waits", "ps", "1")
	w.now = w.now.Add(2 * boardQuiet)
	for i := range int64(boardEvery / 7) {
		w.pass(100+i, "main")
	}
	w.now = w.now.Add(boardSettled)
	w.must(w.keepBoards(w.ctx, w.repo.ID))
	all, through, err := lastBoards(w.ctx, w.DB.Read(), w.repo.ID, Moment{}, w.now)
	w.must(err)
	if through == 0 || all["release/0"] != nil || all["waits"] == nil || all["main"] == nil {
		t.Errorf("the snapshot up to %d has %d boards: %v", through, len(all), all)
	}
}

func TestWatchBoardStepsThroughTheStory(t *testing.T) {
	w := newBoardWorld(t)
	w.pass(1, "main")
	w.pass(2, "other")
	w.pass(3, "main")
	watch := func(m Moment) BoardView {
		t.Helper()
		v, err := w.WatchBoard(w.ctx, w.ann, "hello", "main", m)
		w.must(err)
		return v
	}
	v := watch(Moment{})
	if !v.Live || v.Forward != 0 || len(v.Board.News) != 2 || v.Workers != 3 {
		t.Fatalf("now: %+v", v)
	}
	var back []int64
	for v.Back != 0 {
		v = watch(Moment{Event: v.Back})
		if v.Live || !v.At.Equal(v.Board.At) {
			t.Fatalf("a past moment: %+v", v)
		}
		if v.Board.Event != 0 {
			back = append(back, v.Board.Event)
		}
	}
	var forward []int64
	for v.Forward != 0 {
		v = watch(Moment{Event: v.Forward})
		forward = append(forward, v.Board.Event)
	}
	if len(forward) != 14 || len(back) != 13 {
		t.Errorf("%d steps back, %d forward", len(back), len(forward))
	}
	if past := watch(Moment{At: w.now.Add(-time.Hour)}); len(past.Board.News) != 0 || len(past.Board.Entries) != 0 {
		t.Errorf("before everything: %+v", past.Board)
	}
	if future := watch(Moment{At: w.now.Add(time.Hour)}); len(future.Board.News) != 2 || !future.At.Equal(w.now) {
		t.Errorf("a time to come: %+v", future)
	}
}

func TestBoardIsForReaders(t *testing.T) {
	w := newBoardWorld(t)
	for _, name := range []string{"hello", "nowhere"} {
		if _, err := w.WatchBoard(w.ctx, account.Actor{}, name, "main", Moment{}); err == nil || !fault.Is(err, fault.NotFound) {
			t.Errorf("a stranger and %s: %v", name, err)
		}
	}
}
