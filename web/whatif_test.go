package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
)

// The form offers what is missing as if it were there, the owners of what is touched among it,
// and answers in the box; it needs no script, and no right but to read.
func TestWhatIfForm(t *testing.T) {
	w, _ := hello(t)
	w.gate.set(1, []gatekeeper.Requirement{
		{Name: "review", Kind: "gate", State: string(plan.Closed), Reason: "needs a vote", Who: []string{"bob", "maintainers", "anyone who may vote"}, Next: "vote"},
		{Name: "unit", Kind: "stage", State: string(plan.Running), Reason: "is running"},
		{Name: "lint", Kind: "stage", State: string(plan.Passed), Reason: "passed"},
		{Name: "change 7", Kind: "parent", State: string(plan.Waiting), Reason: "stands on it"},
		{Name: "submit", Kind: "submit", State: string(plan.Closed), Reason: "nobody asked", Next: "submit"},
	}, nil)
	c := w.session("")
	page := c.get("/c/1").ok(200)
	if len(page.find("#what-if")) != 0 {
		t.Error("the form stands there unasked")
	}
	link := attr(page.find("#why footer a")[0], "href")
	page = c.get(strings.Split(link, "#")[0]).ok(200)
	var offers []string
	for _, in := range page.find("#what-if input[type=checkbox]") {
		offers = append(offers, attr(in, "value"))
	}
	want := []string{"bob approves", "unit passes", "change 7 lands", "it is submitted"}
	if !slices.Equal(offers, want) {
		t.Errorf("offers %q, want %q", offers, want)
	}
	if _, err := gatekeeper.ParseSuppositions(offers); err != nil {
		t.Errorf("an offer is not understood: %v", err)
	}
	ask := func(texts ...string) answer {
		return c.get("/c/1?" + url.Values{"if": texts}.Encode()).ok(200)
	}
	then := ask("bob approves", "unit passes", "")
	if got := then.one("#what-if .then"); got != "If bob vote and unit stage, it would queue" || len(then.find("#what-if .then .good")) != 1 {
		t.Errorf("answer %q", got)
	}
	if n := len(then.find("#what-if input[checked]")); n != 2 {
		t.Errorf("%d are ticked", n)
	}
	if live := attr(then.find("body")[0], "data-live"); !strings.Contains(live, "if=bob+approves") {
		t.Errorf("the stream %q forgets what was asked", live)
	}
	if got := ask("nobody approves").one("#what-if .then"); !strings.Contains(got, "no account") {
		t.Errorf("unknown account: %q", got)
	}
	wrong := ask("<b>pigs fly</b>")
	if got := wrong.one("#what-if .then"); !strings.Contains(got, "nothing that can be supposed") || len(wrong.find("#what-if b")) != 0 {
		t.Errorf("nonsense: %q", got)
	}
	if got := attr(wrong.find("#supposed")[0], "value"); got != "<b>pigs fly</b>" {
		t.Errorf("what was written is lost: %q", got)
	}
}
