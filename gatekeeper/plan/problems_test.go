package plan

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each plan in testdata/problems.txt has exactly the problems that stand below it.
func TestDeliveryProblems(t *testing.T) {
	text, err := os.ReadFile("testdata/problems.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for part := range strings.SplitSeq(string(text), "\n## ") {
		name, rest, _ := strings.Cut(part, "\n")
		source, want, ok := strings.Cut(rest, "\n->\n")
		if !ok {
			continue // what stands before the first
		}
		cases++
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(File, []byte("version: 1\n"+source+"\n"))
			if p != nil {
				t.Error("a plan with problems was handed out")
			}
			var got []string
			for _, problem := range problems {
				got = append(got, problem.String())
			}
			if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(got, "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if cases < 25 {
		t.Errorf("only %d cases were read", cases)
	}
}
