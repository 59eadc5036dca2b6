package gitserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestHTTPHeaders(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	for _, svc := range []string{"git-upload-pack", "git-receive-pack"} {
		resp, text := w.get("alice", "/hello.git/info/refs?service="+svc)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-"+svc+"-advertisement" ||
			!strings.Contains(resp.Header.Get("Cache-Control"), "no-cache") || resp.Header.Get("Pragma") != "no-cache" || resp.Header.Get("Expires") == "" {
			t.Errorf("%s: %s %v", svc, resp.Status, resp.Header)
		}
		if want := fmt.Sprintf("%04x# service=%s\n0000", len(svc)+15, svc); !strings.HasPrefix(text, want) {
			t.Errorf("%s: %.60q, want %q", svc, text, want)
		}
	}
	resp, text := w.get("", "/hello.git/info/refs?service=git-upload-pack", "Git-Protocol", "version=2")
	if resp.StatusCode != 200 || !strings.HasPrefix(text, "000eversion 2\n") {
		t.Errorf("v2: %s %.60q", resp.Status, text)
	}
	resp, text = w.post("alice", "/hello.git/git-receive-pack", "0000")
	if resp.StatusCode != 200 || text != "" || resp.Header.Get("Content-Type") != "application/x-git-receive-pack-result" {
		t.Errorf("a probe: %s %q %v", resp.Status, text, resp.Header)
	}
}

func TestPushAdvertisementHidesTheServersRefs(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	dir := w.clone(w.sshURL("alice", "hello"))
	w.commit(dir, "new", "x\n")
	w.git(dir, "push", "-q", "origin", "HEAD:refs/for/main")
	g, err := w.server.Repos.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	w.git(g.Dir(), "update-ref", "refs/gate/secret", "refs/heads/main")
	w.git(g.Dir(), "update-ref", "refs/notes/x", "refs/heads/main")
	_, text := w.get("alice", "/hello.git/info/refs?service=git-receive-pack")
	if !strings.Contains(text, "refs/heads/main\x00"+pushCapabilities) || strings.Contains(text, "refs/changes") ||
		strings.Contains(text, "refs/gate") || strings.Contains(text, "refs/notes") || strings.Contains(text, "HEAD") {
		t.Errorf("advertised: %q", text)
	}
	if out := w.git("", "ls-remote", w.httpURL("", "hello")); strings.Contains(out, "refs/gate") || !strings.Contains(out, "refs/changes/01/1/1") {
		t.Errorf("a fetch is shown: %s", out)
	}
	_, err = w.server.Repos.Create(w.ctx, newRepository("empty", w.people["alice"].account.ID))
	if err != nil {
		t.Fatal(err)
	}
	_, text = w.get("alice", "/empty/info/refs?service=git-receive-pack")
	if !strings.Contains(text, zeroID+" capabilities^{}\x00") {
		t.Errorf("an empty repository advertises %q", text)
	}
}

