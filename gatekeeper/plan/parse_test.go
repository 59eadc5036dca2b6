package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// full uses every key.
const full = `version: 1
app: hello
labels:
  Code-Review: {copy: [trivial-rebase]}
  Security: {min: -1, max: 1, veto: false}
stages:
  unit:
    run: |
      go vet ./...
      go test -json ./... > unit.json
    timeout: 10m
    results: {gotest: unit.json}
    paths: ["**/*.go", go.mod, "!docs/"]
    env: {CGO_ENABLED: 0, EMPTY: ""}
    memory: 512MiB
  build: {run: make, network: true, inputs: {targets: [lib], paths: [scripts/]}, quarantine: {owner: "group:core", until: 2026-12-24, reason: slow}}
  smoke: {run: ./smoke.sh, after: [build, unit], timeout: 1h30m}
gates:
  review: {subject: change, require: [{review: {min: 1, by: [maintainers], not: [author, uploader]}}]}
  secure: {require: [{review: {label: Security, value: 1, min: 2}}]}
  tested: {after: [smoke], require: [{stages: passed}, {tests: {failed: 0, min: 1}}]}
land: {after: [review, secure, tested], how: rebase, batch: 4, lanes: files, together: topic, queue: main, freeze: [{deny: "FRI 15:00-MON 08:00", tz: Europe/Berlin, reason: weekend}, {deny: "2026-12-24 00:00-2027-01-02 00:00"}]}
roles: {maintainers: [alice, "group:core"]}
targets: {lib: [lib/], web: {paths: [web/, "!web/docs/"], needs: [lib]}}
barriers: [schema.sql]
`

// noon is when the tests judge.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func mustParse(t testing.TB, text string) *Plan {
	t.Helper()
	p, problems := Parse(File, []byte(text))
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return p
}

