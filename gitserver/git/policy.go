package git

import "time"

// Policy is what new content of a push is held against.
type Policy struct {
	Now func() time.Time
}

// DefaultPolicy is the policy of a repository that says nothing about it.
func DefaultPolicy(now func() time.Time) Policy { return Policy{Now: now} }
