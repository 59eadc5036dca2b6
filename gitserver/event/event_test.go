package event_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

func TestTheStoryIsReadInOrder(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var first int64
	for _, kind := range []string{"change.created", "vote", "landed"} {
		if err := d.Transact(ctx, func(tx *db.Tx) error {
			id, err := event.Append(ctx, tx, event.Event{At: at, Kind: kind, Change: 7, Data: map[string]string{"k": kind}})
			if first == 0 {
				first = id
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := event.OfChange(ctx, d.Read(), 7, first)
	if err != nil || len(all) != 2 || all[0].Kind != "vote" || all[1].Data["k"] != "landed" || !all[1].At.Equal(at) {
		t.Fatalf("%+v, %v", all, err)
	}
}

// Many wakes become one, none is lost, and only its own topic wakes a listener.
func TestABusWakes(t *testing.T) {
	var bus event.Bus
	woken, stop := bus.Listen(event.ChangeTopic(1))
	bus.Wake(event.ChangeTopic(2), event.RepoTopic(1), event.StageTopic(1))
	select {
	case <-woken:
		t.Fatal("another topic woke it")
	default:
	}
	bus.Wake(event.ChangeTopic(1))
	bus.Wake(event.ChangeTopic(1))
	<-woken
	select {
	case <-woken:
		t.Fatal("two wakes without a look between were two")
	default:
	}
	stop()
	bus.Wake(event.ChangeTopic(1))
	select {
	case <-woken:
		t.Fatal("it was woken after it stopped")
	default:
	}
}
