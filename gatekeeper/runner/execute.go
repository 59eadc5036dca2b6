package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killDelay is how long an init may take to end when it is told to, before it is killed.
	killDelay = 10 * time.Second
	// drainDelay is how long the rest of the output may take when all its writers have ended.
	drainDelay = 5 * time.Second
	// diskPause is the time between two looks at the free space.
	diskPause = time.Second
	// maxWords bounds what is kept of a sandbox's own complaints.
	maxWords = 4 << 10
)

// outcome is what the server knows when all of a stage has ended.
type outcome struct {
	report report
	stop   string // why the server ended it: a state, or "" when it did not
	why    string
	words  string // the sandbox's own complaints
	err    error  // the sandbox could not be started
}

// channels are the pipes between the server and an init.
type channels struct {
	orders, report, output *os.File // the server's ends
	theirs                 []*os.File
}

func (c *channels) closeTheirs() {
	for _, f := range c.theirs {
		_ = f.Close() // the server has no use for them
	}
	c.theirs = nil
}

func (c *channels) closeAll() {
	c.closeTheirs()
	for _, f := range []*os.File{c.orders, c.report, c.output} {
		if f != nil {
			_ = f.Close() // some are closed already
		}
	}
}

// open makes the pipes. The write end of the output belongs to the stage's user, who could not
// open /dev/stdout otherwise.
func (j *job) open() (*channels, error) {
	c := &channels{}
	var errs [3]error
	var in, rep, out *os.File
	in, c.orders, errs[0] = os.Pipe()
	c.report, rep, errs[1] = os.Pipe()
	c.output, out, errs[2] = os.Pipe()
	for _, f := range []*os.File{in, rep, out} {
		if f != nil {
			c.theirs = append(c.theirs, f)
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		c.closeAll()
		return nil, err
	}
	if j.user >= 0 {
		if err := out.Chown(j.user, j.user); err != nil {
			c.closeAll()
			return nil, err
		}
	}
	if j.runner.Sandbox == Bubblewrap {
		exe, err := os.Open("/proc/self/exe")
		if err != nil {
			c.closeAll()
			return nil, err
		}
		c.theirs = append(c.theirs, exe)
	}
	return c, nil
}

// command is the process that becomes init, or makes it.
func (j *job) command() (*exec.Cmd, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"gate", initArg, j.dir}, Dir: "/", Env: []string{}, SysProcAttr: attr}
	switch j.runner.Sandbox {
	case Bubblewrap:
		path, err := exec.LookPath("bwrap")
		if err != nil {
			return nil, errors.New("bubblewrap is not installed: apt-get install bubblewrap")
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		cmd.Path, cmd.Args = path, append([]string{"bwrap"}, j.bwrapArgs()...)
		attr.Pdeathsig = syscall.SIGKILL // the second rope; the first is the pipe
	case Embedded:
		attr.Pdeathsig = syscall.SIGKILL
		attr.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if !j.req.Stage.Network {
			attr.Cloneflags |= unix.CLONE_NEWNET
		}
		if j.user < 0 {
			attr.Cloneflags |= unix.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: insider, HostID: os.Geteuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: insider, HostID: os.Getegid(), Size: 1}}
			attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN}
		}
	case None: // without walls its init must live to end the others
	default:
		return nil, fmt.Errorf("there is no sandbox %q: use bubblewrap, embedded or none", j.runner.Sandbox)
	}
	return cmd, nil
}

// supervise starts cmd and waits for it, both on one thread of its own: the kernel ties
// Pdeathsig to the thread that starts a process, not to the server.
func supervise(cmd *exec.Cmd) (started, ended <-chan error) {
	s, e := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s <- err
		if err == nil {
			e <- cmd.Wait()
		}
	}()
	return s, e
}

// execute runs the stage. When it returns, nothing of it lives.
func (j *job) execute(ctx context.Context) outcome {
	cmd, err := j.command()
	if err != nil {
		return outcome{err: err}
	}
	pipes, err := j.open()
	if err != nil {
		return outcome{err: err}
	}
	defer pipes.closeAll()
	words := &head{left: maxWords}
	cmd.ExtraFiles, cmd.Stderr = pipes.theirs, words
	started, ended := supervise(cmd)
	if err := <-started; err != nil {
		return outcome{err: err}
	}
	pipes.closeTheirs()

	log := newCapped(j.req.Log, j.limits.Output, j.req.Forever)
	var copies sync.WaitGroup
	var o outcome
	copies.Go(func() {
		out := &maskWriter{mask: j.mask, to: log}
		_, _ = io.Copy(out, pipes.output)
		_ = out.Close() // log says by itself when it breaks
		log.finish()
	})
	copies.Go(func() { o.report = lastReport(pipes.report) })
	copies.Go(func() { _ = json.NewEncoder(pipes.orders).Encode(j.orders) }) // one that died early says why itself

	stop, why := j.attend(ctx, cmd, pipes, log, ended)
	late := time.AfterFunc(drainDelay, pipes.closeAll)
	copies.Wait()
	late.Stop()
	o.stop, o.why, o.words = stop, why, words.String()
	return o
}

