package plan

import (
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

var (
	// hostName is a name with {{change}} and {{environment}} already replaced.
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)
	// secretName is what the server's store of secrets takes for a name.
	secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)
	secretFile = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)
	kubeName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	imageName  = regexp.MustCompile(`^[a-z0-9][a-zA-Z0-9._:/@-]{0,254}$`)
)

// Places in the name of an assembly that are filled in.
const (
	placeChange      = "{{change}}"
	placeEnvironment = "{{environment}}"
	placeApp         = "{{app}}"
)

const secretFix = "use at most 64 letters, digits, `_` and `-`, with a letter first"

func (r *reader) readEnvironments(n *yaml.Node) {
	for _, p := range r.pairs(n, "`environments`", "environments", MaxEnvironments) {
		if !nodeName.MatchString(p.key.Value) {
			r.bad(p.key, nameFix, "an environment cannot be called `%s`", clip(p.key.Value))
			continue
		}
		r.readEnvironment(p.key, p.value)
	}
}

func (r *reader) readEnvironment(key, n *yaml.Node) {
	e := Environment{Name: key.Value, Line: key.Line, Driver: DriverProcess, Promote: PromoteAuto, Select: SelectNewest}
	what, at := "environment `"+e.Name+"`", "environments."+key.Value
	given := map[string]*yaml.Node{}
	note := func(name string, read field) field {
		return func(n *yaml.Node) { given[name] = n; read(n) }
	}
	known := map[string]field{
		"class": func(n *yaml.Node) {
			e.Class, _ = r.word(n, "the class of an environment", []string{Ephemeral, Shared, Standing})
		},
		"driver": func(n *yaml.Node) {
			e.Driver, _ = r.word(n, "what runs an environment", []string{DriverProcess, DriverCommand, DriverContainer, DriverKubernetes})
		},
		"config":  func(n *yaml.Node) { e.Config, _ = r.resultPath(n, "`config` of "+what) },
		"env":     func(n *yaml.Node) { e.Env = r.envAt(n, what, at+".env") },
		"secrets": func(n *yaml.Node) { e.Secrets = r.secretNames(n, what) },
		"dns":     note("dns", func(n *yaml.Node) { e.DNS = r.dns(n, what, at+".dns") }),
		"accept_bypassed": func(n *yaml.Node) {
			e.RefuseBypassed = !r.boolean(n, "`accept_bypassed` of "+what)
		},
		"ttl":       note("ttl", func(n *yaml.Node) { e.TTL = r.duration(n, "`ttl` of "+what, "ttl", MaxTTL) }),
		"promote":   note("promote", func(n *yaml.Node) { r.promote(n, &e, what, at+".promote") }),
		"freeze":    note("freeze", func(n *yaml.Node) { e.Freeze = r.freezes(n, at+".freeze", "enter "+what) }),
		"rollback":  note("rollback", func(n *yaml.Node) { e.Rollback = r.rollback(n, what, at+".rollback") }),
		"lock":      note("lock", func(n *yaml.Node) { _, e.Exclusive = r.word(n, "the lock of an environment", []string{"exclusive"}) }),
		"scripts":   note("scripts", func(n *yaml.Node) { e.Scripts = r.scripts(n, what, at+".scripts") }),
		"manifest":  note("manifest", func(n *yaml.Node) { e.Manifest, _ = r.resultPath(n, "`manifest` of "+what) }),
		"namespace": note("namespace", func(n *yaml.Node) { e.Namespace = r.named1(n, what, "namespace", kubeName) }),
		"image":     note("image", func(n *yaml.Node) { e.Image = r.named1(n, what, "image", imageName) }),
	}
	before := len(r.problems)
	r.fields(n, what, at, known, nil)
	if len(r.problems) == before {
		r.checkEnvironment(key, &e, given, what)
	}
	r.environments[e.Name] = key
	r.plan.Environments = append(r.plan.Environments, e)
}

