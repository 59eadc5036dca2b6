package promote

import "fmt"

// Status is the state of a promotion.
type Status string

// The states of a promotion.
const (
	Requested  Status = "REQUESTED"   // it waits for its gates, or for somebody to ask for it
	Eligible   Status = "ELIGIBLE"    // it may enter
	Held       Status = "HELD"        // it may, but for something about the environment
	Deploying  Status = "DEPLOYING"   // it holds the lock, and is being deployed
	Verifying  Status = "VERIFYING"   // it holds the lock, runs, and is watched
	Succeeded  Status = "SUCCEEDED"   // it is, or was, what runs
	Failed     Status = "FAILED"      // it did not come to run, or not well
	RolledBack Status = "ROLLED_BACK" // the same, and a rollback to what ran well follows
	Superseded Status = "SUPERSEDED"  // another one enters in its place
	Rejected   Status = "REJECTED"    // the environment does not take it
	Canceled   Status = "CANCELED"    // a person withdrew it while it waited
)

// Statuses are all states, in the order in which they come.
func Statuses() []Status {
	return []Status{Requested, Eligible, Held, Deploying, Verifying, Succeeded, Failed, RolledBack, Superseded, Rejected, Canceled}
}

// Transition says whether a promotion may go from one state to another. HELD to HELD is another
// reason, DEPLOYING to DEPLOYING another attempt.
func Transition(from, to Status) bool {
	switch from {
	case Requested:
		return to == Eligible || leaves(to)
	case Eligible:
		return to == Requested || to == Held || to == Deploying || leaves(to)
	case Held:
		return to == Requested || to == Eligible || to == Held || leaves(to)
	case Deploying:
		return to == Deploying || to == Verifying || ends(to)
	case Verifying:
		return to == Deploying || ends(to)
	case Succeeded, Failed, RolledBack, Superseded, Rejected, Canceled:
		return false
	default:
		panic(fmt.Sprintf("promote: unknown status %q", from))
	}
}

// leaves says that a promotion ends so which never entered.
func leaves(to Status) bool { return to == Superseded || to == Rejected || to == Canceled }

// ends says that an attempt to enter ends so.
func ends(to Status) bool { return to == Succeeded || to == Failed || to == RolledBack }

// Waits says that the promotion is before the lock.
func (s Status) Waits() bool { return s == Requested || s == Eligible || s == Held }

// Enters says that the promotion holds the lock.
func (s Status) Enters() bool { return s == Deploying || s == Verifying }

// Final says that the promotion is over.
func (s Status) Final() bool { return !s.Waits() && !s.Enters() }
