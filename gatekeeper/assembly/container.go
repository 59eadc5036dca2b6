package assembly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

const (
	// engineRestarts is how often the engine itself starts a container again that fails.
	engineRestarts = 7
	// containerProcesses bounds the processes and threads of a container, as those of a stage.
	containerProcesses = 4096
	// artifactAt is where a file or a bundle is inside a container.
	artifactAt = "/app"
	// lookPause is the time between two looks at whether a container that starts still lives.
	lookPause = 500 * time.Millisecond
)

// Container runs assemblies with podman or docker on this machine.
//
// An image artifact is loaded from its layout and run by what the engine says it is; a file or a
// bundle is unpacked and mounted read-only at /app in the environment's image. The port is
// published on loopback only. Containers carry labels with the server's scope and the assembly's
// id, by which they are found again: they live on when the server ends.
//
// The engine is asked with arguments, never through a shell, and with a clean environment. Values of
// variables and secrets go by a file that only the server can read, not by the command line.
type Container struct {
	engine engine
	dir    string
	scope  string
	clock  Clock
}

// ContainerConfig is what [NewContainer] needs.
type ContainerConfig struct {
	// Engine is a program that speaks as podman does; "" is podman, or else docker, from the path.
	Engine string
	Dir    string // for unpacked artifacts; the engine must be able to mount it
	Scope  string // names this server among those that use the same engine: letters, digits and hyphens
	Clock  Clock  // nil is the system's
}

// containerHandle survives a restart.
type containerHandle struct {
	ID    int64      `json:"id"`
	Name  string     `json:"name"`
	Ready plan.Probe `json:"ready"`
}

