package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

func TestStates(t *testing.T) {
	gotest := map[string]string{plan.GoTest: "out.json"}
	const pass = `{"Action":"pass","Package":"p","Test":"T"}`
	tests := []struct {
		name, run, state, reason, log string
		code                          int
		results                       map[string]string
	}{
		{name: "passes", run: "cat README; pwd >/dev/null", state: passed, log: "read me\n"},
		{name: "fails", run: "echo no >&2; exit 3", state: failed, reason: "exit code 3", log: "no\n", code: 3},
		{name: "no stdin", run: "cat; echo end", state: passed, log: "end\n"},
		{name: "own outputs can be opened", run: "echo a >/dev/stdout; echo b >/dev/stderr", state: passed, log: "a\nb\n"},
		{name: "a command that is not there", run: "no-such-command 2>/dev/null", state: failed, code: 127, reason: "exit code 127"},
		{name: "a signal", run: "kill -TERM $$", state: failed, code: -1, reason: "its shell was ended by a signal: terminated"},
		{name: "SIGKILL of nobody knows whom", run: "kill -KILL $$", state: errored, code: -1, reason: "its shell was killed from outside; the machine may be short of memory"},
		{name: "results", run: `echo '` + pass + `' > out.json`, state: passed, results: gotest},
		{name: "results missing", run: "true", state: failed, results: gotest, reason: `it did not write its results file "out.json"`},
		{name: "results that are a pipe", run: "mkfifo out.json", state: failed, results: gotest, reason: `its results file "out.json" is not a regular file`},
		{name: "results that lead out", run: "ln -s /etc/passwd out.json", state: failed, results: gotest, reason: `its results file "out.json" cannot be read`},
		{name: "results that lead out upwards", run: "ln -s ../../../secret out.json", state: failed, results: gotest, reason: `its results file "out.json" cannot be read`},
		{name: "results too large", run: "head -c 2000000 /dev/zero > out.json", state: failed, results: gotest, reason: `its results file "out.json" is larger than 1000000 bytes`},
		{name: "unremovable", run: "mkdir -p a/b && touch a/b/c && chmod 0 a/b a", state: passed},
	}
	everyMode(t, func(t *testing.T, mode Mode) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				f := newFixture(t, mode)
				f.Limits.Results = 1_000_000
				result, log := f.run(t, Request{StageRun: 1, RepoID: 1, Stage: plan.Stage{Run: tt.run, Results: tt.results}})
				if result.State != tt.state || result.ExitCode != tt.code || result.Reason != tt.reason || log != tt.log {
					t.Errorf("%s (%d) %q, output %q; want %s (%d) %q, %q", result.State, result.ExitCode, result.Reason, log, tt.state, tt.code, tt.reason, tt.log)
				}
				if tt.results != nil && tt.state == passed && (result.Tests == nil || result.Tests.Passed != 1) {
					t.Errorf("tests: %+v", result.Tests)
				}
			})
		}
	})
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SERVER_SECRET", "hunter2")
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		f.Toolchain.Env = map[string]string{"GOPROXY": "off", "WHO": "owner"}
		result, log := f.run(t, Request{
			RepoID: 1, Stage: plan.Stage{Run: "env; touch $HOME/h $TMPDIR/t $GOCACHE.x", Env: map[string]string{"WHO": "plan", "GATE_CHANGE": "forged"}},
			Env: map[string]string{"GATE_CHANGE": "42"},
		})
		wantState(t, result, log, passed)
		env := map[string]bool{}
		for line := range strings.Lines(log) {
			env[strings.TrimSpace(line)] = true
		}
		for _, want := range []string{"GOPROXY=off", "WHO=plan", "GATE_CHANGE=42", "CI=true"} {
			if !env[want] {
				t.Errorf("no %s in\n%s", want, log)
			}
		}
		if strings.Contains(log, "hunter2") {
			t.Error("the server's environment is in the stage's")
		}
	})
}

