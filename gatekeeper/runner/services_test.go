package runner

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
)

// server is a script of a server that answers each request with status.
func server(port int, status string) string {
	return fmt.Sprintf(`exec perl -MIO::Socket::INET -e '$| = 1;
$s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => %d, ReuseAddr => 1) or die "no port: $!";
print "serving\n";
while ($c = $s->accept) { $l = <$c>; if (defined $l) { print "asked $l"; print $c "HTTP/1.1 %s\r\n\r\nbody" } close $c }'`, port, status)
}

// freePort is one that nobody uses: without walls, the ports are the machine's.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// A stage finds its services serving, and they end with it.
func TestServices(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		tcp, web := freePort(t), freePort(t)
		mark := fmt.Sprintf("GATE_TEST_MARK=%d_services_%s", os.Getpid(), mode)
		key := "first line of it\nsecond line of it"
		result, log := f.run(t, Request{
			RepoID: 1, Secrets: []Secret{{Name: "k", Env: "KEY", Value: []byte(key)}},
			Stage: plan.Stage{
				Run: fmt.Sprintf(`perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => %d) or die; print $s "hello\n"; print scalar <$s>'
echo tested`, web),
				Services: []plan.Service{
					{Name: "db", Run: "export " + mark + "; echo \"$KEY\"; echo x > /dev/stdout; sleep 1000 & " + server(tcp, "200 OK"), Port: tcp, Ready: plan.Probe{Within: time.Minute}},
					{Name: "web", Run: "test -e README && echo starting >&2; sleep 0.3; " + server(web, "404 Not Found"), Port: web, Ready: plan.Probe{HTTP: "/healthz", Status: 404}},
				},
			},
		})
		wantState(t, result, log, passed)
		for _, want := range []string{"[db] ***\n[db] x\n[db] serving\n", "[web] starting\n", "[web] asked GET /healthz HTTP/1.1", "HTTP/1.1 404 Not Found", "\ntested\n"} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q in\n%s", want, log)
			}
		}
		if strings.Contains(log, "line of it") {
			t.Errorf("the secret shows in\n%s", log)
		}
		if strings.Index(log, "[db] serving") > strings.Index(log, "[web] starting") {
			t.Errorf("out of order:\n%s", log)
		}
		if left := marked(mark); len(left) != 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
}

// A service that is not ready is a verdict about the code: its command is the code's.
func TestServicesThatAreNotReady(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		port := freePort(t)
		soon := plan.Probe{Within: 700 * time.Millisecond}
		http := plan.Probe{HTTP: "/", Within: 700 * time.Millisecond}
		tests := map[string]struct {
			run    string
			probe  plan.Probe
			reason string
			log    string
		}{
			"silent":       {"sleep 1000", soon, fmt.Sprintf(`its service "db" did not answer on port %d within 700ms`, port), ""},
			"ends":         {"echo no disk; exit 3", plan.Probe{}, `its service "db" ended before it was ready: exit code 3`, "[db] no disk\n"},
			"is killed":    {"kill -TERM $$", plan.Probe{}, `its service "db" ended before it was ready: ended by a signal: terminated`, ""},
			"wrong status": {server(port, "500 Oops"), http, "did not answer", "[db] asked GET / HTTP/1.1"},
			"no HTTP":      {strings.ReplaceAll(server(port, "200 OK"), "HTTP/1.1 ", "SSH-2.0 "), http, "did not answer", "[db] asked GET"},
			"goes away":    {"(setsid sleep 1000 >/dev/null 2>&1 &) ; exit 0", soon, "did not answer", ""},
		}
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t, mode)
				result, log := f.run(t, Request{Stage: plan.Stage{Run: "echo begun", Services: []plan.Service{{Name: "db", Run: tt.run, Port: port, Ready: tt.probe}}}})
				wantState(t, result, log, failed)
				if !strings.Contains(result.Reason, tt.reason) || !strings.Contains(log, tt.log) || strings.Contains(log, "begun") {
					t.Errorf("%q, output %q; want %q, %q", result.Reason, log, tt.reason, tt.log)
				}
			})
		}
		t.Run("a stage that takes too long before it begins", func(t *testing.T) {
			f := newFixture(t, mode)
			result, log := f.run(t, Request{Stage: plan.Stage{Run: "echo begun", Timeout: time.Second, Services: []plan.Service{{Name: "db", Run: "sleep 1000", Port: port}}}})
			wantState(t, result, log, timedOut)
		})
	})
}

// A service that forks away is found by its port, and ends with the stage all the same. One that
// ends while the script runs is the script's to notice; the log says so.
func TestServicesThatForkAway(t *testing.T) {
	everyMode(t, func(t *testing.T, mode Mode) {
		f := newFixture(t, mode)
		port := freePort(t)
		mark := fmt.Sprintf("GATE_TEST_MARK=%d_daemon_%s", os.Getpid(), mode)
		result, log := f.run(t, Request{Stage: plan.Stage{
			Run: "echo begun; touch go; while test -e /proc/$(cat pid); do sleep 0.05; done",
			Services: []plan.Service{
				{Name: "daemon", Run: mark + " setsid sh -c '" + strings.ReplaceAll(server(port, "200 OK"), "'", `'\''`) + "' </dev/null >/dev/null 2>&1 & exit 0", Port: port},
				{Name: "short", Run: "echo $$ > pid; while test ! -e go; do sleep 0.05; done; exit 5", Port: port},
			},
		}})
		wantState(t, result, log, passed)
		if !strings.Contains(log, "begun\n") || !strings.Contains(log, "[short] (exit code 5)\n") {
			t.Errorf("output %q", log)
		}
		if left := marked(mark); len(left) != 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
}

func TestPrefixed(t *testing.T) {
	long := strings.Repeat("x", 2*maxServiceLine+5)
	var out bytes.Buffer
	p := &prefixed{prefix: "[db] ", to: &out}
	for _, text := range []string{"a\n\nb", "c\n", long, "\n", "end"} {
		_, _ = p.Write([]byte(text))
	}
	p.flush()
	x := strings.Repeat("x", maxServiceLine)
	if want := "[db] a\n[db] \n[db] bc\n[db] " + x + "\n[db] " + x + "\n[db] xxxxx\n[db] end\n"; out.String() != want {
		t.Errorf("got  %q\nwant %q", out.String(), want)
	}
}
