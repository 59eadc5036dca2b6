package mirror_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"gatehouse/gitserver/mirror"
)

// forge is another server: it lets keys in over SSH and runs git for them.
type forge struct {
	t       *testing.T
	address string
	allowed atomic.Pointer[[]byte] // the one public key that may in
	host    atomic.Pointer[ssh.Signer]
	ran     atomic.Pointer[string] // the last command
}

func newForge(t *testing.T) *forge {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{t: t, address: listener.Addr().String()}
	f.newHostKey()
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.serve(conn) // one at a time: a mirror makes one connection after the other
		}
	}()
	return f
}

func (f *forge) newHostKey() {
	f.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		f.t.Fatal(err)
	}
	f.host.Store(&signer)
}

func (f *forge) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if allowed := f.allowed.Load(); allowed == nil || !bytes.Equal(*allowed, key.Marshal()) {
			return nil, errors.New("not let in")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(*f.host.Load())
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if request.Type != "exec" {
				_ = request.Reply(false, nil)
				continue
			}
			_ = request.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			f.exec(channel, string(request.Payload[4:]))
			break
		}
	}
}

// exec runs git-upload-pack or git-receive-pack 'PATH', as sshd with git-shell does.
func (f *forge) exec(channel ssh.Channel, command string) {
	f.ran.Store(&command)
	program, path, _ := strings.Cut(command, " ")
	cmd := exec.Command("git", strings.TrimPrefix(program, "git-"), strings.Trim(path, "'"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	status := uint32(0)
	if err == nil {
		go func() {
			_, _ = io.Copy(stdin, channel)
			_ = stdin.Close()
		}()
		err = cmd.Wait()
	}
	if err != nil {
		status = 1
	}
	_, _ = channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, status))
	_ = channel.Close()
}

func (f *forge) letIn(line string) {
	f.t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		f.t.Fatal(err)
	}
	wire := key.Marshal()
	f.allowed.Store(&wire)
}

// TestOverSSH goes through the whole life of an SSH mirror with the real ssh program: before
// its key is let in, after, and when the host shows another key.
func TestOverSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal("the tests need ssh: apt-get install openssh-client")
	}
	w := newWorld(t)
	f := newForge(t)
	up := w.upstream()
	m, err := w.Add(w.ctx, w.repo.ID, mirror.NewMirror{URL: "ssh://git@" + f.address + up})
	if err != nil {
		t.Fatal(err)
	}
	w.land("one")
	if again := w.sync(m); again == 0 {
		t.Error("not tried again before the key is let in")
	}
	if now := w.is(m, mirror.Retrying); !strings.Contains(now.Reason, "key") {
		t.Errorf("the reason is %q", now.Reason)
	}

	f.letIn(m.PublicKey)
	tip := w.land("two")
	w.sync(m)
	if now := w.is(m, mirror.Synced); now.LastOID != tip || refs(t, up)["refs/heads/main"] != string(tip) {
		t.Errorf("%+v, upstream has %v", now, refs(t, up))
	}
	if command := *f.ran.Load(); command != "git-receive-pack '"+up+"'" {
		t.Errorf("upstream was asked to run %s", command)
	}
	hosts := filepath.Join(w.Dir, mirror.SyncJob(m.ID).Key+".hosts")
	if text, err := os.ReadFile(hosts); err != nil || !strings.Contains(string(text), "ssh-ed25519") {
		t.Errorf("the host's key was not kept: %q, %v", text, err)
	}

	f.newHostKey()
	w.land("three")
	w.sync(m)
	if now := w.is(m, mirror.Retrying); !strings.Contains(now.Reason, "host key") {
		t.Errorf("the reason is %q", now.Reason)
	}
	if refs(t, up)["refs/heads/main"] != string(tip) {
		t.Error("pushed to a host with another key")
	}
	if err := w.Remove(w.ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(w.Dir); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
