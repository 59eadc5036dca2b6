package plan

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

var (
	contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 _.:/()-]{0,99}$`)
	numberText  = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,15})?$`)
	percentText = regexp.MustCompile(`^([0-9]{1,4}(\.[0-9]{1,4})?)%$`)
)

func (r *reader) stages(n *yaml.Node, what, gate string) Stages {
	c := Stages{Line: n.Line}
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "passed":
	case n.Kind == yaml.SequenceNode:
		items := r.list(n, "`stages` of "+what, MaxStages)
		c.Names = values(items)
		if len(n.Content) == 0 {
			r.bad(n, "write `stages: passed` for all that the gate comes after", "`stages` of %s is empty", what)
		}
		r.checks = append(r.checks, func() { r.checkListed(items, what, gate) })
	default:
		r.bad(n, "write `stages: passed`, or `stages: [name]`", "`stages` of %s says which must have passed", what)
	}
	return c
}

func (r *reader) tests(n *yaml.Node, what, at string) TestLimits {
	const most = 1_000_000 // more than any suite has
	c := TestLimits{Min: 1, Line: n.Line}
	r.fields(n, "`tests` of "+what, at, map[string]field{
		"failed": func(n *yaml.Node) { c.Failed, _ = r.integer(n, "`failed` of "+what, 0, most) },
		"min":    func(n *yaml.Node) { c.Min, _ = r.integer(n, "`min` of "+what, 0, most) },
	}, []string{"flaky"})
	return c
}

func (r *reader) approve(n *yaml.Node, what, at, gate string) Approve {
	c := Approve{Min: 1, Line: n.Line}
	least := n
	r.fields(n, "`approve` of "+what, at, map[string]field{
		"min": func(n *yaml.Node) { least = n; c.Min, _ = r.integer(n, "`min` of "+what, 1, MaxApprovals) },
		"by":  func(n *yaml.Node) { c.By = r.roleList(n, what, "remove it to count everybody's approvals") },
		"not": func(n *yaml.Node) {
			for _, item := range r.list(n, "`not` of "+what, MaxList) {
				if who, ok := r.word(item, "a relation to the change", []string{Author, Uploader, Committer}); ok {
					c.Not = append(c.Not, who)
				}
			}
		},
		"expires": func(n *yaml.Node) { c.Expires = r.duration(n, "`expires` of "+what, "expires", MaxSoak) },
	}, []string{"bind"})
	r.checks = append(r.checks, func() { r.checkQuorum(c.By, c.Min, least, what) })
	r.late = append(r.late, func() { r.checkApprove(n, gate) })
	return c
}

func (r *reader) metric(n *yaml.Node, what, at, gate string) Metric {
	c := Metric{Line: n.Line}
	number := func(to **float64, key string) field {
		return func(n *yaml.Node) {
			if value, ok := r.decimal(n, "`"+key+"` of the metric of "+what); ok {
				*to = &value
			}
		}
	}
	better, before := "", len(r.problems)
	r.fields(n, "`metric` of "+what, at, map[string]field{
		"name": func(n *yaml.Node) {
			c.Name, _ = r.text(n, "the name of a metric of "+what)
			if strings.TrimSpace(c.Name) != c.Name || len(c.Name) > MaxMetricName || strings.ContainsFunc(c.Name, unprintable) {
				r.bad(n, "write it as the stage reports it", "a metric cannot be called `%s`", clip(c.Name))
			}
		},
		"min":        number(&c.Min, "min"),
		"max":        number(&c.Max, "max"),
		"regression": func(n *yaml.Node) { r.regression(n, &c, what, at+".regression", gate) },
		"better":     func(n *yaml.Node) { better, _ = r.word(n, "what is better", []string{"lower", "higher"}) },
	}, nil)
	if len(r.problems) > before || n.Kind != yaml.MappingNode {
		return c
	}
	c.Lower = better == "lower" || better == "" && c.Max != nil
	switch {
	case c.Name == "":
		r.bad(n, "write `name: NAME`, as the file that `results: {metrics: FILE}` names has it", "a metric of %s has no name", what)
	case c.Min == nil && c.Max == nil && c.Against == "":
		r.bad(n, "write `max: NUMBER`, `min: NUMBER` or `regression: {against: ENVIRONMENT, max: 10%}`", "metric `%s` of %s has no limit", c.Name, what)
	case c.Min != nil && c.Max != nil && *c.Min > *c.Max:
		r.bad(n, "swap them", "metric `%s` of %s would never keep both limits", c.Name, what)
	case c.Against != "" && better == "" && (c.Min == nil) == (c.Max == nil):
		r.bad(n, "write `better: lower` or `better: higher`", "metric `%s` of %s does not say which way is worse", c.Name, what)
	}
	return c
}

