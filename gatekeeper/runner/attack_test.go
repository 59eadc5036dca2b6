package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/gatekeeper/plan"
)

// A stage tries to get at what is the server's.
func TestWalls(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())

	attacks := map[string]string{
		"read the database":          `cat "$DATA/gate.db"`,
		"list the data":              `ls "$DATA"`,
		"read the host key":          `cat "$DATA/ssh_host_ed25519_key"`,
		"read it through its init":   `cat /proc/1/root"$DATA/gate.db"`,
		"read the server's memory":   `cat /proc/1/environ /proc/1/mem`,
		"read other stages":          `ls "$DATA/work"`,
		"read passwords":             `cat /etc/shadow`,
		"read root's home":           `ls /root/.ssh || ls /root/go`,
		"write to the system":        `: > /usr/evil`,
		"write to the root":          `: > /evil`,
		"write to /etc":              `echo root::0:0::/:/bin/sh > /etc/passwd`,
		"write to /dev":              `: > /dev/evil`,
		"talk to the server":         `bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT'`,
		"talk to the outside":        `bash -c 'exec 3<>/dev/tcp/169.254.169.254/80'`,
		"write kernel settings":      `echo '|/bin/sh' > /proc/sys/kernel/core_pattern`,
		"mount":                      `mount -t tmpfs none /tmp`,
		"make a user namespace":      `unshare -U true`,
		"become root":                `su root -c true || sudo -n true || setpriv --reuid=0 true`,
		"kill its init":              `kill -KILL 1; kill -QUIT 1; kill -SEGV 1; sleep 0.2; false`,
		"see others' processes":      `grep -sq 'runner[.]test' /proc/[0-9]*/cmdline`,
		"use a device of the host":   `ls /dev/sd* /dev/vd* /dev/kmsg /dev/mem 2>/dev/null | grep .`,
		"use docker":                 `ls /run/docker.sock /var/run/docker.sock`,
		"fill the memory with files": `head -c 300000000 /dev/zero > /dev/shm/f`,
		"trace its init":             `perl -e 'exit(syscall(101, 16, 1, 0, 0) == 0 ? 0 : 1)'`, // ptrace(PTRACE_ATTACH, 1) on amd64
	}
	// Without walls these succeed: it is the walls that stop them, not a mistake in them.
	control := map[string]bool{"read the database": true, "talk to the server": true, "see others' processes": true, "list the data": true}
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		for _, name := range []string{"gate.db", "ssh_host_ed25519_key"} {
			if err := os.WriteFile(filepath.Join(f.data, name), []byte("SECRET"), 0o644); err != nil { //nolint:gosec // on purpose
				t.Fatal(err)
			}
		}
		for name, attack := range attacks {
			want := failed
			if mode == None {
				if !control[name] {
					continue
				}
				want = passed
			}
			t.Run(name, func(t *testing.T) {
				attack := strings.NewReplacer("$DATA", f.data, "PORT", port).Replace(attack)
				result, log := f.run(t, Request{RepoID: 3, Stage: plan.Stage{Run: attack, Memory: 1 << 30}})
				wantState(t, result, log, want)
				if want == failed && strings.Contains(log, "SECRET") {
					t.Errorf("the secret is out: %s", log)
				}
			})
		}
	})
}

// What stands inside the walls works.
func TestInside(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		result, log := f.sh(t, `set -e
test "$(pwd)" = /work
test "$(id -un)" = stage
test "$(id -u)" != 0
touch new /tmp/new "$HOME/new" /cache/new /dev/shm/new
mv new /work/moved
echo x > /dev/null
head -c 1 /dev/urandom > /dev/null
perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen=>1, LocalAddr=>"127.0.0.1") or die $!; IO::Socket::INET->new(PeerAddr=>"127.0.0.1", PeerPort=>$s->sockport) or die $!'
grep -q Seccomp:.2 /proc/self/status
grep -q NoNewPrivs:.1 /proc/self/status
grep -q CapEff:.0000000000000000 /proc/self/status
grep -q CapPrm:.0000000000000000 /proc/self/status
hostname`)
		wantState(t, result, log, passed)
		if log != "gate\n" {
			t.Errorf("output %q", log)
		}
	}, walls...)
}

func TestToolchainIsShownReadOnly(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		tools := t.TempDir()
		if err := os.WriteFile(filepath.Join(tools, "tool"), []byte("#!/bin/sh\necho works\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		f.Toolchain.ReadOnly = []string{tools}
		result, log := f.sh(t, tools+"/tool && ! touch "+tools+"/evil 2>/dev/null")
		wantState(t, result, log, passed)
		if log != "works\n" {
			t.Errorf("output %q", log)
		}
		for _, bad := range []string{f.data, filepath.Dir(f.data), filepath.Join(f.data, "work"), "relative"} {
			f.Toolchain.ReadOnly = []string{bad}
			result, log := f.sh(t, "true")
			wantState(t, result, log, errored)
		}
	}, walls...)
}