var (
	scopeForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)
	// imageForm is what may stand where an engine wants an image: nothing that reads as an option.
	imageForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,510}$`)
)

// NewContainer makes the driver. It does not ask for the engine yet: a server without one serves
// all that needs none.
func NewContainer(c ContainerConfig) (*Container, error) {
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	if !scopeForm.MatchString(c.Scope) {
		return nil, fmt.Errorf("assembly: container: %q is no scope", c.Scope)
	}
	dir, err := filepath.Abs(c.Dir)
	if err == nil && strings.ContainsAny(dir, ":,") {
		err = fmt.Errorf("the folder %q has a character in its name that engines read as their own", dir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("assembly: container: %w", err)
	}
	return &Container{engine: engine{program: c.Engine}, dir: dir, scope: c.Scope, clock: c.Clock}, nil
}

func (d *Container) folder(id int64) string { return filepath.Join(d.dir, strconv.FormatInt(id, 10)) }

func (d *Container) labels(id int64) []string {
	return []string{"gatehouse.server=" + d.scope, "gatehouse.assembly=" + strconv.FormatInt(id, 10)}
}

// Deploy runs a container, beside what runs or after it.
func (d *Container) Deploy(ctx context.Context, s Spec) (Instance, error) {
	const op = "assembly.Container.Deploy"
	if err := d.check(op, s); err != nil {
		return Instance{}, err
	}
	if _, err := d.engine.path(op); err != nil {
		return Instance{}, err
	}
	if s.Previous != nil && s.Strategy != plan.BlueGreen && s.Previous.Driver == plan.DriverContainer {
		if err := d.Destroy(ctx, *s.Previous); err != nil {
			return Instance{}, err
		}
	}
	if err := d.remove(ctx, op, s.ID); err != nil { // what an earlier try left
		return Instance{}, err
	}
	i, err := d.start(ctx, op, s)
	if err != nil {
		err = errors.Join(err, d.remove(context.WithoutCancel(ctx), op, s.ID)) // the first one is told
		return Instance{}, err
	}
	return i, nil
}

func (d *Container) check(op string, s Spec) error {
	if err := s.check(op); err != nil {
		return err
	}
	isImage := s.Type == plan.OCIImage
	switch {
	case s.Port <= 0 || s.Port > 65535:
		return fault.New(fault.Invalid, op, "the plan does not say on which port the container serves", "give the stage's deploy a port:")
	case s.Unpack == nil:
		return fault.Newf(fault.Internal, op, "an assembly without an artifact")
	case !isImage && s.Image == "":
		return fault.New(fault.Invalid, op, "the plan does not say in which image the artifact runs", "give the environment an image:, or make an oci-image")
	case !isImage && !imageForm.MatchString(s.Image):
		return fault.Newf(fault.Invalid, op, "%q is no name of an image", s.Image)
	case !isImage && s.Run == "":
		return fault.New(fault.Invalid, op, "the plan does not say what to run", "give the stage's deploy a run: with the command that serves")
	}
	for _, env := range []map[string]string{s.Env, s.Secrets} {
		for name, value := range env {
			if strings.ContainsAny(value, "\r\n") {
				return fault.Newf(fault.Invalid, op, "the value of %s has several lines, which engines do not take", name).WithNext("encode it, as base64 for example")
			}
		}
	}
	return nil
}

// start brings the container up and waits until it is ready.
func (d *Container) start(ctx context.Context, op string, s Spec) (Instance, error) {
	dir := filepath.Join(d.folder(s.ID), "artifact")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // below a folder of 0700; the container's user reads it
		return Instance{}, fault.Wrap(err, fault.Unavailable, op, "the folder of the artifact could not be made")
	}
	if err := s.Unpack(ctx, dir); err != nil {
		return Instance{}, fault.Wrap(err, fault.Unavailable, op, "the artifact could not be unpacked")
	}
	h := containerHandle{ID: s.ID, Name: fmt.Sprintf("gate-%s-%d", d.scope, s.ID), Ready: s.Ready}
	args, err := d.runArgs(ctx, op, s, h.Name, dir)
	if err != nil {
		return Instance{}, err
	}
	if out, err := d.engine.run(ctx, op, nil, args...); err != nil {
		return Instance{}, d.refused(op, s, "the engine does not start it", out, err)
	}
	address, err := d.address(ctx, op, h.Name, s.Port)
	if err != nil {
		return Instance{}, d.dead(ctx, op, s, h.Name, err)
	}
	if err := d.await(ctx, h.Name, address, s.Ready); err != nil {
		return Instance{}, d.dead(ctx, op, s, h.Name, err)
	}
	return instance(plan.DriverContainer, address, h), nil
}

// runArgs are the arguments that run s.
func (d *Container) runArgs(ctx context.Context, op string, s Spec, name, dir string) ([]string, error) {
	variables := filepath.Join(d.folder(s.ID), "env")
	env := map[string]string{}
	maps.Copy(env, s.Env)
	maps.Copy(env, s.Secrets)
	maps.Copy(env, s.told())
	env["PORT"], env["GATE_PORT"] = strconv.Itoa(s.Port), strconv.Itoa(s.Port)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(env)) {
		text.WriteString(key + "=" + env[key] + "\n")
	}
	if err := os.WriteFile(variables, []byte(text.String()), 0o600); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the file of its variables could not be written")
	}
	args := []string{"run", "--detach", "--name", name}
	for _, label := range append(d.labels(s.ID), "gatehouse.digest="+s.Digest, "gatehouse.environment="+s.Environment) {
		args = append(args, "--label", label)
	}
	args = append(args, "--publish", fmt.Sprintf("127.0.0.1::%d", s.Port), "--env-file", variables,
		"--restart", fmt.Sprintf("on-failure:%d", engineRestarts),
		"--security-opt", "no-new-privileges", "--pids-limit", strconv.Itoa(containerProcesses))
	image := s.Image
	if s.Type == plan.OCIImage {
		var err error
		if image, err = d.engine.load(ctx, op, dir); err != nil {
			return nil, err
		}
	} else {
		args = append(args, "--volume", dir+":"+artifactAt+":ro", "--workdir", artifactAt)
	}
	if args = append(args, image); s.Run != "" {
		args = append(args, "/bin/sh", "-c", s.Run)
	}
	return args, nil
}

// address is where the engine published a port.
func (d *Container) address(ctx context.Context, op, name string, port int) (string, error) {
	out, err := d.engine.run(ctx, op, nil, "port", name, fmt.Sprintf("%d/tcp", port))
	if err != nil {
		return "", err
	}
	for l := range strings.Lines(out) {
		host := strings.TrimSpace(l)
		if number, ok := strings.CutPrefix(host, "127.0.0.1:"); ok {
			if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
				return "http://" + host, nil
			}
		}
	}
	return "", fault.Newf(fault.Unavailable, op, "the engine did not publish its port on loopback")
}

// await probes, and looks now and then whether there is still something to wait for.
func (d *Container) await(ctx context.Context, name, address string, p plan.Probe) error {
	const op = "assembly.Container.Deploy"
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-waiting.Done():
				return
			case <-d.clock.After(lookPause):
			}
			if status, err := d.status(waiting, op, name); err == nil && status.over() {
				cancel(errEnded)
				return
			}
		}
	}()
	err := Probe(waiting, address, p, d.clock)
	ended := errors.Is(context.Cause(waiting), errEnded)
	cancel(nil)
	<-watched
	if err != nil && ended {
		return fault.Newf(fault.Refused, op, "its container ended before it was ready")
	}
	return err
}

// dead adds a container's last words to why it is not served from.
func (d *Container) dead(ctx context.Context, op string, s Spec, name string, why error) error {
	words, _ := fault.Public(why)
	out, err := d.engine.run(context.WithoutCancel(ctx), op, nil, "logs", "--tail", strconv.Itoa(tailLines), name)
	if err != nil {
		return why
	}
	if s.Log != nil {
		log := newMask(s.Log, s.Secrets)
		_, _ = log.Write([]byte(out)) // whoever reads it has its own way to notice
		log.flush()
	}
	next := ""
	if Failed(why) {
		next = "see its log; it shall listen on $PORT on all addresses of its container"
	}
	return fault.New(fault.KindOf(why), op, hide(afterWords(words, lastLines([]byte(out))), s.Secrets), next)
}

// refused says what the engine said.
func (d *Container) refused(op string, s Spec, what, out string, err error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: op, Public: hide(what+": "+lastLines([]byte(out)), s.Secrets), Err: err}
}

// Adopt finds the container, or starts it again.
func (d *Container) Adopt(ctx context.Context, s Spec, i Instance) (Instance, error) {
	const op = "assembly.Container.Adopt"
	var h containerHandle
	if err := mine(op, plan.DriverContainer, i, &h); err != nil {
		return Instance{}, err
	}
	status, err := d.status(ctx, op, h.Name)
	if err != nil {
		return Instance{}, err
	}
	if status == "running" {
		if address, err := d.address(ctx, op, h.Name, s.Port); err == nil {
			return instance(plan.DriverContainer, address, h), nil
		}
	}
	s.Previous = nil
	return d.Deploy(ctx, s)
}

// Health asks the engine, and then the probe.
func (d *Container) Health(ctx context.Context, i Instance) (Health, error) {
	const op = "assembly.Container.Health"
	var h containerHandle
	if err := mine(op, plan.DriverContainer, i, &h); err != nil {
		return Health{}, err
	}
	status, err := d.status(ctx, op, h.Name)
	switch {
	case err != nil:
		return Health{}, err
	case status == missing:
		return Health{State: Gone, Words: "there is no such container"}, nil
	case status.over():
		return Health{State: Gone, Words: "its container has ended"}, nil
	case status != "running":
		return Health{State: Degraded, Words: "its container is " + string(status)}, nil
	}
	return healthOf(ctx, op, i.Address, h.Ready)
}

// Destroy removes the container and its artifact.
func (d *Container) Destroy(ctx context.Context, i Instance) error {
	const op = "assembly.Container.Destroy"
	var h containerHandle
	if err := mine(op, plan.DriverContainer, i, &h); err != nil {
		return err
	}
	return d.remove(ctx, op, h.ID)
}

// remove removes all that has the labels of an assembly.
func (d *Container) remove(ctx context.Context, op string, id int64) error {
	ids, err := d.find(ctx, op, id)
	if err != nil {
		return err
	}
	for _, container := range ids {
		if out, err := d.engine.run(ctx, op, nil, "rm", "--force", "--volumes", container); err != nil {
			if again, look := d.find(ctx, op, id); look == nil && !slices.Contains(again, container) {
				continue // somebody else was quicker
			}
			return d.refused(op, Spec{}, "the engine does not remove it", out, err)
		}
	}
	if err := os.RemoveAll(d.folder(id)); err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the folder of its artifact could not be removed")
	}
	return nil
}

func (d *Container) find(ctx context.Context, op string, id int64) ([]string, error) {
	args := []string{"ps", "--all", "--quiet", "--no-trunc"}
	for _, label := range d.labels(id) {
		args = append(args, "--filter", "label="+label)
	}
	out, err := d.engine.run(ctx, op, nil, args...)
	if err != nil {
		return nil, d.refused(op, Spec{}, "the engine does not list containers", out, err)
	}
	return strings.Fields(out), nil
}

var _ Driver = (*Container)(nil)
