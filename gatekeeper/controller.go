package gatekeeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/attest"
	"gatehouse/gatekeeper/blob"
	"gatehouse/gatekeeper/deliver"
	"gatehouse/gatekeeper/job"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gatekeeper/queue"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gatekeeper/secret"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/mirror"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// CrashPoint, when set, is called at the named points between two effects. Tests kill the
// process there; production leaves it nil.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// JobStage is the kind of the job that executes one stage run; its key is the stage run's id.
const JobStage = "stage"

// branchWorkers is how many branches may be looked at at once: a look is short and mostly git.
const branchWorkers = 4

// mirrorWorkers is how many mirrors may be pushed to at once.
const mirrorWorkers = 4

// StageRunner executes a stage run. *runner.Runner is the one that does.
type StageRunner interface {
	Run(ctx context.Context, r runner.Request) runner.Result
	// Identity names what stages run with: results are shared only where it is the same.
	Identity() string
}

// Config is what a controller works with.
type Config struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Review   *review.Service
	Mirrors  *mirror.Store
	Primary  Primary // of branches that are at home elsewhere; nil when none are
	Jobs     *job.Engine
	Blobs    *blob.Store
	Runner   StageRunner
	// Secrets are what stages may be told, nil for none. Delivery keeps the environments, nil on
	// a server without any.
	Secrets  *secret.Store
	Delivery *deliver.Service
	// Artifacts are kept here; nil on a server that keeps none.
	Artifacts *artifact.Store
	// Signing are the keys that statements about artifacts are signed with; nil leaves them unsigned.
	Signing *attest.Keys
	Bus     *event.Bus
	Now     func() time.Time
	Log     *slog.Logger
	URL     string // where people find the pages, without a trailing slash
	Workers int    // stage runs at once
	// NoStages, when not "", is why this server runs no stages; they stay queued and say so.
	NoStages string
	// KeepAlive is how often a waiting push looks again when nothing woke it.
	KeepAlive time.Duration
	// WaitLimit bounds how long a push with -o wait stays open.
	WaitLimit time.Duration
}

// Defaults of Config.
const (
	defaultKeepAlive = 10 * time.Second
	defaultWaitLimit = time.Hour
)

// Controller moves changes from held to landed. It is safe for concurrent use.
type Controller struct {
	Config
	me      string // this process, as the owner of stage runs
	plans   planCache
	changes changesCache
	differ  hunksCache
	keys    keyCache

	mu       sync.Mutex
	branches map[branchKey]*sync.Mutex
	running  map[int64]context.CancelFunc // stage runs of this process

	maintained map[int64]time.Time     // repositories, when they were last looked at
	settled    map[int64]string        // changes, by what they were settled
	announced  map[queue.Member]bool   // patch sets that were seen
	models     map[string]*queue.Model // what each queue has learnt
	looks      map[branchKey]time.Time // when a later look at a branch is asked for
}

type branchKey struct {
	repo   int64
	branch string
}

// New makes a controller and wires it to the rooms that ask it: the plan's labels for
// reviews, the handlers for the jobs. Nothing runs before Recover and the engine's start.
func New(cfg Config) *Controller {
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = defaultKeepAlive
	}
	if cfg.WaitLimit == 0 {
		cfg.WaitLimit = defaultWaitLimit
	}
	c := &Controller{
		Config: cfg, me: token(),
		branches: map[branchKey]*sync.Mutex{}, running: map[int64]context.CancelFunc{}, maintained: map[int64]time.Time{},
		settled: map[int64]string{}, announced: map[queue.Member]bool{}, models: map[string]*queue.Model{}, looks: map[branchKey]time.Time{},
	}
	cfg.Review.Labels = c.labels
	cfg.Review.Refused = c.refusedAmong
	cfg.Review.Standing = c.searched
	cfg.Review.CheckTip = c.checkTip
	cfg.Review.Moving = c.moving
	cfg.Jobs.Handle(repo.JobBranch, branchWorkers, c.branchHandler)
	cfg.Jobs.Handle(JobStage, max(cfg.Workers, 1), c.stageHandler)
	cfg.Jobs.Handle(mirror.Job, mirrorWorkers, c.mirrorHandler)
	cfg.Jobs.Handle(JobMaintain, maintainWorkers, c.maintainHandler)
	cfg.Jobs.Handle(JobDeliver, deliverWorkers, c.deliverHandler)
	if cfg.Delivery != nil {
		cfg.Delivery.Use(deliveryRuns{c})
		cfg.Jobs.Handle(deliver.JobAssembly, deliver.AssemblyWorkers, cfg.Delivery.Tend)
	}
	return c
}

