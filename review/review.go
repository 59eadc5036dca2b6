package review

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/migrations/db"
)

// The limits. Each is far beyond what people do and near enough to keep a page, a
// transaction or a ref listing small.
const (
	// maxSeries is how many commits one push may bring: each becomes a change, and nobody
	// reviews more at once. A forgotten `git fetch` or a wrong branch shows here.
	maxSeries = 100
	// maxPatchSets of one change: beyond that something pushes in a loop.
	maxPatchSets = 1000
	// maxCommitMessage in bytes: it is kept in a row and shown on a page.
	maxCommitMessage = 64 << 10
	// maxText of one message or comment, in bytes.
	maxText = 16 << 10
	// maxDescription of a patch set, and of the reason for an act: one short paragraph.
	maxDescription = 2000
	// maxTopic is what fits in a list; a topic may be an identity.
	maxTopic = 200
	// maxPath of a comment, as the longest path that the server takes in.
	maxPath = 4096
	// maxComments in one review, and maxThreads on one change.
	maxComments = 500
	maxThreads  = 5000
	// maxReviewers that one push may ask.
	maxReviewers = 50
	// maxLabels that one push or review may vote on.
	maxLabels = 20
)

// Status is what became of a change.
type Status string

// The statuses that rows keep; everything finer is derived by the gatekeeper.
const (
	Open      Status = "open"
	Landed    Status = "landed"
	Abandoned Status = "abandoned"
)

// Change is one proposed commit for one branch.
type Change struct {
	ID       int64 // the change number, unique on the server
	Repo     int64
	RepoName string
	Branch   string // short name of the target
	Key      string // what makes a later commit a patch set of it: see [Key]
	Topic    string
	Subject  string // of the current patch set
	Owner    int64  // who pushed the first patch set
	Status   Status
	WIP      bool
	Private  bool // seen by its owner, its reviewers and administrators only
	Current  int  // number of the current patch set
	// SubmitBy is who asked to land the current patch set, 0 when nobody did.
	SubmitBy     int64
	SubmitAt     time.Time
	LandedCommit git.OID
	LandedPS     int
	CreatedAt    time.Time
	UpdatedAt    time.Time
	ClosedAt     time.Time
	Reverts      int64 // the change that it takes back, 0 for none
	PickedFrom   int64 // the change that it was picked from for another branch, 0 for none
	// Outcome is how far it is meant to go, by the name that the plan has for that; "" is the usual.
	Outcome string
}

// The kinds of patch sets: how one differs from the one before it.
const (
	KindFirst         = "first"
	KindRework        = "rework"         // anything but the following
	KindTrivialRebase = "trivial-rebase" // the same difference, message and author on another parent
	KindMessageEdit   = "message-edit"   // the same tree, parents and author with another message
	KindNoChange      = "no-change"      // another commit that says the same, below one that does not
)

// PatchSet is one immutable version of a change.
type PatchSet struct {
	Change         int64
	Number         int
	Commit, Tree   git.OID
	Parent         git.OID // the first parent, "" of a root commit
	Parents        int
	Uploader       int64
	AuthorName     string
	AuthorEmail    string
	CommitterEmail string
	CoAuthors      []string // e-mail addresses of Co-authored-by trailers
	Message        string
	Kind           string // one of the kinds above
	DiffDigest     string // of the difference to the first parent
	Description    string
	CreatedAt      time.Time
}

// Vote is one account's vote on one label of one patch set. Commit, DiffDigest and Branch are
// what it was given on.
type Vote struct {
	Change     int64
	PS         int
	Label      string
	Account    int64
	Value      int
	Commit     git.OID
	DiffDigest string
	Branch     string
	CopiedFrom int // the patch set it was given on, 0 when that is PS
	CreatedAt  time.Time
}

// The sides of a comment.
const (
	SideNew = "new"
	SideOld = "old"
)

