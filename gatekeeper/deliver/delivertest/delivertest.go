// Package delivertest is what tests deliver with, where nothing needs to run: stages that make
// artifacts of a file of their commit, and a driver that keeps its assemblies in memory.
//
// Artifacts are real, and the driver reads each before it serves it. An assembly serves from a
// deploy that succeeded, or from when it was found again, until it is destroyed.
package delivertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
)

// maxMade is the largest artifact, in bytes: the files of tests are short.
const maxMade = 1 << 20

// Make passes a stage: each artifact that it produces is the file version.txt of its commit.
func Make(ctx context.Context, to *artifact.Store, r runner.Request) runner.Result {
	result := runner.Result{State: string(plan.Passed)}
	for name := range r.Stage.Produces {
		made, err := put(ctx, to, r)
		if err != nil {
			return runner.Result{State: string(plan.Errored), Reason: err.Error()}
		}
		made.Name = name
		result.Artifacts = append(result.Artifacts, made)
	}
	return result
}

func put(ctx context.Context, to *artifact.Store, r runner.Request) (artifact.Artifact, error) {
	dir, err := os.MkdirTemp("", "built")
	if err != nil {
		return artifact.Artifact{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := r.Repo.Checkout(ctx, r.Commit, dir); err != nil {
		return artifact.Artifact{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return artifact.Artifact{}, err
	}
	defer func() { _ = root.Close() }() // it was only read
	return to.Put(ctx, plan.FileArtifact, root, "version.txt", maxMade)
}

// Driver keeps its assemblies in memory, and deploys as a test tells it.
type Driver struct {
	mu      sync.Mutex
	serves  map[int64]string // assembly to digest
	deploy  func(s assembly.Spec) error
	address string
}

// NewDriver serves nothing yet, and lets every deploy succeed.
func NewDriver() *Driver { return &Driver{serves: map[int64]string{}} }

// Tell has deploys do this before they serve, or fail with its error; nil lets all succeed.
func (d *Driver) Tell(deploy func(s assembly.Spec) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deploy = deploy
}

// Answer sets the address of what is deployed from now on; "" is one of this machine.
func (d *Driver) Answer(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.address = address
}

// Deploy reads the artifact and serves it.
func (d *Driver) Deploy(ctx context.Context, s assembly.Spec) (assembly.Instance, error) {
	d.mu.Lock()
	deploy, address := d.deploy, d.address
	d.mu.Unlock()
	if deploy != nil {
		if err := deploy(s); err != nil {
			return assembly.Instance{}, err
		}
	}
	dir, err := os.MkdirTemp("", "assembly")
	if err != nil {
		return assembly.Instance{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := s.Unpack(ctx, dir); err != nil {
		return assembly.Instance{}, err
	}
	if address == "" {
		address = fmt.Sprintf("http://127.0.0.1:%d", 20000+s.ID%10000)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serves[s.ID] = s.Digest
	return assembly.Instance{Driver: plan.DriverProcess, Handle: json.RawMessage(fmt.Sprint(s.ID)), Address: address}, nil
}

// Adopt serves what a server before this one deployed.
func (d *Driver) Adopt(_ context.Context, s assembly.Spec, i assembly.Instance) (assembly.Instance, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serves[s.ID] = s.Digest
	return i, nil
}

// Health is that an assembly is there, or gone.
func (d *Driver) Health(_ context.Context, i assembly.Instance) (assembly.Health, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.serves[ID(i)]; !ok {
		return assembly.Health{State: assembly.Gone, Words: "there is no such assembly"}, nil
	}
	return assembly.Health{State: assembly.Ready}, nil
}

// Destroy ends an assembly.
func (d *Driver) Destroy(_ context.Context, i assembly.Instance) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.serves, ID(i))
	return nil
}

// Serves counts the assemblies that serve a digest, or all of them for "".
func (d *Driver) Serves(digest string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, served := range d.serves {
		if served == digest || digest == "" {
			n++
		}
	}
	return n
}

// ID is the number of an assembly of [Driver].
func ID(i assembly.Instance) (id int64) {
	_ = json.Unmarshal(i.Handle, &id) // a handle of ours
	return id
}
