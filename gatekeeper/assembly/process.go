package assembly

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

// portTries is how many ports a deploy tries: each is free when it is chosen, and somebody else may
// take it before the assembly does.
const portTries = 3

// Process runs assemblies as processes of this machine, in the sandbox of stages.
//
// A process shares the server's network, because the router must reach it. It is told a port by $PORT
// and shall listen there on 127.0.0.1. What it writes is gone when it ends: each start begins
// with the artifact as it is. When it ends by itself it is started again after a while; when it
// keeps ending, it is left alone and is [Gone].
//
// Invariant: an assembly is ready only if the socket that listens on its port is its own.
type Process struct {
	runner *runner.Runner
	dir    string
	clock  Clock

	mu      sync.Mutex
	running map[int64]*process
	ports   map[int]bool // promised to assemblies
	closed  bool
}

// ProcessConfig is what [NewProcess] needs.
type ProcessConfig struct {
	// Runner is for these assemblies alone, with a work folder of its own. Its caches are not
	// used, and what an assembly says in all its life is not limited: old logs are dropped.
	Runner *runner.Runner
	Dir    string // the logs' folder
	Clock  Clock  // nil is the system's
}

// processHandle is what survives a restart. Nonce tells a life of the assembly from the one before.
type processHandle struct {
	ID    int64  `json:"id"`
	Port  int    `json:"port"`
	Nonce string `json:"nonce"`
}

// NewProcess makes the driver, and ends what a killed server with the same folders left running.
func NewProcess(c ProcessConfig) (*Process, error) {
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	c.Runner.Cache = "" // it would be a way from stages of unapproved changes to what runs
	c.Runner.Limits.Output = math.MaxInt64
	c.Runner.Limits.DiskSpare = 1 // what serves does not end because somebody else fills the disk
	dir, err := filepath.Abs(c.Dir)
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o700), c.Runner.Janitor())
	}
	if err != nil {
		return nil, fmt.Errorf("assembly: process: %w", err)
	}
	return &Process{runner: c.Runner, dir: dir, clock: c.Clock, running: map[int64]*process{}, ports: map[int]bool{}}, nil
}

// Close ends all assemblies, as a stop of the server does; Adopt brings them back.
func (d *Process) Close() {
	d.mu.Lock()
	d.closed = true
	var all []*process
	for _, p := range d.running {
		all = append(all, p)
	}
	d.mu.Unlock()
	for _, p := range all {
		d.end(p)
	}
}

// Deploy starts the artifact's command beside what runs, or after it.
func (d *Process) Deploy(ctx context.Context, s Spec) (Instance, error) {
	const op = "assembly.Process.Deploy"
	if err := d.check(op, s); err != nil {
		return Instance{}, err
	}
	if s.Previous != nil && s.Strategy != plan.BlueGreen && s.Previous.Driver == plan.DriverProcess {
		if err := d.Destroy(ctx, *s.Previous); err != nil {
			return Instance{}, err
		}
	}
	return d.bring(ctx, s, 0)
}

// Adopt starts it again, since no process outlives its server; on the port that it had, if it can.
func (d *Process) Adopt(ctx context.Context, s Spec, i Instance) (Instance, error) {
	const op = "assembly.Process.Adopt"
	var h processHandle
	if err := mine(op, plan.DriverProcess, i, &h); err != nil {
		return Instance{}, err
	}
	if err := d.check(op, s); err != nil {
		return Instance{}, err
	}
	if p := d.find(h); p != nil {
		return i, nil
	}
	return d.bring(ctx, s, h.Port)
}

func (d *Process) check(op string, s Spec) error {
	if err := s.check(op); err != nil {
		return err
	}
	if s.Run == "" {
		return fault.New(fault.Invalid, op, "the plan does not say what to run", "give the stage's deploy a run: with the command that serves")
	}
	if s.Unpack == nil {
		return fault.Newf(fault.Internal, op, "an assembly without an artifact")
	}
	return nil
}

