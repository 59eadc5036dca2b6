package plan

import (
	"fmt"
	"strings"
	"testing"
)

// many is "PREFIX0SUFFIX PREFIX1SUFFIX …".
func many(n int, prefix, suffix string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d%s", prefix, i, suffix)
	}
	return b.String()
}

func TestTargetProblems(t *testing.T) {
	const v = "version: 1\n"
	wantProblems(t, []problemCase{
		{"shapes", v + "targets: {a: src/, b: {needs: [a]}, c: [], d: {paths: [x], nedes: [a]}, e: 1, f: {}}\n", []string{
			"gatehouse.yaml:2:14: target `a` must be a list of paths (write `[src/]`)",
			"gatehouse.yaml:2:20: target `b` has no paths: no change could touch it (write `paths: [FOLDER/]`)",
			"gatehouse.yaml:2:40: `paths` of target `c` is empty (name its paths)",
			"gatehouse.yaml:2:60: target `d` has no key `nedes` (did you mean `needs`?)",
			"gatehouse.yaml:2:76: target `e` must be a list of paths (write `[1]`)",
			"gatehouse.yaml:2:79: target `f` has no paths: no change could touch it (write `paths: [FOLDER/]`)"}},
		{"null", v + "targets: {a: }\n", []string{"gatehouse.yaml:2:14: target `a` must be a list of paths (write `[FOLDER/]`, or `{paths: [FOLDER/], needs: [TARGET]}`)"}},
		{"empty", v + "targets: {}\n", []string{"gatehouse.yaml:2:10: `targets` is empty: every change would be a barrier (remove it to have one lane)"}},
		{"a list", v + "targets: [web]\n", []string{"gatehouse.yaml:2:10: `targets` must be a mapping (write `key: value` pairs)"}},
		{"names", v + "targets: {Web: [web/], a: [a/], a: [b/]}\n", []string{
			"gatehouse.yaml:2:11: a target cannot be called `Web` (use at most 40 small letters, digits, - and _, with a letter first)",
			"gatehouse.yaml:2:33: `targets` has the key `a` twice, first in line 2 (keep one of the two)"}},
		{"patterns", v + "targets: {a: [/src, 'x[1]']}\nbarriers: [../x]\n", []string{
			"gatehouse.yaml:2:15: `/src`: patterns are relative to the repository's root (write `src`)",
			"gatehouse.yaml:2:21: `x[1]`: patterns know *, ** and ? only, not brackets, braces or backslashes (list the patterns one by one)",
			"gatehouse.yaml:3:12: `../x`: a pattern has no empty, `.` or `..` segments (write the path as git lists it)"}},
		{"needs", v + "targets: {web: {paths: [web/], needs: [lbi, zebra]}, lib: {paths: [lib/], needs: web}}\n", []string{
			"gatehouse.yaml:2:40: target `web` needs `lbi`, which is no target (did you mean `lib`?)",
			"gatehouse.yaml:2:45: target `web` needs `zebra`, which is no target (define it under `targets`)",
			"gatehouse.yaml:2:82: `needs` of target `lib` must be a list (write `[web]`)"}},
		{"cycle", v + "targets: {a: {paths: [a/], needs: [b]}, b: {paths: [b/], needs: [c]}, c: {paths: [c/], needs: [a]}}\n", []string{
			"gatehouse.yaml:2:11: these targets need each other: a needs b needs c needs a (remove one of these from a `needs`, or make them one target)"}},
		{"cycle of one", v + "targets: {a: {paths: [a/], needs: [a]}}\n", []string{
			"gatehouse.yaml:2:11: these targets need each other: a needs a (remove one of these from a `needs`, or make them one target)"}},
		{"too many", v + "targets:\n" + many(MaxTargets+1, "  t", ": [x]\n"), []string{"gatehouse.yaml:3:3: `targets` has 257 entries; at most 256 are allowed"}},
		{"too many paths", v + "targets: {a: [" + many(MaxList+1, "p", ", ") + "]}\n", []string{"gatehouse.yaml:2:14: `paths` of target `a` has 65 items; at most 64 are allowed"}},
		{"barriers", v + "barriers: go.mod\n", []string{"gatehouse.yaml:2:11: `barriers` must be a list (write `[go.mod]`)"}},
		{"no barriers", v + "barriers: []\n", []string{"gatehouse.yaml:2:11: `barriers` is empty (remove it to have the usual ones)"}},
		{"inputs", v + "targets: {web: [web/]}\nstages:\n  a: {run: x, inputs: [web]}\n  b: {run: x, inputs: {}}\n  c: {run: x, inputs: {targets: [wbe]}}\n  d: {run: x, inputs: {target: [web]}}\n  e: {run: x, inputs: {paths: [], targets: []}}\n  f: {run: x, inputs: web}\n", []string{
			"gatehouse.yaml:4:23: `inputs` of stage `a` must be a mapping (write `inputs: {targets: [TARGET], paths: [FOLDER/]}`)",
			"gatehouse.yaml:5:23: `inputs` of stage `b` is empty: its result would never change (name what it reads, or remove `inputs`)",
			"gatehouse.yaml:6:34: stage `c` reads `wbe`, which is no target (did you mean `web`?)",
			"gatehouse.yaml:7:24: `inputs` of stage `d` has no key `target` (did you mean `targets`?)",
			"gatehouse.yaml:8:31: `paths` in `inputs` of stage `e` is empty (remove it)",
			"gatehouse.yaml:9:23: `inputs` of stage `f` must be a mapping (write `key: value` pairs)"}},
		{"inputs without targets", v + "stages: {a: {run: x, inputs: {targets: [web]}}}\n", []string{
			"gatehouse.yaml:2:41: stage `a` reads `web`, which is no target (define it under `targets`)"}},
		{"quarantine", v + "stages:\n  a: {run: x, quarantine: true}\n  b: {run: x, quarantine: {}}\n  c: {run: x, quarantine: {owner: A B, until: tomorrow, why: x}}\n  d: {run: x, quarantine: {owner: alice, until: 2026-2-30, reason: ''}}\n  e: {run: x, quarantine: {owner: [alice], until: [2026-12-24]}}\n  f: {run: x, quarantine: {owner: alice, until: 2026-02-30}}\n", []string{
			"gatehouse.yaml:3:27: `quarantine` of stage `a` must be a mapping (write `key: value` pairs)",
			"gatehouse.yaml:4:27: nobody owns the quarantine of stage `b`: name who mends it (write `owner: NAME`)",
			"gatehouse.yaml:4:27: the quarantine of stage `b` has no end (write `until: YYYY-MM-DD`)",
			"gatehouse.yaml:5:35: `A B` cannot own a quarantine (write an account's name, or `group:NAME`)",
			"gatehouse.yaml:5:47: `until` of the quarantine of stage `c` must be a day (write the last day as `until: 2026-12-24`)",
			"gatehouse.yaml:5:57: `quarantine` of stage `c` has no key `why` (known keys: owner, reason, until)",
			"gatehouse.yaml:6:49: `until` of the quarantine of stage `d` must be a day (write the last day as `until: 2026-12-24`)",
			"gatehouse.yaml:6:68: `reason` of the quarantine of stage `d` is empty (remove the key, or give it a value)",
			"gatehouse.yaml:7:35: `owner` of the quarantine of stage `e` must be text (write text; put it in quotes when it holds `: `, `{` or `[`)",
			"gatehouse.yaml:7:51: `until` of the quarantine of stage `e` must be a day (write the last day as `until: 2026-12-24`)",
			"gatehouse.yaml:8:49: `until` of the quarantine of stage `f` must be a day (write the last day as `until: 2026-12-24`)"}},
	})
}

