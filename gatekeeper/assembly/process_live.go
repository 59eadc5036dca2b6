package assembly

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

const (
	// firstBackoff is the wait before the first restart; each further one is twice as long, up to
	// maxBackoff.
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	// maxRestarts is how often one that keeps ending is started again. The waits sum up to more
	// than the minute for which the kernel keeps a port from being listened on again.
	maxRestarts = 7
	// calm is how long it must have run for an end to count as the first one again.
	calm = 10 * time.Minute
)

// process is one assembly of the driver, through all its restarts.
type process struct {
	driver *Process
	spec   Spec
	handle processHandle
	dir    string
	book   *logbook

	ctx  context.Context //nolint:containedctx // its life's, which is longer than any caller's
	stop context.CancelFunc
	done chan struct{} // closed when nothing of it runs any more
	// first gets the end of the first run, if it ends before it was ready.
	first chan runner.Result

	mu       sync.Mutex
	ready    bool // it was, once
	state    Health
	restarts int // without a calm time between
}

func newProcess(d *Process, s Spec, h processHandle) *process {
	ctx, stop := context.WithCancel(context.Background())
	p := &process{
		driver: d, spec: s, handle: h, dir: d.folder(h.ID), ctx: ctx, stop: stop,
		done: make(chan struct{}), first: make(chan runner.Result, 1), state: Health{State: Degraded, Words: "it starts"},
	}
	p.book = &logbook{dir: p.dir, also: s.Log}
	return p
}

// unpacked lets the runner unpack an artifact where it would check a commit out.
type unpacked func(ctx context.Context, dir string) error

// Checkout unpacks.
func (u unpacked) Checkout(ctx context.Context, _ git.OID, dir string) error { return u(ctx, dir) }

// request is one run of the command.
func (p *process) request(log *mask) runner.Request {
	env := maps.Clone(p.spec.Secrets)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, p.spec.told())
	port := strconv.Itoa(p.handle.Port)
	maps.Copy(env, map[string]string{"PORT": port, "GATE_PORT": port, "HOST": "127.0.0.1", "GATE_ADDRESS": p.address()})
	return runner.Request{
		StageRun: p.spec.ID, RepoID: p.spec.RepoID, Trust: p.spec.Trust, Repo: unpacked(p.spec.Unpack), Commit: git.OID(p.spec.Commit),
		Stage: plan.Stage{Name: p.spec.Environment, Run: p.spec.Run, Network: true, Env: p.spec.Env},
		Env:   env, Log: log, Forever: true,
	}
}

// tree are the processes that run now.
func (p *process) tree() processTree {
	work, err := filepath.Abs(p.driver.runner.Work)
	if err != nil {
		work = p.driver.runner.Work
	}
	return processTree{prefix: filepath.Join(work, strconv.FormatInt(p.spec.ID, 10)+"-")}
}

// live runs the command, again and again, until it is stopped or keeps ending.
func (p *process) live() {
	defer close(p.done)
	for start := 0; ; start++ {
		began := p.driver.clock.Now()
		result := p.once(start > 0)
		if p.ctx.Err() != nil {
			return
		}
		wait, again := p.ended(result, p.driver.clock.Now().Sub(began))
		if !again {
			return
		}
		select {
		case <-p.ctx.Done():
			return
		case <-p.driver.clock.After(wait):
		}
		p.set(Health{State: Degraded, Words: "it starts again: " + endWords(result)})
	}
}

// once runs the command until it ends. Nobody waits for a restart to be ready, so it is watched here.
func (p *process) once(again bool) runner.Result {
	running, over := context.WithCancel(p.ctx)
	var watch sync.WaitGroup
	if again {
		watch.Go(func() { p.recover(running) })
	}
	log := newMask(p.book, p.spec.Secrets)
	result := p.driver.runner.Run(p.ctx, p.request(log))
	log.flush()
	over()
	watch.Wait()
	return result
}