func TestLimits(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		t.Run("time", func(t *testing.T) {
			f := newFixture(t, mode)
			result, log := f.run(t, Request{Stage: plan.Stage{Run: "echo begun; sleep 1000 & sleep 1000", Timeout: time.Second}})
			wantState(t, result, log, timedOut)
			if log != "begun\n" || result.Reason != "it took longer than 1s" {
				t.Errorf("%q, %q", log, result.Reason)
			}
		})
		t.Run("output", func(t *testing.T) {
			f := newFixture(t, mode)
			f.Limits.Output = 10_000
			result, log := f.sh(t, "yes | head -c 3000000")
			wantState(t, result, log, passed)
			if !strings.HasPrefix(log, strings.Repeat("y\n", 5000)) || len(log) > 10_100 || !strings.Contains(log, "was cut here") {
				t.Errorf("%d bytes, end %q", len(log), log[max(0, len(log)-100):])
			}
		})
		t.Run("size of a file", func(t *testing.T) {
			f := newFixture(t, mode)
			f.Limits.FileSize = 1 << 20
			result, log := f.sh(t, "head -c 2000000 /dev/zero > big; code=$?; stat -c %s big; exit $code")
			wantState(t, result, log, failed)
			if !strings.HasSuffix(log, "1048576\n") {
				t.Errorf("output %q", log)
			}
		})
		t.Run("memory at once", func(t *testing.T) {
			f := newFixture(t, mode)
			result, log := f.run(t, Request{Stage: plan.Stage{Run: `exec perl -e '$x = "a" x 600_000_000; sleep 1000'`, Memory: 200 << 20}})
			wantState(t, result, log, failed)
			result, log = f.run(t, Request{Stage: plan.Stage{Run: "ulimit -d", Memory: plan.MinMemory}})
			wantState(t, result, log, passed)
			if log != "16384\n" {
				t.Errorf("each process may have %q KiB", log)
			}
		})
		t.Run("memory of many", func(t *testing.T) {
			f := newFixture(t, mode)
			result, log := f.run(t, Request{Stage: plan.Stage{
				Run:    `for i in 1 2 3 4; do perl -e '$x = "a" x 30_000_000; $y = $x; sleep 1000' & done; wait`,
				Memory: 150 << 20,
			}})
			wantState(t, result, log, failed)
			if result.Reason != "it used more than 150 MiB of memory" {
				t.Errorf("reason %q", result.Reason)
			}
		})
		t.Run("fork bomb", func(t *testing.T) {
			f := newFixture(t, mode)
			f.Limits.Processes = 60
			bomb := `bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 2; exit 9`
			if mode == None { // root's processes are not limited by number: only the sampler is there
				bomb = `for n in $(seq 200); do sleep 1000 & done; wait`
			}
			result, log := f.sh(t, bomb)
			wantState(t, result, log, failed)
		})
		t.Run("disk", func(t *testing.T) {
			f := newFixture(t, mode)
			f.Limits.DiskSpare = 1 << 60
			_ = os.MkdirAll(f.Work, 0o700)
			result, log := f.sh(t, "true")
			wantState(t, result, log, errored)
			if !strings.Contains(result.Reason, "nearly full") {
				t.Errorf("reason %q", result.Reason)
			}
		})
	})
}

// Whatever a stage starts ends with it, however it hides.
func TestNothingSurvives(t *testing.T) {
	scripts := map[string]string{
		"background":    "MARK sleep 1000 & echo",
		"daemon":        "setsid sh -c 'MARK sleep 1000 </dev/null >/dev/null 2>&1 &' & sleep 0.2",
		"double fork":   "( ( MARK setsid sleep 1000 </dev/null >/dev/null 2>&1 & ) & ) ; sleep 0.2",
		"holds the log": "(trap '' TERM HUP INT; MARK sleep 1000) & echo",
	}
	everyMode(t, func(t *testing.T, mode Mode) {
		for name, script := range scripts {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t, mode)
				mark := "GATE_TEST_MARK=" + fmt.Sprint(os.Getpid()) + t.Name()
				mark = strings.Map(func(c rune) rune {
					if c == '/' || c == ' ' {
						return '_'
					}
					return c
				}, mark)
				result, log := f.sh(t, strings.ReplaceAll(script, "MARK", mark))
				wantState(t, result, log, passed)
				if left := marked(mark); len(left) != 0 {
					t.Errorf("processes are left: %v", left)
				}
			})
		}
	})
}

