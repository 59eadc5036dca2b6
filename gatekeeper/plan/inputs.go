package plan

import (
	"slices"
	"strings"
)

// Inputs says what a stage reads: the targets, with all that these need, and the paths. The
// barriers are always among it.
type Inputs struct {
	Targets []string
	Paths   []string // patterns
}

// PathSet is a part of a tree: the paths that any of its lists of patterns selects. A "!"
// counts in its own list only.
type PathSet [][]string

// Matcher makes the set ready to be asked about many paths.
func (s PathSet) Matcher() func(path string) bool {
	selectors := make([]selector, len(s))
	for i, patterns := range s {
		selectors[i] = newSelector(patterns)
	}
	return func(path string) bool {
		have := strings.Split(path, "/")
		return slices.ContainsFunc(selectors, func(s selector) bool { return s.selectsParts(have) })
	}
}

// Inputs says which part of the tree decides what a stage comes to for a change of these
// paths: with the same files there, the result is the same. whole, without a set, is all of
// the tree.
//
// What the stage's `inputs` say holds for every change. A stage without them reads, in a plan
// with targets, those that the change touches with all that these need; a change that meets a
// barrier, or is of no target, has it read everything.
func (p *Plan) Inputs(stage string, changed []string) (set PathSet, whole bool) {
	s, ok := p.Stage(stage)
	var read []string
	switch {
	case ok && s.Inputs != nil:
		read = s.Inputs.Targets
	case !ok || len(p.Targets) == 0:
		return nil, true
	default:
		var barrier bool
		if read, barrier = p.touched(changed); barrier {
			return nil, true
		}
	}
	from, needs := map[string]bool{}, map[string][]string{}
	for _, name := range read {
		from[name] = true
	}
	for _, t := range p.Targets {
		needs[t.Name] = t.Needs
	}
	set = PathSet{{File}, p.barriers()}
	if ok && s.Inputs != nil && len(s.Inputs.Paths) > 0 {
		set = append(set, s.Inputs.Paths)
	}
	for _, name := range closure(from, needs) {
		if t, known := p.target(name); known {
			set = append(set, t.Paths)
		}
	}
	return set, false
}

// sameInputs compares what two stages read.
func sameInputs(a, b *Inputs) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Targets, b.Targets) && slices.Equal(a.Paths, b.Paths)
}
