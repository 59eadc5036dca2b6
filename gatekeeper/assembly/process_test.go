package assembly

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

func TestProcessLife(t *testing.T) {
	dir := t.TempDir()
	d := newProcessDriver(t, dir, nil)
	s := spec(t, 7, "PORT=1", "GATE_DIGEST=forged", "COLOUR=blue")
	s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery"}
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Split(get(t, i.Address+"/env"), "\n")
	for _, want := range []string{
		"PORT=" + portOf(t, i), "GATE_PORT=" + portOf(t, i), "GATE_ENVIRONMENT=preview", "GATE_COMMIT=" + s.Commit, "GATE_DIGEST=" + s.Digest,
		"GATE_INSTANCE=c17", "COLOUR=blue", "DATABASE_PASSWORD=correct horse battery",
	} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
	if h, err := d.Health(t.Context(), i); err != nil || h != (Health{State: Ready}) {
		t.Errorf("%+v, %v", h, err)
	}
	eventually(t, "its words are in its log", func() bool {
		text, _ := os.ReadFile(d.Log(7))
		return strings.Contains(string(text), "service one begins")
	})
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Errorf("once more: %v", err)
	}
	if port, _ := strconv.Atoi(portOf(t, i)); taken(port) {
		t.Error("its port is still taken")
	}
	for _, folder := range []string{"work", "assemblies"} {
		if left, err := os.ReadDir(filepath.Join(dir, folder)); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	if h, err := d.Health(t.Context(), i); err != nil || h.State != Gone {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestProcessStartsAgain(t *testing.T) {
	clock := &heldClock{held: make(chan chan time.Time, 1)}
	d := newProcessDriver(t, t.TempDir(), clock)
	i, err := d.Deploy(t.Context(), spec(t, 7))
	if err != nil {
		t.Fatal(err)
	}
	poke(i.Address + "/crash")
	release := <-clock.held
	want := Health{State: Degraded, Words: "it ended by itself: exit code 7; it starts again in 1s (1 of 7)"}
	if h, err := d.Health(t.Context(), i); err != nil || h != want {
		t.Errorf("%+v, %v", h, err)
	}
	release <- time.Now()
	wantHealth(t, d, i, Ready)
	if got := get(t, i.Address+"/version"); got != "one" {
		t.Errorf("after the restart: %q", got)
	}
}

func TestProcessThatKeepsCrashingIsGone(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), quickClock{1000})
	s := spec(t, 7)
	s.Ready.Within = 8 * time.Hour // of the quick clock
	// It serves the first time. What it writes is gone when it ends, so it needs another witness.
	flag := filepath.Join(t.TempDir(), "flag")
	unpack := s.Unpack
	s.Unpack = func(ctx context.Context, dir string) error {
		if _, err := os.Stat(flag); err == nil {
			if err := os.WriteFile(filepath.Join(dir, "again"), nil, 0o600); err != nil {
				return err
			}
		}
		return unpack(ctx, dir)
	}
	s.Run = "test ! -e again || { echo the same as ever; exit 9; }; exec ./service"
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	poke(i.Address + "/crash")
	words := wantHealth(t, d, i, Gone)
	for _, want := range []string{"it ended 8 times", "exit code 9", "the same as ever"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in %q", want, words)
		}
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Error(err)
	}
}

