package mirror_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/gitserver/git"
	"gatehouse/gitserver/mirror"
	"gatehouse/migrations/db"
)

func TestDivergedStopsAndNeverForces(t *testing.T) {
	for name, diverge := range map[string]func(w *world, up string) (ref string){
		"foreign commit": func(w *world, up string) string {
			other := w.t.TempDir()
			run(w.t, other, "clone", "-q", up, ".")
			run(w.t, other, "commit", "-q", "--allow-empty", "-m", "foreign")
			run(w.t, other, "push", "-q", "origin", "main")
			return "refs/heads/main"
		},
		"force-pushed": func(w *world, up string) string {
			other := w.t.TempDir()
			run(w.t, other, "init", "-q", "-b", "main")
			run(w.t, other, "commit", "-q", "--allow-empty", "-m", "rewritten")
			run(w.t, other, "push", "-q", "-f", up, "main")
			return "refs/heads/main"
		},
		"known but elsewhere": func(w *world, up string) string {
			run(w.t, w.work, "checkout", "-q", "-b", "side", "main~1")
			run(w.t, w.work, "commit", "-q", "--allow-empty", "-m", "side")
			run(w.t, w.work, "push", "-q", "gate", "side")
			run(w.t, w.work, "push", "-q", "-f", up, "side:main")
			run(w.t, w.work, "checkout", "-q", "main")
			return "refs/heads/main"
		},
		"tag moved": func(w *world, up string) string {
			run(w.t, w.work, "push", "-q", up, "-f", "main~1:refs/tags/v1")
			return "refs/tags/v1"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			up := w.upstream()
			m := w.add(up)
			w.land("one")
			w.land("two")
			run(t, w.work, "tag", "v1")
			run(t, w.work, "push", "-q", "gate", "v1")
			w.sync(m)
			ref := diverge(w, up)
			theirs := refs(t, up)
			w.land("three")
			if again := w.sync(m); again != 0 {
				t.Errorf("a diverged mirror is tried again in %v", again)
			}
			now := w.is(m, mirror.Diverged)
			here := refs(t, w.dir())
			for _, word := range []string{here[ref][:10], theirs[ref][:10], "retry"} {
				if !strings.Contains(now.Reason, word) {
					t.Errorf("%q does not say %s", now.Reason, word)
				}
			}
			if diff := cmp.Diff(theirs, refs(t, up)); diff != "" {
				t.Errorf("upstream was changed:\n%s", diff)
			}
			w.jobs = nil
			w.land("four")
			w.sync(m)
			if w.is(m, mirror.Diverged); len(w.jobs) != 0 || !cmp.Equal(theirs, refs(t, up)) {
				t.Error("a stopped mirror goes on")
			}
			if diff := cmp.Diff([]string{"mirror.synced", "mirror.diverged"}, w.events()); diff != "" {
				t.Error(diff)
			}
			run(t, up, "update-ref", "-d", ref) // what the reason says
			w.tx(func(tx *db.Tx) error { return w.Retry(w.ctx, tx, m.ID) })
			w.sync(m)
			w.is(m, mirror.Synced)
			if got := refs(t, up); got["refs/heads/main"] != run(t, w.work, "rev-parse", "main") || got["refs/tags/v1"] != here["refs/tags/v1"] {
				t.Errorf("after the retry upstream has %v", got)
			}
		})
	}
}

// TestBehindIsNotDiverged rewinds the upstream, as a restore from a backup does.
func TestBehindIsNotDiverged(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	w.land("two")
	w.sync(m)
	run(t, up, "update-ref", "refs/heads/main", "main~1")
	tip := w.land("three")
	w.sync(m)
	if w.is(m, mirror.Synced); refs(t, up)["refs/heads/main"] != string(tip) {
		t.Errorf("upstream has %v", refs(t, up))
	}
}

