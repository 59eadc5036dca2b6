package gatekeeper_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/event"
)

// What the rows say of the queue and what the story says of it are the same, at every moment
// of a real controller's work: the board that is live is the board that is replayed.
func TestBoardIsWhatTheRowsSay(t *testing.T) {
	w := newWorld(t, queuePlan)
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	w.stages.set(func(r runner.Request) runner.Result {
		<-gate
		return passed()
	})
	var changes []int64
	for i := range 3 {
		id := w.propose("alice", fmt.Sprintf("file%d.txt", i), "text\n", "submit")
		w.vote("bob", id, 2)
		changes = append(changes, id)
	}
	w.until(changes[2], "it is queued", func(e gatekeeper.Explanation) bool { return e.QueuePosition > 0 })
	w.boardMatches("all are queued", func(entries []string) bool { return len(entries) == len(changes) })
	open()
	for _, id := range changes {
		w.state(id, gatekeeper.Landed)
	}
	w.boardMatches("all have landed", func(entries []string) bool { return len(entries) == 0 })
	board, err := w.control.Board(w.ctx, w.repo.ID, "main")
	w.must(err)
	if len(board.News) != len(changes) {
		t.Fatalf("the board tells of %d landings, not %d", len(board.News), len(changes))
	}
	if board.Tip != string(w.tip()) {
		t.Errorf("the board ends at %s, the branch at %s", board.Tip, w.tip())
	}
	past, err := w.control.BoardAt(w.ctx, w.repo.ID, "main", board.News[len(changes)-1].At.Add(-time.Microsecond))
	w.must(err)
	if len(past.Entries) != len(changes) || len(past.News) != 0 {
		t.Errorf("before the first landing %d changes wait and %d have landed", len(past.Entries), len(past.News))
	}
}

const queuePlan = `version: 1
stages:
  unit: {run: "true"}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}]}
land: {after: [review, tested], how: merge}
`

// boardMatches waits until the rows are as met wants them and the board says the same.
func (w *world) boardMatches(what string, met func(entries []string) bool) {
	w.Helper()
	woken, stop := w.bus.Listen(event.RepoTopic(w.repo.ID))
	defer stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		rows, running := w.queueRows()
		board, err := w.control.Board(w.ctx, w.repo.ID, "main")
		w.must(err)
		var entries, runs []string
		for _, e := range board.Entries {
			entries = append(entries, fmt.Sprintf("%d.%d", e.Change, e.PS))
		}
		for _, t := range board.Running() {
			runs = append(runs, fmt.Sprint(t.Run))
		}
		slices.Sort(runs)
		if met(rows) && slices.Equal(rows, entries) && slices.Equal(running, runs) {
			return
		}
		select {
		case <-woken:
		case <-deadline.C:
			w.Fatalf("waited in vain until %s: rows %v with runs %v, board %v with runs %v", what, rows, running, entries, runs)
		}
	}
}

// queueRows are the entries of main in their order, and the runs of candidates with one of them.
func (w *world) queueRows() (entries, runs []string) {
	w.Helper()
	read := func(query string) (all []string) {
		w.Helper()
		rows, err := w.db.Read().QueryContext(w.ctx, query, w.repo.ID)
		w.must(err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var text string
			w.must(rows.Scan(&text))
			all = append(all, text)
		}
		w.must(rows.Err())
		return all
	}
	entries = read(`SELECT CAST(change_id AS TEXT) || '.' || CAST(ps AS TEXT) FROM queue_entries WHERE repo_id = $1 AND branch = 'main' ORDER BY enqueued_at, change_id`)
	runs = read(`SELECT CAST(r.id AS TEXT) FROM runs r WHERE r.repo_id = $1 AND r.branch = 'main' AND r.state = 'RUNNING' AND EXISTS (
		SELECT 1 FROM candidate_changes m JOIN queue_entries e ON e.change_id = m.change_id AND e.ps = m.ps WHERE m.candidate_id = r.candidate_id AND m.role = 'member')`)
	slices.Sort(runs)
	return entries, runs
}
