package gatekeeper_test

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/runner"
	"gatehouse/gitserver/fault"
)

func TestParseSuppositions(t *testing.T) {
	for text, want := range map[string][]gatekeeper.Supposition{
		"alice approves and unit passes":        {{Kind: "vote", Account: "alice"}, {Kind: "stage", Stage: "unit", State: "PASSED"}},
		"vote:alice=+2, stage:unit=failed":      {{Kind: "vote", Account: "alice", Value: 2}, {Kind: "stage", Stage: "unit", State: "FAILED"}},
		"vote:bob:Verified=-1":                  {{Kind: "vote", Account: "bob", Label: "Verified", Value: -1}},
		"bob votes Code-Review-2":               {{Kind: "vote", Account: "bob", Label: "Code-Review", Value: -2}},
		"bob votes Verified +1":                 {{Kind: "vote", Account: "bob", Label: "Verified", Value: 1}},
		"bob votes -1":                          {{Kind: "vote", Account: "bob", Value: -1}},
		"change 11 lands and 12 lands":          {{Kind: "landed", Change: 11}, {Kind: "landed", Change: 12}},
		"change:11=landed and submit":           {{Kind: "landed", Change: 11}, {Kind: "submit"}},
		"  it is ready   and it is public and ": {{Kind: "ready"}, {Kind: "public"}},
	} {
		got, err := gatekeeper.ParseSuppositions([]string{text})
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: %+v, %v", text, got, err)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: %+v, want %+v", text, got[i], want[i])
			}
		}
	}
	for _, text := range []string{"alice", "vote:alice=0", "vote:Alice=+1", "stage:unit=maybe", "vote:alice=+99999", "change x lands", "\x1b[2J approves", "alice approves; drop", strings.Repeat("x", 9999)} {
		if _, err := gatekeeper.ParseSuppositions([]string{text}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := gatekeeper.ParseSuppositions([]string{strings.Repeat("submit and ", 21)}); !fault.Is(err, fault.TooLarge) {
		t.Errorf("many: %v", err)
	}
}

const acceptPlan = `version: 1
roles: {managers: [alice, bob, carol]}
artifacts: {server: {type: file}}
stages:
  unit: {run: "true", results: {gotest: unit.json, metrics: load.json}, bypassable: {by: [managers], reason: required}}
  build: {run: "true", produces: {server: version.txt}}
gates:
  review: {require: [{review: {min: 1, not: [author, uploader]}}], bypassable: {by: [managers], reason: required}}
  tested: {after: [unit], require: [{stages: passed}, {tests: {failed: 0, min: 10}}, {metric: {name: p95_ms, max: 120}}]}
  accepted:
    after: [build]
    require:
      - stages: passed
      - approve: {min: 1, by: [managers], not: [author]}
      - external: {context: ci/windows, by: [managers]}
      - window: {deny: ["MON 00:00-SUN 23:59"], tz: UTC}
land: {after: [review, tested, accepted], how: merge}
`

// The author of a change is not among those who are asked to accept what comes of it.
func TestWhoIsAskedToAccept(t *testing.T) {
	w := newWorld(t, acceptPlan)
	w.stages.set(w.builds(100))
	id := w.propose("alice", "version.txt", "one\n")
	e := w.until(id, "its gate asks", func(e gatekeeper.Explanation) bool {
		return slices.ContainsFunc(e.Requirements, func(r gatekeeper.Requirement) bool { return r.Name == "accepted" && len(r.Who) > 0 })
	})
	for _, r := range e.Requirements {
		if r.Name == "accepted" && strings.Join(r.Who, " ") != "bob carol" {
			t.Errorf("%v", r.Who)
		}
	}
}

func TestWhatIf(t *testing.T) {
	const text = `version: 1
roles: {maintainers: [bob, carol]}
stages:
  unit: {run: "true", results: {gotest: unit.json}}
gates:
  review: {require: [{review: {min: 1, by: [maintainers], not: [author, uploader]}}]}
  tested: {after: [unit], require: [{stages: passed}, {tests: {failed: 0, min: 10}}]}
land: {after: [review, tested], how: merge}
`
	w := newWorld(t, text)
	hold := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-hold; return passed() })
	defer close(hold)
	id := w.propose("alice", "a", "1\n")
	for text, want := range map[string]string{
		"bob approves":                               "if bob votes Code-Review+2, once somebody asks to land it, it would queue first (about ",
		"bob approves and submit":                    "if bob votes Code-Review+2 and somebody asks to land it, it would queue first (about ",
		"bob approves and unit passes":               "if bob votes Code-Review+2 and unit passes, once somebody asks to land it, it would queue first (about ",
		"alice approves":                             "if alice votes Code-Review+2, it would still wait: gate review: needs Code-Review+2 from maintainers",
		"bob approves and unit fails":                "if bob votes Code-Review+2 and unit fails, it would be refused: tested: unit failed",
		"bob approves and carol votes -2":            "it would be refused: review: carol refused with Code-Review-2",
		"bob votes +1":                               "it would still wait: gate review: needs",
		"unit passes":                                "if unit passes, it would still wait: gate review: needs",
		"bob approves, carol votes -2, bob votes -1": "it would be refused",
	} {
		if got := w.whatIf(id, text).Sentence(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	for text, kind := range map[string]fault.Kind{"nobody approves": fault.Invalid, "smoke passes": fault.Invalid, "change 999 lands": fault.Invalid, "vote:bob:Taste=+1": fault.Invalid, "bob votes +9": fault.Invalid} {
		all, err := gatekeeper.ParseSuppositions([]string{text})
		w.must(err)
		if _, err := w.control.WhatIf(w.ctx, w.people["alice"], id, all); !fault.Is(err, kind) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// What is supposed changes nothing, and the page's own line names who can act.
	e := w.explain(id)
	if e.State != gatekeeper.Open || e.WhatIf == nil || !strings.HasPrefix(e.WhatIf.Sentence(), "if bob or carol approves and unit passes, once somebody asks to land it, it would queue first") {
		t.Errorf("%s, %+v", e.State, e.WhatIf)
	}
	for _, r := range e.Requirements {
		if r.Name == "review" && strings.Join(r.Who, " ") != "bob carol" {
			t.Errorf("who can act: %v", r.Who)
		}
	}
	w.vote("carol", id, -2)
	if e := w.explain(id); e.WhatIf != nil {
		t.Errorf("it is refused, and yet %s", e.WhatIf.Sentence())
	}
}

// What gates ask for beside votes and stages can be supposed too, and is told in their words.
func TestWhatIfBesideVotesAndStages(t *testing.T) {
	w := newWorld(t, acceptPlan)
	hold := make(chan struct{})
	w.stages.set(func(runner.Request) runner.Result { <-hold; return passed() })
	defer close(hold)
	id := w.propose("alice", "a", "1\n")
	const all = "bob approves, unit passes, build passes, carol approves at gate accepted, ci/windows passes"
	for text, want := range map[string]string{
		"bob approves":     "it would still wait: gate accepted: needs approval from managers",
		"unit is left out": "if unit is left out, it would still wait: gate review: needs",
		"review is left out, unit passes, build passes":                            "it would still wait: gate accepted: needs approval from managers, not from the author, has 0",
		"bob approves, unit passes, build passes, alice approves at gate accepted": "it would still wait: gate accepted: needs approval from managers, not from the author, has 0",
		"bob approves, unit passes, build passes, carol approves at accepted":      "it would still wait: gate accepted: waits for the status ci/windows",
		all:                              "and wait there: gate accepted: ",
		"bob approves, ci/windows fails": "it would be refused: accepted: ci/windows failed",
		"bob approves, unit passes, p95_ms is 130":                   "it would be refused: tested: p95_ms is 130, at most 120 is allowed",
		"bob approves, metric:p95_ms=120, unit passes, build passes": "it would still wait: gate accepted: needs approval",
	} {
		if got := w.whatIf(id, text).Sentence(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	if got := w.whatIf(id, all+", the time is right"); !got.Queues || strings.Contains(got.Outcome, "wait") || strings.Contains(strings.Join(got.Missing, "|"), "accepted") {
		t.Errorf("all of it: %s; missing %q", got.Sentence(), got.Missing)
	}
	for text, want := range map[string]string{
		"carol approves at gate tested": "no gate before the landing asks for approvals at", "rps is 5": "the metric", "ci/mac passes": "no stage", "build is left out": "does not let anybody",
		"served in staging for 12h": "a what-if ends there", "time:2126-01-01T00:00:00Z": "too far away", "nobody approves at accepted": "no account", "smoke is left out": "no stage and no gate",
	} {
		all, err := gatekeeper.ParseSuppositions([]string{text})
		w.must(err)
		if _, err := w.control.WhatIf(w.ctx, w.people["alice"], id, all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// The page's own line asks those who can, and says what then still keeps it.
	e := w.explain(id)
	if e.WhatIf == nil || !strings.Contains(e.WhatIf.Sentence(), "bob or carol approves at gate accepted, ci/windows passes") || !strings.Contains(e.WhatIf.Outcome, "wait there: gate accepted: ") {
		t.Errorf("%+v", e.WhatIf)
	}
	// What was left out is not missing.
	w.must(w.control.Bypass(w.ctx, w.people["bob"], id, "review", "she is right"))
	if e := w.explain(id); e.WhatIf == nil || strings.Contains(strings.Join(e.WhatIf.If, " "), "somebody approves") || strings.Contains(strings.Join(e.WhatIf.Missing, " "), "review") || strings.Contains(e.Summary, "review") {
		t.Errorf("left out, and yet %+v; %s", e.WhatIf, e.Summary)
	}
}

// whatIf is what alice is told would become of a change.
func (w *world) whatIf(id int64, text string) gatekeeper.WhatIf {
	w.Helper()
	all, err := gatekeeper.ParseSuppositions([]string{text})
	w.must(err)
	got, err := w.control.WhatIf(w.ctx, w.people["alice"], id, all)
	w.must(err)
	return got
}