func TestLandProblems(t *testing.T) {
	const v = "version: 1\n"
	land := func(text string) string { return v + "land: {" + text + "}\n" }
	freeze := func(text string) string { return v + "land: {freeze: [{" + text + "}]}\n" }
	const when = " (write `deny: \"FRI 15:00-MON 08:00\"` for every week, or `deny: \"2026-12-24 00:00-2027-01-02 00:00\"` for once)"
	wantProblems(t, []problemCase{
		{"batch of one", land("batch: 1"), []string{"gatehouse.yaml:2:15: `batch` must be a number from 2 to 16"}},
		{"batch of many", land("batch: 99999999999999999999"), []string{"gatehouse.yaml:2:15: `batch` must be a number from 2 to 16"}},
		{"batch on", land("batch: true"), []string{"gatehouse.yaml:2:15: `batch` says how many changes are tried at once (write `auto`, `off` or a number from 2 to 16)"}},
		{"batch below", land("batch: -2"), []string{"gatehouse.yaml:2:15: `batch` says how many changes are tried at once (write `auto`, `off` or a number from 2 to 16)"}},
		{"batch list", land("batch: [2]"), []string{"gatehouse.yaml:2:15: `batch` says how many changes are tried at once (write `auto`, `off` or a number from 2 to 16)"}},
		{"lanes", land("lanes: target"), []string{"gatehouse.yaml:2:15: what lanes are made of cannot be `target` (did you mean `targets`?)"}},
		{"lanes of nothing", land("lanes: targets"), []string{"gatehouse.yaml:2:15: lanes are made of targets, and the plan has none (write `targets`, or `lanes: branch`)"}},
		{"together", land("together: topics"), []string{"gatehouse.yaml:2:18: what lands together cannot be `topics` (did you mean `topic`?)"}},
		{"queue", land("queue: Main Queue"), []string{"gatehouse.yaml:2:15: a queue cannot be called `Main Queue` (use at most 40 small letters, digits, - and _, with a letter first)"}},
		{"typo", land("freez: []"), []string{"gatehouse.yaml:2:8: `land` has no key `freez` (did you mean `freeze`?)"}},
		{"later", land("test: x"), []string{"gatehouse.yaml:2:8: this version of Gatehouse does not run `test` yet, and does not ignore it either (remove it)"}},

		{"freeze of one", land("freeze: {deny: x}"), []string{"gatehouse.yaml:2:16: `freeze` must be a list (write `freeze: [{deny: \"FRI 15:00-MON 08:00\", tz: Europe/Berlin}]`)"}},
		{"freeze of none", land("freeze: []"), []string{"gatehouse.yaml:2:16: `freeze` is empty (remove it)"}},
		{"freeze of text", land("freeze: [weekend]"), []string{"gatehouse.yaml:2:17: `freeze` must be a mapping (write `key: value` pairs)"}},
		{"freeze of nothing", freeze("tz: UTC"), []string{"gatehouse.yaml:2:17: this freeze does not say when" + when}},
		{"too many", v + "land:\n  freeze:\n" + many(MaxFreezes+1, "    - {deny: \"20", "\"}\n"), []string{"gatehouse.yaml:4:5: `freeze` has 33 items; at most 32 are allowed"}},
		{"unknown", freeze("deny: weekends"), []string{"gatehouse.yaml:2:24: `weekends`: a freeze is from a day and a time to a day and a time" + when}},
		{"small letters", freeze("deny: fri 15:00-mon 08:00"), []string{"gatehouse.yaml:2:24: `fri 15:00-mon 08:00`: a freeze is from a day and a time to a day and a time (write `deny: \"FRI 15:00-MON 08:00\"`)"}},
		{"in full", freeze("deny: Friday 15:00 to Monday 8"), []string{"gatehouse.yaml:2:24: `Friday 15:00 to Monday 8`: a freeze is from a day and a time to a day and a time (write `deny: \"FRI 15:00-MON 08:00\"`)"}},
		{"24:00", freeze("deny: SAT 00:00-SUN 24:00"), []string{"gatehouse.yaml:2:24: `SAT 00:00-SUN 24:00`: there is no such day or time; hours are 00 to 23 (write `deny: \"SAT 00:00-MON 00:00\"`)"}},
		{"24:00 of a day", freeze("deny: 2026-12-24 00:00-2026-12-31 24:00"), []string{"gatehouse.yaml:2:24: `2026-12-24 00:00-2026-12-31 24:00`: there is no such day or time; hours are 00 to 23 (write `deny: \"2026-12-24 00:00-2027-01-01 00:00\"`)"}},
		{"25:00", freeze("deny: SAT 00:00-SUN 25:00"), []string{"gatehouse.yaml:2:24: `SAT 00:00-SUN 25:00`: there is no such day or time; hours are 00 to 23" + when}},
		{"no such day of a week", freeze("deny: FRY 15:00-MON 08:00"), []string{"gatehouse.yaml:2:24: `FRY 15:00-MON 08:00`: both ends are days of the week, or both are dates" + when}},
		{"no such days of a week", freeze("deny: FRY 15:00-MOM 08:00"), []string{"gatehouse.yaml:2:24: `FRY 15:00-MOM 08:00`: there is no such day or time; hours are 00 to 23" + when}},
		{"no such day", freeze("deny: 2026-02-30 15:00-2026-03-01 08:00"), []string{"gatehouse.yaml:2:24: `2026-02-30 15:00-2026-03-01 08:00`: there is no such day or time; hours are 00 to 23" + when}},
		{"mixed", freeze("deny: FRI 15:00-2026-03-01 08:00"), []string{"gatehouse.yaml:2:24: `FRI 15:00-2026-03-01 08:00`: both ends are days of the week, or both are dates" + when}},
		{"backwards", freeze("deny: 2026-03-02 15:00-2026-03-01 08:00"), []string{"gatehouse.yaml:2:24: `2026-03-02 15:00-2026-03-01 08:00`: it ends before it begins" + when}},
		{"no time at all", freeze("deny: FRI 15:00-FRI 15:00"), []string{"gatehouse.yaml:2:24: `FRI 15:00-FRI 15:00`: it ends when it begins" + when}},
		{"always", v + "land:\n  freeze:\n    - {deny: \"MON 00:00-THU 12:00\", tz: Europe/Berlin}\n    - {deny: \"THU 10:00-MON 01:00\"}\n", []string{"gatehouse.yaml:4:5: nothing would ever land: the windows cover the whole week (leave a gap between the windows)"}},
		{"zone in small letters", freeze("deny: FRI 15:00-MON 08:00, tz: europe/berlin"), []string{"gatehouse.yaml:2:49: `europe/berlin` is no time zone (did you mean `Europe/Berlin`?)"}},
		{"zone with a blank", freeze("deny: FRI 15:00-MON 08:00, tz: America/New York"), []string{"gatehouse.yaml:2:49: `America/New York` is no time zone (did you mean `America/New_York`?)"}},
		{"zone utc", freeze("deny: FRI 15:00-MON 08:00, tz: utc"), []string{"gatehouse.yaml:2:49: `utc` is no time zone (did you mean `UTC`?)"}},
		{"the server's zone", freeze("deny: FRI 15:00-MON 08:00, tz: Local"), []string{"gatehouse.yaml:2:49: `Local` is no time zone (write a name of the IANA's list, such as `tz: Europe/Berlin` or `tz: UTC`)"}},
		{"a file for a zone", freeze("deny: FRI 15:00-MON 08:00, tz: ../../etc/passwd"), []string{"gatehouse.yaml:2:49: `../../etc/passwd` is no time zone (write a name of the IANA's list, such as `tz: Europe/Berlin` or `tz: UTC`)"}},
		{"a folder for a zone", freeze("deny: FRI 15:00-MON 08:00, tz: Europe"), []string{"gatehouse.yaml:2:49: `Europe` is no time zone (write a name of the IANA's list, such as `tz: Europe/Berlin` or `tz: UTC`)"}},
		{"an offset", freeze("deny: FRI 15:00-MON 08:00, tz: +01:00"), []string{"gatehouse.yaml:2:49: `+01:00` is no time zone (write a name of the IANA's list, such as `tz: Europe/Berlin` or `tz: UTC`)"}},
		{"empty reason", freeze("deny: FRI 15:00-MON 08:00, reason: ''"), []string{"gatehouse.yaml:2:53: `reason` of a freeze is empty (remove the key, or give it a value)"}},
	})
}
