package gatekeeper

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// Every byte of a log has the time of its write, also when the clock is set back, and when the
// times were cut anywhere: then the bytes at the end have none.
func TestLogTimes(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	var log, times bytes.Buffer
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	begin := now
	s := &stamper{log: &log, times: &times, now: func() time.Time { return now }}
	var want []time.Time // of each byte
	latest := now
	for range 300 {
		n := r.IntN(300)
		if written, err := s.Write(make([]byte, n)); err != nil || written != n {
			t.Fatal(written, err)
		}
		if n > 0 && now.After(latest) {
			latest = now
		}
		for range n {
			want = append(want, latest)
		}
		now = now.Add(time.Duration(r.IntN(5_000)-200) * time.Millisecond)
	}
	got := ReadLogTimes(times.Bytes())
	if !got.Start.Equal(begin) {
		t.Errorf("starts at %s", got.Start)
	}
	for i := range want {
		if at, ok := got.At(int64(i)); !ok || !at.Equal(want[i]) {
			t.Fatalf("byte %d: %s %v, want %s", i, at, ok, want[i])
		}
	}
	if _, ok := got.At(int64(len(want))); ok {
		t.Error("a byte that was not written has a time")
	}
	for cut := range times.Len() {
		part := ReadLogTimes(times.Bytes()[:cut])
		for i := 0; i < len(want); i += 97 {
			if at, ok := part.At(int64(i)); ok && !at.Equal(want[i]) {
				t.Fatalf("cut at %d: byte %d: %s, want %s", cut, i, at, want[i])
			}
		}
	}
}

// Times that cannot be written cost the log nothing.
func TestLogGoesOnWithoutTimes(t *testing.T) {
	var log bytes.Buffer
	s := &stamper{log: &log, times: full{}, now: time.Now} //nolint:forbidigo // no time is looked at
	for range 3 {
		if _, err := s.Write([]byte("x\n")); err != nil {
			t.Fatal(err)
		}
	}
	if log.String() != "x\nx\nx\n" || s.err == nil {
		t.Errorf("%q, %v", log.String(), s.err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errIf(true, "no space left") }
