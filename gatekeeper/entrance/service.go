package entrance

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"time"

	"gatehouse/gitserver"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
	"gatehouse/review"
)

// The kinds of the jobs.
const (
	JobNotice = "entrance-notice" // acts upon one delivery
	JobPoll   = "entrance-poll"   // looks at one entrance
)

// CrashPoint, when set, is called at the named points between two effects. Tests kill the
// process there; production leaves it nil.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Gate is what decides, for both entrances.
type Gate interface {
	// Receive decides what is proposed, as it decides a push.
	Receive(ctx context.Context, p *gitserver.Push) []gitserver.Result
	// Recheck runs the stages of a change again.
	Recheck(ctx context.Context, actor account.Actor, change int64) error
	// SetOutcome says how far the run of a change is meant to go.
	SetOutcome(ctx context.Context, actor account.Actor, change int64, outcome, reason string) error
	// NoteLanded marks open changes as landed with a commit that their branch holds already. What
	// is not so is left alone.
	NoteLanded(ctx context.Context, r repo.Repository, branch string, commit git.OID, changes []int64, by int64) error
	// TestCommit runs the stages on a commit that came from another and is not a change, and
	// gives the run.
	TestCommit(ctx context.Context, r repo.Repository, branch string, from, commit git.OID) (run int64, err error)
	// Red says why the run of a commit was refused, "" when it was not, and which page shows it.
	Red(ctx context.Context, run int64) (why, page string, err error)
}

// API is what can be asked of a forge beside git.
type API interface {
	// Collaborator reports whether somebody may write to the repository there.
	Collaborator(ctx context.Context, e Entrance, token, login string) (bool, error)
	// Proposal is what the forge says about a proposal: whose it is, for which branch, whether it
	// is a draft; and whether it is open.
	Proposal(ctx context.Context, e Entrance, token string, number int64) (n Notice, open bool, err error)
	// Merge asks the forge to merge a proposal whose newest commit is head. Conflict says that it
	// is another by now, or does not merge there.
	Merge(ctx context.Context, e Entrance, token string, number int64, head git.OID) error
}

// Service keeps entrances. Its fields are set once, before use; it is safe for concurrent use.
type Service struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Review   *review.Service
	Gate     Gate
	API      API
	Bus      *event.Bus
	Now      func() time.Time
	Log      *slog.Logger
	Dir      string         // the folder of secrets
	Limits   git.PackLimits // of what one fetch brings
	MaxBlob  int64          // of one file in it, 0 for the usual
	// Rand is where secrets come from; nil is crypto/rand.
	Rand io.Reader

	mu       sync.Mutex
	working  map[string]*sync.Mutex
	refusals map[int64][]time.Time // when deliveries were refused, by entrance
	stale    map[branchKey]bool    // branches of which it was said that they moved there
}

type branchKey struct {
	repo   int64
	branch string
}

func (s *Service) random() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

// alone waits until nobody else works on the same proposal.
func (s *Service) alone(what string) (unlock func()) {
	s.mu.Lock()
	if s.working == nil {
		s.working = map[string]*sync.Mutex{}
	}
	m := s.working[what]
	if m == nil {
		m = &sync.Mutex{}
		s.working[what] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// Handlers are the workers of the room's jobs, by kind.
func (s *Service) Handlers() map[string]func(ctx context.Context, key string) (time.Duration, error) {
	return map[string]func(ctx context.Context, key string) (time.Duration, error){
		JobNotice: s.Work, JobPoll: s.Poll, JobLanded: s.Landed, JobRed: s.TakeBack,
	}
}
