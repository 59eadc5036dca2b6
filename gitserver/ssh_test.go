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
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
