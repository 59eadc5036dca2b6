package assembly

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"gatehouse/gitserver/fault"
)

const (
	// engineTimeout bounds one word with the engine: it may have to fetch an image first.
	engineTimeout = 10 * time.Minute
	// maxEngineOutput bounds what is read of an engine's answer.
	maxEngineOutput = 1 << 20
	// engineDelay is how long an engine's client may hold its pipes when it was ended.
	engineDelay = 5 * time.Second
)

// engine is podman or docker, by its command line, of which we use what both have.
type engine struct{ program string }

// engineEnv is what of the server's environment an engine's client needs to find its engine.
var engineEnv = []string{"PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"}

// path finds the engine's program.
func (e engine) path(op string) (string, error) {
	names := []string{"podman", "docker"}
	if e.program != "" {
		names = []string{e.program}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.Unavailable, op, fmt.Sprintf("there is no container engine on this server (%s)", strings.Join(names, ", ")),
		"install one (apt-get install podman), or give the environment another driver: process runs without")
}

// run asks the engine and returns what it said, on both of its outputs when it failed.
func (e engine) run(ctx context.Context, op string, in io.Reader, args ...string) (string, error) {
	path, err := e.path(op)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // an engine's path, and arguments that are checked
	cmd.Env, cmd.Stdin, cmd.WaitDelay = []string{}, in, engineDelay
	for _, name := range engineEnv {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, errs := &capture{left: maxEngineOutput}, &capture{left: maxEngineOutput}
	cmd.Stdout, cmd.Stderr = out, errs
	if args[0] == "logs" { // a container's own two outputs
		cmd.Stderr = out
	}
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(out.String() + "\n" + errs.String())
		return said, &fault.Error{Kind: fault.Unavailable, Op: op, Public: fmt.Sprintf("the engine could not %s: %s", args[0], lastLines([]byte(said))), Err: err}
	}
	return out.String(), nil
}

// load gives the engine the image of an OCI layout, and returns its name or id there.
func (e engine) load(ctx context.Context, op, layout string) (string, error) {
	if _, err := os.Stat(layout + "/oci-layout"); err != nil {
		return "", fault.New(fault.Refused, op, "the artifact is no image in the OCI layout", "let the stage write one: podman build, then podman push IMAGE oci:FOLDER")
	}
	from, to := io.Pipe()
	go func() {
		w := tar.NewWriter(to)
		err := w.AddFS(os.DirFS(layout))
		to.CloseWithError(errors.Join(err, w.Close()))
	}()
	defer func() { _ = from.Close() }() // lets go of a writer that nobody reads
	out, err := e.run(ctx, op, from, "load")
	if err != nil {
		return "", err
	}
	image := ""
	for l := range strings.Lines(out) { // "Loaded image: NAME" or "Loaded image ID: sha256:…"
		if strings.HasPrefix(l, "Loaded image") {
			_, name, _ := strings.Cut(l, ": ")
			image = strings.TrimSpace(name)
		}
	}
	if !imageForm.MatchString(image) {
		return "", fault.Newf(fault.Unavailable, op, "the engine did not say what it loaded")
	}
	return image, nil
}

// status is how a container is, in the engine's words.
type status string

// missing is the status of no container.
const missing status = "missing"

// over reports whether it will not start again by itself.
func (s status) over() bool { return s == "exited" || s == "dead" || s == "stopped" || s == missing }

// status asks the engine how a container is.
func (d *Container) status(ctx context.Context, op, name string) (status, error) {
	out, err := d.engine.run(ctx, op, nil, "inspect", "--type", "container", "--format", "{{.State.Status}}", name)
	if err == nil {
		return status(bytes.TrimSpace([]byte(out))), nil
	}
	if low := strings.ToLower(out); strings.Contains(low, "no such") {
		return missing, nil
	}
	return "", err
}
