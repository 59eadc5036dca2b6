package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// childEnv makes the test binary run one stage, as another user or to be killed.
const childEnv = "RUNNER_TEST_CHILD"

func TestMain(m *testing.M) {
	Main()
	if text := os.Getenv(childEnv); text != "" {
		child(text)
	}
	os.Exit(m.Run())
}

// childOrder is what a child of the tests does.
type childOrder struct {
	Work string
	Mode Mode
	Run  string
	// Secrets and Services are the stage's.
	Secrets  []Secret
	Services []plan.Service
}

// child runs one stage, with its log on stdout, and prints the result.
func child(text string) {
	var o childOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	r := &Runner{Work: o.Work, Sandbox: o.Mode}
	result := r.Run(context.Background(), Request{StageRun: 7, Stage: plan.Stage{Run: o.Run, Timeout: time.Minute, Services: o.Services}, Secrets: o.Secrets, Repo: files{}, Log: os.Stdout})
	fmt.Printf("\nRESULT %s %d %s\n", result.State, result.ExitCode, result.Reason)
	os.Exit(0)
}

// files is a source with these files.
type files map[string]string

func (f files) Checkout(_ context.Context, _ git.OID, dir string) error {
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// everyMode runs a test in every mode; one that does not work here fails where the tests are
// relied upon, and is skipped elsewhere with what to install.
func everyMode(t *testing.T, f func(t *testing.T, mode Mode), modes ...Mode) {
	t.Helper()
	if len(modes) == 0 {
		modes = []Mode{Bubblewrap, Embedded, None}
	}
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			needMode(t, mode)
			f(t, mode)
		})
	}
}

var walls = []Mode{Bubblewrap, Embedded}

// nested tries to make walls inside those of the stage that the tests run in.
var nested = map[Mode]func() error{
	Bubblewrap: sync.OnceValue(func() error { return Probe(context.Background(), Bubblewrap) }),
	Embedded:   sync.OnceValue(func() error { return Probe(context.Background(), Embedded) }),
}

func needMode(t *testing.T, mode Mode) {
	t.Helper()
	if mode != None && os.Getenv("GATE_STAGE") != "" {
		if err := nested[mode](); err != nil {
			t.Skipf("this runs in a stage, which makes no walls inside its own: %v", err)
		}
	}
	if mode == Bubblewrap {
		if _, err := exec.LookPath("bwrap"); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("bubblewrap is not installed: apt-get install bubblewrap")
			}
			t.Skip("bubblewrap is not installed: apt-get install bubblewrap")
		}
	}
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

// fixture is a runner beside a data folder that stages must not see.
type fixture struct {
	*Runner
	data string
}

func newFixture(t *testing.T, mode Mode) *fixture {
	t.Helper()
	data := t.TempDir()
	f := &fixture{data: data, Runner: &Runner{
		Work: filepath.Join(data, "work"), Cache: filepath.Join(data, "cache"), Hide: []string{data}, Sandbox: mode,
	}}
	t.Cleanup(func() {
		entries, err := os.ReadDir(f.Work)
		if err != nil || len(entries) != 0 {
			t.Errorf("left in the work folder: %v, %v", entries, err)
		}
		if pids := initsOf(f.Work); len(pids) != 0 {
			t.Errorf("inits are left: %v", pids)
		}
	})
	return f
}

// run executes a stage and returns its result and its output.
func (f *fixture) run(t *testing.T, req Request) (Result, string) {
	t.Helper()
	var log syncBuffer
	req.Log = &log
	if req.Repo == nil {
		req.Repo = files{"README": "read me\n"}
	}
	if req.Stage.Timeout == 0 {
		req.Stage.Timeout = 2 * time.Minute
	}
	result := f.Run(context.Background(), req)
	return result, log.String()
}

// sh executes a script.
func (f *fixture) sh(t *testing.T, script string) (Result, string) {
	t.Helper()
	return f.run(t, Request{StageRun: 1, RepoID: 1, Stage: plan.Stage{Name: "s", Run: script}})
}

func wantState(t *testing.T, result Result, log, state string) {
	t.Helper()
	if result.State != state {
		t.Fatalf("%s (%d) %s; want %s; output:\n%s", result.State, result.ExitCode, result.Reason, state, log)
	}
}
