package web

import (
	"context"
	"fmt"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/web/notify"
)

// showTold is what people have been told, a webhook that works, and one that does not.
func (w *world) showTold(r repo.Repository) {
	w.t.Helper()
	ctx := context.Background()
	for _, e := range []event.Event{
		{Kind: "run.ended", Change: 2, Data: map[string]string{"state": "REFUSED", "reason": "stage unit failed with exit code 1"}},
		{Kind: "mirror.diverged", Data: map[string]string{"reason": "the branch main is 4860ec5c32 there and 18835d9ee6 here"}},
	} {
		e.At, e.Repo = w.clock(), r.ID
		w.transact(func(tx *db.Tx) error { _, err := event.Append(ctx, tx, e); return err })
	}
	w.tellPeople()
	if all, _, err := w.web.Notify.List(ctx, w.people["alice"].ID, true); err != nil || len(all) < 4 {
		w.t.Fatalf("alice was told %d things: %v", len(all), err)
	}
	w.must(w.web.Notify.MarkRead(ctx, w.people["alice"].ID, notify.Reading{Change: 1}))
	add := func(n notify.NewWebhook) int64 {
		h, _, err := w.web.Notify.AddWebhook(ctx, r.ID, w.actor("alice"), n)
		w.must(err)
		_, err = w.web.Notify.TestWebhook(ctx, r.ID, h.ID)
		w.must(err)
		return h.ID
	}
	good := add(notify.NewWebhook{Kind: notify.Generic, URL: "https://ci.example.test/gate", Events: []string{"landed", "patchset.created"}})
	add(notify.NewWebhook{Kind: notify.Matrix, URL: "https://matrix.example.test", Room: "!hello:example.test", Secret: "x"})
	bad := add(notify.NewWebhook{Kind: notify.Slack, URL: "https://hooks.chat.example.test/services/T0/B0/x"})
	d, err := w.web.Notify.TestWebhook(ctx, r.ID, good)
	w.must(err)
	w.hookID = good
	for query, args := range map[string][]any{
		`UPDATE webhook_deliveries SET state = 'delivered', status = 200, answer = 'thank you', attempts = 1 WHERE webhook_id = $1 AND id < $2`:                              {good, d.ID},
		`UPDATE webhook_deliveries SET state = 'failed', status = 503, answer = 'overloaded', reason = 'the answer is 503', attempts = 12 WHERE webhook_id = $1 AND id = $2`: {good, d.ID},
		`UPDATE webhooks SET state = 'stopped', reason = $2 WHERE id = $1`:                                                                                                   {bad, "10 deliveries in a row were given up; the last because the destination cannot be reached"},
	} {
		w.transact(func(tx *db.Tx) error { _, err := tx.ExecContext(ctx, query, args...); return err })
	}
	_, err = w.web.Notify.TestWebhook(ctx, r.ID, good)
	w.must(err)
}

func (w *world) toldPages() []pageOf {
	token, err := w.web.Notify.Token(notify.Subscription{Account: w.people["alice"].ID, Change: 2})
	w.must(err)
	return []pageOf{
		{"notifications", "alice", "/notifications?all=1"}, {"notifications-empty", "admin", "/notifications"}, {"settings-notify", "alice", "/settings/notifications"},
		{"unsubscribe", "", "/unsubscribe/" + token}, {"webhooks", "alice", "/team/hello/-/webhooks"},
		{"webhook", "alice", repoURL("team/hello", "webhooks", fmt.Sprint(w.hookID))},
	}
}
