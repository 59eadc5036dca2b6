package annotate

import (
	"bytes"
	"encoding/xml"
	"errors"
	"path"
	"strings"

	"gatehouse/gatekeeper/plan"
)

// maxBlocks is how many blocks of statements a Go profile has; a million lines of Go have about
// 300,000.
const maxBlocks = 2_000_000

// block is a piece of a Go file that runs as a whole.
type block struct{ fromLine, fromColumn, toLine, toColumn int }

// goCover reads a profile of `go test -coverprofile` (golang.org/x/tools/cover): after the
// mode, one block a line: file:line.column,line.column statements count. Profiles of several
// packages repeat blocks; one that ran in any of them ran.
func (p *Profiles) goCover(text []byte, tree Tree) error {
	files, blocks, modes := map[string]map[block]bool{}, 0, 0
	err := lines(text, func(line string) error {
		if strings.HasPrefix(line, "mode: ") {
			modes++
			return nil
		}
		if modes == 0 {
			return errors.New("it does not begin with its mode, or is no profile of `go test -coverprofile`")
		}
		name, b, ran, ok := goBlock(line)
		if !ok {
			return errors.New("a line is cut, or no block of a profile")
		}
		file := files[name]
		if file == nil {
			if len(files) >= MaxFiles {
				return errFiles
			}
			file = map[block]bool{}
			files[name] = file
		}
		if _, seen := file[b]; !seen {
			if blocks++; blocks > maxBlocks {
				return errMarks
			}
		}
		file[b] = file[b] || ran
		return nil
	})
	if err != nil {
		return err
	}
	if modes == 0 {
		return errors.New("the profile is empty")
	}
	for name, file := range files {
		inside := tree.inModule(name)
		if inside == "" && (strings.HasPrefix(name, "/") || strings.HasPrefix(name, "./")) {
			inside = tree.Path(name)
		}
		if !tree.has(inside) {
			continue // of another module
		}
		if err := p.goFile(inside, file); err != nil {
			return err
		}
	}
	return nil
}

// goBlock reads "file:12.34,15.2 3 1".
func goBlock(line string) (name string, b block, ran, ok bool) {
	at := strings.LastIndexByte(line, ':')
	if at <= 0 || at > MaxPath {
		return "", block{}, false, false
	}
	fields := strings.Fields(line[at+1:])
	if len(fields) != 3 {
		return "", block{}, false, false
	}
	from, to, ok1 := strings.Cut(fields[0], ",")
	fromLine, fromColumn, ok2 := strings.Cut(from, ".")
	toLine, toColumn, ok3 := strings.Cut(to, ".")
	b = block{decimal(fromLine), decimal(fromColumn), decimal(toLine), decimal(toColumn)}
	ok = ok1 && ok2 && ok3 && b.fromLine > 0 && b.toLine >= b.fromLine && strings.Trim(fields[2], "0123456789") == ""
	return line[:at], b, strings.Trim(fields[2], "0") != "", ok
}

// goFile marks the lines of a file. A line that a block which ran shares with one that did not
// is partial when the latter lies within the line; where it only begins or ends there ("if x
// {"), the line itself ran.
func (p *Profiles) goFile(name string, blocks map[block]bool) error {
	marks, err := p.file(name)
	if err != nil {
		return err
	}
	ran, within := Lines{}, Lines{}
	for b, yes := range blocks {
		for n := b.fromLine; n <= b.toLine; n++ {
			if p.steps++; p.steps > maxSteps {
				return errMarks
			}
			switch {
			case yes:
				ran[n] = Covered
			case ran[n] == None:
				ran[n] = Missed
			}
		}
		if !yes && b.fromLine == b.toLine {
			within[b.fromLine] = Missed
		}
	}
	for n, m := range ran {
		if m == Covered && within[n] == Missed {
			m = Partial
		}
		if err := p.mark(marks, n, m); err != nil {
			return err
		}
	}
	return nil
}

