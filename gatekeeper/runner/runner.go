package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// Mode is a way to run stages.
type Mode string

// The modes.
const (
	Bubblewrap Mode = "bubblewrap"
	Embedded   Mode = "embedded"
	None       Mode = "none"
)

// Source gives the files of a commit. A *git.Repo is one.
type Source interface {
	Checkout(ctx context.Context, commit git.OID, dir string) error
}

// Request is one stage run to execute.
type Request struct {
	StageRun int64
	Stage    plan.Stage
	Repo     Source
	// RepoID keys the cache and the user id of the stage. With 0 there is no cache.
	RepoID int64
	// Trust keeps the caches of stages apart that do not trust each other; it may be "".
	Trust  string
	Commit git.OID
	// Env is what the stage is told: GATE_CHANGE and the like. It wins over the plan's.
	Env map[string]string
	Log io.Writer
	// Uses are the artifacts that the stage finds in its tree; the plan's Stage.Uses names them.
	Uses []Handed
	// ArtifactTypes are the types of what the stage produces, by name; file when there is none.
	ArtifactTypes map[string]string
	// Secrets are told to the stage, and masked in its log and in the result.
	Secrets []Secret
	// Forever is for what serves until ctx ends: it has no timeout, and of output beyond the limit
	// the end is kept too.
	Forever bool
	// Changed are the files that the commit changes: coverage is kept of those only, and their
	// findings come first. nil keeps all.
	Changed map[string]bool
}

// Result is how a stage run ended.
type Result struct {
	State    string // PASSED, FAILED, ERRORED, TIMED_OUT or CANCELED
	ExitCode int    // of the shell; -1 when it did not exit by itself
	Reason   string // one sentence; "" for PASSED
	Tests    *plan.Tests
	Metrics  map[string]float64
	Duration time.Duration
	// Artifacts are what it produced, sorted by name; only a stage that PASSED has any.
	Artifacts []artifact.Artifact
	// Findings and Coverage are what the stage says about lines; they decide nothing. Notes
	// say which of its reports could not be read.
	Findings annotate.Findings
	Coverage annotate.Coverage
	Notes    []string
}

// Limits bound what a stage run may use. A zero field takes the default.
type Limits struct {
	Memory    int64 // bytes, for all processes together; a stage's plan may say otherwise
	Processes int   // processes and threads
	Output    int64 // bytes kept of the output
	FileSize  int64 // bytes of the largest file
	OpenFiles int   // per process
	DiskSpare int64 // bytes that must stay free where the work folder is
	Results   int64 // bytes of a file with test results
	Artifact  int64 // bytes of one artifact
	// CacheFolder and Caches are the bytes of one folder that outlives its stage, and of all those
	// folders of all repositories.
	CacheFolder, Caches int64
}

// The limits of a stage run that is given none.
const (
	defaultMemory    = 4 << 30  // a race-tested build of a large Go service
	defaultProcesses = 4096     // a build tool on many cores has hundreds of threads
	defaultOutput    = 64 << 20 // nobody reads more
	defaultFileSize  = 4 << 30  // an image of a disk is larger, a test's file is not
	defaultOpenFiles = 16384    // the compilers and file watchers that ask for most
	defaultDiskSpare = 256 << 20
	defaultResults   = 32 << 20 // ten thousand tests with output
	defaultArtifact  = 4 << 30  // an image with a toolchain in it
	// defaultCacheFolder is the dependencies of a large program: to copy more takes longer than to
	// fetch it again. defaultCaches keeps those of a dozen such programs.
	defaultCacheFolder = 2 << 30
	defaultCaches      = 20 << 30
	// shmShare is the part of the memory limit that files in /dev/shm may take: they are memory
	// that belongs to no process.
	shmShare = 4
)

func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Memory, defaultMemory)
	def(&l.Output, defaultOutput)
	def(&l.FileSize, defaultFileSize)
	def(&l.DiskSpare, defaultDiskSpare)
	def(&l.Results, defaultResults)
	def(&l.Artifact, defaultArtifact)
	def(&l.CacheFolder, defaultCacheFolder)
	def(&l.Caches, defaultCaches)
	if l.Processes == 0 {
		l.Processes = defaultProcesses
	}
	if l.OpenFiles == 0 {
		l.OpenFiles = defaultOpenFiles
	}
	return l
}

// Toolchain is what the owner of the server lets stages have beyond the operating system. For Go
// modules without network, for example, GOMODCACHE of the host as a read-only folder, with
// Env GOMODCACHE set to it, GOPROXY=off and GOFLAGS=-mod=mod.
type Toolchain struct {
	ReadOnly []string          // absolute paths, visible at the same place
	Env      map[string]string // a stage's plan may override it
}

