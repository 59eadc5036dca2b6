package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/gitserver/fault"
)

// Bounds of a child that asks for none of its own.
const (
	defaultWall   = 2 * time.Minute // beyond any plumbing command on a repository we serve
	defaultOutput = 64 << 20        // listings and patches held in memory
	maxStderr     = 16 << 10        // enough for the first errors, and they matter most
	killDelay     = 3 * time.Second // from asking a child to end, to killing it
)

// child is one git command to run.
type child struct {
	args   []string
	env    []string
	stdin  io.Reader
	stdout io.Writer     // nil: collected and returned
	stderr io.Writer     // gets a copy
	max    int64         // bytes of output; 0 means defaultOutput, negative no bound (streams to a peer)
	wall   time.Duration // 0 means defaultWall
	// live says that stdin is a peer that may stay open after the child has read all it wants:
	// then the end of the child does not wait for the end of stdin.
	live bool
}

// exitError is a child that ended with a code other than 0.
type exitError struct {
	verb   string
	code   int
	stderr string
}

// Error gives the verb, the code and the first words of stderr.
func (e *exitError) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", e.verb, e.code, strings.TrimSpace(e.stderr))
}

// exitCode is the code of err when a child ended with one, else -1.
func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return -1
}

// stderrOf is what a failed child said.
func stderrOf(err error) string {
	var e *exitError
	if errors.As(err, &e) {
		return strings.TrimSpace(e.stderr)
	}
	return ""
}

// run runs c to its end and returns its output, unless c.stdout took it.
func (g *Git) run(ctx context.Context, c child) ([]byte, error) {
	wall := c.wall
	if wall == 0 {
		wall = defaultWall
	}
	bounded, cancel := context.WithTimeout(ctx, wall)
	defer cancel()
	cmd := exec.CommandContext(bounded, g.path, c.args...)
	cmd.Env = c.env
	cmd.Dir = "/"
	setGroup(cmd)

	var collected bytes.Buffer
	if c.max == 0 {
		c.max = defaultOutput
	}
	out := &limitWriter{to: c.stdout, left: c.max, cancel: cancel, unbounded: c.max < 0}
	if c.stdout == nil {
		out.to = &collected
	}
	cmd.Stdout = out
	said := &headWriter{left: maxStderr, copy: c.stderr}
	cmd.Stderr = said
	err := start(cmd, c)
	if err != nil && bounded.Err() == nil {
		return nil, fmt.Errorf("git: run %s: %w", c.args[0], err)
	}
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil && cmd.Process != nil {
		_ = killGroup(cmd.Process) // what a dead child leaves behind holds pipes open
	}
	over, failed := out.state()
	switch {
	case over:
		return nil, fault.Newf(fault.TooLarge, "git.run", "the answer of git %s is larger than %d bytes", c.args[0], c.max)
	case failed != nil:
		return nil, fmt.Errorf("git: run %s: write output: %w", c.args[0], failed)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git: run %s: %w", c.args[0], context.Cause(ctx))
	case bounded.Err() != nil:
		return nil, fault.Newf(fault.Unavailable, "git.run", "git %s took longer than %s", c.args[0], wall)
	case err != nil:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return collected.Bytes(), &exitError{verb: c.args[0], code: exit.ExitCode(), stderr: said.String()}
		}
		return nil, fmt.Errorf("git: run %s: %w", c.args[0], err)
	}
	return collected.Bytes(), nil
}

// start starts cmd with the stdin of c.
func start(cmd *exec.Cmd, c child) error {
	if c.stdin == nil || !c.live {
		cmd.Stdin = c.stdin
		if err := cmd.Start(); err != nil {
			return err
		}
		return bound(cmd)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := bound(cmd); err != nil {
		return err
	}
	// Wait closes the pipe; the copy then ends with the peer's next bytes or end.
	go func() {
		_, copyErr := io.Copy(in, c.stdin)
		closeErr := in.Close()
		// A child that has read enough, or died, says why in its own exit code.
		_, _ = copyErr, closeErr
	}()
	return nil
}

// maxChildMemory is what a child may allocate, files it maps not counted: a crafted tree must
// not take the machine's memory. git's own limits (core.bigFileThreshold) stay far below it.
const maxChildMemory = 4 << 30

// bound limits the memory of a child that has started, and has it leave no core file. What
// cannot be bounded is ended.
func bound(cmd *exec.Cmd) error {
	for resource, limit := range map[int]uint64{unix.RLIMIT_DATA: maxChildMemory, unix.RLIMIT_CORE: 0} {
		err := unix.Prlimit(cmd.Process.Pid, resource, &unix.Rlimit{Cur: limit, Max: limit}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) { // not there: it has ended already
			_ = killGroup(cmd.Process)
			_ = cmd.Wait()
			return fmt.Errorf("bound memory: %w", err)
		}
	}
	return nil
}

// setGroup puts cmd in its own process group and ends the whole group when its context does:
// git has children of its own (pack-objects, ssh, remote helpers). They are asked first, so
// that git takes its lock and temporary files away; who does not listen is killed.
func setGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return signalGroup(cmd.Process, syscall.SIGTERM) }
	cmd.WaitDelay = killDelay
}

// killGroup kills p and all that it started.
func killGroup(p *os.Process) error { return signalGroup(p, syscall.SIGKILL) }