// named1 reads one word that must match a pattern.
func (r *reader) named1(n *yaml.Node, what, key string, form *regexp.Regexp) string {
	text, ok := r.text(n, "`"+key+"` of "+what)
	if ok && !form.MatchString(text) {
		r.bad(n, "", "`%s` of %s cannot be `%s`", key, what, clip(text))
	}
	return text
}

// checkEnvironment refuses keys that do not go with the class and the driver, and fills in
// what they leave open.
func (r *reader) checkEnvironment(key *yaml.Node, e *Environment, given map[string]*yaml.Node, what string) {
	if e.Class == "" {
		r.bad(key, "write `class: ephemeral` for one for each change, `class: standing` for one in which something always runs", "%s has no class", what)
		return
	}
	goesWith := func(name, has, wants, kind string) {
		if n := given[name]; n != nil && has != wants {
			r.bad(n, "remove it, or write `"+kind+": "+wants+"`", "`%s` of %s is for the %s `%s`, and this one has `%s`", name, what, kind, wants, has)
		}
	}
	goesWith("ttl", e.Class, Ephemeral, "class")
	for _, name := range []string{"promote", "freeze", "rollback"} {
		goesWith(name, e.Class, Standing, "class")
	}
	goesWith("scripts", e.Driver, DriverCommand, "driver")
	goesWith("manifest", e.Driver, DriverKubernetes, "driver")
	goesWith("namespace", e.Driver, DriverKubernetes, "driver")
	goesWith("image", e.Driver, DriverContainer, "driver")
	switch {
	case e.Driver == DriverCommand && e.Scripts.Deploy == "":
		r.bad(key, "write `scripts: {deploy: \"…\"}`", "%s has the driver `command` and no script that deploys", what)
	case e.Driver == DriverKubernetes && e.Manifest == "":
		r.bad(key, "write `manifest: FILE`", "%s has the driver `kubernetes` and no manifest", what)
	}
	if e.Class == Ephemeral && e.TTL == 0 {
		e.TTL = DefaultTTL
	}
	e.Exclusive = e.Exclusive || e.Class == Shared
	if e.DNS == nil {
		return
	}
	place := strings.Contains(e.DNS.Name, placeChange)
	switch {
	case e.Class == Ephemeral && !place:
		r.bad(given["dns"], "write `name: \""+placeChange+"."+e.DNS.Name+"\"`", "every change would take the name `%s`", clip(e.DNS.Name))
	case e.Class != Ephemeral && place:
		r.bad(given["dns"], "leave it out of the name", "%s is not of one change: `%s` stands for nothing", what, placeChange)
	}
}

func (r *reader) promote(n *yaml.Node, e *Environment, what, at string) {
	r.fields(n, "`promote` of "+what, at, map[string]field{
		"mode": func(n *yaml.Node) {
			e.Promote, _ = r.word(n, "the mode of a promotion", []string{PromoteAuto, PromoteHand})
		},
		"select": func(n *yaml.Node) {
			e.Select, _ = r.word(n, "what is selected for a promotion", []string{SelectNewest, SelectEach})
		},
	}, nil)
}

func (r *reader) rollback(n *yaml.Node, what, at string) []string {
	var when []string
	r.fields(n, "`rollback` of "+what, at, map[string]field{
		"when": func(n *yaml.Node) {
			for _, item := range r.list(n, "`when` in `rollback` of "+what, MaxList) {
				if reason, ok := r.word(item, "a reason to go back", []string{RollbackDeploy, RollbackVerify}); ok {
					when = append(when, reason)
				}
			}
		},
	}, nil)
	if len(when) == 0 && n.Kind == yaml.MappingNode {
		r.bad(n, "write `rollback: {when: [deploy-failed, verify-failed]}`", "`rollback` of %s does not say when", what)
	}
	return when
}

