// Package queue decides what a branch's merge queue does next.
//
// [Step] is the whole of it: a pure function of the state, one event and the time. The
// controller rebuilds [State] from its rows, steps, and carries the actions out; it may throw
// the returned state away and rebuild, because a [Tick] on any rebuilt state leads to the same
// actions. What the returned state has over the given one is what was asked for, so that it
// is not asked for twice while it is under way; a rebuilt state lacks what a crash cut, and it
// is asked for again. Every action is idempotent by what it names.
//
// One candidate is tried at a time, that of the first entry which waits for no parent. The
// types do not say so: a candidate's Base is any commit, so that several can stand on each
// other.
//
// Invariants: only a commit whose run passed on exactly (Base, Commit) for the queued patch
// set is landed, and only while Base is the tip (I2, I3); one Land is outstanding at most, and
// a change that has landed is in no later state (I6); an entry is tried only when all its
// parents have landed (I6); a result for another base, patch set, commit or run counts for
// nothing (I7). The order is that of [State.Turns]: time of entry, then change number.
package queue

import "time"

// MaxErrors is how many runs of one candidate may end ERRORED before its entry is ejected:
// twice can be bad luck of the machinery, three times in a row needs a person.
const MaxErrors = 3

// State is the queue of one branch.
type State struct {
	Branch string
	Tip    string // the commit that the branch points to
	// Entries are the changes that asked to land and may; any order.
	Entries []Entry
	// Candidates are those of queued changes, on any base. The next step drops those of patch
	// sets that are not queued, and, when an entry's turn comes, those on another base than the
	// tip; it cancels their runs. Until its turn a result on an older base may still be of use
	// to people.
	Candidates []Candidate
	// Landing is the landing under way, nil when there is none. While it is set nothing else
	// is landed or ejected.
	Landing *Landing
}

// Entry is one change in the queue.
type Entry struct {
	Change     int64
	PS         int
	EnqueuedAt time.Time
	// Parents are the changes that must land first and have not. An entry with parents waits
	// and blocks nobody.
	Parents []int64
}

// Candidate is the commit that a patch set would be on a base.
type Candidate struct {
	ID     int64 // 0 while it is being made
	Change int64
	PS     int
	Base   string
	Commit string // "" while it is being made, and when it conflicts
	// Conflict says why there can be no commit, "" when there can.
	Conflict string
	Run      Run
}

// Run is the newest run of a candidate.
type Run struct {
	ID     int64 // 0 while it is being started
	State  RunState
	Reason string // why it ended as it did, for people
	Errors int    // how many runs of this candidate ended ERRORED, this one included
}

// RunState is the state of a run as far as the queue cares.
type RunState string

// The states of a run. A superseded or cancelled run is no run.
const (
	RunNone    RunState = ""
	RunRunning RunState = "RUNNING"
	RunPassed  RunState = "PASSED"
	RunRefused RunState = "REFUSED"
	RunErrored RunState = "ERRORED"
)

// Landing is a Land that was asked for and has not been answered.
type Landing struct {
	Change    int64
	PS        int
	Candidate int64
	Commit    string
	Old       string
}

// Event is something that happened: [Enqueued], [Removed], [TipMoved], [CandidateMade],
// [RunStarted], [RunEnded], [LandDone] or [Tick].
type Event interface{ event() }

// Enqueued says that a change asked to land and may. A newer patch set replaces an older one
// and takes the new entry's place in the order; the same or an older one changes nothing. An
// entry without a time enters now.
type Enqueued struct{ Entry Entry }

// Removed says that a change left the queue: abandoned, withdrawn, or a gate closed. It also
// ends its being a parent when Landed says that it is on the branch.
type Removed struct {
	Change int64
	Landed bool
	Reason string
}

// TipMoved says where the branch points now.
type TipMoved struct{ Tip string }

// CandidateMade answers [MakeCandidate].
type CandidateMade struct {
	ID       int64
	Change   int64
	PS       int
	Base     string
	Commit   string // "" when Conflict says why
	Conflict string
}

// RunStarted answers [StartRun].
type RunStarted struct {
	Candidate int64
	Run       int64
}

// RunEnded is the verdict of a run. It counts only for the run that the candidate has, and
// for exactly its base and commit.
type RunEnded struct {
	Candidate int64
	Run       int64
	Base      string
	Commit    string
	State     RunState // RunPassed, RunRefused or RunErrored
	Reason    string
}

// LandDone answers [Land]. Tip is where the branch points after it, landed or not.
type LandDone struct {
	Change int64
	Commit string
	Landed bool
	Tip    string
}

// Tick asks for a look.
type Tick struct{}

func (Enqueued) event()      {}
func (Removed) event()       {}
func (TipMoved) event()      {}
func (CandidateMade) event() {}
func (RunStarted) event()    {}
func (RunEnded) event()      {}
func (LandDone) event()      {}
func (Tick) event()          {}

// Action is something to do: [MakeCandidate], [StartRun], [Land], [Eject] or [CancelRun].
type Action interface{ action() }

// MakeCandidate asks for the commit of a patch set on Base. Doing it again gives the same.
type MakeCandidate struct {
	Change int64
	PS     int
	Base   string
}

// StartRun asks for a run of the candidate, unless it has one that runs or passed.
type StartRun struct {
	Candidate int64
	Change    int64
	PS        int
	Base      string
	Commit    string
	Attempt   int // 1 for the first
}

// Land asks to move the branch from Old to Commit by compare-and-swap.
type Land struct {
	Change    int64
	PS        int
	Candidate int64
	Run       int64
	Commit    string
	Old       string
}

// Eject takes a patch set out of the queue.
type Eject struct {
	Change int64
	PS     int
	Reason EjectReason
	Words  string // the evidence, for people
	Run    int64  // the run that decided, 0 when none did
}

// EjectReason says why a patch set was taken out.
type EjectReason string

// Why a patch set is taken out.
const (
	EjectConflict EjectReason = "CONFLICT" // it does not merge onto the branch
	EjectRefused  EjectReason = "REFUSED"  // its run said no
	EjectErrored  EjectReason = "ERRORED"  // the machinery failed MaxErrors times
)

// CancelRun asks to stop a run that nobody needs any more.
type CancelRun struct {
	Candidate int64
	Run       int64
	Reason    string
}

func (MakeCandidate) action() {}
func (StartRun) action()      {}
func (Land) action()          {}
func (Eject) action()         {}
func (CancelRun) action()     {}
