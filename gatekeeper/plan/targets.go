package plan

import (
	"slices"
)

// Target is a part of the tree that is built and tested by itself.
type Target struct {
	Name  string
	Paths []string // patterns; a file may be of several targets
	Needs []string // other targets: a change of one of these is a change of this one too
	Line  int      `json:"-"`
}

// How changes for a branch are told apart into lanes. Changes that share no lane do not wait
// for each other, and what was found out about one is good beside the other.
const (
	LanesBranch  = "branch"  // all changes are of one lane
	LanesTargets = "targets" // those that touch a common target conflict
	LanesFiles   = "files"   // those that touch a common file conflict: the plan's owner promises that no others do
)

// maxLanePaths is how many paths are looked at to tell what a change touches. One with more
// conflicts with nearly everything anyway, and is taken to.
const maxLanePaths = 1000

// DefaultBarriers are patterns of files that decide how everything is built. A change of one
// conflicts with every other change; `barriers` of a plan adds more, and takes some of these
// out with "!". The plan file is always a barrier.
func DefaultBarriers() []string {
	return []string{
		".ci/**", ".gitattributes", ".gitmodules", "Makefile",
		"go.mod", "go.sum", "go.work", "go.work.sum",
		"package.json", "package-lock.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", "yarn.lock",
		"Cargo.toml", "Cargo.lock",
		"WORKSPACE", "WORKSPACE.bazel", "MODULE.bazel", "MODULE.bazel.lock",
		"pyproject.toml", "poetry.lock", "uv.lock", "requirements.txt",
		"pom.xml", "settings.gradle", "settings.gradle.kts", "Gemfile.lock",
	}
}

// barriers is the patterns of all barriers but the plan file.
func (p *Plan) barriers() []string { return append(DefaultBarriers(), p.Barriers...) }

// Lanes says what a change of these paths shares with others: two changes conflict when they
// have a name in common, or when one is a barrier. names is sorted: targets, or for
// [LanesFiles] the paths themselves. barrier is true, without names, when the change conflicts
// with every other: in a plan with one lane, when nothing is known about its paths, when they
// are too many, when one is a barrier, and, unless files are lanes, when one is of no target.
func (p *Plan) Lanes(changed []string) (names []string, barrier bool) {
	switch p.Land.Lanes {
	case LanesTargets:
		return p.touched(changed)
	case LanesFiles:
		if p.meetsBarrier(changed) {
			return nil, true
		}
		files := slices.Clone(changed)
		slices.Sort(files)
		return slices.Compact(files), false
	default: // LanesBranch
		return nil, true
	}
}

// meetsBarrier reports whether a change of these paths conflicts with everything, whatever
// targets there are.
func (p *Plan) meetsBarrier(changed []string) bool {
	return len(changed) == 0 || len(changed) > maxLanePaths || slices.Contains(changed, File) ||
		slices.ContainsFunc(changed, newSelector(p.barriers()).selects)
}

// touched is the targets that a change of these paths touches, sorted: those that have one of
// the paths, and those that need one of them. barrier says that it may touch everything.
func (p *Plan) touched(changed []string) (names []string, barrier bool) {
	if p.meetsBarrier(changed) {
		return nil, true
	}
	found := map[string]bool{}
	placed := make([]bool, len(changed))
	for _, t := range p.Targets {
		s := newSelector(t.Paths)
		for i, path := range changed {
			if s.selects(path) {
				found[t.Name], placed[i] = true, true
			}
		}
	}
	if slices.Contains(placed, false) {
		return nil, true
	}
	users := map[string][]string{}
	for _, t := range p.Targets {
		for _, need := range t.Needs {
			users[need] = append(users[need], t.Name)
		}
	}
	return closure(found, users), false
}

// closure is the names from which, and those to which they lead on, sorted.
func closure(from map[string]bool, next map[string][]string) []string {
	var all, todo []string
	seen := map[string]bool{}
	for name := range from {
		todo = append(todo, name)
	}
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[name] {
			seen[name] = true
			all = append(all, name)
			todo = append(todo, next[name]...)
		}
	}
	slices.Sort(all)
	return all
}

// target finds a target by name.
func (p *Plan) target(name string) (Target, bool) {
	i := slices.IndexFunc(p.Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, false
	}
	return p.Targets[i], true
}

// targetCycle finds targets that need each other: each needs the next, and the last is the
// first again. nil when there are none.
func (p *Plan) targetCycle() []string {
	var names []string
	needs := map[string][]string{}
	for _, t := range p.Targets {
		names = append(names, t.Name)
		needs[t.Name] = t.Needs
	}
	return findCycle(names, func(name string) []string { return needs[name] })
}
