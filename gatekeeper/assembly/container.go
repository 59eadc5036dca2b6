package assembly

import (
	"context"
	"errors"
	"fmt"
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
// The host's port is chosen here and not by the engine: docker chooses another one each time it starts
// a container again.
//
// The engine is asked with arguments, never through a shell, and with a clean environment. Values of
// variables and secrets go by a file that only the server can read, not by the command line; it is
// gone when the container has them.
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

// image is what an assembly's own image is called. Each has a name of its own, also where two are
// the same, so that taking one away takes nothing from the other.
func (d *Container) image(id int64) string {
	return fmt.Sprintf("localhost/gatehouse/%s:%d", d.scope, id)
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

// Adopt finds the container, or starts it again.
func (d *Container) Adopt(ctx context.Context, s Spec, i Instance) (Instance, error) {
	const op = "assembly.Container.Adopt"
	var h containerHandle
	if err := mine(op, plan.DriverContainer, i, &h); err != nil {
		return Instance{}, err
	}
	is, err := d.status(ctx, op, h.Name)
	if err != nil {
		return Instance{}, err
	}
	if is.state == running {
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
	is, err := d.status(ctx, op, h.Name)
	switch {
	case err != nil:
		return Health{}, err
	case is.state == missing:
		return Health{State: Gone, Words: "there is no such container"}, nil
	case is.over():
		return Health{State: Gone, Words: "its container has ended"}, nil
	case is.state != running:
		return Health{State: Degraded, Words: "its container is " + is.state}, nil
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

// Sweep removes the container of a deploy that the server did not live to see the end of.
func (d *Container) Sweep(ctx context.Context, s Spec) error {
	const op = "assembly.Container.Sweep"
	if _, err := d.engine.path(op); err != nil {
		return nil //nolint:nilerr // without an engine there was no container
	}
	return d.remove(ctx, op, s.ID)
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
	if err := d.engine.forget(ctx, op, d.image(id)); err != nil {
		return err
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

var (
	_ Driver  = (*Container)(nil)
	_ Sweeper = (*Container)(nil)
)
