package gitserver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/goleak"
	gossh "golang.org/x/crypto/ssh"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/migrations/db/dbtest"
)

// TestMain finds goroutines that any of the tests left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with real git, SSH and HTTP, and the client side's folder.
type world struct {
	t       *testing.T
	ctx     context.Context
	server  *Server
	decider *fakeDecider
	ssh     *SSH
	sshAddr string
	web     *httptest.Server
	home    string
	log     *syncBuffer
	clock   *ticks
	people  map[string]*person
}

// person is somebody with a key and a token.
type person struct {
	account account.Account
	token   string
	keyFile string
	signer  gossh.Signer
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// ticks makes keep-alive ticks by hand.
type ticks struct{ c chan time.Time }

func (k *ticks) ticker(time.Duration) (<-chan time.Time, func()) { return k.c, func() {} }

// newWorld starts a server; change may alter it first.
func newWorld(t *testing.T, change ...func(*Server)) *world {
	t.Helper()
	ctx := t.Context()
	d := dbtest.Open(t)
	g, err := git.Find(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	accounts := &account.Store{DB: d, Now: time.Now}
	repos := &repo.Store{DB: d, Git: g, Root: filepath.Join(t.TempDir(), "repositories"), Now: time.Now, Accounts: accounts}
	w := &world{t: t, ctx: ctx, home: t.TempDir(), log: &syncBuffer{}, people: map[string]*person{}, clock: &ticks{c: make(chan time.Time)}}
	w.decider = &fakeDecider{repos: repos}
	w.server = &Server{
		Git: g, Accounts: accounts, Repos: repos, Decide: w.decider, Now: time.Now, Ticker: w.clock.ticker,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(w.server)
	}
	w.serveHTTP()
	w.serveSSH()
	for _, name := range []string{"alice", "bob"} {
		w.addPerson(name)
	}
	return w
}

func (w *world) serveHTTP() {
	router := mux.NewRouter()
	w.server.Routes(router)
	router.NotFoundHandler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		http.Error(rw, "the web's", http.StatusTeapot) // what gitserver does not take
	})
	w.web = httptest.NewServer(router)
	w.t.Cleanup(w.web.Close)
}

func (w *world) serveSSH() {
	w.t.Helper()
	h, err := w.server.SSH(filepath.Join(w.t.TempDir(), "host_key"))
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.ssh, w.sshAddr = h, l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	w.t.Cleanup(func() {
		at, cancel := context.WithCancel(context.Background())
		cancel() // what still runs at the end of a test is cut off
		_ = h.Shutdown(at)
		if err := <-served; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
}

func (w *world) transact(f func(tx *db.Tx) error) {
	w.t.Helper()
	if err := w.server.Accounts.DB.Transact(w.ctx, f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) addPerson(name string) *person {
	w.t.Helper()
	p := &person{}
	p.keyFile, p.signer = w.newKey(name)
	w.transact(func(tx *db.Tx) (err error) {
		p.account, err = w.server.Accounts.Create(w.ctx, tx, account.NewAccount{Name: name, Email: name + "@example.test"})
		if err != nil {
			return err
		}
		if _, err = w.server.Accounts.AddKey(w.ctx, tx, p.account.ID, string(gossh.MarshalAuthorizedKey(p.signer.PublicKey()))); err != nil {
			return err
		}
		p.token, err = w.server.Accounts.NewToken(w.ctx, tx, p.account.ID, account.APIToken, "test", 0)
		return err
	})
	w.people[name] = p
	return p
}

// newKey makes a key that no account has yet.
func (w *world) newKey(name string) (file string, signer gossh.Signer) {
	w.t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, name)
	if err != nil {
		w.t.Fatal(err)
	}
	if signer, err = gossh.NewSignerFromKey(private); err != nil {
		w.t.Fatal(err)
	}
	file = filepath.Join(w.home, name+".key")
	w.write(file, string(pem.EncodeToMemory(block)))
	return file, signer
}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// newRepo makes a repository that alice owns, with three commits on main.
func (w *world) newRepo(name string, private bool) repo.Repository {
	w.t.Helper()
	r, err := w.server.Repos.Create(w.ctx, repo.NewRepository{Name: name, Private: private, Owner: w.people["alice"].account.ID})
	if err != nil {
		w.t.Fatal(err)
	}
	dir := filepath.Join(w.home, "seed-"+strings.ReplaceAll(name, "/", "-"))
	w.git("", "init", "-q", "-b", "main", dir)
	for i := range 3 {
		w.commit(dir, fmt.Sprintf("file%d", i), strings.Repeat(fmt.Sprintf("line %d\n", i), 50))
	}
	g, err := w.server.Repos.Open(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.git(dir, "push", "-q", g.Dir(), "main:refs/heads/main") // past the server: tests change how that behaves
	return r
}

func (w *world) commit(dir, file, text string) {
	w.t.Helper()
	w.write(filepath.Join(dir, file), text)
	w.git(dir, "add", file)
	w.git(dir, "commit", "-q", "-m", "change "+file)
}

// env is the environment of a client.
func (w *world) env(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "LC_ALL=C", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
		"GIT_SSH_COMMAND=" + w.sshCommand(),
	}, extra...)
}

// sshOptions is how OpenSSH is run: with nothing of this machine's configuration.
func (w *world) sshOptions() []string {
	return []string{"-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=" + filepath.Join(w.home, "known_hosts"), "-o", "LogLevel=ERROR"}
}

// sshCommand picks the key by the user's name in the URL (%r), so that one command serves all.
func (w *world) sshCommand() string {
	return "ssh " + strings.Join(w.sshOptions(), " ") + " -o IdentityFile=" + w.home + "/%r.key"
}

func (w *world) sshURL(name, repo string) string {
	return "ssh://" + name + "@" + w.sshAddr + "/" + repo + ".git"
}

func (w *world) httpURL(name, repo string) string {
	u, err := url.Parse(w.web.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	if name != "" {
		u.User = url.UserPassword(name, w.people[name].token)
	}
	return u.String() + "/" + repo + ".git"
}

// tryGit runs git as a client in dir and returns all that it said.
func (w *world) tryGit(dir string, args ...string) (string, error) {
	out, err := w.command(dir, "git", args...).CombinedOutput()
	return string(out), err
}

// command is a client's program, not started.
func (w *world) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.ctx, name, args...)
	cmd.Dir, cmd.Env = dir, w.env()
	return cmd
}

