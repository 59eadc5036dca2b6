package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Stage finds a stage by name.
func (p *Plan) Stage(name string) (Stage, bool) {
	for _, s := range p.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}

// Gate finds a gate by name.
func (p *Plan) Gate(name string) (Gate, bool) {
	for _, g := range p.Gates {
		if g.Name == name {
			return g, true
		}
	}
	return Gate{}, false
}

// Label finds a label by name.
func (p *Plan) Label(name string) (Label, bool) {
	for _, l := range p.Labels {
		if l.Name == name {
			return l, true
		}
	}
	return Label{}, false
}

// Line is the line of a node, by its name or by its path in the file ("review", "land",
// "stages.unit.timeout"); 0 when the file does not have it.
func (p *Plan) Line(node string) int {
	if s, ok := p.Stage(node); ok {
		return s.Line
	}
	if g, ok := p.Gate(node); ok {
		return g.Line
	}
	if node == LandNode {
		return p.Land.Line
	}
	return p.lines[node]
}

// Digest names what the plan says: two plans with one digest judge and run alike. Comments,
// order of keys and positions in the file do not matter.
func (p *Plan) Digest() string {
	type tagged struct {
		Kind string
		Criterion
	}
	bare := struct {
		Plan
		Criteria [][]tagged
	}{Plan: *p}
	bare.File = ""
	bare.Labels = slices.Clone(p.Labels)
	for i := range bare.Labels {
		bare.Labels[i].Line = 0
	}
	bare.Stages = slices.Clone(p.Stages)
	for i := range bare.Stages {
		bare.Stages[i].Line, bare.Stages[i].Notes = 0, nil
	}
	bare.Gates = slices.Clone(p.Gates)
	for i, g := range bare.Gates {
		criteria := make([]tagged, len(g.Require))
		for j, c := range g.Require {
			criteria[j] = tagged{fmt.Sprintf("%T", c), unplaced(c)}
		}
		bare.Criteria = append(bare.Criteria, criteria)
		bare.Gates[i].Line, bare.Gates[i].Require = 0, nil
	}
	bare.Land.Line = 0
	bare.Land.Freeze = slices.Clone(p.Land.Freeze)
	for i := range bare.Land.Freeze {
		bare.Land.Freeze[i].Line = 0
	}
	bare.Targets = slices.Clone(p.Targets)
	for i := range bare.Targets {
		bare.Targets[i].Line = 0
	}
	text, err := json.Marshal(bare)
	if err != nil {
		panic(fmt.Sprintf("plan: digest: %v", err)) // plain data always marshals
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// unplaced is the criterion without its line.
func unplaced(c Criterion) Criterion {
	switch c := c.(type) {
	case Review:
		c.Line = 0
		return c
	case Owners: // the file is the branch's, not the plan's
		c.Line, c.File = 0, nil
		return c
	case Stages:
		c.Line = 0
		return c
	case TestLimits:
		c.Line = 0
		return c
	default:
		panic(fmt.Sprintf("plan: unknown criterion %T", c))
	}
}

// after lists what a node waits for by its `after`.
func (p *Plan) after(node string) []string {
	if node == LandNode {
		return p.Land.After
	}
	if s, ok := p.Stage(node); ok {
		return s.After
	}
	if g, ok := p.Gate(node); ok {
		return g.After
	}
	return nil
}

// upstream is everything that comes before the node, the node left out, in no useful order.
func (p *Plan) upstream(node string) map[string]bool {
	seen := map[string]bool{}
	todo := slices.Clone(p.after(node))
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[next] || next == node {
			continue
		}
		seen[next] = true
		todo = append(todo, p.after(next)...)
	}
	return seen
}

// waitsFor lists the stages whose end a stage waits for: those in its `after`, and for a gate
// there all the stages that come before the gate.
func (p *Plan) waitsFor(s Stage) []string {
	var names []string
	for _, name := range s.After {
		if _, isStage := p.Stage(name); isStage {
			names = append(names, name)
			continue
		}
		for up := range p.upstream(name) {
			if _, isStage := p.Stage(up); isStage {
				names = append(names, up)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// StageOrder is the names of all stages, each after all that it waits for, otherwise in the
// order of the file.
func (p *Plan) StageOrder() []string {
	order := make([]string, 0, len(p.Stages))
	placed := map[string]bool{}
	waits := map[string][]string{}
	for _, s := range p.Stages {
		waits[s.Name] = p.waitsFor(s)
	}
	for len(order) < len(p.Stages) {
		before := len(order)
		for _, s := range p.Stages {
			ready := !placed[s.Name] && !slices.ContainsFunc(waits[s.Name], func(n string) bool { return !placed[n] })
			if ready {
				placed[s.Name] = true
				order = append(order, s.Name)
			}
		}
		if len(order) == before {
			panic("plan: a cycle of stages got past the checks")
		}
	}
	return order
}

// Landing lists the gates that landing waits for, directly and through each other, in the
// order of the file.
func (p *Plan) Landing() []Gate {
	up := p.upstream(LandNode)
	var gates []Gate
	for _, g := range p.Gates {
		if up[g.Name] {
			gates = append(gates, g)
		}
	}
	return gates
}

// Required is the set of stages that landing needs. The others run for information.
func (p *Plan) Required() map[string]bool {
	required := map[string]bool{}
	for _, g := range p.Landing() {
		for _, n := range g.Needs {
			required[n.Stage] = true
		}
	}
	return required
}

// resolve fills in what gates derive from the rest of the plan: Needs, and the members and
// veto of reviews.
func (p *Plan) resolve() {
	for i := range p.Gates {
		g := &p.Gates[i]
		g.Needs = nil
		up := p.upstream(g.Name)
		for _, s := range p.Stages {
			if up[s.Name] {
				g.Needs = append(g.Needs, Need{Stage: s.Name, After: p.waitsFor(s), Paths: s.Paths, Results: len(s.Results) > 0, Removed: s.Removed, Quarantine: s.Quarantine})
			}
		}
		for j, c := range g.Require {
			switch c := c.(type) {
			case Review:
				g.Require[j] = p.resolveReview(c)
			case Owners:
				as := p.resolveReview(Review{Label: c.Label, By: c.Override})
				c.Members, c.Veto = as.Members, as.Veto
				g.Require[j] = c
			}
		}
	}
}

func (p *Plan) resolveReview(r Review) Review {
	r.Members, r.Veto = nil, 0
	for _, role := range r.By {
		r.Members = append(r.Members, p.Roles[role]...)
	}
	slices.Sort(r.Members)
	r.Members = slices.Compact(r.Members)
	if l, ok := p.Label(r.Label); ok && l.Veto {
		r.Veto = l.Min
	}
	return r
}
