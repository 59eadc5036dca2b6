package plan

import (
	"fmt"
	"time"
)

// File is where a repository keeps its plan, at the root of the tree.
const File = "gatehouse.yaml"

// Limits of a plan. They bound what a pushed file can cost the server; every real plan that
// we know is far below them.
const (
	// MaxFile is the size of a plan file in bytes: a few thousand lines.
	MaxFile = 64 << 10
	// MaxDepth is how deep collections nest; the deepest that a plan uses is 6.
	MaxDepth = 12
	// MaxProblems is how many problems one reading lists before it stops: more do not help.
	MaxProblems = 50
	// MaxStages bounds the work that one push can ask for.
	MaxStages = 64
	// MaxGates keeps a page of verdicts readable.
	MaxGates = 32
	// MaxLabels keeps the voting form readable.
	MaxLabels = 16
	// MaxRoles and MaxMembers bound who is asked about when a gate is judged.
	MaxRoles   = 64
	MaxMembers = 256
	// MaxTargets bounds what is compared for every two changes of a queue.
	MaxTargets = 256
	// MaxFreezes keeps the times at which nothing lands something that people can know.
	MaxFreezes = 32
	// MinBatch and MaxBatch are how many changes one candidate can try: beyond it, finding
	// the one that fails costs more than trying together saved.
	MinBatch = 2
	MaxBatch = 16
	// MaxList bounds every other list: after, paths, require, not, env.
	MaxList = 64
	// MaxOutcomes, MaxArtifacts, MaxEnvironments and MaxLocks are far more than one repository
	// delivers.
	MaxOutcomes     = 32
	MaxArtifacts    = 32
	MaxEnvironments = 32
	MaxLocks        = 32
	// MaxMatrix is how many cells one stage may have: each is a stage of its own.
	MaxMatrix = 32
	// MaxRetry is how often the machinery may try again: what fails six times is broken.
	MaxRetry = 5
	// MaxReports bounds the reports of one stage: a linter for each language.
	MaxReports = 16
	// DefaultTTL is how long an ephemeral environment stays: over a weekend. MaxTTL is for those
	// who forget one.
	DefaultTTL = 72 * time.Hour
	MaxTTL     = 90 * 24 * time.Hour
	// DefaultKeep is how long an artifact is kept that runs nowhere, MaxKeep the longest.
	DefaultKeep = 30 * 24 * time.Hour
	MaxKeep     = 3660 * 24 * time.Hour
	// DefaultReady is how long an assembly may take until it serves, MaxReady the longest.
	DefaultReady = time.Minute
	MaxReady     = time.Hour
	// DefaultEvery is how often a new assembly is looked at; MaxVerify is how long, at most.
	DefaultEvery = 10 * time.Second
	MaxVerify    = 24 * time.Hour
	// MaxSoak is the longest soak, and how old an approval or a gate's word may be.
	MaxSoak = 366 * 24 * time.Hour
	// MaxRun is the size of one command: longer ones belong in a script in the repository.
	MaxRun = 16 << 10
	// MaxText is the length in bytes of any other text: a path, a pattern, a value of env.
	MaxText = 1 << 10
	// DefaultTimeout holds for a stage that names none.
	DefaultTimeout = 30 * time.Minute
	// MaxTimeout is the longest that a stage may hold a worker.
	MaxTimeout = 6 * time.Hour
	// MinMemory is what a shell and a small compiler need; MaxMemory is more than a worker has.
	MinMemory = 16 << 20
	MaxMemory = 256 << 30
	// MaxVote is the widest label; MaxApprovals the most approvals a gate can ask for.
	MaxVote      = 10
	MaxApprovals = 20
)

// Ways to land: what the server makes of a patch set and the tip of its branch.
const (
	FastForward = "fast-forward" // the pushed commit itself; the branch must not have moved on
	Rebase      = "rebase"       // the pushed commit, copied onto the tip when needed
	Merge       = "merge"        // a merge commit of the tip and the pushed commit
	Squash      = "squash"       // one new commit on the tip
)

