package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gatehouse/gatekeeper/runner"
	"gatehouse/migrations/db/dbtest"
)

// patience bounds every wait of a script for something that must happen: far more than the
// slowest machine needs, so that only a server that is stuck reaches it.
const patience = 8 * time.Minute

// lookAgain is how often a waiting script looks.
const lookAgain = 20 * time.Millisecond

func TestMain(m *testing.M) {
	if runner.Main() {
		return
	}
	testscript.Main(m, map[string]func(){"gate": func() { os.Exit(mainExit()) }})
}

// TestScript runs testdata/script: the real commands gate, git, ssh and curl, in a folder of
// their own for each script. Beside testscript's own words a script has:
//
//	gateserve [-d DIR] [FLAG…]    starts `gate serve` on free ports on DIR (data), waits until it
//	                              is ready and sets GATE_URL, GATE_SSH (host:port) and SERVER_LOG
//	gatestop [kill]               ends the server with SIGTERM and wants exit code 0, or kills it
//	person NAME [FLAG…]           makes an account with a key and a token: $NAME_TOKEN, $NAME_SSH
//	                              (a GIT_SSH_COMMAND); FLAGs go to account create
//	exits CODE COMMAND…           runs a command and wants that exit code
//	waitstate CHANGE STATE        waits until the change is in the state (waitlanded: LANDED)
//	waitmirror REPO STATE         waits until every mirror of the repository is in the state
//	waitgrep PATTERN FILE         waits until a line of the file holds the text
//	waitsays TEXT COMMAND…        runs a command until its output has the text
//	nameserver                    starts a name server for example.test: $DNS_SERVER, $DNS_KEY_FILE
//	resolves NAME ADDRESS         wants that name server to give that address
//	jsonget FILE PATH VAR         puts what is at a.0.b in a JSON file into a variable
func TestScript(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Files: []string{script}, Setup: func(env *testscript.Env) error { return setupScript(t, env) },
				Condition: scriptCondition, RequireUniqueNames: true,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"gateserve": cmdServe, "gatestop": cmdStop, "person": cmdPerson, "exits": cmdExits,
					"waitstate": cmdWaitState, "waitlanded": cmdWaitLanded, "waitmirror": cmdWaitMirror, "waitgrep": cmdWaitGrep, "jsonget": cmdJSONGet,
					"waitsays": cmdWaitSays, "nameserver": cmdNameserver, "resolves": cmdResolves,
				},
			})
		})
	}
}

func setupScript(t *testing.T, env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		return err
	}
	config := "[user]\n\tname = Tester\n\temail = tester@example.test\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
	if err := os.WriteFile(filepath.Join(home, "gitconfig"), []byte(config), 0o600); err != nil {
		return err
	}
	for _, pair := range []string{
		"HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "gitconfig"), "GIT_TERMINAL_PROMPT=0",
		"GIT_EDITOR=true", "TZ=UTC", "LC_ALL=C", "NO_COLOR=1", "GOCACHE=" + os.Getenv("GOCACHE"),
	} {
		name, value, _ := strings.Cut(pair, "=")
		env.Setenv(name, value)
	}
	if os.Getenv(dbtest.Env) != "" {
		env.Setenv("GATE_DATABASE", dbtest.DSN(t))
	}
	env.Values[serverKey{}] = &scriptServer{}
	return nil
}

// scriptCondition knows [postgres], [slow] and [sandbox].
func scriptCondition(cond string) (bool, error) {
	switch cond {
	case "postgres":
		return os.Getenv(dbtest.Env) != "", nil
	case "slow":
		return !testing.Short(), nil
	case "sandbox":
		return sandboxWorks(), nil
	default:
		return false, fmt.Errorf("unknown condition %q", cond)
	}
}

// sandboxWorks tries the sandboxes where there may be none: in a stage, which mostly makes no
// walls inside its own. Everywhere else the scripts rely on one.
var sandboxWorks = sync.OnceValue(func() bool {
	if os.Getenv("GATE_STAGE") == "" {
		return true
	}
	_, err := runner.Detect(context.Background())
	return err == nil
})

// scriptServer is the server of a script, when one runs.
type scriptServer struct {
	cmd    *exec.Cmd
	exited chan error
}

type serverKey struct{}

