package assembly

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/gitserver/fault"
)

const previewHost = "hello.preview.example.test"

// pages stand for the server's own.
var pages = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the server's own pages") })

func testRouter(t *testing.T) (*Router, *httptest.Server) {
	t.Helper()
	r := NewRouter(RouterConfig{
		Reserved: []string{"gate.example.test"}, Own: []string{"127.0.0.1:29418"}, Cookies: []string{"__Host-gate", "gate_session"},
		Ours: func(a string) bool { return strings.Contains(a, "gate_") },
	})
	front := httptest.NewServer(r.Before(pages))
	t.Cleanup(front.Close)
	return r, front
}

func at(server *httptest.Server) Instance { return Instance{Driver: "test", Address: server.URL} }

// raw sends bytes and returns the answer's status and body.
func raw(t *testing.T, server *httptest.Server, text string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String()) //nolint:noctx // our own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func TestRouterHosts(t *testing.T) {
	r, front := testRouter(t)
	assembly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "assembly %s %s", req.Host, req.URL.RequestURI())
	}))
	defer assembly.Close()
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "an inner service") }))
	defer inner.Close()
	if err := r.Set("Hello.Preview.Example.Test.", at(assembly)); err != nil {
		t.Fatal(err)
	}
	innerHost := inner.Listener.Addr().String()
	const own = "the server's own pages"
	tests := []struct {
		request string
		status  int
		want    string
	}{
		{"GET /a%2Fb?c=d HTTP/1.1\r\nHost: hello.preview.example.test\r\n", 200, "assembly hello.preview.example.test /a%2Fb?c=d"},
		{"GET / HTTP/1.1\r\nHost: HELLO.preview.example.test:8080\r\n", 200, "assembly HELLO.preview.example.test:8080 /"},
		{"GET / HTTP/1.1\r\nHost: hello.preview.example.test.:8080\r\n", 200, "assembly hello.preview.example.test.:8080 /"},
		{"GET http://hello.preview.example.test/x HTTP/1.1\r\nHost: other.example.test\r\n", 200, "assembly hello.preview.example.test /x"},
		{"GET //" + innerHost + "/ HTTP/1.1\r\nHost: hello.preview.example.test\r\n", 200, "assembly hello.preview.example.test //" + innerHost + "/"},
		{"GET / HTTP/1.1\r\nHost: hello.preview.example.test\r\nX-Forwarded-Host: " + innerHost + "\r\n", 200, "assembly hello.preview.example.test /"},
		{"GET / HTTP/1.1\r\nHost: gate.example.test\r\n", 200, own},
		{"GET / HTTP/1.1\r\nHost: gate.example.test\r\nX-Forwarded-Host: hello.preview.example.test\r\n", 200, own},
		{"GET / HTTP/1.1\r\nHost: evil.hello.preview.example.test\r\n", 200, own},
		{"GET / HTTP/1.1\r\nHost: hello.preview.example.test.evil.test\r\n", 200, own},
		{"GET / HTTP/1.1\r\nHost: " + innerHost + "\r\n", 200, own},
		{"GET http://" + innerHost + "/ HTTP/1.1\r\nHost: hello.preview.example.test\r\n", 200, own},
		{"GET / HTTP/1.0\r\n", 200, own},
		{"CONNECT hello.preview.example.test:443 HTTP/1.1\r\nHost: hello.preview.example.test:443\r\n", 405, "this is no proxy for other hosts\n"},
		{"GET / HTTP/1.1\r\nHost: hello.preview.example.test\r\nHost: gate.example.test\r\n", 400, "400 Bad Request"},
		{"GET / HTTP/1.1\r\nHost: hello.preview.example.test@" + innerHost + "\r\n", 400, "400 Bad Request: malformed Host header"},
	}
	for _, tt := range tests {
		status, body := raw(t, front, tt.request+"Connection: close\r\n\r\n")
		if status != tt.status || body != tt.want {
			t.Errorf("%q: %d %q, want %d %q", tt.request, status, body, tt.status, tt.want)
		}
	}
	r.Unset(previewHost)
	r.Unset(previewHost)
	if _, body := raw(t, front, tests[0].request+"\r\n"); body != own {
		t.Errorf("after it was unset: %q", body)
	}
	front.Close() // a client has its answer before the router is done with the request
	if len(r.targets) != 0 {
		t.Errorf("targets are left: %v", r.targets)
	}
}

func TestRouterRefuses(t *testing.T) {
	r, _ := testRouter(t)
	good := Instance{Address: "http://127.0.0.1:4000"}
	for _, tt := range []struct {
		host string
		i    Instance
		kind fault.Kind
	}{
		{"gate.example.test", good, fault.Refused},
		{"GATE.example.test.:80", good, fault.Refused},
		{"localhost", good, fault.Refused},
		{"127.0.0.1", good, fault.Invalid},
		{"*.example.test", good, fault.Invalid},
		{"", good, fault.Invalid},
		{"a..b", good, fault.Invalid},
		{"-a.example.test", good, fault.Invalid},
		{strings.Repeat("a.", 127) + "a", good, fault.Invalid},
		{previewHost, Instance{Address: "http://127.0.0.1:29418"}, fault.Refused},
		{previewHost, Instance{Address: "http://169.254.169.254:80"}, fault.Refused},
		{previewHost, Instance{Address: "http://[::ffff:169.254.169.254]:80"}, fault.Refused},
		{previewHost, Instance{Address: "http://0.0.0.0:80"}, fault.Refused},
		{previewHost, Instance{Address: "file:///etc/passwd"}, fault.Invalid},
		{previewHost, Instance{Address: "http://user:secret@10.0.0.1:80"}, fault.Invalid},
		{previewHost, Instance{Address: "http://10.0.0.1:80/admin"}, fault.Invalid},
		{previewHost, Instance{}, fault.Invalid},
	} {
		if err := r.Set(tt.host, tt.i); !fault.Is(err, tt.kind) {
			t.Errorf("%q to %q: %v, want %s", tt.host, tt.i.Address, err, tt.kind)
		}
	}
	if names := r.Names(); len(names) != 0 {
		t.Errorf("names: %v", names)
	}
}

