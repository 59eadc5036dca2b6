package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Files made to be expensive. What costs more than its length, such as reading the rest of the
// line at each #, takes hours at this size and hits the timeout of go test.
func TestHostileResults(t *testing.T) {
	const size = 2 << 20
	full := func(start, s string) []byte {
		return []byte(start + strings.Repeat(s, (size-len(start))/len(s)))
	}
	for _, c := range []struct{ name, kind, start, repeat string }{
		{"diagnostics", TAP, "not ok 1\n", "#\n"},
		{"hashes in a line", TAP, "not ok 1 ", "# "},
		{"hashes in lines", TAP, "", "ok " + strings.Repeat("#", 1000) + "\n"},
		{"plans", TAP, "", "1..1\n"},
		{"failures of a test", JUnit, "<testsuite><testcase>", "<failure/>"},
		{"attributes", JUnit, "<testsuite ", "a='b' "},
		{"output", GoTest, "", `{"Action":"output","Package":"p","Test":"A","Output":"x"}` + "\n"},
		{"builds", GoTest, "", `{"Action":"build-fail","ImportPath":"p"}` + "\n"},
		{"empty lines", GoTest, "", "\n"},
		{"nesting", GoTest, `{"Action":`, `[`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ParseResults(c.kind, full(c.start, c.repeat)); err == nil && got.Failed == 0 {
				t.Errorf("green: %+v", got)
			}
		})
	}
}

// A plan as dense as the limits allow is read, run and composed without trouble.
func TestHostilePlan(t *testing.T) {
	var b strings.Builder
	var names []string
	b.WriteString("version: 1\nstages:\n")
	for i := range MaxStages {
		name := fmt.Sprintf("s%d", i)
		fmt.Fprintf(&b, "  %s: {run: x, after: [%s]}\n", name, strings.Join(names, ", "))
		names = append(names, name)
	}
	b.WriteString("gates:\n")
	for i := range MaxGates {
		fmt.Fprintf(&b, "  g%d: {require: [{stages: passed}]}\n", i)
	}
	p := mustParse(t, b.String())
	if state, _ := RunVerdict(p, Evidence{Stages: map[string]StageState{"s0": Failed}}, noon); state != RunRefused {
		t.Errorf("the run is %s", state)
	}
	if composed, problems := Compose(p, p); len(problems) > 0 || composed.Digest() == "" {
		t.Error(problems)
	}
}

// Windows that follow each other for as long as anybody looks ahead, in the worst order.
func TestHostileFreezes(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nland:\n  freeze:\n")
	for i := range MaxFreezes - 1 {
		minute := (MaxFreezes - 2 - i) * 5 * 60
		at := func(m int) string { return fmt.Sprintf("%s %02d:%02d", days[m/(24*60)], m/60%24, m%60) }
		fmt.Fprintf(&b, "    - {deny: %q, tz: Europe/Berlin}\n", at(minute)+"-"+at(minute+5*60))
	}
	b.WriteString("    - {deny: 2026-01-01 00:00-2028-01-01 00:00}\n")
	p := mustParse(t, b.String())
	if reason, until := p.Frozen(noon); reason == "" || !until.IsZero() {
		t.Errorf("frozen until %s", until)
	}
	weekly := slices.DeleteFunc(slices.Clone(p.Land.Freeze), func(f Freeze) bool { return !f.weekly })
	for range 50 {
		if end := thaw(weekly, monday, freezeHorizon); end.Sub(monday) != 154*time.Hour {
			t.Fatalf("the week is free after %s", end.Sub(monday))
		}
	}
}
