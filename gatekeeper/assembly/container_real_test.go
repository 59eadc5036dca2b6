package assembly

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatekeeper/assembly/enginetest"
	"gatehouse/gatekeeper/plan"
)

// imageSpec is an assembly of an image that has nothing in it but the service.
func imageSpec(t *testing.T, id int64, env ...string) Spec {
	t.Helper()
	s := spec(t, id, append([]string{"LISTEN=0.0.0.0"}, env...)...)
	s.Type, s.Run, s.Port = plan.OCIImage, "", 8080
	s.Secrets = map[string]string{"DATABASE_PASSWORD": "correct horse battery"}
	layout := t.TempDir()
	s.Digest = enginetest.WriteLayout(t, layout, map[string]string{"service": filepath.Join(service(t), "service")}, "/service")
	s.Unpack = func(_ context.Context, to string) error {
		return os.CopyFS(filepath.Join(to, "server"), os.DirFS(layout))
	}
	return s
}

// The whole life of assemblies in a real engine, without a network and without a registry.
func TestContainersOfAnEngine(t *testing.T) {
	e := useEngine(t)
	dir := t.TempDir()
	d := e.driver(dir)
	t.Cleanup(func() { e.wantNothing(dir) })

	s := imageSpec(t, 7)
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Destroy(context.WithoutCancel(t.Context()), i) })
	first := e.containers()
	if got := get(t, i.Address+"/version"); got != "one" || len(first) != 1 {
		t.Fatalf("%q from %s, in %q", got, i.Address, first)
	}
	for _, want := range []string{"DATABASE_PASSWORD=correct horse battery", "GATE_DIGEST=" + s.Digest, "PORT=8080"} {
		if env := get(t, i.Address+"/env"); !strings.Contains(env, want) {
			t.Errorf("no %s in %q", want, env)
		}
	}
	if _, err := os.Stat(filepath.Join(d.folder(7), "env")); !os.IsNotExist(err) {
		t.Errorf("the file of its variables: %v", err)
	}
	wantHealth(t, d, i, Ready)

	t.Run("log", func(t *testing.T) {
		poke(i.Address + "/print?end=here")
		eventually(t, "it is in the log", func() bool {
			text, _, err := d.Output(t.Context(), i, []string{"DATABASE_PASSWORD"}, 1<<20)
			if err != nil || strings.Contains(string(text), "horse") {
				t.Fatalf("%q, %v", text, err)
			}
			return strings.Contains(string(text), "the password is [masked] here")
		})
		if text, cut, err := d.Output(t.Context(), i, nil, 5); err != nil || !cut || len(text) != 5 {
			t.Errorf("%q, %v, %v", text, cut, err)
		}
	})
	t.Run("the server comes back", func(t *testing.T) {
		d = e.driver(dir)
		again, err := d.Adopt(t.Context(), s, i)
		if err != nil || again.Address != i.Address || !slices.Equal(e.containers(), first) {
			t.Fatalf("%+v, %v, %q, want %+v", again, err, e.containers(), i)
		}
	})
	t.Run("it crashes", func(t *testing.T) { // the engine starts it again, at the same address
		for range 2 {
			poke(i.Address + "/crash")
			eventually(t, "it serves again", func() bool {
				h, err := d.Health(t.Context(), i)
				if err != nil || h.State == Gone {
					t.Fatalf("%+v, %v", h, err)
				}
				return h.State == Ready
			})
		}
		if got := e.Must("inspect", "--type", "container", "--format", "{{.RestartCount}}", first[0]); got != "2" {
			t.Errorf("%s restarts", got)
		}
	})
	t.Run("it was removed", func(t *testing.T) {
		e.Must("rm", "--force", "--time", "0", first[0])
		wantHealth(t, d, i, Gone)
		again, err := d.Adopt(t.Context(), s, i)
		if err != nil {
			t.Fatal(err)
		}
		i = again
		wantHealth(t, d, i, Ready)
	})
	t.Run("blue and green", func(t *testing.T) { i = switchUnderLoad(t, e, d, i) })
	t.Run("replace", func(t *testing.T) {
		next := imageSpec(t, 9, "VERSION=3")
		next.Previous, next.Strategy = &i, plan.Replace
		old := i
		var err error
		if i, err = d.Deploy(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		wantHealth(t, d, old, Gone)
		wantHealth(t, d, i, Ready)
	})
	t.Run("killed in a deploy", func(t *testing.T) { // nobody has the instance
		if _, err := d.Deploy(t.Context(), imageSpec(t, 10)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := e.driver(dir).Sweep(t.Context(), Spec{ID: 10}); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(e.containers()); got != 1 {
			t.Errorf("%d containers", got)
		}
		wantHealth(t, d, i, Ready) // the other one is left alone
	})
	for range 2 {
		if err := d.Destroy(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	wantHealth(t, d, i, Gone)
	t.Run("deploys that fail", func(t *testing.T) { failOnEngine(t, e, d) })
}

// switchUnderLoad brings another version beside i, and lets the router switch between requests.
func switchUnderLoad(t *testing.T, e realEngine, d *Container, i Instance) Instance {
	t.Helper()
	r, front := testRouter(t)
	if err := r.Set(previewHost, i); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		load.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !t.Failed() {
				select {
				case <-stop:
					return
				default:
				}
				if version, err := ask(t.Context(), client, front.URL+"/slow"); err != nil || !strings.HasPrefix(version, "one") && !strings.HasPrefix(version, "two") {
					t.Errorf("request %d: %q, %v", asked.Load(), version, err)
				}
				asked.Add(1)
			}
		})
	}
	s := imageSpec(t, 8, "VERSION=two")
	s.Previous, s.Strategy = &i, plan.BlueGreen
	next, err := d.Deploy(t.Context(), s)
	if err == nil && len(e.containers()) != 2 {
		err = fmt.Errorf("there are %d containers", len(e.containers()))
	}
	if err == nil {
		err = r.Set(previewHost, next)
	}
	if err == nil {
		err = r.Drain(t.Context(), i)
	}
	if err == nil {
		err = d.Destroy(t.Context(), i)
	}
	begin := asked.Load()
	eventually(t, "requests reach it", func() bool { return err != nil || asked.Load() > begin+10 || t.Failed() })
	close(stop)
	load.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, next.Address+"/version"); got != "two" {
		t.Errorf("%q", got)
	}
	t.Logf("%d requests over the switch", asked.Load())
	return next
}