func serverOf(ts *testscript.TestScript) *scriptServer {
	return ts.Value(serverKey{}).(*scriptServer) //nolint:forcetypeassert // set in setupScript
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	if neg || s.cmd != nil {
		ts.Fatalf("gateserve starts one server, and one is enough")
	}
	data := ts.MkAbs("data")
	if len(args) >= 2 && args[0] == "-d" {
		data, args = ts.MkAbs(args[1]), args[2:]
	}
	addressFile := filepath.Join(data, addressesFile)
	_ = os.Remove(addressFile) // that of an earlier run
	logName := ts.MkAbs("server.log")
	log, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	program, err := exec.LookPath("gate")
	ts.Check(err)
	s.cmd = exec.Command(program, append([]string{"serve", "--data", data, "--http", "127.0.0.1:0", "--ssh", "127.0.0.1:0"}, args...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = ts.MkAbs("."), log, log
	for _, name := range []string{"HOME", "PATH", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GATE_DATABASE", "GOCACHE", "TZ", "TMPDIR", "GOMODCACHE"} {
		if value := ts.Getenv(name); value != "" {
			s.cmd.Env = append(s.cmd.Env, name+"="+value)
		}
	}
	ts.Check(s.cmd.Start())
	ts.Check(log.Close())
	s.exited = make(chan error, 1)
	go func(cmd *exec.Cmd) { s.exited <- cmd.Wait() }(s.cmd)
	ts.Defer(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Signal(syscall.SIGKILL)
			<-s.exited
			s.cmd = nil
		}
		if text, err := os.ReadFile(logName); err == nil {
			ts.Logf("[server]\n%s", text)
		}
	})
	var at addresses
	until(ts, "the server is ready", func() bool {
		select {
		case err := <-s.exited:
			s.cmd = nil
			ts.Fatalf("the server ended: %v", err)
		default:
		}
		text, err := os.ReadFile(addressFile)
		return err == nil && json.Unmarshal(text, &at) == nil
	})
	ts.Setenv("GATE_URL", at.HTTP)
	ts.Setenv("GATE_SSH", at.SSH)
	ts.Setenv("SERVER_LOG", logName)
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	if s.cmd == nil {
		ts.Fatalf("no server runs")
	}
	kill := len(args) == 1 && args[0] == "kill"
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	ts.Check(s.cmd.Process.Signal(sig))
	select {
	case err := <-s.exited:
		if err != nil && !kill && !neg {
			ts.Fatalf("the server stopped with %v", err)
		}
	case <-time.After(patience):
		ts.Fatalf("the server does not stop")
	}
	s.cmd = nil
}

// until waits for what must come true.
func until(ts *testscript.TestScript, what string, met func() bool) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for !met() {
		select {
		case <-deadline.C:
			ts.Fatalf("waited in vain: %s", what)
		case <-look.C:
		}
	}
}

func cmdPerson(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: person NAME [FLAG…]")
	}
	name, key := args[0], filepath.Join(ts.Getenv("HOME"), ".ssh", args[0])
	data := ts.MkAbs("data")
	ts.Check(ts.Exec("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name+"@laptop", "-f", key))
	ts.Check(ts.Exec("gate", append([]string{"account", "create", name, "--email", name + "@example.test", "--ssh-key", key + ".pub", "--data", data}, args[1:]...)...))
	ts.Check(ts.Exec("gate", "token", "create", name, "--data", data))
	ts.Setenv(name+"_TOKEN", strings.TrimSpace(ts.ReadFile("stdout")))
	ts.Setenv(name+"_SSH", fmt.Sprintf("ssh -i %s -o IdentitiesOnly=yes -o IdentityAgent=none -F /dev/null -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR -o UserKnownHostsFile=%s",
		key, filepath.Join(ts.Getenv("HOME"), ".ssh", "known_hosts")))
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", args[1], got, want)
	}
}

// ask gets a JSON answer of the API as whoever the script is.
func ask(ts *testscript.TestScript, path string, out any) error {
	r, err := http.NewRequest(http.MethodGet, ts.Getenv("GATE_URL")+"/api/v1"+path, nil)
	if err != nil {
		return err
	}
	if token := ts.Getenv("GATE_TOKEN"); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func cmdWaitLanded(ts *testscript.TestScript, neg bool, args []string) {
	cmdWaitState(ts, neg, append(args, "LANDED"))
}

func cmdWaitState(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitstate CHANGE STATE")
	}
	last := ""
	until(ts, fmt.Sprintf("change %s becomes %s", args[0], args[1]), func() bool {
		var e struct{ State, Summary string }
		if err := ask(ts, "/changes/"+args[0]+"/explain", &e); err != nil {
			ts.Fatalf("%v", err)
		}
		if now := e.State + ": " + e.Summary; now != last {
			ts.Logf("[%s]", now)
			last = now
		}
		return e.State == args[1]
	})
}

func cmdWaitMirror(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitmirror REPO STATE")
	}
	until(ts, fmt.Sprintf("the mirrors of %s become %s", args[0], args[1]), func() bool {
		var all struct {
			Items []struct{ State, Reason string }
		}
		if err := ask(ts, "/repositories/"+strings.ReplaceAll(args[0], "/", "~")+"/mirrors", &all); err != nil {
			ts.Fatalf("%v", err)
		}
		for _, m := range all.Items {
			if m.State != args[1] {
				return false
			}
		}
		return len(all.Items) > 0
	})
}

func cmdWaitGrep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitgrep TEXT FILE")
	}
	until(ts, fmt.Sprintf("%s says %q", args[1], args[0]), func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[1]))
		return err == nil && strings.Contains(string(text), args[0])
	})
}

func cmdJSONGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: jsonget FILE PATH VAR")
	}
	var at any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &at))
	for key := range strings.SplitSeq(args[1], ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				ts.Fatalf("%s: there is no %q in a list of %d", args[0], key, len(v))
			}
			at = v[i]
		default:
			ts.Fatalf("%s: there is no %q in %v", args[0], key, v)
		}
	}
	text := fmt.Sprint(at)
	if n, ok := at.(float64); ok {
		text = strconv.FormatInt(int64(n), 10)
	}
	ts.Setenv(args[2], text)
}
