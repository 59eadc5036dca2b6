package promote

import (
	"slices"
	"time"
)

// Instance is the assembly of one patch set in an ephemeral environment.
type Instance struct {
	ID       int64
	Change   int64
	PatchSet int
	Since    time.Time
	Ready    bool // it serves
	Closed   bool // its change landed or was abandoned
	Ending   bool // it was told to end
}

// expire ends the instances that nobody needs any more.
func (l *look) expire() {
	for _, i := range l.Instances {
		if i.Ending {
			continue
		}
		if why := l.over(i); why != "" {
			l.do(Expire{Instance: i.ID, Why: why})
		}
	}
}

// over says why an instance is not needed any more, "" when it is.
func (l *look) over(i Instance) string {
	end := i.end(l.Policy.TTL)
	switch {
	case i.Closed:
		return "its change is closed"
	case !end.IsZero() && !end.After(l.now):
		return "its time is over"
	case slices.ContainsFunc(l.Instances, func(o Instance) bool { return o.replaces(i) }):
		return "another assembly of its change took its place"
	default:
		return ""
	}
}

// end is when an instance's time is over, zero for never.
func (i Instance) end(ttl time.Duration) time.Time {
	if ttl <= 0 {
		return time.Time{}
	}
	return i.Since.Add(ttl)
}

// replaces says that o serves what is newer than i for the same change.
func (o Instance) replaces(i Instance) bool {
	return o.Change == i.Change && o.Ready && !o.Ending && (o.PatchSet > i.PatchSet || o.PatchSet == i.PatchSet && o.ID > i.ID)
}
