package gatekeeper

import (
	"context"
	"math"
	"strings"

	"gatehouse/gitserver/git"
)

// lanes is what a patch set shares with others, and how large it is.
type lanes struct {
	targets []string
	barrier bool
	size    int64 // the logarithm of its changed lines, in thousandths
}

// text is the targets as rows keep them: one a line, because paths may hold anything else.
func (l lanes) text() string { return strings.Join(l.targets, "\n") }

// sizeScale is the unit of sizes in rows.
const sizeScale = 1000

// lanesOf tells what a patch set shares with others, by the plan of its branch: what it
// changes itself counts, whatever it stands on.
func (t *tick) lanesOf(ctx context.Context, change int64, number int) (lanes, error) {
	ps, err := t.Review.PatchSet(ctx, t.DB.Read(), change, number)
	if err != nil {
		return lanes{}, err
	}
	from := ps.Parent
	if from == "" {
		from = git.EmptyTree
	}
	files, err := t.git.ChangedFiles(ctx, from, ps.Commit)
	if err != nil {
		return lanes{}, err
	}
	lines := 0
	for _, f := range files {
		lines += f.Added + f.Deleted
	}
	l := lanes{size: int64(math.Log2(float64(lines+1)) * sizeScale)}
	l.targets, l.barrier = t.plan.Lanes(pathsOf(files))
	for _, name := range l.targets {
		if strings.Contains(name, "\n") { // no row can keep it: it conflicts with everything
			return lanes{barrier: true, size: l.size}, nil
		}
	}
	return l, nil
}

// splitTargets is the opposite of [lanes.text].
func splitTargets(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
