package gitserver

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// unband takes a side-band stream apart.
func unband(t *testing.T, stream string) (bands [4]string, ended bool) {
	t.Helper()
	r := pkts(stream)
	for {
		kind, line, err := r.next(maxPayload)
		switch {
		case err != nil:
			t.Fatal(err)
		case kind == pktEnd:
			return bands, ended
		case kind == pktFlush:
			ended = true
		case ended || len(line) == 0 || line[0] < 1 || line[0] > 3:
			t.Fatalf("bad packet %q", line)
		default:
			bands[line[0]] += string(line[1:])
		}
	}
}

func TestSidebandIsSafeForManyGoroutines(t *testing.T) {
	var out bytes.Buffer // without a lock of its own: the race detector sees what the sideband forgets
	b := &sideband{out: &out, muxed: true}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				b.tell(fmt.Sprintf("line %d %d", i, j))
				b.keepAlive()
			}
		})
	}
	all.Wait()
	big := strings.Repeat("r", 3*maxPkt)
	if err := b.finish([]byte(big)); err != nil {
		t.Fatal(err)
	}
	b.tell("too late")
	b.keepAlive()
	bands, ended := unband(t, out.String())
	if !ended || bands[bandData] != big || strings.Count(bands[bandProgress], "\n") != 400 {
		t.Errorf("ended %v, report %d bytes, %d lines", ended, len(bands[bandData]), strings.Count(bands[bandProgress], "\n"))
	}
}

func TestSidebandCleansWhatPeopleSee(t *testing.T) {
	var out bytes.Buffer
	b := &sideband{out: &out, muxed: true}
	b.tell("a\x1b]0;x\x07b\u202ec\nd\xff\x00\u0085e\tf")
	w := &progressWriter{to: b}
	_, _ = w.Write([]byte("Receiving objects: 100% (1/1)\rReceiving obj"))
	_, _ = w.Write([]byte("ects: 100% (1/1), done.\nResolving: 5"))
	_, _ = w.Write([]byte("0%\rResolving\x1b[2J: 100%\ndo"))
	_, _ = w.Write([]byte("ne.\n"))
	bands, _ := unband(t, out.String())
	if want := "a]0;xbc\nd\ufffde f\nResolving: 50%\rResolving[2J: 100%\ndone.\n"; bands[bandProgress] != want {
		t.Errorf("got %q, want %q", bands[bandProgress], want)
	}
}

func TestSidebandWithoutBands(t *testing.T) {
	var out bytes.Buffer
	b := &sideband{out: &out}
	b.tell("hidden")
	b.keepAlive()
	if err := b.finish(appendPkt(nil, "unpack ok\n")); err != nil || out.String() != "000eunpack ok\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	out.Reset()
	b = &sideband{out: &out}
	b.fatal("bad\x1b thing")
	if out.String() != "0011ERR bad thing" {
		t.Errorf("got %q", out.String())
	}
}

func TestSidebandStopsAfterAFailedWrite(t *testing.T) {
	failed := 0
	b := &sideband{out: failingWriter{}, muxed: true, onFail: func(error) { failed++ }}
	b.tell("a")
	b.tell("b")
	if err := b.finish([]byte("x")); err == nil || failed != 1 {
		t.Errorf("err %v, told %d times", err, failed)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }
