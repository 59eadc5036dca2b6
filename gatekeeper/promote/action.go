package promote

import "time"

// Action is something to do, each in a transaction of its own. All are safe to decide again:
// what was carried out is seen in the next state.
type Action interface{ action() }

// SetState moves a promotion that waits: to REQUESTED, ELIGIBLE, HELD or REJECTED.
type SetState struct {
	Promotion int64
	Status    Status
	Why       string
	Until     time.Time // of a hold that ends by itself
}

// Supersede ends a promotion that waits, as SUPERSEDED.
type Supersede struct {
	Promotion int64
	By        int64 // the promotion that enters in its place, or did
	Why       string
}

// Deploy takes the lock for a promotion, or takes it again for its next attempt, and starts the
// deploy: DEPLOYING. The lock must be free, or be its own and its holder dead or done.
type Deploy struct {
	Promotion int64
	Attempt   int  // its number from 1 on, to be written to Attempts and named by results
	Kind      Kind // what it comes to: a forward one may be a rollback by hand
}

// Verify starts to watch what an attempt deployed: VERIFYING.
type Verify struct {
	Promotion int64
	Attempt   int
}

// Succeed ends a promotion well: SUCCEEDED. Its version is what runs, and is good; the lock is free.
type Succeed struct{ Promotion int64 }

// Fail ends a promotion that entered: as FAILED or, where it is answered by a rollback, as
// ROLLED_BACK. The lock is free.
type Fail struct {
	Promotion int64
	Status    Status
	Why       string
	Errored   bool // by the machinery: it says nothing about what was built
}

// RollBack asks for a promotion of kind [Rollback], REQUESTED, by nobody.
type RollBack struct {
	To      Version
	Because int64 // the promotion that failed, or that brought in what may not run any more
	Why     string
}

// AddVeto gives a digest a veto, by nobody.
type AddVeto struct {
	Digest  string
	Because int64
	Why     string
}

// ReleaseLock frees a lock whose holder is over.
type ReleaseLock struct{ Holder int64 }

// MarkBroken says that the environment needs a person.
type MarkBroken struct{ Why string }

// MarkUnbroken says that it does not any more.
type MarkUnbroken struct{}

// Expire ends an instance of an ephemeral environment.
type Expire struct {
	Instance int64
	Why      string
}

func (SetState) action()     {}
func (Supersede) action()    {}
func (Deploy) action()       {}
func (Verify) action()       {}
func (Succeed) action()      {}
func (Fail) action()         {}
func (RollBack) action()     {}
func (AddVeto) action()      {}
func (ReleaseLock) action()  {}
func (MarkBroken) action()   {}
func (MarkUnbroken) action() {}
func (Expire) action()       {}
