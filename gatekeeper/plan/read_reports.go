package plan

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// annotations reads where findings on lines are: words for the stage's output, and files.
func (r *reader) annotations(n *yaml.Node, what, at string) []Report {
	const example = "write `annotations: [{sarif: out.sarif}, log]`"
	if n.Kind != yaml.SequenceNode {
		r.bad(n, example, "`annotations` of %s must be a list", what)
		return nil
	}
	if len(n.Content) == 0 || len(n.Content) > MaxReports {
		r.bad(n, example, "`annotations` of %s has %d items; 1 to %d are allowed", what, len(n.Content), MaxReports)
		return nil
	}
	var all []Report
	for i, item := range n.Content {
		var report Report
		switch {
		case item.Kind == yaml.ScalarNode:
			report.Kind, _ = r.word(item, "what the output of "+what+" holds", []string{Commands, Lines})
		case item.Kind == yaml.MappingNode && len(item.Content) != 2:
			r.bad(item, "write `[{sarif: a.sarif}, {sarif: b.sarif}]`", "an item of `annotations` has one key, not %d", len(item.Content)/2)
			continue
		default:
			read := func(kind string) field {
				return func(n *yaml.Node) {
					if file, ok := r.resultPath(n, "the "+kind+" of "+what); ok {
						report = Report{Kind: kind, File: file}
					}
				}
			}
			r.fields(item, "`annotations` of "+what, at+"."+strconv.Itoa(i), map[string]field{SARIF: read(SARIF), Checkstyle: read(Checkstyle), Lines: read(Lines)}, nil)
		}
		switch {
		case report.Kind == "":
		case slices.Contains(all, report):
			r.bad(item, "remove one of them", "`annotations` of %s names the same twice", what)
		default:
			all = append(all, report)
		}
	}
	return all
}

// coverage reads where the profiles are that tell which lines ran.
func (r *reader) coverage(n *yaml.Node, what, at string) map[string]string {
	found := map[string]string{}
	read := func(kind string) field {
		return func(n *yaml.Node) {
			if file, ok := r.resultPath(n, "the "+kind+" profile of "+what); ok {
				found[kind] = file
			}
		}
	}
	r.fields(n, "`coverage` of "+what, at, map[string]field{GoCover: read(GoCover), LCOV: read(LCOV), Cobertura: read(Cobertura)}, nil)
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.bad(n, "write `coverage: {go: cover.out}`", "`coverage` of %s is empty", what)
	}
	if len(found) == 0 {
		return nil
	}
	return found
}