// bring starts s on port, or on any other when that is 0 or taken, until it is ready.
func (d *Process) bring(ctx context.Context, s Spec, port int) (Instance, error) {
	const op = "assembly.Process.Deploy"
	for try := 1; ; try++ {
		p, err := d.begin(s, port)
		if err != nil {
			return Instance{}, err
		}
		err = d.await(ctx, p)
		p.book.detach()
		if err == nil {
			return instance(plan.DriverProcess, p.address(), p.handle), nil
		}
		stolen := whose(p.handle.Port, p.tree()) == foreign // while it may still live
		d.end(p)
		_ = os.RemoveAll(p.dir) // a log, which the caller has
		if !stolen && !taken(p.handle.Port) || ctx.Err() != nil {
			return Instance{}, err
		}
		if try == portTries {
			return Instance{}, fault.Newf(fault.Unavailable, op, "somebody else took its port, %d times", try)
		}
		port = 0
	}
}

// begin makes a process and lets it run. One with the same id ends first.
func (d *Process) begin(s Spec, port int) (*process, error) {
	const op = "assembly.Process.Deploy"
	d.mu.Lock()
	old := d.running[s.ID]
	d.mu.Unlock()
	if old != nil {
		d.end(old)
	}
	port, err := d.reserve(port)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, op, "no port is free for it")
	}
	p := newProcess(d, s, processHandle{ID: s.ID, Port: port, Nonce: rand.Text()})
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		d.release(port)
		return nil, fault.Wrap(err, fault.Unavailable, op, "the folder of its log could not be made")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.running[s.ID] != nil {
		delete(d.ports, port)
		p.stop()
		if d.closed {
			return nil, fault.New(fault.Unavailable, op, "the server is stopping", "")
		}
		return nil, fault.New(fault.Unavailable, op, "it is being deployed already", "")
	}
	d.running[s.ID] = p
	go p.live()
	return p, nil
}

// reserve promises a port to one assembly.
func (d *Process) reserve(want int) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if want > 0 && !d.ports[want] && !taken(want) {
		d.ports[want] = true
		return want, nil
	}
	for {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		if !d.ports[port] {
			d.ports[port] = true
			return port, nil
		}
	}
}

func (d *Process) release(port int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ports, port)
}

// end ends p, waits for that, and forgets it.
func (d *Process) end(p *process) {
	p.stop()
	<-p.done
	p.book.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running[p.handle.ID] == p {
		delete(d.running, p.handle.ID)
		delete(d.ports, p.handle.Port)
	}
}

// find is the process of a handle, or nil.
func (d *Process) find(h processHandle) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.running[h.ID]; p != nil && p.handle.Nonce == h.Nonce {
		return p
	}
	return nil
}

// Health asks it its probe.
func (d *Process) Health(ctx context.Context, i Instance) (Health, error) {
	var h processHandle
	if err := mine("assembly.Process.Health", plan.DriverProcess, i, &h); err != nil {
		return Health{}, err
	}
	p := d.find(h)
	if p == nil {
		return Health{State: Gone, Words: "it does not run on this server"}, nil
	}
	if health := p.health(); health.State != Ready {
		return health, nil
	}
	err := p.ask(ctx)
	if ctx.Err() != nil {
		return Health{}, fault.Wrap(ctx.Err(), fault.Unavailable, "assembly.Process.Health", "the look at it was called off")
	}
	if err != nil {
		return Health{State: Degraded, Words: hide(err.Error(), p.spec.Secrets)}, nil
	}
	return p.health(), nil // it may have ended since
}

// Destroy ends it and removes its logs.
func (d *Process) Destroy(_ context.Context, i Instance) error {
	const op = "assembly.Process.Destroy"
	var h processHandle
	if err := mine(op, plan.DriverProcess, i, &h); err != nil {
		return err
	}
	d.mu.Lock()
	p := d.running[h.ID]
	d.mu.Unlock()
	if p != nil && p.handle.Nonce != h.Nonce {
		return nil // this life of it has ended; the next one is somebody else's
	}
	if p != nil {
		d.end(p)
	}
	if err := os.RemoveAll(d.folder(h.ID)); err != nil {
		return fault.Wrap(err, fault.Unavailable, op, "the folder of its log could not be removed")
	}
	return nil
}

// Log is the path of an assembly's log, which may not exist; the part before it ends in .1.
func (d *Process) Log(id int64) string { return filepath.Join(d.folder(id), "log") }

func (d *Process) folder(id int64) string {
	return filepath.Join(d.dir, strconv.FormatInt(id, 10))
}

func (p *process) address() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.handle.Port))
}
