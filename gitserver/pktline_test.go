package gitserver

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func pkts(text string) *pktReader { return newPktReader(bufio.NewReader(strings.NewReader(text))) }

func TestPktReaderRefusesWhatIsMalformed(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"length 1", "0001", "0001 has no meaning"},
		{"length 2", "0002", "0002 has no meaning"},
		{"length 3", "0003", "0003 has no meaning"},
		{"over the maximum", "fff1" + strings.Repeat("x", maxPkt), "over git's maximum"},
		{"ffff", "ffff", "over git's maximum"},
		{"no hex", "zzzz", "bad pkt-line length"},
		{"a sign", "+00a", "bad pkt-line length"},
		{"spaces", "  0a", "bad pkt-line length"},
		{"control bytes", "\x1b[2J", "bad pkt-line length"},
		{"length cut off", "00", "inside a pkt-line length"},
		{"payload cut off", "000ahell", "inside a pkt-line"},
		{"payload missing", "000a", "inside a pkt-line"},
		{"longer than this place allows", "0100" + strings.Repeat("x", 252), "longer than the 100 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := pkts(tt.in).next(100)
			var broken *protocolError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want a protocol error with %q", err, tt.want)
			}
			if strings.ContainsFunc(err.Error(), unsafeRune) {
				t.Errorf("control bytes in %q", err)
			}
		})
	}
}

func TestPktReaderLeavesWhatFollowsTheFlush(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("000ahello\n0004" + "0000" + "PACK…"))
	r := newPktReader(in)
	for _, want := range []struct {
		kind pktKind
		text string
	}{{pktData, "hello\n"}, {pktData, ""}, {pktFlush, ""}} {
		kind, text, err := r.next(maxPayload)
		if err != nil || kind != want.kind || string(text) != want.text {
			t.Fatalf("got %v %q %v, want %v %q", kind, text, err, want.kind, want.text)
		}
	}
	rest, err := io.ReadAll(in)
	if err != nil || string(rest) != "PACK…" {
		t.Fatalf("the pack became %q, %v", rest, err)
	}
	if kind, _, err := r.next(10); kind != pktEnd || err != nil {
		t.Fatalf("at the end: %v, %v", kind, err)
	}
}

func FuzzPktReader(f *testing.F) {
	f.Add([]byte("000ahello\n0000"))
	f.Add([]byte("fff0"))
	f.Add([]byte("0003"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newPktReader(bufio.NewReader(bytes.NewReader(in)))
		for range len(in) + 1 {
			kind, payload, err := r.next(1000)
			if len(payload) > 1000 {
				t.Fatalf("%d bytes over the limit", len(payload))
			}
			if err != nil || kind == pktEnd {
				return
			}
		}
		t.Fatal("more lines than bytes")
	})
}

func TestAppendPktCutsWhatDoesNotFit(t *testing.T) {
	kind, text, err := pkts(string(appendPkt(nil, strings.Repeat("x", maxPkt*2)))).next(maxPayload)
	if kind != pktData || err != nil || len(text) != maxPayload {
		t.Fatalf("got %v, %d bytes, %v", kind, len(text), err)
	}
}
