// Package gatetest runs the real gate binary for tests that come in by the front door.
//
// A [World] is a data folder with a server that can be started, killed and started again,
// accounts with tokens and SSH keys, and the command line against it. Everything is a real
// process: gate, git, ssh; with GATE_TEST_DATABASE the server keeps its data in PostgreSQL. The binary is built once per test process with the crash points
// compiled in; without GATE_CRASH_AT in the environment they do nothing.
package gatetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/migrations/db/dbtest"
)

// patience bounds every wait for something that must happen: far more than the slowest
// machine needs, so that only a server that is stuck reaches it.
const patience = 90 * time.Second

// CrashTag is the build tag that compiles the crash points in.
const CrashTag = "crashpoints"

// World is one server with its folder and its people.
type World struct {
	testing.TB
	Dir  string // everything of this world
	Data string // the server's folder
	HTTP string // the address, as http://127.0.0.1:PORT, while the server runs
	SSH  string // host:port
	// Flags are added to every start of the server.
	Flags []string
	// Env is added to the environment of everything that is run: the database under test, when
	// it is not the one in the folder.
	Env []string

	binary string
	dsn    string // of its PostgreSQL database, "" for SQLite in the folder
	token  string // of the administrator
	proc   *exec.Cmd
	exited chan error
	log    *os.File
}

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds gate once and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "gate-binary")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "gate")
		cmd := exec.Command("go", "build", "-tags", CrashTag, "-o", build.path, "gatehouse/cmd/gate")
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("build gate: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// New makes a world with an administrator and no server yet.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{TB: t, Dir: t.TempDir(), binary: Binary(t)}
	w.Data = filepath.Join(w.Dir, "data")
	if os.Getenv(dbtest.Env) != "" {
		w.dsn = dbtest.DSN(t)
	}
	log, err := os.Create(filepath.Join(w.Dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	w.log = log
	if os.Getenv(dbtest.Env) != "" {
		w.Env = []string{"GATE_DATABASE=" + dbtest.DSN(t)}
	}
	w.Local("account", "create", "root", "--email", "root@example.test", "--admin")
	w.token = w.Local("token", "create", "root")
	t.Cleanup(func() {
		w.Kill()
		if t.Failed() {
			if text, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("the server's log:\n%s", tail(text))
			}
		}
		_ = log.Close()
	})
	return w
}

// tail keeps the end of a log that is worth reading.
func tail(text []byte) []byte {
	const enough = 16 << 10
	if len(text) > enough {
		text = text[len(text)-enough:]
	}
	return text
}

// Start runs the server and waits until it is ready. env is added to its environment.
func (w *World) Start(env ...string) {
	w.Helper()
	addresses := filepath.Join(w.Data, "addresses.json")
	_ = os.Remove(addresses)
	args := append([]string{"serve", "--data", w.Data, "--http", "127.0.0.1:0", "--ssh", "127.0.0.1:0"}, w.Flags...)
	w.proc = exec.Command(w.binary, args...)
	w.proc.Env = append(w.environ(), env...)
	w.proc.Stdout, w.proc.Stderr = w.log, w.log
	if err := w.proc.Start(); err != nil {
		w.Fatal(err)
	}
	w.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(w.proc, w.exited)
	var found struct{ HTTP, SSH string }
	w.Until("the server writes its addresses", func() bool {
		text, err := os.ReadFile(addresses)
		return err == nil && json.Unmarshal(text, &found) == nil && found.HTTP != ""
	})
	w.HTTP, w.SSH = found.HTTP, found.SSH
}

// Kill ends the server with SIGKILL, if it runs.
func (w *World) Kill() {
	if w.proc == nil {
		return
	}
	_ = w.proc.Process.Signal(syscall.SIGKILL)
	<-w.exited
	w.proc = nil
}

// Stop ends the server gracefully.
func (w *World) Stop() {
	w.Helper()
	if w.proc == nil {
		return
	}
	_ = w.proc.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-w.exited:
		if err != nil {
			w.Errorf("the server stopped with %v", err)
		}
	case <-time.After(patience):
		w.Fatal("the server does not stop")
	}
	w.proc = nil
}

