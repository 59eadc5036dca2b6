package plan

import "slices"

// Outcome finds an outcome by name.
func (p *Plan) Outcome(name string) (Outcome, bool) {
	return find(p.Outcomes, func(o Outcome) bool { return o.Name == name })
}

// Environment finds an environment by name.
func (p *Plan) Environment(name string) (Environment, bool) {
	return find(p.Environments, func(e Environment) bool { return e.Name == name })
}

// Artifact finds an artifact by name.
func (p *Plan) Artifact(name string) (Artifact, bool) {
	return find(p.Artifacts, func(a Artifact) bool { return a.Name == name })
}

func find[T any](all []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	var none T
	return none, false
}

// afterLand reports whether the node comes after the landing. In a plan that has landed every
// stage does.
func (p *Plan) afterLand(node string) bool { return p.upstream(node)[LandNode] }

// Reaches reports whether a run of the outcome comes to the node. "" is [DefaultOutcome], and
// without one of that name everything is reached. An outcome that the plan does not have
// reaches nothing. What only the candidate's plan has is reached by whatever reaches the
// landing: no outcome can know of it yet.
func (p *Plan) Reaches(outcome, node string) bool {
	reached, all := p.reached(outcome)
	return all || reached[node]
}

// reached is the nodes that an outcome comes to; all says that it is every node.
func (p *Plan) reached(outcome string) (nodes map[string]bool, all bool) {
	if outcome == "" {
		outcome = DefaultOutcome
	}
	o, ok := p.Outcome(outcome)
	if !ok {
		return nil, outcome == DefaultOutcome
	}
	nodes = map[string]bool{}
	for _, target := range o.Reach {
		nodes[target] = true
		for up := range p.upstream(target) {
			nodes[up] = true
		}
	}
	if nodes[LandNode] {
		for _, s := range p.Stages {
			if s.New {
				nodes[s.Name] = true
				for up := range p.upstream(s.Name) {
					nodes[up] = true
				}
			}
		}
	}
	return nodes, false
}

// Lands reports whether a run of this plan is for landing. One that [Plan.Gating] cut for an
// outcome that stops before may pass and does not let anything land.
func (p *Plan) Lands() bool { return !p.Landed && len(p.Aims) == 0 }

// Gating is the part of the plan that runs before the landing, for an outcome: the stages and
// gates that do not come after land and that the outcome reaches. All gates before land stay
// when the outcome reaches land. Otherwise the plan is for the nodes that the outcome names,
// its Aims, and [Plan.Lands] is false.
func (p *Plan) Gating(outcome string) *Plan {
	cut := *p
	reached, all := p.reached(outcome)
	cut.Stages, cut.Gates = nil, nil
	for _, s := range p.Stages {
		if !p.afterLand(s.Name) && (all || reached[s.Name]) {
			cut.Stages = append(cut.Stages, s)
		}
	}
	lands := all || reached[LandNode]
	for _, g := range p.Gates {
		if !p.afterLand(g.Name) && (lands || reached[g.Name]) {
			g.Require = slices.Clone(g.Require)
			cut.Gates = append(cut.Gates, g)
		}
	}
	if !lands {
		o, _ := p.Outcome(outcome)
		cut.Aims = slices.Clone(o.Reach)
		if len(cut.Aims) == 0 {
			cut.Aims = []string{outcome} // an outcome that the plan does not have: nothing lands
		}
		cut.Land.After = nil
		for _, g := range cut.Gates {
			cut.Land.After = append(cut.Land.After, g.Name)
		}
	}
	cut.resolveFrom(p)
	return &cut
}

// Delivering is the part of the plan that runs after the landing, for an outcome: the stages
// that come after land and that the outcome reaches, with the gates that they wait for. The
// gates before land stay, for what they said is evidence; they and land itself hold nothing up
// any more. Without anything after land it has no stages.
func (p *Plan) Delivering(outcome string) *Plan {
	cut := *p
	reached, all := p.reached(outcome)
	up := p.upstream(LandNode)
	cut.Landed, cut.Aims, cut.Stages, cut.Gates = true, nil, nil, nil
	for _, s := range p.Stages {
		if p.afterLand(s.Name) && (all || reached[s.Name]) {
			cut.Stages = append(cut.Stages, s)
		}
	}
	for _, g := range p.Gates {
		if up[g.Name] || p.afterLand(g.Name) && (all || reached[g.Name]) {
			g.Require = slices.Clone(g.Require)
			cut.Gates = append(cut.Gates, g)
		}
	}
	cut.resolveFrom(p)
	return &cut
}

// Reaching is the part of the plan that an outcome comes to, before and after the landing: to
// be looked at, not to be run.
func (p *Plan) Reaching(outcome string) *Plan {
	cut := *p
	reached, all := p.reached(outcome)
	lands := all || reached[LandNode]
	up := p.upstream(LandNode)
	cut.Stages, cut.Gates = nil, nil
	for _, s := range p.Stages {
		if all || reached[s.Name] {
			cut.Stages = append(cut.Stages, s)
		}
	}
	for _, g := range p.Gates {
		if all || reached[g.Name] || lands && up[g.Name] {
			cut.Gates = append(cut.Gates, g)
		}
	}
	if o, ok := p.Outcome(outcome); ok && !lands {
		cut.Aims = slices.Clone(o.Reach)
	}
	return &cut
}

// resolveFrom derives what gates derive from the rest of a plan that was cut out of another.
// What the policy alone says of the stages that gates wait for stays.
func (p *Plan) resolveFrom(whole *Plan) {
	kept := map[string]Need{}
	for _, g := range whole.Gates {
		for _, n := range g.Needs {
			kept[n.Stage] = n
		}
	}
	p.resolve()
	for i := range p.Gates {
		for j, n := range p.Gates[i].Needs {
			if was, ok := kept[n.Stage]; ok {
				p.Gates[i].Needs[j].Results, p.Gates[i].Needs[j].Metrics = was.Results, was.Metrics
			}
		}
	}
}
