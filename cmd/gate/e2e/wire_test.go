package e2e_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// zero is the object id that means "none".
const zero = "0000000000000000000000000000000000000000"

// pkt writes pkt-lines to a file (Documentation/gitprotocol-common.txt), from items that are
// "flush", "delim", "raw:BYTES", "file:NAME" or the payload of a line. BYTES and payloads know
// the escapes of a Go string.
func (s *script) pkt(args []string) {
	if len(args) < 2 {
		s.Fatalf("usage: pkt FILE ITEM…")
	}
	var out bytes.Buffer
	for _, item := range args[1:] {
		kind, rest, _ := strings.Cut(item, ":")
		switch {
		case item == "flush":
			out.WriteString("0000")
		case item == "delim":
			out.WriteString("0001")
		case kind == "raw":
			out.WriteString(s.unescape(rest))
		case kind == "file":
			out.WriteString(s.ReadFile(rest))
		default:
			text := s.unescape(item)
			fmt.Fprintf(&out, "%04x%s", len(text)+4, text)
		}
	}
	s.Check(os.WriteFile(s.MkAbs(args[0]), out.Bytes(), 0o600))
}

func (s *script) unescape(text string) string {
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	s.Check(err)
	return plain
}

// cutPush begins to push HEAD, and leaves when the server has begun to take the pack in.
func (s *script) cutPush(args []string) {
	if len(args) != 4 {
		s.Fatalf("usage: cut-push http|ssh NAME REPO REF")
	}
	how, name, repo, ref := args[0], args[1], args[2], args[3]
	s.must([]string{"git", "rev-parse", "HEAD"})
	head := strings.TrimSpace(s.ReadFile("stdout"))
	pack := exec.Command("git", "pack-objects", "--revs", "--stdout", "-q")
	pack.Dir, pack.Stdin = s.MkAbs("."), strings.NewReader(head+"\n")
	data, err := pack.Output()
	s.Check(err)
	command := zero + " " + head + " " + ref + "\x00report-status side-band-64k"
	request := fmt.Sprintf("%04x%s0000", len(command)+4, command) + string(data)
	cut := len(request) - len(data)/2
	leave := s.sendOverSSH
	if how == "http" {
		leave = s.sendOverHTTP
	}
	done := leave(name, repo, request, cut)
	s.wait("the server takes the pack into quarantine", func() bool {
		found, err := filepath.Glob(filepath.Join(s.world.repos[repo], "objects", "incoming-*"))
		return err == nil && len(found) > 0
	})
	done()
}

// sendOverHTTP sends the first bytes of a request that promises all of it.
func (s *script) sendOverHTTP(name, repo, request string, first int) (hangUp func()) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.world.HTTP, "http://"))
	s.Check(err)
	basic := base64.StdEncoding.EncodeToString([]byte(name + ":" + s.token(name)))
	_, err = fmt.Fprintf(conn, "POST /%s/git-receive-pack HTTP/1.1\r\nHost: gate\r\nAuthorization: Basic %s\r\n"+
		"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: %d\r\n\r\n%s", repo, basic, len(request), request[:first])
	s.Check(err)
	return func() { s.Check(conn.Close()) }
}

// sendOverSSH does the same with a client that is then killed.
func (s *script) sendOverSSH(name, repo, request string, first int) (hangUp func()) {
	host, port, _ := strings.Cut(s.world.SSH, ":")
	cmd := exec.Command("ssh", "-F", s.world.ssh, "-p", port, name+"@"+host, "git-receive-pack '"+repo+"'")
	cmd.Stdout = io.Discard
	in, err := cmd.StdinPipe()
	s.Check(err)
	s.Check(cmd.Start())
	_, err = io.WriteString(in, request[:first])
	s.Check(err)
	return func() {
		s.Check(cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			s.Fatalf("ssh ended by itself")
		}
	}
}
