package assembly

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

const (
	// maxHandle bounds what a deploy script may ask to be told again: an id, not a document.
	maxHandle = 4 << 10
)

// Command brings assemblies about by scripts of the repository, which know a place of their own: a
// virtual machine, a platform, a rack. They run in the sandbox, with network.
//
// The contract. Each script runs with /bin/sh in the tree of the commit, and is told:
//
//	GATE_ACTION           deploy, verify, rollback or destroy
//	GATE_ARTIFACT         the folder with the artifact's content (for deploy, verify and rollback)
//	GATE_DIGEST, GATE_COMMIT, GATE_REPOSITORY, GATE_APP, GATE_ENVIRONMENT, GATE_INSTANCE,
//	GATE_CONFIG_REVISION  what is deployed, and where
//	GATE_ASSEMBLY         the number of the assembly: the same deploy again has the same one
//	GATE_STRATEGY         replace or blue-green
//	GATE_PREVIOUS_DIGEST, GATE_PREVIOUS_ADDRESS, GATE_PREVIOUS_HANDLE
//	                      what runs there now; empty when nothing does
//	GATE_ADDRESS, GATE_HANDLE
//	                      what deploy printed (for verify, rollback and destroy)
//	GATE_FAILED           for rollback: deploy, verify or probe
//
// and the environment's variables and secrets. deploy prints a line GATE_ADDRESS=http://HOST:PORT, and
// may print a line GATE_HANDLE=… with its own name for what it made. Exit code 0 is success, 75 is
// the machinery's failure, which may be tried again, and any other the code's.
//
// A deploy that fails is followed by rollback, if there is such a script; without one, and with
// nothing that ran before, by destroy.
type Command struct {
	runner *runner.Runner
	recall Recall
	clock  Clock
}

// Recalled is what a script needs that is not kept in a handle.
type Recalled struct {
	Tree    func(ctx context.Context, dir string) error
	Secrets map[string]string
}

// Recall finds again what an assembly was deployed from, for its end: handles are kept by the
// caller, and hold no secrets.
type Recall func(ctx context.Context, repoID int64, environment, commit string) (Recalled, error)

// CommandConfig is what [NewCommand] needs.
type CommandConfig struct {
	Runner *runner.Runner // may be the one of stages
	Recall Recall
	Clock  Clock // nil is the system's
}

// NewCommand makes the driver.
func NewCommand(c CommandConfig) *Command {
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	return &Command{runner: c.Runner, recall: c.Recall, clock: c.Clock}
}

// commandHandle survives a restart. It has no secrets: a script's own handle should have none.
type commandHandle struct {
	ID         int64             `json:"id"`
	Repository string            `json:"repository"`
	RepoID     int64             `json:"repo_id"`
	App        string            `json:"app"`
	Env        string            `json:"environment"`
	Instance   string            `json:"instance,omitempty"`
	Commit     string            `json:"commit"`
	Digest     string            `json:"digest"`
	Config     string            `json:"config,omitempty"`
	Variables  map[string]string `json:"variables,omitempty"`
	Trust      string            `json:"trust,omitempty"`
	Destroy    string            `json:"destroy,omitempty"`
	Ready      plan.Probe        `json:"ready"`
	Theirs     string            `json:"theirs,omitempty"` // GATE_HANDLE
}

func (h commandHandle) spec() Spec {
	return Spec{
		ID: h.ID, Repository: h.Repository, RepoID: h.RepoID, App: h.App, Environment: h.Env, Instance: h.Instance, Commit: h.Commit,
		Digest: h.Digest, ConfigRev: h.Config, Env: h.Variables, Trust: h.Trust, Ready: h.Ready,
	}
}

// Deploy runs deploy, asks the probe, and runs verify.
func (d *Command) Deploy(ctx context.Context, s Spec) (Instance, error) {
	const op = "assembly.Command.Deploy"
	if err := s.check(op); err != nil {
		return Instance{}, err
	}
	if s.Scripts.Deploy == "" {
		return Instance{}, fault.New(fault.Invalid, op, "the plan does not say which script deploys", "give the environment scripts: with deploy:")
	}
	env := d.before(s)
	output, err := d.script(ctx, op, s, "deploy", s.Scripts.Deploy, env)
	env["GATE_ADDRESS"], env["GATE_HANDLE"] = line(output, "GATE_ADDRESS"), line(output, "GATE_HANDLE")
	if err != nil {
		return Instance{}, d.undo(ctx, s, env, "deploy", err)
	}
	i, err := d.instance(op, s, env)
	if err != nil {
		return Instance{}, d.undo(ctx, s, env, "deploy", err)
	}
	if err := Probe(ctx, i.Address, s.Ready, d.clock); err != nil {
		return Instance{}, d.undo(ctx, s, env, "probe", err)
	}
	if s.Scripts.Verify != "" {
		if _, err := d.script(ctx, op, s, "verify", s.Scripts.Verify, env); err != nil {
			return Instance{}, d.undo(ctx, s, env, "verify", err)
		}
	}
	return i, nil
}