func TestHTTPRefusesWhatDoesNotAgree(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	fetch, push := "application/x-git-upload-pack-request", "application/x-git-receive-pack-request"
	tests := []struct {
		method, path string
		header       []string
		want         int
	}{
		{"GET", "/hello.git/info/refs", nil, 403}, // dumb
		{"GET", "/hello/info/refs", nil, 403},
		{"GET", "/hello.git/info/refs?service=", nil, 403},
		{"GET", "/hello.git/info/refs?service=git-upload-archive", nil, 403},
		{"GET", "/hello.git/info/refs?service=git-upload-pack&service=git-receive-pack", nil, 403},
		{"GET", "/hello.git/info/refs?service=upload-pack", nil, 403},
		{"POST", "/hello.git/info/refs?service=git-upload-pack", nil, 405},
		{"GET", "/hello.git/git-upload-pack", nil, 405},
		{"PUT", "/hello.git/git-receive-pack", nil, 405},
		{"POST", "/hello.git/git-upload-pack?service=git-receive-pack", []string{"Content-Type", fetch}, 400},
		{"POST", "/hello.git/git-receive-pack?service=git-upload-pack", []string{"Content-Type", push}, 400},
		{"POST", "/hello.git/git-upload-pack", []string{"Content-Type", push}, 400},
		{"POST", "/hello.git/git-receive-pack", []string{"Content-Type", fetch}, 400},
		{"POST", "/hello.git/git-upload-pack", nil, 415},
		{"POST", "/hello.git/git-upload-pack", []string{"Content-Type", "text/plain"}, 415},
		{"POST", "/hello.git/git-upload-pack", []string{"Content-Type", fetch, "Content-Encoding", "br"}, 415},
		{"GET", "/hello.git/HEAD", nil, 403},
		{"GET", "/hello.git/config", nil, 403},
		{"GET", "/hello.git/packed-refs", nil, 403},
		{"GET", "/hello.git/objects/info/packs", nil, 403},
		{"GET", "/hello/objects/info/packs", nil, 403},
		{"GET", "/hello.git/objects/" + oneID[:2] + "/" + oneID[2:], nil, 403},
		{"GET", "/hello.git/objects/pack/pack-" + oneID + ".pack", nil, 403},
		{"GET", "/hello", nil, 418}, // the web's
		{"GET", "/hello.git", nil, 418},
		{"GET", "/hello/tree/main/README", nil, 418},
		{"POST", "/api/v1/changes", nil, 418},
		{"GET", "/hello/-/tree/main/info/refs", nil, 418},
		{"GET", "/hello/-/tree/main/info/refs?service=git-upload-pack", nil, 418},
		{"GET", "/hello/-/tree/main/x.git/config", nil, 418},
		{"GET", "/hello/-/tree/main/objects/" + oneID[:2] + "/" + oneID[2:], nil, 418},
		{"POST", "/hello/-/x/git-upload-pack", nil, 418},
	}
	for _, tt := range tests {
		r, err := http.NewRequestWithContext(w.ctx, tt.method, w.web.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, text := w.send("alice", r, tt.header...)
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s %v: %s, want %d: %s", tt.method, tt.path, tt.header, resp.Status, tt.want, text)
		}
	}
	if n := w.decider.count(); n != 0 {
		t.Errorf("%d pushes", n)
	}
}

func TestHTTPPathsStayInside(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	g, err := w.server.Repos.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(filepath.Dir(g.Dir())), "outside.git")
	w.git("", "init", "-q", "--bare", outside)
	for _, path := range []string{
		"/../outside.git", "/%2e%2e/outside.git", "/..%2foutside.git", "/hello.git/../../outside.git", "//outside.git", "/./hello.git",
		"/hello.git/..", "/hello.git.git", "/" + url.PathEscape(g.Dir()), g.Dir(), "/" + filepath.Base(g.Dir()), "/Hello.git/.",
		"/hello%00.git", "/hello%0a.git", "/hello .git", "/-hello.git", "/.git", "/a/", "/a/p/", "/api.git", "/a/a/hello",
	} {
		for _, service := range []string{"git-upload-pack", "git-receive-pack"} {
			for _, line := range []string{
				"GET " + path + "/info/refs?service=" + service + " HTTP/1.1\r\n",
				"POST " + path + "/" + service + " HTTP/1.1\r\nContent-Type: application/x-" + service + "-request\r\nContent-Length: 4\r\n",
			} {
				status, body := w.raw(line + "Authorization: Bearer " + w.people["alice"].token + "\r\n\r\n0000")
				if status == 200 || strings.Contains(body, "refs/") {
					t.Errorf("%s: %d %q", line, status, body)
				}
			}
		}
	}
}

