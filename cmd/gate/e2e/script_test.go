// Package e2e_test comes in by the front door: real git over HTTP and SSH, the real command
// line, a real server, one fresh world for each script in testdata/script.
//
// A script is a testscript (see `go doc github.com/rogpeppe/go-internal/testscript`) with the
// commands of the table [commands] below. What a script finds in its environment:
//
//	$HTTP, $SSH      the server: http://HOST:PORT, and HOST:PORT
//	$DATA            its folder
//	$NAME_HTTP       its address with NAME's token in it, for each account NAME
//	$NAME_SSH        its SSH address with NAME as user
//	$NAME_TOKEN      the token itself
//	$NAME_REPO       where the server keeps the repository NAME
//
// Names are written in capitals with _ for everything that is no letter or digit. root is the
// administrator, as whom `gate` asks.
package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gatehouse/cmd/gate/gatetest"
)

// patience bounds every wait of a script. Only what is stuck reaches it.
const patience = 90 * time.Second

// lookAgain is the time between two looks at something that is waited for.
const lookAgain = 50 * time.Millisecond

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; make test runs them")
	}
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, run := range commands {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s has no !: write `code N %s …` for an exit code", name, name)
			}
			run(&script{TestScript: ts, world: ts.Value(worldKey{}).(*world)}, args)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), Setup: setup, Cmds: cmds,
		RequireUniqueNames: true,
	})
}

// worldKey finds the world of a script.
type worldKey struct{}

// world is the server of a script, and what the script has set up.
type world struct {
	*gatetest.World
	tokens    map[string]string   // account name to token
	repos     map[string]string   // repository name to its folder
	snapshots map[string]snapshot // by repository
	ssh       string              // ssh's configuration file
	sinks     sinks
}

// script is a running script.
type script struct {
	*testscript.TestScript
	world *world
}

func setup(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("the scripts run under go test only")
	}
	w := &world{World: gatetest.New(t), tokens: map[string]string{}, repos: map[string]string{}, snapshots: map[string]snapshot{}}
	w.tokens["root"] = w.Token()
	w.ssh = filepath.Join(w.Dir, "ssh-config")
	known := "UserKnownHostsFile " + filepath.Join(w.Dir, "known-hosts") + "\n"
	if err := os.WriteFile(w.ssh, []byte(sshConfig+known), 0o600); err != nil {
		return err
	}
	env.Values[worldKey{}] = w
	env.Vars = append(env.Vars, w.Env...)
	for name, value := range map[string]string{
		"ZERO": zero, "HOME": env.WorkDir, "DATA": w.Data, "ROOT_TOKEN": w.Token(), "GATE_TOKEN": w.Token(),
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -F " + w.ssh,
		"GIT_AUTHOR_NAME": "Tester", "GIT_AUTHOR_EMAIL": "tester@example.test", "GIT_COMMITTER_NAME": "Tester", "GIT_COMMITTER_EMAIL": "tester@example.test",
		"PATH": filepath.Dir(gatetest.Binary(t)) + string(os.PathListSeparator) + os.Getenv("PATH"),
	} {
		env.Setenv(name, value)
	}
	env.Defer(func() { w.audit() })
	return nil
}

// sshConfig is the beginning of ssh's configuration; each account adds its key.
const sshConfig = `IdentitiesOnly yes
IdentityAgent none
BatchMode yes
StrictHostKeyChecking accept-new
LogLevel ERROR
PreferredAuthentications publickey
`