// TogetherTopic has the changes of one topic land in one landing.
const TogetherTopic = "topic"

// Kinds of results that a stage can report.
const (
	GoTest = "gotest" // the output of `go test -json`
	JUnit  = "junit"  // JUnit's XML
	TAP    = "tap"    // the Test Anything Protocol, version 13 or 14
)

// Kinds of annotations that a stage can leave, and where they are.
const (
	SARIF      = "sarif"      // a file in OASIS SARIF 2.1
	Checkstyle = "checkstyle" // a file in Checkstyle's XML
	Lines      = "lines"      // file:line: message, in the output or in a file
	Commands   = "log"        // ::error and the like in the output
)

// Kinds of coverage profiles that a stage can leave.
const (
	GoCover   = "go"        // `go test -coverprofile`
	LCOV      = "lcov"      // lcov's tracefile
	Cobertura = "cobertura" // Cobertura's XML
)

// Relations of a voter to the patch set, as `not` names them.
const (
	Author    = "author"    // wrote the commit, or is named as its co-author
	Uploader  = "uploader"  // pushed the patch set
	Committer = "committer" // is named as the commit's committer
)

// Reasons for which a label copies votes to a new patch set.
const (
	CopyTrivialRebase = "trivial-rebase" // same difference, other parent
	CopyMessageEdit   = "message-edit"   // same difference and parent, other message
)

// CodeReview is the label that every plan has, whether or not it names it.
const CodeReview = "Code-Review"

// LandNode is the name of the landing in the graph; no stage or gate may have it.
const LandNode = "land"

// Problem is something wrong in a plan file, with what to write instead.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // 1 is the first; 0 is the file as a whole
	Column  int    `json:"column"` // 1 is the first, counted in characters
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// String is the problem as compilers print it: file:line:column: message (fix).
func (p Problem) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Line == 0 {
		text = p.File + ": " + p.Message
	}
	if p.Fix != "" {
		text += " (" + p.Fix + ")"
	}
	return text
}

// Plan is a plan without problems. It is not changed after it was made.
type Plan struct {
	File    string // the name it was read from
	Version int
	App     string
	Labels  []Label // Code-Review is always among them
	Stages  []Stage // in the order of the file
	Gates   []Gate  // in the order of the file
	Land    Land
	Roles   map[string][]string // members: account names, or group:NAME
	Targets []Target            // in the order of the file
	// Barriers are those that the file adds to [DefaultBarriers].
	Barriers []string

	Outcomes     []Outcome // in the order of the file, as all that follow
	Artifacts    []Artifact
	Environments []Environment
	// Locks are how many stages may hold each lock at once.
	Locks map[string]int

	// Landed says that the landing lies behind the plan, Aims which nodes a plan is for that
	// stops before the landing. Only [Plan.Delivering] and [Plan.Gating] set them.
	Landed bool
	Aims   []string
	// Notes says what of the candidate's plan does not hold until it has landed, beside the
	// notes of stages. Only [Compose] sets it.
	Notes []string `json:"-"`

	lines map[string]int
}

// Label is a scale that people vote on.
type Label struct {
	Name string
	Min  int // at most 0
	Max  int // at least 1
	// Veto says that a vote of Min refuses, whoever else approves.
	Veto bool
	// Copy names the kinds of new patch set that keep the votes of the one before.
	Copy []string
	Line int `json:"-"`
}

