package gitserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"gatehouse/migrations/db"
)

// The identity is the key that was proven. A server that keeps what it learned about a key
// that was only offered (CVE-2024-45337) takes whoever knows alice's public key for alice.
func TestIdentityIsTheProvenKey(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	// alice's public key beside a private key that cannot be opened: OpenSSH offers it, is
	// told that it would do, cannot sign, and goes on to bob's.
	dir := t.TempDir()
	block, err := gossh.MarshalPrivateKeyWithPassphrase(mustPrivate(t, w.people["alice"].keyFile), "", []byte("not known"))
	if err != nil {
		t.Fatal(err)
	}
	offered := filepath.Join(dir, "offered")
	w.write(offered, string(pem.EncodeToMemory(block)))
	w.write(offered+".pub", string(gossh.MarshalAuthorizedKey(w.people["alice"].signer.PublicKey())))
	_, port, err := net.SplitHostPort(w.sshAddr)
	if err != nil {
		t.Fatal(err)
	}
	args := append(w.sshOptions(), "-i", offered, "-i", w.people["bob"].keyFile, "-v", "-p", port, "alice@127.0.0.1")
	cmd := w.command("", "ssh", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), "Hi bob, ") {
		t.Errorf("%v: %q\n%s", err, out, stderr.String())
	}
	// With Go's client: the wrong signature under alice's key ends the connection.
	forged := forgedSigner{public: w.people["alice"].signer.PublicKey(), Signer: w.people["bob"].signer}
	if c, err := w.dialSSH(gossh.PublicKeys(forged)); err == nil {
		_ = c.Close()
		t.Error("a signature of bob's was taken for alice's")
	}
}

func mustPrivate(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forgedSigner shows one key and signs with another.
type forgedSigner struct {
	gossh.Signer
	public gossh.PublicKey
}

func (f forgedSigner) PublicKey() gossh.PublicKey { return f.public }

func TestOnlyKnownKeysSignIn(t *testing.T) {
	w := newWorld(t)
	_, stranger := w.newKey("stranger")
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakSigner, err := gossh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	// Such a key cannot be added; somebody put it into the table.
	w.transact(func(tx *db.Tx) error {
		_, err := tx.ExecContext(w.ctx, `INSERT INTO ssh_keys (id, account_id, blob, fingerprint, comment, created_at) VALUES (999, $1, $2, 'x', '', 0)`,
			w.people["alice"].account.ID, base64.StdEncoding.EncodeToString(weakSigner.PublicKey().Marshal()))
		return err
	})
	cert := &gossh.Certificate{Key: w.people["alice"].signer.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"git", "alice"}, ValidBefore: gossh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, stranger); err != nil {
		t.Fatal(err)
	}
	certSigner, err := gossh.NewCertSigner(cert, w.people["alice"].signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, auth := range map[string][]gossh.AuthMethod{
		"nothing":              nil,
		"password":             {gossh.Password(w.people["alice"].token)},
		"keyboard-interactive": {gossh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) { return nil, nil })},
		"unknown key":          {gossh.PublicKeys(stranger)},
		"RSA 2048":             {gossh.PublicKeys(weakSigner)},
		"certificate":          {gossh.PublicKeys(certSigner)},
	} {
		if c, err := w.dialSSH(auth...); err == nil {
			_ = c.Close()
			t.Errorf("%s signs in", name)
		}
	}
	if c, err := w.dialSSH(gossh.PublicKeys(stranger, w.people["bob"].signer)); err != nil {
		t.Errorf("a second key: %v", err)
	} else {
		_ = c.Close()
	}
	if !strings.Contains(w.log.String(), gossh.FingerprintSHA256(stranger.PublicKey())) {
		t.Error("the refused key is not in the log")
	}
}

