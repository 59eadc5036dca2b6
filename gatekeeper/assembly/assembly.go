package assembly

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
)

// Spec is one assembly to bring about.
type Spec struct {
	ID int64 // of the assembly, never 0; it names processes, folders, containers and labels

	Repository  string
	RepoID      int64 // keys the user id in the sandbox
	App         string
	Environment string
	Instance    string // "" for the one of its environment, or "c17" for that of a change

	Commit string
	Digest string // of the artifact
	Type   string // plan.FileArtifact, plan.BundleArtifact or plan.OCIImage; only Container asks
	// Unpack puts the artifact's content into dir, with the modes that it shall have: a file or a
	// folder of the artifact's name. It is
	// called again whenever the process starts again.
	Unpack func(ctx context.Context, dir string) error
	// Tree checks the commit out into dir, for scripts and manifests.
	Tree func(ctx context.Context, dir string) error

	Run      string // the command that serves, for /bin/sh -c
	Port     int    // where it serves inside a container or a cluster
	Ready    plan.Probe
	Strategy string // plan.Replace or plan.BlueGreen; "" is plan.Replace

	Env       map[string]string
	Secrets   map[string]string // environment variables too, but masked in every log
	ConfigRev string            // names the revision of Env

	Scripts                    plan.Scripts // for Command
	Manifest, Namespace, Image string       // for Kubernetes and Container

	// Previous is what runs in the environment now, or nil; PreviousDigest is what it was made of.
	Previous       *Instance
	PreviousDigest string

	// Log gets what the deploy says. It is not written to after Deploy or Adopt has returned.
	Log io.Writer
	// Trust is the caller's word for who has approved of the code: see runner.Request.
	Trust string
}

// Instance is an assembly that runs. It is kept by the caller and survives a restart of the server.
type Instance struct {
	Driver  string
	Handle  json.RawMessage // the driver's own words for it
	Address string          // http://host:port
}

// State is how an assembly is.
type State string

// The states.
const (
	Ready    State = "ready"    // it answers its probe
	Degraded State = "degraded" // it does not now; it may again, by itself
	Gone     State = "gone"     // it does not, and will not by itself
)

// Health is what a look at an assembly found.
type Health struct {
	State State
	Words string // one sentence; "" when it is ready
}

// Driver brings assemblies about in one kind of place. All methods are safe for concurrent use.
type Driver interface {
	// Deploy returns when the assembly answers its probe. [Failed] tells whose fault an error is.
	// A second Deploy of the same Spec.ID takes the place of the first.
	Deploy(ctx context.Context, s Spec) (Instance, error)
	// Adopt is called after a restart of the server, with what Deploy gave then: it finds the
	// assembly, or starts it again. The address may be another one.
	Adopt(ctx context.Context, s Spec, i Instance) (Instance, error)
	// Health looks at it now. Its error is about the look, not about the assembly.
	Health(ctx context.Context, i Instance) (Health, error)
	// Destroy ends it and removes what it left. It returns when that has happened.
	Destroy(ctx context.Context, i Instance) error
}

// Sweeper is a [Driver] whose assemblies outlive the server, so that one can be there of which
// nobody has the [Instance]: the server was killed between bringing it about and writing it down.
type Sweeper interface {
	// Sweep removes what a deploy of s left. Of s it reads the ID and the Namespace. It is no error
	// when nothing is there.
	Sweep(ctx context.Context, s Spec) error
}

// Failed reports whether err, from a [Driver], says that the code is at fault. Otherwise the
// machinery is, and another try may succeed.
func Failed(err error) bool {
	switch fault.KindOf(err) {
	case fault.Refused, fault.Invalid, fault.TooLarge:
		return true
	default:
		return false
	}
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the machine's.
type SystemClock struct{}

// Now is the time.
func (SystemClock) Now() time.Time { return time.Now() }

// After sends the time, once, when d has passed.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// check refuses a spec that no driver could do anything with.
func (s Spec) check(op string) error {
	switch {
	case s.ID <= 0:
		return fault.Newf(fault.Internal, op, "an assembly without an id")
	case s.Strategy != "" && s.Strategy != plan.Replace && s.Strategy != plan.BlueGreen:
		return fault.Newf(fault.Invalid, op, "there is no strategy %q", s.Strategy).WithNext("write replace or blue-green")
	}
	for _, env := range []map[string]string{s.Env, s.Secrets} {
		for _, name := range slices.Sorted(maps.Keys(env)) {
			if !variable(name) {
				return fault.Newf(fault.Invalid, op, "%q is no name of an environment variable", name).
					WithNext("use letters, digits and _, and no digit first")
			}
			if strings.ContainsRune(env[name], 0) {
				return fault.Newf(fault.Invalid, op, "the value of %s has a zero byte, which no environment variable can hold", name)
			}
		}
	}
	return nil
}

func variable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// told are the variables that every assembly and every script gets from the server. They win over
// the plan's and over secrets.
func (s Spec) told() map[string]string {
	return map[string]string{
		"GATE_REPOSITORY": s.Repository, "GATE_APP": s.App, "GATE_ENVIRONMENT": s.Environment, "GATE_INSTANCE": s.Instance,
		"GATE_COMMIT": s.Commit, "GATE_DIGEST": s.Digest, "GATE_CONFIG_REVISION": s.ConfigRev,
	}
}

// mine decodes the handle of an instance of driver.
func mine(op, driver string, i Instance, handle any) error {
	if i.Driver != driver {
		return fault.Newf(fault.Internal, op, "an instance of the driver %q came to the driver %q", i.Driver, driver)
	}
	if err := json.Unmarshal(i.Handle, handle); err != nil {
		return fault.Wrap(err, fault.Internal, op, "the handle of an instance cannot be read")
	}
	return nil
}

// instance is the other way round. Handles are structs of ours: they always encode.
func instance(driver, address string, handle any) Instance {
	text, err := json.Marshal(handle)
	if err != nil {
		panic(fmt.Sprintf("assembly: handle: %v", err))
	}
	return Instance{Driver: driver, Handle: text, Address: address}
}
