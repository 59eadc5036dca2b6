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
	for i := range p.Stages { // a stage is too large to be copied for each comparison
		if p.Stages[i].Name == name {
			return p.Stages[i], true
		}
	}
	return Stage{}, false
}

// Gate finds a gate by name.
func (p *Plan) Gate(name string) (Gate, bool) {
	for i := range p.Gates {
		if p.Gates[i].Name == name {
			return p.Gates[i], true
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
	bare.Gates = slices.Clone(p.Gates)
	for i, g := range bare.Gates {
		criteria := make([]tagged, len(g.Require))
		for j, c := range g.Require {
			criteria[j] = tagged{fmt.Sprintf("%T", c), c}
		}
		bare.Criteria = append(bare.Criteria, criteria)
		bare.Gates[i].Require = nil
	}
	text, err := json.Marshal(bare) // fields that only say where something stands are left out
	if err != nil {
		panic(fmt.Sprintf("plan: digest: %v", err)) // plain data always marshals
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// after lists what a node waits for by its `after`.
func (p *Plan) after(node string) []string {
	if node == LandNode {
		return p.Land.After
	}
	for i := range p.Stages {
		if p.Stages[i].Name == node {
			return p.Stages[i].After
		}
	}
	for i := range p.Gates {
		if p.Gates[i].Name == node {
			return p.Gates[i].After
		}
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
// veto of those who are asked.
func (p *Plan) resolve() {
	needs := make([]Need, len(p.Stages))
	for i, s := range p.Stages {
		needs[i] = p.need(s)
	}
	for i := range p.Gates {
		g := &p.Gates[i]
		g.Needs, g.LeftOutBy = nil, p.leftOutBy(g.Name)
		up := p.upstream(g.Name)
		for _, n := range needs {
			if up[n.Stage] {
				g.Needs = append(g.Needs, n)
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
			case Approve:
				c.Members = p.members(c.By)
				g.Require[j] = c
			case External:
				c.Members = p.members(c.By)
				g.Require[j] = c
			}
		}
	}
}

// need is what the policy asks of a stage.
func (p *Plan) need(s Stage) Need {
	n := Need{Stage: s.Name, After: p.directly(s), Gates: p.behind(s), Paths: s.Paths, When: s.When,
		Results: s.reportsTests(), Metrics: s.Results[Metrics] != "", Removed: s.Removed,
		Quarantine: s.Quarantine, Bypassable: s.Bypassable, LeftOutBy: p.leftOutBy(s.Name)}
	if s.Deploy != nil {
		n.Environment = s.Environment
	}
	return n
}

// members are the accounts and groups of roles, sorted, each once.
func (p *Plan) members(roles []string) []string {
	var all []string
	for _, role := range roles {
		all = append(all, p.Roles[role]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *Plan) resolveReview(r Review) Review {
	r.Members, r.Veto = p.members(r.By), 0
	if l, ok := p.Label(r.Label); ok && l.Veto {
		r.Veto = l.Min
	}
	return r
}
