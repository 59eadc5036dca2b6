package gatekeeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// happens writes an event of the queue, as the controller does.
func (w *world) happens(change int64, kind string, data map[string]string) {
	w.Helper()
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		_, err := event.Append(w.ctx, tx, event.Event{At: time.Now(), Kind: kind, Repo: w.repo.ID, Change: change, Data: data})
		return err
	}))
}

func (w *world) status(who string) gatekeeper.QueueStatus {
	w.Helper()
	s, err := w.control.QueueStatus(w.ctx, w.people[who], "hello", "main")
	w.must(err)
	return s
}

// The queue as it is shown: what happened, what was ordered, and what the plan closes.
func TestQueueStatus(t *testing.T) {
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
	closed := fmt.Sprintf("how: merge, freeze: [{deny: %q, tz: UTC, reason: holidays}]", stamp(time.Now().Add(-24*time.Hour))+"-"+stamp(time.Now().Add(24*time.Hour)))
	w := newWorld(t, strings.Replace(unitPlan, "how: HOW", closed, 1))
	_, err := w.control.QueueStatus(w.ctx, w.people["bob"], "hello", "mian")
	w.refused(err, fault.NotFound, "hello has no branch mian")
	var ids []int64
	for _, name := range []string{"a.txt", "b.txt", "c.txt"} {
		ids = append(ids, w.propose("alice", name, name+"\n", "wip")) // what is not ready has no check
	}
	if s := w.status("bob"); len(s.Entries) != 0 || s.Entries == nil || s.Candidates == nil || s.News == nil || !strings.Contains(s.Frozen, "holidays") {
		t.Errorf("an empty queue: %+v", s)
	}
	for i, id := range ids {
		w.happens(id, "queue.entered", map[string]string{"branch": "main", "ps": "1", "subject": fmt.Sprintf("change %d", i), "owner": "alice", "targets": "api"})
	}
	member := fmt.Sprintf("%d.1", ids[0])
	w.happens(0, "candidate.tried", map[string]string{"branch": "main", "candidate": "9001", "run": "9002", "members": member, "base": "x", "commit": "y", "attempt": "1"})
	w.happens(ids[0], "run.started", map[string]string{"run": "9002", "candidate": "9001"})
	w.must(w.control.Promote(w.ctx, w.people["carol"], ids[2], true, "it burns"))
	w.must(w.control.Hold(w.ctx, w.people["alice"], ids[1], "not yet"))

	s := w.status("bob")
	if s.Repository != "hello" || s.Branch != "main" || s.Tip != string(w.tip()) || s.Workers != 2 {
		t.Errorf("%+v", s)
	}
	if len(s.Entries) != 3 || s.Entries[0].Change != ids[2] || s.Entries[1].Change != ids[0] || s.Entries[2].Change != ids[1] {
		t.Fatalf("the order is wrong: %+v", s.Entries)
	}
	hot, tried, held := s.Entries[0], s.Entries[1], s.Entries[2]
	if hot.Position != 1 || hot.Priority != 1000 || hot.Promoted != "made a hotfix by carol: it burns" || hot.ETA == nil || hot.ETA.Low > hot.ETA.High {
		t.Errorf("the hotfix lands in spite of the freeze: %+v", hot)
	}
	if tried.State != "testing" || tried.Candidate != 9001 || tried.ETA != nil || !strings.Contains(strings.Join(tried.WaitsFor, "; "), "freeze") {
		t.Errorf("the one that is tested waits for the freeze: %+v", tried)
	}
	if held.State != "held" || held.Held != "held by alice: not yet" || held.ETA != nil {
		t.Errorf("the held one: %+v", held)
	}
	if len(s.Candidates) != 1 || s.Candidates[0].ID != 9001 || s.Candidates[0].Run != 9002 || s.Candidates[0].State != "RUNNING" {
		t.Errorf("candidates: %+v", s.Candidates)
	}
}

func TestQueuesAreListedToThoseWhoMayRead(t *testing.T) {
	w := newWorld(t, how(plan.Merge))
	names := func(actor account.Actor) string {
		t.Helper()
		all, err := w.control.Queues(w.ctx, actor)
		w.must(err)
		text := ""
		for _, q := range all {
			text += fmt.Sprintf("%s %s %d %s;", q.Repository, q.Branch, q.Waiting, q.Frozen)
		}
		return text
	}
	if got := names(w.people["bob"]); got != "" {
		t.Errorf("nothing waits, and yet %q", got)
	}
	id := w.propose("alice", "a.txt", "a\n")
	_, err := w.control.Freeze(w.ctx, w.people["carol"], "hello", "main", "release", time.Time{})
	w.must(err)
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO queue_entries (change_id, repo_id, branch, ps, enqueued_at) VALUES ($1, $2, 'other', 1, 1)`, id, w.repo.ID)
		return err
	}))
	if got, want := names(w.people["bob"]), "hello main 0 by carol: release;hello other 1 ;"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r := w.repo
	r.Private, r.DefaultRole = true, account.RoleNone
	w.must(w.db.Transact(w.ctx, func(tx *db.Tx) error { return w.repos.Update(w.ctx, tx, r) }))
	if got := names(w.people["bob"]); got != "" {
		t.Errorf("it is private, and yet %q", got)
	}
	if _, err := w.control.QueueStatus(w.ctx, w.people["bob"], "hello", "main"); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v, want not found", err)
	}
}