func (r *reader) regression(n *yaml.Node, c *Metric, what, at, gate string) {
	what = "`regression` of " + what
	hasMax := false
	r.fields(n, what, at, map[string]field{
		"against": func(n *yaml.Node) {
			c.Against, _ = r.text(n, "`against` in "+what)
			r.checks = append(r.checks, func() { r.knownEnvironment(n, what+" compares with", n.Value) })
			r.late = append(r.late, func() {
				r.checkOfArtifact(n, gate, "regression", "give the metric a `max` or a `min`")
				r.checkStands(n, what+" compares with", n.Value)
			})
		},
		"max": func(n *yaml.Node) {
			hasMax = true
			m := percentText.FindStringSubmatch(n.Value)
			if m == nil || n.Kind != yaml.ScalarNode {
				r.bad(n, "write `max: 10%`", "`max` in %s says how much worse it may be, in percent", what)
				return
			}
			percent, _ := strconv.ParseFloat(m[1], 64)
			c.Worse = percent / 100
		},
	}, nil)
	if n.Kind == yaml.MappingNode && (c.Against == "" || !hasMax) {
		r.bad(n, "write `regression: {against: ENVIRONMENT, max: 10%}`", "%s needs `against` and `max`", what)
	}
}

// decimal reads a number such as 120, 0.01 or -5.
func (r *reader) decimal(n *yaml.Node, what string) (float64, bool) {
	value, err := strconv.ParseFloat(n.Value, 64)
	if n.Kind != yaml.ScalarNode || !numberText.MatchString(n.Value) || err != nil || math.IsInf(value, 0) {
		r.bad(n, "write a number such as `120` or `0.01`", "%s must be a number", what)
		return 0, false
	}
	return value, true
}

func (r *reader) soak(n *yaml.Node, what, at, gate string) Soak {
	c := Soak{Line: n.Line}
	before := len(r.problems)
	r.fields(n, "`soak` of "+what, at, map[string]field{
		"environment": func(n *yaml.Node) {
			c.Environment, _ = r.text(n, "`environment` of the soak of "+what)
			r.checks = append(r.checks, func() { r.knownEnvironment(n, what+" waits for", n.Value) })
			r.late = append(r.late, func() { r.checkSoak(n, gate) })
		},
		"min": func(n *yaml.Node) { c.Min = r.duration(n, "`min` of the soak of "+what, "min", MaxSoak) },
	}, []string{"continuous"})
	if len(r.problems) == before && (c.Environment == "" || c.Min == 0) {
		r.bad(n, "write `soak: {environment: NAME, min: 12h}`", "the soak of %s needs an environment and a time", what)
	}
	return c
}

func (r *reader) gateEvidence(n *yaml.Node, what, at, gate string) GateEvidence {
	c := GateEvidence{Line: n.Line}
	before := len(r.problems)
	r.fields(n, "`evidence` of "+what, at, map[string]field{
		"gates": func(n *yaml.Node) {
			items := r.list(n, "`gates` in `evidence` of "+what, MaxGates)
			c.Gates = values(items)
			for _, item := range items {
				r.checks = append(r.checks, func() { r.checkGateName(item, what) })
				r.late = append(r.late, func() { r.checkEvidence(item, gate) })
			}
		},
		"fresh":    func(n *yaml.Node) { c.Fresh = r.duration(n, "`fresh` of "+what, "fresh", MaxSoak) },
		"bypassed": func(n *yaml.Node) { c.RefuseBypassed = !r.boolean(n, "`bypassed` of "+what) },
	}, nil)
	if len(r.problems) == before && len(c.Gates) == 0 {
		r.bad(n, "write `evidence: {gates: [GATE]}`", "the evidence of %s names no gates", what)
	}
	return c
}

func (r *reader) window(n *yaml.Node, what, at string) Window {
	c := Window{Line: n.Line}
	zone := Freeze{TZ: "UTC", zone: time.UTC}
	hasDeny, before := false, len(r.problems)
	r.fields(n, "`window` of "+what, at, map[string]field{
		"tz": func(n *yaml.Node) { r.zone(n, &zone) },
		"deny": func(n *yaml.Node) {
			hasDeny = true
			for _, item := range r.list(n, "`deny` of "+what, MaxFreezes) {
				f := Freeze{Line: item.Line}
				r.deny(item, &f)
				c.Deny = append(c.Deny, f)
			}
		},
	}, nil)
	if n.Kind == yaml.MappingNode && (!hasDeny || len(c.Deny) == 0) && len(r.problems) == before {
		r.bad(n, "write `window: {deny: [\"FRI 15:00-MON 08:00\"], tz: Europe/Berlin}`", "the window of %s does not say when it is shut", what)
	}
	var weekly []Freeze
	for i := range c.Deny {
		c.Deny[i].TZ, c.Deny[i].zone = zone.TZ, zone.zone
		if c.Deny[i].weekly {
			weekly = append(weekly, c.Deny[i])
		}
	}
	if len(r.problems) == before && thaw(weekly, monday, 2*week).IsZero() {
		r.bad(n, "leave a gap between the windows", "%s would never open: the windows cover the whole week", what)
	}
	return c
}

func (r *reader) external(n *yaml.Node, what, at string) External {
	c := External{Line: n.Line}
	before := len(r.problems)
	r.fields(n, "`external` of "+what, at, map[string]field{
		"context": func(n *yaml.Node) {
			c.Context, _ = r.text(n, "`context` of "+what)
			if c.Context != "" && !contextName.MatchString(strings.TrimSpace(c.Context)) {
				r.bad(n, "use letters, digits, blanks and `_.:/()-`", "a status cannot be called `%s`", clip(c.Context))
			}
		},
		"by": func(n *yaml.Node) { c.By = r.roleList(n, what, "remove it to count everybody's statuses") },
	}, nil)
	if len(r.problems) == before && c.Context == "" {
		r.bad(n, "write `external: {context: NAME}`", "the external status of %s has no context", what)
	}
	return c
}
