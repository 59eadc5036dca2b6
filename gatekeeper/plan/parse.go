package plan

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Parse reads a plan file. It gives a plan, or all problems in the order of the file, never
// both; name is what the problems call the file.
func Parse(name string, text []byte) (*Plan, []Problem) {
	r := newReader(name)
	if root := r.load(text); root != nil && r.screen(root) {
		r.readPlan(root)
		r.checkAll()
	}
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	r.plan.resolve()
	return r.plan, nil
}

func newReader(name string) *reader {
	return &reader{
		file:  name,
		plan:  &Plan{File: name, Roles: map[string][]string{}, lines: map[string]int{}},
		nodes: map[string]*yaml.Node{}, targets: map[string]*yaml.Node{}, cells: map[string][]string{},
		outcomes: map[string]*yaml.Node{}, artifacts: map[string]*yaml.Node{}, environments: map[string]*yaml.Node{},
	}
}

// reader collects a plan and what is wrong with it.
type reader struct {
	file                              string
	plan                              *Plan
	problems                          []Problem
	nodes                             map[string]*yaml.Node // the key of each stage, matrix and gate
	land                              *yaml.Node            // the value of land, nil when there is none
	targets                           map[string]*yaml.Node // the key of each target, and so on
	outcomes, artifacts, environments map[string]*yaml.Node
	cells                             map[string][]string // the stages that the stages with a matrix became
	checks                            []func()            // run when everything has been read
	late                              []func()            // run when the graph is complete and has no other problems
	noGates                           bool                // the file has no gates: it gets the default ones
	// watch is told the keys of each mapping with fixed keys, by its path; only tests set it.
	watch func(at string, known []string)
}

// bad notes a problem at a node; a nil node is the file as a whole.
func (r *reader) bad(n *yaml.Node, fix, format string, args ...any) {
	p := Problem{File: r.file, Message: fmt.Sprintf(format, args...), Fix: fix}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// sorted is the problems by place, each once, at most MaxProblems.
func (r *reader) sorted() []Problem {
	all := slices.Clone(r.problems)
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all = slices.Compact(all)
	if len(all) > MaxProblems {
		more := len(all) - MaxProblems
		all = all[:MaxProblems]
		all = append(all, Problem{File: r.file, Message: fmt.Sprintf("and %d more problems", more), Fix: "mend these first"})
	}
	return all
}

// load reads the one YAML document of the text.
func (r *reader) load(text []byte) *yaml.Node {
	if len(text) > MaxFile {
		r.bad(nil, "move long commands into scripts", "the plan has %d bytes; at most %d are read", len(text), MaxFile)
		return nil
	}
	if !utf8.Valid(text) {
		r.bad(nil, "save the file as UTF-8", "the plan is not UTF-8 text")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(MaxDepth), loaderlimits.AliasNone())))
	if err != nil {
		panic(fmt.Sprintf("plan: yaml options: %v", err)) // they are constants
	}
	var document, second yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0:
		r.bad(nil, "write `version: 1`, or remove the file to have the default plan", "the plan is empty")
		return nil
	case err != nil:
		r.badYAML(err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.badYAML(err)
		return nil
	default:
		r.bad(&second, "remove it, and the `---` before it", "a plan is one YAML document; here starts another")
		return nil
	}
	return document.Content[0]
}

// badYAML turns an error of the YAML reader into a problem.
func (r *reader) badYAML(err error) {
	p := Problem{File: r.file, Message: "this is not YAML: " + err.Error()}
	var located *yaml.LoadError
	if errors.As(err, &located) {
		p.Line, p.Column, p.Message = located.Mark.Line, located.Mark.Column, "this is not YAML: "+located.Message
		if p.Line == 0 {
			p.Line, p.Column = located.ContextMark.Line, located.ContextMark.Column
		}
	}
	p.Fix = yamlFix(p.Message)
	r.problems = append(r.problems, p)
}

// yamlFix knows the ways in which people get YAML wrong.
func yamlFix(message string) string {
	switch {
	case strings.Contains(message, "cannot start any token"):
		return "indent with spaces, not with tabs, and put text that starts with @, ` or % in quotes"
	case strings.Contains(message, "mapping values are not allowed"):
		return "put text that holds \": \" in quotes, and indent keys of one level alike"
	case strings.Contains(message, "control characters"):
		return "remove the control characters"
	case strings.Contains(message, "max depth"):
		return "a plan nests far less"
	case strings.Contains(message, "unknown anchor"):
		return "write the value out; text that starts with * goes in quotes"
	case strings.Contains(message, "unknown escape"):
		return "use single quotes, in which a backslash is only a backslash"
	case strings.Contains(message, "did not find expected"):
		return "look for a missing bracket, quote or colon, and for uneven indentation, here or just above"
	}
	return ""
}

// screen refuses what makes YAML say something else than it shows: anchors, aliases, merge
// keys and tags. It reports whether the tree is free of them.
func (r *reader) screen(n *yaml.Node) bool {
	before := len(r.problems)
	r.screenAll(n)
	return len(r.problems) == before
}

func (r *reader) screenAll(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.bad(n, "write the value out, or put text that starts with * in quotes", "a plan has no aliases (`*%s`)", n.Value)
		return // its target stands elsewhere in the tree
	case n.Anchor != "":
		r.bad(n, "remove it, or put text that starts with & in quotes", "a plan has no anchors (`&%s`)", n.Anchor)
	case n.Tag == "!!merge":
		r.bad(n, "write the keys out", "a plan has no merge keys (`<<`)")
	case n.Style&yaml.TaggedStyle != 0:
		r.bad(n, "put text that starts with ! in quotes", "a plan has no YAML tags (`%s`)", n.Tag)
	}
	for _, c := range n.Content {
		r.screenAll(c)
	}
}
