package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gatehouse/review/owners"
)

// Owners asks for an approval by the owners of every path that the change touches, as the
// CODEOWNERS file of the target branch names them. A path that nobody owns needs one approval
// by anybody, so that the criterion never opens by itself.
type Owners struct {
	Label    string
	Value    int      // a vote of at least this approves
	Not      []string // relations that do not count: author, uploader, committer
	Override []string // roles whose members approve every path
	Line     int      `json:"-"`

	// Members are the accounts and groups of Override, Veto the value that refuses, 0 for none.
	Members []string
	Veto    int
	// File says who owns what; nil when the branch has no such file. See [Plan.SetOwners].
	File *owners.File `json:"-"`
}

func (Owners) criterion() {}

// AsksOwners reports whether a gate asks for owners, so that their file is needed.
func (p *Plan) AsksOwners() bool {
	return slices.ContainsFunc(p.Gates, func(g Gate) bool {
		return slices.ContainsFunc(g.Require, func(c Criterion) bool { _, is := c.(Owners); return is })
	})
}

// SetOwners gives a plan that was just read the file of the same commit, nil for none.
func (p *Plan) SetOwners(f *owners.File) {
	for _, g := range p.Gates {
		for i, c := range g.Require {
			if o, is := c.(Owners); is {
				o.File = f
				g.Require[i] = o
			}
		}
	}
}

func (r *reader) owners(n *yaml.Node, what, at string) Owners {
	c := Owners{Label: CodeReview, Line: n.Line}
	label, value := n, (*yaml.Node)(nil)
	r.fields(n, "`owners` of "+what, at, map[string]field{
		"label": func(n *yaml.Node) { label = n; c.Label, _ = r.text(n, "the label of "+what) },
		"value": func(n *yaml.Node) { value = n; c.Value, _ = r.integer(n, "`value` of "+what, 1, MaxVote) },
		"override": func(n *yaml.Node) {
			items := r.list(n, "`override` of "+what, MaxRoles)
			c.Override = values(items)
			r.checks = append(r.checks, func() { r.checkRoles(items, what+" counts votes of") })
		},
		"not": func(n *yaml.Node) {
			for _, item := range r.list(n, "`not` of "+what, MaxList) {
				if who, ok := r.word(item, "a relation to the change", []string{Author, Uploader, Committer}); ok {
					c.Not = append(c.Not, who)
				}
			}
		},
	}, nil)
	r.checks = append(r.checks, func() { r.checkReview(Review{Label: c.Label, Value: c.Value}, label, value, n, what) })
	return c
}

// ownerNeed is an approval that some paths still lack.
type ownerNeed struct {
	text  string // "@web or @alice"
	who   []string
	file  string // where the rule is, "" where the file is the only one
	line  int
	paths []string
}

// evaluateOwners asks for each path whether enough of its owners approve.
func evaluateOwners(c Owners, e Evidence) Reason {
	r := Reason{Kind: "owners", Line: c.Line}
	var approvers []Vote
	var names, vetoes []string
	for _, v := range e.Votes {
		switch {
		case v.Label != c.Label || v.Value == 0:
		case c.Veto != 0 && v.Value <= c.Veto:
			vetoes = append(vetoes, v.By)
		case v.Value >= c.Value && related(Review{Not: c.Not}, v) == "":
			approvers = append(approvers, v)
			names = append(names, v.By)
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		r.Evidence = "approved by " + strings.Join(names, ", ")
	}
	if len(vetoes) > 0 {
		slices.Sort(vetoes)
		r.State, r.Who = Refused, vetoes
		r.What = fmt.Sprintf("%s refused with %s%+d", strings.Join(vetoes, ", "), c.Label, c.Veto)
		r.Next = "push a patch set that answers the objection, or have the vote changed"
		return r
	}
	for _, v := range approvers {
		if len(c.Override) > 0 && inRoles(Review{By: c.Override, Members: c.Members}, v) {
			r.State, r.What = Open, fmt.Sprintf("%s approves for the owners of every path", v.By)
			return r
		}
	}
	if e.Touched == nil {
		r.State, r.What, r.Who = Closed, "which paths it touches is not known, or they are too many", slices.Clone(c.Members)
		r.Next = "wait a minute; if it stays so, split the change, or ask those who may override"
		return r
	}
	needs := c.missing(approvers, e.Touched)
	if len(needs) == 0 {
		r.State, r.What = Open, "every path is approved by its owners"
		return r
	}
	r.State = Closed
	r.What, r.Who = needsWords(needs, c.File), needsWho(needs)
	r.Next = fmt.Sprintf("have them vote %s%+d", c.Label, c.Value)
	return r
}

// missing lists the approvals that paths lack, with the paths of each.
func (c Owners) missing(approvers []Vote, paths []string) []*ownerNeed {
	var all []*ownerNeed
	byText := map[string]*ownerNeed{}
	lack := func(text, path string, line int, who []string) {
		n := byText[text]
		if n == nil {
			n = &ownerNeed{text: text, line: line, who: who}
			byText[text] = n
			all = append(all, n)
		}
		n.paths = append(n.paths, path)
	}
	if len(paths) == 0 {
		paths = []string{"an empty change"}
	}
	for _, path := range paths {
		needs := c.File.Needs(path)
		if len(needs) == 0 && len(approvers) == 0 {
			lack("anybody (nobody owns it)", path, 0, []string{anyone})
		}
		for _, n := range needs {
			if n.Optional {
				continue
			}
			count := 0
			for _, v := range approvers {
				if slices.ContainsFunc(n.Owners, v.owns) {
					count++
				}
			}
			if count < n.Min {
				lack(n.String(), path, n.Line, who(n.Owners))
				byText[n.String()].file = n.File
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *ownerNeed) int { return len(b.paths) - len(a.paths) })
	return all
}

// owns reports whether the voter is an owner, or in a group that is one.
func (v Vote) owns(owner string) bool {
	name, group, email := owners.Names(owner)
	return name != "" && v.By == name || group != "" && slices.Contains(v.Groups, group) || email != "" && strings.EqualFold(v.Email, email)
}

// who names owners as reasons do.
func who(list []string) []string {
	var all []string
	for _, owner := range list {
		switch name, group, email := owners.Names(owner); {
		case email != "":
			all = append(all, email)
		case name == "":
			all = append(all, groupPrefix+group)
		default:
			all = append(all, name)
		}
	}
	return all
}

// needsWords says which paths lack whom: "web/a.js and 2 more need @web (CODEOWNERS:4)".
func needsWords(needs []*ownerNeed, f *owners.File) string {
	const most = 3
	var parts []string
	for _, n := range needs[:min(len(needs), most)] {
		text := n.paths[0] + " needs "
		if len(n.paths) > 1 {
			text = fmt.Sprintf("%s and %d more need ", n.paths[0], len(n.paths)-1)
		}
		text += n.text
		if n.line > 0 {
			text += fmt.Sprintf(" (%s:%d)", cmp.Or(n.file, f.Name), n.line)
		}
		parts = append(parts, text)
	}
	if len(needs) > most {
		parts = append(parts, fmt.Sprintf("and %d more approvals", len(needs)-most))
	}
	return strings.Join(parts, "; ")
}

func needsWho(needs []*ownerNeed) []string {
	const most = 10
	var all []string
	for _, n := range needs {
		for _, name := range n.who {
			if !slices.Contains(all, name) && len(all) < most {
				all = append(all, name)
			}
		}
	}
	return all
}