// Message is one entry of a change's story. Author 0 is the server.
type Message struct {
	ID, Change int64
	PS         int
	Author     int64
	Body       string
	CreatedAt  time.Time
}

// Label is something to vote on. A plan defines them; see [DefaultLabel].
type Label struct {
	Name     string
	Min, Max int
	Veto     bool // a vote of Min blocks
	// Copy lists the kinds of patch sets that keep votes: "trivial-rebase", "message-edit".
	Copy []string
}

// DefaultLabel is what a repository without a plan votes on.
func DefaultLabel() Label { return Label{Name: "Code-Review", Min: -2, Max: 2, Veto: true} }

// keeps reports whether votes on l survive a new patch set of this kind.
func (l Label) keeps(kind string) bool {
	if kind == KindNoChange { // less than either of the kinds that a label can name
		return len(l.Copy) > 0
	}
	return slices.Contains(l.Copy, kind)
}

// HoldingRef is the ref that keeps a patch set's commit.
func HoldingRef(change int64, ps int) string {
	const shards = 100
	return fmt.Sprintf("%s%02d/%d/%d", holdingPrefix, change%shards, change, ps)
}

const holdingPrefix = "refs/changes/"

// CrashPoint, when set, is called at the named points between two effects. Tests kill the
// process there; production leaves it nil.
var CrashPoint func(name string)

func crash(name string) {
	if CrashPoint != nil {
		CrashPoint(name)
	}
}

// Service is the room's door. Its fields are set once, before use.
type Service struct {
	DB       *db.DB
	Accounts *account.Store
	Repos    *repo.Store
	Bus      *event.Bus // nil: nobody listens
	Now      func() time.Time
	URL      string // where people find the server, without a trailing slash
	// Labels are the labels of a branch's plan; nil means [DefaultLabel] everywhere.
	Labels func(ctx context.Context, r repo.Repository, branch string) ([]Label, error)
	// Refused tells which of the changes a gate has refused in their current patch set; nil
	// means that nobody knows. The dashboard asks it.
	Refused func(ctx context.Context, changes []int64) (map[int64]bool, error)
	// Standing tells how a change stands before its gates, in the words of its explanation; nil
	// means that nobody knows, and no search may ask.
	Standing func(ctx context.Context, q db.Querier, change int64) (Standing, error)
	// CheckTip refuses commits that the gate takes from nobody, such as one with a plan that
	// does not parse; nil takes all. Commits that the server makes for somebody are held
	// against it; pushed ones the gate sees before.
	CheckTip func(ctx context.Context, g *git.Repo, tip git.OID) error
	// Moving is asked, in the transaction that gives a change another branch, whether it may:
	// what stands in a queue may not. It sets aside what was found on the old branch.
	Moving func(ctx context.Context, tx *db.Tx, c Change) error

	mu      sync.Mutex
	holding map[int64]*sync.Mutex // by repository
	porters porters
}

// lock lets one push at a time be held in a repository of this process; against other
// processes the holding refs and the unique rows protect.
func (s *Service) lock(repository int64) (unlock func()) {
	s.mu.Lock()
	if s.holding == nil {
		s.holding = map[int64]*sync.Mutex{}
	}
	m := s.holding[repository]
	if m == nil {
		m = &sync.Mutex{}
		s.holding[repository] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (s *Service) labels(ctx context.Context, r repo.Repository, branch string) ([]Label, error) {
	if s.Labels == nil {
		return []Label{DefaultLabel()}, nil
	}
	labels, err := s.Labels(ctx, r, branch)
	if err != nil {
		return nil, fmt.Errorf("review: labels of %s: %w", branch, err)
	}
	return labels, nil
}

// wake tells watchers to look again; it is called after the commit.
func (s *Service) wake(repository int64, changes ...int64) {
	if s.Bus == nil {
		return
	}
	topics := []event.Topic{event.RepoTopic(repository)}
	for _, id := range changes {
		topics = append(topics, event.ChangeTopic(id))
	}
	s.Bus.Wake(topics...)
}
