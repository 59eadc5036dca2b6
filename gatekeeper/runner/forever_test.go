package runner

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
)

// What runs for ever outlives any timeout, ends when it is told to, and says its last words even
// when its log is full.
func TestForever(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		f.Limits.Output = 1000
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var log syncBuffer
		ready := writerFunc(func(p []byte) (int, error) {
			n, err := log.Write(p)
			if strings.Contains(log.String(), "was cut here") {
				cancel()
			}
			return n, err
		})
		result := f.Run(ctx, Request{Forever: true, Repo: files{}, Log: ready, Stage: plan.Stage{
			Timeout: time.Nanosecond,
			Run:     "yes | head -c 900000; echo last words; sleep 1000",
		}})
		wantState(t, result, log.String(), canceled)
		if text := log.String(); !strings.HasPrefix(text, "y\ny\n") || len(text) > 1200+keptEnd {
			t.Errorf("%d bytes", len(text))
		}

		log = syncBuffer{}
		result = f.Run(context.Background(), Request{Forever: true, Repo: files{}, Log: &log, Stage: plan.Stage{
			Timeout: time.Nanosecond, Run: "yes | head -c 900000; echo last words; exit 4",
		}})
		wantState(t, result, log.String(), failed)
		if text := log.String(); result.ExitCode != 4 || !strings.HasSuffix(text, "\ny\nlast words\n") || !strings.Contains(text, "these are the last ones") {
			t.Errorf("exit code %d, %d bytes, end %q", result.ExitCode, len(text), text[max(0, len(text)-100):])
		}
	})
}

func TestRing(t *testing.T) {
	for _, size := range []int{1, 3, 10, 11, 25, 100} {
		var all []byte
		r := &ring{max: 10}
		for n := 0; n < 100; n += size {
			p := bytes.Repeat([]byte{byte('a' + n%26)}, size)
			all = append(all, p...)
			r.add(p)
		}
		kept, lost := r.end()
		if want := all[len(all)-10:]; !bytes.Equal(kept, want) || lost != int64(len(all)-10) {
			t.Errorf("in pieces of %d: kept %q, lost %d; want %q, %d", size, kept, lost, want, len(all)-10)
		}
	}
}
