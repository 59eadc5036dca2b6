package web

import (
	"context"
	"fmt"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
	"gatehouse/review/diff"
)

// between is how two patch sets are compared when they stand on different commits, so that
// what the author changed shows and what landed meanwhile does not.
//
// Where it can be done, the older patch set is put onto the newer one's parent first (as git
// cherry-pick does) and the result is the older side: then only the author's work is left.
// Where that conflicts, the patch sets are compared as they are; files that neither of them
// touches are left out, and lines that are the parents' difference are marked, or left out
// with their hunks when nothing in them is the author's.
type between struct {
	older, newer review.PatchSet
	tree         git.OID         // the older patch set on the newer one's parent, "" where it conflicts
	moved        map[string]bool // files that the tree has otherwise than the older patch set
	touched      map[string]bool // files that one of the patch sets touches itself
	show         bool            // show the rebase's changes as well
}

// betweenOf prepares the comparison of two patch sets; nil when they stand on the same commit.
func (w *Web) betweenOf(ctx context.Context, g *git.Repo, older, newer review.PatchSet, show bool) (*between, error) {
	if older.Parent == newer.Parent || older.Parents > 1 || newer.Parents > 1 || older.Parent.IsZero() || newer.Parent.IsZero() {
		return nil, nil
	}
	b := &between{older: older, newer: newer, show: show, touched: map[string]bool{}}
	for _, ps := range []review.PatchSet{older, newer} {
		files, err := w.changedFiles(ctx, g, ps.Parent, ps.Commit)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			b.touched[f.Path], b.touched[f.OldPath] = true, true
		}
	}
	if show {
		return b, nil
	}
	tree, err := w.putOnto(ctx, g, newer.Parent, older.Commit)
	if err != nil || tree == "" {
		return b, err
	}
	files, err := w.changedFiles(ctx, g, older.Commit, tree)
	if err != nil {
		return nil, err
	}
	b.tree, b.moved = tree, map[string]bool{}
	for _, f := range files {
		b.moved[f.Path], b.moved[f.OldPath] = true, true
	}
	return b, nil
}

// putOnto is the tree of a commit's change on another commit, "" when they conflict.
func (w *Web) putOnto(ctx context.Context, g *git.Repo, onto, commit git.OID) (git.OID, error) {
	key := pairKey(g, onto, commit)
	if tree, ok := w.diffs.merged.get(key); ok {
		return tree, nil
	}
	tree, conflicts, err := g.PickTree(ctx, onto, commit)
	if err != nil && !fault.Is(err, fault.Refused) {
		return "", err
	}
	if len(conflicts) > 0 {
		tree = ""
	}
	w.diffs.merged.put(key, 1, tree)
	return tree, nil
}

// left is what stands on the left of the comparison and has an address.
func (b *between) left(from git.OID) git.OID {
	if b == nil {
		return from
	}
	return b.older.Commit
}

// from is the older side.
func (b *between) from() git.OID {
	if b.tree != "" {
		return b.tree
	}
	return b.older.Commit
}

// shifted reports whether the older side of a file is not the older patch set's, so that
// comments on that have other line numbers.
func (b *between) shifted(c git.FileChange) bool {
	return b != nil && b.tree != "" && (b.moved[c.Path] || b.moved[c.OldPath])
}

// own leaves out the files that only the rebase changed.
func (b *between) own(files []git.FileChange) (own []git.FileChange, left int) {
	if b == nil || b.show || b.tree != "" {
		return files, 0
	}
	for _, f := range files {
		if b.touched[f.Path] || b.touched[f.OldPath] {
			own = append(own, f)
		}
	}
	return own, len(files) - len(own)
}

// hunks marks what the rebase changed in a file and leaves out hunks that hold nothing else.
func (b *between) hunks(ctx context.Context, w *Web, q diffRequest, c git.FileChange, hunks []diff.Hunk) (own []diff.Hunk, left int, err error) {
	if b == nil || b.tree != "" {
		return hunks, 0, nil
	}
	var of [3][]diff.Hunk
	for i, pair := range [3][2]git.OID{{b.older.Parent, b.newer.Parent}, {b.older.Parent, b.older.Commit}, {b.newer.Parent, b.newer.Commit}} {
		if of[i], err = w.hunksOf(ctx, q, pair[0], pair[1], c); err != nil {
			return nil, 0, err
		}
	}
	marked := make([]diff.Hunk, len(hunks))
	for i, h := range hunks { // what is kept in the cache stays as it is
		marked[i] = h
		marked[i].Lines = append([]diff.Line(nil), h.Lines...)
	}
	diff.Rebased(marked, of[0], of[1], of[2])
	for _, h := range marked {
		if h.Noise() && !b.show {
			left++
			continue
		}
		own = append(own, h)
	}
	return own, left, nil
}

// hunksOf is the difference of one file between two commits; none when it is the same.
func (w *Web) hunksOf(ctx context.Context, q diffRequest, from, to git.OID, c git.FileChange) ([]diff.Hunk, error) {
	changes, err := w.changedFiles(ctx, q.git, from, to)
	if err != nil {
		return nil, err
	}
	for i, other := range changes {
		if other.Path == c.Path || other.Path == c.OldPath || other.OldPath == c.Path {
			files, err := w.patchOf(ctx, q.git, from, to, q.ws, changes, []int{i})
			if err != nil || files[other.Path] == nil {
				return nil, err
			}
			return files[other.Path].Hunks, nil
		}
	}
	return nil, nil
}

// notice is what the page says about the comparison, and the switch's other position.
func (b *between) notice() string {
	switch {
	case b == nil:
		return ""
	case b.show:
		return fmt.Sprintf("Patch sets %d and %d stand on different commits: lines that differ only because of that are striped.", b.older.Number, b.newer.Number)
	case b.tree != "":
		return fmt.Sprintf("Patch sets %d and %d stand on different commits: what landed between them is left out.", b.older.Number, b.newer.Number)
	}
	return fmt.Sprintf("Patch sets %d and %d stand on different commits, and %d does not apply to the new one: files and places that only the rebase changed are left out, the other lines that it changed are striped.", b.older.Number, b.newer.Number, b.older.Number)
}