// git is tryGit for what must succeed.
func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	out, err := w.tryGit(dir, args...)
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s\nserver:\n%s", strings.Join(args, " "), err, out, w.log.String())
	}
	return strings.TrimSpace(out)
}

// clone clones into a new folder.
func (w *world) clone(from string, args ...string) string {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.home, "clone-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.git("", append(append([]string{"clone", "-q"}, args...), from, dir)...)
	return dir
}

// refs lists the server's refs as NAME OID lines.
func (w *world) refs(r repo.Repository) string {
	w.t.Helper()
	g, err := w.server.Repos.Open(r)
	if err != nil {
		w.t.Fatal(err)
	}
	refs, err := g.Refs(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var out strings.Builder
	for _, ref := range refs {
		fmt.Fprintf(&out, "%s %s\n", ref.Name, ref.OID)
	}
	return out.String()
}

// noLeftovers checks that no push left anything in its wake.
func (w *world) noLeftovers(r repo.Repository) {
	w.t.Helper()
	g, err := w.server.Repos.Open(r)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, pattern := range []string{"objects/incoming-*", "objects/tmp_*", "objects/pack/tmp_*", "*.lock", "refs/*/*.lock"} {
		if found, err := filepath.Glob(filepath.Join(g.Dir(), pattern)); err != nil || len(found) > 0 {
			w.t.Errorf("left behind: %v, %v", found, err)
		}
	}
}

// dialSSH connects with Go's own client.
func (w *world) dialSSH(auth ...gossh.AuthMethod) (*gossh.Client, error) {
	return gossh.Dial("tcp", w.sshAddr, &gossh.ClientConfig{User: "git", Auth: auth, HostKeyCallback: gossh.InsecureIgnoreHostKey()}) //nolint:gosec // a test
}

func (w *world) mustDial(name string) *gossh.Client {
	w.t.Helper()
	c, err := w.dialSSH(gossh.PublicKeys(w.people[name].signer))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// exec runs one line over SSH with the given input and returns what came back.
func (w *world) exec(c *gossh.Client, line, in string) (out, errOut string, code int) {
	w.t.Helper()
	s, err := c.NewSession()
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var stdout, stderr bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(in), &stdout, &stderr
	err = s.Run(line)
	var exit *gossh.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitStatus()
	case err != nil:
		code = -1
	}
	return stdout.String(), stderr.String(), code
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !cond() {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("never: " + what)
		}
	}
}

// post sends one smart HTTP request.
func (w *world) post(name, path, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	svc := path[strings.LastIndex(path, "/")+1:]
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.web.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-"+svc+"-request")
	return w.send(name, r, header...)
}

func (w *world) get(name, path string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.web.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(name, r, header...)
}

func (w *world) send(name string, r *http.Request, header ...string) (*http.Response, string) {
	w.t.Helper()
	if name != "" {
		r.SetBasicAuth(name, w.people[name].token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.web.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

func newRepository(name string, owner int64) repo.NewRepository {
	return repo.NewRepository{Name: name, Owner: owner}
}