func TestProcessThatNeverServesHasFailed(t *testing.T) {
	elsewhere, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		lives bool
		edit  func(*Spec)
		want  []string
	}{
		{"ends", false, func(s *Spec) { s.Env["MODE"] = "exit" }, []string{"exit code 3", "before it was ready", "cannot open the database at [masked]"}},
		{"no such command", false, func(s *Spec) { s.Run = "./nothing" }, []string{"exit code 127", "./nothing"}},
		{"ends well", false, func(s *Spec) { s.Run = "true" }, []string{"exit code 0", "it said nothing"}},
		{"listens nowhere", true, func(s *Spec) { s.Env["MODE"] = "silent" }, []string{"not ready within 2s", "nothing listens", "service one begins"}},
		{"listens elsewhere", true, func(s *Spec) { s.Env["MODE"], s.Env["ELSEWHERE"] = "elsewhere", strconv.Itoa(elsewhere) }, []string{"listens on " + strconv.Itoa(elsewhere), "let it listen on $PORT"}},
		{"is sick", true, func(s *Spec) { s.Ready.HTTP = "/sick" }, []string{"/sick answers 500"}},
		{"is deaf", true, func(s *Spec) { s.Env["MODE"] = "deaf" }, []string{"no answer within 5s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			d := newProcessDriver(t, dir, nil)
			s := spec(t, 7)
			s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery"}
			s.Ready.Within = 30 * time.Second // for what ends earlier
			if tt.lives {
				s.Ready.Within = 2 * time.Second
			}
			tt.edit(&s)
			_, err := d.Deploy(t.Context(), s)
			if !Failed(err) {
				t.Fatalf("%v is not the code's fault", err)
			}
			for _, want := range tt.want {
				if words := fault.Sentence(err); !strings.Contains(words, want) {
					t.Errorf("no %q in %q", want, words)
				}
			}
			if left, err := os.ReadDir(filepath.Join(dir, "assemblies")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestProcessMachineryIsNotTheCode(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	s := spec(t, 7)
	s.Unpack = func(context.Context, string) error { return fmt.Errorf("the store is away") }
	if _, err := d.Deploy(t.Context(), s); err == nil || Failed(err) {
		t.Errorf("no artifact: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = spec(t, 8, "MODE=silent")
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := d.Deploy(ctx, s); err == nil || Failed(err) {
		t.Errorf("called off: %v", err)
	}
	if len(d.running) != 0 || len(d.ports) != 0 {
		t.Errorf("left: %v, %v", d.running, d.ports)
	}
	for _, edit := range []func(*Spec){
		func(s *Spec) { s.Run = "" },
		func(s *Spec) { s.Strategy = "canary" },
		func(s *Spec) { s.Env["A B"] = "x" },
		func(s *Spec) { s.Secrets = map[string]string{"A": "x\x00y"} },
	} {
		s := spec(t, 9)
		edit(&s)
		if _, err := d.Deploy(t.Context(), s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v, want invalid", err)
		}
	}
}

func TestProcessIsAdoptedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	d := newProcessDriver(t, dir, nil)
	s := spec(t, 7)
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := d.Adopt(t.Context(), s, i); err != nil || same.Address != i.Address || string(same.Handle) != string(i.Handle) {
		t.Errorf("adopted what runs: %+v, %v", same, err)
	}
	d.Close()
	if _, err := d.Deploy(t.Context(), s); err == nil || Failed(err) {
		t.Errorf("a server that stops: %v", err)
	}
	d = newProcessDriver(t, dir, nil)
	if h, err := d.Health(t.Context(), i); err != nil || h.State != Gone {
		t.Errorf("before it is adopted: %+v, %v", h, err)
	}
	again, err := d.Adopt(t.Context(), s, i)
	if err != nil {
		t.Fatal(err)
	}
	if again.Address != i.Address {
		t.Errorf("its port was free, and it got another: %s, %s", again.Address, i.Address)
	}
	if got := get(t, again.Address+"/version"); got != "one" {
		t.Errorf("%q", got)
	}
	// What belongs to the life before does not end this one.
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Error(err)
	}
	wantHealth(t, d, again, Ready)
	d.Close()
	// Somebody took the port while the server was away.
	thief, err := net.Listen("tcp", "127.0.0.1:"+portOf(t, again))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = thief.Close() }()
	d = newProcessDriver(t, dir, nil)
	third, err := d.Adopt(t.Context(), s, again)
	if err != nil || third.Address == again.Address {
		t.Fatalf("%+v, %v", third, err)
	}
	wantHealth(t, d, third, Ready)
}

func TestConcurrentDeploys(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	const many = 6
	instances := make([]Instance, many)
	var deploys sync.WaitGroup
	for n := range many {
		s := spec(t, int64(n+1), fmt.Sprintf("VERSION=v%d", n))
		deploys.Go(func() {
			var err error
			if instances[n], err = d.Deploy(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	deploys.Wait()
	if t.Failed() {
		t.FailNow()
	}
	addresses := map[string]bool{}
	for n, i := range instances {
		addresses[i.Address] = true
		if got, want := get(t, i.Address+"/version"), fmt.Sprintf("v%d", n); got != want {
			t.Errorf("%s answers %q, want %q", i.Address, got, want)
		}
	}
	if len(addresses) != many {
		t.Errorf("addresses: %v", addresses)
	}
	// The same assembly again takes the place of what runs under its id.
	again, err := d.Deploy(t.Context(), spec(t, 1, "VERSION=new"))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, again.Address+"/version"); got != "new" {
		t.Errorf("%q", got)
	}
	wantHealth(t, d, instances[0], Gone)
}

func TestReplaceEndsTheOldOneFirst(t *testing.T) {
	d := newProcessDriver(t, t.TempDir(), nil)
	old, err := d.Deploy(t.Context(), spec(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	s := spec(t, 2, "VERSION=two")
	s.Previous, s.Strategy = &old, plan.Replace
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	wantHealth(t, d, old, Gone)
	wantHealth(t, d, i, Ready)
}
