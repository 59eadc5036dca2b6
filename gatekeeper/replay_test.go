package gatekeeper_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
)

func TestReplay(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(unitPlan, "HOW", "merge"))
	landed := w.propose("alice", "a", "1\n", "submit")
	w.vote("bob", landed, 2)
	w.state(landed, gatekeeper.Landed)
	w.stages.set(w.but(failed))
	refused := w.propose("alice", "b", "1\n")
	w.state(refused, gatekeeper.Refused)
	look := func(text string) gatekeeper.Replay {
		t.Helper()
		var plan []byte
		if text != "" {
			plan = []byte(text)
		}
		r, err := w.control.Replay(w.ctx, w.people["carol"], "hello", "", time.Now().Add(-time.Hour), plan)
		w.must(err)
		return r
	}
	if r := look(""); r.Looked != 2 || len(r.Otherwise) != 0 || len(r.Unknown) != 0 {
		t.Errorf("the plan that decided: %+v", r)
	}
	const gates = `version: 1
stages:
  unit: {run: "true", results: {gotest: unit.json}}
gates:
`
	for name, tt := range map[string]struct {
		plan               string
		otherwise, unknown string
	}{
		"two approvals": {gates + `  review: {require: [{review: {min: 2}}]}
  tested: {after: [unit], require: [{stages: passed}]}
`, "landed would wait: gate review: needs 2 × Code-Review+2, has 1", ""},
		"more tests": {gates + `  tested: {after: [unit], require: [{tests: {failed: 0, min: 10}}]}
`, "landed would be refused: gate tested:", ""},
		"tests do not count": {gates + `  review: {require: [{review: {min: 1}}]}
`, "refused would land: no stage refuses it any more", ""},
		"another stage": {`version: 1
stages: {unit: {run: "true"}, smoke: {run: "true"}}
gates: {tested: {after: [unit, smoke], require: [{stages: passed}]}}
`, "", "landed unknown: stage smoke did not run then"},
	} {
		r := look(tt.plan)
		words := func(all []gatekeeper.Redecision) string {
			var texts []string
			for _, d := range all {
				texts = append(texts, d.Was+" "+d.Now+": "+d.Why)
			}
			return strings.Join(texts, "\n")
		}
		if got := words(r.Otherwise); !strings.HasPrefix(got, tt.otherwise) || (got == "") != (tt.otherwise == "") || strings.Contains(got, "\n") {
			t.Errorf("%s: otherwise %q", name, got)
		}
		if got := words(r.Unknown); got != tt.unknown {
			t.Errorf("%s: unknown %q", name, got)
		}
	}
	if r, err := w.control.Replay(w.ctx, w.people["carol"], "hello", "", time.Now().Add(time.Hour), nil); err != nil || r.Looked != 0 {
		t.Errorf("since then nothing was decided: %+v, %v", r, err)
	}
	if _, err := w.control.Replay(w.ctx, w.people["carol"], "hello", "", time.Now(), []byte("version: 7")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a plan that does not parse: %v", err)
	}
	if _, err := w.control.Replay(w.ctx, account.Actor{}, "nowhere", "", time.Now(), nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such repository: %v", err)
	}
	w.must(w.review.SetPrivate(w.ctx, w.people["alice"], refused, true))
	if r := look(""); r.Looked != 1 {
		t.Errorf("a private change is looked at for carol: %+v", r)
	}
}