// ended notes an end that nobody asked for, and says whether and when to start again.
func (p *process) ended(result runner.Result, lasted time.Duration) (wait time.Duration, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what := endWords(result)
	if !p.ready {
		p.state = Health{State: Gone, Words: what}
		p.first <- result
		return 0, false
	}
	if lasted >= calm {
		p.restarts = 0
	}
	if p.restarts == maxRestarts {
		words := fmt.Sprintf("it ended %d times, each time soon after its start, and is not started again: %s", maxRestarts+1, what)
		p.state = Health{State: Gone, Words: hide(afterWords(words, p.book.last()), p.spec.Secrets)}
		return 0, false
	}
	wait = min(firstBackoff<<p.restarts, maxBackoff)
	p.restarts++
	p.state = Health{State: Degraded, Words: fmt.Sprintf("%s; it starts again in %s (%d of %d)", what, wait, p.restarts, maxRestarts)}
	return wait, true
}

// endWords says how a run ended.
func endWords(result runner.Result) string {
	if result.Reason == "" {
		return "it ended by itself with exit code 0"
	}
	return "it ended by itself: " + result.Reason
}

// recover waits until a started process answers again. When it does not in time, it stays degraded,
// and is asked for as long as it runs.
func (p *process) recover(running context.Context) {
	for running.Err() == nil {
		if Probe(running, p.address(), p.spec.Ready, p.driver.clock) == nil && p.ask(running) == nil {
			p.set(Health{State: Ready})
			return
		}
		select {
		case <-running.Done():
		case <-p.driver.clock.After(tryPause):
		}
	}
}

func (p *process) set(h Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = h
}

func (p *process) health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// ask is one try of its probe, with a look at who answers.
func (p *process) ask(ctx context.Context) error {
	if err := tryOnce(ctx, p.address(), p.spec.Ready); err != nil {
		return err
	}
	if whose(p.handle.Port, p.tree()) == foreign {
		return errors.New("another process listens on its port")
	}
	return nil
}

// errEnded is the cause of a wait that is called off because there is nothing to wait for.
var errEnded = errors.New("it ended")

// await waits until p is ready for the first time.
func (d *Process) await(ctx context.Context, p *process) error {
	const op = "assembly.Process.Deploy"
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var result runner.Result
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case result = <-p.first:
			cancel(errEnded)
		case <-p.done: // it was stopped
			cancel(errEnded)
		case <-waiting.Done():
		}
	}()
	err := Probe(waiting, p.address(), p.spec.Ready, d.clock)
	if err == nil && whose(p.handle.Port, p.tree()) == foreign {
		err = fault.Newf(fault.Unavailable, op, "another process listens on its port")
	}
	if err == nil && p.becomeReady() {
		return nil
	}
	cancel(nil)
	<-watched
	if errors.Is(context.Cause(waiting), errEnded) || err == nil {
		if result.State == "" {
			select {
			case result = <-p.first:
			default:
			}
		}
		return d.endedEarly(p, result)
	}
	if fault.Is(err, fault.Refused) {
		return d.neverReady(p, err)
	}
	return err
}

// becomeReady is false when p has ended in the meantime.
func (p *process) becomeReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.State == Gone || p.ctx.Err() != nil {
		return false
	}
	p.ready, p.state = true, Health{State: Ready}
	return true
}

// endedEarly is the refusal of what ended before it was ready.
func (d *Process) endedEarly(p *process, result runner.Result) error {
	const op = "assembly.Process.Deploy"
	words := hide(afterWords(endWords(result)+", before it was ready", p.book.last()), p.spec.Secrets)
	switch plan.StageState(result.State) {
	case plan.Passed, plan.Failed:
		return fault.New(fault.Refused, op, words, "see its log; $PORT is where it shall listen, on 127.0.0.1")
	case "":
		return fault.New(fault.Unavailable, op, "it was stopped before it was ready", "")
	default:
		return fault.New(fault.Unavailable, op, words, "")
	}
}

// neverReady is the refusal of what runs and does not answer.
func (d *Process) neverReady(p *process, err error) error {
	words, _ := fault.Public(err)
	next := "see its log"
	if ports := p.tree().ports(); len(ports) > 0 && whose(p.handle.Port, p.tree()) == nobodys {
		var list []string
		for _, port := range ports {
			list = append(list, strconv.Itoa(port))
		}
		words += fmt.Sprintf("; it was told port %d and listens on %s", p.handle.Port, strings.Join(list, ", "))
		next = "let it listen on $PORT"
	}
	return fault.New(fault.Refused, "assembly.Process.Deploy", hide(afterWords(words, p.book.last()), p.spec.Secrets), next)
}