// TestDownForHours takes the upstream away while things land, and brings it back.
func TestDownForHours(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	w.sync(m)
	away := up + ".away"
	if err := os.Rename(up, away); err != nil {
		t.Fatal(err)
	}
	w.land("two")
	var waits []time.Duration
	for attempt := 1; attempt <= 12; attempt++ {
		again := w.sync(m)
		now := w.is(m, mirror.Retrying)
		if now.Attempts != attempt || now.Reason == "" || !now.NextTry.Equal(w.Now().Add(again)) {
			t.Fatalf("after attempt %d: %+v, again in %v", attempt, now, again)
		}
		waits = append(waits, again)
		w.at.Add(again.Microseconds())
		if attempt == 5 {
			w.land("three")
			w.is(m, mirror.Retrying) // a landing neither hides the trouble nor stops
		}
	}
	if waits[0] < 5*time.Second || waits[0] > 10*time.Second || waits[11] < 7*time.Minute || waits[11] > 10*time.Minute {
		t.Errorf("waits %v", waits)
	}
	if err := os.Rename(away, up); err != nil {
		t.Fatal(err)
	}
	tip := w.land("four")
	if again := w.sync(m); again != 0 {
		t.Errorf("again in %v", again)
	}
	now := w.is(m, mirror.Synced)
	if now.Attempts != 0 || now.Reason != "" || !now.NextTry.IsZero() || now.LastOID != tip || refs(t, up)["refs/heads/main"] != string(tip) {
		t.Errorf("%+v", now)
	}
	if diff := cmp.Diff([]string{"mirror.synced", "mirror.retrying", "mirror.synced"}, w.events()); diff != "" {
		t.Error(diff)
	}
}

// TestUpstreamRefuses lets the upstream say no, with what a terminal should not see.
func TestUpstreamRefuses(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	hook := filepath.Join(up, "hooks", "pre-receive")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nprintf 'main is protected \\033[2J\\n' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := w.add(up)
	w.land("one")
	if again := w.sync(m); again == 0 {
		t.Error("not tried again")
	}
	if now := w.is(m, mirror.Retrying); strings.ContainsAny(now.Reason, "\x1b\n") {
		t.Errorf("the reason is %q", now.Reason)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	w.sync(m)
	w.is(m, mirror.Synced)
}

// TestKilledBetweenPushAndRow ends the attempt when upstream has everything and the row knows nothing.
func TestKilledBetweenPushAndRow(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	tip := w.land("one")
	type killed struct{}
	clock := w.Now
	w.Now = func() time.Time { panic(killed{}) } // the first thing asked after the push
	func() {
		defer func() {
			if _, ok := recover().(killed); !ok {
				t.Error("the sync was not cut")
			}
		}()
		_, _ = w.Sync(w.ctx, m.ID)
	}()
	w.Now = clock
	if refs(t, up)["refs/heads/main"] != string(tip) {
		t.Fatal("cut before the push")
	}
	w.is(m, mirror.Pending)
	w.sync(m)
	if now := w.is(m, mirror.Synced); now.LastOID != tip {
		t.Errorf("%+v", now)
	}
	if diff := cmp.Diff([]string{"mirror.synced"}, w.events()); diff != "" {
		t.Error(diff)
	}
}

// TestServerStops ends the context: that is no failure of the upstream.
func TestServerStops(t *testing.T) {
	w := newWorld(t)
	m := w.add(w.upstream())
	w.land("one")
	stopped, stop := context.WithCancel(w.ctx)
	stop()
	if _, err := w.Sync(stopped, m.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if now := w.is(m, mirror.Pending); now.Attempts != 0 {
		t.Errorf("%+v", now)
	}
}

// TestLandingDuringSync lands between the look at the refs and the row.
func TestLandingDuringSync(t *testing.T) {
	w := newWorld(t)
	up := w.upstream()
	m := w.add(up)
	w.land("one")
	clock := w.Now
	landed := false
	w.Now = func() time.Time {
		if !landed {
			landed = true
			w.land("two")
		}
		return clock()
	}
	w.sync(m)
	w.is(m, mirror.Pending)
	w.sync(m) // the landing's own job
	if now := w.is(m, mirror.Synced); refs(t, up)["refs/heads/main"] != string(now.LastOID) || now.LastOID != git.OID(run(t, w.work, "rev-parse", "main")) {
		t.Errorf("%+v", now)
	}
}
