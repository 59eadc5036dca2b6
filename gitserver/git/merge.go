package git

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"

	"gatehouse/gitserver/fault"
)

// MergeTree merges two commits as git's ort strategy does, without a work tree. The tree is
// durable (in a quarantine: once it migrates). With conflicts there is no tree, only the
// paths, sorted. Commits without common history are Refused.
func (r *Repo) MergeTree(ctx context.Context, ours, theirs OID) (tree OID, conflicts []string, err error) {
	if err := valid("git.MergeTree", ours, theirs); err != nil {
		return "", nil, err
	}
	if err := r.mustBe(ctx, map[OID]string{}, []OID{ours, theirs}); err != nil {
		return "", nil, err
	}
	return r.staged(ctx, func(s *Repo) (OID, []string, error) { return s.mergeTree(ctx, ours, theirs) })
}

// PickTree applies what commit changed against its first parent (against nothing, when it has
// none) on top of onto, as git cherry-pick does. The result is that of [Repo.MergeTree].
func (r *Repo) PickTree(ctx context.Context, onto, commit OID) (tree OID, conflicts []string, err error) {
	cs, err := r.commits(ctx, []OID{onto, commit})
	if err != nil {
		return "", nil, err
	}
	before, err := r.treeBefore(ctx, cs[1])
	if err != nil {
		return "", nil, err
	}
	return r.threeWay(ctx, before, cs[0].Tree, cs[1].Tree)
}

// RevertTree takes what commit changed against its first parent (against nothing, when it has
// none) back on top of onto, as git revert does. The result is that of [Repo.MergeTree].
func (r *Repo) RevertTree(ctx context.Context, onto, commit OID) (tree OID, conflicts []string, err error) {
	cs, err := r.commits(ctx, []OID{onto, commit})
	if err != nil {
		return "", nil, err
	}
	before, err := r.treeBefore(ctx, cs[1])
	if err != nil {
		return "", nil, err
	}
	return r.threeWay(ctx, cs[1].Tree, cs[0].Tree, before)
}

// RevertRange takes what came between two commits back on top of onto. The result is that of
// [Repo.MergeTree].
func (r *Repo) RevertRange(ctx context.Context, onto, from, to OID) (tree OID, conflicts []string, err error) {
	cs, err := r.commits(ctx, []OID{onto, from, to})
	if err != nil {
		return "", nil, err
	}
	return r.threeWay(ctx, cs[2].Tree, cs[0].Tree, cs[1].Tree)
}

// treeBefore is the tree of a commit's first parent.
func (r *Repo) treeBefore(ctx context.Context, c Commit) (OID, error) {
	if len(c.Parents) == 0 {
		return EmptyTree, nil
	}
	p, err := r.Commit(ctx, c.Parents[0])
	return p.Tree, err
}

// threeWay merges two trees over a third.
//
// git 2.39 takes no base for merge-tree, so two commits are made up that have one in common,
// and removed afterwards.
func (r *Repo) threeWay(ctx context.Context, base, ours, theirs OID) (tree OID, conflicts []string, err error) {
	return r.staged(ctx, func(s *Repo) (tree OID, conflicts []string, err error) {
		var made []string
		defer func() {
			for _, name := range made {
				if rmErr := os.Remove(name); rmErr != nil && err == nil {
					err = fmt.Errorf("git: pick: %w", rmErr)
				}
			}
		}()
		write := func(tree OID, parents []OID, message string) (OID, error) {
			oid, name, err := s.writeLoose(composeCommit(tree, parents, Signature{}, Signature{}, message))
			if name != "" {
				made = append(made, name)
			}
			return oid, err
		}
		root, err := write(base, nil, "base")
		if err != nil {
			return "", nil, err
		}
		left, err := write(ours, []OID{root}, "ours")
		if err != nil {
			return "", nil, err
		}
		right, err := write(theirs, []OID{root}, "theirs")
		if err != nil {
			return "", nil, err
		}
		return s.mergeTree(ctx, left, right)
	})
}

// staged runs merge in a quarantine of its own (or the one r is in), so that a merge that
// conflicts or dies leaves nothing, and one that succeeds is made durable file by file.
func (r *Repo) staged(ctx context.Context, merge func(s *Repo) (OID, []string, error)) (OID, []string, error) {
	if r.inQuarantine() {
		return merge(r)
	}
	base := r
	if r.q != nil {
		base = r.q.base
	}
	q, err := base.Quarantine(ctx)
	if err != nil {
		return "", nil, err
	}
	tree, conflicts, err := merge(q.view)
	if err != nil || len(conflicts) > 0 {
		if dropErr := q.Discard(); err == nil {
			err = dropErr
		}
		return "", conflicts, err
	}
	return tree, nil, q.migrate()
}

// mergeTree runs git merge-tree.
func (r *Repo) mergeTree(ctx context.Context, ours, theirs OID) (OID, []string, error) {
	const op = "git.MergeTree"
	out, err := r.run(ctx, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", string(ours), string(theirs))
	switch {
	case err != nil && exitCode(err) != 1:
		if strings.Contains(stderrOf(err), "unrelated histories") {
			return "", nil, fault.Wrap(err, fault.Refused, op, "the commits have no history in common")
		}
		return "", nil, noCommit(op, err)
	case err == nil:
		oid, err := ParseOID(strings.TrimRight(string(out), "\x00\n"))
		return oid, nil, err
	}
	records := bytes.Split(bytes.TrimRight(out, "\x00"), []byte{0})
	var conflicts []string
	for _, name := range records[1:] {
		conflicts = append(conflicts, string(name))
	}
	slices.Sort(conflicts)
	conflicts = slices.Compact(conflicts)
	if len(conflicts) == 0 {
		return "", nil, fmt.Errorf("git: merge: git says conflict and names no path")
	}
	return "", conflicts, nil
}

// writeLoose writes a commit object into the quarantine, not flushed: it lives for one merge.
// name is "" when the quarantine has it already.
func (r *Repo) writeLoose(raw []byte) (oid OID, name string, err error) {
	var b bytes.Buffer
	w := objfile.NewWriter(&b)
	if err := w.WriteHeader(plumbing.CommitObject, int64(len(raw))); err != nil {
		return "", "", fmt.Errorf("git: write object: %w", err)
	}
	if _, err := w.Write(raw); err != nil {
		return "", "", fmt.Errorf("git: write object: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", "", fmt.Errorf("git: write object: %w", err)
	}
	hash := w.Hash().String()
	dir := filepath.Join(r.q.dir, hash[:2])
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return "", "", fmt.Errorf("git: write object: %w", err)
	}
	name = filepath.Join(dir, hash[2:])
	if _, err := os.Stat(name); err == nil {
		return OID(hash), "", nil
	}
	if err := os.WriteFile(name, b.Bytes(), fs.FileMode(0o400)); err != nil {
		return "", "", fmt.Errorf("git: write object: %w", err)
	}
	return OID(hash), name, nil
}
