package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/gitserver/fault"
)

// TreeEdit is what becomes of one file in [Repo.EditTree].
type TreeEdit struct {
	Path    string
	Content []byte
	Delete  bool
	Mode    string // "100644" or "100755"; "" keeps the file's, and makes a new file plain
}

// maxTreeEdits is how many files one edit may name: people edit a few, and each costs a child.
const maxTreeEdits = 500

// modeFile is an ordinary file.
const modeFile = "100644"

// Entry is what stands at path in a commit or tree: a file, a directory, a link or a
// submodule. NotFound when nothing does.
func (r *Repo) Entry(ctx context.Context, treeish OID, path string) (Entry, error) {
	return r.entryAt(ctx, treeish, path)
}

// EditTree makes the tree that treeish becomes when the files are edited, in the quarantine
// that r reads through. A directory that becomes empty goes; those that a new file needs come.
// Invalid: a path that is none or is named twice, a mode that is no file's, a file in the
// place of a directory or below a file, content for a link or a submodule. NotFound: deleting
// what is not there. What names may be is for [Quarantine.Check].
func (r *Repo) EditTree(ctx context.Context, treeish OID, edits []TreeEdit) (OID, error) {
	const op = "git.EditTree"
	if !r.inQuarantine() {
		return "", errors.New("git: edit tree: outside of a quarantine")
	}
	if len(edits) > maxTreeEdits {
		return "", fault.Newf(fault.TooLarge, op, "%d edited files are more than %d", len(edits), maxTreeEdits)
	}
	root := &editNode{}
	for i := range edits {
		if err := root.add(&edits[i]); err != nil {
			return "", err
		}
	}
	top, err := r.entryAt(ctx, treeish, "")
	if err != nil {
		return "", err
	}
	tree, err := r.editDirectory(ctx, "", top.OID, root)
	if err != nil {
		return "", err
	}
	if tree == "" {
		return EmptyTree, nil
	}
	return tree, nil
}

// editNode is a name in the tree of edits: edited itself, or something below it is.
type editNode struct {
	edit  *TreeEdit
	below map[string]*editNode
}

func (n *editNode) add(e *TreeEdit) error {
	const op = "git.EditTree"
	path, err := cleanPath(op, e.Path)
	if err != nil || path == "" || path != e.Path {
		return fault.New(fault.Invalid, op, quoteName(e.Path)+" is not the path of a file", "write it as dir/file")
	}
	if len(path) > MaxPath || strings.Count(path, "/") >= MaxDepth {
		return fault.Newf(fault.Invalid, op, "%s is longer or deeper than paths may be", quoteName(path))
	}
	if e.Mode != "" && e.Mode != modeFile && e.Mode != modeExec {
		return fault.Newf(fault.Invalid, op, "a file has the mode %s or %s, not %s", modeFile, modeExec, clip(e.Mode))
	}
	for _, part := range strings.Split(path, "/") {
		if n.below == nil {
			n.below = map[string]*editNode{}
		}
		if n.below[part] == nil {
			n.below[part] = &editNode{}
		}
		n = n.below[part]
	}
	if n.edit != nil {
		return fault.Newf(fault.Invalid, op, "%s is edited twice", quoteName(path))
	}
	n.edit = e
	return nil
}

// editDirectory writes the directory that tree ("" when there is none yet) becomes; "" when
// nothing is left in it.
func (r *Repo) editDirectory(ctx context.Context, path string, tree OID, n *editNode) (OID, error) {
	entries := map[string]Entry{}
	if tree != "" {
		var before []Entry
		err := r.withReader(ctx, func(b *reader) (err error) {
			before, err = b.tree(tree)
			return err
		})
		if err != nil {
			return "", err
		}
		for _, e := range before {
			entries[e.Name] = e
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.below)) {
		at := name
		if path != "" {
			at = path + "/" + name
		}
		e, err := r.editName(ctx, at, entries[name], n.below[name])
		if err != nil {
			return "", err
		}
		delete(entries, name)
		if e.OID != "" {
			e.Name = name
			entries[name] = e
		}
	}
	if len(entries) == 0 {
		return "", nil
	}
	return r.writeTree(ctx, entries)
}

// editName is what stands at path afterwards; the zero entry when nothing does.
func (r *Repo) editName(ctx context.Context, path string, was Entry, n *editNode) (Entry, error) {
	const op = "git.EditTree"
	now := was
	if n.edit != nil && n.edit.Delete {
		switch {
		case was.OID == "":
			return now, fault.Newf(fault.NotFound, op, "there is no %s to delete", quoteName(path))
		case was.Type == "tree":
			return now, fault.New(fault.Invalid, op, quoteName(path)+" is a directory", "delete its files")
		}
		now = Entry{}
	}
	if len(n.below) > 0 {
		if now.OID != "" && now.Type != "tree" {
			return now, fault.New(fault.Invalid, op, quoteName(path)+" is a file and cannot hold others", "delete it in the same edit, or choose another path")
		}
		tree, err := r.editDirectory(ctx, path, now.OID, n)
		if err != nil {
			return now, err
		}
		if now = (Entry{Mode: modeTree, Type: "tree", OID: tree}); tree == "" {
			now = Entry{}
		}
	}
	if n.edit == nil || n.edit.Delete {
		return now, nil
	}
	switch {
	case now.Type == "tree":
		return now, fault.New(fault.Invalid, op, quoteName(path)+" is a directory", "choose another path")
	case now.Mode == modeSymlink, now.Mode == modeGitlink:
		return now, fault.New(fault.Invalid, op, quoteName(path)+" is a symbolic link or a submodule, which has no text to edit", "change it in a working copy and push")
	}
	blob, err := r.writeBlob(ctx, n.edit.Content)
	if err != nil {
		return now, err
	}
	mode := n.edit.Mode
	if mode == "" {
		mode = modeFile
		if now.Mode == modeExec {
			mode = modeExec
		}
	}
	return Entry{Mode: mode, Type: "blob", OID: blob}, nil
}

func (r *Repo) writeBlob(ctx context.Context, content []byte) (OID, error) {
	out, err := r.git.run(ctx, child{args: []string{"hash-object", "-w", "--stdin"}, env: r.env(), stdin: bytes.NewReader(content)})
	if err != nil {
		return "", fmt.Errorf("git: write file: %w", err)
	}
	return ParseOID(strings.TrimSpace(string(out)))
}

// writeTree has git write one directory: it sorts the names, and looks whether all is there.
func (r *Repo) writeTree(ctx context.Context, entries map[string]Entry) (OID, error) {
	var in strings.Builder
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := entries[name]
		fmt.Fprintf(&in, "%s %s %s\t%s\x00", e.Mode, e.Type, e.OID, name)
	}
	out, err := r.runIn(ctx, in.String(), "mktree", "-z")
	if err != nil {
		return "", fmt.Errorf("git: write tree: %w", err)
	}
	return ParseOID(strings.TrimSpace(string(out)))
}
