package gitserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ways are the transports of each test with a real client.
func (w *world) ways(repo string) map[string]string {
	return map[string]string{"ssh": w.sshURL("alice", repo), "http": w.httpURL("alice", repo)}
}

func TestCloneAndFetchInEveryProtocol(t *testing.T) {
	w := newWorld(t)
	w.newRepo("team/hello", false)
	seed := filepath.Join(w.home, "seed-team-hello")
	tip := w.git(seed, "rev-parse", "HEAD")
	for way, from := range w.ways("team/hello") {
		for version := range 3 {
			t.Run(fmt.Sprintf("%s/v%d", way, version), func(t *testing.T) {
				w.t = t
				v := fmt.Sprintf("protocol.version=%d", version)
				dir := w.clone(from, "-c", v)
				if got := w.git(dir, "rev-parse", "origin/main"); got != tip {
					t.Errorf("cloned %s, want %s", got, tip)
				}
				w.commit(seed, fmt.Sprintf("more-%s-%d", way, version), "x\n")
				tip = w.git(seed, "rev-parse", "HEAD")
				w.git(seed, "push", "-q", from, "HEAD:refs/heads/main")
				w.git(dir, "fetch", "-q")
				if got := w.git(dir, "rev-parse", "origin/main"); got != tip {
					t.Errorf("fetched %s, want %s", got, tip)
				}
				if out := w.git(dir, "-c", v, "ls-remote", "--symref", "origin", "HEAD"); !strings.Contains(out, "ref: refs/heads/main\tHEAD") {
					t.Errorf("HEAD is %q", out)
				}
			})
		}
	}
}

func TestEveryFormOfAPath(t *testing.T) {
	w := newWorld(t)
	w.newRepo("team/hello", false)
	for _, path := range []string{"/team/hello", "/team/hello.git", "/a/team/hello", "/p/team/hello.git", "/a/p/team/hello"} {
		if out := w.git("", "ls-remote", w.web.URL+path); !strings.Contains(out, "refs/heads/main") {
			t.Errorf("http %s: %q", path, out)
		}
		if out := w.git("", "ls-remote", "ssh://bob@"+w.sshAddr+path); !strings.Contains(out, "refs/heads/main") {
			t.Errorf("ssh %s: %q", path, out)
		}
	}
	c := w.mustDial("bob")
	for _, line := range []string{
		"git-upload-pack team/hello", "git-upload-pack 'team/hello.git'", "git upload-pack '/team/hello.git'", `git-upload-pack "/team/hello"`,
	} {
		// Zuul sends a flush, leaves its side open, and wants exit 0.
		if out, errOut, code := w.exec(c, line, "0000"); code != 0 || !strings.Contains(out, "refs/heads/main") || errOut != "" {
			t.Errorf("%s: exit %d, %q, %q", line, code, out, errOut)
		}
	}
}

func TestShallowAndPartialClones(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	for way, from := range w.ways("hello") {
		t.Run(way, func(t *testing.T) {
			w.t = t
			dir := w.clone(from, "--depth=1")
			if got := w.git(dir, "rev-list", "--count", "HEAD"); got != "1" {
				t.Errorf("a clone of depth 1 has %s commits", got)
			}
			w.git(dir, "fetch", "-q", "--deepen=1")
			if got := w.git(dir, "rev-list", "--count", "HEAD"); got != "2" {
				t.Errorf("after deepening there are %s commits", got)
			}
			w.git(dir, "fetch", "-q", "--unshallow")
			if got := w.git(dir, "rev-list", "--count", "HEAD"); got != "3" {
				t.Errorf("after unshallowing there are %s commits", got)
			}
			dir = w.clone(from, "--filter=blob:none", "--no-checkout")
			missing := w.git(dir, "rev-list", "--objects", "--all", "--missing=print")
			if strings.Count(missing, "?") != 3 {
				t.Errorf("a partial clone lacks %d blobs, want 3:\n%s", strings.Count(missing, "?"), missing)
			}
			w.git(dir, "checkout", "-q", "main")
			if _, err := os.Stat(filepath.Join(dir, "file2")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFetchOfAHoldingRef(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	dir := w.clone(w.sshURL("alice", "hello"))
	w.commit(dir, "new", "x\n")
	w.git(dir, "push", "-q", "origin", "HEAD:refs/for/main")
	if !strings.Contains(w.refs(r), "refs/changes/01/1/1") {
		t.Fatal(w.refs(r))
	}
	for way, from := range w.ways("hello") {
		w.git(dir, "fetch", "-q", from, "refs/changes/01/1/1:refs/tmp/"+way)
		if w.git(dir, "rev-parse", "refs/tmp/"+way) != w.git(dir, "rev-parse", "HEAD") {
			t.Error("another commit came over " + way)
		}
	}
}

// A client that has ten thousand commits of which the server knows half: http-backends that
// pipe the request into upload-pack wait for each other for ever.
func TestTenThousandHavesDoNotDeadlock(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	seed := filepath.Join(w.home, "seed-hello")
	var script strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&script, "commit refs/heads/main\ncommitter A <a@example.test> %d +0000\ndata 1\nx\nfrom refs/heads/main^0\n\n", 1700000000+i)
	}
	w.write(filepath.Join(seed, "script"), strings.ReplaceAll(script.String(), "from refs/heads/main^0\n", ""))
	w.importScript(seed)
	w.git(seed, "push", "-q", w.sshURL("alice", "hello"), "+main:refs/heads/main")
	g, err := w.server.Repos.Open(r)
	if err != nil {
		t.Fatal(err)
	}
	tip, err := g.RefOID(w.ctx, "refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	common := strings.Fields(w.git(seed, "rev-list", "main"))
	body := appendPkt(nil, "want "+string(tip)+" multi_ack_detailed no-done side-band-64k ofs-delta\n")
	body = appendFlush(body)
	for i := range 10_000 {
		have := common[len(common)-1-i%(len(common)-1)]
		if i%2 == 1 {
			have = fmt.Sprintf("%040x", i)
		}
		body = appendPkt(body, "have "+have+"\n")
	}
	body = appendFlush(body)
	resp, text := w.post("", "/hello.git/git-upload-pack", string(body))
	if resp.StatusCode != 200 || strings.Count(text, "ACK ") < 4000 {
		t.Errorf("%s, %d bytes, %d ACKs", resp.Status, len(text), strings.Count(text, "ACK "))
	}
}

// importScript runs fast-import on dir/script.
func (w *world) importScript(dir string) {
	w.t.Helper()
	cmd := w.command(dir, "git", "fast-import", "--quiet", "--force")
	f, err := os.Open(filepath.Join(dir, "script"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("fast-import: %v\n%s", err, out)
	}
}
