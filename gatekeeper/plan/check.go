package plan

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checkAll runs the checks that need the whole file, and fills in what it left open. The
// checks of the graph run only on a file without other problems: they trust its names.
func (r *reader) checkAll() {
	r.expand()
	for _, check := range r.checks {
		check()
	}
	if r.noGates {
		r.addDefaultGates()
	}
	if len(r.problems) > 0 {
		return
	}
	r.plan.landAfterAll()
	if cycle := r.plan.cycle(); cycle != nil {
		at := r.land
		if cycle[0] != LandNode {
			at = r.nodes[cycle[0]]
		}
		r.bad(at, "remove one of these from an `after`", "nothing here can ever start: %s", strings.Join(cycle, " waits for "))
		return
	}
	order := r.plan.StageOrder()
	for i := range r.plan.Gates {
		r.impliedAfter(&r.plan.Gates[i], order)
	}
	r.fillMakers()
	r.plan.fillSubjects()
	r.checkStages()
	r.checkGates()
	r.checkLanding()
	r.checkOutcomes()
	for _, check := range r.late {
		check()
	}
}

// nodeNames lists all stages and gates, and the landing.
func (r *reader) nodeNames() []string {
	names := []string{LandNode}
	for name := range r.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *reader) checkReference(n *yaml.Node, what string) {
	if n.Value != LandNode && r.nodes[n.Value] == nil {
		r.bad(n, didYouMean(n.Value, r.nodeNames()), "%s comes after `%s`, which is no stage and no gate", what, clip(n.Value))
	}
}

func (r *reader) checkLandReference(n *yaml.Node) {
	var gates []string
	for _, g := range r.plan.Gates {
		gates = append(gates, g.Name)
	}
	if slices.Contains(gates, n.Value) {
		return
	}
	if r.nodes[n.Value] != nil {
		r.bad(n, "name a gate that comes after `"+n.Value+"` and requires `{stages: passed}`", "landing waits for gates, and `%s` is a stage", n.Value)
		return
	}
	r.bad(n, didYouMean(n.Value, gates), "landing waits for `%s`, which is no gate", clip(n.Value))
}

// checkRoles refuses roles that the plan does not have; what says who names them, and why.
func (r *reader) checkRoles(items []*yaml.Node, what string) {
	var roles []string
	for name := range r.plan.Roles {
		roles = append(roles, name)
	}
	slices.Sort(roles)
	for _, item := range items {
		if _, ok := r.plan.Roles[item.Value]; !ok {
			fix := didYouMean(item.Value, roles)
			if fix == "" {
				fix = "write `roles: {" + clip(item.Value) + ": [NAME]}`"
			}
			r.bad(item, fix, "%s the role `%s`, which the plan does not have", what, clip(item.Value))
		}
	}
}

// checkReview checks a review against its label and its roles.
func (r *reader) checkReview(c Review, label, value, least *yaml.Node, what string) {
	l, ok := r.plan.Label(c.Label)
	if !ok {
		var names []string
		for _, l := range r.plan.Labels {
			names = append(names, l.Name)
		}
		fix := didYouMean(c.Label, names)
		if fix == "" {
			fix = "define it under `labels`"
		}
		r.bad(label, fix, "%s asks for votes on `%s`, which is no label of the plan", what, clip(c.Label))
		return
	}
	if value != nil && c.Value > l.Max {
		r.bad(value, "", "%s asks for a vote of %+d, and %s ends at %+d", what, c.Value, l.Name, l.Max)
	}
	r.checkQuorum(c.By, c.Min, least, what)
}

// checkQuorum refuses to ask for more people than there are.
func (r *reader) checkQuorum(by []string, atLeast int, least *yaml.Node, what string) {
	people := map[string]bool{}
	for _, role := range by {
		for _, m := range r.plan.Roles[role] {
			if strings.HasPrefix(m, groupPrefix) {
				return // the plan does not know how many people a group has
			}
			people[m] = true
		}
	}
	if len(people) > 0 && len(people) < atLeast {
		r.bad(least, "lower `min`, or add people to the roles", "%s asks for %d approvals, and its roles have %d members", what, atLeast, len(people))
	}
}

// checkListed checks that a gate comes after the stages that it lists. Without an `after` it
// will.
func (r *reader) checkListed(items []*yaml.Node, what, gate string) {
	var stages []string
	for _, s := range r.plan.Stages {
		stages = append(stages, s.Name)
	}
	for name := range r.cells {
		stages = append(stages, name)
	}
	slices.Sort(stages)
	g, _ := r.plan.Gate(gate)
	for _, item := range items {
		up := r.plan.upstream(gate)
		missing := func(name string) bool { return !up[name] }
		switch {
		case !slices.Contains(stages, item.Value):
			r.bad(item, didYouMean(item.Value, stages), "%s requires that `%s` passed, which is no stage", what, clip(item.Value))
		case len(g.After) > 0 && slices.ContainsFunc(r.spreadNames([]string{item.Value}), missing):
			r.bad(item, "add it to `after` of "+what, "%s judges the stage `%s` and does not come after it", what, item.Value)
		}
	}
}

