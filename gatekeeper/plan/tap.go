package plan

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// planCase names a failure of a TAP file as a whole.
const planCase = "(plan)"

// The lines of TAP that count; see the specifications of versions 13 and 14 on
// https://testanything.org. Everything indented is a diagnostic or a subtest, which the test
// point after it sums up.
var (
	tapPlan  = regexp.MustCompile(`^1\.\.([0-9]{1,9})(?:\s*#.*)?$`)
	tapPoint = regexp.MustCompile(`^(not )?ok\b *([0-9]{1,9})?(.*)$`)
)

// tapReader reads one TAP stream.
type tapReader struct {
	c       *collector
	planned int // -1 before the plan
	points  int
	numbers map[int]bool
	last    int    // index of the last case, -1 before the first: diagnostics belong to it
	output  []byte // of the last case, while it may still come
	yaml    bool
	broken  []string // what is wrong with the stream as a whole
}

// tap reads TAP 13 and 14. A stream without a plan, with another number of tests than
// planned, with a number twice or beyond the plan, or that bails out counts as one more failed
// test. A failing test marked TODO is expected to fail and counts as skipped.
func (c *collector) tap(text []byte) error {
	r := &tapReader{c: c, planned: -1, last: -1, numbers: map[int]bool{}}
	if err := eachLine(text, r.line); err != nil {
		return err
	}
	r.flush()
	if r.planned < 0 && r.points == 0 && len(r.broken) == 0 {
		return errors.New("there is no TAP in the file")
	}
	switch {
	case len(r.broken) > 0:
	case r.planned < 0:
		r.broken = append(r.broken, "there is no plan (1..N): the end may be missing")
	case r.points != r.planned:
		r.broken = append(r.broken, fmt.Sprintf("%d tests were planned and %d reported", r.planned, r.points))
	}
	if len(r.broken) == 0 {
		return nil
	}
	return c.add(Case{Name: planCase, Status: CaseFailed, Output: strings.Join(r.broken, "\n") + "\n"})
}

// say notes something wrong with the stream, each thing once.
func (r *tapReader) say(format string, args ...any) {
	const enough = 20 // one is enough to fail
	if len(r.broken) < enough {
		r.broken = append(r.broken, fmt.Sprintf(format, args...))
	}
}

func (r *tapReader) line(_ int, raw []byte) error {
	trimmed := bytes.TrimLeft(raw, " \t")
	indented := len(trimmed) < len(raw)
	if bytes.HasPrefix(trimmed, []byte("Bail out!")) && !r.yaml {
		r.say("%s", clip(string(trimmed)))
		return nil
	}
	if indented {
		switch text := string(bytes.TrimRight(trimmed, " \t")); {
		case text == "---" && r.last >= 0:
			r.yaml = true
		case text == "...":
			r.yaml = false
		}
		r.diagnostic(trimmed)
		return nil
	}
	r.yaml = false
	if m := tapPlan.FindSubmatch(raw); m != nil {
		count, err := strconv.Atoi(string(m[1]))
		if r.planned >= 0 || err != nil {
			r.say("there are two plans")
			return nil
		}
		r.planned = count
		return nil
	}
	if m := tapPoint.FindSubmatch(raw); m != nil {
		return r.point(len(m[1]) == 0, string(m[2]), string(m[3]))
	}
	if len(raw) > 0 && raw[0] == '#' {
		r.diagnostic(raw)
	}
	return nil
}

// diagnostic gives a line to the test point before it, if that failed.
func (r *tapReader) diagnostic(line []byte) {
	if r.last < 0 {
		return
	}
	if r.c.cases[r.last].Status == CaseFailed && len(r.output) < 4*keptOutput {
		r.output = append(append(r.output, line[:min(len(line), keptOutput)]...), '\n')
	}
}

// flush gives the last case its diagnostics.
func (r *tapReader) flush() {
	if r.last >= 0 && len(r.output) > 0 {
		r.c.cases[r.last].Output = string(r.output)
	}
	r.output = r.output[:0]
}

func (r *tapReader) point(ok bool, number, rest string) error {
	r.flush()
	r.points++
	n := r.points
	if number != "" {
		given, err := strconv.Atoi(number)
		if err != nil {
			return errors.New("a test has a number that is none")
		}
		n = given
	}
	if r.numbers[n] || r.planned >= 0 && (n > r.planned || n == 0) {
		r.say("test %d was reported twice or was not planned", n)
	}
	r.numbers[n] = true
	name, directive := splitDirective(rest)
	status := CasePassed
	switch {
	case directive == "skip" && ok, directive == "todo":
		status = CaseSkipped
	case !ok:
		status = CaseFailed
	}
	if name == "" {
		name = "test " + strconv.Itoa(n)
	}
	if err := r.c.add(Case{Name: name, Status: status}); err != nil {
		return err
	}
	r.last = len(r.c.cases) - 1
	return nil
}

// directiveRoom is how far after # a directive's word ends: spaces and four letters.
const directiveRoom = 16

// splitDirective parts a description from its directive: the text after the first # that no
// backslash escapes and that starts with SKIP or TODO.
func splitDirective(rest string) (name, directive string) {
	rest = strings.TrimSpace(rest)
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == '\\':
			i++
		case rest[i] == '#':
			// A few bytes hold the word: a line full of # must not cost its length squared.
			word := strings.ToLower(strings.TrimSpace(rest[i+1 : min(len(rest), i+1+directiveRoom)]))
			for _, d := range []string{"skip", "todo"} {
				if strings.HasPrefix(word, d) {
					return describe(rest[:i]), d
				}
			}
		}
	}
	return describe(rest), ""
}

// describe is a description without its dash.
func describe(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "-"))
}
