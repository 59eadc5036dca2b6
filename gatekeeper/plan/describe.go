package plan

import (
	"fmt"
	"slices"
	"strings"
)

// wordList joins words as a sentence does: "a, b and c".
func wordList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// Describe says in words what a run of the outcome does, line by line: what runs when, what each
// gate asks, what becomes of it after the landing. "" is the usual outcome. Lines that begin
// with a blank belong to the last one that does not.
func Describe(p *Plan, outcome string) []string {
	before, after := p.Gating(outcome), p.Delivering(outcome)
	lines := []string{p.outcomeWords(outcome)}
	if len(before.Stages)+len(before.Gates) > 0 {
		lines = append(lines, "Before the landing:")
		lines = append(lines, before.describeNodes(func(string) bool { return true })...)
	}
	if !before.Lands() {
		return append(lines, "It does not land.")
	}
	lines = append(lines, p.landWords())
	if len(after.Stages) > 0 {
		lines = append(lines, "After the landing:")
		lines = append(lines, after.describeNodes(after.afterLand)...)
	}
	return lines
}

// outcomeWords begins the description.
func (p *Plan) outcomeWords(outcome string) string {
	o, named := p.Outcome(outcome)
	usual, hasUsual := p.Outcome(DefaultOutcome)
	if outcome == "" && hasUsual {
		o, named = usual, true
	}
	if !named {
		return "Without an outcome everything is reached."
	}
	text := "Outcome " + o.Name
	if o.Name == DefaultOutcome {
		text += ", the usual one,"
	}
	text += " reaches " + wordList(o.Reach)
	if len(o.Bypass) > 0 {
		text += " and leaves out " + wordList(o.Bypass)
	}
	if len(o.By) > 0 {
		text += "; only " + wordList(o.By) + " may ask for it"
	}
	return text + "."
}

// describeNodes describes the stages and gates that are wanted, each after what it waits for.
func (p *Plan) describeNodes(wanted func(string) bool) []string {
	var lines []string
	for _, column := range p.drawing().layers() {
		for _, name := range column {
			if !wanted(name) {
				continue
			}
			if s, is := p.Stage(name); is {
				lines = append(lines, "  "+p.stageWords(s))
			}
			if g, is := p.Gate(name); is {
				lines = append(lines, p.gateWords(g)...)
			}
		}
	}
	return lines
}

// stageWords describes a stage in one line.
func (p *Plan) stageWords(s Stage) string {
	text := s.Name + " runs at once"
	after := slices.DeleteFunc(slices.Clone(s.After), func(n string) bool { return n == LandNode && p.Landed })
	if known := p.known(after); len(known) > 0 {
		text = s.Name + " runs after " + wordList(known)
	}
	for _, a := range p.Artifacts {
		if s.Produces[a.Name] != "" {
			text += fmt.Sprintf("; makes %s (%s)", a.Name, a.Type)
		}
	}
	if s.Deploy != nil {
		text += fmt.Sprintf("; brings %s into %s%s", s.Deploy.Artifact, s.Environment, p.placeWords(s.Environment))
	} else if s.Environment != "" {
		text += "; in " + s.Environment
	}
	if s.Verify != nil {
		text += "; watches it for " + shortDuration(s.Verify.For)
	}
	if len(s.Secrets) > 0 {
		text += "; with " + plural(len(s.Secrets), "secret")
	}
	if len(s.When) > 0 {
		text += "; only on " + strings.Join(s.When, ", ")
	}
	if len(s.Paths) > 0 {
		text += "; only when the change touches " + strings.Join(s.Paths, ", ")
	}
	if s.Quarantine != nil {
		text += "; its failures do not count until " + s.Quarantine.Until.Format(dayLayout)
	}
	return text + bypassWords(s.Bypassable)
}

// known lists the names that the plan has.
func (p *Plan) known(names []string) []string {
	all := p.drawing().nodes
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(all, n) })
}