func TestOldAlgorithmsAreNotSpoken(t *testing.T) {
	w := newWorld(t)
	insecure := gossh.InsecureAlgorithms()
	for name, change := range map[string]func(*gossh.ClientConfig){
		"key exchange": func(c *gossh.ClientConfig) {
			c.KeyExchanges = append(insecure.KeyExchanges, gossh.KeyExchangeDH14SHA256)
		},
		"cipher": func(c *gossh.ClientConfig) { c.Ciphers = append(insecure.Ciphers, gossh.CipherChaCha20Poly1305) },
		"MAC": func(c *gossh.ClientConfig) {
			c.Ciphers, c.MACs = []string{gossh.CipherAES128CTR}, []string{gossh.HMACSHA1}
		},
		"host key": func(c *gossh.ClientConfig) { c.HostKeyAlgorithms = []string{gossh.KeyAlgoRSA, gossh.KeyAlgoRSASHA256} },
	} {
		config := &gossh.ClientConfig{User: "git", Auth: []gossh.AuthMethod{gossh.PublicKeys(w.people["alice"].signer)}, HostKeyCallback: gossh.InsecureIgnoreHostKey()} //nolint:gosec // a test
		change(config)
		if c, err := gossh.Dial("tcp", w.sshAddr, config); err == nil {
			_ = c.Close()
			t.Errorf("an old %s is spoken", name)
		}
	}
}

func TestExecAttacks(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	c := w.mustDial("bob")
	canary := filepath.Join(t.TempDir(), "canary")
	for _, line := range []string{
		"git-upload-pack 'hello'; touch " + canary, "git-upload-pack hello;touch " + canary, "git-upload-pack $(touch " + canary + ")",
		"git-upload-pack \"$(touch " + canary + ")\"", "git-upload-pack `touch " + canary + "`", "git-upload-pack 'hello' && touch " + canary,
		"git-upload-pack hello\ntouch " + canary, "git-upload-pack --exec=touch hello", "git-upload-pack '-oProxyCommand=touch " + canary + "'",
		"git-upload-pack 'hello\x00'", "git-upload-pack '" + strings.Repeat("x", 64<<10) + "'", "git-upload-archive 'hello'", "git-lfs-authenticate hello download",
		"git upload-archive 'hello'", "scp -f hooks/commit-msg", "bash -i", "/bin/sh", "gerrit version", "git", "git-shell", "", "git-upload-pack",
		"git-upload-pack '../hello'", "git-upload-pack '/../../hello'", "git-upload-pack '" + canary + "'", "git-upload-pack missing",
	} {
		out, errOut, code := w.exec(c, line, "0000")
		if code != 128 || out != "" || !strings.Contains(errOut, "error: ") || !strings.Contains(errOut, "\nhint: ") {
			t.Errorf("%.60q: exit %d, %q, %q", line, code, out, errOut)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command was executed")
	}
	// A private repository and a missing one are the same to others.
	w.newRepo("secret", true)
	_, missing, _ := w.exec(c, "git-upload-pack missing", "")
	if _, secret, code := w.exec(c, "git-upload-pack secret", ""); secret != missing || code != 128 {
		t.Errorf("%q tells it from %q", secret, missing)
	}
	if _, secret, _ := w.exec(c, "git-receive-pack secret", ""); secret != missing {
		t.Errorf("%q tells it from %q", secret, missing)
	}
}

func TestOnlyExecIsServed(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	c := w.mustDial("alice")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"GIT_PROTOCOL": "version=2;id", "GIT_SSH_COMMAND": "id", "LD_PRELOAD": "x", "-S": "touch /tmp/x", "LANG": "C", "GIT_CONFIG_COUNT": "1", "": "", "GIT_PROTOCOL\n": "version=2",
	} {
		if err := s.Setenv(key, value); err == nil {
			t.Errorf("%s=%s was taken", key, value)
		}
	}
	if err := s.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
		t.Error(err)
	}
	if err := s.RequestPty("xterm", 80, 24, nil); err == nil {
		t.Error("there is a pty")
	}
	for _, name := range []string{"auth-agent-req@openssh.com", "x11-req", "subsystem", "window-change", "break", "signal", "xon-xoff"} {
		payload := gossh.Marshal(struct{ Name string }{"sftp"})
		if ok, err := s.SendRequest(name, true, payload); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	var out bytes.Buffer
	s.Stdout, s.Stdin = &out, strings.NewReader("0000")
	if err := s.Run("git-upload-pack hello"); err != nil || !strings.HasPrefix(out.String(), "000eversion 2\n") {
		t.Errorf("%v: %.60q", err, out.String())
	}
	for _, kind := range []string{"direct-tcpip", "x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-streamlocal@openssh.com", "tun@openssh.com", ""} {
		if ch, _, err := c.OpenChannel(kind, gossh.Marshal(struct {
			Host  string
			Port  uint32
			From  string
			FPort uint32
		}{"127.0.0.1", 22, "x", 1})); err == nil {
			_ = ch.Close()
			t.Errorf("a channel %q was opened", kind)
		}
	}
	for _, name := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "no-more-sessions@openssh.com"} {
		if ok, _, err := c.SendRequest(name, true, nil); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("a port is forwarded")
	}
}

