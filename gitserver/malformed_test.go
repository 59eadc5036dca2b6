package gitserver

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
