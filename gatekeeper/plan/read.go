package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// Keys that plans have in the design of Gatehouse and that this version does not run.
var (
	laterPlan  = []string{"entrances", "builders", "source", "notify"}
	laterStage = []string{"builder", "actions"}
	laterGate  = []string{"then", "inconclusive"}
	laterRule  = []string{"provenance"}
	laterLand  = []string{"test"}
)

// reservedEnv starts the names of what the server tells a stage; a plan must not pretend to be
// the server.
const reservedEnv = "GATE_"

func (r *reader) readPlan(root *yaml.Node) {
	r.noGates = true
	hasVersion := false
	r.fields(root, "the plan", "", map[string]field{
		"version": func(n *yaml.Node) {
			hasVersion = true
			if n.Value != "1" || n.Kind != yaml.ScalarNode {
				r.bad(n, "write `version: 1`", "this version of Gatehouse reads plans of version 1")
			}
			r.plan.Version = 1
		},
		"app":      func(n *yaml.Node) { r.plan.App, _ = r.text(n, "`app`") },
		"labels":   r.readLabels,
		"stages":   r.readStages,
		"gates":    r.readGates,
		"land":     r.readLand,
		"roles":    r.readRoles,
		"targets":  r.readTargets,
		"barriers": r.readBarriers,

		"outcomes":     r.readOutcomes,
		"artifacts":    r.readArtifacts,
		"environments": r.readEnvironments,
		"locks":        r.readLocks,
	}, laterPlan)
	if !hasVersion && root.Kind == yaml.MappingNode {
		r.bad(root, "write `version: 1` in the first line", "the plan does not say its version")
	}
	if !slices.ContainsFunc(r.plan.Labels, func(l Label) bool { return l.Name == CodeReview }) {
		r.plan.Labels = append([]Label{codeReview()}, r.plan.Labels...)
	}
	r.plan.fillLand()
}

func (r *reader) readRoles(n *yaml.Node) {
	for _, p := range r.pairs(n, "`roles`", "roles", MaxRoles) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "a role cannot be called `%s`", clip(p.key.Value))
			continue
		}
		items := r.list(p.value, "role `"+p.key.Value+"`", MaxMembers)
		for _, item := range items {
			if !memberName.MatchString(item.Value) {
				r.bad(item, "write an account's name, or `group:NAME`", "`%s` is no member of a role", clip(item.Value))
			}
		}
		if p.value.Kind == yaml.SequenceNode && len(p.value.Content) == 0 {
			r.bad(p.value, "name its members", "role `%s` has no members", p.key.Value)
		}
		r.plan.Roles[p.key.Value] = values(items)
	}
}

// nameFix tells the grammar of names.
const nameFix = "use at most 40 small letters, digits, - and _, with a letter first"

func (r *reader) readLabels(n *yaml.Node) {
	for _, p := range r.pairs(n, "`labels`", "labels", MaxLabels) {
		name := p.key.Value
		if !labelName.MatchString(name) {
			r.bad(p.key, "use at most 40 letters, digits and -, with a letter first", "a label cannot be called `%s`", clip(name))
			continue
		}
		what := "label `" + name + "`"
		l := Label{Name: name, Line: p.key.Line, Min: -1, Max: 1}
		if name == CodeReview {
			l.Min, l.Max = codeReview().Min, codeReview().Max
		}
		veto := true // a label that can refuse does, unless the plan says that it does not
		r.fields(p.value, what, "labels."+name, map[string]field{
			"min":  func(n *yaml.Node) { l.Min, _ = r.integer(n, "`min` of "+what, -MaxVote, 0) },
			"max":  func(n *yaml.Node) { l.Max, _ = r.integer(n, "`max` of "+what, 1, MaxVote) },
			"veto": func(n *yaml.Node) { veto = r.boolean(n, "`veto` of "+what) },
			"copy": func(n *yaml.Node) {
				for _, item := range r.list(n, "`copy` of "+what, MaxList) {
					if kind, ok := r.word(item, "a kind of new patch set", []string{CopyTrivialRebase, CopyMessageEdit}); ok {
						l.Copy = append(l.Copy, kind)
					}
				}
			},
		}, nil)
		l.Veto = veto && l.Min < 0
		r.plan.Labels = append(r.plan.Labels, l)
	}
}