// marked are the processes that have mark in their environment.
func marked(mark string) []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), mark) {
			found = append(found, path)
		}
	}
	return found
}

func TestCanceled(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		log := writerFunc(func(p []byte) (int, error) {
			cancel() // the stage has begun
			return len(p), nil
		})
		mark := fmt.Sprintf("GATE_TEST_MARK=%d%s", os.Getpid(), mode)
		result := f.Run(ctx, Request{Stage: plan.Stage{Run: "export " + mark + "; sleep 999 & echo begun; sleep 1000"}, Repo: files{}, Log: log})
		wantState(t, result, "", canceled)
		if left := marked(mark); len(left) != 0 {
			t.Errorf("processes are left: %v", left)
		}
		result = f.Run(ctx, Request{Stage: plan.Stage{Run: "true"}, Repo: broken{}, Log: log})
		wantState(t, result, "", canceled)
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// broken is a source that fails.
type broken struct{}

func (broken) Checkout(context.Context, git.OID, string) error { return errors.New("no such commit") }

func TestMachineryThatBreaksIsNotAVerdict(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		result, log := f.run(t, Request{Stage: plan.Stage{Run: "true"}, Repo: broken{}})
		wantState(t, result, log, errored)
		full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
		result = f.Run(context.Background(), Request{Stage: plan.Stage{Run: "echo a; sleep 1000"}, Repo: files{}, Log: full})
		wantState(t, result, "", errored)
		f.Toolchain.ReadOnly = []string{"/no/such/folder"}
		if mode != None {
			result, log = f.run(t, Request{Stage: plan.Stage{Run: "true"}})
			wantState(t, result, log, errored)
		}
	})
	f := newFixture(t, "chroot")
	result, log := f.run(t, Request{Stage: plan.Stage{Run: "true"}})
	wantState(t, result, log, errored)
}

// Stages of a repository share a cache; others, and stages of other trust, do not see it.
func TestCache(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		run := func(repo int64, trust, script, state string) {
			t.Helper()
			result, log := f.run(t, Request{RepoID: repo, Trust: trust, Stage: plan.Stage{Run: script}})
			wantState(t, result, log, state)
		}
		const have = `test -e "$XDG_CACHE_HOME/x"`
		run(1, "", `mkdir -p "$XDG_CACHE_HOME" && touch "$XDG_CACHE_HOME/x"; touch "$HOME/h"`, passed)
		run(1, "", have+` && test ! -e "$HOME/h"`, passed)
		run(2, "", have, failed)
		run(1, "queue", have, failed)
		run(0, "", `test -z "$XDG_CACHE_HOME"`, passed)
	})
}

func TestRealRepository(t *testing.T) {
	ctx := context.Background()
	g, err := git.Find(ctx)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := g.Init(ctx, filepath.Join(t.TempDir(), "r.git"), "main")
	if err != nil {
		t.Fatal(err)
	}
	who := git.Signature{Name: "a", Email: "a@example.test", When: time.Unix(1, 0)}
	commit, err := repo.WriteCommit(ctx, git.EmptyTree, nil, who, who, "empty\n")
	if err != nil {
		t.Fatal(err)
	}
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		result, log := f.run(t, Request{RepoID: 1, Repo: repo, Commit: commit, Stage: plan.Stage{Run: "ls -A | wc -l && touch new"}})
		wantState(t, result, log, passed)
		if strings.TrimSpace(log) != "0" {
			t.Errorf("files in an empty tree: %s", log)
		}
	})
}
