package plan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// drawing is a plan made ready to be drawn.
type drawing struct {
	*Plan
	nodes []string // all stages in their order, all gates, and land
	// before is what each node waits for, without what it waits for through another: the lines
	// that a picture needs.
	before map[string][]string
}

// drawing makes the plan ready. Land is left out where nothing is about it.
func (p *Plan) drawing() drawing {
	d := drawing{Plan: p, before: map[string][]string{}}
	for _, s := range p.Stages {
		d.nodes = append(d.nodes, s.Name)
	}
	for _, g := range p.Gates {
		d.nodes = append(d.nodes, g.Name)
	}
	if p.Lands() || p.Landed {
		d.nodes = append(d.nodes, LandNode)
	}
	up := map[string]map[string]bool{}
	for _, name := range d.nodes {
		up[name] = p.upstream(name)
	}
	for _, name := range d.nodes {
		direct := p.after(name)
		for _, n := range direct {
			through := slices.ContainsFunc(direct, func(other string) bool { return other != n && up[other][n] })
			if up[n] != nil && !through {
				d.before[name] = append(d.before[name], n)
			}
		}
	}
	return d
}

// layers puts the nodes of the plan, land among them, into columns: each node one further than
// the furthest that it waits for.
func (d drawing) layers() [][]string {
	depth := map[string]int{}
	var deep func(name string) int
	deep = func(name string) int {
		if at, known := depth[name]; known {
			return at
		}
		at := 0
		for _, before := range d.before[name] {
			at = max(at, deep(before)+1)
		}
		depth[name] = at
		return at
	}
	var all [][]string
	for _, name := range d.nodes {
		at := deep(name)
		for len(all) <= at {
			all = append(all, nil)
		}
		all[at] = append(all[at], name)
	}
	return all
}

// routed is a layout: columns of nodes and of places that a line passes through, and the way of
// each line from node to node.
type routed struct {
	columns [][]string
	lines   [][]string
}

// route puts a place into each column that a line crosses, so that it crosses no node, and
// orders the columns: everything near what it comes from.
func (d drawing) route() routed {
	r := routed{columns: d.layers()}
	column := map[string]int{}
	for i, names := range r.columns {
		for _, name := range names {
			column[name] = i
		}
	}
	from := map[string][]string{}
	for _, to := range d.nodes {
		for _, name := range d.before[to] {
			line := []string{name}
			for i := column[name] + 1; i < column[to]; i++ {
				via := name + ">" + to + "@" + strconv.Itoa(i) // no node is called so
				r.columns[i] = append(r.columns[i], via)
				from[via] = []string{line[len(line)-1]}
				line = append(line, via)
			}
			from[to] = append(from[to], line[len(line)-1])
			r.lines = append(r.lines, append(line, to))
		}
	}
	place := map[string]float64{}
	for _, names := range r.columns {
		middle := map[string]float64{}
		for _, name := range names {
			for _, before := range from[name] {
				middle[name] += place[before] / float64(len(from[name]))
			}
		}
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(middle[a], middle[b]) })
		for i, name := range names {
			place[name] = float64(i) - float64(len(names)-1)/2
		}
	}
	return r
}

// does says in a few words what a node does, beside waiting; "" for what only runs.
func (p *Plan) does(name string) string {
	s, is := p.Stage(name)
	if !is {
		return ""
	}
	var parts []string
	for _, a := range p.Artifacts {
		if s.Produces[a.Name] != "" {
			parts = append(parts, "makes "+a.Name)
		}
	}
	switch {
	case s.Deploy != nil:
		parts = append(parts, s.Deploy.Artifact+" into "+s.Environment)
	case s.Environment != "":
		parts = append(parts, "in "+s.Environment)
	}
	return strings.Join(parts, ", ")
}

// kind names what a node is, "" for a place on the way of a line.
func (p *Plan) kind(name string) string {
	if name == LandNode {
		return LandNode
	}
	if _, is := p.Gate(name); is {
		return "gate"
	}
	if _, is := p.Stage(name); is {
		return "stage"
	}
	return ""
}