func TestShellSaysHello(t *testing.T) {
	w := newWorld(t)
	_, port, err := net.SplitHostPort(w.sshAddr)
	if err != nil {
		t.Fatal(err)
	}
	args := append(w.sshOptions(), "-i", w.people["bob"].keyFile, "-p", port, "git@127.0.0.1")
	out, err := w.command("", "ssh", args...).Output()
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.HasPrefix(string(out), "Hi bob, you are signed in to Gatehouse.") {
		t.Errorf("%v: %q", err, out)
	}
}

// Connections that do not sign in are closed, whatever they send or do not send.
func TestHalfOpenConnectionsAreClosed(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.PreAuth = 300 * time.Millisecond })
	const count = 200
	closed := make(chan error, count)
	for i := range count {
		conn, err := net.Dial("tcp", w.sshAddr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		go func() {
			if i%4 == 1 {
				_, _ = io.WriteString(conn, "SSH-2.0-half")
			}
			if i%4 == 2 {
				_, _ = io.WriteString(conn, "SSH-2.0-silent\r\n")
			}
			if i%4 == 3 { // a byte now and then must not renew anything
				go func() {
					for {
						if _, err := conn.Write([]byte("S")); err != nil {
							return
						}
					}
				}()
			}
			_, err := io.Copy(io.Discard, conn)
			closed <- err
		}()
	}
	for range count {
		<-closed // the test's own deadline is the proof
	}
	if c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err != nil {
		t.Errorf("somebody real: %v", err)
	} else {
		_ = c.Close()
	}
	eventually(t, "all are out of the books", func() bool {
		w.ssh.mu.Lock()
		defer w.ssh.mu.Unlock()
		return len(w.ssh.conns) == 0
	})
}

// A client that is signed in outlives the deadline for signing in.
func TestSignedInOutlivesTheDeadline(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.PreAuth = 200 * time.Millisecond })
	w.newRepo("hello", false)
	c := w.mustDial("alice")
	half, err := net.Dial("tcp", w.sshAddr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, half) // came later and is closed: the deadline of c is over
	_ = half.Close()
	if out, _, code := w.exec(c, "git-upload-pack hello", "0000"); code != 0 || out == "" {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.Limits.Idle = 100 * time.Millisecond
		s.Limits.PreAuth = 100 * time.Millisecond
	})
	w.newRepo("hello", false)
	_ = w.mustDial("alice").Wait() // no session at all
	c := w.mustDial("alice")
	for _, line := range []string{"git-upload-pack hello", "git-receive-pack hello"} {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.StdinPipe() // stays open, and silent
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(line); err != nil {
			t.Fatal(err)
		}
		_ = s.Wait()
		_ = in.Close()
	}
	ch, requests, err := c.OpenChannel("session", nil) // without a command
	if err != nil {
		t.Fatal(err)
	}
	gossh.DiscardRequests(requests) // until it is closed
	_ = ch.Close()
}

