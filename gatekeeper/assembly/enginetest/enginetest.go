// Package enginetest finds a container engine for tests: a real podman with a store of its own, or
// else the machine's docker. Where none works it skips the test and says why, engine by engine.
//
// Nothing is fetched: [WriteLayout] makes images of files of this machine.
package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
)

// Engine is a program that speaks as podman does.
type Engine struct {
	testing.TB
	Program string
}

// Use finds an engine that can run a container here, or skips the test.
func Use(t testing.TB) Engine {
	t.Helper()
	var why []string
	if path, err := exec.LookPath("podman"); err != nil {
		why = append(why, "no podman (apt-get install podman runc)")
	} else {
		for _, runtime := range runtimes() {
			e := Engine{t, privatePodman(t, path, runtime)}
			err := e.try()
			if err == nil {
				return e
			}
			why = append(why, fmt.Sprintf("podman with %s: %v", runtime, err))
		}
	}
	if _, err := exec.LookPath("docker"); err == nil {
		e := Engine{t, "docker"}
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
func privatePodman(t testing.TB, podman, runtime string) string {
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

// try runs a container that says something, as the driver does.
func (e Engine) try() error {
	files, err := ShellFiles()
	if err != nil {
		return fmt.Errorf("what /bin/sh needs is not known: %w", err)
	}
	layout, name := e.TempDir(), "localhost/gatehouse-try:1"
	WriteLayout(e.TB, layout, files, "/bin/sh")
	if err := e.Load(layout, name); err != nil {
		return err
	}
	defer func() { _, _ = e.Run("rmi", "--force", name) }()
	out, err := e.Run("run", "--rm", "--pids-limit", "100", "--security-opt", "no-new-privileges", "--publish", "127.0.0.1::8080", name, "-c", "echo hello")
	if err == nil && !strings.Contains(out, "hello") {
		err = fmt.Errorf("it says %q", out)
	}
	return err
}

// Load gives the engine the image of a layout by a name.
func (e Engine) Load(layout, name string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(w.AddFS(os.DirFS(layout)), w.Close()); err != nil {
		return err
	}
	out, err := e.run(&archive, "load")
	if err != nil {
		return err
	}
	_, id, _ := strings.Cut(out[strings.LastIndex(out, "Loaded image"):], ": ")
	_, err = e.Run("tag", strings.TrimSpace(id), name)
	return err
}

// Run asks the engine, and returns all that it says.
func (e Engine) Run(args ...string) (string, error) { return e.run(nil, args...) }

func (e Engine) run(in *bytes.Buffer, args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(e.Context()), e.Program, args...) //nolint:gosec // the test's own
	if in != nil {
		cmd.Stdin = in
	}
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", args[0], err, strings.ReplaceAll(said, "\n", " / "))
	}
	return said, err
}

// Must asks the engine for what it cannot refuse.
func (e Engine) Must(args ...string) string {
	e.Helper()
	out, err := e.Run(args...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// WriteLayout makes an image of files, as a stage does: a folder in the OCI image layout, which has
// the digest that it returns.
func WriteLayout(t testing.TB, dir string, files map[string]string, entrypoint ...string) string {
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

// ShellFiles are what /bin/sh of this machine consists of.
var ShellFiles = sync.OnceValues(func() (map[string]string, error) {
	files := map[string]string{"bin/sh": "/bin/sh"}
	out, err := exec.Command("ldd", "/bin/sh").Output()
	for _, m := range regexp.MustCompile(`(/\S+)`).FindAllString(string(out), -1) {
		files[strings.TrimPrefix(m, "/")] = m
	}
	return files, err
})
