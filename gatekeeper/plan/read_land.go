package plan

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (r *reader) readLand(n *yaml.Node) {
	l := &r.plan.Land
	l.Line, r.land = n.Line, n
	if n.Kind == yaml.ScalarNode {
		r.bad(n, fmt.Sprintf("write `land: {how: %s}`", clip(n.Value)), "`land` must be a mapping")
		return
	}
	r.fields(n, "`land`", "land", map[string]field{
		"after": func(n *yaml.Node) {
			items := r.list(n, "`after` of `land`", MaxGates)
			l.After = values(items)
			for _, item := range items {
				r.checks = append(r.checks, func() { r.checkLandReference(item) })
			}
		},
		"how": func(n *yaml.Node) {
			l.How, _ = r.word(n, "a way to land", []string{FastForward, Rebase, Merge, Squash}, "none", "forge-merge", "gerrit-submit")
		},
		"batch": func(n *yaml.Node) { l.Batch = r.batch(n) },
		"lanes": func(n *yaml.Node) {
			l.Lanes, _ = r.word(n, "what lanes are made of", []string{LanesBranch, LanesTargets, LanesFiles})
			r.checks = append(r.checks, func() { r.checkLanes(n) })
		},
		"together": func(n *yaml.Node) {
			if what, _ := r.word(n, "what lands together", []string{TogetherTopic, "none"}); what != "none" {
				l.Together = what
			}
		},
		"queue": func(n *yaml.Node) {
			name, ok := r.text(n, "`queue`")
			if ok && !nodeName.MatchString(name) {
				r.bad(n, nameFix, "a queue cannot be called `%s`", clip(name))
			}
			l.Queue = name
		},
		"freeze": func(n *yaml.Node) { l.Freeze = r.freezes(n, "land.freeze", "land") },
	}, laterLand)
}

// batch reads how many changes a candidate may try: `auto`, `off` or a number.
func (r *reader) batch(n *yaml.Node) int {
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "auto":
		return MaxBatch
	case n.Kind == yaml.ScalarNode && n.Value == "off":
		return 1
	case n.Kind == yaml.ScalarNode && strings.Trim(n.Value, "0123456789") == "" && n.Value != "":
		if size, ok := r.integer(n, "`batch`", MinBatch, MaxBatch); ok {
			return size
		}
	default:
		r.bad(n, fmt.Sprintf("write `auto`, `off` or a number from %d to %d", MinBatch, MaxBatch), "`batch` says how many changes are tried at once")
	}
	return 1
}

// checkLanes refuses lanes of targets where there are none.
func (r *reader) checkLanes(n *yaml.Node) {
	if r.plan.Land.Lanes == LanesTargets && len(r.plan.Targets) == 0 {
		r.bad(n, "write `targets`, or `lanes: branch`", "lanes are made of targets, and the plan has none")
	}
}

// fillLand gives what the file does not say. Batches are the default only where the commits
// inside of one are those that were pushed: otherwise each would land as a commit that nobody
// ever tried by itself.
func (p *Plan) fillLand() {
	l := &p.Land
	if l.How == "" {
		l.How = Merge
	}
	if l.Batch == 0 {
		l.Batch = 1
		if l.How == Merge {
			l.Batch = MaxBatch
		}
	}
	if l.Lanes == "" {
		l.Lanes = LanesBranch
		if len(p.Targets) > 0 {
			l.Lanes = LanesTargets
		}
	}
}
