package plan

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// axis is one variable of a matrix and its values.
type axis struct {
	name   string
	values []string
	key    *yaml.Node
}

// matrix reads variables and their values: the stage runs once for each combination.
func (r *reader) matrix(n *yaml.Node, what, at string) []axis {
	var axes []axis
	cells := 1
	for _, p := range r.pairs(n, "`matrix` of "+what, at, MaxMatrix) {
		if !envName.MatchString(p.key.Value) || strings.HasPrefix(p.key.Value, reservedEnv) {
			r.bad(p.key, "use letters, digits and _, with no digit first, and not "+reservedEnv+" at the start", "an environment variable cannot be called `%s`", clip(p.key.Value))
			continue
		}
		items := r.list(p.value, "`"+p.key.Value+"` in the matrix of "+what, MaxMatrix)
		if len(items) == 0 && p.value.Kind == yaml.SequenceNode && len(p.value.Content) == 0 {
			r.bad(p.value, "name its values", "`%s` in the matrix of %s has no values", p.key.Value, what)
		}
		axes = append(axes, axis{p.key.Value, values(items), p.key})
		cells = min(cells*max(1, len(items)), MaxMatrix+1)
	}
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 0:
		r.bad(n, "write `matrix: {VARIABLE: [one, two]}`", "the matrix of %s is empty", what)
	case cells > MaxMatrix:
		r.bad(n, "leave some out", "the matrix of %s has more than %d cells", what, MaxMatrix)
		return nil
	}
	return axes
}

// spread makes the stages of the cells of a matrix, in the order of the file: the last variable
// changes fastest. Without a matrix it is the stage itself.
func (r *reader) spread(key *yaml.Node, s Stage, axes []axis) []Stage {
	if len(axes) == 0 {
		return []Stage{s}
	}
	if s.Produces != nil {
		r.bad(key, "give what produces `"+firstKey(s.Produces)+"` a stage of its own", "stage `%s` produces artifacts in each cell of its matrix; an artifact is made once", s.Name)
	}
	cells := []Stage{s}
	for _, a := range axes {
		if _, taken := s.Env[a.name]; taken {
			r.bad(a.key, "remove it from `env`", "`%s` is in `env` of stage `%s` too", a.name, s.Name)
		}
		var wider []Stage
		for _, c := range cells {
			for _, value := range a.values {
				wider = append(wider, c.cell(a.name, value))
			}
		}
		cells = wider
	}
	own := map[string]bool{}
	for _, c := range cells {
		first, taken := r.nodes[c.Name]
		switch {
		case own[c.Name]:
			r.bad(key, "make the values differ in letters and digits", "two cells of stage `%s` are called `%s`", s.Name, c.Name)
		case taken:
			r.bad(key, "stages and gates share their names: rename one", "`%s` is taken, see line %d", c.Name, first.Line)
		case !nodeName.MatchString(c.Name):
			r.bad(key, "make the name or the values shorter", "a stage cannot be called `%s`", clip(c.Name))
		}
		own[c.Name] = true
		r.nodes[c.Name] = key
		r.cells[s.Name] = append(r.cells[s.Name], c.Name)
		r.copyLines("stages."+s.Name, "stages."+c.Name)
	}
	return cells
}

// firstKey is the first of the keys, by the alphabet.
func firstKey(m map[string]string) string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	return slices.Min(keys)
}

// cell is the stage with one variable set: it is told the value, and has it in its name.
func (s Stage) cell(name, value string) Stage {
	c := s
	c.Env, c.Matrix = map[string]string{name: value}, map[string]string{name: value}
	for k, v := range s.Env {
		c.Env[k] = v
	}
	for k, v := range s.Matrix {
		c.Matrix[k] = v
	}
	c.After = slices.Clone(s.After)
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(value))
	c.Name += "-" + strings.Trim(word, "-")
	return c
}

// copyLines gives a cell the places of its stage.
func (r *reader) copyLines(from, to string) {
	copied := map[string]int{}
	for at, line := range r.plan.lines {
		if at == from || strings.HasPrefix(at, from+".") {
			copied[to+strings.TrimPrefix(at, from)] = line
		}
	}
	for at, line := range copied {
		r.plan.lines[at] = line
	}
}

// expand puts the cells of a matrix in place of its name, wherever the plan names stages.
func (r *reader) expand() {
	p := r.plan
	for i := range p.Stages {
		p.Stages[i].After = r.spreadNames(p.Stages[i].After)
	}
	for i := range p.Gates {
		g := &p.Gates[i]
		g.After = r.spreadNames(g.After)
		for j, c := range g.Require {
			if s, ok := c.(Stages); ok {
				s.Names = r.spreadNames(s.Names)
				g.Require[j] = s
			}
		}
	}
	for i := range p.Outcomes {
		p.Outcomes[i].Reach, p.Outcomes[i].Bypass = r.spreadNames(p.Outcomes[i].Reach), r.spreadNames(p.Outcomes[i].Bypass)
	}
}

func (r *reader) spreadNames(names []string) []string {
	var all []string
	for _, name := range names {
		cells := r.cells[name]
		if cells == nil {
			cells = []string{name}
		}
		for _, c := range cells {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}
