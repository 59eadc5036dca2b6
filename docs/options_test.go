package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

var inCode = regexp.MustCompile("`([^`]+)`")

// The page for users names every push option that the server takes, as it is written, and no other.
func TestPushOptionsAreDocumented(t *testing.T) {
	_, _, err := review.ParseOptions("refs/for/main", []string{"help"})
	_, help := fault.Public(err)
	var taken []string
	for _, line := range strings.Split(help, "\n")[1:] {
		names, _, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("-o help says %q", line)
		}
		taken = append(taken, strings.Split(names, ", ")...)
	}
	text, err := os.ReadFile("use.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### Push options\n")
	if !found {
		t.Fatal("use.md has no section on push options")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range inCode.FindAllStringSubmatch(cells[1], -1) {
			told = append(told, m[1])
		}
	}
	slices.Sort(taken)
	slices.Sort(told)
	if len(taken) < 10 || !slices.Equal(taken, told) {
		t.Errorf("the server takes %q, and use.md tells of %q", taken, told)
	}
}
