package plan

import (
	"os"
	"strings"
	"testing"
)

// The example in the documentation is a plan without problems.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/plan.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("docs/plan.md has no example")
	}
	p := mustParse(t, example)
	if len(p.Stages) != 2 || len(p.Gates) != 2 {
		t.Errorf("%d stages, %d gates", len(p.Stages), len(p.Gates))
	}
}