// Died waits until the server has ended by itself, as it does at a crash point.
func (w *World) Died() {
	w.Helper()
	select {
	case <-w.exited:
		w.proc = nil
	case <-time.After(patience):
		w.Fatal("the server was to die and did not")
	}
}

// Dead reports whether the server has ended.
func (w *World) Dead() bool {
	select {
	case err := <-w.exited:
		w.exited <- err
		return true
	default:
		return false
	}
}

// Until waits for a condition that must come true.
func (w *World) Until(what string, met func() bool) {
	w.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !met() {
		select {
		case <-deadline.C:
			w.Fatalf("waited in vain: %s", what)
		case <-look.C:
		}
	}
}

func (w *World) environ() []string {
	return append(append(os.Environ(), w.Env...), "HOME="+w.Dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Tester", "GIT_AUTHOR_EMAIL=tester@example.test", "GIT_COMMITTER_NAME=Tester", "GIT_COMMITTER_EMAIL=tester@example.test")
}

// Local runs the command line on the data folder itself and returns its stdout.
func (w *World) Local(args ...string) string {
	w.Helper()
	return w.must(w.Run(w.Dir, nil, w.binary, append(args, "--data", w.Data)...))
}

// Gate runs the command line as the administrator against the running server.
func (w *World) Gate(args ...string) string {
	w.Helper()
	return w.must(w.As(w.token, args...))
}

// As runs the command line with a token against the running server.
func (w *World) As(token string, args ...string) (string, error) {
	return w.Run(w.Dir, []string{"GATE_URL=" + w.HTTP, "GATE_TOKEN=" + token}, w.binary, args...)
}

// Git runs git in a folder and fails the test when git fails.
func (w *World) Git(dir string, args ...string) string {
	w.Helper()
	return w.must(w.Run(dir, nil, "git", args...))
}

func (w *World) must(out string, err error) string {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// Run runs a command and returns its stdout without the last newline; the error holds stderr.
func (w *World) Run(dir string, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(w.environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimRight(out.String(), "\n"), err
}

// Account makes an account and returns a token for it.
func (w *World) Account(name string, more ...string) string {
	w.Helper()
	w.Local(append([]string{"account", "create", name, "--email", name + "@example.test"}, more...)...)
	return w.Local("token", "create", name)
}

// Key makes an account with a fresh SSH key and returns the private key's path.
func (w *World) Key(name string) string {
	w.Helper()
	key := filepath.Join(w.Dir, "key-"+name)
	w.must(w.Run(w.Dir, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key))
	w.Account(name, "--ssh-key", key+".pub")
	return key
}

// HTTPRemote is a repository's address over HTTP as the administrator.
func (w *World) HTTPRemote(repo string) string {
	return w.HTTPRemoteAs("root", w.token, repo)
}

// HTTPRemoteAs is a repository's address over HTTP as somebody.
func (w *World) HTTPRemoteAs(name, token, repo string) string {
	return strings.Replace(w.HTTP, "://", "://"+name+":"+token+"@", 1) + "/" + repo
}

// SSHRemote is a repository's address over SSH.
func (w *World) SSHRemote(name, repo string) string {
	return "ssh://" + name + "@" + w.SSH + "/" + repo
}

// Token is the administrator's token.
func (w *World) Token() string { return w.token }

// RepositoryDir is where the server keeps a repository.
func (w *World) RepositoryDir(repo string) string {
	w.Helper()
	var list []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(w.Gate("repo", "list", "--json")), &list); err != nil {
		w.Fatal(err)
	}
	for _, r := range list {
		if r.Name == repo {
			return filepath.Join(w.Data, "repositories", fmt.Sprintf("%010d.git", r.ID))
		}
	}
	w.Fatalf("no repository %s", repo)
	return ""
}