// failOnEngine makes deploys that fail: they say why and whose fault it is, and leave nothing.
func failOnEngine(t *testing.T, e realEngine, d *Container) {
	t.Helper()
	e.TB = t
	s := imageSpec(t, 1, "MODE=exit")
	var log syncBuffer
	s.Log = &log
	e.wantRefused(d, s, true, "ended before it was ready; its last words: ", "cannot open the database at [masked]")
	if !strings.Contains(log.String(), "cannot open the database at [masked]") {
		t.Errorf("log %q", log.String())
	}
	s = imageSpec(t, 2, "MODE=silent")
	s.Ready.Within = time.Second
	e.wantRefused(d, s, true, "not ready within 1s")
	s = imageSpec(t, 2, "LISTEN=127.0.0.1")
	s.Ready.Within = time.Second
	e.wantRefused(d, s, true, "not ready within 1s", "on all addresses")
	s = imageSpec(t, 3)
	s.Run = "exec /service" // there is no /bin/sh in it
	e.wantRefused(d, s, true, "does not find what it shall run", "see that the command is in the image")

	s = imageSpec(t, 4)
	unpack := s.Unpack
	s.Unpack = func(ctx context.Context, to string) error {
		if err := unpack(ctx, to); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, "server/index.json"), []byte(`{"schemaVersion":2,"manifests":[]}`), 0o600)
	}
	e.wantRefused(d, s, false, "the engine could not load")
	s.Unpack = copyTo(t.TempDir())
	e.wantRefused(d, s, true, "no image in the OCI layout")

	// Somebody's own container has the name.
	s = imageSpec(t, 5)
	shell := shellImage(t, e)
	name := fmt.Sprintf("gate-%s-%d", e.scope(), s.ID)
	e.Must("create", "--name", name, shell, "/bin/sh")
	e.wantRefused(d, s, false, "the engine does not start it", "in use")
	e.Must("rm", name) // it is still there

	s = containerSpec(t, 6)
	s.Image, s.Env["LISTEN"] = "localhost/gatehouse-nothing:1", "0.0.0.0"
	e.wantRefused(d, s, false, "the engine does not start it")

	// A file in an image of the machine: the artifact is mounted, and cannot be written.
	s.Image, s.Run = shell, "echo no > /app/new && exit 9; exec ./service"
	i, err := d.Deploy(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, i.Address+"/version"); got != "one" {
		t.Errorf("%q", got)
	}
	if err := d.Destroy(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	e.Must("image", "inspect", shell) // which is not ours to remove
	e.Must("rmi", shell)
}

// shellImage is an image with this machine's shell.
func shellImage(t *testing.T, e realEngine) string {
	t.Helper()
	files, err := enginetest.ShellFiles()
	if err != nil {
		t.Skipf("what /bin/sh needs is not known: %v", err)
	}
	layout, name := t.TempDir(), "localhost/gatehouse-shell:1"
	enginetest.WriteLayout(t, layout, files, "/bin/sh")
	if err := e.Load(layout, name); err != nil {
		t.Fatal(err)
	}
	return name
}
