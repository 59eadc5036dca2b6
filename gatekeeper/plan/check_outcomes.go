package plan

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// landAfterAll has a landing that names no gates wait for all that do not come after it.
func (p *Plan) landAfterAll() {
	if len(p.Land.After) > 0 {
		return
	}
	for _, g := range p.Gates {
		if !p.upstream(g.Name)[LandNode] {
			p.Land.After = append(p.Land.After, g.Name)
		}
	}
}

// awaited is everything that a stage or a gate comes after, directly or not, or that an outcome
// names.
func (p *Plan) awaited() map[string]bool {
	needed := map[string]bool{}
	for _, s := range p.Stages {
		for _, name := range s.After {
			needed[name] = true
		}
	}
	for _, g := range p.Gates {
		for _, name := range g.After {
			needed[name] = true
		}
	}
	for _, o := range p.Outcomes {
		for _, name := range o.Reach {
			needed[name] = true
		}
	}
	return needed
}

// checkOutcomes refuses a usual outcome that never lands, and nodes that no outcome reaches.
func (r *reader) checkOutcomes() {
	p := r.plan
	if _, ok := p.Outcome(DefaultOutcome); !ok {
		return // without it everything is reached
	}
	if !p.Reaches(DefaultOutcome, LandNode) {
		r.bad(r.outcomes[DefaultOutcome], "add `land` to its `reach`, or give it another name", "outcome `%s` is the one of changes that name none, and it does not reach `land`", DefaultOutcome)
		return
	}
	reached := func(node string) bool {
		return slices.ContainsFunc(p.Outcomes, func(o Outcome) bool { return p.Reaches(o.Name, node) })
	}
	for _, s := range p.Stages {
		if !reached(s.Name) {
			r.bad(r.nodes[s.Name], "add it to `reach` of an outcome, or remove it", "no outcome reaches stage `%s`: it would never run", s.Name)
		}
	}
	for _, g := range p.Gates {
		if !reached(g.Name) {
			r.bad(r.nodes[g.Name], "add it to `reach` of an outcome, or remove it", "no outcome reaches gate `%s`: nobody would ask it", g.Name)
		}
	}
}

// checkOutcomeBypass refuses to leave out what is not reached, and what nobody may leave out.
func (r *reader) checkOutcomeBypass(name string, n *yaml.Node) {
	o, _ := r.plan.Outcome(name)
	for _, node := range o.Bypass {
		var rule *Bypassable
		if s, ok := r.plan.Stage(node); ok {
			rule = s.Bypassable
		}
		if g, ok := r.plan.Gate(node); ok {
			rule = g.Bypassable
		}
		switch {
		case !r.plan.Reaches(name, node):
			r.bad(n, "remove it", "outcome `%s` leaves out `%s`, which it does not reach", name, node)
		case rule == nil && len(o.By) == 0:
			r.bad(n, "write `by: [ROLE]` in the outcome, or `bypassable: {by: [ROLE]}` in `"+node+"`", "outcome `%s` leaves out `%s`, and the plan does not say who may", name, node)
		}
	}
}

// checkOfArtifact refuses a criterion about artifacts in a gate about changes.
func (r *reader) checkOfArtifact(n *yaml.Node, gate, criterion, instead string) {
	g, _ := r.plan.Gate(gate)
	if g.Subject == SubjectArtifact {
		return
	}
	fix := "write `subject: artifact`"
	if !r.plan.madeBefore(gate) {
		fix = instead + ", or have a stage before the gate produce an artifact"
	}
	r.bad(n, fix, "`%s` is about an artifact, and gate `%s` is about a change", criterion, gate)
}

// checkStands refuses an environment in which nothing stands.
func (r *reader) checkStands(n *yaml.Node, what, name string) {
	e, ok := r.plan.Environment(name)
	if ok && e.Class != Standing {
		r.bad(n, "name an environment of the class `standing`", "%s environment `%s`, in which nothing stays", what, name)
		return
	}
	if !slices.ContainsFunc(r.plan.Stages, func(s Stage) bool { return s.Deploy != nil && s.Environment == name }) {
		r.bad(n, "write a stage with `environment: "+name+"` and `deploy`", "%s environment `%s`, into which nothing is deployed", what, name)
	}
}

// checkApprove refuses to ask people for an artifact before the landing: what is built then is built
// anew whenever the branch moves, and nobody could accept it in time. There they accept the change.
func (r *reader) checkApprove(n *yaml.Node, gate string) {
	if r.plan.afterLand(gate) {
		r.checkOfArtifact(n, gate, "approve", "use `review` to accept a change")
		return
	}
	if g, _ := r.plan.Gate(gate); g.Subject == SubjectArtifact {
		r.bad(n, "write `subject: change` and keep criteria about artifacts in another gate, or let the gate come after `land`",
			"gate `%s` stands before the landing, where people approve the change, and is about an artifact", gate)
	}
}

// checkSoak refuses to wait for an environment into which nothing came before the gate.
func (r *reader) checkSoak(n *yaml.Node, gate string) {
	r.checkOfArtifact(n, gate, "soak", "use `window` to wait for a time")
	before := len(r.problems)
	r.checkStands(n, "gate `"+gate+"` waits for", n.Value)
	up := r.plan.upstream(gate)
	there := slices.ContainsFunc(r.plan.Stages, func(s Stage) bool {
		return s.Deploy != nil && s.Environment == n.Value && up[s.Name]
	})
	if !there && len(r.problems) == before {
		r.bad(n, "add the stage that deploys there to `after` of gate `"+gate+"`", "gate `%s` waits until the artifact has served in `%s`, and nothing is deployed there before it", gate, n.Value)
	}
}

// checkGateName refuses names that are no gates.
func (r *reader) checkGateName(n *yaml.Node, what string) {
	var gates []string
	for _, g := range r.plan.Gates {
		gates = append(gates, g.Name)
	}
	if !slices.Contains(gates, n.Value) {
		r.bad(n, didYouMean(n.Value, gates), "%s asks what `%s` says, which is no gate", what, clip(n.Value))
	}
}

// checkEvidence refuses a gate that is asked for its word before it has one.
func (r *reader) checkEvidence(n *yaml.Node, gate string) {
	if !r.plan.upstream(gate)[n.Value] {
		r.bad(n, "add it to `after` of gate `"+gate+"`", "gate `%s` asks what gate `%s` says and does not come after it", gate, n.Value)
	}
}