func TestConnectionCaps(t *testing.T) {
	w := newWorld(t, func(s *Server) {
		s.Limits.LimitLoopback, s.Limits.ConnsPerIP, s.Limits.BurstPerIP, s.Limits.RatePerIP = true, 3, 1000, 1000
	})
	var clients []*gossh.Client
	for range 3 {
		clients = append(clients, w.mustDial("alice"))
	}
	if _, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err == nil {
		t.Error("there are four connections from one address")
	}
	_ = clients[0].Close()
	eventually(t, "room for one", func() bool {
		c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func TestConnectionsPerAccount(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.ConnsPerAccount = 1 })
	c := w.mustDial("alice")
	if _, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer)); err == nil {
		t.Error("alice has two connections")
	}
	w.mustDial("bob")
	_ = c.Close()
	eventually(t, "room for alice", func() bool {
		c, err := w.dialSSH(gossh.PublicKeys(w.people["alice"].signer))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func TestDoorman(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	d := newDoorman(Limits{Conns: 100, ConnsPerIP: 50, RatePerIP: 10, BurstPerIP: 5, ConnsPerAccount: 1}, func() time.Time { return now })
	from := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	admitted := func(ip string, times int) (n int) {
		for range times {
			if leave, ok := d.admit(from(ip)); ok {
				n++
				leave()
			}
		}
		return n
	}
	if n := admitted("192.0.2.1", 10); n != 5 {
		t.Errorf("a burst of 5 let %d in", n)
	}
	if n := admitted("192.0.2.2", 10); n != 5 {
		t.Errorf("another address got %d", n)
	}
	now = now.Add(300 * time.Millisecond)
	if n := admitted("192.0.2.1", 10); n != 3 {
		t.Errorf("after 0.3 s at 10/s: %d", n)
	}
	if n := admitted("127.0.0.1", 90); n != 90 {
		t.Errorf("this machine got %d", n)
	}
	if n := admitted("2001:db8::1", 5) + admitted("2001:db8::2", 5) + admitted("2001:db8:0:1::1", 5); n != 10 {
		t.Errorf("two IPv6 sites got %d", n)
	}
	if n := admitted("::ffff:192.0.2.1", 1); n != 0 {
		t.Error("an IPv4 address in IPv6 clothes is another guest")
	}
	now = now.Add(time.Hour)
	for i := range maxGuests + 10 {
		if admitted(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), 1) != 1 {
			t.Fatal("not admitted")
		}
		now = now.Add(time.Second)
	}
	if len(d.guests) > maxGuests {
		t.Errorf("%d guests are remembered", len(d.guests))
	}
	for range 100 {
		if _, ok := d.admit(from("127.0.0.1")); !ok {
			t.Fatal("not admitted")
		}
	}
	if _, ok := d.admit(from("127.0.0.1")); ok {
		t.Error("more than the cap of all connections")
	}
	if !d.claim(1) || d.claim(1) || !d.claim(2) {
		t.Error("one connection for each account")
	}
	d.unclaim(1)
	if !d.claim(1) {
		t.Error("the place was not given back")
	}
}

func TestSessionCap(t *testing.T) {
	w := newWorld(t, func(s *Server) { s.Limits.Sessions = 2 })
	c := w.mustDial("alice")
	a, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a third session")
	}
	_ = a.Close()
	eventually(t, "room for one", func() bool {
		s, err := c.NewSession()
		if err == nil {
			_ = s.Close()
		}
		return err == nil
	})
}