// placeWords describes an environment where something is brought into it.
func (p *Plan) placeWords(name string) string {
	e, ok := p.Environment(name)
	if !ok {
		return ""
	}
	parts := []string{e.Class}
	switch e.Class {
	case Ephemeral:
		parts = append(parts, "for "+shortDuration(e.TTL))
	case Standing:
		if e.Promote == PromoteHand {
			parts = append(parts, "by hand")
		}
		if e.Select == SelectEach {
			parts = append(parts, "one after the other")
		}
	}
	for _, f := range e.Freeze {
		parts = append(parts, "not "+f.words())
	}
	if len(e.Rollback) > 0 {
		parts = append(parts, "goes back by itself")
	}
	if e.RefuseBypassed {
		parts = append(parts, "takes nothing that something was left out for")
	}
	if e.DNS != nil {
		parts = append(parts, "as "+e.DNS.Name)
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func bypassWords(b *Bypassable) string {
	if b == nil {
		return ""
	}
	text := "; " + wordList(b.By) + " may leave it out, with a reason"
	if b.Expires > 0 {
		text += ", for " + b.For()
	}
	return text
}

// gateWords describes a gate: what it is about, and a line for each criterion.
func (p *Plan) gateWords(g Gate) []string {
	text := "gate " + g.Name + " asks, of the " + g.Subject
	if known := p.known(slices.DeleteFunc(slices.Clone(g.After), func(n string) bool { return n == LandNode })); len(known) > 0 {
		text += ", after " + wordList(known)
	}
	lines := []string{"  " + text + bypassWords(g.Bypassable) + ":"}
	for _, c := range g.Require {
		lines = append(lines, "    - "+criterionWords(c))
	}
	return lines
}

// criterionWords says what a criterion asks.
func criterionWords(c Criterion) string {
	switch c := c.(type) {
	case Review:
		return fmt.Sprintf("%s%s", times(c.Min, fmt.Sprintf("%s%+d", c.Label, c.Value)), from(c))
	case Owners:
		return fmt.Sprintf("%s%+d by an owner of every path%s", c.Label, c.Value, from(Review{Not: c.Not}))
	case Stages:
		if len(c.Names) > 0 {
			return wordList(c.Names) + " passed"
		}
		return "all stages before it passed"
	case TestLimits:
		return fmt.Sprintf("at most %s failed, at least %d ran", plural(c.Failed, "test"), c.Min)
	case Approve:
		text := plural(c.Min, "approval") + from(Review{By: c.By, Not: c.Not})
		if c.Expires > 0 {
			text += ", none older than " + shortDuration(c.Expires)
		}
		return text
	case Metric:
		return metricWords(c)
	case Soak:
		return fmt.Sprintf("has served in %s for %s without a break", c.Environment, shortDuration(c.Min))
	case GateEvidence:
		text := "open: " + wordList(c.Gates)
		if c.Fresh > 0 {
			text += ", for no longer than " + shortDuration(c.Fresh)
		}
		if c.RefuseBypassed {
			text += ", none of them left out"
		}
		return text
	case Window:
		var shut []string
		for _, f := range c.Deny {
			shut = append(shut, f.words())
		}
		return "not " + strings.Join(shut, ", ")
	case External:
		return "status " + c.Context + from(Review{By: c.By})
	default:
		panic(fmt.Sprintf("plan: unknown criterion %T", c))
	}
}

func metricWords(c Metric) string {
	var parts []string
	if c.Min != nil {
		parts = append(parts, "at least "+figure(*c.Min))
	}
	if c.Max != nil {
		parts = append(parts, "at most "+figure(*c.Max))
	}
	if c.Against != "" {
		parts = append(parts, fmt.Sprintf("at most %s%% worse than in %s", figure(c.Worse*100), c.Against))
	}
	return c.Name + " " + strings.Join(parts, ", ")
}

// landWords describes the landing.
func (p *Plan) landWords() string {
	text := "It lands by " + p.Land.How
	if len(p.Land.After) > 0 {
		text += " when " + wordList(p.Land.After) + " "
		if len(p.Land.After) == 1 {
			text += "is open"
		} else {
			text += "are open"
		}
	}
	for _, f := range p.Land.Freeze {
		text += "; not " + f.words()
	}
	return text + "."
}
