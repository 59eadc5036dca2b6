package plan

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manuals are the docs in which every example is a plan.
var manuals = []string{"plan.md", "from-zuul.md", "from-github-actions.md", "from-gitlab.md"}

// manual is the documentation, its examples, and each section by its heading.
func manual(t *testing.T) (examples []string, sections map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/plan.md")
	if err != nil {
		t.Fatal(err)
	}
	examples = examplesOf(t, "plan.md")
	sections = map[string]string{}
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1) {
		heading, body, _ := strings.Cut(part, "\n")
		sections[heading] = body
	}
	return examples, sections
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names lists what stands in backquotes.
func names(text string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// Every example in the documentation is a plan without problems, and does what the text says.
func TestDocumentation(t *testing.T) {
	examples, sections := manual(t)
	if len(examples) != 6 {
		t.Fatalf("docs/plan.md has %d examples", len(examples))
	}
	t.Run("everything", func(t *testing.T) {
		if p := mustParse(t, examples[0]); len(p.Stages) != 2 || len(p.Gates) != 2 {
			t.Errorf("%d stages, %d gates", len(p.Stages), len(p.Gates))
		}
	})
	t.Run("five gates", func(t *testing.T) {
		if diff := cmp.Diff(fiveGates, examples[1]); diff != "" {
			t.Errorf("what the tests walk through is not what the docs show (-tests +docs):\n%s", diff)
		}
	})
	t.Run("other systems", func(t *testing.T) {
		for _, file := range manuals[1:] {
			plans := examplesOf(t, file)
			if len(plans) != 1 {
				t.Fatalf("%s has %d examples", file, len(plans))
			}
			if p := mustParse(t, plans[0]); len(p.Delivering("").Stages) == 0 {
				t.Errorf("%s delivers nothing", file)
			}
		}
	})
	t.Run("targets", func(t *testing.T) {
		p := mustParse(t, examples[2])
		rows := 0
		for line := range strings.SplitSeq(sections["Many changes at once"], "\n") {
			cells := strings.Split(line, "|")
			if len(cells) != 4 || len(names(cells[1])) == 0 {
				continue
			}
			rows++
			touches, barrier := p.Lanes(names(cells[1]))
			if diff := cmp.Diff(names(cells[2]), touches); diff != "" || barrier != (strings.TrimSpace(cells[2]) == "everything") {
				t.Errorf("%s: barrier %t (-docs +plan)\n%s", line, barrier, diff)
			}
		}
		if rows != 7 {
			t.Errorf("%d rows tell what a change touches", rows)
		}
		set, _ := p.Inputs("links", []string{"web/app.css"})
		reads := set.Matcher()
		for path, want := range map[string]bool{"web/app.css": false, "docs/a": true, "lib/docs/a": true, "scripts/links.sh": true, "go.mod": true} {
			if reads(path) != want {
				t.Errorf("links reads %s: %t", path, !want)
			}
		}
	})
	t.Run("barriers", func(t *testing.T) {
		told := names(sections["Barriers"])
		told = slices.DeleteFunc(told, func(name string) bool { return name == "barriers" || strings.Contains(name, "!") })
		if diff := cmp.Diff(DefaultBarriers(), told); diff != "" {
			t.Errorf("-plan +docs:\n%s", diff)
		}
	})
	t.Run("freezes", func(t *testing.T) {
		p := mustParse(t, examples[3])
		reason, until := p.Frozen(time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC))
		if want := time.Date(2027, 1, 4, 7, 0, 0, 0, time.UTC); reason != "holidays" || !until.Equal(want) {
			t.Errorf("%q until %s", reason, until)
		}
	})
	t.Run("findings and coverage", func(t *testing.T) {
		p := mustParse(t, examples[5])
		lint, _ := p.Stage("lint")
		vet, _ := p.Stage("vet")
		unit, _ := p.Stage("unit")
		if diff := cmp.Diff([]Report{{SARIF, "lint.sarif"}, {Lines, ""}}, append(lint.Annotations, vet.Annotations...)); diff != "" || unit.Coverage[GoCover] != "cover.out" {
			t.Errorf("%v\n%s", unit.Coverage, diff)
		}
	})
	t.Run("quarantine", func(t *testing.T) {
		p := mustParse(t, examples[4])
		e := Evidence{Stages: map[string]StageState{"unit": Passed, "browser": Failed}}
		if state, _ := RunVerdict(p, e, noon); state != RunPassed {
			t.Errorf("the run is %s", state)
		}
		if state, _ := RunVerdict(p, e, noon.AddDate(0, 2, 0)); state != RunRefused {
			t.Errorf("later the run is %s", state)
		}
	})
}

// Every key that a plan can have is in the documentation, and none that it cannot.
func TestDocumentedKeys(t *testing.T) {
	_, sections := manual(t)
	for section, text := range map[string]string{
		"Keys": "version: 1\nx: 1\n", "Stages": "version: 1\nstages: {a: {run: x, zzzzzz: 1}}\n",
		"Gates": "version: 1\ngates: {a: {zzzzzz: 1}}\n", "Landing": "version: 1\nland: {zzzzzz: 1}\n",
		"Outcomes": "version: 1\noutcomes: {a: {zzzzzz: 1}}\n", "Artifacts": "version: 1\nartifacts: {a: {zzzzzz: 1}}\n",
		"Environments": "version: 1\nenvironments: {a: {zzzzzz: 1}}\n", "Deploys": "version: 1\nstages: {a: {deploy: {zzzzzz: 1}}}\n",
	} {
		_, problems := Parse(File, []byte(text))
		i := slices.IndexFunc(problems, func(p Problem) bool { return strings.HasPrefix(p.Fix, "known keys: ") })
		if i < 0 {
			t.Fatalf("%s: %v", section, problems)
		}
		known := strings.Split(strings.TrimPrefix(problems[i].Fix, "known keys: "), ", ")
		var told []string
		for line := range strings.SplitSeq(sections[section], "\n") {
			if cells := strings.Split(line, "|"); len(cells) == 5 && len(names(cells[1])) == 1 {
				told = append(told, names(cells[1])[0])
			}
		}
		slices.Sort(told)
		if diff := cmp.Diff(known, told); diff != "" {
			t.Errorf("%s (-plan +docs):\n%s", section, diff)
		}
	}
}
