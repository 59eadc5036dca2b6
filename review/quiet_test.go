package review_test

import (
	"testing"

	"gatehouse/gitserver/event"
)

// Every event of a push says who gets mail of it; only who may edit a change can keep mail from
// its owner.
func TestNotifyOption(t *testing.T) {
	w := newWorld(t)
	c := w.clone()
	c.commit("a.txt", "one\n", "One")
	one := w.push(c, "alice", "main", "notify=none", "r=bob", "topic=t")[0].Change
	heard := func(from int64) (last int64, all map[string]string) {
		t.Helper()
		events, err := event.OfChange(w.ctx, w.db.Read(), one.ID, from)
		w.must(err)
		all = map[string]string{}
		for _, e := range events {
			all[e.Kind], last = e.Data["notify"], e.ID
		}
		return last, all
	}
	last, first := heard(0)
	for _, kind := range []string{"change.created", "patchset.created", "reviewer.added"} {
		if whom, there := first[kind]; !there || whom != "none" {
			t.Errorf("%s: %q, %v", kind, whom, there)
		}
	}
	// bob votes on alice's change by a push of his own on top of it: he may not edit it.
	c.commit("b.txt", "two\n", "Two")
	w.push(c, "bob", "main", "notify=none", "r=carol")
	_, second := heard(last)
	if whom, there := second["reviewer.added"]; !there || whom != "owner" {
		t.Errorf("by bob: %q, %v (%v)", whom, there, second)
	}
}
