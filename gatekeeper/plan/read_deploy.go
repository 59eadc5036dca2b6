package plan

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// deliveryFields are the keys of a stage that are about artifacts and environments, and about
// what stands beside it.
func (r *reader) deliveryFields(s *Stage, what, at string) map[string]field {
	return map[string]field{
		"environment": func(n *yaml.Node) {
			s.Environment, _ = r.text(n, "`environment` of "+what)
			r.checks = append(r.checks, func() { r.knownEnvironment(n, what+" is in", n.Value) })
		},
		"deploy": func(n *yaml.Node) { s.Deploy = r.deploy(n, what, at+".deploy") },
		"verify": func(n *yaml.Node) { s.Verify = r.verify(n, what, at+".verify") },
		"produces": func(n *yaml.Node) {
			s.Produces = r.artifactPaths(n, "`produces` of "+what, at+".produces", what+" produces")
		},
		"uses":       func(n *yaml.Node) { s.Uses = r.artifactPaths(n, "`uses` of "+what, at+".uses", what+" uses") },
		"secrets":    func(n *yaml.Node) { s.Secrets = r.secrets(n, what, at+".secrets") },
		"services":   func(n *yaml.Node) { s.Services = r.services(n, what, at+".services") },
		"caches":     func(n *yaml.Node) { s.Caches = r.caches(n, what) },
		"locks":      func(n *yaml.Node) { s.Locks = r.locks(n, what) },
		"when":       func(n *yaml.Node) { s.When = r.branches(n, what) },
		"retry":      func(n *yaml.Node) { s.Retry, _ = r.integer(n, "`retry` of "+what, 0, MaxRetry) },
		"bypassable": func(n *yaml.Node) { s.Bypassable = r.bypassable(n, what, at) },
	}
}

// knownEnvironment refuses a name that is no environment, and reports whether it is one.
func (r *reader) knownEnvironment(n *yaml.Node, what, name string) bool {
	if r.environments[name] != nil {
		return true
	}
	var names []string
	for _, e := range r.plan.Environments {
		names = append(names, e.Name)
	}
	fix := didYouMean(name, names)
	if fix == "" {
		fix = "write `environments: {" + clip(name) + ": {class: standing}}`"
	}
	r.bad(n, fix, "%s `%s`, which is no environment", what, clip(name))
	return false
}

func (r *reader) deploy(n *yaml.Node, what, at string) *Deploy {
	d := Deploy{Strategy: Replace, Ready: Probe{Within: DefaultReady}, Line: n.Line}
	what = "`deploy` of " + what
	r.fields(n, what, at, map[string]field{
		"artifact": func(n *yaml.Node) {
			d.Artifact, _ = r.text(n, "`artifact` in "+what)
			r.checks = append(r.checks, func() { r.knownArtifact(n, what+" names", n.Value) })
		},
		"run":   func(n *yaml.Node) { d.Run = r.script(n, "`run` in "+what) },
		"port":  func(n *yaml.Node) { d.Port = r.port(n, what) },
		"ready": func(n *yaml.Node) { d.Ready = r.ready(n, what, at+".ready") },
		"strategy": func(n *yaml.Node) {
			d.Strategy, _ = r.word(n, "the strategy of a deploy", []string{Replace, BlueGreen})
		},
	}, []string{"replicas"})
	if _, has := r.plan.lines[at+".artifact"]; !has && n.Kind == yaml.MappingNode {
		r.bad(n, "write `artifact: NAME`", "%s does not say what it brings", what)
	}
	return &d
}

func (r *reader) port(n *yaml.Node, what string) int {
	const most = 65535
	port, _ := r.integer(n, "`port` in "+what, 1, most)
	return port
}

// probeFields are the keys by which something is asked whether it serves.
func (r *reader) probeFields(p *Probe, what string) map[string]field {
	return map[string]field{
		"http": func(n *yaml.Node) {
			text, ok := r.text(n, "`http` in "+what)
			if ok && (!strings.HasPrefix(text, "/") || strings.ContainsAny(text, " #\\")) {
				r.bad(n, "write a path such as `/healthz`", "`http` in %s is the path of an address, not `%s`", what, clip(text))
			}
			p.HTTP = text
		},
		"status": func(n *yaml.Node) { p.Status, _ = r.integer(n, "`status` in "+what, 100, 599) },
	}
}

