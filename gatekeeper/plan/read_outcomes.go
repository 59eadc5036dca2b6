package plan

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

func (r *reader) readOutcomes(n *yaml.Node) {
	for _, p := range r.pairs(n, "`outcomes`", "outcomes", MaxOutcomes) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "an outcome cannot be called `%s`", clip(p.key.Value))
			continue
		}
		r.readOutcome(p.key, p.value)
	}
}

func (r *reader) readOutcome(key, n *yaml.Node) {
	o := Outcome{Name: key.Value, Line: key.Line}
	what := "outcome `" + o.Name + "`"
	hasReach := false
	r.fields(n, what, "outcomes."+o.Name, map[string]field{
		"reach": func(n *yaml.Node) {
			hasReach = true
			o.Reach = r.nodeList(n, "`reach` of "+what, what+" reaches `%s`, which is no stage and no gate")
			if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				r.bad(n, "name the stages and gates that it is for, or `land`", "%s reaches nothing", what)
			}
		},
		"bypass": func(n *yaml.Node) {
			o.Bypass = r.nodeList(n, "`bypass` of "+what, what+" leaves out `%s`, which is no stage and no gate")
			if slices.Contains(o.Bypass, LandNode) {
				r.bad(n, "leave `land` out of `reach` instead", "%s cannot leave out the landing", what)
			}
			r.late = append(r.late, func() { r.checkOutcomeBypass(o.Name, n) })
		},
		"by": func(n *yaml.Node) { o.By = r.roleList(n, what, "remove it to let everybody who may push ask for it") },
	}, nil)
	if !hasReach && n.Kind == yaml.MappingNode {
		r.bad(key, "write `reach: [land]`", "%s does not say how far it goes", what)
	}
	r.outcomes[o.Name] = key
	r.plan.Outcomes = append(r.plan.Outcomes, o)
}

// nodeList reads names of stages, gates and the landing. unknown says what is wrong with a name
// that is none.
func (r *reader) nodeList(n *yaml.Node, what, unknown string) []string {
	items := r.list(n, what, MaxStages+MaxGates)
	for _, item := range items {
		r.checks = append(r.checks, func() {
			if item.Value != LandNode && r.nodes[item.Value] == nil {
				r.bad(item, didYouMean(item.Value, r.nodeNames()), unknown, clip(item.Value))
			}
		})
	}
	return values(items)
}

// roleList reads a list of roles; empty is the fix for an empty one.
func (r *reader) roleList(n *yaml.Node, what, empty string) []string {
	items := r.list(n, "`by` of "+what, MaxRoles)
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.bad(n, empty, "`by` of %s is empty: it would be for nobody", what)
	}
	r.checks = append(r.checks, func() { r.checkRoles(items, what+" names") })
	return values(items)
}

func (r *reader) readArtifacts(n *yaml.Node) {
	for _, p := range r.pairs(n, "`artifacts`", "artifacts", MaxArtifacts) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "an artifact cannot be called `%s`", clip(p.key.Value))
			continue
		}
		a := Artifact{Name: p.key.Value, Type: FileArtifact, Keep: DefaultKeep, Line: p.key.Line}
		what := "artifact `" + a.Name + "`"
		r.fields(p.value, what, "artifacts."+a.Name, map[string]field{
			"type": func(n *yaml.Node) {
				a.Type, _ = r.word(n, "the type of an artifact", []string{FileArtifact, BundleArtifact, OCIImage})
			},
			"stage": func(n *yaml.Node) {
				a.Stage, _ = r.text(n, "`stage` of "+what)
				r.checks = append(r.checks, func() { r.checkMaker(a.Name, n) })
			},
			"keep": func(n *yaml.Node) { a.Keep = r.duration(n, "`keep` of "+what, "keep", MaxKeep) },
		}, nil)
		r.artifacts[a.Name] = p.key
		r.plan.Artifacts = append(r.plan.Artifacts, a)
	}
}

// artifactNames lists the artifacts for a proposal.
func (r *reader) artifactNames() []string {
	var names []string
	for _, a := range r.plan.Artifacts {
		names = append(names, a.Name)
	}
	return names
}

// knownArtifact refuses a name that is no artifact, and reports whether it is one.
func (r *reader) knownArtifact(n *yaml.Node, what, name string) bool {
	if r.artifacts[name] != nil {
		return true
	}
	fix := didYouMean(name, r.artifactNames())
	if fix == "" {
		fix = "write `artifacts: {" + clip(name) + ": {type: file}}`"
	}
	r.bad(n, fix, "%s `%s`, which is no artifact", what, clip(name))
	return false
}

// checkMaker refuses a `stage` that does not produce the artifact.
func (r *reader) checkMaker(artifact string, n *yaml.Node) {
	s, ok := r.plan.Stage(n.Value)
	if !ok {
		var names []string
		for _, s := range r.plan.Stages {
			names = append(names, s.Name)
		}
		r.bad(n, didYouMean(n.Value, names), "artifact `%s` is made by `%s`, which is no stage", artifact, clip(n.Value))
		return
	}
	if s.Produces[artifact] == "" {
		r.bad(n, "write `produces: {"+artifact+": PATH}` in stage `"+s.Name+"`", "stage `%s` does not produce artifact `%s`", s.Name, artifact)
	}
}

func (r *reader) readLocks(n *yaml.Node) {
	const most = 64 // more than any rack has devices
	r.plan.Locks = map[string]int{}
	for _, p := range r.pairs(n, "`locks`", "locks", MaxLocks) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "a lock cannot be called `%s`", clip(p.key.Value))
			continue
		}
		r.plan.Locks[p.key.Value], _ = r.integer(p.value, "lock `"+p.key.Value+"`", 1, most)
	}
}

// bypassable reads who may leave out a stage or a gate.
func (r *reader) bypassable(n *yaml.Node, what, at string) *Bypassable {
	b := Bypassable{Line: n.Line}
	what = "`bypassable` of " + what
	r.fields(n, what, at+".bypassable", map[string]field{
		"by":      func(n *yaml.Node) { b.By = r.roleList(n, what, "name roles") },
		"reason":  func(n *yaml.Node) { _, _ = r.word(n, "the reason for leaving something out", []string{"required"}) },
		"expires": func(n *yaml.Node) { b.Expires = r.duration(n, "`expires` of "+what, "expires", MaxSoak) },
	}, nil)
	if len(b.By) == 0 && n.Kind == yaml.MappingNode {
		r.bad(n, "write `by: [ROLE]`", "%s does not say who may", what)
	}
	return &b
}