// signalGroup sends a signal to p and all that it started.
func signalGroup(p *os.Process, signal syscall.Signal) error {
	err := syscall.Kill(-p.Pid, signal)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// limitWriter passes bytes on up to a bound, beyond which it ends the child.
type limitWriter struct {
	to        io.Writer
	left      int64
	unbounded bool
	cancel    context.CancelFunc

	mu   sync.Mutex
	over bool
	err  error // of to
}

// Write passes p on.
func (w *limitWriter) Write(p []byte) (int, error) {
	if !w.unbounded {
		if int64(len(p)) > w.left {
			w.mu.Lock()
			w.over = true
			w.mu.Unlock()
			w.cancel()
			return 0, errors.New("git: output over its bound")
		}
		w.left -= int64(len(p))
	}
	n, err := w.to.Write(p)
	if err != nil {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		w.cancel()
	}
	return n, err
}

// state says whether the bound was passed, and the error of the writer behind.
func (w *limitWriter) state() (over bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over, w.err
}

// headWriter keeps the first bytes, drops the rest, and copies all to another writer.
type headWriter struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	left int
	copy io.Writer
}

// Write never fails: what a child says on stderr must not end it.
func (w *headWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := min(len(p), w.left)
	w.buf.Write(p[:keep])
	w.left -= keep
	if w.copy != nil {
		if _, err := w.copy.Write(p); err != nil {
			w.copy = nil
		}
	}
	return len(p), nil
}

// String is what was kept.
func (w *headWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// setting is one configuration value given to a child.
type setting struct{ key, value string }

// childConfig holds for every child, above what any file says. Values are listed with their reason.
var childConfig = []setting{
	{"core.hooksPath", "/dev/null"},        // no hook of a repository ever runs
	{"core.fsync", "all"},                  // objects and refs are flushed, not only handed to the kernel
	{"core.fsmonitor", "false"},            // would run a program
	{"core.attributesFile", "/dev/null"},   // no attributes but a repository's own
	{"core.excludesFile", "/dev/null"},     //
	{"attr.tree", string(EmptyTree)},       // newer gits read .gitattributes of HEAD in bare repositories: content must not steer a diff
	{"core.filesRefLockTimeout", "10000"},  // milliseconds: wait for a rival instead of failing
	{"core.packedRefsTimeout", "10000"},    //
	{"gc.auto", "0"},                       // maintenance is ours to time
	{"maintenance.auto", "false"},          //
	{"receive.autogc", "false"},            //
	{"safe.bareRepository", "explicit"},    // a repository is only what GIT_DIR names
	{"transfer.unpackLimit", "1"},          // keep packs: two fsyncs instead of one for each object
	{"transfer.bundleURI", "false"},        // never fetch from an address that a peer names
	{"transfer.credentialsInUrl", "die"},   // secrets do not belong into argument lists
	{"core.askPass", "/bin/false"},         // nobody is there to answer
	{"credential.helper", ""},              //
	{"diff.renames", "true"},               // the same answer whatever the defaults of a version are
	{"merge.renames", "true"},              //
	{"merge.directoryRenames", "conflict"}, // guessing where a new file belongs is for people
	{"fetch.recurseSubmodules", "false"},   //
	{"submodule.recurse", "false"},         //
	{"core.multiPackIndex", "true"},        //
	{"core.logAllRefUpdates", "true"},      // who moved a branch, for people
	{"core.quotePath", "false"},            // paths as they are; every parser here reads NUL-terminated records
	{"log.showSignature", "false"},         //
	{"advice.objectNameWarning", "false"},  //
	{"index.threads", "1"},                 // many small children share few cores
	{"pack.threads", "2"},                  //
}

// baseEnv is the environment of a child outside any repository: made from nothing, so that
// nothing of ours (or of whoever started the server) steers git.
func (g *Git) baseEnv(more ...setting) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/nonexistent",
		"LC_ALL=C",
		"TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=none", // commands that need a transport name theirs (remoteEnv)
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_LITERAL_PATHSPECS=1",
		"GIT_ADVICE=0",
		"GIT_DEFAULT_HASH=sha1",
		"GIT_DEFAULT_REF_FORMAT=files",
		"GIT_CEILING_DIRECTORIES=/",
		"GIT_AUTHOR_NAME=gatehouse", "GIT_AUTHOR_EMAIL=gatehouse@localhost",
		"GIT_COMMITTER_NAME=gatehouse", "GIT_COMMITTER_EMAIL=gatehouse@localhost",
	}
	all := append(append([]setting(nil), childConfig...), more...)
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(all)))
	for i, s := range all {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s.key, "GIT_CONFIG_VALUE_"+n+"="+s.value)
	}
	return env
}

// env is the environment of a child in r.
func (r *Repo) env(more ...setting) []string {
	more = append([]setting{{"safe.directory", r.dir}}, more...)
	env := append(r.git.baseEnv(more...), "GIT_DIR="+r.dir)
	if r.q != nil {
		env = append(env, r.q.env()...)
	}
	return env
}

// run runs git with args in r.
func (r *Repo) run(ctx context.Context, args ...string) ([]byte, error) {
	return r.git.run(ctx, child{args: args, env: r.env()})
}

// runIn is [Repo.run] with stdin.
func (r *Repo) runIn(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	return r.git.run(ctx, child{args: args, env: r.env(), stdin: strings.NewReader(stdin)})
}

// setReaderGroup is [setGroup] for a child that outlives contexts; its owner kills it.
func setReaderGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