// named notes a stage or a gate and refuses names that are taken.
func (r *reader) named(key *yaml.Node, kind string) bool {
	name := key.Value
	switch first, taken := r.nodes[name]; {
	case !nodeName.MatchString(name):
		r.bad(key, nameFix, "a %s cannot be called `%s`", kind, clip(name))
	case name == LandNode:
		r.bad(key, "give the "+kind+" another name", "`land` is the landing itself")
	case taken:
		r.bad(key, "stages and gates share their names: rename one", "`%s` is taken, see line %d", name, first.Line)
	default:
		r.nodes[name] = key
		return true
	}
	return false
}

func (r *reader) readStages(n *yaml.Node) {
	for _, p := range r.pairs(n, "`stages`", "stages", MaxStages) {
		if !r.named(p.key, "stage") {
			continue
		}
		r.readStage(p.key, p.value)
	}
	if len(r.plan.Stages) > MaxStages {
		r.bad(n, "make a matrix smaller", "with the cells of matrices there are %d stages; at most %d are allowed", len(r.plan.Stages), MaxStages)
	}
}

func (r *reader) readStage(key, n *yaml.Node) {
	s := Stage{Name: key.Value, Line: key.Line, Timeout: DefaultTimeout, Retry: -1}
	what, at := "stage `"+s.Name+"`", "stages."+s.Name
	known := map[string]field{
		"run":         func(n *yaml.Node) { s.Run = r.script(n, "`run` of "+what) },
		"timeout":     func(n *yaml.Node) { s.Timeout = r.duration(n, "`timeout` of "+what, "timeout", MaxTimeout) },
		"after":       func(n *yaml.Node) { s.After = r.afterList(n, what) },
		"paths":       func(n *yaml.Node) { s.Paths = r.patterns(n, "`paths` of "+what, "remove it to run the stage always") },
		"inputs":      func(n *yaml.Node) { s.Inputs = r.inputs(n, what, at+".inputs") },
		"results":     func(n *yaml.Node) { s.Results = r.results(n, what, s.Name) },
		"annotations": func(n *yaml.Node) { s.Annotations = r.annotations(n, what, at+".annotations") },
		"coverage":    func(n *yaml.Node) { s.Coverage = r.coverage(n, what, at+".coverage") },
		"env":         func(n *yaml.Node) { s.Env = r.envAt(n, what, at+".env") },
		"network":     func(n *yaml.Node) { s.Network = r.boolean(n, "`network` of "+what) },
		"quarantine":  func(n *yaml.Node) { s.Quarantine = r.quarantine(n, what, at+".quarantine") },
		"memory":      func(n *yaml.Node) { s.Memory = r.size(n, "`memory` of "+what, "memory", MinMemory, MaxMemory) },
	}
	maps.Copy(known, r.deliveryFields(&s, what, at))
	axes := []axis{}
	known["matrix"] = func(n *yaml.Node) { axes = r.matrix(n, what, at+".matrix") }
	before := len(r.problems)
	r.fields(n, what, at, known, laterStage)
	_, hasRun := r.plan.lines[at+".run"]
	_, hasDeploy := r.plan.lines[at+".deploy"]
	if !hasRun && !hasDeploy && n.Kind == yaml.MappingNode {
		r.bad(key, "write `run: \"…\"`", "%s has nothing to run", what)
	}
	if len(r.problems) == before {
		r.checkStage(key, s, what)
	}
	r.plan.Stages = append(r.plan.Stages, r.spread(key, s, axes)...)
}

// script reads a command: the one text that may have several lines.
func (r *reader) script(n *yaml.Node, what string) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		r.bad(n, "write `run: |` and the commands below it, one a line", "%s must be text, not a list", what)
	case n.Kind != yaml.ScalarNode:
		r.bad(n, "put commands that hold `: ` or `{` in quotes, or below `run: |`", "%s must be text", what)
	case strings.TrimSpace(n.Value) == "":
		r.bad(n, "write a command", "%s is empty", what)
	case len(n.Value) > MaxRun:
		r.bad(n, "move it into a script in the repository", "%s has %d bytes; at most %d are allowed", what, len(n.Value), MaxRun)
	case strings.ContainsFunc(n.Value, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		r.bad(n, "remove them", "%s holds control characters", what)
	default:
		return n.Value
	}
	return ""
}

