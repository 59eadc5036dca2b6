package assembly

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatehouse/gitserver/fault"
)

// realEngine is a real podman with a store of its own, or else the machine's docker.
type realEngine struct {
	t       *testing.T
	program string
}

// useEngine finds an engine that can run a container here, or says why there is none.
func useEngine(t *testing.T) realEngine {
	t.Helper()
	service(t)
	var why []string
	if path, err := exec.LookPath("podman"); err != nil {
		why = append(why, "no podman (apt-get install podman runc)")
	} else {
		for _, runtime := range runtimes() {
			e := realEngine{t, privatePodman(t, path, runtime)}
			if err := e.try(); err == nil {
				return e
			} else {
				why = append(why, fmt.Sprintf("podman with %s: %v", runtime, err))
			}
		}
	}
	if _, err := exec.LookPath("docker"); err == nil {
		e := realEngine{t, "docker"}
		err := e.try()
		if err == nil {
			return e
		}
		why = append(why, fmt.Sprintf("docker: %v", err))
	}
	t.Skipf("no container engine works here: %s", strings.Join(why, "; "))
	panic("unreachable")
}

// runtimes are what podman may run containers with, the likelier first: crun, which Debian prefers,
// refuses the hybrid of both versions of cgroups.
func runtimes() []string {
	all, names := []string{}, []string{"crun", "runc"}
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		slices.Reverse(names)
	}
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			all = append(all, name)
		}
	}
	return all
}

// privatePodman writes a podman whose images and containers are in a folder of the test's.
func privatePodman(t *testing.T, podman, runtime string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gp-") // a short name: podman makes sockets below it
	if err != nil {
		t.Fatal(err)
	}
	var files, processes syscall.Rlimit
	if err := errors.Join(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files), syscall.Getrlimit(rlimitProcesses, &processes)); err != nil {
		t.Fatal(err)
	}
	// Where the tests run in a container themselves, podman may not raise limits, which it does unasked.
	nfiles, nprocesses := min(files.Max, 4096), min(processes.Max, 4096)
	conf := fmt.Sprintf("[containers]\ndefault_ulimits=[\"nofile=%d:%d\",\"nproc=%d:%d\"]\n[engine]\nruntime=%q\n",
		nfiles, nfiles, nprocesses, nprocesses, runtime)
	// The kernel's own overlay where that works, else copies.
	const script = "#!/bin/sh\nCONTAINERS_CONF=%[1]s/conf exec %[2]s --root %[1]s/store --runroot %[1]s/run --storage-driver %[3]s \"$@\"\n"
	driver := "overlay"
	if os.Getuid() != 0 {
		driver = "vfs"
	}
	program := filepath.Join(dir, "podman")
	err = errors.Join(os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600),
		os.WriteFile(program, fmt.Appendf(nil, script, dir, podman, driver), 0o700)) //nolint:gosec // a program
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", "--all", "--force", "--time", "0"}, {"rmi", "--all", "--force"}} {
			if out, err := exec.Command(program, args...).CombinedOutput(); err != nil { //nolint:gosec // the test's own
				t.Logf("podman %s: %v: %s", args[0], err, out)
			}
		}
		_ = syscall.Unmount(filepath.Join(dir, "store/overlay"), syscall.MNT_DETACH) // podman mounts it on itself
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("podman's folder: %v", err)
		}
	})
	return program
}

// rlimitProcesses is RLIMIT_NPROC of Linux, which package syscall does not name.
const rlimitProcesses = 6

// try runs a container that says something.
func (e realEngine) try() error {
	layout := e.t.TempDir()
	writeLayout(e.t, layout, map[string]string{"service": filepath.Join(service(e.t), "service")}, "/service", "hello")
	name := "localhost/gatehouse-try:1"
	if _, err := (engine{e.program}).load(e.t.Context(), "try", layout, name); err != nil {
		return err
	}
	defer func() { _, _ = e.command("rmi", "--force", name) }()
	out, err := e.command("run", "--rm", "--pids-limit", "100", "--security-opt", "no-new-privileges", "--env", "MODE=hello", name)
	if err == nil && !strings.Contains(out, "hello") {
		err = fmt.Errorf("it says %q", out)
	}
	return err
}

