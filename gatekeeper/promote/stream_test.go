package promote

import (
	"testing"
	"time"
)

// day is noon of a day of March 2026, of which the 2nd is a Monday.
func day(n int) time.Time { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC) }

func TestWeeks(t *testing.T) {
	facts := []Delivered{
		{Promotion: 1, Authored: day(1), Landed: day(2), Promoted: day(4)},
		{Promotion: 1, Authored: day(3), Landed: day(3), Promoted: day(4)},                                    // with it
		{Promotion: 2, Authored: day(1), Landed: day(5), Promoted: day(6), Failed: day(7), Restored: day(10)}, // gone back from
		{Promotion: 3, Authored: day(8), Landed: day(9), Failed: day(10), Restored: day(11)},                  // never ran
		{Promotion: 4, Authored: day(30), Landed: day(11), Promoted: day(12)},                                 // an author's clock
		{Promotion: 5, Authored: day(12), Landed: day(12), Failed: day(13)},
		{Promotion: 6, Authored: day(12), Landed: day(13)}, // waits
	}
	weeks, all := Weeks(facts, day(15), 2) // a Sunday
	const d = 24 * time.Hour
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	want := []Stream{
		{From: monday, To: monday.Add(7 * d), Deploys: 2, Failures: 1, Changes: 3, LeadTime: 3 * d, FromLanding: d, Restored: 1, Restore: 3 * d},
		{From: monday.Add(7 * d), To: monday.Add(14 * d), Deploys: 3, Failures: 2, Changes: 1, FromLanding: d, Restored: 1, Restore: d, Unrestored: 1},
	}
	for i := range want {
		if weeks[i] != want[i] {
			t.Errorf("week %d is %+v, not %+v", i, weeks[i], want[i])
		}
	}
	whole := Stream{From: monday, To: monday.Add(14 * d), Deploys: 5, Failures: 3, Changes: 4, LeadTime: 2 * d, FromLanding: d, Restored: 2, Restore: 2 * d, Unrestored: 1}
	if len(weeks) != 2 || all != whole {
		t.Errorf("all is %+v, not %+v", all, whole)
	}
	if all.FailRate() != .6 || all.PerWeek() != 2.5 {
		t.Errorf("%v failed, %v a week", all.FailRate(), all.PerWeek())
	}
}

// A stretch in which nothing happened has figures too.
func TestWeeksOfNothing(t *testing.T) {
	weeks, all := Weeks(nil, day(2), 1)
	if len(weeks) != 1 || weeks[0] != all || all.Deploys != 0 || all.FailRate() != 0 || all.PerWeek() != 0 {
		t.Errorf("%+v, %+v", weeks, all)
	}
	if _, all := Weeks(nil, day(2), 0); all.PerWeek() != 0 {
		t.Errorf("%v a week in no week", all.PerWeek())
	}
}
