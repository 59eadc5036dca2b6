package promote

import (
	"slices"
	"time"
)

// Delivered is what became of one landed change in an environment. A promotion that took several
// changes with it has one for each.
type Delivered struct {
	Promotion int64
	Authored  time.Time // when the commit was written, as its author's clock says
	Landed    time.Time
	Promoted  time.Time // when it came to run; zero when it never did
	Failed    time.Time // when its promotion failed or was gone back from; zero when it was not
	Restored  time.Time // when something ran well again after that; zero when nothing has yet
}

// Stream are the figures of a stretch of time, as DORA names them. Durations are medians.
type Stream struct {
	From, To time.Time
	Deploys  int // promotions that came to run, or failed to
	Failures int // of those
	// LeadTime is from a commit's author date to its running, FromLanding from its landing.
	// Authors' clocks may be wrong: what ran before it was written counts as no time.
	LeadTime, FromLanding time.Duration
	Changes               int // that came to run: what the two rest on
	// Restore is from a failure to something running well again.
	Restore    time.Duration
	Restored   int // the failures that it rests on
	Unrestored int // failures since which nothing has run well
}

// FailRate is which part of the deploys failed, from 0 to 1.
func (s Stream) FailRate() float64 {
	if s.Deploys == 0 {
		return 0
	}
	return float64(s.Failures) / float64(s.Deploys)
}

// PerWeek is how many deploys there were in a week.
func (s Stream) PerWeek() float64 {
	if !s.To.After(s.From) {
		return 0
	}
	return float64(s.Deploys) * float64(week) / float64(s.To.Sub(s.From))
}

const week = 7 * 24 * time.Hour

// Weeks are the figures of each of the n weeks up to the one that now is in, the oldest first;
// all says those of the whole stretch. A week begins on Monday at midnight, UTC. A deploy counts
// in the week in which it came to run or failed first.
func Weeks(facts []Delivered, now time.Time, n int) (weeks []Stream, all Stream) {
	end := monday(now).Add(week)
	from := end.Add(-time.Duration(n) * week)
	for i := range n {
		at := from.Add(time.Duration(i) * week)
		weeks = append(weeks, figures(facts, at, at.Add(week)))
	}
	return weeks, figures(facts, from, end)
}

// monday is the beginning of the week.
func monday(t time.Time) time.Time {
	t = t.UTC()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

// ended is when the promotion came to something, zero when it has not.
func (d Delivered) ended() time.Time {
	if d.Promoted.IsZero() || !d.Failed.IsZero() && d.Failed.Before(d.Promoted) {
		return d.Failed
	}
	return d.Promoted
}

func figures(facts []Delivered, from, to time.Time) Stream {
	s := Stream{From: from, To: to}
	within := func(t time.Time) bool { return !t.IsZero() && !t.Before(from) && t.Before(to) }
	var lead, landing, restore []time.Duration
	seen := map[int64]bool{}
	for _, d := range facts {
		if within(d.Promoted) {
			s.Changes++
			lead = append(lead, max(0, d.Promoted.Sub(d.Authored)))
			landing = append(landing, max(0, d.Promoted.Sub(d.Landed)))
		}
		if seen[d.Promotion] || !within(d.ended()) {
			continue
		}
		seen[d.Promotion] = true
		s.Deploys++
		switch {
		case d.Failed.IsZero():
			continue
		case d.Restored.IsZero():
			s.Unrestored++
		default:
			s.Restored++
			restore = append(restore, max(0, d.Restored.Sub(d.Failed)))
		}
		s.Failures++
	}
	s.LeadTime, s.FromLanding, s.Restore = median(lead), median(landing), median(restore)
	return s
}

// median is the middle one, the mean of the two in the middle of an even number, 0 of none.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	middle := len(all) / 2
	if len(all)%2 == 1 {
		return all[middle]
	}
	return all[middle-1] + (all[middle]-all[middle-1])/2
}
