package gatekeeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"gatehouse/gatekeeper/annotate"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// moves says where the lines of what was tested are in a patch set; nil where nothing differs.
type moves map[string][]diff.Hunk

// line is the place of a line, 0 when the patch set does not have it.
func (m moves) line(path string, line int) int {
	shift := 0
	for _, h := range m[path] {
		start := h.OldStart
		if h.OldLines == 0 {
			start++ // an insertion after the line that it names
		}
		switch {
		case line < start:
			return line + shift
		case line < start+h.OldLines:
			return 0
		}
		shift += h.NewLines - h.OldLines
	}
	return line + shift
}

// movesTo compares the files that a stage spoke of with those of the patch set.
func (c *Controller) movesTo(ctx context.Context, g *git.Repo, s *StageChecks, files map[string]annotate.Lines, set review.PatchSet) (moves, error) {
	if s.tree == set.Tree || s.Commit == set.Commit {
		return nil, nil //nolint:nilnil // the same files
	}
	named := map[string]bool{}
	for path := range files {
		named[path] = true
	}
	for _, f := range s.Findings {
		if f.Path != "" {
			named[f.Path] = true
		}
	}
	if len(named) == 0 {
		return nil, nil //nolint:nilnil // nothing to move
	}
	return c.hunks(ctx, g, s.Commit, set.Commit, slices.Sorted(maps.Keys(named)))
}

// maxMovePatch bounds the difference by which lines are moved; beyond it they stay where they
// were found.
const maxMovePatch = 8 << 20

// hunks is how some files differ between two commits, by their old names.
func (c *Controller) hunks(ctx context.Context, g *git.Repo, from, to git.OID, paths []string) (map[string][]diff.Hunk, error) {
	key := string(from) + " " + string(to) + " " + strings.Join(paths, "\x00")
	if known, ok := c.differ.get(key); ok {
		return known, nil
	}
	patch, err := g.DiffPatch(ctx, from, to, git.DiffOptions{Context: -1, Paths: paths, MaxBytes: maxMovePatch})
	if fault.Is(err, fault.TooLarge) || fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // nothing is known
	}
	if err != nil {
		return nil, err
	}
	files, err := diff.Parse(patch)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: diff %s..%s: %w", from.Short(), to.Short(), err)
	}
	hunks := map[string][]diff.Hunk{}
	for _, f := range files {
		hunks[f.Path()] = f.Hunks
		hunks[f.OldPath] = f.Hunks
	}
	c.differ.put(key, hunks)
	return hunks, nil
}

// maxHunks bounds the memory for differences: changes that people look at now.
const maxHunks = 128

// hunksCache keeps what commits differ by, which never changes.
type hunksCache struct {
	mu  sync.Mutex
	all map[string]map[string][]diff.Hunk
}

func (h *hunksCache) get(key string) (map[string][]diff.Hunk, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.all[key]
	return known, ok
}

func (h *hunksCache) put(key string, hunks map[string][]diff.Hunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil || len(h.all) >= maxHunks {
		h.all = map[string]map[string][]diff.Hunk{}
	}
	h.all[key] = hunks
}

// move puts the findings where the patch set has their lines.
func (s *StageChecks) move(m moves) {
	if m == nil {
		return
	}
	for i := range s.Findings {
		f := &s.Findings[i]
		if f.Line == 0 || m[f.Path] == nil {
			continue
		}
		length := f.EndLine - f.Line
		now := m.line(f.Path, f.Line)
		if now == 0 {
			f.Tested, f.Line, f.EndLine = f.Line, 0, 0
			continue
		}
		f.Line, f.EndLine = now, now+length
	}
}