// Runner executes stage runs. It is safe for concurrent use.
type Runner struct {
	Work    string // folder of the work folders; nothing else may be in it
	Cache   string // folder of the caches; "" for none
	Sandbox Mode
	// Hide are folders that no stage may see wherever they are, like the server's data.
	Hide      []string
	Toolchain Toolchain
	Limits    Limits
	Artifacts *artifact.Store  // where artifacts are; nil: stages cannot produce or use any
	Now       func() time.Time // nil is time.Now
}

// verdicts, as the plan spells them.
const (
	passed   = string(plan.Passed)
	failed   = string(plan.Failed)
	errored  = string(plan.Errored)
	timedOut = string(plan.TimedOut)
	canceled = string(plan.Canceled)
)

// Run executes a stage run and returns when all of it has ended. It never fails otherwise than by
// a result that says so. When ctx ends, the stage ends, CANCELED.
func (r *Runner) Run(ctx context.Context, req Request) Result {
	now := r.Now
	if now == nil {
		now = time.Now
	}
	begin := now()
	result := r.run(ctx, req)
	newMask(req.Secrets).result(&result)
	result.Duration = now().Sub(begin)
	return result
}

func (r *Runner) run(ctx context.Context, req Request) (result Result) {
	j, err := r.prepare(ctx, req)
	if j != nil {
		defer func() {
			if err := removeTree(j.dir); err != nil && result.State != errored {
				result = Result{State: errored, ExitCode: result.ExitCode, Reason: "the work folder could not be removed: " + err.Error()}
			}
		}()
	}
	if err != nil {
		return notRun(ctx, err)
	}
	reports := j.reports()
	defer reports.close()
	out := j.execute(ctx)
	result = out.verdict(ctx, j)
	if result.State != passed && result.State != failed {
		return result
	}
	result.Tests, result.Metrics, err = readResults(j.tree, req.Stage.Results, j.limits.Results, j.mask)
	if err != nil && result.State == passed {
		result.State, result.Reason = failed, err.Error()
	}
	reports.read(&result)
	if result.State == passed {
		j.produce(ctx, &result)
	}
	if result.State == passed {
		j.save(ctx)
	}
	result.Notes = append(result.Notes, j.notes...)
	return result
}

// notRun is the result of a stage that did not begin.
func notRun(ctx context.Context, err error) Result {
	if ctx.Err() != nil {
		return Result{State: canceled, ExitCode: -1, Reason: "canceled before it began"}
	}
	if r := (refusal{}); errors.As(err, &r) {
		return Result{State: failed, ExitCode: -1, Reason: r.words}
	}
	return Result{State: errored, ExitCode: -1, Reason: err.Error()}
}

// job is a stage run that is prepared: its folders exist and its orders are written.
type job struct {
	runner  *Runner
	req     Request
	limits  Limits
	timeout time.Duration
	user    int // the uid and gid inside and, as root, outside; -1 is the server's own
	dir     string
	tree    string
	cache   string
	view    view
	mask    *mask
	notes   []string // what the result shall say besides
	orders  orders
}

// prepare makes the work folder and checks the tree out. The job is returned with an error too,
// when there is something to remove.
func (r *Runner) prepare(ctx context.Context, req Request) (*job, error) {
	j := &job{runner: r, req: req, limits: r.Limits.withDefaults(), timeout: req.Stage.Timeout, user: stageUser(r.Sandbox, req.RepoID), mask: newMask(req.Secrets)}
	if req.Stage.Memory > 0 {
		j.limits.Memory = req.Stage.Memory
	}
	if j.timeout <= 0 {
		j.timeout = plan.DefaultTimeout
	}
	if err := errors.Join(j.needStore(), checkSecrets(req.Secrets)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Work, 0o700); err != nil {
		return nil, fmt.Errorf("runner: work folder: %w", err)
	}
	if err := enoughDisk(r.Work, j.limits.DiskSpare); err != nil {
		return nil, err
	}
	work, err := filepath.Abs(r.Work)
	if err == nil {
		j.dir, err = os.MkdirTemp(work, fmt.Sprintf("%d-", req.StageRun))
	}
	if err != nil {
		return nil, fmt.Errorf("runner: work folder: %w", err)
	}
	j.tree = filepath.Join(j.dir, "tree")
	if err := j.folders(); err != nil {
		return j, fmt.Errorf("runner: work folder: %w", err)
	}
	if req.Repo == nil {
		return j, errors.New("runner: no repository to check out")
	}
	if err := req.Repo.Checkout(ctx, req.Commit, j.tree); err != nil {
		return j, fmt.Errorf("runner: check out %s: %w", req.Commit, err)
	}
	if err := j.hand(ctx); err != nil {
		return j, err
	}
	if err := j.restore(ctx); err != nil {
		return j, err
	}
	if err := j.own(j.tree, true); err != nil {
		return j, fmt.Errorf("runner: work folder: %w", err)
	}
	if j.view, err = j.see(); err != nil {
		return j, err
	}
	j.orders = j.order()
	return j, nil
}
