// Package event keeps the append-only story of what happened and wakes those who wait for it.
//
// An event is a row, written in the transaction that made it true; [Bus] only says "look
// again". A listener that missed a wake-up loses nothing: it reads on from the last id it
// saw. Ids grow, but a row with a smaller id may become visible after a larger one on
// PostgreSQL, so readers that must not miss any re-read what they show from its own tables
// and use events as the alarm.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"gatehouse/migrations/db"
)

// Event is one thing that happened.
type Event struct {
	ID      int64
	At      time.Time
	Kind    string // "change.created", "patchset.created", "vote", "stage.finished", "landed", …
	Repo    int64
	Change  int64
	Account int64
	Data    map[string]string
}

// Append writes e in tx and returns its id. The caller calls [Bus.Wake] after the commit.
func Append(ctx context.Context, tx *db.Tx, e Event) (int64, error) {
	id, err := tx.NextID(ctx, db.RowIDs)
	if err != nil {
		return 0, err
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return 0, fmt.Errorf("event: encode %s: %w", e.Kind, err)
	}
	if e.Data == nil {
		data = []byte("{}")
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO events (id, at, kind, repo_id, change_id, account_id, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, db.Micros(e.At), e.Kind, e.Repo, e.Change, e.Account, string(data))
	if err != nil {
		return 0, fmt.Errorf("event: append %s: %w", e.Kind, err)
	}
	return id, nil
}

// OfChange lists the events of a change after the id after, oldest first.
func OfChange(ctx context.Context, q db.Querier, change, after int64) ([]Event, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+`
		FROM events WHERE change_id = $1 AND id > $2 ORDER BY id`, change, after)
	if err != nil {
		return nil, fmt.Errorf("event: list: %w", err)
	}
	return scan(rows)
}

// Topic is what a listener listens to.
type Topic struct {
	kind string
	id   int64
}

// ChangeTopic is everything about one change; RunTopic the log of one stage run; RepoTopic a repository.
func ChangeTopic(id int64) Topic { return Topic{"change", id} }

// StageTopic is one stage run: its log grew or it ended.
func StageTopic(id int64) Topic { return Topic{"stage", id} }

// RepoTopic is everything in one repository.
func RepoTopic(id int64) Topic { return Topic{"repo", id} }

// AccountTopic is what one account is told.
func AccountTopic(id int64) Topic { return Topic{"account", id} }

// AnyTopic is woken with every other topic: for whoever reads the whole story.
func AnyTopic() Topic { return Topic{kind: "any"} }

// Bus wakes listeners in this process. The zero value is ready to use.
type Bus struct {
	mu        sync.Mutex
	listeners map[Topic]map[chan struct{}]struct{}
}

// Listen returns a channel that has a value whenever the topic was woken since the last read;
// many wakes become one. stop must be called.
func (b *Bus) Listen(topic Topic) (woken <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[Topic]map[chan struct{}]struct{}{}
	}
	if b.listeners[topic] == nil {
		b.listeners[topic] = map[chan struct{}]struct{}{}
	}
	b.listeners[topic][ch] = struct{}{}
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners[topic], ch)
		if len(b.listeners[topic]) == 0 {
			delete(b.listeners, topic)
		}
	}
}

// Wake tells the listeners of the topics to look again. It never blocks.
func (b *Bus) Wake(topics ...Topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, topic := range topics {
		b.wake(topic)
	}
	b.wake(AnyTopic())
}

func (b *Bus) wake(topic Topic) {
	for ch := range b.listeners[topic] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
