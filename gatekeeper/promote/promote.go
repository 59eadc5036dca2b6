// Package promote decides what enters an environment, when, and what goes back.
//
// [Step] is the whole of it: a pure function of the state and the time. It keeps nothing from
// one call to the next. The controller rebuilds [State] from its rows and the plan, carries the
// actions out in their order, and looks again, until there are none; then it sleeps until
// [Wake], or until a row changes. Each action is one transaction. A crash may cut the list at
// any place: what was carried out is seen in the next state, and the rest is decided anew.
//
// A promotion is an artifact, by its digest, on its way into one environment: see [Status] for
// its states. Its gates are judged by others; what they say is part of the state, and counts in
// the very state from which [Deploy] is decided. [Deploy] takes the environment's lock, and each
// taking is an attempt with a number. A result counts for the attempt that it names, while that
// lasts, and for nothing else.
//
// FAILED by a result is a verdict about what was built: the digest gets a veto, and it does not
// come back before a person lifts it. What the machinery breaks is tried again, [MaxAttempts]
// times in all, and gets no veto.
//
// Invariants: at most one promotion is entering at any time; nothing enters with a closed gate,
// a refused bypass, a veto, past a pin or, but for hotfixes and rollbacks, in a freeze, all
// judged when the lock is taken (I11); what is over never changes; only what ran well in the
// environment is gone back to; a rollback that fails is not answered by another; every wait has
// words.
package promote

import "time"

// State is one environment of a branch's plan, as far as decisions rest on it.
type State struct {
	Environment string
	Policy      Policy
	// Current is what runs, the zero value for nothing.
	Current Current
	// Good are the versions that were READY and verified here, in the order in which they came
	// to be, the last one last. One may be in it more than once.
	Good []Version
	Pin  *Pin // nil for none
	// Vetoes are at most one for each digest.
	Vetoes []Veto
	// Freezes are those of the plan and those of people that hold now, or may.
	Freezes []Freeze
	// Broken says why nothing enters but hotfixes, rollbacks and what people ask for, "" when it is
	// not so; the rest may too where nothing is left to go back to.
	Broken string
	Lock   Lock
	// Promotions are all that are not over, in any order; others are of no effect.
	Promotions []Promotion
	// Instances are the assemblies of an ephemeral environment.
	Instances []Instance
}

// Policy is what the plan says about the environment.
type Policy struct {
	Ephemeral bool          // one instance for each change: nothing is promoted into it
	TTL       time.Duration // of an instance; 0 is as long as the change is open
	Hand      bool          // nothing enters before a person asks for it
	Each      bool          // one after the other in the order of landing, not only the newest
	// RollBackDeploy and RollBackVerify say after which failures it goes back by itself.
	RollBackDeploy, RollBackVerify bool
	// RefuseBypassed keeps out what a stage or a gate was left out for.
	RefuseBypassed bool
}

// Version is one artifact of one landed commit.
type Version struct {
	Digest string
	Commit string
	Seq    int64 // counts the landings of the branch
	Run    int64 // the delivery run that it came from
}

// Current is what runs in the environment.
type Current struct {
	Version
	Promotion int64 // by which it entered
	Since     time.Time
	Assembly  string // READY, DEGRADED, …: for people, nothing is decided by it
}

// Pin is a person's word that nothing but one digest enters.
type Pin struct {
	Digest  string
	By, Why string
}

// Veto keeps a digest out. One given by [AddVeto] has nobody in By.
type Veto struct {
	Digest  string
	By, Why string
	// RollBack asks to go back when it is the digest that runs.
	RollBack bool
}

// Freeze holds promotions up, but not hotfixes and rollbacks.
type Freeze struct {
	Why   string
	By    string    // "" for one in the plan
	Until time.Time // zero is until somebody lifts it
}

// Lock says who is entering.
type Lock struct {
	Holder int64 // a promotion; 0 is nobody
	Alive  bool  // who works for the holder still says so
}

// Kind says why a promotion is.
type Kind string

// The kinds of promotions.
const (
	Forward  Kind = "forward"
	Rollback Kind = "rollback" // to what ran well here before: its gates are not asked again
	Hotfix   Kind = "hotfix"   // goes first, and enters in a freeze; its gates are asked
)

// Promotion is an artifact on its way into the environment.
type Promotion struct {
	ID int64
	Version
	Kind   Kind
	Status Status
	// Why and Until are those of the [SetState] that led to Status.
	Why   string
	Until time.Time
	// RequestedBy is who asked for it, "" for nobody.
	RequestedBy string
	// Because is the promotion whose failure a rollback answers, 0 for none.
	Because int64
	// GatesOpen is what its gates say at the time of the state, GatesWhy why not, and NextAt when
	// that may change by time alone.
	GatesOpen bool
	GatesWhy  string
	NextAt    time.Time
	// Bypassed are the stages and gates before it that were left out.
	Bypassed []string
	// Verifies says that it is watched after its deploy.
	Verifies bool
	// Attempts is how many times it took the lock.
	Attempts int
	Deployed Result
	Verified Result
}

// Result is what came of an attempt. It counts when Attempt is the promotion's last.
type Result struct {
	Attempt int
	Outcome Outcome
	Why     string // for people
	At      time.Time
}

// Outcome is how a deploy or a verification ended.
type Outcome string

// The outcomes.
const (
	OutcomePending Outcome = ""
	OutcomePassed  Outcome = "PASSED"
	OutcomeFailed  Outcome = "FAILED"   // a verdict about what was built
	OutcomeErrored Outcome = "ERRORED"  // the machinery broke
	OutcomeStopped Outcome = "CANCELED" // a person stopped it
)

// MaxAttempts is how many times a promotion takes the lock before broken machinery ends it: one
// lost worker is an accident, the third is not.
const MaxAttempts = 3

// RetryPause is how long an attempt waits after one that the machinery broke, times the number of
// those: long enough for a restart, short enough for somebody who watches.
const RetryPause = 30 * time.Second
