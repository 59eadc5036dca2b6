package plan

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checkStage refuses keys of one stage that contradict each other.
func (r *reader) checkStage(key *yaml.Node, s Stage, what string) {
	switch {
	case s.Deploy != nil && s.Environment == "":
		r.bad(key, "write `environment: NAME`", "%s deploys and does not say where", what)
	case s.Verify != nil && s.Deploy == nil:
		r.bad(key, "remove `verify`, or write `deploy`", "%s watches what it deployed, and it deploys nothing", what)
	case s.Run == "" && (s.Results != nil || s.Produces != nil || s.Coverage != nil || s.Annotations != nil):
		r.bad(key, "write `run: \"…\"`", "%s leaves files and has nothing to run", what)
	}
	taken := map[string]bool{}
	for _, secret := range s.Secrets {
		_, inEnv := s.Env[secret.Env]
		put := secret.Env + "\x00" + secret.File
		if inEnv || taken[put] {
			r.bad(key, "give the secret another name", "%s has two values for `%s`", what, secret.Env+secret.File)
		}
		taken[put] = true
	}
}

// fillMakers finds the stage that makes each artifact.
func (r *reader) fillMakers() {
	p := r.plan
	for i := range p.Artifacts {
		a := &p.Artifacts[i]
		var makers []string
		for _, s := range p.Stages {
			if s.Produces[a.Name] != "" {
				makers = append(makers, s.Name)
			}
		}
		switch {
		case len(makers) == 0:
			r.bad(r.artifacts[a.Name], "write `produces: {"+a.Name+": PATH}` in the stage that makes it", "nothing makes artifact `%s`", a.Name)
		case len(makers) > 1:
			r.bad(r.artifacts[a.Name], "make it once, and let the others use it", "artifact `%s` is made by %s", a.Name, strings.Join(makers, " and "))
		default:
			a.Stage = makers[0]
		}
	}
}

// fillSubjects says what gates are about that do not say it: the artifact, after the landing
// and where only artifacts can be asked about, when there is one. What people accept before the
// landing is the change.
func (p *Plan) fillSubjects() {
	for i := range p.Gates {
		g := &p.Gates[i]
		if g.Subject != "" {
			continue
		}
		g.Subject = SubjectChange
		if p.madeBefore(g.Name) && (p.afterLand(g.Name) || slices.ContainsFunc(g.Require, ofArtifact)) {
			g.Subject = SubjectArtifact
		}
	}
}

// ofArtifact: the criterion asks about an artifact, not about a commit.
func ofArtifact(c Criterion) bool {
	switch c := c.(type) {
	case Soak:
		return true
	case Metric:
		return c.Against != ""
	}
	return false
}

// madeBefore reports whether an artifact is made before the node.
func (p *Plan) madeBefore(node string) bool {
	up := p.upstream(node)
	return slices.ContainsFunc(p.Artifacts, func(a Artifact) bool { return up[a.Stage] })
}

// checkStages refuses stages whose artifacts or environments are not there when they start, and
// secrets for code that nobody has seen.
func (r *reader) checkStages() {
	for _, s := range r.plan.Stages {
		key, up := r.nodes[s.Name], r.plan.upstream(s.Name)
		what := "stage `" + s.Name + "`"
		if s.Deploy != nil {
			r.checkMade(key, s, up, s.Deploy.Artifact, "deploys")
		}
		for name := range s.Uses {
			r.checkMade(key, s, up, name, "uses")
		}
		env, inEnv := r.plan.Environment(s.Environment)
		if inEnv {
			r.checkPlace(key, s, env, up, what)
		}
		if len(s.Secrets) > 0 || inEnv && s.Deploy != nil && len(env.Secrets) > 0 {
			r.checkSeen(key, up, what)
		}
	}
	r.checkHolds()
}

