package gitserver

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

// A push of 150 MB that does not compress must pass through in bounded memory.
func TestBigPushInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("generates 150 MB")
	}
	const bound = 48 << 20 // less than one of the three files
	w := newWorld(t)
	r := w.newRepo("hello", false)
	dir := w.clone(w.sshURL("alice", "hello"))
	for _, name := range []string{"a", "b", "c"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(f, rand.Reader, 50<<20); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.git(dir, "add", ".")
	w.git(dir, "commit", "-q", "-m", "big")
	for way, to := range w.ways("hello") {
		if grown := heapGrowth(func() { w.git(dir, "push", "-q", to, "HEAD:refs/heads/big-"+way) }); grown > bound {
			t.Errorf("%s: the heap grew by %d MiB", way, grown>>20)
		}
		if !strings.Contains(w.refs(r), "big-"+way) {
			t.Error("nothing arrived over " + way)
		}
		w.git(dir, "push", "-q", to, ":refs/heads/big-"+way)
		if grown := heapGrowth(func() { w.clone(to, "--no-checkout") }); grown > bound {
			t.Errorf("%s: the heap grew by %d MiB in a clone", way, grown>>20)
		}
	}
	w.noLeftovers(r)
}

// heapGrowth is by how much the heap's objects grew at most while f ran, as seen every few
// milliseconds.
func heapGrowth(f func()) int64 {
	heap := func() int64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64()) //nolint:gosec // a size
	}
	runtime.GC()
	before, most := heap(), int64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		look := time.NewTicker(3 * time.Millisecond)
		defer look.Stop()
		for {
			select {
			case <-stop:
				return
			case <-look.C:
				most = max(most, heap()-before)
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return most
}

func TestKeepAliveWhileTheDeciderWaits(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		t.Run(way, func(t *testing.T) {
			w.t = t
			dir := w.clone(to)
			w.commit(dir, "new", "x\n")
			trace := filepath.Join(t.TempDir(), "trace")
			entered := make(chan struct{})
			leave := make(chan struct{})
			w.decider.before = func(context.Context, *Push) error {
				close(entered)
				<-leave
				return nil
			}
			defer func() { w.decider.before = nil }()
			cmd := w.command(dir, "git", "push", "origin", "HEAD:refs/for/main")
			cmd.Env = append(cmd.Env, "GIT_TRACE_PACKET="+trace)
			done := make(chan error, 1)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { done <- cmd.Wait() }()
			<-entered
			seen := func() int {
				text, _ := os.ReadFile(trace)
				return strings.Count(string(text), "sideband< \\2\n")
			}
			// SSH connections of other pushes are gone by now, so these ticks reach this one:
			// its push, and over SSH its connection.
			eventually(t, "three keep-alives", func() bool {
				select {
				case w.clock.c <- w.server.Now():
				default:
				}
				return seen() >= 3
			})
			close(leave)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheDeciderIsToldWhenTheClientIsGone(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	for way, to := range w.ways("hello") {
		t.Run(way, func(t *testing.T) {
			w.t = t
			dir := w.clone(to)
			w.commit(dir, "new", "x\n")
			entered := make(chan struct{})
			told := make(chan struct{})
			w.decider.before = func(ctx context.Context, _ *Push) error {
				close(entered)
				<-ctx.Done()
				close(told)
				return ctx.Err()
			}
			defer func() { w.decider.before = nil }()
			cmd := w.command(dir, "git", "push", "origin", "HEAD:refs/for/main")
			ownGroup(cmd)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-entered
			killGroup(t, cmd)
			<-told
			_ = cmd.Wait()
			eventually(t, "nothing is left", func() bool { return !strings.Contains(w.refs(r), "refs/changes") })
			eventually(t, "the log tells of it", func() bool {
				return strings.Contains(w.log.String(), `result="client gone"`) && (way != "ssh" || strings.Contains(w.log.String(), "result=failed"))
			})
			if log := w.log.String(); strings.Contains(log, "level=ERROR") { // nothing of the server failed
				t.Error(log)
			}
		})
	}
	eventually(t, "the quarantine is gone", func() bool {
		g, err := w.server.Repos.Open(r)
		if err != nil {
			t.Fatal(err)
		}
		found, _ := filepath.Glob(filepath.Join(g.Dir(), "objects/incoming-*"))
		return len(found) == 0
	})
}