// addDefaultGates gives a plan without gates the ones of [Default], and one more for its stages.
func (r *reader) addDefaultGates() {
	p := r.plan
	for _, name := range []string{defaultReview, defaultStages} {
		if key, taken := r.nodes[name]; taken {
			r.bad(key, "rename the stage, or write `gates`", "a plan without gates gets one called `%s`", name)
		}
	}
	review := defaultApproval()
	if l, ok := p.Label(CodeReview); ok {
		review.Value = l.Max
	}
	p.Gates = []Gate{{Name: defaultReview, Subject: SubjectChange, Require: []Criterion{review}}}
	if len(p.Stages) > 0 {
		p.Gates = append(p.Gates, Gate{Name: defaultStages, Subject: SubjectChange, Require: []Criterion{Stages{}}})
	}
}

// impliedAfter gives a gate that judges stages and names none in `after` the stages that it
// lists, or else all that do not wait for it, and a review its value. So a plan with stages and
// a gate `{require: [{stages: passed}]}` means what it says.
func (r *reader) impliedAfter(g *Gate, order []string) {
	all, listed, judges := false, []string(nil), false
	for i, c := range g.Require {
		switch c := c.(type) {
		case Review:
			if l, ok := r.plan.Label(c.Label); ok && c.Value == 0 {
				c.Value = l.Max
				g.Require[i] = c
			}
		case Owners:
			if l, ok := r.plan.Label(c.Label); ok && c.Value == 0 {
				c.Value = l.Max
				g.Require[i] = c
			}
		case Stages:
			judges = true
			all = all || len(c.Names) == 0
			listed = append(listed, c.Names...)
		case TestLimits, Metric:
			judges, all = true, true
		case Approve, Soak, GateEvidence, Window, External:
		default:
			panic("plan: unknown criterion")
		}
	}
	switch {
	case !judges || len(g.After) > 0:
	case all:
		for _, name := range order {
			if up := r.plan.upstream(name); !up[g.Name] && !up[LandNode] {
				g.After = append(g.After, name)
			}
		}
	default:
		slices.Sort(listed)
		g.After = slices.Compact(listed)
	}
}

// checkLanding refuses gates that nothing waits for: such a gate would look as if it guarded
// the branch. And it refuses that what comes after the landing needs what landing does not.
func (r *reader) checkLanding() {
	p := r.plan
	up, needed := p.upstream(LandNode), p.awaited()
	for _, g := range p.Gates {
		switch {
		case up[g.Name]:
		case !p.afterLand(g.Name):
			r.bad(r.nodes[g.Name], "add it to `after` of `land`, or remove it", "nothing waits for gate `%s`", g.Name)
		case !needed[g.Name]:
			r.bad(r.nodes[g.Name], "name it in `after` of a stage or in `reach` of an outcome, or remove it", "nothing waits for gate `%s`", g.Name)
		}
	}
	for _, s := range p.Stages {
		if !p.afterLand(s.Name) {
			continue
		}
		for _, before := range p.waitsFor(s) {
			if !up[before] && !p.afterLand(before) {
				r.bad(r.nodes[s.Name], "have a gate before `land` require stage `"+before+"`", "stage `%s` runs after the landing and needs stage `%s`, which landing does not ask for", s.Name, before)
			}
		}
	}
}

// cycle finds nodes that wait for each other: each waits for the next, and the last is the
// first again. nil when there are none.
func (p *Plan) cycle() []string {
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	for _, g := range p.Gates {
		names = append(names, g.Name)
	}
	return findCycle(names, p.after)
}

// findCycle finds names that lead to each other, the first one at both ends; nil when there are
// none.
func findCycle(names []string, next func(name string) []string) []string {
	const (
		unseen = iota
		open
		closed
	)
	state := map[string]int{}
	var trail []string
	var visit func(name string) []string
	visit = func(name string) []string {
		switch state[name] {
		case closed:
			return nil
		case open:
			return append(slices.Clone(trail[slices.Index(trail, name):]), name)
		}
		state[name] = open
		trail = append(trail, name)
		for _, follows := range next(name) {
			if found := visit(follows); found != nil {
				return found
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = closed
		return nil
	}
	for _, name := range names {
		if found := visit(name); found != nil {
			return found
		}
	}
	return nil
}
