package assembly

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

func newContainerDriver(t *testing.T, dir string) *Container {
	t.Helper()
	d, err := NewContainer(ContainerConfig{Dir: dir, Scope: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func containerSpec(t *testing.T, id int64, env ...string) Spec {
	t.Helper()
	s := spec(t, id, env...)
	s.Type, s.Image, s.Port, s.Run = plan.FileArtifact, "docker.io/library/debian:12", 8080, "exec ./service"
	s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery"}
	return s
}

func TestContainerLife(t *testing.T) {
	store := fakeStore{installEngine(t)}
	dir := t.TempDir()
	d := newContainerDriver(t, dir)
	s := containerSpec(t, 7, "PATH=/evil", "LD_PRELOAD=/evil.so", "GATE_DIGEST=forged")
	delete(s.Env, "PATH") // the fake runs it where PATH matters; see the arguments below
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	c := store.all()[0]
	for _, want := range []string{"gatehouse.server=test", "gatehouse.assembly=7", "gatehouse.environment=preview"} {
		if !slices.Contains(c.Labels, want) {
			t.Errorf("no label %s in %q", want, c.Labels)
		}
	}
	for _, want := range []string{"DATABASE_PASSWORD=correct horse battery", "GATE_DIGEST=" + s.Digest, "PORT=8080", "LD_PRELOAD=/evil.so"} {
		if !slices.Contains(c.Env, want) {
			t.Errorf("no %s in %q", want, c.Env)
		}
	}
	args := strings.Join(c.Args, " ")
	for _, want := range []string{"--publish 127.0.0.1:" + portOf(t, i) + ":8080", ":/app:ro", "no-new-privileges", "--entrypoint /bin/sh docker.io/library/debian:12 -c exec ./service"} {
		if !strings.Contains(args, want) {
			t.Errorf("no %q in %q", want, args)
		}
	}
	if strings.Contains(args, "horse") {
		t.Error("a secret is on the command line, where everybody on the machine can read it")
	}
	if got := get(t, i.Address+"/version"); got != "one" {
		t.Errorf("%q", got)
	}
	wantHealth(t, d, i, Ready)

	// It lives on when the server ends, and is found again.
	d = newContainerDriver(t, dir)
	again, err := d.Adopt(t.Context(), s, i)
	if err != nil || again.Address != i.Address || len(store.all()) != 1 || store.all()[0].PID != c.PID {
		t.Fatalf("%+v, %v, %+v", again, err, store.all())
	}
	// Unless it has ended in the meantime: then it is started again.
	_ = syscall.Kill(-c.PID, syscall.SIGKILL)
	wantHealth(t, d, again, Gone)
	if again, err = d.Adopt(t.Context(), s, again); err != nil {
		t.Fatal(err)
	}
	wantHealth(t, d, again, Ready)

	next := containerSpec(t, 8, "VERSION=two")
	next.Previous, next.Strategy = &again, plan.BlueGreen
	green, err := d.Deploy(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	wantHealth(t, d, again, Ready)
	for range 2 {
		if err := d.Destroy(t.Context(), again); err != nil {
			t.Fatal(err)
		}
	}
	wantHealth(t, d, again, Gone)
	wantHealth(t, d, green, Ready)
	next.ID, next.Previous, next.Strategy = 9, &green, plan.Replace
	last, err := d.Deploy(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	wantHealth(t, d, green, Gone)
	if err := d.Destroy(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestContainerRunsAnImage(t *testing.T) {
	store := fakeStore{installEngine(t)}
	d := newContainerDriver(t, t.TempDir())
	s := containerSpec(t, 7)
	s.Type, s.Image, s.Run = plan.OCIImage, "", ""
	if _, err := d.Deploy(t.Context(), s); !Failed(err) || !strings.Contains(err.Error(), "no image in the OCI layout") {
		t.Errorf("%v", err)
	}
	unpack := s.Unpack
	s.Unpack = func(ctx context.Context, dir string) error {
		if err := unpack(ctx, dir); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600)
	}
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if c := store.all()[0]; c.Image != "localhost/gatehouse/test:7" || strings.Contains(strings.Join(c.Args, " "), "--volume") {
		t.Errorf("%+v", c)
	}
	if got := get(t, i.Address+"/version"); got != "one" {
		t.Errorf("%q", got)
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Error(err)
	}
	if name, err := os.ReadFile(filepath.Join(store.dir, "name")); err == nil {
		t.Errorf("the image %s is left", name)
	}
}

func TestContainerFails(t *testing.T) {
	dir := installEngine(t)
	d := newContainerDriver(t, t.TempDir())
	s := containerSpec(t, 7, "MODE=exit")
	var log syncBuffer
	s.Log = &log
	_, err := d.Deploy(t.Context(), s)
	if words := fault.Sentence(err); !Failed(err) || !strings.Contains(words, "ended before it was ready; its last words: service one begins / cannot open the database at [masked]") {
		t.Errorf("%q", words)
	}
	if !strings.Contains(log.String(), "cannot open the database at [masked]") {
		t.Errorf("log %q", log.String())
	}
	s = containerSpec(t, 7, "MODE=silent")
	s.Ready.Within = time.Second
	if _, err := d.Deploy(t.Context(), s); !Failed(err) || !strings.Contains(err.Error(), "not ready within 1s") {
		t.Errorf("%v", err)
	}
	for _, word := range []string{"run", "ps", "images"} {
		file := filepath.Join(dir, "fail-"+word)
		if err := os.WriteFile(file, []byte("Error: the engine is ill, password correct horse battery"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := d.Deploy(t.Context(), containerSpec(t, 7))
		if err == nil || Failed(err) || !strings.Contains(fault.Sentence(err), "the engine is ill") {
			t.Errorf("%s: %v", word, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for what, edit := range map[string]func(*Spec){
		"port:":            func(s *Spec) { s.Port = 0 },
		"image:":           func(s *Spec) { s.Image = "" },
		"no name of":       func(s *Spec) { s.Image = "--privileged" },
		"run:":             func(s *Spec) { s.Run = "" },
		"several lines":    func(s *Spec) { s.Secrets["KEY"] = "a\nb" },
		"environment vari": func(s *Spec) { s.Env["A=B\nC"] = "x" },
	} {
		s := containerSpec(t, 7)
		edit(&s)
		if _, err := d.Deploy(t.Context(), s); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Sentence(err), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := d.Deploy(t.Context(), containerSpec(t, 7)); err == nil || Failed(err) || !strings.Contains(fault.Sentence(err), "apt-get install podman") {
		t.Errorf("%v", err)
	}
	for _, c := range []ContainerConfig{{Dir: t.TempDir(), Scope: "a b"}, {Dir: t.TempDir()}, {Dir: t.TempDir() + "/a:b", Scope: "a"}} {
		if _, err := NewContainer(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
