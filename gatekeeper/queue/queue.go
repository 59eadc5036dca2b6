// Package queue decides what a merge queue does next.
//
// [Step] is the whole of it: a pure function of the state, one event and the time. The
// controller rebuilds [State] from its rows, steps, and carries the actions out; it may throw
// the returned state away and rebuild, because a [Tick] on any rebuilt state leads to the same
// actions. What the returned state has over the given one is what was asked for, so that it
// is not asked for twice while it is under way; a rebuilt state lacks what a crash cut, and it
// is asked for again. Every action is idempotent by what it names.
//
// A queue is that of one branch, or of several that share it by the plan's word. Its changes
// fall into lanes: two changes conflict when they are for the same branch and share a target,
// or one of them is a barrier. Changes of different lanes do not wait for each other.
//
// A candidate tries some changes (its members) on top of others that are expected to land
// before (those it stands on). It is planned anew on each event from the state alone: see
// plan.go. A candidate's result is good for landing as long as what has landed since it was
// made, as far as it conflicts with the members, is exactly what it stands on: see valid.go.
//
// Invariants: only members of a candidate that passed and is good are landed (I2, I3); a change
// lands at most once, a stack in its order, changes that go together in one landing (I6); a
// result for another run, patch set or candidate counts for nothing (I7); nobody leaves the
// queue while it is likely enough good (see [look.sentenced]), for a base that is red or was when it
// failed, or for broken machinery before the third time. No run is stopped that the same step
// would ask for.
package queue

import "time"

// State is one queue.
type State struct {
	// Workers is how many runs may be under way at once.
	Workers  int
	Branches []Branch
	// Entries are the changes that asked to land and may; any order.
	Entries []Entry
	// Candidates are those of queued changes, on any base, oldest first. A step forgets those
	// with a member whose patch set is not queued any more.
	Candidates []Candidate
	// Landed are the landings since the oldest candidate was made, in their order.
	Landed []Landed
	// Landings are those asked for and not answered.
	Landings []Landing
	// Asked numbers what is asked for, by which answers are known. Where answers to an earlier
	// life may still be under way, a rebuilt state begins above what that one asked.
	Asked int64
	// Greens are the newest runs that passed, the newest first, by branch.
	Greens map[string][]Green
	// Model is what has been learnt; nil has learnt nothing.
	Model *Model
}

// Branch is one branch that the queue lands on.
type Branch struct {
	Name string // unique in the queue
	Tip  string // the commit that it points to
	// Seq counts the landings on the branch; candidates remember at which they were made.
	Seq int64
	// GreenAt is when a run on the branch last passed.
	GreenAt time.Time
	// Frozen says why nothing lands now, "" when it may. Candidates are tried all the same;
	// a hotfix lands in spite of it.
	Frozen string
	// MaxBatch is how many changes a candidate may try at once; 0 and 1 are one.
	MaxBatch int
	// BatchCost is by how much of its time a batch grows with each further member.
	BatchCost float64
	// Proven says that a landing of the queue made the tip: it has passed as what it is. It is
	// not known of one that came past the queue.
	Proven bool
	// Whole says that a run tests all that its candidate holds, not only the targets of its
	// members: what it stands on is proven with it.
	Whole bool
}

// Green is a run on a branch that passed, from when to when, and the changes in it that had not landed.
type Green struct {
	From, To time.Time
	In       []int64
	Seq      int64 // the branch's when its candidate was made
}

// Entry is one change in the queue.
type Entry struct {
	Change     int64
	PS         int
	Branch     string
	EnqueuedAt time.Time
	// Targets are what the change touches; it conflicts with those that touch one of them.
	Targets []string
	// Barrier says that it conflicts with every change for its branch.
	Barrier bool
	// Parents are the changes that must land first and have not, the nearest last. They may be
	// for other branches, and outside of the queue: then the entry waits, and blocks nobody.
	Parents []int64
	// With are the changes that must land in the very landing in which it lands.
	With []int64
	// Priority moves it before those of lower priority. [Hotfix] also takes workers from others.
	Priority int
	// Held says why it is not tried now, "" when it may be.
	Held string
	// Takes is how long its run is expected to take.
	Takes time.Duration
	// Author and Size are what is known about it for [Model].
	Author string
	Size   float64
}

// Hotfix is the priority from which an entry lands in a freeze and takes workers from others.
const Hotfix = 1000

// Member is a patch set of a change.
type Member struct {
	Change int64
	PS     int
}

// Candidate is what members would be on a base.
type Candidate struct {
	ID     int64 // 0 while it is being made
	Branch string
	// Members are tried, and land together, in this order. None for a run of the bare tip.
	Members []Member
	// On are those that it assumes to land first and that had not when it was made.
	On     []Member
	Seq    int64  // the branch's when it was made
	Proven bool   // a landing of the queue had made the branch's tip
	Base   string // the commit below the first member
	Commit string // of the last member; "" while it is being made, and when it conflicts
	// Conflict says why there can be no commit, "" when there can.
	Conflict string
	// Spare says that it was tried as an alternate.
	Spare bool
	Run   Run
}

