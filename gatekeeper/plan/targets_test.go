package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const layered = `version: 1
targets:
  base: [base/]
  lib: {paths: ["lib/**", "!lib/docs/"], needs: [base]}
  web: {paths: [web/], needs: [lib]}
  api: {paths: [api/, web/api/], needs: [lib]}
  docs: [docs/, lib/docs/]
barriers: [schema.sql, "!web/package.json"]
stages:
  all: {run: all}
  web: {run: web, inputs: {targets: [web]}}
  scripts: {run: s, inputs: {paths: [scripts/, "!scripts/old/"]}}
  both: {run: b, inputs: {targets: [docs], paths: [tools/]}}
`

func TestLanes(t *testing.T) {
	plans := map[string]*Plan{
		LanesTargets: mustParse(t, layered),
		LanesFiles:   mustParse(t, layered+"land: {lanes: files}\n"),
		LanesBranch:  mustParse(t, layered+"land: {lanes: branch}\n"),
		"none":       mustParse(t, "version: 1\n"),
	}
	for _, c := range []struct {
		lanes, changed, want string // "!" is a barrier
	}{
		{LanesTargets, "web/a", "web"},
		{LanesTargets, "docs/a web/a docs/b", "docs web"},
		{LanesTargets, "lib/a", "api lib web"},
		{LanesTargets, "base/a", "api base lib web"},
		{LanesTargets, "web/api/a", "api web"},
		{LanesTargets, "lib/docs/a", "docs"},
		{LanesTargets, "", "!"},
		{LanesTargets, "web/a README", "!"},
		{LanesTargets, "web/a " + File, "!"},
		{LanesTargets, "web/a go.mod", "!"},
		{LanesTargets, "api/go.mod", "!"},
		{LanesTargets, "web/package.json", "web"},
		{LanesTargets, "api/package.json", "!"},
		{LanesTargets, "package.json", "!"},
		{LanesTargets, ".ci/a/b", "!"},
		{LanesTargets, "docs/schema.sql", "!"},
		{LanesTargets, "docs/.ci/a", "docs"},
		{LanesFiles, "web/b README web/a", "README web/a web/b"},
		{LanesFiles, "web/a web/a", "web/a"},
		{LanesFiles, "web/a go.sum", "!"},
		{LanesFiles, "web/a " + File, "!"},
		{LanesFiles, "docs/schema.sql", "!"},
		{LanesFiles, "", "!"},
		{LanesBranch, "web/a", "!"},
		{LanesBranch, "", "!"},
		{"none", "web/a", "!"},
	} {
		changed := strings.Fields(c.changed)
		names, barrier := plans[c.lanes].Lanes(changed)
		got := strings.Join(names, " ")
		if barrier {
			got += "!"
		}
		if got != c.want {
			t.Errorf("lanes of %s: [%s] touches %q, want %q", c.lanes, c.changed, got, c.want)
		}
		if strings.Join(changed, " ") != c.changed {
			t.Errorf("lanes of %s: [%s] became %v", c.lanes, c.changed, changed)
		}
	}
	t.Run("too many paths", func(t *testing.T) {
		var many []string
		for i := range maxLanePaths {
			many = append(many, fmt.Sprint("web/", i))
		}
		for _, lanes := range []string{LanesTargets, LanesFiles} {
			if _, barrier := plans[lanes].Lanes(many); barrier {
				t.Errorf("lanes of %s: %d paths are a barrier", lanes, len(many))
			}
			if _, barrier := plans[lanes].Lanes(append(many, "web/x")); !barrier {
				t.Errorf("lanes of %s: more than %d paths are no barrier", lanes, len(many))
			}
		}
	})
}