// statusNeedsPath refuses a status that nothing would be asked for.
func (r *reader) statusNeedsPath(n *yaml.Node, p Probe, what string) {
	if p.Status != 0 && p.HTTP == "" {
		r.bad(n, "write `http: /healthz` too", "%s asks for a status and for no path", what)
	}
}

func (r *reader) ready(n *yaml.Node, what, at string) Probe {
	p := Probe{Within: DefaultReady}
	what = "`ready` in " + what
	fields := r.probeFields(&p, what)
	fields["within"] = func(n *yaml.Node) { p.Within = r.duration(n, "`within` of "+what, "within", MaxReady) }
	r.fields(n, what, at, fields, nil)
	r.statusNeedsPath(n, p, what)
	return p
}

func (r *reader) verify(n *yaml.Node, what, at string) *Verify {
	v := Verify{Every: DefaultEvery, Line: n.Line}
	what = "`verify` of " + what
	fields := r.probeFields(&v.Probe, what)
	fields["for"] = func(n *yaml.Node) { v.For = r.duration(n, "`for` of "+what, "for", MaxVerify) }
	fields["every"] = func(n *yaml.Node) { v.Every = r.duration(n, "`every` of "+what, "every", MaxReady) }
	fields["run"] = func(n *yaml.Node) { v.Run = r.script(n, "`run` of "+what) }
	before := len(r.problems)
	r.fields(n, what, at, fields, []string{"metrics"})
	r.statusNeedsPath(n, v.Probe, what)
	switch {
	case len(r.problems) > before:
	case v.For == 0:
		r.bad(n, "write `for: 5m`", "%s does not say how long", what)
	case v.Every > v.For:
		v.Every = v.For // looked at once, at the end
	}
	return &v
}

// artifactPaths reads where artifacts are in the working copy.
func (r *reader) artifactPaths(n *yaml.Node, what, at, who string) map[string]string {
	found := map[string]string{}
	for _, p := range r.pairs(n, what, at, MaxArtifacts) {
		if file, ok := r.resultPath(p.value, "`"+clip(p.key.Value)+"` in "+what); ok {
			found[p.key.Value] = file
		}
		r.checks = append(r.checks, func() { r.knownArtifact(p.key, who, p.key.Value) })
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.bad(n, "write `{ARTIFACT: PATH}`, or remove it", "%s is empty", what)
	}
	return found
}

// secrets reads a list of names, or a mapping that says where each is put.
func (r *reader) secrets(n *yaml.Node, what, at string) []Secret {
	var all []Secret
	if n.Kind == yaml.SequenceNode {
		for _, name := range r.secretNames(n, what) {
			all = append(all, Secret{Name: name, Env: SecretEnv(name)})
		}
		return all
	}
	for _, p := range r.pairs(n, "`secrets` of "+what, at, MaxList) {
		s := Secret{Name: p.key.Value}
		r.checkSecretName(p.key, what)
		before, of := len(r.problems), "secret `"+clip(s.Name)+"` of "+what
		r.fields(p.value, of, at+"."+s.Name, map[string]field{
			"env": func(n *yaml.Node) {
				s.Env, _ = r.text(n, "`env` of "+of)
				if s.Env != "" && (!envName.MatchString(s.Env) || strings.HasPrefix(s.Env, reservedEnv)) {
					r.bad(n, "use letters, digits and _, with no digit first, and not "+reservedEnv+" at the start", "an environment variable cannot be called `%s`", clip(s.Env))
				}
			},
			"file": func(n *yaml.Node) {
				s.File, _ = r.text(n, "`file` of "+of)
				if s.File != "" && !secretFile.MatchString(s.File) {
					r.bad(n, "write a name such as `key.pem`", "`file` of %s is a name below $GATE_SECRETS, not `%s`", of, clip(s.File))
				}
			},
		}, nil)
		if len(r.problems) == before && (s.Env == "") == (s.File == "") {
			r.bad(p.key, "write `{env: NAME}` or `{file: NAME}`", "%s goes into one variable or into one file", of)
		}
		all = append(all, s)
	}
	return all
}

