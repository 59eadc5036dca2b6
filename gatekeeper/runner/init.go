package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main turns this process into a stage's init when it was started as one, and then does not
// return. A program that uses a [Runner] calls it before anything else, tests in TestMain.
func Main() bool {
	if len(os.Args) != 3 || os.Args[1] != initArg {
		return false
	}
	in := &initProcess{report: json.NewEncoder(os.NewFile(reportFD, "report"))}
	if err := in.live(); err != nil {
		in.say(report{Error: err.Error()})
		in.end(1)
	}
	in.end(0)
	return true
}

// initProcess is the first process of a stage.
type initProcess struct {
	orders orders
	report *json.Encoder

	mu      sync.Mutex
	stage   int        // the shell's process id
	serving []*serving // belongs to the thread that is confined
}

// say reports; a server that does not listen any more is about to end us anyway.
func (in *initProcess) say(r report) { _ = in.report.Encode(r) }

// live does all that an init does, and returns when the shell has ended.
func (in *initProcess) live() error {
	for _, fd := range []int{ordersFD, reportFD, outputFD} {
		syscall.CloseOnExec(fd)
	}
	_ = syscall.Close(exeFD) // it was needed for the start only; embedded has none
	// A stage may send signals to its init; an init that ended of one would end the stage with it.
	signal.Notify(make(chan os.Signal, 1))
	from := os.NewFile(ordersFD, "orders")
	decoder := json.NewDecoder(from)
	if err := decoder.Decode(&in.orders); err != nil {
		return fmt.Errorf("read the orders: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, from) // until the server closes it, or dies
		in.end(1)
	}()
	// What is set for a thread is what its children get, so this one starts the shell.
	runtime.LockOSThread()
	if err := in.confine(); err != nil {
		return err
	}
	go in.sample()
	if len(in.orders.Services) > 0 {
		in.say(report{Started: true})
		why, err := in.serve()
		if err != nil {
			return fmt.Errorf("start a service: %w", err)
		}
		if why != "" {
			in.mu.Lock()
			defer in.mu.Unlock()
			in.say(report{Ended: true, Code: -1, Unready: why})
			return nil
		}
	}
	if err := in.start(); err != nil {
		return fmt.Errorf("start /bin/sh: %w", err)
	}
	in.say(report{Started: true})
	last := in.reap()
	in.mu.Lock() // if this process is ending, the shell's end is only a part of that, and not reported
	defer in.mu.Unlock()
	in.say(last)
	return nil
}

// confine gives up, for this thread or for all, what the stage must not have.
func (in *initProcess) confine() error {
	o := in.orders
	syscall.Umask(0o022) // whatever the server's is
	if o.Mode == Embedded {
		if err := enter(o); err != nil {
			return err
		}
	}
	if err := writeSecrets(o); err != nil {
		return fmt.Errorf("write the secrets: %w", err)
	}
	if o.Mode == None {
		// Orphans of the stage become our children, so that we can find and end them.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become the reaper: %w", err)
		}
	}
	if err := limit(o); err != nil {
		return err
	}
	// When the machine runs out of memory, a stage is the first to go.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	// A stage under the same user id may not trace its init.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close to tracers: %w", err)
	}
	if o.Mode == None {
		return nil
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	if o.Mode == Embedded {
		if err := restrict(); err != nil {
			return err
		}
	}
	return filter()
}

// limitedShell bounds the memory of each process of the stage, and not init's, which could not
// live within the smallest limit.
const limitedShell = `ulimit -d "$1" && exec /bin/sh -c "$2"`

// limit sets what may bind init too.
func limit(o orders) error {
	for _, l := range []struct {
		what int
		max  uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, uint64(o.FileSize)}, //nolint:gosec // not negative
		{unix.RLIMIT_NOFILE, uint64(o.OpenFiles)},
		{unix.RLIMIT_NPROC, uint64(o.Processes)},
	} {
		if l.what == unix.RLIMIT_NPROC && o.Mode == None {
			continue // it counts all processes of the server's user, not the stage's; the sampler counts those
		}
		var now unix.Rlimit
		if err := unix.Getrlimit(l.what, &now); err != nil {
			return fmt.Errorf("get limit %d: %w", l.what, err)
		}
		l.max = min(l.max, now.Max)
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("set limit %d: %w", l.what, err)
		}
	}
	return nil
}

// start starts the shell. The wait for it is [initProcess.reap]'s, together with all orphans.
func (in *initProcess) start() error {
	pid, err := in.spawn(in.orders.Run, outputFD)
	in.stage = pid
	return err
}

// spawn starts a script of the stage that writes to output.
func (in *initProcess) spawn(script string, output uintptr) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	sys := &syscall.SysProcAttr{Setsid: true}
	if in.orders.User >= 0 {
		id := uint32(in.orders.User) //nolint:gosec // one of ours
		sys.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	kib := strconv.FormatInt(in.orders.Memory>>10, 10)
	in.mu.Lock() // an end that comes now must find the shell, or keep it from starting
	defer in.mu.Unlock()
	return syscall.ForkExec("/bin/sh", []string{"sh", "-c", limitedShell, "sh", kib, script}, &syscall.ProcAttr{
		Dir: in.orders.Dir, Env: in.orders.Env, Files: []uintptr{null.Fd(), output, output}, Sys: sys,
	})
}

// reap waits for every child until the shell has ended.
func (in *initProcess) reap() report {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return report{Error: "wait for the shell: " + err.Error()}
		case pid == in.stage:
			r := report{Ended: true, Code: -1}
			if status.Exited() {
				r.Code = status.ExitStatus()
			} else {
				r.Signal = int(status.Signal())
			}
			return r
		default:
			if s := in.serviceEnded(pid, status); s != nil {
				_, _ = fmt.Fprintf(s.log.to, "%s(%s)\n", s.log.prefix, s.how())
			}
		}
	}
}

// end ends this process. Inside the walls the kernel then ends all others; without walls, we do.
func (in *initProcess) end(code int) {
	in.mu.Lock() // and keep it: nobody else shall end
	if in.orders.Mode == None {
		endDescendants()
	}
	os.Exit(code)
}

// endDescendants kills all that this process started, and what they started, until nothing is
// left. First all are stopped: what multiplies would be faster than the killing otherwise.
func endDescendants() {
	for range killRounds {
		left := descendants(os.Getpid())
		if len(left) == 0 {
			return
		}
		for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, p := range left {
				_ = syscall.Kill(p.pid, signal) // it may have ended already
			}
		}
		// What has ended is taken off the list, and what it started becomes ours.
		for pid := 1; pid > 0; {
			pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
		if len(left) < fewProcesses {
			pause()
		}
	}
}
