package plan

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/review/owners"
)

const ownersPlan = `version: 1
gates: {owned: {require: [{owners: {not: [author], override: [leads]}}]}}
roles: {leads: [lena, "group:chiefs"]}
`

func TestOwners(t *testing.T) {
	p := mustParse(t, ownersPlan)
	if !p.AsksOwners() {
		t.Fatal("it asks for no owners")
	}
	file := owners.Parse("CODEOWNERS", []byte("web/ @org/web @ann\nweb/secret.js @ann\ndocs/ dora@example.org\nfree/\n"))
	yes := func(by string, more ...string) Vote { return Vote{Label: CodeReview, Value: 2, By: by, Groups: more} }
	dora := yes("dora")
	dora.Email = "Dora@Example.org"
	author := yes("ann")
	author.Is = []string{Author}
	for name, c := range map[string]struct {
		file    *owners.File
		votes   []Vote
		touched []string
		state   GateState
		what    string
		who     string
	}{
		"nobody yet": {file, nil, []string{"web/a.js", "web/b.js", "docs/x", "y"}, Closed,
			"web/a.js and 1 more need @org/web or @ann (CODEOWNERS:1); docs/x needs dora@example.org (CODEOWNERS:3); y needs anybody (nobody owns it)",
			"group:web,ann,dora@example.org,anyone who may vote"},
		"one of two":           {file, []Vote{yes("will", "web")}, []string{"web/a.js", "docs/x", "y"}, Closed, "docs/x needs dora@example.org (CODEOWNERS:3)", "dora@example.org"},
		"all":                  {file, []Vote{yes("will", "web"), dora}, []string{"web/a.js", "docs/x", "y"}, Open, "every path is approved by its owners", ""},
		"last match wins":      {file, []Vote{yes("will", "web")}, []string{"web/secret.js"}, Closed, "web/secret.js needs @ann (CODEOWNERS:2)", "ann"},
		"the author is no":     {file, []Vote{author}, []string{"web/secret.js"}, Closed, "web/secret.js needs @ann (CODEOWNERS:2)", "ann"},
		"too little":           {file, []Vote{{Label: CodeReview, Value: 1, By: "ann"}}, []string{"web/a.js"}, Closed, "web/a.js needs @org/web or @ann (CODEOWNERS:1)", "group:web,ann"},
		"another label":        {file, []Vote{{Label: "Verified", Value: 2, By: "ann"}}, []string{"web/a.js"}, Closed, "web/a.js needs @org/web or @ann (CODEOWNERS:1)", "group:web,ann"},
		"a veto":               {file, []Vote{dora, {Label: CodeReview, Value: -2, By: "will"}}, []string{"docs/x"}, Refused, "will refused with Code-Review-2", "will"},
		"override":             {file, []Vote{yes("lena")}, []string{"docs/x", "web/a.js"}, Open, "lena approves for the owners of every path", ""},
		"override by group":    {file, []Vote{yes("carl", "chiefs")}, []string{"docs/x"}, Open, "carl approves for the owners of every path", ""},
		"owned by nobody":      {file, nil, []string{"free/x"}, Closed, "free/x needs anybody (nobody owns it)", "anyone who may vote"},
		"nobody's, approved":   {file, []Vote{yes("zoe")}, []string{"free/x"}, Open, "every path is approved by its owners", ""},
		"no file":              {nil, nil, []string{"x"}, Closed, "x needs anybody (nobody owns it)", "anyone who may vote"},
		"no file, approved":    {nil, []Vote{yes("zoe")}, []string{"x"}, Open, "every path is approved by its owners", ""},
		"no path":              {file, nil, []string{}, Closed, "an empty change needs anybody (nobody owns it)", "anyone who may vote"},
		"paths are not known":  {file, []Vote{yes("ann"), dora}, nil, Closed, "which paths it touches is not known, or they are too many", "group:chiefs,lena"},
		"not known, overriden": {file, []Vote{yes("lena")}, nil, Open, "lena approves for the owners of every path", ""},
		"sections": {owners.Parse("CODEOWNERS", []byte("[Web][2] @ann @bea @cid\nweb/\n^[Maybe]\n* @dan\n")), []Vote{yes("ann")}, []string{"web/a", "web/b", "c"}, Closed,
			"web/a and 1 more need 2 of @ann or @bea or @cid (CODEOWNERS:2)", "ann,bea,cid"},
		"sections, approved": {owners.Parse("CODEOWNERS", []byte("[Web][2] @ann @bea @cid\nweb/\n^[Maybe]\n* @dan\n")), []Vote{yes("ann"), yes("cid")}, []string{"web/a", "c"}, Open, "every path is approved by its owners", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p.SetOwners(c.file)
			v := Evaluate(p.Gates[0], Evidence{Votes: c.votes, Touched: c.touched}, noon)
			r := v.Reasons[0]
			if v.State != c.state || r.What != c.what || strings.Join(r.Who, ",") != c.who || r.Kind != "owners" {
				t.Errorf("%s %q %v\nwant %s %q %s", v.State, r.What, r.Who, c.state, c.what, c.who)
			}
		})
	}
}

// Who owns what is read from the target branch: a candidate's own plan and file do not count.
func TestOwnersAreThePolicys(t *testing.T) {
	policy, own := mustParse(t, ownersPlan), mustParse(t, "version: 1\n")
	policy.SetOwners(owners.Parse("CODEOWNERS", []byte("* @ann\n")))
	composed, _ := Compose(policy, own)
	e := Evidence{Touched: []string{"x"}, Votes: []Vote{{Label: CodeReview, Value: 2, By: "bob"}}}
	if v := Evaluate(composed.Landing()[0], e, noon); v.State != Closed {
		t.Errorf("the gate is %s", v.State)
	}
	digest := policy.Digest()
	policy.SetOwners(nil)
	if policy.Digest() != digest {
		t.Error("the digest of a plan depends on another file")
	}
	if state, _ := RunVerdict(composed, Evidence{}, noon); state != RunPassed {
		t.Errorf("a run without stages is %s", state)
	}
}

func TestOwnersProblems(t *testing.T) {
	for text, want := range map[string]string{
		"owners":                      "write `{owners: {}}`",
		"{owners: {by: [x]}}":         "has no key `by`",
		"{owners: {override: [x]}}":   "role `x`",
		"{owners: {label: Odd}}":      "`Odd`, which is no label",
		"{owners: {value: 3}}":        "ends at +2",
		"{owners: {not: [reviewer]}}": "reviewer",
		"{owners: 3}":                 "must be a mapping",
	} {
		_, problems := Parse(File, []byte("version: 1\ngates: {g: {require: ["+text+"]}}\n"))
		if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("%s: %v, want %q", text, problems, want)
		}
	}
	p := mustParse(t, "version: 1\nstages: {s: {run: x, after: [g]}}\ngates: {g: {require: [{owners: {}}]}}\n")
	if steps := Next(p, Evidence{Touched: []string{"a"}}, noon); len(steps.Start) > 0 || steps.Done || !strings.HasPrefix(steps.Held["s"], "waits for gate g: ") {
		t.Errorf("a stage behind owners: %+v", steps)
	}
}