// A data folder below a folder that stages see is masked.
func TestDataInsideTheSystemIsMasked(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		f.Hide = append(f.Hide, "/usr/share/doc")
		result, log := f.sh(t, `ls /usr/share/doc 2>/dev/null | wc -l; test -d /usr/share/perl5 || test -d /usr/share`)
		wantState(t, result, log, passed)
		if strings.TrimSpace(log) != "0" {
			t.Errorf("%s files show", log)
		}
	}, walls...)
}

func startChild(t *testing.T, o childOrder, uid int) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/"
	cmd.Env = []string{childEnv + "=" + string(text), "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = t.Output()
	if uid > 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}} //nolint:gosec // small
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

// When the server is killed, its stages die with it, and the next server's janitor cleans up.
func TestAKilledServersStageDies(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		work := filepath.Join(t.TempDir(), "work")
		mark := "GATE_TEST_MARK=" + fmt.Sprint(os.Getpid()) + string(mode)
		cmd, out := startChild(t, childOrder{Work: work, Mode: mode, Run: mark + " setsid sh -c 'sleep 1000' & echo begun; " + mark + " sleep 1000"}, 0)
		if line, err := out.ReadString('\n'); line != "begun\n" {
			t.Fatalf("the stage says %q, %v", line, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		for n := 0; len(marked(mark)) > 0; n++ {
			if n > killRounds {
				t.Fatalf("processes are left: %v", marked(mark))
			}
			pause()
		}
		r := &Runner{Work: work, Sandbox: mode}
		if err := r.Janitor(); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(work); err != nil || len(entries) != 0 {
			t.Errorf("left: %v, %v", entries, err)
		}
	})
}

// A server that is not root has the same walls.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	const nobody = 65534
	everyMode(t, func(t *testing.T, mode Mode) {
		dir, err := os.MkdirTemp("", "runner-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		port := freePort(t)
		services := []plan.Service{{Name: "db", Run: "echo x > /dev/stdout; " + server(port, "200 OK"), Port: port, Ready: plan.Probe{HTTP: "/"}}}
		secrets := []Secret{{Name: "t", File: "t", Value: []byte(token)}}
		cmd, out := startChild(t, childOrder{Work: filepath.Join(dir, "work"), Mode: mode, Services: services, Secrets: secrets, Run: `set -e
test "$(id -u)" != 0
test "$(stat -c %a.%u "$GATE_SECRETS/t")" = 400."$(id -u)"
cat "$GATE_SECRETS/t"; echo
touch new "$TMPDIR/new" "$HOME/new"
mkdir -p a/b && chmod 0 a/b
grep -q CapEff:.0000000000000000 /proc/self/status
test ` + string(mode) + ` = none || {
	! ls ` + dir + ` || exit 11
	! touch /usr/evil || exit 12
	! unshare -U true || exit 13
	! mount -t tmpfs none /tmp || exit 14
	kill -QUIT 1 || true
	kill -SEGV 1 || true
	! perl -e 'exit(syscall(101, 16, 1, 0, 0) == 0 ? 0 : 1)' || exit 15
	test "$(hostname)" = gate || exit 16
} 2>/dev/null
sleep 1000 &
echo fine`}, nobody)
		var all bytes.Buffer
		_, _ = all.ReadFrom(out)
		if err := cmd.Wait(); err != nil || !strings.Contains(all.String(), "fine\n\nRESULT PASSED 0") ||
			strings.Contains(all.String(), token) || !strings.Contains(all.String(), "***\n") || !strings.Contains(all.String(), "[db] x\n[db] serving\n") {
			t.Errorf("%v, output:\n%s", err, all.String())
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "work")); err != nil || len(entries) != 0 {
			t.Errorf("left: %v, %v", entries, err)
		}
	})
}

func TestDetect(t *testing.T) {
	for _, mode := range walls {
		t.Run(string(mode), func(t *testing.T) {
			needMode(t, mode)
			if err := Probe(t.Context(), mode); err != nil {
				t.Error(err)
			}
		})
	}
	needMode(t, Embedded)
	mode, err := Detect(t.Context())
	if err != nil || (mode != Bubblewrap && mode != Embedded) {
		t.Errorf("Detect = %q, %v", mode, err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := Probe(t.Context(), Bubblewrap); err == nil || !strings.Contains(err.Error(), "apt-get install bubblewrap") {
		t.Errorf("without bubblewrap: %v", err)
	}
	if err := Probe(t.Context(), None); err == nil {
		t.Error("no walls at all passed the probe")
	}
}
