package git

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// Entry is one name in a tree.
type Entry struct {
	Mode string // six octal digits, as "100644"
	Type string // "blob", "tree" or "commit" (a gitlink)
	OID  OID
	Name string // the last part of the path
	Size int64  // of a blob
}

// Modes of tree entries.
const (
	modeTree    = "040000"
	modeExec    = "100755"
	modeSymlink = "120000"
	modeGitlink = "160000"
)

// maxListing bounds the listing of one directory.
const maxListing = 32 << 20

// cleanPath checks a path inside a tree: parts separated by single slashes.
func cleanPath(op, path string) (string, error) {
	path = strings.Trim(path, "/")
	for _, part := range strings.Split(path, "/") {
		if path != "" && (part == "" || part == "." || part == "..") || strings.ContainsRune(part, 0) {
			return "", fault.Newf(fault.Invalid, op, "%s is not a path", quoteName(path))
		}
	}
	return path, nil
}

// Tree lists the directory at path ("" is the root) in a commit or tree. A missing path is
// NotFound, a file Invalid.
func (r *Repo) Tree(ctx context.Context, treeish OID, path string) ([]Entry, error) {
	const op = "git.Tree"
	e, err := r.entryAt(ctx, treeish, path)
	if err != nil {
		return nil, err
	}
	if e.Type != "tree" {
		return nil, fault.Newf(fault.Invalid, op, "%s is not a directory", quoteName(path))
	}
	out, err := r.git.run(ctx, child{args: []string{"ls-tree", "-l", "-z", "--end-of-options", string(e.OID)}, env: r.env(), max: maxListing})
	if err != nil {
		return nil, fmt.Errorf("git: list tree: %w", err)
	}
	var entries []Entry
	for len(out) > 0 {
		record, rest, _ := bytes.Cut(out, []byte{0})
		out = rest
		e, err := parseListing(string(record))
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// parseListing reads "MODE TYPE OID SIZE<tab>NAME" of ls-tree -l.
func parseListing(record string) (Entry, error) {
	front, name, ok := strings.Cut(record, "\t")
	f := strings.Fields(front)
	if !ok || len(f) < 3 || !isHex(f[2], oidLen) {
		return Entry{}, fmt.Errorf("git: list tree: unreadable record %q", clip(record))
	}
	e := Entry{Mode: f[0], Type: f[1], OID: OID(f[2]), Name: name}
	if len(f) == 4 && f[3] != "-" {
		size, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			return Entry{}, fmt.Errorf("git: list tree: unreadable record %q", clip(record))
		}
		e.Size = size
	}
	return e, nil
}

// entryAt walks from a commit, tag or tree along path. Path "" is the tree itself.
func (r *Repo) entryAt(ctx context.Context, treeish OID, path string) (Entry, error) {
	const op = "git.entryAt"
	if err := valid(op, treeish); err != nil {
		return Entry{}, err
	}
	path, err := cleanPath(op, path)
	if err != nil {
		return Entry{}, err
	}
	missing := fault.Newf(fault.NotFound, op, "there is no %s in %s", quoteName(path), treeish.Short())
	var found Entry
	err = r.withReader(ctx, func(b *reader) error {
		tree, entries, err := b.peelToTree(treeish)
		if err != nil {
			return err
		}
		found = Entry{Mode: modeTree, Type: "tree", OID: tree}
		if path == "" {
			return nil
		}
		parts := strings.Split(path, "/")
		for i, part := range parts {
			ok := false
			if found, ok = find(entries, part); !ok {
				return missing
			}
			if i == len(parts)-1 {
				return nil
			}
			if found.Type != "tree" {
				return missing
			}
			if entries, err = b.tree(found.OID); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// find looks for a name among entries.
func find(entries []Entry, name string) (Entry, bool) {
	for _, e := range entries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// maxTagDepth is how many tags of tags are followed.
const maxTagDepth = 8

// peelToTree follows tags and a commit to their tree.
func (b *reader) peelToTree(oid OID) (OID, []Entry, error) {
	for range maxTagDepth {
		if oid == EmptyTree {
			return oid, nil, nil
		}
		var raw bytes.Buffer
		kind, err := b.contents(oid, maxTreeBytes, &raw)
		if err != nil {
			return "", nil, err
		}
		want := ""
		switch kind {
		case "tree":
			entries, err := parseTree(raw.Bytes())
			return oid, entries, err
		case "commit":
			want = "tree "
		case "tag":
			want = "object "
		default:
			return "", nil, fault.Newf(fault.Invalid, "git.Tree", "%s is a %s, not a tree", oid.Short(), kind)
		}
		line, _, _ := strings.Cut(raw.String(), "\n")
		next, ok := strings.CutPrefix(line, want)
		if !ok || !isHex(next, oidLen) {
			return "", nil, fmt.Errorf("git: read %s: unreadable %s", oid, kind)
		}
		oid = OID(next)
	}
	return "", nil, fault.Newf(fault.TooLarge, "git.Tree", "more than %d tags on top of each other", maxTagDepth)
}

// tree reads one tree object.
func (b *reader) tree(oid OID) ([]Entry, error) {
	if oid == EmptyTree {
		return nil, nil
	}
	var raw bytes.Buffer
	kind, err := b.contents(oid, maxTreeBytes, &raw)
	if err != nil {
		return nil, err
	}
	if kind != "tree" {
		return nil, fault.Newf(fault.Invalid, "git.Tree", "%s is a %s, not a tree", oid.Short(), kind)
	}
	return parseTree(raw.Bytes())
}

// parseTree reads a tree object: "MODE NAME\0" and twenty bytes, for each entry.
func parseTree(raw []byte) ([]Entry, error) {
	var entries []Entry
	for len(raw) > 0 {
		front, rest, ok := bytes.Cut(raw, []byte{0})
		mode, name, ok2 := strings.Cut(string(front), " ")
		if !ok || !ok2 || len(rest) < oidLen/2 || name == "" {
			return nil, fmt.Errorf("git: unreadable tree")
		}
		e := Entry{Mode: mode, Name: name, OID: OID(hex.EncodeToString(rest[:oidLen/2]))}
		if len(mode) == 5 {
			e.Mode = "0" + mode
		}
		switch e.Mode {
		case modeTree:
			e.Type = "tree"
		case modeGitlink:
			e.Type = "commit"
		default:
			e.Type = "blob"
		}
		entries = append(entries, e)
		raw = rest[oidLen/2:]
	}
	return entries, nil
}

// Blob reads a file's bytes; more than max is TooLarge.
func (r *Repo) Blob(ctx context.Context, oid OID, max int64) ([]byte, error) {
	if err := valid("git.Blob", oid); err != nil {
		return nil, err
	}
	var data bytes.Buffer
	err := r.withReader(ctx, func(b *reader) error {
		kind, err := b.contents(oid, max, &data)
		if err == nil && kind != "blob" {
			return fault.Newf(fault.Invalid, "git.Blob", "%s is a %s, not a file", oid.Short(), kind)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// FileAt reads the file at path in a commit. NotFound when there is none; a directory, a
// gitlink and a symbolic link (which would lead elsewhere) are Invalid.
func (r *Repo) FileAt(ctx context.Context, commit OID, path string, max int64) ([]byte, error) {
	e, err := r.entryAt(ctx, commit, path)
	if err != nil {
		return nil, err
	}
	if e.Type != "blob" || e.Mode == modeSymlink {
		return nil, fault.Newf(fault.Invalid, "git.FileAt", "%s is not a regular file", quoteName(path))
	}
	return r.Blob(ctx, e.OID, max)
}