// attend waits for the end of the stage, and brings it about when it has to.
func (j *job) attend(ctx context.Context, cmd *exec.Cmd, pipes *channels, log *capped, ended <-chan error) (stop, why string) {
	timeout := make(<-chan time.Time)
	if !j.req.Forever {
		timer := time.NewTimer(j.timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	disk := time.NewTicker(diskPause)
	defer disk.Stop()
	broken := log.broken
	var kill <-chan time.Time
	end := func(state, reason string) {
		if stop == "" {
			stop, why = state, reason
			_ = pipes.orders.Close() // init's order to end
			kill = time.After(killDelay)
		}
	}
	done := ctx.Done()
	for {
		select {
		case <-ended:
			if kill != nil { // bwrap may have gone before its children
				if err := endInits(j.dir); err != nil {
					return errored, err.Error()
				}
			}
			return stop, why
		case <-done:
			done = nil
			end(canceled, "canceled")
		case <-timeout:
			end(timedOut, fmt.Sprintf("it took longer than %s", j.timeout))
		case <-broken:
			broken = nil
			end(errored, "its log could not be written")
		case <-disk.C:
			if err := enoughDisk(j.dir, j.limits.DiskSpare); err != nil {
				end(errored, err.Error())
			}
		case <-kill:
			_ = cmd.Process.Kill() // ended tells
		}
	}
}

// lastReport reads init's reports: the one about the end, or what there is.
func lastReport(from io.Reader) report {
	var last report
	decoder := json.NewDecoder(from)
	for !last.Ended {
		var r report
		if decoder.Decode(&r) != nil {
			return last // init has ended
		}
		r.Started = r.Started || last.Started
		last = r
	}
	// What comes now is of no interest, but nobody shall wait to say it.
	_, _ = io.Copy(io.Discard, from)
	return last
}

// verdict turns what happened into a result.
func (o outcome) verdict(ctx context.Context, j *job) Result {
	r := o.report
	switch {
	case o.err != nil:
		return notRun(ctx, fmt.Errorf("the sandbox (%s) does not start: %w", j.runner.Sandbox, o.err))
	case r.Ended && r.Over == overMemory:
		return Result{State: failed, ExitCode: -1, Reason: fmt.Sprintf("it used more than %d MiB of memory", j.limits.Memory>>20)}
	case r.Ended && r.Over == overProcesses:
		return Result{State: failed, ExitCode: -1, Reason: fmt.Sprintf("it had more than %d processes and threads", j.limits.Processes)}
	case r.Ended && r.Unready != "":
		return Result{State: failed, ExitCode: -1, Reason: r.Unready}
	case r.Ended && o.stop == errored:
		return Result{State: errored, ExitCode: r.Code, Reason: o.why}
	case r.Ended && r.Signal == int(syscall.SIGKILL):
		return Result{State: errored, ExitCode: -1, Reason: "its shell was killed from outside; the machine may be short of memory"}
	case r.Ended && r.Signal != 0:
		return Result{State: failed, ExitCode: -1, Reason: "its shell was ended by a signal: " + syscall.Signal(r.Signal).String()}
	case r.Ended && r.Code != 0:
		return Result{State: failed, ExitCode: r.Code, Reason: fmt.Sprintf("exit code %d", r.Code)}
	case r.Ended:
		return Result{State: passed}
	case o.stop != "":
		return Result{State: o.stop, ExitCode: -1, Reason: o.why}
	case r.Started:
		return Result{State: errored, ExitCode: -1, Reason: "its sandbox was killed from outside"}
	default:
		words := strings.TrimSpace(o.words)
		if r.Error != "" {
			words = r.Error
		}
		return Result{State: errored, ExitCode: -1, Reason: fmt.Sprintf("the sandbox (%s) does not start: %s", j.runner.Sandbox, words)}
	}
}