// afterList reads `after` and has each name looked up when all nodes are known.
func (r *reader) afterList(n *yaml.Node, what string) []string {
	items := r.list(n, "`after` of "+what, MaxList)
	for _, item := range items {
		r.checks = append(r.checks, func() { r.checkReference(item, what) })
	}
	return values(items)
}

// patterns reads a list of patterns; empty is the fix for an empty one.
func (r *reader) patterns(n *yaml.Node, what, empty string) []string {
	items := r.list(n, what, MaxList)
	for _, item := range items {
		if message, fix := patternProblem(item.Value); message != "" {
			r.bad(item, fix, "`%s`: %s", clip(item.Value), message)
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.bad(n, empty, "%s is empty", what)
	}
	return values(items)
}

func (r *reader) results(n *yaml.Node, what, name string) map[string]string {
	found := map[string]string{}
	read := func(kind string) field {
		return func(n *yaml.Node) {
			if file, ok := r.resultPath(n, "the "+kind+" results of "+what); ok {
				found[kind] = file
			}
		}
	}
	r.fields(n, "`results` of "+what, "stages."+name+".results",
		map[string]field{GoTest: read(GoTest), JUnit: read(JUnit), TAP: read(TAP), Metrics: read(Metrics)}, nil)
	if len(found) == 0 {
		return nil
	}
	return found
}

func (r *reader) envAt(n *yaml.Node, what, at string) map[string]string {
	env := map[string]string{}
	for _, p := range r.pairs(n, "`env` of "+what, at, MaxList) {
		switch {
		case !envName.MatchString(p.key.Value):
			r.bad(p.key, "use letters, digits and _, with no digit first", "an environment variable cannot be called `%s`", clip(p.key.Value))
			continue
		case strings.HasPrefix(p.key.Value, reservedEnv):
			r.bad(p.key, "choose another name", "variables that start with %s are the server's", reservedEnv)
			continue
		case p.value.Kind == yaml.ScalarNode && p.value.Value == "" && !isNull(p.value):
			env[p.key.Value] = ""
			continue
		}
		env[p.key.Value], _ = r.text(p.value, "`"+p.key.Value+"` of "+what)
	}
	if len(env) == 0 {
		return nil
	}
	return env
}

func (r *reader) readGates(n *yaml.Node) {
	r.noGates = false
	all := r.pairs(n, "`gates`", "gates", MaxGates)
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.bad(n, "remove `gates` to have the default ones", "without any gate everything would land")
	}
	for _, p := range all {
		if r.named(p.key, "gate") {
			r.readGate(p.key, p.value)
		}
	}
}

func (r *reader) readGate(key, n *yaml.Node) {
	g := Gate{Name: key.Value, Line: key.Line}
	what := "gate `" + g.Name + "`"
	hasRequire := false
	r.fields(n, what, "gates."+g.Name, map[string]field{
		"subject": func(n *yaml.Node) {
			g.Subject, _ = r.word(n, "the subject of a gate", []string{SubjectChange, SubjectArtifact})
		},
		"after":      func(n *yaml.Node) { g.After = r.afterList(n, what) },
		"require":    func(n *yaml.Node) { hasRequire = true; g.Require = r.criteria(n, what, g.Name) },
		"bypassable": func(n *yaml.Node) { g.Bypassable = r.bypassable(n, what, "gates."+g.Name) },
	}, laterGate)
	if !hasRequire && n.Kind == yaml.MappingNode {
		r.bad(key, "write `require: [{review: {min: 1}}]` or `require: [{stages: passed}]`", "%s requires nothing: it would always be open", what)
	}
	r.plan.Gates = append(r.plan.Gates, g)
}