func (r *reader) services(n *yaml.Node, what, at string) []Service {
	const most = 8 // a database, a cache and a queue, twice
	var all []Service
	for _, p := range r.pairs(n, "`services` of "+what, at, most) {
		s := Service{Name: p.key.Value, Ready: Probe{Within: DefaultReady}, Line: p.key.Line}
		if !nodeName.MatchString(s.Name) {
			r.bad(p.key, nameFix, "a service cannot be called `%s`", clip(s.Name))
			continue
		}
		of := "service `" + s.Name + "` of " + what
		before := len(r.problems)
		r.fields(p.value, of, at+"."+s.Name, map[string]field{
			"run":   func(n *yaml.Node) { s.Run = r.script(n, "`run` of "+of) },
			"port":  func(n *yaml.Node) { s.Port = r.port(n, of) },
			"ready": func(n *yaml.Node) { s.Ready = r.ready(n, of, at+"."+s.Name+".ready") },
		}, []string{"image"})
		if len(r.problems) > before {
			continue
		}
		if s.Run == "" || s.Port == 0 {
			r.bad(p.key, "write `{run: \"…\", port: 5432}`", "%s needs a command and a port", of)
		}
		if i := slices.IndexFunc(all, func(other Service) bool { return other.Port == s.Port }); i >= 0 {
			r.bad(p.key, "give it another port", "%s has the port of service `%s`", of, all[i].Name)
		}
		all = append(all, s)
	}
	return all
}

// caches reads folders of the working copy, none in another.
func (r *reader) caches(n *yaml.Node, what string) []string {
	var all []string
	for _, item := range r.list(n, "`caches` of "+what, MaxReports) {
		folder, ok := r.resultPath(item, "a cache of "+what)
		if !ok {
			continue
		}
		for _, other := range all {
			if strings.HasPrefix(folder+"/", other+"/") || strings.HasPrefix(other+"/", folder+"/") {
				r.bad(item, "keep the outer one", "cache `%s` of %s and `%s` are one in the other", clip(folder), what, clip(other))
			}
		}
		all = append(all, folder)
	}
	return all
}

func (r *reader) locks(n *yaml.Node, what string) []string {
	items := r.list(n, "`locks` of "+what, MaxLocks)
	for _, item := range items {
		r.checks = append(r.checks, func() {
			if _, ok := r.plan.Locks[item.Value]; ok {
				return
			}
			var names []string
			for name := range r.plan.Locks {
				names = append(names, name)
			}
			slices.Sort(names)
			fix := didYouMean(item.Value, names)
			if fix == "" {
				fix = "write `locks: {" + clip(item.Value) + ": 1}` at the top"
			}
			r.bad(item, fix, "%s takes the lock `%s`, which the plan does not have", what, clip(item.Value))
		})
	}
	return values(items)
}

// branches reads patterns of names of branches.
func (r *reader) branches(n *yaml.Node, what string) []string {
	items := r.list(n, "`when` of "+what, MaxList)
	for _, item := range items {
		message, fix := patternProblem(item.Value)
		if strings.HasPrefix(item.Value, "refs/heads/") {
			message, fix = "branches are named without `refs/heads/`", "write `"+strings.TrimPrefix(item.Value, "refs/heads/")+"`"
		}
		if message != "" {
			r.bad(item, fix, "`%s`: %s", clip(item.Value), message)
		}
	}
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.bad(n, "remove it to run the stage on all branches", "`when` of %s is empty", what)
	}
	return values(items)
}

// branchMatches reports whether a stage with these patterns is for the branch. An unknown
// branch is one that it is for.
func branchMatches(patterns []string, branch string) bool {
	if len(patterns) == 0 || branch == "" {
		return true
	}
	have := strings.Split(branch, "/")
	selected := !slices.ContainsFunc(patterns, func(p string) bool { return !strings.HasPrefix(p, "!") })
	for _, pattern := range patterns {
		body, not := strings.CutPrefix(pattern, "!")
		g := newGlob("x/" + body) // names of branches start at their root
		g.want = g.want[1:]
		if !g.matches(have) {
			continue
		}
		if not {
			return false
		}
		selected = true
	}
	return selected
}