// token is a fresh, unguessable name: of this process, or of a lease.
func token() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("gatekeeper: no randomness: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}

// Recover takes over after another process: stage runs that it held are given back, and
// every gated branch is looked at. The caller holds the data folder's lock, so whoever
// wrote those rows is dead.
func (c *Controller) Recover(ctx context.Context) error {
	repos, err := c.Repos.List(ctx, c.DB.Read())
	if err != nil {
		return err
	}
	var jobs []db.Job
	for _, r := range repos {
		g, err := c.Repos.Open(r)
		if err != nil {
			return err
		}
		if err := g.Janitor(ctx); err != nil {
			return err
		}
		if err := c.Review.Janitor(ctx, r); err != nil {
			return err
		}
		refs, err := g.Refs(ctx, "refs/heads")
		if err != nil {
			return err
		}
		for _, ref := range refs {
			if branch := shortBranch(ref.Name); r.Gates(branch) {
				jobs = append(jobs, repo.BranchJob(r.ID, branch))
			}
		}
	}
	if c.Delivery != nil {
		if err := c.Delivery.Recover(ctx); err != nil {
			return err
		}
	}
	return c.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := c.giveBack(ctx, tx); err != nil {
			return err
		}
		if err := c.resumeDeliveries(ctx, tx); err != nil {
			return err
		}
		for _, j := range jobs {
			if err := tx.Enqueue(ctx, j); err != nil {
				return err
			}
		}
		for _, r := range repos {
			if err := c.Mirrors.EnqueueAll(ctx, tx, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// giveBack ends the stage runs of dead processes. CANCELED is no verdict and does not count
// as an attempt of the machinery's: the next look starts another.
func (c *Controller) giveBack(ctx context.Context, tx *db.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE stage_runs SET state = $1, reason = $2, finished_at = $3 WHERE state = $4 AND owner <> $5`,
		string(plan.Canceled), "the server stopped while it ran", db.Micros(c.Now()), string(plan.Running), c.me)
	if err != nil {
		return fmt.Errorf("gatekeeper: give back stage runs: %w", err)
	}
	return c.wakeQueued(ctx, tx, `s.reason <> ''`) // those that waited for one of them
}

func (c *Controller) branchHandler(ctx context.Context, key string) (time.Duration, error) {
	repoID, branch, err := repo.ParseBranchKey(key)
	if err != nil {
		return 0, err
	}
	if err := c.Tick(ctx, repoID, branch); err != nil {
		return 0, err
	}
	return 0, c.tellReady(ctx, branchKey{repoID, branch})
}

func (c *Controller) mirrorHandler(ctx context.Context, key string) (time.Duration, error) {
	id, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("gatekeeper: mirror job %q: %w", key, err)
	}
	return c.Mirrors.Sync(ctx, id)
}

// branchLock proves that its holder alone moves the branch in this process; against other
// processes the compare-and-swap protects.
type branchLock struct {
	repo   repo.Repository
	branch string
	unlock func()
}

// lockBranch waits for the branch. Who locks several does so in their order.
func (c *Controller) lockBranch(r repo.Repository, branch string) branchLock {
	c.mu.Lock()
	key := branchKey{r.ID, branch}
	m := c.branches[key]
	if m == nil {
		m = &sync.Mutex{}
		c.branches[key] = m
	}
	c.mu.Unlock()
	m.Lock()
	return branchLock{r, branch, m.Unlock}
}

func (l branchLock) ref() string { return "refs/heads/" + l.branch }

// labels are the labels that the branch's plan defines: review asks for them.
func (c *Controller) labels(ctx context.Context, r repo.Repository, branch string) ([]review.Label, error) {
	p, _, err := c.PlanAt(ctx, r, branch)
	if err != nil {
		return nil, err
	}
	labels := make([]review.Label, 0, len(p.Labels))
	for _, l := range p.Labels {
		labels = append(labels, review.Label{Name: l.Name, Min: l.Min, Max: l.Max, Veto: l.Veto, Copy: l.Copy})
	}
	return labels, nil
}

const headsPrefix = "refs/heads/"

func shortBranch(ref string) string {
	if len(ref) > len(headsPrefix) && ref[:len(headsPrefix)] == headsPrefix {
		return ref[len(headsPrefix):]
	}
	return ""
}

func changeURL(base, repoName string, change int64) string {
	return fmt.Sprintf("%s/c/%s/+/%d", base, repoName, change)
}
