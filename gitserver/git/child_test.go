package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/gitserver/fault"
)

// shell stands in for git, to see how children are held.
func shell(t *testing.T) *Git {
	t.Helper()
	return &Git{path: "/bin/sh", Now: time.Now}
}

func TestOutputIsBounded(t *testing.T) {
	var out bytes.Buffer
	_, err := shell(t).run(t.Context(), child{args: []string{"-c", "while :; do echo flood; done"}, stdout: &out, max: 1 << 20})
	wantKind(t, err, fault.TooLarge)
	if out.Len() > 1<<20 {
		t.Errorf("%d bytes came through", out.Len())
	}
}

func TestStderrIsBounded(t *testing.T) {
	_, err := shell(t).run(t.Context(), child{args: []string{"-c", "yes flood | head -c 1000000 >&2; exit 3"}, env: []string{"PATH=/usr/bin:/bin"}})
	if exitCode(err) != 3 || len(stderrOf(err)) > maxStderr {
		t.Errorf("code %d, %d bytes", exitCode(err), len(stderrOf(err)))
	}
}

func TestTimeIsBounded(t *testing.T) {
	_, err := shell(t).run(t.Context(), child{args: []string{"-c", "while :; do :; done"}, wall: time.Millisecond})
	wantKind(t, err, fault.Unavailable)
}

// When the context ends, so does everything that the child started.
func TestGrandchildrenAreKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	told, tell := io.Pipe()
	go func() {
		line := make([]byte, 16)
		n, err := told.Read(line)
		if err != nil {
			t.Error(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
		if err != nil {
			t.Error(err)
		}
		cancel()
		for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		}
		must(t, told.Close())
	}()
	_, err := shell(t).run(ctx, child{args: []string{"-c", "(while :; do :; done) & echo $!; wait"}, stdout: tell, max: -1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Who does not listen to being asked is killed.
func TestStubbornChildrenAreKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := shell(t).run(ctx, child{args: []string{"-c", "trap '' TERM; echo ready; while :; do :; done"}, stdout: writerFunc(cancel), max: -1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// writerFunc calls itself for each write.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// zombie reports whether a process has ended and waits for its parent.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestMemoryIsBounded(t *testing.T) {
	out, err := shell(t).run(t.Context(), child{args: []string{"-c", "read line; ulimit -d; ulimit -c"}, stdin: strings.NewReader("go\n"), live: true})
	if err != nil || string(out) != strconv.Itoa(maxChildMemory/1024)+"\n0\n" {
		t.Errorf("%q %v", out, err)
	}
}

// Nothing of the server's environment or configuration reaches git.
func TestEnvironmentIsOurs(t *testing.T) {
	r, _, _ := seeded(t, nil)
	home := t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[core]\n\tfsmonitor = touch /tmp/evil\n[evil]\n\tkey = 1\n"), 0o600))
	t.Setenv("HOME", home)
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_CONFIG_PARAMETERS", "'evil.key=1'")
	t.Setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
	t.Setenv("GIT_EXTERNAL_DIFF", "touch /tmp/evil")
	out, err := r.run(t.Context(), "config", "--list", "--show-scope")
	must(t, err)
	if strings.Contains(string(out), "evil") {
		t.Errorf("%s", out)
	}
	for _, want := range []string{"core.hookspath=/dev/null", "core.fsync=all", "gc.auto=0", "safe.directory=" + r.Dir()} {
		if !strings.Contains(string(out), "command\t"+want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if _, err := r.Refs(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestVersions(t *testing.T) {
	for v, want := range map[string]bool{"2.39.5": true, "2.39": true, "3.0.0": true, "2.38.9": false, "1.99": false, "": false, "x": false, "2.50.1 (Apple Git-1)": true} {
		if recent(v) != want {
			t.Errorf("%q is recent: %v", v, !want)
		}
	}
}

func TestInitIsCareful(t *testing.T) {
	g, err := Find(t.Context())
	must(t, err)
	dir := filepath.Join(t.TempDir(), "a", "repo.git")
	_, err = g.Open(dir)
	wantKind(t, err, fault.NotFound)
	_, err = g.Init(t.Context(), dir, "-x")
	wantKind(t, err, fault.Invalid)
	r, err := g.Init(t.Context(), dir, "trunk")
	must(t, err)
	if head, err := r.Head(t.Context()); err != nil || head != "refs/heads/trunk" {
		t.Errorf("HEAD %s %v", head, err)
	}
	if hooks, err := filepath.Glob(filepath.Join(dir, "hooks", "*")); err != nil || len(hooks) > 0 {
		t.Errorf("hooks: %v %v", hooks, err)
	}
	_, err = g.Init(t.Context(), dir, "main")
	wantKind(t, err, fault.Conflict)
	must(t, r.Fsck(t.Context()))
}
