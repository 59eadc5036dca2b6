package promote

import (
	"fmt"
	"slices"
	"time"
)

// Wake is when to look again though nothing happened: the first time after now at which time
// alone may change something. Zero is never.
func Wake(s State, now time.Time) time.Time {
	l := &look{State: s, now: now}
	var first time.Time
	at := func(t time.Time) {
		if t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, i := range s.Instances {
		if !i.Ending {
			at(i.end(s.Policy.TTL))
		}
	}
	if s.Policy.Ephemeral {
		return first
	}
	held := false
	for i := range s.Promotions {
		p := &s.Promotions[i]
		switch {
		case p.Status.Waits():
			held = true
			at(p.NextAt)
		case p.Status.Enters():
			if r := p.result(); r.Outcome == OutcomeErrored {
				at(r.due(now, p.Attempts))
			}
		}
	}
	for _, f := range l.Freezes {
		if held {
			at(f.Until)
		}
	}
	return first
}

// Why says what a promotion waits for, for people, and when that may change by time alone; zero
// is that time does not decide. Of one that is over it says how it ended.
func Why(s State, now time.Time, promotion int64) (words string, next time.Time) {
	l := &look{State: s, now: now}
	i := slices.IndexFunc(s.Promotions, func(p Promotion) bool { return p.ID == promotion })
	if i < 0 {
		return fmt.Sprintf("promotion %d is not one of %s", promotion, s.Environment), time.Time{}
	}
	switch p := &s.Promotions[i]; {
	case p.Status.Waits():
		w := l.wants()[i]
		if w.status == Eligible {
			return "it enters next", time.Time{}
		}
		return w.why, w.until
	case p.Status.Enters():
		return l.progress(p)
	default:
		return orElse(p.Why, "it is over"), time.Time{}
	}
}

// progress says how far a promotion that holds the lock is.
func (l *look) progress(p *Promotion) (words string, next time.Time) {
	switch r := p.result(); r.Outcome {
	case OutcomeErrored:
		return "the machinery failed in " + p.what() + because(r.Why) + "; it is tried again", r.due(l.now, p.Attempts)
	case OutcomePending:
		words = short(p.Digest) + " is being deployed"
		if p.Status == Verifying {
			words = short(p.Digest) + " runs, and is being verified"
		}
		if p.Attempts > 1 {
			words += fmt.Sprintf(", attempt %d of %d", p.Attempts, MaxAttempts)
		}
		return words, time.Time{}
	default:
		return p.what() + " is done", time.Time{}
	}
}

// Candidate is a promotion that waits, for people.
type Candidate struct {
	Promotion int64
	Version
	Kind  Kind // what it comes to
	Next  bool // it enters at the next look
	May   bool // nothing but its turn, the time or the environment keeps it out: its gates are open
	Older bool // it landed before what runs: it takes things away
	Why   string
	Until time.Time
}

// Candidates are those that wait, in the order in which they would enter, with why each has not.
// Those that will be superseded or rejected at the next look are not among them.
func Candidates(s State, now time.Time) []Candidate {
	l := &look{State: s, now: now}
	wants := l.wants()
	order := make([]int, 0, len(wants))
	for i, p := range s.Promotions {
		if p.Status.Waits() && (wants[i].status.Waits()) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if wa, wb := stand(wants[a].status), stand(wants[b].status); wa != wb {
			return wa - wb
		}
		if l.before(&s.Promotions[a], &s.Promotions[b]) {
			return -1
		}
		return 1
	})
	all := make([]Candidate, len(order))
	for at, i := range order {
		p, w := &s.Promotions[i], wants[i]
		all[at] = Candidate{Promotion: p.ID, Version: p.Version, Kind: l.kind(p), Next: w.status == Eligible,
			May: w.status != Requested, Older: p.older(&s), Why: w.why, Until: w.until}
		if all[at].Next {
			all[at].Why = "it enters next"
		}
		if all[at].Older && all[at].Kind == Forward {
			all[at].Why += "; it is older than what runs, and takes away what landed since"
		}
	}
	return all
}

// stand orders those that wait by how near they are.
func stand(s Status) int {
	switch s {
	case Eligible:
		return 0
	case Held:
		return 1
	default:
		return 2
	}
}