// checkMade refuses an artifact that is not made before the stage.
func (r *reader) checkMade(key *yaml.Node, s Stage, up map[string]bool, artifact, does string) {
	a, ok := r.plan.Artifact(artifact)
	if ok && a.Stage != "" && !up[a.Stage] {
		r.bad(key, "add `"+a.Stage+"` to `after` of stage `"+s.Name+"`", "stage `%s` %s artifact `%s` and does not come after stage `%s`, which makes it", s.Name, does, artifact, a.Stage)
	}
}

// checkPlace refuses what a stage cannot do in its environment.
func (r *reader) checkPlace(key *yaml.Node, s Stage, env Environment, up map[string]bool, what string) {
	local := env.Driver == DriverProcess || env.Driver == DriverContainer
	if s.Run != "" && local && !s.Network {
		r.bad(key, "write `network: true`", "the script of %s could not reach what runs in environment `%s`: it has no network", what, env.Name)
	}
	if s.Deploy == nil {
		there := slices.ContainsFunc(r.plan.Stages, func(o Stage) bool { return up[o.Name] && o.Deploy != nil && o.Environment == env.Name })
		if !there {
			r.bad(key, "write `deploy`, or name the stage that deploys there in `after`", "%s is in environment `%s`, and nothing is deployed there before it", what, env.Name)
		}
		return
	}
	if env.Class == Standing && !up[LandNode] {
		r.bad(key, "take an environment of the class `ephemeral` or `shared`, or come after `land`", "%s deploys what has not landed into environment `%s`, where something always runs", what, env.Name)
	}
	a, _ := r.plan.Artifact(s.Deploy.Artifact)
	d, runs := s.Deploy, env.Driver == DriverProcess || env.Driver == DriverContainer && a.Type != OCIImage
	switch {
	case env.Driver == DriverProcess && a.Type == OCIImage:
		r.bad(key, "write `driver: container` in environment `"+env.Name+"`, or make a file", "%s deploys an image, and environment `%s` runs processes", what, env.Name)
	case env.Driver == DriverKubernetes && a.Type != OCIImage:
		r.bad(key, "write `type: oci-image` in artifact `"+a.Name+"`", "%s deploys a %s, and environment `%s` runs images", what, a.Type, env.Name)
	case runs && d.Run == "":
		r.bad(key, "write `run: ./NAME` in `deploy`", "%s deploys a %s and does not say which command serves", what, a.Type)
	case !local && d.Run != "":
		r.bad(key, "remove it", "`run` in `deploy` of %s is for the drivers `process` and `container`, and environment `%s` has `%s`", what, env.Name, env.Driver)
	case env.Driver == DriverContainer && a.Type != OCIImage && env.Image == "":
		r.bad(key, "write `image: NAME` in environment `"+env.Name+"`", "%s deploys a %s, and environment `%s` has no image to run it in", what, a.Type, env.Name)
	case (env.Driver == DriverContainer || env.Driver == DriverKubernetes) && d.Port == 0:
		r.bad(key, "write `port: 8080` in `deploy`", "%s does not say at which port its assembly serves", what)
	}
}

// checkSeen keeps secrets from code that nobody has seen.
func (r *reader) checkSeen(key *yaml.Node, up map[string]bool, what string) {
	seen := up[LandNode] || slices.ContainsFunc(r.plan.Gates, func(g Gate) bool {
		return up[g.Name] && slices.ContainsFunc(g.Require, isApproval)
	})
	if !seen {
		r.bad(key, "have it come after `land`, or after a gate with a review", "%s is given secrets before anybody has seen the code", what)
	}
}

// isApproval: people look at what they accept.
func isApproval(c Criterion) bool {
	switch c.(type) {
	case Review, Owners, Approve:
		return true
	}
	return false
}

// checkHolds refuses two stages that deploy into one standing environment: it holds one
// assembly.
func (r *reader) checkHolds() {
	first := map[string]string{}
	for _, s := range r.plan.Stages {
		env, ok := r.plan.Environment(s.Environment)
		if !ok || s.Deploy == nil || env.Class != Standing {
			continue
		}
		if other, taken := first[env.Name]; taken {
			r.bad(r.nodes[s.Name], "give each an environment of its own", "stages `%s` and `%s` both deploy into environment `%s`, which holds one assembly", other, s.Name, env.Name)
		}
		first[env.Name] = s.Name
	}
}