// Run is the newest run of a candidate.
type Run struct {
	ID    int64 // 0 while it is being started
	State RunState
	// Ask is the number of the Try that asked for it.
	Ask int64
	// StartedAt is when it was asked for.
	StartedAt time.Time
	EndedAt   time.Time
	Reason    string // why it ended as it did, for people
	Errors    int    // how many runs of this candidate ended ERRORED, this one included
	Refusals  int    // how many runs of this candidate ended REFUSED, this one included
}

// RunState is the state of a run as far as the queue cares.
type RunState string

// The states of a run. A cancelled run is no run.
const (
	RunNone    RunState = ""
	RunRunning RunState = "RUNNING"
	RunPassed  RunState = "PASSED"
	RunRefused RunState = "REFUSED"
	RunErrored RunState = "ERRORED"
)

// Landed is a change that landed.
type Landed struct {
	Branch  string
	Seq     int64 // what its landing made the branch's
	Change  int64 // 0 for what came past the queue
	PS      int
	Targets []string
	Barrier bool
}

// Landing is a [Land] that has not been answered.
type Landing struct {
	Parts []Part
	Ask   int64
}

// Part is what one branch gains in a landing.
type Part struct {
	Branch     string
	Old        string // the tip that it is moved from
	Candidates []int64
	Members    []Member
}

// Event is something that happened: [Enqueued], [Removed], [Reordered], [BranchSet], [WorkersSet],
// [Tried], [RunEnded], [LandDone] or [Tick].
type Event interface{ event() }

// Enqueued says that a change asked to land and may, or that what is known about its entry
// changed. A newer patch set replaces an older one and takes the new entry's place in the
// order; an older one changes nothing. An entry without a time enters now.
type Enqueued struct{ Entry Entry }

// Removed says that a change left the queue: abandoned, withdrawn, or a gate closed; or that
// it is on the branch, by whatever way: then it ends its being a parent.
type Removed struct {
	Change int64
	Landed bool
}

// BranchSet says what is so about a branch now: where it points, whether it is frozen. A tip
// that is not the known one was moved past the queue: all that was tried on it is void.
type BranchSet struct{ Branch Branch }

// WorkersSet says how many runs may be under way at once.
type WorkersSet struct{ Workers int }

// Tried answers [Try].
type Tried struct {
	Ask      int64
	Branch   string
	Members  []Member
	On       []Member
	ID       int64
	Seq      int64 // the branch's when it was made
	Proven   bool  // whether a landing of the queue had made the branch's tip
	Run      int64 // 0 when Conflict says why
	Base     string
	Commit   string // "" when Conflict says why
	Conflict string
	// Refusals and Errors are how many earlier runs of the candidate ended so: the queue may have
	// forgotten it meanwhile.
	Refusals, Errors int
}

// RunEnded is the verdict of a run. It counts only for the run that the candidate has, and
// for exactly its commit.
type RunEnded struct {
	Candidate int64
	Run       int64
	Commit    string
	State     RunState // RunPassed, RunRefused, RunErrored, or RunNone for a run that was lost
	Reason    string
}

// LandDone answers [Land]: all of its parts landed, or none did.
type LandDone struct {
	Parts  []Part
	Ask    int64
	Landed bool
	Tips   map[string]string // where the branches point after it
}

// Tick asks for a look.
type Tick struct{}

func (Enqueued) event()   {}
func (Removed) event()    {}
func (BranchSet) event()  {}
func (WorkersSet) event() {}
func (Tried) event()      {}
func (RunEnded) event()   {}
func (LandDone) event()   {}
func (Tick) event()       {}

// Action is something to do: [Try], [Land], [Eject] or [Cancel].
type Action interface{ action() }

// Try asks for the candidate of the members on the branch's tip and what it stands on, and
// for a run of it. With no members it asks for a run of the bare tip. Asked again for a
// candidate whose run ended, it asks for another run, of what has not passed.
type Try struct {
	Branch  string
	Members []Member
	On      []Member
	Ask     int64 // its number, which the answer repeats
	Attempt int   // 1 for the first run of the candidate
	Spare   bool  // it is an alternate: its run may wait for those of others
}

// Land asks to move the branches, all or none, each from its old tip over its candidates in
// their order.
type Land struct {
	Parts []Part
	Ask   int64 // its number, which the answer repeats
}

// Eject takes a patch set out of the queue.
type Eject struct {
	Member
	Reason    EjectReason
	Words     string // the evidence, for people
	Candidate int64  // whose run or merge decided, 0 when none did
}

// EjectReason says why a patch set was taken out.
type EjectReason string

// Why a patch set is taken out.
const (
	EjectConflict EjectReason = "CONFLICT" // it does not merge onto the branch
	EjectRefused  EjectReason = "REFUSED"  // its runs said no
	EjectErrored  EjectReason = "ERRORED"  // the machinery failed MaxErrors times
	EjectCycle    EjectReason = "CYCLE"    // it waits for itself
)

// Cancel asks to stop a run that nobody needs any more.
type Cancel struct {
	Candidate int64
	Run       int64
	Reason    string
}

func (Try) action()    {}
func (Land) action()   {}
func (Eject) action()  {}
func (Cancel) action() {}
