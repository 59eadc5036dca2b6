package plan

import "time"

// StageState is the state of the newest attempt at a stage.
type StageState string

// The states of a stage run. FAILED and TIMED_OUT are verdicts about the code; ERRORED and
// CANCELED are about the machinery, and no verdict.
const (
	Blocked  StageState = "BLOCKED"   // waits for what comes before it
	Queued   StageState = "QUEUED"    // waits for a worker
	Running  StageState = "RUNNING"   // a worker has it
	Passed   StageState = "PASSED"    // ended with exit code 0, and its results could be read
	Failed   StageState = "FAILED"    // ended with another exit code, or without its results
	TimedOut StageState = "TIMED_OUT" // used up its timeout
	Errored  StageState = "ERRORED"   // could not be run
	Canceled StageState = "CANCELED"  // stopped by the server or by a person
	Skipped  StageState = "SKIPPED"   // the change touches none of its paths
	Bypassed StageState = "BYPASSED"  // was left out by somebody who may, with a reason
)

// Settled reports whether the attempt is over.
func (s StageState) Settled() bool {
	switch s {
	case Passed, Failed, TimedOut, Errored, Canceled, Skipped, Bypassed:
		return true
	}
	return false
}

// GateState is what a gate says. The logic has three values: OPEN is yes, REFUSED is no, and
// the others are the ways of not knowing. A gate is as strict as its strictest criterion: one
// no is a no; without a no, one unknown is an unknown; only all yes is a yes.
type GateState string

// The states of a gate. Of several unknowns the one that needs most attention wins: ERRORED,
// then INCONCLUSIVE, then CLOSED, then WAITING.
const (
	Open         GateState = "OPEN"         // every criterion is met
	Refused      GateState = "REFUSED"      // cannot be met by this patch set as it was tested
	GateErrored  GateState = "ERRORED"      // the machinery failed: no verdict
	Inconclusive GateState = "INCONCLUSIVE" // the evidence contradicts itself or the policy
	Closed       GateState = "CLOSED"       // waits for somebody to act
	Waiting      GateState = "WAITING"      // waits for work that is on its way, or for a time
	GateBypassed GateState = "BYPASSED"     // was left out: as good as open where that is accepted
)

// Passes reports whether what comes after the gate may go on.
func (s GateState) Passes() bool { return s == Open || s == GateBypassed }

// Evidence is all that a gate may look at, for one candidate.
type Evidence struct {
	// Votes are those that count for the patch set; the caller leaves out all others.
	Votes []Vote
	// Stages holds the newest state of each stage; one that is missing has not started.
	Stages map[string]StageState
	// Tests holds what each stage reported; a stage without results is missing.
	Tests map[string]Tests
	// Changed are the paths that the candidate changes against its base. Empty means unknown,
	// and then no stage may have been skipped.
	Changed []string

	// Touched are the paths that the change itself touches, whatever it is tested with; nil
	// when that is not known.
	Touched []string

	// Approvals are those of the digests in question and of the patch set, whatever their gates.
	Approvals []Approval
	// Parts are what accounts are to the change, by name: Author, Uploader, Committer.
	Parts map[string][]string
	// Metrics holds the newest value of each metric; Baselines those of what runs in each
	// environment.
	Metrics   map[string]Measured
	Baselines map[string]map[string]float64
	Soaks     map[string]Soaked // by environment
	// Gates holds what other gates say and Opened since when they are open.
	Gates    map[string]GateState
	Opened   map[string]time.Time
	Statuses []Status
	Bypasses []Bypass

	// Branch is the one that the candidate is for, "" when that is not known: then no stage may
	// have been skipped for its branch.
	Branch string

	// quarantined are the stages whose failures do not count now; the policy fills it in.
	quarantined map[string]*Quarantine
	// left are the stages that a bypass leaves out now, stuck the gates that no stage of this
	// run can open any more. Both follow from the rest.
	left  map[string]Bypass
	stuck map[string]bool
}

// Vote is one person's vote on one label.
type Vote struct {
	Label  string
	Value  int
	By     string   // account name
	Email  string   // of the account
	Groups []string // names of the groups that the account is in
	Is     []string // what it is to the patch set: Author, Uploader, Committer
}

// Verdict is what a gate says, and why.
type Verdict struct {
	Gate    string    `json:"gate"`
	State   GateState `json:"state"`
	Reasons []Reason  `json:"reasons"` // at least one for each criterion, met or not
	Line    int       `json:"line"`
	// Next is when time alone may change the state, zero when it does not.
	Next time.Time `json:"next_at,omitzero"`
}

// Reason is one part of a verdict.
type Reason struct {
	Kind     string    `json:"kind"` // the criterion's key in the file: "review", "stages", "soak", …, or "bypass"
	State    GateState `json:"state"`
	Stage    string    `json:"stage,omitempty"`    // the stage that it is about, if it is about one
	What     string    `json:"what"`               // one sentence, without a full stop
	Evidence string    `json:"evidence,omitempty"` // what is there
	Who      []string  `json:"who,omitempty"`      // who can act: role names, group:NAME, account names, or "anyone who may vote"
	Next     string    `json:"next,omitempty"`     // the next step
	Line     int       `json:"line,omitempty"`     // in the file of the policy
	// At is when time alone may change the state, zero when it does not.
	At time.Time `json:"at,omitzero"`
}

// Tests are the results that a stage reported.
type Tests struct {
	Passed   int           `json:"passed"`
	Failed   int           `json:"failed"`
	Skipped  int           `json:"skipped"`
	Duration time.Duration `json:"duration,omitempty"`
	// Cases holds the failures first, then the others. The counts are complete even where
	// Truncated says that the list is not.
	Cases     []Case `json:"cases,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}

// Case is one test.
type Case struct {
	Package  string        `json:"package,omitempty"`
	Name     string        `json:"name"`
	Status   CaseStatus    `json:"status"`
	Duration time.Duration `json:"duration,omitempty"`
	Output   string        `json:"output,omitempty"` // the end of it, for failures only
}

// FullName is what the test is called with its package: unique in its stage as far as the
// report goes.
func (c Case) FullName() string {
	if c.Package == "" {
		return c.Name
	}
	return c.Package + "." + c.Name
}

// CaseStatus is how a test ended.
type CaseStatus string

// How a test ends.
const (
	CasePassed  CaseStatus = "passed"
	CaseFailed  CaseStatus = "failed"
	CaseSkipped CaseStatus = "skipped"
)

// RunState is the verdict on all stages of a candidate together.
type RunState string

// The states of a run.
const (
	RunRunning RunState = "RUNNING" // not known yet
	RunPassed  RunState = "PASSED"  // every criterion about stages and tests is met
	RunRefused RunState = "REFUSED" // one says no
	RunErrored RunState = "ERRORED" // the machinery failed: no verdict
)