func TestRouterHeaders(t *testing.T) {
	r, front := testRouter(t)
	var seen http.Header
	assembly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		seen = req.Header.Clone()
		for _, c := range []string{"gate_session=forged; Domain=example.test", "GATE_SESSION=forged", "__Host-gate=forged", "theirs=1; Path=/"} {
			w.Header().Add("Set-Cookie", c)
		}
		w.Header().Set("Clear-Site-Data", `"cookies"`)
	}))
	defer assembly.Close()
	if err := r.Set(previewHost, at(assembly)); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = previewHost
	req.Header = http.Header{
		"Cookie":          {"gate_session=SECRET; theirs=1;__Host-gate=SECRET", `quoted="a; gate_session=SECRET"; Gate_Session=SECRET; other=2`},
		"Authorization":   {"Bearer gate_SECRET"},
		"X-Forwarded-For": {"10.9.9.9"}, "X-Forwarded-Proto": {"gopher"}, "Forwarded": {"for=10.9.9.9"}, "X-Real-Ip": {"10.9.9.9"},
		"Connection": {"X-Hop, X-Forwarded-For"}, "X-Hop": {"hop"}, "Proxy-Authorization": {"Basic SECRET"}, "Te": {"gzip"},
	}
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if text := fmt.Sprint(seen); strings.Contains(text, "SECRET") || strings.Contains(text, "10.9.9.9") || strings.Contains(text, "hop") {
		t.Errorf("the assembly sees %v", seen)
	}
	for name, want := range map[string]string{
		"Cookie": `theirs=1; quoted="a; other=2`, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": previewHost,
		"Authorization": "", "Forwarded": "",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := answer.Header.Values("Set-Cookie"); !reflect.DeepEqual(got, []string{"theirs=1; Path=/"}) || answer.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("the visitor is told %v", answer.Header)
	}
	req.Header = http.Header{"Authorization": {"Basic dGhlaXJz"}}
	if answer, err = http.DefaultTransport.RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := seen.Get("Authorization"); got != "Basic dGhlaXJz" {
		t.Errorf("the assembly's own credentials: %q", got)
	}
}

// An address that leads back here by a way that nobody sees would be asked for ever.
func TestRouterLoop(t *testing.T) {
	r, front := testRouter(t)
	var passed atomic.Int64
	detour := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		passed.Add(1)
		to, _ := url.Parse(front.URL)
		httputil.NewSingleHostReverseProxy(to).ServeHTTP(w, req)
	}))
	defer detour.Close()
	if err := r.Set(previewHost, at(detour)); err != nil {
		t.Fatal(err)
	}
	status, body := raw(t, front, "GET / HTTP/1.1\r\nHost: "+previewHost+"\r\nConnection: Gatehouse-Via\r\n\r\n")
	if status != http.StatusLoopDetected || passed.Load() != 1 {
		t.Errorf("%d %q after %d rounds", status, body, passed.Load())
	}
}

func TestRouterTargetDown(t *testing.T) {
	r, front := testRouter(t)
	assembly := httptest.NewServer(pages)
	if err := r.Set(previewHost, at(assembly)); err != nil {
		t.Fatal(err)
	}
	assembly.Close()
	status, body := raw(t, front, "GET / HTTP/1.1\r\nHost: "+previewHost+"\r\n\r\n")
	if status != http.StatusBadGateway || !strings.HasPrefix(body, previewHost+" does not answer at the moment.\n") || strings.Contains(body, "127.0.0.1") {
		t.Errorf("%d %q", status, body)
	}
}

// A connection that changes its protocol is passed on both ways, byte for byte.
func TestRouterUpgrade(t *testing.T) {
	r, front := testRouter(t)
	assembly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", req.Header.Get("Upgrade"))
		line, _ := buffered.ReadString('\n')
		fmt.Fprintf(conn, "you said %s", line)
	}))
	defer assembly.Close()
	if err := r.Set(previewHost, at(assembly)); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", front.Listener.Addr().String()) //nolint:noctx // our own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", previewHost)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%+v, %v", answer, err)
	}
	_ = answer.Body.Close()
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(t.Context(), at(assembly)) }()
	fmt.Fprintln(conn, "hello")
	if line, err := in.ReadString('\n'); err != nil || line != "you said hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A part of an answer is passed on when it comes, not when all has come.
func TestRouterStreams(t *testing.T) {
	r, front := testRouter(t)
	next := make(chan struct{})
	assembly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, word := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(w, word)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))
	defer assembly.Close()
	if err := r.Set(previewHost, at(assembly)); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL, nil)
	req.Host = previewHost
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	in := bufio.NewReader(answer.Body)
	for _, want := range []string{"one\n", "two\n"} {
		if got, err := in.ReadString('\n'); got != want {
			t.Fatalf("%q, %v", got, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Drain(ctx, at(assembly)); !errors.Is(err, context.Canceled) {
			t.Errorf("it is under way, and drained: %v", err)
		}
		next <- struct{}{}
	}
	_, _ = io.Copy(io.Discard, in)
	if err := r.Drain(t.Context(), at(assembly)); err != nil {
		t.Error(err)
	}
}
