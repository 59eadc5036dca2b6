package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gatehouse/gatekeeper/artifact"
	"gatehouse/gatekeeper/assembly"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// CrashPoint, when set, is called at the named points between two effects. Tests kill the
// process there; production leaves it nil.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Runs is what the gatekeeper knows about delivery runs and does for them.
type Runs interface {
	// Judge says whether everything before the stage in the run is as it must be.
	Judge(ctx context.Context, q db.Querier, run int64, stage string) (Judged, error)
	// Attempt writes one more attempt at the stage of the run, and asks for a worker.
	Attempt(ctx context.Context, tx *db.Tx, run int64, stage string) (stageRun int64, err error)
	// Stage is the state of a stage run, the reason for it, and when it ended.
	Stage(ctx context.Context, q db.Querier, stageRun int64) (state plan.StageState, why string, ended time.Time, err error)
	// Deployment is what a stage run that brought an assembly about was to bring.
	Deployment(ctx context.Context, run, stageRun int64) (Deployment, error)
	// Superseded ends a run whose artifact will not enter any more.
	Superseded(ctx context.Context, tx *db.Tx, run int64, why string) error
}

// Judged is what the gates before a stage say.
type Judged struct {
	Open     bool
	Why      string    // why they are not open
	Next     time.Time // when that may change by time alone
	Bypassed []string  // stages and gates that were left out on the way
}

// Names binds host names to assemblies. *assembly.Router is the one that does it for the server
// itself.
type Names interface {
	Set(host string, to assembly.Instance) error
	Unset(host string)
	// Drain waits until no request is on its way to the instance any more.
	Drain(ctx context.Context, to assembly.Instance) error
}

// Provider makes names known to the world.
type Provider interface {
	Bind(ctx context.Context, name, address string, ttl time.Duration) error
	Release(ctx context.Context, name string) error
}

// Config is what a service works with.
type Config struct {
	DB        *db.DB
	Accounts  *account.Store
	Repos     *repo.Store
	Artifacts *artifact.Store
	Bus       *event.Bus
	Now       func() time.Time
	Log       *slog.Logger
	Drivers   map[string]assembly.Driver // by the plan's names
	Providers map[string]Provider        // of names, by the plan's names
	// Script is the provider of names that runs a script of the repository, for one assembly; nil
	// for none.
	Script func(script string, of assembly.Spec) Provider
	Names  Names // nil: no host routing
	Clock  assembly.Clock
	// Secret reads a secret of a repository; nil has none.
	Secret func(ctx context.Context, repoID int64, name string) ([]byte, error)
}

// Service keeps environments. It is safe for concurrent use.
type Service struct {
	Config
	runs Runs
	me   string // this process, as the owner of assemblies

	mu    sync.Mutex
	looks map[Place]*sync.Mutex
}

// New makes a service; me names this process and no other.
func New(cfg Config, me string) *Service {
	if cfg.Clock == nil {
		cfg.Clock = assembly.SystemClock{}
	}
	return &Service{Config: cfg, me: me, looks: map[Place]*sync.Mutex{}}
}

// Use says who knows about runs. It is called once, before anything else.
func (s *Service) Use(runs Runs) { s.runs = runs }

// Place is a branch whose plan has environments.
type Place struct {
	Repo   int64
	Branch string
}

// lock lets one look at a place in at a time.
func (s *Service) lock(p Place) (unlock func()) {
	s.mu.Lock()
	m := s.looks[p]
	if m == nil {
		m = &sync.Mutex{}
		s.looks[p] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// tell appends an event about an environment.
func (s *Service) tell(ctx context.Context, tx *db.Tx, p Place, change, by int64, kind string, data map[string]string) error {
	data["branch"] = p.Branch
	_, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: kind, Repo: p.Repo, Change: change, Account: by, Data: data})
	return err
}

// short is an artifact's digest for people.
func short(digest string) string {
	const kept = len("sha256:") + 12
	if len(digest) > kept {
		return digest[:kept]
	}
	return digest
}

// open opens the repository of a place.
func (s *Service) open(ctx context.Context, p Place) (repo.Repository, *git.Repo, error) {
	r, err := s.Repos.ByID(ctx, s.DB.Read(), p.Repo)
	if err != nil {
		return r, nil, err
	}
	g, err := s.Repos.Open(r)
	return r, g, err
}