// commands are what scripts can do beyond testscript's own.
var commands = map[string]func(*script, []string){
	"serve":      (*script).serve,     // [FLAG…]: start the server
	"stop":       (*script).stopIt,    // : stop it gracefully
	"account":    (*script).account,   // NAME [FLAG…]: an account with a key and a token
	"seed":       (*script).seed,      // NAME [FLAG…]: the folder NAME becomes a repository of the server
	"change":     (*script).change,    // FILE SUBJECT [CHANGE-ID|none]: commit one more line in FILE
	"gate":       program("gate"),     // …: the command line
	"git":        program("git"),      // …
	"curl":       program("curl"),     // …
	"sh":         program("sh"),       // -c SCRIPT
	"as":         program("as"),       // NAME COMMAND…: with NAME's token
	"ssh":        program("ssh"),      // NAME COMMAND…: what NAME types behind ssh HOST
	"code":       (*script).code,      // N COMMAND…: it must end with this exit code
	"until":      (*script).until,     // COMMAND…: again and again until it ends with 0
	"wait-state": (*script).waitState, // CHANGE STATE: until gate why says so
	"set":        (*script).set,       // VARIABLE COMMAND…: keep its stdout
	"json":       (*script).json,      // PATH REGEXP: something in the JSON on stdout
	"get":        (*script).get,       // VARIABLE PATH: keep it
	"snapshot":   (*script).snapshot,  // REPO: remember its refs and changes
	"unchanged":  (*script).unchanged, // REPO: they are what the last snapshot saw, and nothing is left over
	"sinks":      (*script).sinksUp,   // : a mail server and a web server, $MAIL_SINK and $HOOK_SINK
	"mailed":     (*script).mailed,    // NAME REGEXP…: until NAME has a mail that matches all; the file mail is it
	"hooked":     (*script).hooked,    // REGEXP…: until something was sent that matches all; the file hook is it
	"pkt":        (*script).pkt,       // FILE ITEM…: write pkt-lines
	"cut-push":   (*script).cutPush,   // http|ssh NAME REPO REF: a push whose connection ends in mid-pack
}

// program is the command of a program that is called as it is.
func program(name string) func(*script, []string) {
	return func(s *script, args []string) { s.must(append([]string{name}, args...)) }
}

// run runs a command line of commands that can stand behind others, and returns its exit code.
func (s *script) run(words []string) int {
	if len(words) == 0 {
		s.Fatalf("a command is missing")
	}
	switch words[0] {
	case "as":
		if len(words) < 3 {
			s.Fatalf("usage: as NAME COMMAND…")
		}
		before := s.Getenv("GATE_TOKEN")
		s.Setenv("GATE_TOKEN", s.token(words[1]))
		defer s.Setenv("GATE_TOKEN", before)
		return s.run(words[2:])
	case "ssh":
		if len(words) < 3 {
			s.Fatalf("usage: ssh NAME COMMAND…")
		}
		host, port, _ := strings.Cut(s.world.SSH, ":")
		words = append([]string{"ssh", "-F", s.world.ssh, "-p", port, words[1] + "@" + host}, words[2:]...)
	}
	err := s.Exec(words[0], words[1:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	default:
		s.Fatalf("%s: %v", words[0], err)
		return -1
	}
}

// must runs a command that has to end with 0.
func (s *script) must(words []string) {
	if code := s.run(words); code != 0 {
		s.Fatalf("%s ended with exit code %d", words[0], code)
	}
}

func (s *script) code(args []string) {
	if len(args) < 2 {
		s.Fatalf("usage: code N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	s.Check(err)
	if got := s.run(args[1:]); got != want {
		s.Fatalf("exit code %d, want %d", got, want)
	}
}

func (s *script) set(args []string) {
	if len(args) < 2 {
		s.Fatalf("usage: set VARIABLE COMMAND…")
	}
	s.must(args[1:])
	s.Setenv(args[0], strings.TrimRight(s.ReadFile("stdout"), "\n"))
}

func (s *script) until(args []string) {
	s.wait("until "+strings.Join(args, " "), func() bool { return s.run(args) == 0 })
}

// wait looks until something is so.
func (s *script) wait(what string, met func() bool) {
	if !s.look(met) {
		s.Fatalf("waited %s in vain: %s", patience, what)
	}
}

// look looks again and again, and reports whether it was so before the patience ended.
func (s *script) look(met func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for !met() {
		select {
		case <-deadline.C:
			return false
		case <-look.C:
		}
	}
	return true
}

func (s *script) token(name string) string {
	token, ok := s.world.tokens[name]
	if !ok {
		s.Fatalf("there is no account %s: `account %s` makes it", name, name)
	}
	return token
}
