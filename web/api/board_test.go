package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
)

// The API shows a queue as it is and as it was, and the way between.
func TestBoardOfAPastMoment(t *testing.T) {
	w := newWorld(t)
	r := w.repository("team/hello", true)
	start := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	w.transact(func(tx *db.Tx) error {
		for i := range 3 {
			if _, err := event.Append(w.ctx, tx, event.Event{At: start.Add(time.Duration(i) * time.Minute), Kind: "queue.entered", Repo: r.ID, Change: int64(10 + i),
				Data: map[string]string{"branch": "release/1", "ps": "1", "subject": fmt.Sprint("change ", i), "owner": "author"}}); err != nil {
				return err
			}
		}
		return nil
	})
	at := "/api/v1/queues/team~hello/release~1/board"
	now := get[gatekeeper.BoardView](w, "reader", "GET", at, nil)
	if !now.Live || len(now.Board.Entries) != 3 || len(now.Standings) != 3 || now.Standings[2].Position != 3 || now.Standings[2].ETA == "" || now.Back == 0 {
		t.Errorf("now: %+v", now)
	}
	past := get[gatekeeper.BoardView](w, "reader", "GET", at+"?at="+url.QueryEscape(start.Add(time.Minute).Format(time.RFC3339)), nil)
	if past.Live || len(past.Board.Entries) != 2 || past.Forward == 0 || !past.At.Equal(start.Add(time.Minute)) {
		t.Errorf("after a minute: %+v", past)
	}
	if step := get[gatekeeper.BoardView](w, "reader", "GET", fmt.Sprintf("%s?event=%d", at, past.Back), nil); len(step.Board.Entries) != 1 {
		t.Errorf("a step back: %+v", step.Board)
	}
	if step := get[gatekeeper.BoardView](w, "reader", "GET", fmt.Sprintf("%s?event=%d", at, past.Forward), nil); len(step.Board.Entries) != 3 {
		t.Errorf("a step forward: %+v", step.Board)
	}
	for query, want := range map[string]int{"?at=yesterday": 400, "?event=-1": 400, "?event=1&at=2026-11-22T09:00:00Z": 400} {
		if a := w.ask("reader", "GET", at+query, nil); a.Code != want {
			t.Errorf("%s: %d, want %d: %s", query, a.Code, want, a.Body)
		}
	}
	if a := w.ask("stranger", "GET", at, nil); a.Code != http.StatusNotFound {
		t.Errorf("a stranger: %d", a.Code)
	}
}
