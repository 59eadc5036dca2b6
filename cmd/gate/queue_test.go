package main

import (
	"testing"
	"time"
)

func TestParseEnd(t *testing.T) {
	zone := time.FixedZone("here", 2*60*60)
	now := time.Date(2026, 11, 23, 12, 30, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-12-24":                now.AddDate(0, 1, 1).Add(-12*time.Hour - 30*time.Minute),
		"2026-12-24 18:00":          time.Date(2026, 12, 24, 18, 0, 0, 0, zone),
		"2026-12-24T18:00":          time.Date(2026, 12, 24, 18, 0, 0, 0, zone),
		"2026-12-24T18:00:00Z":      time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC),
		"2026-12-24T18:00:00-05:00": time.Date(2026, 12, 24, 23, 0, 0, 0, time.UTC),
		"18:00":                     time.Date(2026, 11, 23, 18, 0, 0, 0, zone),
		"12:30":                     time.Date(2026, 11, 24, 12, 30, 0, 0, zone), // the next one
		"09:15":                     time.Date(2026, 11, 24, 9, 15, 0, 0, zone),
	} {
		got, err := parseEnd(text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "tomorrow", "25:00", "2026-02-30", "18"} {
		if got, err := parseEnd(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
