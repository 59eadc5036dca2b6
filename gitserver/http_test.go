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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/migrations/db"
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

func TestHTTPSignIn(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	w.newRepo("secret", true)
	alice, bob := w.people["alice"], w.people["bob"]
	basic := func(name, password string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(name, password)
		return r.Header.Get("Authorization")
	}
	const fetch, push = "/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack"
	tests := []struct {
		name, auth, path string
		want             int
	}{
		{"anybody fetches what is public", "", "/hello" + fetch, 200},
		{"nobody pushes unnamed", "", "/hello" + push, 401},
		{"a private repository asks for a name", "", "/secret" + fetch, 401},
		{"and so does a missing one", "", "/missing" + fetch, 401},
		{"its owner", basic("alice", alice.token), "/secret" + fetch, 200},
		{"its owner with Bearer", "Bearer " + alice.token, "/secret" + push, 200},
		{"somebody else", basic("bob", bob.token), "/secret" + fetch, 404},
		{"somebody else pushing", basic("bob", bob.token), "/secret" + push, 404},
		{"somebody else, missing", basic("bob", bob.token), "/missing" + fetch, 404},
		{"another's token", basic("alice", bob.token), "/hello" + fetch, 401},
		{"another's token, other way", basic("bob", alice.token), "/secret" + fetch, 401},
		{"no name", basic("", alice.token), "/secret" + fetch, 401},
		{"the token as name", basic(alice.token, ""), "/secret" + fetch, 401},
		{"the token as name and x-oauth", basic(alice.token, "x-oauth-basic"), "/secret" + fetch, 401},
		{"a wrong token even where none is needed", basic("alice", "gate_wrong"), "/hello" + fetch, 401},
		{"no password", basic("alice", ""), "/hello" + fetch, 401},
		{"another scheme", "Digest username=alice", "/hello" + fetch, 401},
		{"garbage", "Basic !!!", "/hello" + fetch, 401},
		{"a very long one", "Bearer " + strings.Repeat("x", 4096), "/hello" + fetch, 401},
		{"case of the scheme", "bearer " + alice.token, "/secret" + fetch, 200},
	}
	answers := map[int]string{}
	for _, tt := range tests {
		resp, text := w.get("", tt.path, "Authorization", tt.auth)
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.want)
		}
		if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != `Basic realm="Gatehouse"` {
			t.Errorf("%s: challenge %q", tt.name, resp.Header.Get("WWW-Authenticate"))
		}
		if tt.want == 404 {
			if before, ok := answers[404]; ok && before != text {
				t.Errorf("%s: %q tells it from %q", tt.name, text, before)
			}
			answers[404] = text
		}
	}
	_, missing := w.get("", "/missing"+fetch)
	if _, secret := w.get("", "/secret"+fetch); secret != missing {
		t.Errorf("%q tells a private repository from a missing one: %q", secret, missing)
	}
	for _, p := range w.people {
		if strings.Contains(w.log.String(), p.token) {
			t.Error("a token is in the log")
		}
	}
}

func TestRevokedTokenAndDisabledAccount(t *testing.T) {
	w := newWorld(t)
	w.newRepo("secret", true)
	const path = "/secret/info/refs?service=git-upload-pack"
	if resp, _ := w.get("alice", path); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	w.transact(func(tx *db.Tx) error { return w.server.Accounts.RevokeSecret(w.ctx, tx, w.people["alice"].token) })
	if resp, _ := w.get("alice", path); resp.StatusCode != 401 {
		t.Errorf("revoked: %s", resp.Status)
	}
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.SetDisabled(w.ctx, tx, w.people["bob"].account.ID, true)
	})
	if resp, _ := w.get("bob", path); resp.StatusCode != 401 {
		t.Errorf("disabled: %s", resp.Status)
	}
	if _, err := w.tryGit("", "ls-remote", w.sshURL("bob", "secret")); err == nil {
		t.Error("a disabled account signs in over SSH")
	}
}