// checkGates refuses gates whose criteria and `after` do not fit: a criterion without a stage
// to judge, and a stage that a gate waits for but does not judge.
func (r *reader) checkGates() {
	for _, g := range r.plan.Gates {
		key := r.nodes[g.Name]
		if key == nil {
			continue // a default gate
		}
		if g.Subject == SubjectArtifact && !r.plan.madeBefore(g.Name) {
			r.bad(key, "have a stage before it produce one, or write `subject: change`", "gate `%s` is about an artifact, and none is made before it", g.Name)
		}
		stages, tests, metrics := r.judgedBy(g)
		for _, c := range g.Require {
			switch c := c.(type) {
			case Stages:
				if stages == 0 {
					r.bad(key, "write `after: [STAGE]`", "gate `%s` requires stages and comes after none%s", g.Name, strings.Replace(r.afterLanding(g), " after", " that runs after", 1))
				}
				for _, name := range c.Names {
					if r.plan.afterLand(g.Name) && !r.plan.afterLand(name) {
						r.bad(key, "name stages that come after `land`", "gate `%s` comes after the landing and judges stage `%s`, which landing has judged", g.Name, name)
					}
				}
			case TestLimits:
				if tests == 0 {
					r.bad(key, "write `results: {gotest: FILE}` in the stage that tests, and name the stage in `after`", "gate `%s` requires tests and comes after no stage%s that has `results`", g.Name, r.afterLanding(g))
				}
			case Metric:
				if metrics == 0 {
					r.bad(key, "write `results: {metrics: FILE}` in the stage that measures, and name the stage in `after`", "gate `%s` requires metric `%s` and comes after no stage%s that measures", g.Name, c.Name, r.afterLanding(g))
				}
			case Review, Owners, Approve, Soak, GateEvidence, Window, External:
			default:
				panic("plan: unknown criterion")
			}
		}
		r.checkJudged(g, key)
	}
}

// afterLanding tells which stages a gate after the landing judges.
func (r *reader) afterLanding(g Gate) string {
	if r.plan.afterLand(g.Name) {
		return " after the landing"
	}
	return ""
}

// judgedBy counts the stages that a gate judges, those that report tests, and those that
// measure. A gate after the landing judges what runs after the landing.
func (r *reader) judgedBy(g Gate) (stages, tests, metrics int) {
	up, after := r.plan.upstream(g.Name), r.plan.afterLand(g.Name)
	for _, s := range r.plan.Stages {
		if !up[s.Name] || after && !r.plan.afterLand(s.Name) {
			continue
		}
		stages++
		if s.Results[Metrics] != "" {
			metrics++
		}
		if s.reportsTests() {
			tests++
		}
	}
	return stages, tests, metrics
}

// reportsTests: the stage leaves test results, not only numbers.
func (s Stage) reportsTests() bool {
	return s.Results[GoTest] != "" || s.Results[JUnit] != "" || s.Results[TAP] != ""
}

// checkJudged refuses a stage in `after` of a gate that could fail without the gate's minding.
func (r *reader) checkJudged(g Gate, key *yaml.Node) {
	for _, name := range g.After {
		s, isStage := r.plan.Stage(name)
		judged := slices.ContainsFunc(g.Require, func(c Criterion) bool {
			switch c := c.(type) {
			case Stages:
				return len(c.Names) == 0 || slices.Contains(c.Names, name)
			case TestLimits:
				return s.reportsTests()
			case Metric:
				return s.Results[Metrics] != ""
			case Soak:
				return s.Deploy != nil && s.Environment == c.Environment
			}
			return false
		})
		if isStage && !judged {
			r.bad(key, "add `{stages: passed}` to `require`", "gate `%s` comes after stage `%s` and requires nothing of it", g.Name, name)
		}
	}
}