// Storms of requests that are never served end the connection.
func TestStormsEndTheConnection(t *testing.T) {
	const storm = 100_000
	w := newWorld(t)
	c := w.mustDial("alice")
	for range maxOffences + 1 { // no more: Go's client may wait for ever when it opens one on a closed connection
		var refused *gossh.OpenChannelError
		if _, _, err := c.OpenChannel("direct-tcpip", nil); !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	_ = c.Wait()
	c = w.mustDial("alice")
	var err error
	for i := 0; i < storm && err == nil; i++ {
		_, _, err = c.SendRequest("x@example.test", true, nil)
	}
	if err == nil {
		t.Errorf("%d global requests are borne", storm)
	}
	s, err := w.mustDial("alice").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < storm && err == nil; i++ {
		_, err = s.SendRequest("env", true, gossh.Marshal(struct{ K, V string }{fmt.Sprint("X", i), "y"}))
	}
	if err == nil {
		t.Errorf("%d variables are borne", storm)
	}
}

func TestDisabledAccountLosesItsConnection(t *testing.T) {
	w := newWorld(t)
	w.newRepo("hello", false)
	c := w.mustDial("bob")
	if _, _, code := w.exec(c, "git-upload-pack hello", "0000"); code != 0 {
		t.Fatal(code)
	}
	w.transact(func(tx *db.Tx) error {
		return w.server.Accounts.SetDisabled(w.ctx, tx, w.people["bob"].account.ID, true)
	})
	if out, errOut, code := w.exec(c, "git-upload-pack hello", "0000"); code != 128 || out != "" {
		t.Errorf("exit %d, %q, %q", code, out, errOut)
	}
	w.clock.c <- time.Now() // the keep-alive looks too, and ends the connection
	_ = c.Wait()
}

func TestShutdownWaitsForHandlers(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.decider.before = func(context.Context, *Push) error {
		close(entered)
		<-leave
		return nil
	}
	dir := w.clone(w.sshURL("alice", "hello"))
	w.commit(dir, "new", "x\n")
	pushed := make(chan string, 1)
	go func() {
		out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/heads/late")
		pushed <- fmt.Sprint(out, err)
	}()
	<-entered
	idle := w.mustDial("bob")
	stopped := make(chan error, 1)
	go func() { stopped <- w.ssh.Shutdown(context.Background()) }()
	_ = idle.Wait() // connections without a session are closed at once
	if _, err := w.dialSSH(gossh.PublicKeys(w.people["bob"].signer)); err == nil {
		t.Error("somebody came in after the shutdown began")
	}
	select {
	case err := <-stopped:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	close(leave)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if text := <-pushed; !strings.Contains(text, "<nil>") || !strings.Contains(w.refs(r), "refs/heads/late") {
		t.Errorf("the push that was waited for: %s", text)
	}
	if err := w.ssh.Serve(brokenListener{}); err != nil {
		t.Errorf("serving again: %v", err)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Close() error { return nil }

func TestShutdownCutsOffWhenItsTimeIsOver(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	entered := make(chan struct{})
	w.decider.before = func(ctx context.Context, _ *Push) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	dir := w.clone(w.sshURL("alice", "hello"))
	w.commit(dir, "new", "x\n")
	pushed := make(chan error, 1)
	go func() {
		_, err := w.tryGit(dir, "push", "origin", "HEAD:refs/heads/late")
		pushed <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.ssh.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-pushed; err == nil || strings.Contains(w.refs(r), "late") {
		t.Errorf("the push: %v\n%s", err, w.refs(r))
	}
	w.noLeftovers(r)
}

func TestHostKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "host_key")
	first, err := hostKey(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := hostKey(file)
	if err != nil || !bytes.Equal(first.PublicKey().Marshal(), again.PublicKey().Marshal()) {
		t.Errorf("another key at the second start, %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hostKey(file); err == nil || !strings.Contains(err.Error(), "read by others") {
		t.Errorf("a key for everybody's eyes: %v", err)
	}
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hostKey(file); err == nil {
		t.Error("nonsense is taken for a key")
	}
	if _, err := hostKey(filepath.Join(t.TempDir(), "no", "such", "dir")); err == nil {
		t.Error("a key where nothing can be written")
	}
}

// A panic in one session is logged, and the others go on.
func TestPanicEndsOneSession(t *testing.T) {
	w := newWorld(t)
	r := w.newRepo("hello", false)
	w.decider.before = func(context.Context, *Push) error { panic("a mistake") }
	dir := w.clone(w.sshURL("alice", "hello"))
	w.commit(dir, "new", "x\n")
	if out, err := w.tryGit(dir, "push", "origin", "HEAD:refs/for/main"); err == nil {
		t.Errorf("pushed: %s", out)
	}
	w.decider.before = nil
	w.git(dir, "push", "-q", "origin", "HEAD:refs/for/main")
	if !strings.Contains(w.log.String(), "a mistake") {
		t.Error("the panic is not in the log")
	}
	w.noLeftovers(r)
}
