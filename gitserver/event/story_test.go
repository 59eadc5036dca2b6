package event_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatehouse/gitserver/event"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

func TestAStoryIsOneRepositorys(t *testing.T) {
	d, ctx := dbtest.Open(t), context.Background()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ids := map[string]int64{}
	if err := d.Transact(ctx, func(tx *db.Tx) error {
		for i, e := range []event.Event{
			{Repo: 1, Kind: "a", Change: 10}, {Repo: 2, Kind: "a", Change: 20}, {Repo: 1, Kind: "b", Change: 11}, {Repo: 1, Kind: "c", Change: 12},
			{Repo: 1, Kind: "a", Change: 13}, {Repo: 1, Kind: "a", Change: 14},
		} {
			e.At = at.Add(time.Duration(i) * time.Minute)
			id, err := event.Append(ctx, tx, e)
			if err != nil {
				return err
			}
			ids[fmt.Sprint(e.Change)] = id
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	changes := func(all []event.Event, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, e := range all {
			text += fmt.Sprint(e.Change, " ")
		}
		return text
	}
	for _, c := range []struct {
		story event.Story
		want  string
	}{
		{event.Story{Repo: 1}, "10 11 12 13 14 "},
		{event.Story{Repo: 1, Kinds: []string{"a", "b"}}, "10 11 13 14 "},
		{event.Story{Repo: 1, Kinds: []string{"a"}, After: ids["10"]}, "13 14 "},
		{event.Story{Repo: 1, Kinds: []string{"a"}, Limit: 2}, "10 13 "},
		{event.Story{Repo: 3}, ""},
	} {
		if got := changes(event.Of(ctx, d.Read(), c.story)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.story, got, c.want)
		}
	}
	for minutes, want := range map[int]string{-1: "", 0: "10 ", 3: "10 ", 4: "13 10 ", 9: "14 13 "} {
		if got := changes(event.Last(ctx, d.Read(), 1, "a", at.Add(time.Duration(minutes)*time.Minute), 2)); got != want {
			t.Errorf("the last after %d minutes: %q, want %q", minutes, got, want)
		}
	}
	if got, err := event.TimeOf(ctx, d.Read(), 1, ids["12"]); err != nil || !got.Equal(at.Add(3*time.Minute)) {
		t.Errorf("12 happened at %s, %v", got, err)
	}
	if got, err := event.TimeOf(ctx, d.Read(), 2, ids["12"]); err != nil || !got.IsZero() {
		t.Errorf("12 in another repository: %s, %v", got, err)
	}
}
