package assembly

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve answers everything well on a port that belongs to somebody else.
func serve(t *testing.T, port int) *http.Server {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Error(err)
		return &http.Server{}
	}
	thief := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Second}
	go func() { _ = thief.Serve(l) }()
	t.Cleanup(func() { _ = thief.Close() })
	return thief
}

// Whoever takes the port of an assembly before it listens would be sent its probes, and then its
// visitors.
func TestAStolenPortIsNotServedFrom(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	s := spec(t, 7)
	unpack, stolen := s.Unpack, 0
	s.Unpack = func(ctx context.Context, dir string) error {
		if stolen == 0 {
			stolen = d.running[7].handle.Port
			serve(t, stolen)
		}
		return unpack(ctx, dir)
	}
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if portOf(t, i) == strconv.Itoa(stolen) {
		t.Fatal("it serves on a port that somebody else listens on")
	}
	if got := get(t, i.Address+"/version"); got != "one" {
		t.Errorf("%q", got)
	}
}

func TestAPortStolenWhileItStartsAgain(t *testing.T) {
	clock := &heldClock{held: make(chan chan time.Time, 1)}
	d := newProcessDriver(t, t.TempDir(), clock)
	i, err := d.Deploy(t.Context(), spec(t, 7))
	if err != nil {
		t.Fatal(err)
	}
	poke(i.Address + "/crash")
	release := <-clock.held
	port, _ := strconv.Atoi(portOf(t, i))
	thief := serve(t, port)
	for range 2 { // two starts that cannot listen
		release <- time.Now()
		release = <-clock.held
		if h, err := d.Health(t.Context(), i); err != nil || h.State != Degraded {
			t.Fatalf("somebody else answers for it, and it is %+v, %v", h, err)
		}
	}
	_ = thief.Close()
	release <- time.Now()
	wantHealth(t, d, i, Ready)
}

// heldClock lets the test end the waits of one second and more that are no probe's.
type heldClock struct {
	SystemClock
	held chan chan time.Time
}

func (c *heldClock) After(d time.Duration) <-chan time.Time {
	if d != firstBackoff && d != 2*firstBackoff && d != 4*firstBackoff {
		return c.SystemClock.After(d)
	}
	ends := make(chan time.Time)
	c.held <- ends
	return ends
}

func TestDaemonsEndWithTheirAssembly(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	s := spec(t, 7, "MODE=daemon")
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	eventually(t, "the daemon runs", func() bool { pids = d.running[7].tree().pids(); return len(daemons(pids)) == 1 })
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if left := daemons(pids); len(left) > 0 {
		t.Errorf("it lives on: %v", left)
	}
}

func daemons(pids []int) []int {
	var found []int
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.HasPrefix(string(text), "./service\x00daemon") {
			found = append(found, pid)
		}
	}
	return found
}

func TestSecretsAreMasked(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	s := spec(t, 7)
	s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery", "KEY": "-----BEGIN KEY-----\nbase64base64\n"}
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	poke(i.Address + "/print?end=base64base64,over")
	var text []byte
	eventually(t, "it is in the log", func() bool {
		text, _ = os.ReadFile(d.Log(7))
		return strings.Contains(string(text), "over")
	})
	if !strings.Contains(string(text), "the password is [masked] [masked],over\n") {
		t.Errorf("log: %q", text)
	}
}
