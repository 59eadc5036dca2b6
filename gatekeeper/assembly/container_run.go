package assembly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

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
	image := s.Image
	if s.Type == plan.OCIImage {
		var err error
		if image, err = d.engine.load(ctx, op, dir, d.image(s.ID)); err != nil {
			return Instance{}, err
		}
	}
	address, err := d.run(ctx, op, s, h.Name, image, dir)
	if err != nil {
		return Instance{}, err
	}
	if err := d.await(ctx, h.Name, address, s.Ready); err != nil {
		return Instance{}, d.dead(ctx, op, s, h.Name, err)
	}
	return instance(plan.DriverContainer, address, h), nil
}

// run has the engine run s, at a port that is free.
func (d *Container) run(ctx context.Context, op string, s Spec, name, image, dir string) (address string, err error) {
	variables := filepath.Join(d.folder(s.ID), "env")
	if err := os.WriteFile(variables, []byte(s.envFile()), 0o600); err != nil {
		return "", fault.Wrap(err, fault.Unavailable, op, "the file of its variables could not be written")
	}
	defer func() { _ = os.Remove(variables) }() // goes with its folder at the latest
	for try := 1; ; try++ {
		port, err := freePort()
		if err != nil {
			return "", fault.Wrap(err, fault.Unavailable, op, "there is no free port")
		}
		out, err := d.engine.run(ctx, op, nil, d.runArgs(s, name, image, dir, variables, port)...)
		switch {
		case err == nil:
			return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
		case exitCode(err) == codeNotFound:
			return "", fault.Newf(fault.Refused, op, "the engine does not find what it shall run: %s", hide(lastLines([]byte(out)), s.Secrets)).
				WithNext("see that the command is in the image")
		case try < portTries && portTaken(out):
			if out, err := d.engine.run(ctx, op, nil, "rm", "--force", name); err != nil {
				return "", d.refused(op, s, "the engine does not remove it", out, err)
			}
		default:
			return "", d.refused(op, s, "the engine does not start it", out, err)
		}
	}
}

// envFile is the environment of a container, as engines read it from a file.
func (s Spec) envFile() string {
	env := map[string]string{}
	maps.Copy(env, s.Env)
	maps.Copy(env, s.Secrets)
	maps.Copy(env, s.told())
	env["PORT"], env["GATE_PORT"] = strconv.Itoa(s.Port), strconv.Itoa(s.Port)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(env)) {
		text.WriteString(key + "=" + env[key] + "\n")
	}
	return text.String()
}

// runArgs are the arguments that run s.
func (d *Container) runArgs(s Spec, name, image, dir, variables string, port int) []string {
	args := []string{"run", "--detach", "--name", name}
	for _, label := range append(d.labels(s.ID), "gatehouse.digest="+s.Digest, "gatehouse.environment="+s.Environment) {
		args = append(args, "--label", label)
	}
	args = append(args, "--publish", fmt.Sprintf("127.0.0.1:%d:%d", port, s.Port), "--env-file", variables,
		"--restart", fmt.Sprintf("on-failure:%d", engineRestarts),
		"--security-opt", "no-new-privileges", "--pids-limit", strconv.Itoa(containerProcesses))
	if s.Type != plan.OCIImage {
		args = append(args, "--volume", dir+":"+artifactAt+":ro", "--workdir", artifactAt)
	}
	if s.Run == "" {
		return append(args, image)
	}
	return append(args, "--entrypoint", "/bin/sh", image, "-c", s.Run) // an image may have another entrypoint
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
			if is, err := d.status(waiting, op, name); err == nil && is.hasEnded() {
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
	out = hideBroken(out, s.Secrets)
	if s.Log != nil {
		_, _ = io.WriteString(s.Log, out) // whoever reads it has its own way to notice
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

// logLines is how many of a container's last lines are asked for: more than a reader scrolls through.
const logLines = 5000

// Output is the end of what a container said, at most limit bytes; cut tells that there may be more
// before it. Masked are the values that the container itself has in the variables that secrets names: they may
// not be the ones of today.
func (d *Container) Output(ctx context.Context, i Instance, secrets []string, limit int) (text []byte, cut bool, err error) {
	const op = "assembly.Container.Output"
	var h containerHandle
	if err := mine(op, plan.DriverContainer, i, &h); err != nil {
		return nil, false, err
	}
	is, err := d.status(ctx, op, h.Name)
	if err != nil {
		return nil, false, err
	}
	if is.state == missing {
		return nil, false, fault.New(fault.NotFound, op, "there is no such container any more", "the log goes when its assembly does")
	}
	values, err := d.values(ctx, op, h.Name, secrets)
	if err != nil {
		return nil, false, err
	}
	out, err := d.engine.run(ctx, op, nil, "logs", "--tail", strconv.Itoa(logLines), h.Name)
	if err != nil {
		return nil, false, err
	}
	cut = strings.Count(out, "\n") >= logLines
	text = []byte(hideBroken(out, values))
	if over := len(text) - limit; over > 0 {
		text, cut = text[over:], true
	}
	return text, cut, nil
}

// values are what the variables of a container have, of those that names has.
func (d *Container) values(ctx context.Context, op, container string, names []string) (map[string]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	out, err := d.engine.run(ctx, op, nil, "inspect", "--type", "container", "--format", "{{json .Config.Env}}", container)
	if err != nil {
		return nil, err
	}
	var env []string
	if err := json.Unmarshal([]byte(out), &env); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "the engine does not say which variables the container has")
	}
	found := map[string]string{}
	for _, e := range env {
		if name, value, _ := strings.Cut(e, "="); slices.Contains(names, name) {
			found[name] = value
		}
	}
	return found, nil
}
