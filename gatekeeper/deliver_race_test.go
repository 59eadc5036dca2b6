package gatekeeper_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/plan"
)

// An assembly is looked after just as it becomes ready: who looks saw it unready, and finds its
// stage run settled. That is no orphan; it serves on.
func TestALookAtAnAssemblyThatBecomesReady(t *testing.T) {
	var w *world
	var deploys, unready sync.Once
	var begun atomic.Bool
	looks, served, looked := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	t.Cleanup(func() { deliver.CrashPoint = nil }) // behind the end of the world, which is cleaned up before
	deliver.CrashPoint = func(name string) {
		switch name {
		case "deploy.serves": // in the stage run, which has not said so yet
			var id int64
			if err := w.db.Read().QueryRowContext(w.ctx, `SELECT COALESCE(MAX(id), 0) FROM assemblies WHERE environment = 'staging'`).Scan(&id); err != nil {
				t.Error(err)
			}
			if id == 0 {
				return
			}
			deploys.Do(func() {
				begun.Store(true)
				go func() {
					_, err := w.delivery.Tend(w.ctx, strconv.FormatInt(id, 10))
					looked <- err
				}()
				<-looks
			})
		case "assembly.unready":
			if !begun.Load() {
				return // a look at the preview
			}
			unready.Do(func() { // others who look wait for this one
				close(looks)
				<-served
			})
		}
	}
	w = newWorld(t, shipPlan)
	w.stages.set(w.builds(0))
	id := w.landed("one")
	first := w.serving("staging", id).Assembly
	w.environment("staging", "the stage run is settled", func(deliver.View) bool {
		var state plan.StageState
		w.must(w.db.Read().QueryRowContext(w.ctx, `SELECT s.state FROM stage_runs s JOIN assemblies a ON a.stage_run_id = s.id WHERE a.id = $1`, first.ID).Scan(&state))
		return state == plan.Passed
	})
	close(served)
	w.must(<-looked)
	if now := w.serving("staging", id).Assembly; now.ID != first.ID || now.State != deliver.AssemblyReady {
		t.Errorf("assembly %d became %d, %s", first.ID, now.ID, now.State)
	}
}
