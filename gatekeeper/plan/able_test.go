package plan

import (
	"slices"
	"strings"
	"testing"
)

// Whoever may not approve is not among those who are asked to.
func TestWhoCanApprove(t *testing.T) {
	dan := map[string][]string{"dan": {Author}, "carol": {Committer}}
	for _, c := range []struct {
		criterion string
		e         Evidence
		want      string
	}{
		{"{approve: {min: 2, by: [managers], not: [author]}}", Evidence{}, "carol dan group:core"},
		{"{approve: {min: 2, by: [managers], not: [author]}}", Evidence{Parts: dan}, "carol group:core"},
		{"{approve: {min: 2, by: [managers], not: [author, committer]}}", Evidence{Parts: dan}, "group:core"},
		{"{approve: {min: 2, by: [managers]}}", Evidence{Parts: dan}, "carol dan group:core"},
		{"{approve: {min: 2, by: [managers], not: [author]}}", Evidence{Parts: dan, Approvals: []Approval{{Gate: "g", By: "carol", At: noon}}}, "group:core"},
		{"{approve: {min: 1, by: [managers], not: [author]}}", Evidence{Parts: dan, Approvals: []Approval{{Gate: "g", By: "dan", Is: []string{Author}, At: noon}}}, "carol group:core"},
		{"{approve: {min: 1}}", Evidence{Parts: dan}, "anyone who may vote"},
		{"{approve: {min: 1, not: [author, uploader]}}", Evidence{Parts: dan}, "anyone who may vote, but the author and the uploader"},
	} {
		p := accept(t, c.criterion)
		g, _ := p.Gate("g")
		v := Evaluate(g, c.e, noon)
		i := slices.IndexFunc(v.Reasons, func(r Reason) bool { return r.Kind == "approve" })
		if got := strings.Join(v.Reasons[i].Who, " "); v.State != Closed || got != c.want {
			t.Errorf("%s: %s, %q can; want %q", c.criterion, v.State, got, c.want)
		}
	}
	p := accept(t, "{approve: {min: 1, by: [managers], not: [author]}}")
	g, _ := p.Gate("g")
	for _, c := range g.Require {
		if a, is := c.(Approve); is {
			a.Members = []string{"dan"}
			g.Require = []Criterion{a}
		}
	}
	if got := Evaluate(g, Evidence{Parts: dan}, noon).Reasons[0].Who; len(got) != 1 || got[0] != "nobody in managers who has not approved or taken part" {
		t.Errorf("nobody is left: %q", got)
	}
}