// raw sends a request that no client would make. The path may be such that the request line
// itself is refused.
func (w *world) raw(request string) (status int, body string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.web.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	head, rest, _ := strings.Cut(request, "\r\n")
	if _, err := io.WriteString(conn, head+"\r\nHost: x\r\nConnection: close\r\n"+rest); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%.200q: %v", request, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func gzipped(t *testing.T, text io.Reader) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := io.Copy(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// zeros is what bombs are filled with.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestGzipRequests(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.RequestBytes = 1 << 20 })
	r := w.newRepo("hello", false)
	g, err := w.server.Repos.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	tip, err := g.RefOID(w.ctx, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	want := append(appendFlush(appendPkt(nil, "want "+string(tip)+" ofs-delta\n")), "0009done\n"...)
	resp, text := w.post("", "/hello/git-upload-pack", gzipped(t, bytes.NewReader(want)), "Content-Encoding", "gzip")
	if resp.StatusCode != 200 || !strings.Contains(text, "PACK") {
		t.Errorf("%s %.100q", resp.Status, text)
	}
	bomb := gzipped(t, io.LimitReader(zeros{}, 256<<20))
	grown := heapGrowth(func() { resp, text = w.post("", "/hello/git-upload-pack", bomb, "Content-Encoding", "gzip") })
	if resp.StatusCode != 413 || !strings.Contains(text, "too much") {
		t.Errorf("a bomb of %d bytes: %s %q", len(bomb), resp.Status, text)
	}
	if grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	w.server.requests.Store(maxRequests)
	if resp, _ = w.post("", "/hello/git-upload-pack", strings.Repeat("0", 2*freeRequest)); resp.StatusCode != 503 {
		t.Errorf("over the memory of all requests: %s", resp.Status)
	}
	if resp, _ = w.post("", "/hello/git-upload-pack", string(want)); resp.StatusCode != 200 {
		t.Errorf("a small request meanwhile: %s", resp.Status)
	}
	if n := w.server.requests.Swap(0); n != maxRequests {
		t.Errorf("%d bytes were not given back", n-maxRequests)
	}
	if resp, _ = w.post("", "/hello/git-upload-pack", "no gzip at all", "Content-Encoding", "gzip"); resp.StatusCode != 400 {
		t.Error(resp.Status)
	}
	if resp, _ = w.post("", "/hello/git-upload-pack", strings.Repeat("0", 2<<20)); resp.StatusCode != 413 {
		t.Error(resp.Status)
	}
	// A push may come so too; the same bomb is no pack.
	resp, text = w.post("alice", "/hello/git-receive-pack", bomb, "Content-Encoding", "x-gzip")
	if resp.StatusCode != 400 || !strings.Contains(text, "protocol error") {
		t.Errorf("%s %q", resp.Status, text)
	}
}

func TestGitProtocolHeaderIsNotTrusted(t *testing.T) {
	for value, want := range map[string]string{
		"version=2": "version=2", "version=1": "version=1", "version=0": "version=0", "": "", "version=1:version=2": "version=2",
		"version=2:key=value": "version=2", "version=2:version=7": "version=2", "version=3": "", "version=22": "", "key=value": "",
		"version=2\nX=1": "", "version=2;id": "", "version=2 ": "", "version=2:": "", "VERSION=2": "", "version=2:a=$(id)": "",
		"version=2:a\x00b": "", "version=2" + strings.Repeat(":a=b", 50): "",
	} {
		if got := protocol(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	w := newWorld(t)
	w.newRepo("hello", false)
	_, text := w.get("", "/hello/info/refs?service=git-upload-pack", "Git-Protocol", "version=2;touch /tmp/x")
	if strings.Contains(text, "version 2") {
		t.Errorf("%.100q", text)
	}
}

// Chunked uploads of any size pass, and a bad one is refused before its end.
func TestChunkedPush(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	dir := w.clone(w.httpURL("alice", "hello"))
	w.commit(dir, "new", strings.Repeat("some text\n", 100_000))
	w.git(dir, "-c", "http.postBuffer=1000", "push", "-q", "origin", "HEAD:refs/heads/chunked")
	if !strings.Contains(w.refs(r), "refs/heads/chunked") {
		t.Error(w.refs(r))
	}
}

func TestSlotsAreGivenBack(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.Fetches, s.Limits.Pushes = 1, 1 })
	r := w.newRepo("hello", false)
	errs := make(chan string, 8)
	for i := range 8 {
		dir := w.clone(w.ways("hello")[[]string{"ssh", "http"}[i%2]])
		w.commit(dir, fmt.Sprint(i), "x\n")
		go func() {
			out, err := w.tryGit(dir, "push", "-q", "origin", fmt.Sprintf("HEAD:refs/heads/b%d", i))
			if err != nil {
				out += err.Error()
			}
			errs <- out
		}()
	}
	for range 8 {
		if text := <-errs; text != "" {
			t.Error(text)
		}
	}
	if n := strings.Count(w.refs(r), "refs/heads/b"); n != 8 {
		t.Errorf("%d of 8 arrived", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave, err := enter(ctx, w.server.line().pushes)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := enter(ctx, w.server.line().pushes); err == nil {
		t.Error("two in a line of one")
	}
	leave()
}
