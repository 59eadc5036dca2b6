package assembly

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// codeNotFound is the exit code of `run` for a command that the image does not have, of podman and
// docker alike. For one that cannot be executed it is 126, which stands for much else as well.
const codeNotFound = 127

// exitCode is what the engine's program ended with, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// portTaken reads from an engine's words that somebody else listens on the port.
func portTaken(out string) bool {
	return strings.Contains(out, "address already in use") || strings.Contains(out, "port is already allocated")
}

// load gives the engine the image of an OCI layout and calls it name, which it returns.
func (e engine) load(ctx context.Context, op, layout, name string) (string, error) {
	layout, ok := layoutIn(layout)
	if !ok {
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
	_, err = e.run(ctx, op, nil, "tag", image, name)
	return name, err
}

// layoutIn is where in dir an image is: an artifact is put there by its name.
func layoutIn(dir string) (string, bool) {
	found, err := filepath.Glob(filepath.Join(dir, "*", "oci-layout"))
	if err == nil && len(found) == 1 {
		return filepath.Dir(found[0]), true
	}
	_, err = os.Stat(filepath.Join(dir, "oci-layout"))
	return dir, err == nil
}

// forget takes the name of an image away, and the image with its last name.
func (e engine) forget(ctx context.Context, op, name string) error {
	out, err := e.run(ctx, op, nil, "images", "--quiet", "--filter", "reference="+name)
	if err != nil || strings.TrimSpace(out) == "" {
		return err
	}
	_, err = e.run(ctx, op, nil, "rmi", name)
	return err
}

// The states of a container that mean something here, in the engine's words.
const (
	running = "running"
	missing = "missing" // of no container: our word
)

// status is how a container is.
type status struct {
	state    string
	restarts int // how often the engine has started it again
}

// over reports whether it will not start again by itself. One that podman calls stopped has ended
// and will be started again, or will be called exited in a moment.
func (s status) over() bool { return s.state == "exited" || s.state == "dead" || s.state == missing }

// hasEnded reports whether it ended since it was started first.
func (s status) hasEnded() bool {
	return s.over() || s.restarts > 0 || s.state == "stopped" || s.state == "restarting"
}

// status asks the engine how a container is.
func (d *Container) status(ctx context.Context, op, name string) (status, error) {
	out, err := d.engine.run(ctx, op, nil, "inspect", "--type", "container", "--format", "{{.State.Status}} {{.RestartCount}}", name)
	if err == nil {
		var s status
		if _, err := fmt.Sscan(out, &s.state, &s.restarts); err != nil {
			return s, fault.Wrap(err, fault.Unavailable, op, "the engine does not say how the container is")
		}
		return s, nil
	}
	if low := strings.ToLower(out); strings.Contains(low, "no such") {
		return status{state: missing}, nil
	}
	return status{}, err
}
