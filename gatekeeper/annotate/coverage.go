package annotate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/plan"
)

// Limits of coverage profiles.
const (
	// MaxProfile is the size of a profile in bytes: one of a million blocks.
	MaxProfile = 64 << 20
	// MaxFiles is how many files of a profile are looked at.
	MaxFiles = 50_000
	// MaxMarked is how many lines of all files together are marked, in the memory of a stage.
	MaxMarked = 2_000_000
	// maxSteps is how many lines the blocks of a Go profile have, counted again for each block.
	maxSteps = 5_000_000
)

// Mark says whether tests ran a line.
type Mark byte

// The marks. A line that holds nothing to run has None.
const (
	None    Mark = 0
	Missed  Mark = '-'
	Partial Mark = '~' // some of it ran, or only some of its branches were taken
	Covered Mark = '+'
)

// Lines are the marks of a file, by line; the first is line 1.
type Lines map[int]Mark

// Coverage is what profiles say about the files of the repository.
type Coverage struct {
	Files map[string]Lines
	// Run and All are how many lines have something to run in all files, and how many of them
	// ran, at least in part.
	Run, All int
}

// Profiles gathers coverage. The zero value keeps the marks of all files.
type Profiles struct {
	// Changed are the files whose marks are kept; the others are only counted. nil keeps all.
	Changed map[string]bool

	files  map[string]Lines
	marked int
	steps  int
}

// Parse reads a profile that a stage left: kind is [plan.GoCover], [plan.LCOV] or
// [plan.Cobertura]. A line that several profiles know ran if it did in one of them.
func (p *Profiles) Parse(kind string, text []byte, tree Tree) error {
	if len(text) > MaxProfile {
		return fmt.Errorf("annotate: the %s profile has %d bytes; at most %d are read", kind, len(text), MaxProfile)
	}
	var err error
	switch kind {
	case plan.GoCover:
		err = p.goCover(text, tree)
	case plan.LCOV:
		err = p.lcov(text, tree)
	case plan.Cobertura:
		err = p.cobertura(text, tree)
	default:
		err = fmt.Errorf("this version reads no coverage of kind %q", kind)
	}
	if err != nil {
		return fmt.Errorf("annotate: %s profile: %w", kind, err)
	}
	return nil
}

var (
	errMarks = fmt.Errorf("it marks more than %d lines", MaxMarked)
	errFiles = fmt.Errorf("it names more than %d files", MaxFiles)
)

// file finds or begins the marks of a file of the repository.
func (p *Profiles) file(name string) (Lines, error) {
	if p.files == nil {
		p.files = map[string]Lines{}
	}
	lines, ok := p.files[name]
	if !ok {
		if len(p.files) >= MaxFiles {
			return nil, errFiles
		}
		lines = Lines{}
		p.files[name] = lines
	}
	return lines, nil
}

// mark notes what a profile says about a line.
func (p *Profiles) mark(lines Lines, line int, m Mark) error {
	if line < 1 || line > MaxLine {
		return nil
	}
	had, seen := lines[line]
	if !seen {
		if p.marked++; p.marked > MaxMarked {
			return errMarks
		}
	}
	lines[line] = Better(had, m)
	return nil
}

// Better is what two runs of the tests say about a line together.
func Better(a, b Mark) Mark {
	for _, m := range []Mark{Covered, Partial, Missed} {
		if a == m || b == m {
			return m
		}
	}
	return None
}

// Coverage is what was gathered.
func (p *Profiles) Coverage() Coverage {
	c := Coverage{Files: map[string]Lines{}}
	for name, lines := range p.files {
		c.All += len(lines)
		for _, m := range lines {
			if m != Missed {
				c.Run++
			}
		}
		if p.Changed == nil || p.Changed[name] {
			c.Files[name] = lines
		}
	}
	return c
}

// String is the marks in a form that [ParseLines] reads: "3:7+ 8- 12:13~".
func (l Lines) String() string {
	numbers := make([]int, 0, len(l))
	for n, m := range l {
		if m != None {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var b strings.Builder
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 && l[numbers[end+1]] == l[numbers[i]] {
			end++
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(numbers[i]))
		if end > i {
			b.WriteString(":" + strconv.Itoa(numbers[end]))
		}
		b.WriteByte(byte(l[numbers[i]]))
		i = end + 1
	}
	return b.String()
}

// errLines says that a text was not written by [Lines.String].
var errLines = errors.New("annotate: these are no marks of lines")

// ParseLines reads what [Lines.String] writes.
func ParseLines(text string) (Lines, error) {
	lines := Lines{}
	for _, piece := range strings.Fields(text) {
		m := Mark(piece[len(piece)-1])
		if m != Missed && m != Partial && m != Covered {
			return nil, errLines
		}
		from, to, ranged := strings.Cut(piece[:len(piece)-1], ":")
		if !ranged {
			to = from
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, errLines
		}
		last, err := strconv.Atoi(to)
		if err != nil || first < 1 || last < first || last > MaxLine || len(lines)+last-first > MaxLine {
			return nil, errLines
		}
		for n := first; n <= last; n++ {
			lines[n] = m
		}
	}
	return lines, nil
}
