package gatekeeper_test

import (
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
	ask := func(text string) gatekeeper.WhatIf {
		t.Helper()
		all, err := gatekeeper.ParseSuppositions([]string{text})
		w.must(err)
		got, err := w.control.WhatIf(w.ctx, w.people["alice"], id, all)
		w.must(err)
		return got
	}
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
		if got := ask(text).Sentence(); !strings.Contains(got, want) {
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
