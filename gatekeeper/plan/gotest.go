package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// packageCase names a failure that belongs to a package and to none of its tests.
const packageCase = "(package)"

// goEvent is one line of `go test -json` (see `go doc test2json`; build events are described
// in `go help buildjson`).
type goEvent struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// goPackage is what is known of a package while its events come.
type goPackage struct {
	name    string
	ended   bool
	failed  bool
	build   string // the build that failed it
	output  []byte
	elapsed float64
}

// goReader turns events into cases.
type goReader struct {
	c        *collector
	packages map[string]*goPackage
	order    []*goPackage
	builds   map[string][]byte // output of builds
	broken   []string          // builds that failed, in order
	outputs  map[int][]byte    // by case
	open     map[int]bool      // cases that have not ended
	events   int               // of packages and tests, and builds that failed
}

// goTest reads the output of `go test -json`. A package counts as one failed test of its own
// when it failed though no test in it did (it does not build, it panicked, it ran out of
// time), and when it has no end; so does a test that began and has no end. Lines that are not
// JSON objects are other tools' output and passed over.
func (c *collector) goTest(text []byte) error {
	g := &goReader{c: c, packages: map[string]*goPackage{}, builds: map[string][]byte{}, outputs: map[int][]byte{}, open: map[int]bool{}}
	err := eachLine(text, func(number int, line []byte) error {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] != '{' {
			return nil
		}
		var e goEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d is cut or no event of `go test -json`", number)
		}
		return g.event(e)
	})
	if err != nil {
		return err
	}
	if g.events == 0 {
		return errors.New("there is no event of `go test -json` about a package or a test in the file")
	}
	return g.finish()
}

func (g *goReader) event(e goEvent) error {
	switch {
	case e.Action == "":
		return nil // JSON of another tool
	case e.Package != "" && e.Test != "":
		return g.testEvent(e)
	case e.Package != "":
		return g.packageEvent(e)
	case e.ImportPath != "":
		g.buildEvent(e)
	}
	return nil
}

// pkg finds or makes a package.
func (g *goReader) pkg(name string) (*goPackage, error) {
	p, ok := g.packages[name]
	if !ok {
		if len(g.packages) >= MaxCases {
			return nil, errTooMany
		}
		p = &goPackage{name: name}
		g.packages[name] = p
		g.order = append(g.order, p)
	}
	return p, nil
}

func (g *goReader) packageEvent(e goEvent) error {
	g.events++
	p, err := g.pkg(e.Package)
	if err != nil {
		return err
	}
	switch e.Action {
	case "pass", "skip":
		p.ended, p.elapsed = true, e.Elapsed
	case "fail":
		p.ended, p.failed, p.build, p.elapsed = true, true, e.FailedBuild, e.Elapsed
	case "start":
		p.ended = false // a second run of the package has its own end
	case "output":
		p.output = tail(p.output, e.Output)
	}
	return nil
}

func (g *goReader) testEvent(e goEvent) error {
	g.events++
	if _, err := g.pkg(e.Package); err != nil {
		return err
	}
	key := caseKey{e.Package, e.Test}
	i, seen := g.c.byKey[key]
	if !seen {
		if err := g.c.add(Case{Package: e.Package, Name: e.Test}); err != nil {
			return err
		}
		i = len(g.c.cases) - 1
		g.c.byKey[key] = i
		g.open[i] = true
	}
	k := &g.c.cases[i]
	switch e.Action {
	case "run":
		g.open[i] = true
	case "output":
		g.outputs[i] = tail(g.outputs[i], e.Output)
	case "pass", "bench", "skip", "fail":
		delete(g.open, i)
		k.Duration += seconds(e.Elapsed)
		switch { // of several runs (-count) the worst counts, and a skipped one least
		case e.Action == "fail":
			k.Status = CaseFailed
		case e.Action == "skip" && k.Status == "":
			k.Status = CaseSkipped
		case e.Action != "skip" && k.Status != CaseFailed:
			k.Status = CasePassed
		}
	}
	return nil
}

func (g *goReader) buildEvent(e goEvent) {
	switch e.Action {
	case "build-output":
		g.builds[e.ImportPath] = tail(g.builds[e.ImportPath], e.Output)
	case "build-fail":
		g.events++
		if !slices.Contains(g.broken, e.ImportPath) && len(g.broken) < keptCases {
			g.broken = append(g.broken, e.ImportPath)
		}
	}
}

// tail appends and keeps the end.
func tail(have []byte, more string) []byte {
	have = append(have, more...)
	if len(have) > 4*keptOutput {
		have = append([]byte(nil), have[len(have)-keptOutput:]...)
	}
	return have
}

// finish adds the failures that are nobody's test.
func (g *goReader) finish() error {
	failing := map[string]bool{}
	for i := range g.c.cases {
		k := &g.c.cases[i]
		k.Output = string(g.outputs[i])
		if g.open[i] {
			k.Status = CaseFailed
			k.Output += "(it did not finish)\n"
		}
		if k.Status == CaseFailed {
			failing[k.Package] = true
		}
	}
	explained := map[string]bool{}
	for _, p := range g.order {
		g.c.total += seconds(p.elapsed)
		explained[p.build] = true
		if failing[p.name] || p.ended && !p.failed {
			continue
		}
		output := string(p.output)
		if p.build != "" {
			output = string(g.builds[p.build]) + output
		}
		if !p.ended {
			output += "(it did not finish)\n"
		}
		if err := g.c.add(Case{Package: p.name, Name: packageCase, Status: CaseFailed, Output: output}); err != nil {
			return err
		}
	}
	for _, build := range g.broken {
		if explained[build] {
			continue
		}
		name, _, _ := strings.Cut(build, " ")
		if err := g.c.add(Case{Package: name, Name: packageCase, Status: CaseFailed, Output: string(g.builds[build])}); err != nil {
			return err
		}
	}
	return nil
}