func TestReadersMayFetchAndNotPush(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("secret", true)
	bob := account.Subject{Kind: account.ToAccount, ID: w.people["bob"].account.ID}
	w.transact(func(tx *db.Tx) error { return w.server.Accounts.Grant(w.ctx, tx, r.ID, bob, "", account.RoleRead) })
	for _, to := range []string{w.httpURL("bob", "secret"), w.sshURL("bob", "secret")} {
		dir := w.clone(to)
		w.commit(dir, "new", "x\n")
		if out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/for/main"); err == nil {
			t.Errorf("a reader pushed: %s", out)
		}
	}
	if resp, text := w.get("bob", "/secret/info/refs?service=git-receive-pack"); resp.StatusCode != 403 || !strings.Contains(text, "alice") {
		t.Errorf("%s %q does not say whom to ask", resp.Status, text)
	}
	// Who may propose on one branch may open a push; the rest is the Decider's.
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.Grant(w.ctx, tx, r.ID, bob, "release/*", account.RoleWrite)
	})
	if resp, _ := w.get("bob", "/secret/info/refs?service=git-receive-pack"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func gzipped(t *testing.T, text []byte) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
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
	resp, text := w.post("", "/hello/git-upload-pack", gzipped(t, want), "Content-Encoding", "gzip")
	if resp.StatusCode != 200 || !strings.Contains(text, "PACK") {
		t.Errorf("%s %.100q", resp.Status, text)
	}
	before := highWater()
	bomb := gzipped(t, make([]byte, 256<<20))
	resp, text = w.post("", "/hello/git-upload-pack", bomb, "Content-Encoding", "gzip")
	if resp.StatusCode != 413 || !strings.Contains(text, "too much") {
		t.Errorf("a bomb of %d bytes: %s %q", len(bomb), resp.Status, text)
	}
	if grown := highWater() - before; grown > 300<<20 { // 256 of it are ours
		t.Errorf("the heap grew by %d MiB", grown>>20)
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

// A client that stops in mid-request is given up, whatever it has sent so far.
func TestHTTPStalledClient(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.Stall = 50 * time.Millisecond })
	r := w.newRepo("hello", false)
	pack, tip := w.packOf("hello")
	push := lines(zeroID+" "+tip+" refs/heads/stalled"+allCap) + "0000" + pack
	for _, tt := range []struct{ svc, body string }{
		{"git-upload-pack", "00"}, {"git-receive-pack", "00"}, {"git-receive-pack", push[:len(push)/2]},
	} {
		conn, err := net.Dial("tcp", w.web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /hello/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-%s-request\r\nContent-Length: 100000\r\n\r\n%s",
			tt.svc, w.people["alice"].token, tt.svc, tt.body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Error(err)
		}
		_ = conn.Close()
	}
	eventually(t, "all requests are over", func() bool { return strings.Count(w.log.String(), `msg="git over http"`) == 3 })
	w.noLeftovers(r)
	if strings.Contains(w.refs(r), "stalled") {
		t.Error("the half push arrived")
	}
}