func (e realEngine) command(args ...string) (string, error) {
	out, err := exec.CommandContext(context.WithoutCancel(e.t.Context()), e.program, args...).CombinedOutput() //nolint:gosec // the test's own
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", args[0], err, lastLines(out))
	}
	return strings.TrimSpace(string(out)), err
}

func (e realEngine) must(args ...string) string {
	e.t.Helper()
	out, err := e.command(args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// driver is a new driver, as a restart of the server makes it.
func (e realEngine) driver(dir string) *Container {
	e.t.Helper()
	d, err := NewContainer(ContainerConfig{Engine: e.program, Dir: dir, Scope: e.scope()})
	if err != nil {
		e.t.Fatal(err)
	}
	return d
}

// scope is the test's own among whatever else the engine runs.
func (e realEngine) scope() string { return fmt.Sprintf("test-%d", os.Getpid()) }

// containers are those of the test, by their ids.
func (e realEngine) containers() []string {
	return strings.Fields(e.must("ps", "--all", "--quiet", "--no-trunc", "--filter", "label=gatehouse.server="+e.scope()))
}

func (e realEngine) wantNothing(dir string) {
	e.t.Helper()
	if left := e.containers(); len(left) > 0 {
		e.t.Errorf("containers are left: %s", e.must("ps", "--all", "--filter", "label=gatehouse.server="+e.scope()))
	}
	if left := e.must("images", "--quiet", "--filter", "reference=localhost/gatehouse/"+e.scope()); left != "" {
		e.t.Errorf("images are left: %s", e.must("images"))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		e.t.Errorf("folders are left: %v, %v", left, err)
	}
}

// writeLayout makes an image of files, as a stage does: a folder in the OCI image layout, which has
// the digest that it returns.
func writeLayout(t *testing.T, dir string, files map[string]string, entrypoint ...string) string {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for name, from := range files {
		text, err := os.ReadFile(from)
		if err == nil {
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(text))})
		}
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(dir, "blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil { //nolint:gosec // a layout
		t.Fatal(err)
	}
	put := func(kind string, text []byte) map[string]any {
		sum := sha256.Sum256(text)
		name := hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(blobs, name), text, 0o644); err != nil { //nolint:gosec // a layout
			t.Fatal(err)
		}
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + name, "size": len(text)}
	}
	encode := func(v any) []byte { text, _ := json.Marshal(v); return text }
	layerAt := put("layer.v1.tar", layer.Bytes())
	config := put("config.v1+json", encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Entrypoint": entrypoint},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{layerAt["digest"]}},
	}))
	manifest := put("manifest.v1+json", encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{layerAt},
	}))
	index := encode(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}})
	for name, text := range map[string][]byte{"index.json": index, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // a layout
			t.Fatal(err)
		}
	}
	return manifest["digest"].(string) //nolint:forcetypeassert // put's
}

// shellFiles are what /bin/sh of this machine consists of.
var shellFiles = sync.OnceValues(func() (map[string]string, error) {
	files := map[string]string{"bin/sh": "/bin/sh"}
	out, err := exec.Command("ldd", "/bin/sh").Output()
	for _, m := range regexp.MustCompile(`(/\S+)`).FindAllString(string(out), -1) {
		files[strings.TrimPrefix(m, "/")] = m
	}
	return files, err
})

// wantRefused wants an error of a deploy, and that nothing is left of it.
func (e realEngine) wantRefused(d *Container, s Spec, failed bool, words ...string) {
	e.t.Helper()
	before := len(e.containers())
	i, err := d.Deploy(e.t.Context(), s)
	if err == nil || Failed(err) != failed {
		e.t.Errorf("%+v: %v; failed shall be %v", i, err, failed)
	}
	for _, want := range words {
		if !strings.Contains(fault.Sentence(err), want) {
			e.t.Errorf("%q, want %q", fault.Sentence(err), want)
		}
	}
	if len(e.containers()) != before {
		e.t.Errorf("left: %s", e.must("ps", "--all"))
	}
	if _, err := os.Stat(d.folder(s.ID)); !errors.Is(err, fs.ErrNotExist) {
		e.t.Errorf("its folder: %v", err)
	}
}
