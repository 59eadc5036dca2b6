package gatekeeper_test

import (
	"slices"
	"sync"
	"testing"

	"gatehouse/gatekeeper"
)

// Somebody asks for another outcome between the plan of a check being composed and its run being
// started: no run begins for what nobody wants any more, and one does for what is wanted.
func TestAnOutcomeThatChangesWhileACheckBegins(t *testing.T) {
	var once sync.Once
	var w *world
	ready := make(chan struct{})
	t.Cleanup(func() { gatekeeper.CrashPoint = nil }) // behind the end of the world, which is cleaned up before
	gatekeeper.CrashPoint = func(name string) {
		if name != "check.composed" {
			return
		}
		<-ready
		once.Do(func() {
			if err := w.control.SetOutcome(w.ctx, w.people["alice"], w.newest(), "look", ""); err != nil {
				t.Error(err)
			}
		})
	}
	w = newWorld(t, aimPlan)
	close(ready)
	id := w.propose("alice", "a.txt", "a\n")
	w.until(id, "its stage has passed", func(e gatekeeper.Explanation) bool {
		return slices.ContainsFunc(e.Requirements, func(r gatekeeper.Requirement) bool { return r.Name == "unit" && r.State == "PASSED" })
	})
	rows, err := w.db.Read().QueryContext(w.ctx, `SELECT outcome FROM runs WHERE change_id = $1 ORDER BY id`, id)
	w.must(err)
	defer func() { _ = rows.Close() }()
	var outcomes []string
	for rows.Next() {
		var outcome string
		w.must(rows.Scan(&outcome))
		outcomes = append(outcomes, outcome)
	}
	w.must(rows.Err())
	if !slices.Equal(outcomes, []string{"look"}) {
		t.Errorf("runs were started for %q", outcomes)
	}
}