// packOf is a pack with all that main of the repository's seed has and one commit more.
func (w *world) packOf(name string) (pack, tip string) {
	w.t.Helper()
	seed := filepath.Join(w.home, "seed-"+name)
	big := make([]byte, 1<<20)
	state := uint32(1)
	for i := range big {
		state = state*1664525 + 1013904223
		big[i] = byte(state >> 24)
	}
	if err := os.WriteFile(filepath.Join(seed, "big"), big, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.git(seed, "add", "big")
	w.git(seed, "commit", "-q", "-m", "big")
	tip = w.git(seed, "rev-parse", "HEAD")
	cmd := w.command(seed, "git", "pack-objects", "--revs", "--stdout", "-q")
	cmd.Stdin = strings.NewReader(tip + "\n")
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(out), tip
}

// flipped is text with all bits of one byte turned over.
func flipped(text string, at int) string {
	return text[:at] + string([]byte{^text[at]}) + text[at+1:]
}

// Each of these is answered in words, leaves nothing, and ends.
func TestMalformedPushes(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	before := w.refs(r)
	pack, tip := w.packOf("hello")
	head := lines(zeroID+" "+tip+" refs/heads/bad"+allCap) + "0000"
	tests := []struct{ name, body, want string }{
		{"length 1", "0001", "no meaning"},
		{"length 3", "0003", "no meaning"},
		{"no hex", "zzzz", "bad pkt-line length"},
		{"too long", "ffff", "maximum"},
		{"half a length", "00", "inside"},
		{"half a line", "0032hello", "inside"},
		{"no command", lines("hello"), "no command"},
		{"binary", "\x00\x01\x02\x03\x1b[2J", "bad pkt-line length"},
		{"certificate", lines("push-cert" + allCap), "signed pushes"},
		{"v2 command", lines("command=ls-refs"), "no command"},
		{"later line", lines(zeroID+" "+tip+" refs/heads/bad"+allCap, "hello"), "no command"},
		{"no pack", head, "pack ends before"},
		{"no pack at all", head + "hello, world, this is no pack", "not a pack"},
		{"half a pack", head + pack[:len(pack)/2], "early EOF"},
		{"a flipped bit", head + flipped(pack, 5000), "unpack"},
		{"bad checksum", head + flipped(pack, len(pack)-1), "unpack"},
		{"an old pack version", head + "PACK\x00\x00\x00\x09" + pack[8:], "unpack"},
		{"another tip than the pack has", lines(zeroID+" "+oneID+" refs/heads/bad"+allCap) + "0000" + pack, "refs/heads/bad"},
		{"ref with a newline", lines(zeroID+" "+tip+" refs/heads/a\nX"+allCap) + "0000" + pack, "control"},
		{"hidden ref", lines(zeroID+" "+tip+" refs/gate/x"+allCap) + "0000" + pack, "alone"},
		{"same ref twice", lines(zeroID+" "+tip+" refs/heads/bad"+allCap, zeroID+" "+tip+" refs/heads/bad") + "0000" + pack, "named twice"},
		{"shallow", lines("shallow "+tip, zeroID+" "+tip+" refs/heads/bad"+allCap) + "0000" + pack, "unshallow"},
	}
	c := w.mustDial("alice")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			_, text := w.post("alice", "/hello/git-receive-pack", tt.body)
			if !strings.Contains(text, tt.want) || strings.Contains(text, "\x1b") {
				t.Errorf("http: %q, want %q", text, tt.want)
			}
			out, errOut, _ := w.exec(c, "git-receive-pack hello", tt.body)
			if !strings.Contains(out+errOut, tt.want) || strings.Contains(out, "\x1b") {
				t.Errorf("ssh: %q %q, want %q", out, errOut, tt.want)
			}
		})
	}
	w.t = t
	if w.refs(r) != before || w.decider.count() != 0 {
		t.Errorf("%d pushes came through:\n%s", w.decider.count(), w.refs(r))
	}
	w.noLeftovers(r)
}

func TestCutConnectionInMidPack(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	before := w.refs(r)
	pack, tip := w.packOf("hello")
	body := lines(zeroID+" "+tip+" refs/heads/cut"+allCap) + "0000" + pack
	framings := []string{"Content-Length: %d\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n%x\r\n"}
	for cut := range 4 {
		part := body[:len(body)*(cut+1)/5]
		conn, err := net.Dial("tcp", w.web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /hello/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/x-git-receive-pack-request\r\n"+framings[cut%2]+"%s", w.people["alice"].token, len(body), part)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()

		c := w.mustDial("alice")
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("git-receive-pack hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, part); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	eventually(t, "all pushes are over", func() bool {
		log := w.log.String()
		return strings.Count(log, `msg="git over http" verb=git-receive-pack`) == 4 && strings.Count(log, `msg="git over ssh" verb=git-receive-pack`) == 4
	})
	w.noLeftovers(r)
	if w.refs(r) != before || w.decider.count() != 0 {
		t.Errorf("%d pushes came through:\n%s", w.decider.count(), w.refs(r))
	}
}

// Over SSH some clients (JGit, libgit2) leave their side open and wait for the report.
func TestClientThatLeavesItsSideOpen(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	pack, tip := w.packOf("hello")
	s, err := w.mustDial("alice").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("git-receive-pack hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, lines(zeroID+" "+tip+" refs/heads/open"+allCap)+"0000"+pack); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil || !strings.Contains(string(text), "ok refs/heads/open") {
		t.Errorf("%q, %v", text, err)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(w.refs(r), "refs/heads/open "+tip) {
		t.Error(w.refs(r))
	}
	w.noLeftovers(r)
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