func TestParseFull(t *testing.T) {
	p := mustParse(t, full)
	unit, _ := p.Stage("unit")
	want := Stage{
		Name: "unit", Run: "go vet ./...\ngo test -json ./... > unit.json\n", Timeout: 10 * time.Minute,
		Paths: []string{"**/*.go", "go.mod", "!docs/"}, Results: map[string]string{GoTest: "unit.json"},
		Env: map[string]string{"CGO_ENABLED": "0", "EMPTY": ""}, Memory: 512 << 20, Retry: -1, Line: 7,
	}
	if diff := cmp.Diff(want, unit); diff != "" {
		t.Errorf("unit (-want +got):\n%s", diff)
	}
	if s, _ := p.Stage("build"); !s.Network || s.Timeout != DefaultTimeout {
		t.Errorf("build = %+v", s)
	}
	wantLabels := []Label{
		{Name: CodeReview, Min: -2, Max: 2, Veto: true, Copy: []string{CopyTrivialRebase}, Line: 4},
		{Name: "Security", Min: -1, Max: 1, Line: 5},
	}
	if diff := cmp.Diff(wantLabels, p.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	review, _ := p.Gate("review")
	wantReview := Review{Label: CodeReview, Value: 2, Min: 1, By: []string{"maintainers"}, Not: []string{Author, Uploader}, Line: 19, Members: []string{"alice", "group:core"}, Veto: -2}
	if diff := cmp.Diff([]Criterion{wantReview}, review.Require); diff != "" {
		t.Errorf("review (-want +got):\n%s", diff)
	}
	tested, _ := p.Gate("tested")
	var needs []string
	for _, n := range tested.Needs {
		needs = append(needs, fmt.Sprintf("%s results=%t after=%v", n.Stage, n.Results, n.After))
	}
	if diff := cmp.Diff([]string{"unit results=true after=[]", "build results=false after=[]", "smoke results=false after=[build unit]"}, needs); diff != "" {
		t.Errorf("needs of tested (-want +got):\n%s", diff)
	}
	build, _ := p.Stage("build")
	if diff := cmp.Diff(&Quarantine{Owner: "group:core", Until: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), Reason: "slow"}, build.Quarantine); diff != "" {
		t.Errorf("quarantine (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&Inputs{Targets: []string{"lib"}, Paths: []string{"scripts/"}}, build.Inputs); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	wantTargets := []Target{{Name: "lib", Paths: []string{"lib/"}, Line: 24}, {Name: "web", Paths: []string{"web/", "!web/docs/"}, Needs: []string{"lib"}, Line: 24}}
	if diff := cmp.Diff(wantTargets, p.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if !cmp.Equal(p.Barriers, []string{"schema.sql"}) {
		t.Errorf("barriers %q", p.Barriers)
	}
	wantLand := Land{After: []string{"review", "secure", "tested"}, How: Rebase, Batch: 4, Lanes: LanesFiles, Together: TogetherTopic, Queue: "main", Line: 22, Freeze: []Freeze{
		{Deny: "FRI 15:00-MON 08:00", TZ: "Europe/Berlin", Reason: "weekend", Line: 22},
		{Deny: "2026-12-24 00:00-2027-01-02 00:00", TZ: "UTC", Line: 22},
	}}
	if diff := cmp.Diff(wantLand, p.Land, cmpopts.IgnoreUnexported(Freeze{})); diff != "" {
		t.Errorf("land (-want +got):\n%s", diff)
	}
	if p.Land.How != Rebase || p.Line("stages.unit.timeout") != 11 || p.Line("tested") != 21 || p.Line("land") == 0 {
		t.Errorf("land = %+v, lines %d %d %d", p.Land, p.Line("stages.unit.timeout"), p.Line("tested"), p.Line("land"))
	}
}

func TestDefaults(t *testing.T) {
	t.Run("no file", func(t *testing.T) {
		p := Default()
		if len(p.Landing()) != 1 || p.Land.How != Merge || len(p.Required()) != 0 {
			t.Errorf("default plan: %+v", p)
		}
		if v := Evaluate(p.Gates[0], Evidence{}, noon); v.State != Closed {
			t.Errorf("without votes it is %s", v.State)
		}
		if v := Evaluate(p.Gates[0], Evidence{Votes: []Vote{{Label: CodeReview, Value: 2, By: "bob"}}}, noon); v.State != Open {
			t.Errorf("with an approval it is %s", v.State)
		}
	})
	t.Run("no gates", func(t *testing.T) {
		p := mustParse(t, "version: 1\nstages: {unit: {run: make}, lint: {run: lint}}\n")
		if got := p.Land.After; !cmp.Equal(got, []string{"review", "stages"}) {
			t.Errorf("landing waits for %v", got)
		}
		if !cmp.Equal(p.Required(), map[string]bool{"unit": true, "lint": true}) {
			t.Errorf("required: %v", p.Required())
		}
	})
	t.Run("gate without after judges all stages that do not wait for it", func(t *testing.T) {
		p := mustParse(t, "version: 1\nstages: {a: {run: a}, b: {run: b, after: [g]}, c: {run: c}}\ngates: {g: {require: [{stages: passed}]}, h: {after: [b], require: [{stages: passed}]}}\n")
		if g, _ := p.Gate("g"); !cmp.Equal(g.After, []string{"a", "c"}) {
			t.Errorf("g comes after %v", g.After)
		}
		if h, _ := p.Gate("h"); len(h.Needs) != 3 {
			t.Errorf("h needs %v", h.Needs)
		}
		if got := p.StageOrder(); !cmp.Equal(got, []string{"a", "c", "b"}) {
			t.Errorf("order %v", got)
		}
	})
	t.Run("landing", func(t *testing.T) {
		for text, want := range map[string]Land{
			"":                       {How: Merge, Batch: MaxBatch, Lanes: LanesBranch},
			"land: {how: merge}":     {How: Merge, Batch: MaxBatch, Lanes: LanesBranch},
			"land: {batch: off}":     {How: Merge, Batch: 1, Lanes: LanesBranch},
			"land: {batch: 3}":       {How: Merge, Batch: 3, Lanes: LanesBranch},
			"land: {how: squash}":    {How: Squash, Batch: 1, Lanes: LanesBranch},
			"land: {how: rebase}":    {How: Rebase, Batch: 1, Lanes: LanesBranch},
			"land: {together: none}": {How: Merge, Batch: MaxBatch, Lanes: LanesBranch},
			"land: {how: fast-forward, batch: auto}\ntargets: {a: [a/]}": {How: FastForward, Batch: MaxBatch, Lanes: LanesTargets},
			"land: {lanes: branch}\ntargets: {a: [a/]}":                  {How: Merge, Batch: MaxBatch, Lanes: LanesBranch},
		} {
			got := mustParse(t, "version: 1\n"+text+"\n").Land
			got.After, got.Line = nil, 0
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Freeze{})); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
		}
	})
	t.Run("only the version", func(t *testing.T) {
		if got, want := mustParse(t, "version: 1\n").Digest(), Default().Digest(); got != want {
			t.Errorf("a plan that says nothing differs from the default one: %s, %s", got, want)
		}
	})
}

// Each case is a plan and every problem that it has, as people see them.
func TestProblems(t *testing.T) {
	const v = "version: 1\n"
	cases := []problemCase{
		{"empty", "", []string{"gatehouse.yaml: the plan is empty (write `version: 1`, or remove the file to have the default plan)"}},
		{"comment only", "# hello\n", []string{"gatehouse.yaml: the plan is empty (write `version: 1`, or remove the file to have the default plan)"}},
		{"no version", "app: x\n", []string{"gatehouse.yaml:1:1: the plan does not say its version (write `version: 1` in the first line)"}},
		{"wrong version", "version: 2\n", []string{"gatehouse.yaml:1:10: this version of Gatehouse reads plans of version 1 (write `version: 1`)"}},
		{"a list", "- a\n", []string{"gatehouse.yaml:1:1: the plan must be a mapping (write `key: value` pairs)"}},
		{"cut", v + "app: [a\nroles: {}\n", []string{"gatehouse.yaml:3:6: this is not YAML: did not find expected ',' or ']' (look for a missing bracket, quote or colon, and for uneven indentation, here or just above)"}},
		{"tab", v + "stages:\n\tunit: {run: x}\n", []string{"gatehouse.yaml:3:1: this is not YAML: found character that cannot start any token (indent with spaces, not with tabs, and put text that starts with @, ` or % in quotes)"}},
		{"colon", v + "stages:\n  unit:\n    run: echo a: b\n", []string{"gatehouse.yaml:4:16: this is not YAML: mapping values are not allowed in this context (put text that holds \": \" in quotes, and indent keys of one level alike)"}},
		{"two documents", v + "---\napp: x\n", []string{"gatehouse.yaml:2:1: a plan is one YAML document; here starts another (remove it, and the `---` before it)"}},
		{"not UTF-8", v + "app: \xff\n", []string{"gatehouse.yaml: the plan is not UTF-8 text (save the file as UTF-8)"}},
		{"too big", v + strings.Repeat("#\n", MaxFile), []string{fmt.Sprintf("gatehouse.yaml: the plan has %d bytes; at most 65536 are read (move long commands into scripts)", len(v)+2*MaxFile)}},
		{"deep", v + "app: " + strings.Repeat("[", 100) + "\n", []string{"gatehouse.yaml:2:18: this is not YAML: exceeded max depth of 12 (a plan nests far less)"}},
		{"anchor and alias", v + "stages:\n  a: &x {run: a}\n  b: *x\n", []string{
			"gatehouse.yaml:3:6: a plan has no anchors (`&x`) (remove it, or put text that starts with & in quotes)",
			"gatehouse.yaml:4:6: a plan has no aliases (`*x`) (write the value out, or put text that starts with * in quotes)"}},
		{"merge key", v + "stages:\n  a: {<<: {run: x}}\n", []string{"gatehouse.yaml:3:7: a plan has no merge keys (`<<`) (write the keys out)"}},
		{"tag", v + "stages: {a: {run: x, paths: [!docs/**]}}\n", []string{"gatehouse.yaml:2:30: a plan has no YAML tags (`!docs/**`) (put text that starts with ! in quotes)"}},
		{"unknown key", v + "stages: {a: {run: x, timout: 10m}}\n", []string{"gatehouse.yaml:2:22: stage `a` has no key `timout` (did you mean `timeout`?)"}},
		{"foreign key", v + "stages: {a: {script: x, needs: [b]}}\n", []string{
			"gatehouse.yaml:2:10: stage `a` has nothing to run (write `run: \"…\"`)",
			"gatehouse.yaml:2:14: stage `a` has no key `script` (did you mean `run`?)",
			"gatehouse.yaml:2:25: stage `a` has no key `needs` (did you mean `after`?)"}},
		{"far key", v + "zebra: 1\n", []string{"gatehouse.yaml:2:1: the plan has no key `zebra` (known keys: app, artifacts, barriers, environments, gates, labels, land, locks, outcomes, roles, stages, targets, version)"}},
		{"duplicate key", v + "app: a\napp: b\n", []string{"gatehouse.yaml:3:1: the plan has the key `app` twice, first in line 2 (keep one of the two)"}},
		{"on", v + "on: push\n", []string{"gatehouse.yaml:2:1: `on` is no key of a plan, and many YAML readers take it for true (remove it: a push starts the plan)"}},
		{"complex key", v + "? [a]\n: b\n", []string{"gatehouse.yaml:2:3: a key of the plan is not a word (write a plain word as the key)"}},
		{"null", v + "stages:\n", []string{"gatehouse.yaml:2:1: `stages` in the plan has no value (give it a value, or remove it)"}},
		{"later, everywhere", v + "entrances: {}\nbuilders: {}\nstages: {a: {run: x, builder: go, actions: []}}\ngates:\n  g: {then: {}, require: [{provenance: {}}, {review: {bind: x}}]}\nland: {test: {}}\n", []string{
			"gatehouse.yaml:2:1: this version of Gatehouse does not run `entrances` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:3:1: this version of Gatehouse does not run `builders` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:4:22: this version of Gatehouse does not run `builder` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:4:35: this version of Gatehouse does not run `actions` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:6:7: this version of Gatehouse does not run `then` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:6:28: this version of Gatehouse does not run `provenance` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:6:55: this version of Gatehouse does not run `bind` yet, and does not ignore it either (remove it)",
			"gatehouse.yaml:7:8: this version of Gatehouse does not run `test` yet, and does not ignore it either (remove it)"}},
		{"timeouts", v + "stages:\n  a: {run: x, timeout: 10}\n  b: {run: x, timeout: 5 minutes}\n  c: {run: x, timeout: 7h}\n  d: {run: x, timeout: 0s}\n  e: {run: x, timeout: soon}\n", []string{
			"gatehouse.yaml:3:24: `timeout` of stage `a` must be a time with a unit (d, h, m, s) (write `timeout: 10m`)",
			"gatehouse.yaml:4:24: `timeout` of stage `b` must be a time with a unit (d, h, m, s) (write `timeout: 5m`)",
			"gatehouse.yaml:5:24: `timeout` of stage `c` must be more than 0 and at most 6h",
			"gatehouse.yaml:6:24: `timeout` of stage `d` must be more than 0 and at most 6h",
			"gatehouse.yaml:7:24: `timeout` of stage `e` must be a time with a unit (d, h, m, s) (write `timeout: 10m`)"}},
		{"memory", v + "stages:\n  a: {run: x, memory: 512}\n  b: {run: x, memory: 2GB}\n  c: {run: x, memory: 1MiB}\n", []string{
			"gatehouse.yaml:3:23: `memory` of stage `a` must be a size in KiB, MiB or GiB (write `memory: 512MiB`)",
			"gatehouse.yaml:4:23: `memory` of stage `b` must be a size in KiB, MiB or GiB (write `memory: 2GiB`)",
			"gatehouse.yaml:5:23: `memory` of stage `c` must be from 16MiB to 256GiB"}},
		{"booleans", v + "stages: {a: {run: x, network: yes}}\n", []string{"gatehouse.yaml:2:31: `network` of stage `a` must be true or false (write `true`)"}},
		{"lists", v + "stages: {a: {run: x, after: b}, b: {run: [x]}, c: {run: x, after: [a, a]}}\n", []string{
			"gatehouse.yaml:2:29: `after` of stage `a` must be a list (write `[b]`)",
			"gatehouse.yaml:2:42: `run` of stage `b` must be text, not a list (write `run: |` and the commands below it, one a line)",
			"gatehouse.yaml:2:71: `after` of stage `c` names `a` twice (remove one of them)"}},
		{"results", v + "stages: {a: {run: x, results: {gotest: /etc/passwd, junit: ../x, tap: a/./b, metrics: /m}}, b: {run: x, results: {tap: .git/config}}}\n", []string{
			"gatehouse.yaml:2:40: the gotest results of stage `a` must be a file inside the working copy, not `/etc/passwd` (write a path like `out/unit.json`)",
			"gatehouse.yaml:2:60: the junit results of stage `a` must be a file inside the working copy, not `../x` (write a path like `out/unit.json`)",
			"gatehouse.yaml:2:71: the tap results of stage `a` is written in a roundabout way (write `a/b`)",
			"gatehouse.yaml:2:87: the metrics results of stage `a` must be a file inside the working copy, not `/m` (write a path like `out/unit.json`)",
			"gatehouse.yaml:2:120: the tap results of stage `b` must be a file inside the working copy, not `.git/config` (write a path like `out/unit.json`)"}},
		{"env", v + "stages: {a: {run: x, env: {GATE_CHANGE: 1, 1X: y}}}\n", []string{
			"gatehouse.yaml:2:28: variables that start with GATE_ are the server's (choose another name)",
			"gatehouse.yaml:2:44: an environment variable cannot be called `1X` (use letters, digits and _, with no digit first)"}},
		{"paths", v + "stages: {a: {run: x, paths: [/src, 'a[b]', 'a/**.go', '../x', '']}, b: {run: x, paths: []}}\n", []string{
			"gatehouse.yaml:2:30: `/src`: patterns are relative to the repository's root (write `src`)",
			"gatehouse.yaml:2:36: `a[b]`: patterns know *, ** and ? only, not brackets, braces or backslashes (list the patterns one by one)",
			"gatehouse.yaml:2:44: `a/**.go`: `**` stands alone between slashes (write `**/*.go` for every Go file)",
			"gatehouse.yaml:2:55: `../x`: a pattern has no empty, `.` or `..` segments (write the path as git lists it)",
			"gatehouse.yaml:2:63: an item of `paths` of stage `a` is empty (remove the key, or give it a value)",
			"gatehouse.yaml:2:88: `paths` of stage `b` is empty (remove it to run the stage always)"}},
		{"names", v + "stages: {Unit: {run: x}, land: {run: x}, a: {run: x}}\ngates: {a: {require: [{stages: passed}]}}\n", []string{
			"gatehouse.yaml:2:10: a stage cannot be called `Unit` (use at most 40 small letters, digits, - and _, with a letter first)",
			"gatehouse.yaml:2:26: `land` is the landing itself (give the stage another name)",
			"gatehouse.yaml:3:9: `a` is taken, see line 2 (stages and gates share their names: rename one)"}},
		{"references", v + "stages: {unit: {run: x, after: [bild]}, build: {run: x, after: [land]}}\ngates: {g: {after: [unti], require: [{stages: [uint]}]}}\nland: {after: [unit, h]}\n", []string{
			"gatehouse.yaml:2:33: stage `unit` comes after `bild`, which is no stage and no gate (did you mean `build`?)",
			"gatehouse.yaml:3:21: gate `g` comes after `unti`, which is no stage and no gate (did you mean `unit`?)",
			"gatehouse.yaml:3:48: gate `g` requires that `uint` passed, which is no stage (did you mean `unit`?)",
			"gatehouse.yaml:4:16: landing waits for gates, and `unit` is a stage (name a gate that comes after `unit` and requires `{stages: passed}`)",
			"gatehouse.yaml:4:22: landing waits for `h`, which is no gate"}},
		{"cycle", v + "stages: {a: {run: x, after: [c]}, b: {run: x, after: [a]}, c: {run: x, after: [b]}}\n", []string{
			"gatehouse.yaml:2:10: nothing here can ever start: a waits for c waits for b waits for a (remove one of these from an `after`)"}},
		{"cycle of one", v + "stages: {a: {run: x, after: [a]}}\n", []string{
			"gatehouse.yaml:2:10: nothing here can ever start: a waits for a (remove one of these from an `after`)"}},
		{"cycle by what gates judge", v + "stages: {a: {run: x, after: [g]}, b: {run: x, after: [h]}}\ngates: {g: {require: [{stages: passed}]}, h: {require: [{stages: passed}]}}\n", []string{
			"gatehouse.yaml:3:43: gate `h` requires stages and comes after none (write `after: [STAGE]`)"}},
		{"gates without criteria", v + "gates: {a: {}, b: {require: []}, c: {require: [review]}, d: {require: [{review: {}, tests: {}}]}, e: {require: {review: {}}}}\n", []string{
			"gatehouse.yaml:2:9: gate `a` requires nothing: it would always be open (write `require: [{review: {min: 1}}]` or `require: [{stages: passed}]`)",
			"gatehouse.yaml:2:29: gate `b` requires nothing: it would always be open (write `require: [{review: {min: 1}}]`)",
			"gatehouse.yaml:2:48: an item of `require` says what it requires and how much (write `{review: {min: 1}}`)",
			"gatehouse.yaml:2:72: an item of `require` has one key, not 2 (write `[{…}, {…}]`)",
			"gatehouse.yaml:2:112: `require` of gate `e` must be a list (write `require: [{review: {min: 1}}]`)"}},
		{"no gates at all", v + "gates: {}\n", []string{"gatehouse.yaml:2:8: without any gate everything would land (remove `gates` to have the default ones)"}},
		{"gates that judge nothing", v + "stages: {a: {run: x}, b: {run: x}}\ngates: {t: {after: [a], require: [{tests: {min: 1}}]}, r: {after: [b], require: [{review: {min: 1}}]}, s: {after: [a, b], require: [{stages: [a]}]}}\n", []string{
			"gatehouse.yaml:3:9: gate `t` requires tests and comes after no stage that has `results` (write `results: {gotest: FILE}` in the stage that tests, and name the stage in `after`)",
			"gatehouse.yaml:3:9: gate `t` comes after stage `a` and requires nothing of it (add `{stages: passed}` to `require`)",
			"gatehouse.yaml:3:56: gate `r` comes after stage `b` and requires nothing of it (add `{stages: passed}` to `require`)",
			"gatehouse.yaml:3:104: gate `s` comes after stage `b` and requires nothing of it (add `{stages: passed}` to `require`)"}},
		{"gate without stages", v + "gates: {t: {require: [{stages: passed}]}}\n", []string{"gatehouse.yaml:2:9: gate `t` requires stages and comes after none (write `after: [STAGE]`)"}},
		{"listed stage not before", v + "stages: {a: {run: x}, b: {run: x}}\ngates: {t: {after: [a], require: [{stages: [b]}, {stages: passed}]}}\n", []string{
			"gatehouse.yaml:3:45: gate `t` judges the stage `b` and does not come after it (add it to `after` of gate `t`)"}},
		{"gate that nothing waits for", v + "stages: {a: {run: x}}\ngates: {r: {require: [{review: {min: 1}}]}, t: {require: [{stages: passed}]}}\nland: {after: [r]}\n", []string{
			"gatehouse.yaml:3:45: nothing waits for gate `t` (add it to `after` of `land`, or remove it)"}},
		{"reviews", v + "labels: {Low: {max: 1}}\nroles: {few: [a, b]}\ngates:\n  a: {require: [{review: {label: Lwo, min: 1}}]}\n  b: {require: [{review: {label: Low, value: 2}}]}\n  c: {require: [{review: {by: [fwe], not: [auther]}}]}\n  d: {require: [{review: {by: [few], min: 3}}]}\n  e: {require: [{review: {by: [], min: 0}}]}\n", []string{
			"gatehouse.yaml:5:34: gate `a` asks for votes on `Lwo`, which is no label of the plan (did you mean `Low`?)",
			"gatehouse.yaml:6:46: gate `b` asks for a vote of +2, and Low ends at +1",
			"gatehouse.yaml:7:32: gate `c` counts votes of the role `fwe`, which the plan does not have (did you mean `few`?)",
			"gatehouse.yaml:7:44: a relation to the change cannot be `auther` (did you mean `author`?)",
			"gatehouse.yaml:8:43: gate `d` asks for 3 approvals, and its roles have 2 members (lower `min`, or add people to the roles)",
			"gatehouse.yaml:9:31: `by` of gate `e` is empty: nobody could approve (remove it to count everybody's votes)",
			"gatehouse.yaml:9:40: `min` of gate `e` must be a number from 1 to 20"}},
		{"labels and roles", v + "labels: {\"Code Review\": {}, X: {min: 1, max: 0, copy: [rebase]}}\nroles: {a: [], B: [x], c: [\"x y\"]}\n", []string{
			"gatehouse.yaml:2:10: a label cannot be called `Code Review` (use at most 40 letters, digits and -, with a letter first)",
			"gatehouse.yaml:2:38: `min` of label `X` must be a number from -10 to 0",
			"gatehouse.yaml:2:46: `max` of label `X` must be a number from 1 to 10",
			"gatehouse.yaml:2:56: a kind of new patch set cannot be `rebase` (write `trivial-rebase` or `message-edit`)",
			"gatehouse.yaml:3:12: role `a` has no members (name its members)",
			"gatehouse.yaml:3:16: a role cannot be called `B` (use at most 40 small letters, digits, - and _, with a letter first)",
			"gatehouse.yaml:3:28: `x y` is no member of a role (write an account's name, or `group:NAME`)"}},
		{"land", v + "land: merge\n", []string{"gatehouse.yaml:2:7: `land` must be a mapping (write `land: {how: merge}`)"}},
		{"land how", v + "land: {how: fastforward}\n", []string{"gatehouse.yaml:2:13: a way to land cannot be `fastforward` (did you mean `fast-forward`?)"}},
		{"default gate's name", v + "stages: {review: {run: x}}\n", []string{"gatehouse.yaml:2:10: a plan without gates gets one called `review` (rename the stage, or write `gates`)"}},
	}
	wantProblems(t, cases)
}

// problemCase is a plan and every problem that it has.
type problemCase struct {
	name, text string
	want       []string
}

func wantProblems(t *testing.T, cases []problemCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, problems := Parse(File, []byte(c.text))
			if p != nil {
				t.Error("a plan with problems was handed out")
			}
			var got []string
			for _, problem := range problems {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\n")
	for i := range 200 {
		fmt.Fprintf(&b, "x%d: 1\n", i)
	}
	_, problems := Parse(File, []byte(b.String()))
	if len(problems) > MaxProblems+1 {
		t.Errorf("%d problems", len(problems))
	}
}

func TestDigest(t *testing.T) {
	base := mustParse(t, full).Digest()
	if got := mustParse(t, "# a comment\n"+strings.ReplaceAll(full, "app: hello\n", "app:   hello # name\n")).Digest(); got != base {
		t.Error("layout changes the digest")
	}
	for _, edit := range [][2]string{
		{"10m", "11m"}, {"min: 1, by", "min: 2, by"}, {"failed: 0", "failed: 1"}, {"how: rebase", "how: squash"}, {"alice", "bob"},
		{"batch: 4", "batch: 5"}, {"lanes: files", "lanes: branch"}, {"together: topic", "together: none"}, {"queue: main", "queue: other"},
		{"FRI 15", "FRI 16"}, {"Europe/Berlin", "Europe/Paris"}, {"reason: weekend", "reason: holidays"}, {"2026-12-24,", "2026-12-25,"},
		{"lib: [lib/]", "lib: [libs/]"}, {"needs: [lib]", "needs: []"}, {"schema.sql", "schema"}, {"targets: [lib]", "targets: [web]"},
		{"network: true", "network: false"}, {"stages: passed", "stages: [smoke]"}, {"veto: false", "veto: true"}, {"go vet", "go vat"},
	} {
		if got := mustParse(t, strings.Replace(full, edit[0], edit[1], 1)).Digest(); got == base {
			t.Errorf("%s instead of %s leaves the digest as it was", edit[1], edit[0])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("version: 1\nstages: {a: {run: x, after: [g]}}\ngates: {g: {require: [{stages: passed}, {tests: {}}]}}\n"))
	f.Add([]byte("version: 1\nland:\n  freeze: [{deny: \"SUN 02:30-SUN 02:40\", tz: Europe/Berlin}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, problems := Parse(File, text)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("plan %v with problems %v", p, problems)
		}
		if p == nil {
			return
		}
		if len(p.Landing()) == 0 {
			t.Fatal("a plan that lands without a gate")
		}
		if again, _ := Parse(File, text); len(p.StageOrder()) != len(p.Stages) || again.Digest() != p.Digest() {
			t.Fatal("order or digest")
		}
		for _, g := range p.Landing() {
			if Evaluate(g, Evidence{}, noon).State == Open {
				t.Fatalf("gate %s opens on nothing", g.Name)
			}
		}
		if state, _ := RunVerdict(p, Evidence{}, noon); len(p.Required()) > 0 && state == RunPassed {
			t.Fatal("a run passed on nothing")
		}
		if _, barrier := p.Lanes([]string{"a", File}); !barrier {
			t.Fatal("a change of the plan is no barrier")
		}
		if reason, until := p.Frozen(noon); !until.IsZero() && (reason == "" || !until.After(noon)) {
			t.Fatalf("frozen for %q until %s", reason, until)
		}
		if next, ok := p.NextFreeze(noon); ok && !next.After(noon) {
			t.Fatalf("the next freeze began at %s", next)
		}
		composed, own := Compose(p, p)
		if len(own) > 0 || len(composed.StageOrder()) != len(p.Stages) {
			t.Fatalf("composed with itself: %v", own)
		}
	})
}
