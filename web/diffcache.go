package web

import (
	"context"
	"fmt"
	"hash/fnv"
	"path"
	"strings"

	"gatehouse/gitserver/git"
	"gatehouse/review/diff"
)

// Two trees never change, so neither does their difference: what was read of it once is kept
// for the next visitor. What is kept is shared and must not be written to.
const (
	// maxListCache is how many files all lists of changed files that are kept have together,
	// about 300 bytes each.
	maxListCache = 100_000
	// maxPatchCache is the bytes of patches that are kept, parsed: about four times that in memory.
	maxPatchCache = 24 << 20
	// maxDigestCache is how many digests of files are kept.
	maxDigestCache = 100_000
	// maxPairs is how many pairs of patch sets are remembered with the tree to compare with.
	maxPairs = 5_000
)

// diffCache is what was read of differences.
type diffCache struct {
	lists   lru[[]git.FileChange]
	patches lru[map[string]*diff.File]
	digests lru[map[string]string]
	merged  lru[git.OID] // "" where it conflicts
	reasons lru[string]  // why a blob counts as generated, "" for no reason
}

func newDiffCache() *diffCache {
	return &diffCache{
		lists: lru[[]git.FileChange]{most: maxListCache}, patches: lru[map[string]*diff.File]{most: maxPatchCache},
		digests: lru[map[string]string]{most: maxDigestCache}, merged: lru[git.OID]{most: maxPairs}, reasons: lru[string]{most: maxReasons},
	}
}

// pairKey names two trees of a repository.
func pairKey(g *git.Repo, from, to git.OID) string {
	return g.Dir() + " " + string(from) + " " + string(to)
}

// changedFiles lists the files that differ. The list is shared: it must not be written to.
func (w *Web) changedFiles(ctx context.Context, g *git.Repo, from, to git.OID) ([]git.FileChange, error) {
	key := pairKey(g, from, to)
	if files, ok := w.diffs.lists.get(key); ok {
		return files, nil
	}
	files, err := g.ChangedFiles(ctx, from, to)
	if err != nil {
		return nil, err
	}
	w.diffs.lists.put(key, 1+len(files), files)
	return files, nil
}

// patchOf is the parsed patch of the files in shown, by path, with changed words and moved
// lines marked. It is shared: it must not be written to.
func (w *Web) patchOf(ctx context.Context, g *git.Repo, from, to git.OID, ws string, changes []git.FileChange, shown []int) (map[string]*diff.File, error) {
	if len(shown) == 0 {
		return nil, nil
	}
	options := git.DiffOptions{Context: diffContext, IgnoreSpace: whiteSpace[ws], MaxBytes: maxPatch}
	if len(shown) < len(changes) {
		for _, i := range shown {
			options.Paths = append(options.Paths, changes[i].Path)
			if old := changes[i].OldPath; old != "" && old != changes[i].Path {
				options.Paths = append(options.Paths, old)
			}
		}
	}
	which := fnv.New128a()
	_, _ = which.Write([]byte(strings.Join(options.Paths, "\x00"))) // a hash does not fail
	key := fmt.Sprintf("%s %s %x", pairKey(g, from, to), ws, which.Sum(nil))
	if files, ok := w.diffs.patches.get(key); ok {
		return files, nil
	}
	text, err := g.DiffPatch(ctx, from, to, options)
	if err != nil {
		return nil, err
	}
	files, err := diff.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("web: diff %s..%s: %w", from.Short(), to.Short(), err)
	}
	diff.Moves(files)
	byPath := make(map[string]*diff.File, len(files))
	for i := range files {
		for h := range files[i].Hunks {
			diff.Intraline(&files[i].Hunks[h])
		}
		byPath[files[i].Path()] = &files[i]
	}
	w.diffs.patches.put(key, len(text), byPath)
	return byPath, nil
}

// source is a text as pages show it.
type source struct {
	colors colored
	lines  int // 0 when it was too large to look at
}

// colorsOf is the colours of a whole blob, so that a hunk in the middle of a comment is
// coloured as one. What cannot be read or is large stays plain.
func (w *Web) colorsOf(ctx context.Context, g *git.Repo, oid git.OID, name, otherwise string) source {
	if name == "" {
		name = otherwise
	}
	if oid.IsZero() {
		return source{}
	}
	key := string(oid) + " " + path.Base(name)
	if known, ok := w.colors.get(key); ok {
		return known
	}
	text, err := g.Blob(ctx, oid, maxHighlight)
	if err != nil {
		return source{}
	}
	s := source{lines: len(diff.SplitLines(string(text)))}
	var whole bool
	s.colors, whole = highlight(ctx, name, string(text))
	again := key + " again"
	switch _, tried := w.colors.get(again); {
	case whole || tried && ctx.Err() == nil:
		w.colors.put(key, len(text), s)
	case ctx.Err() == nil: // this text took too long, not those before it: it gets one more try
		w.colors.put(again, len(again), source{})
	}
	return s
}