func TestInputs(t *testing.T) {
	p := mustParse(t, layered)
	paths := strings.Fields("api/a base/a docs/a go.mod lib/a lib/docs/a README schema.sql scripts/a scripts/old/a tools/a web/a web/api/a web/package.json " + File)
	const build = "go.mod schema.sql " + File + " "
	for _, c := range []struct {
		stage, changed, want string
	}{
		{"web", "docs/a", build + "base/a lib/a web/a web/api/a web/package.json"},
		{"web", "go.mod", build + "base/a lib/a web/a web/api/a web/package.json"},
		{"scripts", "web/a", build + "scripts/a"},
		{"both", "", build + "docs/a lib/docs/a tools/a"},
		{"all", "docs/a", build + "docs/a lib/docs/a"},
		{"all", "lib/a", build + "api/a base/a lib/a web/a web/api/a web/package.json"},
		{"all", "base/a", build + "api/a base/a lib/a web/a web/api/a web/package.json"},
		{"all", "go.mod", "whole"},
		{"all", "docs/a README", "whole"},
		{"all", "", "whole"},
		{"nosuch", "docs/a", "whole"},
	} {
		set, whole := p.Inputs(c.stage, strings.Fields(c.changed))
		got := []string{"whole"}
		if !whole {
			got = slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return !set.Matcher()(path) })
		}
		want := strings.Fields(c.want)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s for a change of [%s] (-want +got):\n%s", c.stage, c.changed, diff)
		}
	}
	if set, whole := mustParse(t, "version: 1\nstages: {a: {run: a}}\n").Inputs("a", []string{"x"}); !whole || set != nil {
		t.Errorf("without targets a stage reads %v", set)
	}
}

// What keeps changes apart keeps their results apart: when two changes share no lane, nothing
// that a stage without `inputs` reads for the one is changed by the other.
func TestLanesKeepInputsApart(t *testing.T) {
	files := []string{"a/x", "b/x", "c/x", "d/x", "a/b/x", "go.mod", "README"}
	rapid.Check(t, func(t *rapid.T) {
		p := genPlan(t, "plan")
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(files), 1, 3, rapid.ID)
		one, other := some.Draw(t, "one"), some.Draw(t, "other")
		mine, barrier := p.Lanes(one)
		theirs, wall := p.Lanes(other)
		if barrier || wall || p.Land.Lanes != LanesTargets {
			return
		}
		if !slices.IsSorted(mine) || len(mine) == 0 {
			t.Fatalf("lanes %v", mine)
		}
		if slices.ContainsFunc(mine, func(name string) bool { return slices.Contains(theirs, name) }) {
			return
		}
		i := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Inputs == nil })
		if i < 0 {
			return
		}
		set, whole := p.Inputs(p.Stages[i].Name, one)
		if whole || slices.ContainsFunc(other, set.Matcher()) {
			t.Fatalf("%v reads %v, of which %v changes some; lanes %v and %v", one, set, other, mine, theirs)
		}
		if !slices.ContainsFunc(one, set.Matcher()) {
			t.Fatalf("%v is not among %v", one, set)
		}
	})
}

// The largest plan meets the largest change.
func TestHostileTargets(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\ntargets:\n")
	for i := range MaxTargets {
		fmt.Fprintf(&b, "  t%d: {paths: [", i)
		for j := range 11 {
			fmt.Fprintf(&b, "'**/%d/**/a*b', ", i*64+j)
		}
		b.WriteString("x]")
		if i > 0 {
			fmt.Fprintf(&b, ", needs: [t%d]", i-1)
		}
		b.WriteString("}\n")
	}
	if b.Len() > MaxFile {
		t.Fatalf("%d bytes", b.Len())
	}
	p := mustParse(t, b.String())
	var changed []string
	for i := range maxLanePaths {
		changed = append(changed, strings.Repeat("d/", 20)+fmt.Sprint("x/", i))
	}
	if names, barrier := p.Lanes(changed); len(names) != MaxTargets || barrier {
		t.Errorf("%d targets, barrier %t", len(names), barrier)
	}
}

func BenchmarkInputs(b *testing.B) {
	p := mustParse(b, layered)
	var tree []string
	for i := range 100_000 {
		tree = append(tree, fmt.Sprintf("%s/module%d/internal/part%d/file.go", []string{"web", "lib", "docs", "other"}[i%4], i%100, i))
	}
	for b.Loop() {
		set, _ := p.Inputs("web", nil)
		in := set.Matcher()
		count := 0
		for _, path := range tree {
			if in(path) {
				count++
			}
		}
		if count != 50_000 {
			b.Fatal(count)
		}
	}
}
