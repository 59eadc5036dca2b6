package assembly

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

func TestAsk(t *testing.T) {
	var asked atomic.Int64
	var loose = make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/status/", func(w http.ResponseWriter, r *http.Request) {
		code := map[string]int{"200": 200, "302": 302, "404": 404, "503": 503}[strings.TrimPrefix(r.URL.Path, "/status/")]
		w.WriteHeader(code)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, zeros{}) // until the other side has enough
		close(loose)
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) })
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server := httptest.NewServer(mux)
	defer server.Close()
	tests := []struct {
		path   string
		status int
		want   string // "" is ready
	}{
		{"/status/200", 0, ""},
		{"status/200", 0, ""},
		{"/status/302", 0, ""},
		{"/status/302", 200, "/status/302 answers 302, not 200"},
		{"/status/404", 0, "/status/404 answers 404"},
		{"/status/404", 404, ""},
		{"/status/503", 0, "/status/503 answers 503"},
		{"/loop", 0, ""},
		{"/loop", 200, "/loop answers 302, not 200"},
		{"/huge", 0, ""},
		{"/header", 0, "the header of its answer is longer than 65536 bytes"},
		{"/close", 0, "it closed the connection without an answer"},
		{"", 0, ""},
	}
	for _, tt := range tests {
		got := ""
		if err := Ask(t.Context(), server.URL, plan.Probe{HTTP: tt.path, Status: tt.status}); err != nil {
			got = fault.Sentence(err) // as people are told it
		}
		if got != tt.want {
			t.Errorf("%s (%d): %q, want %q", tt.path, tt.status, got, tt.want)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the redirect was followed: %d requests for 2 probes", asked.Load())
	}
	<-loose // the server of the huge answer was let go
	server.Close()
	if err := Ask(t.Context(), server.URL, plan.Probe{}); fault.Sentence(err) != "nothing listens on its port" {
		t.Errorf("nobody: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Whoever answers a byte now and then holds nobody for longer than one try.
func TestSlowAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	let := make(chan struct{})
	go func() {
		defer close(let)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\n")); err == nil; _, err = conn.Write([]byte("X: x\r\n")) {
			<-tick.C
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // a try's own end is the same, and later
	defer cancel()
	if err := Ask(ctx, "http://"+l.Addr().String(), plan.Probe{HTTP: "/"}); err == nil {
		t.Error("it counts as an answer")
	}
	<-let
}

func TestProbeGivesUp(t *testing.T) {
	clock := quickClock{100}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	err := Probe(t.Context(), server.URL, plan.Probe{HTTP: "/x", Within: 10 * time.Second}, clock)
	if !fault.Is(err, fault.Refused) || !strings.Contains(err.Error(), "it was not ready within 10s: /x answers 404") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := Probe(ctx, server.URL, plan.Probe{HTTP: "/x", Within: time.Hour}, clock); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}
