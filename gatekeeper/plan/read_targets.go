package plan

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (r *reader) readTargets(n *yaml.Node) {
	for _, p := range r.pairs(n, "`targets`", "targets", MaxTargets) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "a target cannot be called `%s`", clip(p.key.Value))
			continue
		}
		r.readTarget(p.key, p.value)
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.bad(n, "remove it to have one lane", "`targets` is empty: every change would be a barrier")
	}
	r.checks = append(r.checks, r.checkTargets)
}

// readTarget reads a list of paths, or a mapping that says more.
func (r *reader) readTarget(key, n *yaml.Node) {
	t := Target{Name: key.Value, Line: key.Line}
	what := "target `" + t.Name + "`"
	r.targets[t.Name] = key
	if n.Kind == yaml.SequenceNode {
		t.Paths = r.patterns(n, "`paths` of "+what, "name its paths")
	} else if n.Kind == yaml.MappingNode {
		hasPaths := false
		r.fields(n, what, "targets."+t.Name, map[string]field{
			"paths": func(n *yaml.Node) { hasPaths = true; t.Paths = r.patterns(n, "`paths` of "+what, "name its paths") },
			"needs": func(n *yaml.Node) {
				items := r.list(n, "`needs` of "+what, MaxList)
				t.Needs = values(items)
				r.checks = append(r.checks, func() { r.checkTargetNames(items, what+" needs") })
			},
		}, nil)
		if !hasPaths {
			r.bad(key, "write `paths: [FOLDER/]`", "%s has no paths: no change could touch it", what)
		}
	} else {
		fix := "write `[FOLDER/]`, or `{paths: [FOLDER/], needs: [TARGET]}`"
		if n.Kind == yaml.ScalarNode && !isNull(n) && n.Value != "" {
			fix = "write `[" + clip(n.Value) + "]`"
		}
		r.bad(n, fix, "%s must be a list of paths", what)
	}
	r.plan.Targets = append(r.plan.Targets, t)
}

// checkTargetNames refuses names that are no targets.
func (r *reader) checkTargetNames(items []*yaml.Node, who string) {
	var names []string
	for _, t := range r.plan.Targets {
		names = append(names, t.Name)
	}
	for _, item := range items {
		if slices.Contains(names, item.Value) {
			continue
		}
		fix := didYouMean(item.Value, names)
		if fix == "" {
			fix = "define it under `targets`"
		}
		r.bad(item, fix, "%s `%s`, which is no target", who, clip(item.Value))
	}
}

// checkTargets refuses targets that need each other: they would be one target.
func (r *reader) checkTargets() {
	if cycle := r.plan.targetCycle(); cycle != nil {
		r.bad(r.targets[cycle[0]], "remove one of these from a `needs`, or make them one target", "these targets need each other: %s", strings.Join(cycle, " needs "))
	}
}

func (r *reader) readBarriers(n *yaml.Node) {
	r.plan.Barriers = r.patterns(n, "`barriers`", "remove it to have the usual ones")
}

func (r *reader) inputs(n *yaml.Node, what, at string) *Inputs {
	in, before := &Inputs{}, len(r.problems)
	if n.Kind == yaml.SequenceNode {
		r.bad(n, "write `inputs: {targets: [TARGET], paths: [FOLDER/]}`", "`inputs` of %s must be a mapping", what)
		return in
	}
	r.fields(n, "`inputs` of "+what, at, map[string]field{
		"targets": func(n *yaml.Node) {
			items := r.list(n, "`targets` in `inputs` of "+what, MaxTargets)
			in.Targets = values(items)
			r.checks = append(r.checks, func() { r.checkTargetNames(items, what+" reads") })
		},
		"paths": func(n *yaml.Node) { in.Paths = r.patterns(n, "`paths` in `inputs` of "+what, "remove it") },
	}, nil)
	if len(r.problems) == before && len(in.Targets)+len(in.Paths) == 0 {
		r.bad(n, "name what it reads, or remove `inputs`", "`inputs` of %s is empty: its result would never change", what)
	}
	return in
}
