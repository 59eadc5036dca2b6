package plan

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a server without time zones of its own must read plans like any other
)

// Freeze is a time at which nothing lands: in every week, or once.
type Freeze struct {
	Deny   string // as written: "FRI 15:00-MON 08:00" or "2026-12-24 00:00-2027-01-02 00:00"
	TZ     string // the time zone of Deny, by the IANA's name
	Reason string // may be ""
	Line   int    `json:"-"`

	weekly   bool
	from, to time.Time // what the clocks of the zone show, as if it were UTC; weekly: in the week of [monday]
	zone     *time.Location
}

// monday starts the week in which weekly windows are kept.
var monday = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	week = 7 * day
	// freezeHorizon is how far ahead the end of a freeze is looked for.
	freezeHorizon = 366 * day
)

// span is a time from its first moment to the moment after its last.
type span struct{ from, to time.Time }

// words is why nothing lands.
func (f Freeze) words() string {
	if f.Reason != "" {
		return f.Reason
	}
	return f.Deny + " " + f.TZ
}

// spans is the window's occurrences around t: all that hold t, and the next one after it.
//
// A time that the clocks show twice counts from its first showing to its last, and one that
// they skip is the moment at which they do: a freeze is rather too long than too short.
func (f Freeze) spans(t time.Time) []span {
	starts := []time.Duration{0}
	if f.weekly {
		shown := clock(t, f.zone)
		this := shown.Sub(monday).Truncate(week)
		if shown.Before(monday) {
			this -= week
		}
		starts = []time.Duration{this - 2*week, this - week, this, this + week, this + 2*week}
	}
	var all []span
	for _, start := range starts {
		from, _ := moments(f.from.Add(start), f.zone)
		_, to := moments(f.to.Add(start), f.zone)
		if from.Before(to) {
			all = append(all, span{from, to})
		}
	}
	return all
}

// end is when the window ends that t is in; ok is false when t is in none.
func (f Freeze) end(t time.Time) (end time.Time, ok bool) {
	for _, s := range f.spans(t) {
		if !t.Before(s.from) && t.Before(s.to) && s.to.After(end) {
			end, ok = s.to, true
		}
	}
	return end, ok
}

// clock is what the clocks of a zone show at t, as if it were UTC.
func clock(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// moments are the first and the last moment at which the clocks of a zone show a time. Where
// they skip it, both are the moment of the skip.
func moments(shown time.Time, zone *time.Location) (first, last time.Time) {
	near := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), shown.Nanosecond(), zone)
	start, end := near.ZoneBounds()
	around := []time.Time{near} // its own offset, and those before and after
	for _, change := range []time.Time{start, end} {
		if change.IsZero() {
			continue
		}
		around = append(around, change, change.Add(-1))
		if before := clock(change.Add(-1), zone); before.Before(shown) && clock(change, zone).After(shown) {
			return change.UTC(), change.UTC()
		}
	}
	for _, t := range around {
		_, offset := t.Zone()
		candidate := shown.Add(-time.Duration(offset) * time.Second)
		if !clock(candidate, zone).Equal(shown) {
			continue
		}
		if first.IsZero() || candidate.Before(first) {
			first = candidate
		}
		if candidate.After(last) {
			last = candidate
		}
	}
	if first.IsZero() {
		return near.UTC(), near.UTC() // two changes of the clock lie closer than they are far
	}
	return first, last
}

// Frozen says why nothing lands now, "" when it may, and from when on it may again: after all
// windows that overlap or follow without a break. until is zero when that is more than a year
// away.
func (p *Plan) Frozen(now time.Time) (reason string, until time.Time) {
	return frozenBy(p.Land.Freeze, now)
}

// NextFreeze is when the next freeze begins: during one, the next after its end. ok is false
// when none is known to come.
func (p *Plan) NextFreeze(now time.Time) (begins time.Time, ok bool) {
	return nextFreeze(p.Land.Freeze, now)
}

// Frozen says why nothing enters the environment now, and until when: see [Plan.Frozen].
func (e Environment) Frozen(now time.Time) (reason string, until time.Time) {
	return frozenBy(e.Freeze, now)
}

// NextFreeze is when the environment's next freeze begins: see [Plan.NextFreeze].
func (e Environment) NextFreeze(now time.Time) (begins time.Time, ok bool) {
	return nextFreeze(e.Freeze, now)
}

func frozenBy(all []Freeze, now time.Time) (reason string, until time.Time) {
	var reasons []string
	for _, f := range all {
		if _, ok := f.end(now); ok && !slices.Contains(reasons, f.words()) {
			reasons = append(reasons, f.words())
		}
	}
	if len(reasons) == 0 {
		return "", time.Time{}
	}
	return strings.Join(reasons, "; "), thaw(all, now, freezeHorizon)
}

func nextFreeze(all []Freeze, now time.Time) (begins time.Time, ok bool) {
	free := thaw(all, now, freezeHorizon)
	if free.IsZero() {
		return time.Time{}, false
	}
	for _, f := range all {
		for _, s := range f.spans(free) {
			if s.from.After(free) && (!ok || s.from.Before(begins)) {
				begins, ok = s.from, true
			}
		}
	}
	return begins, ok
}

// thaw is the first moment from t on that is in no window, zero when there is none within the
// horizon.
func thaw(all []Freeze, t time.Time, horizon time.Duration) time.Time {
	limit := t.Add(horizon)
	for moved := true; moved; {
		moved = false
		for _, f := range all {
			if end, ok := f.end(t); ok {
				t, moved = end, true
			}
		}
		if t.After(limit) {
			return time.Time{}
		}
	}
	return t.UTC()
}