// Stage is one piece of work.
type Stage struct {
	Name    string
	Run     string            // a script for /bin/sh -c, at the root of the working copy
	Timeout time.Duration     // never 0
	After   []string          // stages and gates that come first
	Paths   []string          // the stage is skipped when a change touches none; empty: never
	Results map[string]string // kind to file, relative to the working copy
	// Annotations are where findings on lines are; they decide nothing.
	Annotations []Report
	// Coverage is where profiles are: kind to file. They decide nothing either.
	Coverage map[string]string
	Env      map[string]string
	Network  bool
	Memory   int64   // bytes; 0 is the runner's default
	Inputs   *Inputs // nil when the plan does not say what it reads
	// Quarantine keeps its failures from counting for a while; nil for none.
	Quarantine *Quarantine

	Environment string            // "" for none
	Deploy      *Deploy           // nil for a stage that brings nothing anywhere
	Verify      *Verify           // after Deploy and Run; nil for none
	Produces    map[string]string // artifact to the file or folder that it is, relative to the working copy
	Uses        map[string]string // artifact to where it is put, relative to the working copy
	Secrets     []Secret
	Services    []Service
	Caches      []string // folders of the working copy that outlive the stage
	Locks       []string
	When        []string          // patterns of branches; the stage is skipped on others; empty: on all
	Matrix      map[string]string // the cell of a stage that was written with a matrix
	Retry       int               // further attempts after ERRORED; -1 is the usual number
	Bypassable  *Bypassable
	Line        int `json:"-"`

	// Removed says that the candidate's plan lacks this stage, which the target branch's plan
	// requires. It cannot run and counts as FAILED. Only [Compose] sets it.
	Removed bool
	// New says that the policy does not know the stage yet: it runs for information, and no
	// outcome needs to reach it. Only [Compose] sets it.
	New bool
	// Notes says what of the candidate's stage does not hold until it has landed.
	Notes []string `json:"-"`
}

// Report is a place where a stage leaves annotations.
type Report struct {
	Kind string // SARIF, Checkstyle, Lines or Commands
	File string // relative to the working copy; "" is the output of the stage
}

// Gate is a verdict that landing waits for.
type Gate struct {
	Name    string
	Subject string // SubjectChange or SubjectArtifact
	After   []string
	Require []Criterion
	Line    int `json:"-"`
	// Needs are the stages that its criteria are about: all that come before it.
	Needs      []Need
	Bypassable *Bypassable
	// LeftOutBy are the outcomes that leave it out.
	LeftOutBy []string
}

// Need is what the policy asks of one stage that a gate waits for.
type Need struct {
	Stage   string
	After   []string // the stages that it waits for itself, those that a gate stands for left out
	Gates   []string // the gates that must be open before it starts
	Paths   []string // the policy's: with When they alone excuse a skipped stage
	When    []string
	Results bool // the policy has it report tests
	Metrics bool // and numbers
	Removed bool // the candidate's plan lacks it
	// Environment is where it deploys to, "" for nowhere.
	Environment string
	// Quarantine is the policy's, nil for none.
	Quarantine *Quarantine
	Bypassable *Bypassable
	LeftOutBy  []string
}

// Criterion is one requirement of a gate: [Review], [Owners], [Stages], [TestLimits],
// [Approve], [Metric], [Soak], [GateEvidence], [Window] or [External].
type Criterion interface{ criterion() }

// Review asks for votes.
type Review struct {
	Label string
	Value int      // a vote of at least this approves
	Min   int      // so many people
	By    []string // roles that count; empty: everybody who may vote
	Not   []string // relations that do not count: author, uploader, committer
	Line  int      `json:"-"`

	// Members are the accounts and groups of By. Veto is the value that refuses, 0 for none.
	Members []string
	Veto    int
}

// Stages asks that stages passed.
type Stages struct {
	Names []string // empty: all that the gate waits for
	Line  int      `json:"-"`
}

// TestLimits asks for test results of the stages that the gate waits for: `tests` in the file.
type TestLimits struct {
	Failed int // at most so many failed
	Min    int // at least so many ran, skipped ones not counted
	Line   int `json:"-"`
}

func (Review) criterion()     {}
func (Stages) criterion()     {}
func (TestLimits) criterion() {}

// Land is the last node.
type Land struct {
	After []string // gates
	How   string   // FastForward, Rebase, Merge or Squash
	// Batch is how many changes one candidate may try and land at once, at least 1.
	Batch int
	Lanes string // LanesBranch, LanesTargets or LanesFiles
	// Together is TogetherTopic, or "" when every change lands by itself.
	Together string
	// Queue is the name under which branches share a queue, "" for one of the branch's own.
	Queue  string
	Freeze []Freeze
	Line   int `json:"-"`
}