func (r *reader) scripts(n *yaml.Node, what, at string) Scripts {
	var s Scripts
	read := func(to *string, name string) field {
		return func(n *yaml.Node) { *to = r.script(n, "`"+name+"` of the scripts of "+what) }
	}
	r.fields(n, "`scripts` of "+what, at, map[string]field{
		"deploy": read(&s.Deploy, "deploy"), "verify": read(&s.Verify, "verify"),
		"rollback": read(&s.Rollback, "rollback"), "destroy": read(&s.Destroy, "destroy"),
	}, nil)
	return s
}

// secretNames reads a list of names that the server has values for.
func (r *reader) secretNames(n *yaml.Node, what string) []string {
	items := r.list(n, "`secrets` of "+what, MaxList)
	for _, item := range items {
		r.checkSecretName(item, what)
	}
	return values(items)
}

func (r *reader) checkSecretName(n *yaml.Node, what string) {
	if !secretName.MatchString(n.Value) {
		r.bad(n, secretFix, "a secret of %s cannot be called `%s`", what, clip(n.Value))
		return
	}
	if env := SecretEnv(n.Value); strings.HasPrefix(env, reservedEnv) {
		r.bad(n, "choose another name", "variables that start with %s are the server's", reservedEnv)
	}
}

// SecretEnv is the variable that holds a secret when the plan names none: large letters, and _
// for what is neither a letter nor a digit.
func SecretEnv(name string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return '_'
		}
		return unicode.ToUpper(c)
	}, name)
}

// dns reads the name of an environment's assembly: a mapping, or `none`.
func (r *reader) dns(n *yaml.Node, what, at string) *DNS {
	if n.Kind == yaml.ScalarNode {
		_, _ = r.word(n, "the name of "+what, []string{"none"})
		return nil
	}
	const proxy, update, command = "proxy", "rfc2136", "command"
	d := DNS{Provider: proxy}
	before := len(r.problems)
	what = "`dns` of " + what
	r.fields(n, what, at, map[string]field{
		"name": func(n *yaml.Node) {
			text, ok := r.text(n, "`name` in "+what)
			filled := strings.NewReplacer(placeChange, "1", placeEnvironment, "e", placeApp, "a").Replace(text)
			if ok && (!hostName.MatchString(filled) || len(filled) > 253) {
				r.bad(n, "write small letters, digits and `-` between dots; `"+placeChange+"`, `"+placeEnvironment+"` and `"+placeApp+"` are filled in", "`%s` is no name in the DNS", clip(text))
			}
			d.Name = text
		},
		"provider": func(n *yaml.Node) { d.Provider, _ = r.word(n, "who binds a name", []string{proxy, update, command}) },
		"zone":     func(n *yaml.Node) { d.Zone = r.named1(n, what, "zone", hostName) },
		"ttl":      func(n *yaml.Node) { d.TTL = r.duration(n, "`ttl` of "+what, "ttl", 7*day) },
		"optional": func(n *yaml.Node) { d.Optional = r.boolean(n, "`optional` of "+what) },
		"command":  func(n *yaml.Node) { d.Command = r.script(n, "`command` of "+what) },
	}, nil)
	if len(r.problems) > before || n.Kind != yaml.MappingNode {
		return &d
	}
	switch {
	case d.Name == "":
		r.bad(n, "write `name: HOST`, or `dns: none`", "%s has no name", what)
	case d.Provider == update && d.Zone == "":
		r.bad(n, "write `zone: example.org`", "%s is bound by `rfc2136` and names no zone", what)
	case d.Zone != "" && !strings.HasSuffix(d.Name, "."+d.Zone):
		r.bad(n, "write a name that ends in `."+d.Zone+"`", "`%s` is not in the zone `%s`", clip(d.Name), d.Zone)
	case (d.Provider == command) != (d.Command != ""):
		r.bad(n, "write `provider: command` and `command: \"…\"`, or neither", "%s needs its command, and only the provider `command` has one", what)
	}
	return &d
}
