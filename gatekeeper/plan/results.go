package plan

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// Limits of test results. A stage writes them, so they are as hostile as any pushed file.
const (
	// MaxResults is the size of a results file in bytes. `go test -json` of a large module
	// with verbose tests is about a quarter of it.
	MaxResults = 32 << 20
	// MaxCases is how many tests one file can report; the largest suites that we know have
	// half as many.
	MaxCases = 200_000
	// keptCases bounds the list that is kept; failures come first.
	keptCases = 2_000
	// keptOutputs is for how many failures the output is kept, and keptOutput how many bytes
	// of its end. The log has the rest.
	keptOutputs = 50
	keptOutput  = 4 << 10
	// keptName is how long a test's name is shown.
	keptName = 300
	// maxXMLDepth is how deep JUnit files nest; suites in suites make it 5 in practice.
	maxXMLDepth = 32
	// maxAttributes is how many attributes an XML element has. The XML reader keeps them all
	// until the element ends; JUnit knows about ten.
	maxAttributes = 200
)

// ParseResults reads what a test tool wrote: kind is one of [GoTest], [JUnit] and [TAP]. It
// reports an error for a file that is cut, malformed or beyond the limits. A file that says
// by itself that something did not finish is read, and what did not finish counts as failed.
func ParseResults(kind string, text []byte) (Tests, error) {
	if len(text) > MaxResults {
		return Tests{}, fmt.Errorf("plan: %s results have %d bytes; at most %d are read", kind, len(text), MaxResults)
	}
	c := &collector{byKey: map[caseKey]int{}}
	var err error
	switch kind {
	case GoTest:
		err = c.goTest(text)
	case JUnit:
		err = c.junit(text)
	case TAP:
		err = c.tap(text)
	default:
		err = fmt.Errorf("this version knows no results of kind %q", kind)
	}
	if err != nil {
		return Tests{}, fmt.Errorf("plan: %s results: %w", kind, err)
	}
	return c.tests(), nil
}

type caseKey struct{ pkg, name string }

// collector gathers cases.
type collector struct {
	cases []Case
	byKey map[caseKey]int // index in cases, for formats that speak of a test more than once
	total time.Duration
}

// errTooMany is beyond MaxCases.
var errTooMany = fmt.Errorf("they have more than %d tests", MaxCases)

// add appends a case.
func (c *collector) add(t Case) error {
	if len(c.cases) >= MaxCases {
		return errTooMany
	}
	c.cases = append(c.cases, t)
	return nil
}

// tests counts and bounds what was gathered.
func (c *collector) tests() Tests {
	t := Tests{Duration: c.total}
	outputs := 0
	keep := func(all []Case, failed bool) {
		for _, k := range all {
			if (k.Status == CaseFailed) != failed {
				continue
			}
			if len(t.Cases) >= keptCases {
				t.Truncated = true
				return
			}
			k.Package, k.Name = cleanName(k.Package), cleanName(k.Name)
			if !failed || outputs >= keptOutputs {
				k.Output = ""
			} else if k.Output != "" {
				outputs++
				k.Output = cleanOutput(k.Output)
			}
			t.Cases = append(t.Cases, k)
		}
	}
	for _, k := range c.cases {
		switch k.Status {
		case CasePassed:
			t.Passed++
		case CaseFailed:
			t.Failed++
		case CaseSkipped:
			t.Skipped++
		default:
			panic(fmt.Sprintf("plan: unknown case status %q", k.Status))
		}
	}
	keep(c.cases, true)
	keep(c.cases, false)
	return t
}

// seconds is a duration that a tool reported; nonsense is 0.
func seconds(s float64) time.Duration {
	const year = 365 * 24 * 3600
	if math.IsNaN(s) || s < 0 || s > year {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func cleanName(s string) string {
	if len(s) > keptName {
		s = s[:keptName] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// cleanOutput is the end of the output, without control characters that a terminal obeys.
func cleanOutput(s string) string {
	if len(s) > keptOutput {
		s = "…" + s[len(s)-keptOutput:]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// eachLine calls f with every line, without its end.
func eachLine(text []byte, f func(number int, line []byte) error) error {
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if err := f(number, bytes.TrimSuffix(line, []byte("\r"))); err != nil {
			return err
		}
		text = rest
	}
	return nil
}
