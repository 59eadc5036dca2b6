package gatekeeper

import (
	"time"

	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/git"
)

// State is where a change stands, derived from its rows: never stored.
type State string

// The states of a change.
const (
	Open      State = "OPEN"      // something is missing before it may queue
	Ready     State = "READY"     // nothing is missing but that somebody asks to land it
	Queued    State = "QUEUED"    // waiting its turn, or its candidate is being tested
	Landing   State = "LANDING"   // the branch is being moved
	Landed    State = "LANDED"    // on the branch
	Refused   State = "REFUSED"   // a gate said no to this patch set
	Conflict  State = "CONFLICT"  // does not merge onto the branch
	Abandoned State = "ABANDONED" // given up by a person; can be restored
)

// Final reports whether the patch set will not move on by itself.
func (s State) Final() bool {
	return s == Landed || s == Refused || s == Conflict || s == Abandoned
}

// Explanation is the one answer to "why has this change not landed?". Page, API, command
// line and push output show it in the same words.
type Explanation struct {
	Change        int64         `json:"change"`
	PatchSet      int           `json:"patch_set"`
	Repository    string        `json:"repository"`
	Branch        string        `json:"branch"`
	Subject       string        `json:"subject"`
	URL           string        `json:"url"`
	State         State         `json:"state"`
	Summary       string        `json:"summary"`
	Requirements  []Requirement `json:"requirements"`
	QueuePosition int           `json:"queue_position,omitempty"` // 1 is next; 0 is not queued
	TimeLeft      string        `json:"time_left,omitempty"`      // until it lands, by the queue's estimate: "4–9 min"
	LandedCommit  git.OID       `json:"landed_commit,omitempty"`
	// Notes say what of the change's own plan does not hold until it has landed, where no
	// requirement says so: of stages that run after the landing, or have nothing to do before.
	Notes []string `json:"notes,omitempty"`
	// WhatIf says what becomes of it when those who can act do what is missing.
	WhatIf *WhatIf `json:"what_if,omitempty"`
}

// Requirement is one thing that must be so before the change lands.
type Requirement struct {
	Name     string      `json:"name"`             // "review", "unit", "parent change 12"
	Kind     string      `json:"kind"`             // "gate", "stage", "parent", "submit", "merge", "plan", "wip", "queue"
	State    string      `json:"state"`            // plan.OPEN, CLOSED, REFUSED, WAITING, ERRORED, …
	Reason   string      `json:"reason"`           // one sentence
	Evidence string      `json:"evidence"`         // what is there: "bob Code-Review+2", "41 passed, 1 failed: TestAdd"
	Who      []string    `json:"who,omitempty"`    // who can act
	Next     string      `json:"next,omitempty"`   // the next step
	Left     string      `json:"left,omitempty"`   // for how long yet, as far as somebody can say: "about 3 min"
	Source   string      `json:"source,omitempty"` // "gatehouse.yaml:12"
	Approval bool        `json:"approval,omitempty" doc:"People are asked to approve the patch set at this gate."`
	Tests    *plan.Tests `json:"-"`
	StageRun int64       `json:"stage_run,omitempty"` // whose log is the evidence
}

// Run is one execution of the plan's stages for one candidate.
type Run struct {
	ID         int64      `json:"id"`
	Change     int64      `json:"change"`
	PS         int        `json:"patch_set"`
	Candidate  git.OID    `json:"candidate"`
	Base       git.OID    `json:"base"`
	Attempt    int        `json:"attempt"`
	State      RunState   `json:"state"`
	Reason     string     `json:"reason,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	Stages     []StageRun `json:"stages"`
}

// RunState is the state of a run.
type RunState string

// The states of a run.
const (
	RunRunning    RunState = "RUNNING"
	RunPassed     RunState = "PASSED"
	RunRefused    RunState = "REFUSED"
	RunErrored    RunState = "ERRORED"
	RunSuperseded RunState = "SUPERSEDED"
	RunCanceled   RunState = "CANCELED" // a person stopped it: no verdict
)

// StageRun is one attempt at one stage of a run.
type StageRun struct {
	ID         int64           `json:"id"`
	Run        int64           `json:"run"`
	Change     int64           `json:"change"`
	Stage      string          `json:"stage"`
	Attempt    int             `json:"attempt"`
	State      plan.StageState `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	ExitCode   int             `json:"exit_code"`
	Tests      *plan.Tests     `json:"tests,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	FinishedAt time.Time       `json:"finished_at,omitzero"`
	// ReusedFrom is the stage run that was executed for this one too, 0 when it was itself.
	ReusedFrom int64 `json:"reused_from,omitempty"`

	lease, owner, logKey string
	key                  string // what its result is kept under, "" when it is not kept
	holds                string // what it holds while it runs
	stopped              bool   // by a person
}

// QueueView is the queue of one branch as people see it.
type QueueView struct {
	Repository string       `json:"repository"`
	Branch     string       `json:"branch"`
	Tip        git.OID      `json:"tip"`
	Entries    []QueueEntry `json:"entries"`
	Landed     []LandedView `json:"landed"` // the last few, newest first
}

// QueueEntry is one waiting change.
type QueueEntry struct {
	Position   int       `json:"position"`
	Change     int64     `json:"change"`
	PS         int       `json:"patch_set"`
	Subject    string    `json:"subject"`
	Owner      string    `json:"owner"`
	Why        string    `json:"why"` // what it waits for
	EnqueuedAt time.Time `json:"enqueued_at"`
	Run        *Run      `json:"run,omitempty"`
}

// LandedView is one landing.
type LandedView struct {
	Change   int64     `json:"change"`
	PS       int       `json:"patch_set"`
	Subject  string    `json:"subject"`
	Commit   git.OID   `json:"commit"`
	LandedAt time.Time `json:"landed_at"`
	LandedBy string    `json:"landed_by"`
}