func (r *reader) criteria(n *yaml.Node, what, name string) []Criterion {
	if n.Kind != yaml.SequenceNode {
		r.bad(n, "write `require: [{review: {min: 1}}]`", "`require` of %s must be a list", what)
		return nil
	}
	if len(n.Content) == 0 {
		r.bad(n, "write `require: [{review: {min: 1}}]`", "%s requires nothing: it would always be open", what)
	}
	if len(n.Content) > MaxList {
		r.bad(n, "", "`require` of %s has %d items; at most %d are allowed", what, len(n.Content), MaxList)
		return nil
	}
	var all []Criterion
	for i, item := range n.Content {
		if item.Kind == yaml.ScalarNode {
			r.bad(item, criterionFix(item.Value), "an item of `require` says what it requires and how much")
			continue
		}
		if item.Kind == yaml.MappingNode && len(item.Content) != 2 {
			r.bad(item, "write `[{…}, {…}]`", "an item of `require` has one key, not %d", len(item.Content)/2)
			continue
		}
		at := "gates." + name + ".require." + strconv.Itoa(i)
		r.fields(item, "`require` of "+what, at, map[string]field{
			"review": func(n *yaml.Node) { all = append(all, r.review(n, what, at+".review")) },
			"owners": func(n *yaml.Node) { all = append(all, r.owners(n, what, at+".owners")) },
			"stages": func(n *yaml.Node) { all = append(all, r.stages(n, what, name)) },
			"tests":  func(n *yaml.Node) { all = append(all, r.tests(n, what, at+".tests")) },

			"approve":  func(n *yaml.Node) { all = append(all, r.approve(n, what, at+".approve", name)) },
			"metric":   func(n *yaml.Node) { all = append(all, r.metric(n, what, at+".metric", name)) },
			"soak":     func(n *yaml.Node) { all = append(all, r.soak(n, what, at+".soak", name)) },
			"evidence": func(n *yaml.Node) { all = append(all, r.gateEvidence(n, what, at+".evidence", name)) },
			"window":   func(n *yaml.Node) { all = append(all, r.window(n, what, at+".window")) },
			"external": func(n *yaml.Node) { all = append(all, r.external(n, what, at+".external")) },
		}, laterRule)
	}
	return all
}

// criterionFix completes a criterion that was given as a bare word.
func criterionFix(word string) string {
	switch word {
	case "stages":
		return "write `{stages: passed}`"
	case "tests":
		return "write `{tests: {failed: 0, min: 1}}`"
	case "owners":
		return "write `{owners: {}}`"
	case "approve":
		return "write `{approve: {min: 1, by: [ROLE]}}`"
	case "metric":
		return "write `{metric: {name: NAME, max: NUMBER}}`"
	case "soak":
		return "write `{soak: {environment: NAME, min: 12h}}`"
	case "evidence":
		return "write `{evidence: {gates: [GATE]}}`"
	case "window":
		return "write `{window: {deny: [\"FRI 15:00-MON 08:00\"]}}`"
	case "external":
		return "write `{external: {context: NAME}}`"
	}
	return "write `{review: {min: 1}}`"
}

func (r *reader) review(n *yaml.Node, what, at string) Review {
	c := Review{Label: CodeReview, Min: 1, Line: n.Line}
	label, value, least := n, (*yaml.Node)(nil), n
	r.fields(n, "`review` of "+what, at, map[string]field{
		"label": func(n *yaml.Node) { label = n; c.Label, _ = r.text(n, "the label of "+what) },
		"value": func(n *yaml.Node) { value = n; c.Value, _ = r.integer(n, "`value` of "+what, 1, MaxVote) },
		"min":   func(n *yaml.Node) { least = n; c.Min, _ = r.integer(n, "`min` of "+what, 1, MaxApprovals) },
		"by": func(n *yaml.Node) {
			items := r.list(n, "`by` of "+what, MaxRoles)
			c.By = values(items)
			if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
				r.bad(n, "remove it to count everybody's votes", "`by` of %s is empty: nobody could approve", what)
			}
			r.checks = append(r.checks, func() { r.checkRoles(items, what+" counts votes of") })
		},
		"not": func(n *yaml.Node) {
			for _, item := range r.list(n, "`not` of "+what, MaxList) {
				if who, ok := r.word(item, "a relation to the change", []string{Author, Uploader, Committer}, "last-pusher"); ok {
					c.Not = append(c.Not, who)
				}
			}
		},
	}, []string{"bind", "expires"})
	r.checks = append(r.checks, func() { r.checkReview(c, label, value, least, what) })
	return c
}
