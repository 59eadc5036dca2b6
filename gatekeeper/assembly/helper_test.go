package assembly

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
)

func TestMain(m *testing.M) {
	runner.Main()
	if engine := os.Getenv(fakeEngineEnv); engine != "" {
		fakeEngine(engine, os.Args[1:])
	}
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// built is the service of testdata, made once.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// service is the folder with the artifact of the tests.
func service(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "gate-service-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(built.dir, "service"), "./testdata/service")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, built.err = cmd.CombinedOutput(); built.err != nil {
			t.Logf("%s", out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// copyTo is an Unpack of the files of dir.
func copyTo(dir string) func(context.Context, string) error {
	return func(_ context.Context, to string) error { return os.CopyFS(to, os.DirFS(dir)) }
}

// syncBuffer is a log that may be read while it grows.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// quickClock is the system's clock with all waits cut to a part: the waits between restarts are
// minutes.
type quickClock struct{ part int64 }

func (quickClock) Now() time.Time { return time.Now() }

func (q quickClock) After(d time.Duration) <-chan time.Time {
	return time.After(max(d/time.Duration(q.part), time.Millisecond))
}

// sandbox is the mode of the tests: walls where they can be made.
var sandbox = sync.OnceValue(func() runner.Mode {
	if mode, err := runner.Detect(context.Background()); err == nil {
		return mode
	}
	return runner.None
})

func newRunner(dir string) *runner.Runner {
	return &runner.Runner{Work: filepath.Join(dir, "work"), Hide: []string{dir}, Sandbox: sandbox()}
}

func newProcessDriver(t *testing.T, dir string, clock Clock) *Process {
	t.Helper()
	d, err := NewProcess(ProcessConfig{Runner: newRunner(dir), Dir: filepath.Join(dir, "assemblies"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if left, err := os.ReadDir(d.runner.Work); err != nil && !os.IsNotExist(err) || len(left) > 0 {
			t.Errorf("left in the work folder: %v, %v", left, err)
		}
	})
	return d
}

func spec(t *testing.T, id int64, env ...string) Spec {
	t.Helper()
	s := Spec{
		ID: id, Repository: "hello", RepoID: 1, App: "hello", Environment: "preview", Instance: "c17",
		Commit: strings.Repeat("c", 40), Digest: "sha256:" + strings.Repeat("d", 64), Unpack: copyTo(service(t)),
		Run: "exec ./service", Ready: plan.Probe{HTTP: "/healthz", Within: 20 * time.Second}, Env: map[string]string{"VERSION": "one"},
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		s.Env[name] = value
	}
	return s
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(url) //nolint:noctx // the client has a timeout
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// poke asks for a page of which no answer is wanted.
func poke(url string) {
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	if answer, err := client.Get(url); err == nil { //nolint:noctx // the client has a timeout
		_ = answer.Body.Close()
	}
}

// eventually waits for what happens in other processes, of which nobody tells.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s: not within 30 s", what)
}

func wantHealth(t *testing.T, d Driver, i Instance, want State) string {
	t.Helper()
	var h Health
	eventually(t, string(want), func() bool {
		var err error
		if h, err = d.Health(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		return h.State == want
	})
	return h.Words
}

func portOf(t *testing.T, i Instance) string {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(i.Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