// lcov reads a tracefile (geninfo(1)): SF names a file, DA a line and how often it ran, BRDA a
// branch and how often it was taken.
func (p *Profiles) lcov(text []byte, tree Tree) error {
	var marks Lines
	missed, files := map[int]bool{}, 0
	end := func() error {
		for n := range missed {
			if marks[n] == Covered {
				marks[n] = Partial
			}
		}
		marks = nil
		clear(missed)
		return nil
	}
	err := lines(text, func(line string) error {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Split(value, ",")
		switch {
		case key == "SF":
			if err := end(); err != nil {
				return err
			}
			files++
			name := tree.Path(strings.TrimSpace(value))
			if !tree.has(name) {
				return nil
			}
			var err error
			marks, err = p.file(name)
			return err
		case key == "DA" && len(fields) >= 2 && marks != nil:
			return p.mark(marks, decimal(fields[0]), ranIf(strings.Trim(fields[1], "0") != "" && !strings.HasPrefix(fields[1], "-")))
		case key == "BRDA" && len(fields) == 4 && marks != nil:
			if n := decimal(fields[0]); fields[3] == "-" || fields[3] == "0" {
				missed[n] = true
			}
		}
		return nil
	})
	if err == nil && files == 0 {
		return errors.New("there is no file (SF:) in it")
	}
	return errors.Join(err, end())
}

func ranIf(yes bool) Mark {
	if yes {
		return Covered
	}
	return Missed
}

// cobertura reads Cobertura's XML (coverage-04.dtd): classes with a file and its lines. Names
// are relative to a source, which is the repository or a folder in it.
func (p *Profiles) cobertura(text []byte, tree Tree) error {
	var sources []string
	var marks Lines
	inSource, root := false, false
	return plan.EachXML(text, func(token xml.Token) error {
		switch t := token.(type) {
		case xml.StartElement:
			if !root && t.Name.Local != "coverage" {
				return errors.New("a Cobertura file holds one coverage element")
			}
			root = true
			switch t.Name.Local {
			case "source":
				inSource = true
			case "class":
				name := tree.below(sources, plan.Attribute(t, "filename"))
				if marks = nil; name == "" {
					return nil
				}
				var err error
				marks, err = p.file(name)
				return err
			case "line":
				if marks != nil {
					return p.mark(marks, decimal(plan.Attribute(t, "number")), coberturaMark(t))
				}
			}
		case xml.CharData:
			if name := strings.TrimSpace(string(t)); inSource && name != "" && len(sources) < maxSources {
				sources = append(sources, name)
			}
		case xml.EndElement:
			inSource = false
		}
		return nil
	})
}

// maxSources is how many folders a Cobertura file names; one as a rule.
const maxSources = 64

// coberturaMark reads hits="3" branch="true" condition-coverage="50% (1/2)".
func coberturaMark(e xml.StartElement) Mark {
	if hits := plan.Attribute(e, "hits"); strings.Trim(hits, "0") == "" || strings.HasPrefix(hits, "-") {
		return Missed
	}
	conditions := plan.Attribute(e, "condition-coverage")
	if plan.Attribute(e, "branch") == "true" && conditions != "" && !strings.HasPrefix(conditions, "100%") {
		return Partial
	}
	return Covered
}

// below is the file of the repository that is called name in one of the folders, or itself.
func (t Tree) below(folders []string, name string) string {
	if name == "" {
		return ""
	}
	for _, folder := range append(folders, "") {
		whole := name
		if folder != "" && !strings.HasPrefix(name, "/") {
			whole = path.Join(folder, name)
		}
		if inside := t.Path(whole); t.has(inside) {
			return inside
		}
	}
	return ""
}

// lines calls found with every line that is not empty, without its end.
func lines(text []byte, found func(line string) error) error {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := found(string(line)); err != nil {
				return err
			}
		}
		text = rest
	}
	return nil
}