// before is what scripts are told of what runs there now.
func (d *Command) before(s Spec) map[string]string {
	strategy := s.Strategy
	if strategy == "" {
		strategy = plan.Replace
	}
	env := map[string]string{"GATE_STRATEGY": strategy, "GATE_PREVIOUS_DIGEST": "", "GATE_PREVIOUS_ADDRESS": "", "GATE_PREVIOUS_HANDLE": ""}
	if s.Previous == nil {
		return env
	}
	env["GATE_PREVIOUS_DIGEST"], env["GATE_PREVIOUS_ADDRESS"] = s.PreviousDigest, s.Previous.Address
	var h commandHandle
	if mine("", plan.DriverCommand, *s.Previous, &h) == nil { // another driver's means nothing to a script
		env["GATE_PREVIOUS_HANDLE"] = h.Theirs
	}
	return env
}

// instance reads what deploy printed.
func (d *Command) instance(op string, s Spec, env map[string]string) (Instance, error) {
	address, theirs := env["GATE_ADDRESS"], env["GATE_HANDLE"]
	for _, secret := range s.Secrets {
		if len(secret) >= minMasked && strings.Contains(theirs+address, secret) {
			return Instance{}, fault.New(fault.Refused, op, "the deploy script put a secret into GATE_HANDLE or GATE_ADDRESS, which are kept and shown", "print an id instead")
		}
	}
	if address == "" {
		return Instance{}, fault.New(fault.Refused, op, "the deploy script did not say where it runs", "let it print a line GATE_ADDRESS=http://HOST:PORT")
	}
	u, err := parseAddress(op, address)
	if err != nil {
		return Instance{}, err
	}
	if len(theirs) > maxHandle {
		return Instance{}, fault.Newf(fault.TooLarge, op, "the GATE_HANDLE of the deploy script is longer than %d bytes", maxHandle)
	}
	return instance(plan.DriverCommand, u.String(), commandHandle{
		ID: s.ID, Repository: s.Repository, RepoID: s.RepoID, App: s.App, Env: s.Environment, Instance: s.Instance, Commit: s.Commit,
		Digest: s.Digest, Config: s.ConfigRev, Variables: s.Env, Trust: s.Trust, Destroy: s.Scripts.Destroy, Ready: s.Ready, Theirs: theirs,
	}), nil
}

// undo takes back what a failed deploy may have done, and returns why it failed. It is not called
// off with the deploy: what was begun must not be left.
func (d *Command) undo(ctx context.Context, s Spec, env map[string]string, failed string, why error) error {
	const op = "assembly.Command.Deploy"
	ctx = context.WithoutCancel(ctx)
	env["GATE_FAILED"] = failed
	var err error
	switch {
	case s.Scripts.Rollback != "":
		_, err = d.script(ctx, op, s, "rollback", s.Scripts.Rollback, env)
	case s.Scripts.Destroy != "" && s.Previous == nil:
		_, err = d.script(ctx, op, s, "destroy", s.Scripts.Destroy, env)
	}
	if err == nil {
		return why
	}
	first, next := fault.Public(why)
	second, _ := fault.Public(err)
	return &fault.Error{Kind: fault.KindOf(why), Op: op, Public: fmt.Sprintf("%s; taking it back failed too: %s", first, second), Next: next, Err: why}
}

func (d *Command) script(ctx context.Context, op string, s Spec, action, text string, env map[string]string) (string, error) {
	told := maps.Clone(env)
	told["GATE_ACTION"], told["GATE_ASSEMBLY"] = action, fmt.Sprint(s.ID)
	run := script{op: op, what: "the script " + action, spec: s, text: text, env: told, bare: action == "destroy"}
	return run.run(ctx, d.runner)
}

// Adopt has nothing to do: what scripts brought about does not live in this server. Health tells
// whether it is still there.
func (d *Command) Adopt(_ context.Context, _ Spec, i Instance) (Instance, error) {
	var h commandHandle
	return i, mine("assembly.Command.Adopt", plan.DriverCommand, i, &h)
}

// Health asks the probe. What does not answer is never [Gone]: only the scripts could know.
func (d *Command) Health(ctx context.Context, i Instance) (Health, error) {
	var h commandHandle
	if err := mine("assembly.Command.Health", plan.DriverCommand, i, &h); err != nil {
		return Health{}, err
	}
	return healthOf(ctx, "assembly.Command.Health", i.Address, h.Ready)
}

// healthOf is the health of what is there as far as its place knows.
func healthOf(ctx context.Context, op, address string, p plan.Probe) (Health, error) {
	err := tryOnce(ctx, address, p)
	switch {
	case ctx.Err() != nil:
		return Health{}, fault.Wrap(ctx.Err(), fault.Unavailable, op, "the look at it was called off")
	case err != nil:
		return Health{State: Degraded, Words: err.Error()}, nil
	}
	return Health{State: Ready}, nil
}

// Destroy runs destroy, if there is such a script.
func (d *Command) Destroy(ctx context.Context, i Instance) error {
	const op = "assembly.Command.Destroy"
	var h commandHandle
	if err := mine(op, plan.DriverCommand, i, &h); err != nil {
		return err
	}
	if h.Destroy == "" {
		return nil
	}
	s := h.spec()
	found, err := d.recall(ctx, h.RepoID, h.Env, h.Commit)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "what it was deployed from could not be found again")
	}
	s.Tree, s.Secrets = found.Tree, found.Secrets
	_, err = d.script(ctx, op, s, "destroy", h.Destroy, map[string]string{"GATE_ADDRESS": i.Address, "GATE_HANDLE": h.Theirs})
	return err
}

var (
	_ Driver = (*Process)(nil)
	_ Driver = (*Command)(nil)
)
