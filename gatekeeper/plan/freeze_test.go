package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// frozen makes a plan of windows, each "DENY|ZONE" or "DENY|ZONE|REASON".
func frozen(t testing.TB, windows ...string) *Plan {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nland:\n  freeze:\n")
	for _, w := range windows {
		deny, rest, _ := strings.Cut(w, "|")
		zone, reason, _ := strings.Cut(rest, "|")
		fmt.Fprintf(&b, "    - {deny: %q, tz: %s", deny, zone)
		if reason != "" {
			fmt.Fprintf(&b, ", reason: %q", reason)
		}
		b.WriteString("}\n")
	}
	return mustParse(t, b.String())
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// Each window is asked in the seconds around both of its ends.
func TestFreezeEnds(t *testing.T) {
	for _, c := range []struct {
		name, deny, zone string
		near             string // a moment from which the window is the next one
		from, until      string
	}{
		{"over the weekend", "FRI 15:00-MON 08:00", "UTC", "2026-11-25T00:00:00Z", "2026-11-27T15:00:00Z", "2026-11-30T08:00:00Z"},
		{"within a week", "TUE 09:00-WED 10:00", "UTC", "2026-11-23T00:00:00Z", "2026-11-24T09:00:00Z", "2026-11-25T10:00:00Z"},
		{"within a day", "TUE 09:00-TUE 10:00", "UTC", "2026-11-23T00:00:00Z", "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"},
		{"all week but an hour", "TUE 10:00-TUE 09:00", "UTC", "2026-11-24T09:30:00Z", "2026-11-24T10:00:00Z", "2026-12-01T09:00:00Z"},
		{"once", "2026-12-24 00:00-2027-01-02 00:00", "UTC", "2026-11-24T09:30:00Z", "2026-12-24T00:00:00Z", "2027-01-02T00:00:00Z"},
		{"once, in Berlin", "2026-12-24 00:00-2027-01-02 00:00", "Europe/Berlin", "2026-11-24T09:30:00Z", "2026-12-23T23:00:00Z", "2027-01-01T23:00:00Z"},
		{"another day of the week in UTC", "SAT 00:00-MON 00:00", "Pacific/Auckland", "2026-11-23T00:00:00Z", "2026-11-27T11:00:00Z", "2026-11-29T11:00:00Z"},
		{"before 2024", "FRI 15:00-MON 08:00", "UTC", "2023-12-20T00:00:00Z", "2023-12-22T15:00:00Z", "2023-12-25T08:00:00Z"},

		// The clocks of Berlin go from 2:00 to 3:00 on 2026-03-29 at 1:00 UTC.
		{"spring: across", "FRI 15:00-MON 08:00", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-27T14:00:00Z", "2026-03-30T06:00:00Z"},
		{"spring: the week before", "FRI 15:00-MON 08:00", "Europe/Berlin", "2026-03-18T00:00:00Z", "2026-03-20T14:00:00Z", "2026-03-23T07:00:00Z"},
		{"spring: ends at a time that is skipped", "SAT 22:00-SUN 02:30", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-28T21:00:00Z", "2026-03-29T01:00:00Z"},
		{"spring: begins at a time that is skipped", "SUN 02:30-SUN 06:00", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z"},
		{"spring: is skipped as a whole", "SUN 02:10-SUN 02:50", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-04-05T00:10:00Z", "2026-04-05T00:50:00Z"},
		{"spring: begins when the skip begins", "SUN 02:00-SUN 04:00", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		{"spring: ends when the skip ends", "SUN 01:00-SUN 03:00", "Europe/Berlin", "2026-03-25T00:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},

		// They go from 3:00 back to 2:00 on 2026-10-25 at 1:00 UTC.
		{"autumn: across", "FRI 15:00-MON 08:00", "Europe/Berlin", "2026-10-21T00:00:00Z", "2026-10-23T13:00:00Z", "2026-10-26T07:00:00Z"},
		{"autumn: ends at a time that comes twice", "SAT 22:00-SUN 02:30", "Europe/Berlin", "2026-10-21T00:00:00Z", "2026-10-24T20:00:00Z", "2026-10-25T01:30:00Z"},
		{"autumn: begins at a time that comes twice", "SUN 02:30-SUN 06:00", "Europe/Berlin", "2026-10-21T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z"},
		{"autumn: comes twice as a whole", "SUN 02:10-SUN 02:50", "Europe/Berlin", "2026-10-21T00:00:00Z", "2026-10-25T00:10:00Z", "2026-10-25T01:50:00Z"},

		{"a day that a zone skipped", "2011-12-29 12:00-2011-12-30 12:00", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := frozen(t, c.deny+"|"+c.zone)
			from, until := at(t, c.from), at(t, c.until)
			if next, ok := p.NextFreeze(at(t, c.near)); !ok || !next.Equal(from) {
				t.Errorf("begins %s, want %s", next, from)
			}
			if reason, end := p.Frozen(from.Add(-time.Second)); reason != "" || !end.IsZero() {
				t.Errorf("a second before, it is frozen until %s", end)
			}
			for _, now := range []time.Time{from, until.Add(-time.Second), from.In(time.FixedZone("", -11*3600))} {
				if reason, end := p.Frozen(now); reason != c.deny+" "+c.zone || !end.Equal(until) {
					t.Errorf("at %s: %q until %s, want until %s", now, reason, end, until)
				}
			}
			if reason, _ := p.Frozen(until); reason != "" {
				t.Errorf("still frozen at its end: %s", reason)
			}
		})
	}
}

func TestFreezesTogether(t *testing.T) {
	p := frozen(t,
		"FRI 15:00-MON 08:00|Europe/Berlin|weekend",
		"2026-12-24 00:00-2027-01-02 00:00|Europe/Berlin|holidays",
		"MON 02:00-MON 03:00|America/New_York|backup", // 8:00 to 9:00 in Berlin, most of the year
	)
	for _, c := range []struct {
		name, now, reason, until, next string
	}{
		{"none", "2026-11-25T12:00:00Z", "", "", "2026-11-27T14:00:00Z"},
		{"one joins the next without a break", "2026-11-28T12:00:00Z", "weekend", "2026-11-30T08:00:00Z", "2026-12-04T14:00:00Z"},
		{"two at once", "2026-12-26T12:00:00Z", "weekend; holidays", "2027-01-04T08:00:00Z", "2027-01-08T14:00:00Z"},
		{"one reaches into another", "2026-12-30T12:00:00Z", "holidays", "2027-01-04T08:00:00Z", "2027-01-08T14:00:00Z"},
		{"clocks that change on different days leave a gap", "2026-03-14T12:00:00Z", "weekend", "2026-03-16T07:00:00Z", "2026-03-20T14:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reason, until := p.Frozen(at(t, c.now))
			next, ok := p.NextFreeze(at(t, c.now))
			if reason != c.reason || !ok || !next.Equal(at(t, c.next)) {
				t.Errorf("%q, next %s; want %q, next %s", reason, next, c.reason, c.next)
			}
			if c.until != "" && !until.Equal(at(t, c.until)) {
				t.Errorf("until %s, want %s", until, c.until)
			}
		})
	}
	t.Run("no more to come", func(t *testing.T) {
		p := frozen(t, "2026-12-24 00:00-2027-01-02 00:00|UTC")
		for _, now := range []string{"2026-12-25T00:00:00Z", "2027-01-02T00:00:00Z", "2030-01-01T00:00:00Z"} {
			if next, ok := p.NextFreeze(at(t, now)); ok {
				t.Errorf("after %s the next is %s", now, next)
			}
		}
	})
	t.Run("longer than anybody looks ahead", func(t *testing.T) {
		p := frozen(t, "2026-01-01 00:00-2036-01-01 00:00|UTC|archived")
		reason, until := p.Frozen(noon)
		next, ok := p.NextFreeze(noon)
		if reason != "archived" || !until.IsZero() || ok {
			t.Errorf("%q until %s, then %s", reason, until, next)
		}
	})
	t.Run("no freezes", func(t *testing.T) {
		if reason, until := Default().Frozen(noon); reason != "" || !until.IsZero() {
			t.Errorf("%q until %s", reason, until)
		}
		if next, ok := Default().NextFreeze(noon); ok {
			t.Errorf("next %s", next)
		}
	})
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca", "America/St_Johns", "Pacific/Apia", "America/Havana", "Asia/Gaza"}

// The moments of a time are those at which a clock that is looked at every minute shows it.
func TestMoments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := loadZone(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		// Near a change of the clocks, or anywhere when the zone has none.
		from := time.Date(rapid.IntRange(1995, 2036).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, zone)
		if _, change := from.ZoneBounds(); !change.IsZero() {
			from = change
		}
		shown := clock(from.Add(time.Duration(rapid.IntRange(-180, 180).Draw(t, "minutes"))*time.Minute), zone).Truncate(time.Minute)
		var first, last, skip time.Time
		before := shown.Add(-time.Hour)
		for m := shown.Add(-30 * time.Hour); m.Before(shown.Add(30 * time.Hour)); m = m.Add(time.Minute) {
			now := clock(m, zone)
			if now.Equal(shown) {
				if first.IsZero() {
					first = m
				}
				last = m
			}
			if before.Before(shown) && now.After(shown) {
				skip = m
			}
			before = now
		}
		if first.IsZero() {
			first, last = skip, skip
		}
		gotFirst, gotLast := moments(shown, zone)
		if !gotFirst.Equal(first) || !gotLast.Equal(last) {
			t.Fatalf("%s in %s: %s to %s, want %s to %s", shown, zone, gotFirst, gotLast, first.UTC(), last.UTC())
		}
	})
}

// Whatever the windows: the end that Frozen gives is in no window and everything before it is
// in one; NextFreeze begins one, and nothing before it does.
func TestFreezeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("version: 1\nland:\n  freeze:\n")
		hour := rapid.IntRange(0, 23)
		for range rapid.IntRange(1, 4).Draw(t, "windows") {
			from, to := rapid.SampledFrom(days).Draw(t, "from"), rapid.SampledFrom(days).Draw(t, "to")
			if rapid.IntRange(0, 4).Draw(t, "once") == 0 {
				from, to = "2026-10-2"+fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "day")), "2026-11-01"
			}
			fmt.Fprintf(&b, "    - {deny: \"%s %02d:00-%s %02d:30\", tz: %s}\n", from, hour.Draw(t, "hour"), to, hour.Draw(t, "hour"), rapid.SampledFrom(zones).Draw(t, "zone"))
		}
		p, problems := Parse(File, []byte(b.String()))
		if len(problems) > 0 {
			t.Skip(problems)
		}
		now := time.Date(2026, 10, 18, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 20*24*60).Draw(t, "minutes")) * time.Minute)
		frozen := func(at time.Time) bool { reason, _ := p.Frozen(at); return reason != "" }
		const step = 30 * time.Minute
		free := now
		if reason, until := p.Frozen(now); reason != "" {
			if !until.After(now) || frozen(until) {
				t.Fatalf("frozen at %s until %s, and then still", now, until)
			}
			for m := now; m.Before(until); m = m.Add(step) {
				if !frozen(m) {
					t.Fatalf("frozen until %s and not at %s", until, m)
				}
			}
			free = until
		}
		next, ok := p.NextFreeze(now)
		if !ok {
			t.Skip("only windows that are over")
		}
		if !frozen(next) || frozen(next.Add(-time.Second)) {
			t.Fatalf("%s does not begin a freeze", next)
		}
		for m := free; m.Before(next); m = m.Add(step) {
			if frozen(m) {
				t.Fatalf("frozen at %s, before the next freeze at %s", m, next)
			}
		}
	})
}
