package git

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// Bounds of diffs.
const (
	maxPatchBytes  = 16 << 20 // what a page or a comment can still be made of
	maxDigestBytes = 1 << 30  // a digest streams; beyond this nobody has reviewed it
	maxContext     = 10_000   // lines: "the whole file"
)

// DiffOptions shape a patch. The zero value is what git diff does.
type DiffOptions struct {
	Paths       []string // only these files and directories
	Context     int      // lines around a change; 0 means 3, negative none
	IgnoreSpace string   // "", "eol", "change" (amount of it) or "all"
	MaxBytes    int64    // TooLarge beyond; 0 means 16 MiB
}

// diffArgs are common to all diffs: the answer depends on the two trees only, never on
// programs, attributes or configuration.
func diffArgs(more ...string) []string {
	return append([]string{"diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--no-color",
		"--no-relative", "--ignore-submodules=none", "--submodule=short"}, more...)
}

// fromTree lets "nothing before" be written as [Zero] too.
func fromTree(from OID) OID {
	if from.IsZero() {
		return EmptyTree
	}
	return from
}

// DiffPatch is the patch between two commits or trees in git's format, with renames and full
// object names. from may be [EmptyTree].
func (r *Repo) DiffPatch(ctx context.Context, from, to OID, o DiffOptions) ([]byte, error) {
	const op = "git.DiffPatch"
	from = fromTree(from)
	if err := valid(op, from, to); err != nil {
		return nil, err
	}
	lines := 3
	switch {
	case o.Context < 0:
		lines = 0
	case o.Context > 0:
		lines = min(o.Context, maxContext)
	}
	args := diffArgs("-p", "--histogram", "-M", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "-U"+strconv.Itoa(lines))
	switch o.IgnoreSpace {
	case "":
	case "eol":
		args = append(args, "--ignore-space-at-eol")
	case "change":
		args = append(args, "--ignore-space-change")
	case "all":
		args = append(args, "--ignore-all-space")
	default:
		return nil, fault.New(fault.Invalid, op, "unknown way to ignore space", "use eol, change or all")
	}
	args = append(args, "--end-of-options", string(from), string(to), "--")
	for _, p := range o.Paths {
		clean, err := cleanPath(op, p)
		if err != nil {
			return nil, err
		}
		args = append(args, clean)
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = maxPatchBytes
	}
	out, err := r.git.run(ctx, child{args: args, env: r.env(), max: o.MaxBytes})
	if fault.Is(err, fault.TooLarge) {
		return nil, fault.New(fault.TooLarge, op, fmt.Sprintf("the diff is larger than %d bytes", o.MaxBytes), "look at single files")
	}
	if err != nil {
		return nil, noCommit(op, err)
	}
	return out, nil
}

// FileChange is one file of a diff.
type FileChange struct {
	Status           byte // A added, M modified, D deleted, R renamed, T type changed
	Path, OldPath    string
	OldMode, NewMode string
	OldOID, NewOID   OID
	Added, Deleted   int // lines
	Binary           bool
}

// ChangedFiles lists the files that differ between two commits or trees, with renames, in
// path order. from may be [EmptyTree].
func (r *Repo) ChangedFiles(ctx context.Context, from, to OID) ([]FileChange, error) {
	const op = "git.ChangedFiles"
	from = fromTree(from)
	if err := valid(op, from, to); err != nil {
		return nil, err
	}
	out, err := r.run(ctx, diffArgs("-z", "--raw", "--numstat", "--histogram", "-M", "--no-abbrev",
		"--end-of-options", string(from), string(to))...)
	if err != nil {
		return nil, noCommit(op, err)
	}
	return parseChanges(out)
}

// parseChanges reads what --raw --numstat -z print: all raw records, then all counts in the
// same order.
func parseChanges(out []byte) ([]FileChange, error) {
	fields := strings.Split(string(out), "\x00")
	bad := func(what string) error { return fmt.Errorf("git: changed files: unreadable %s", what) }
	var files []FileChange
	at := 0
	next := func() string {
		if at < len(fields) {
			at++
			return fields[at-1]
		}
		return ""
	}
	for at < len(fields) && strings.HasPrefix(fields[at], ":") {
		meta := strings.Fields(next()[1:])
		if len(meta) != 5 || meta[4] == "" || !isHex(meta[2], oidLen) || !isHex(meta[3], oidLen) {
			return nil, bad("record")
		}
		f := FileChange{Status: meta[4][0], OldMode: meta[0], NewMode: meta[1], OldOID: OID(meta[2]), NewOID: OID(meta[3]), Path: next()}
		if f.Status == 'R' || f.Status == 'C' {
			f.OldPath, f.Path = f.Path, next()
		} else {
			f.OldPath = f.Path
		}
		files = append(files, f)
	}
	for i := range files {
		f := &files[i]
		counts := strings.SplitN(next(), "\t", 3)
		if len(counts) != 3 {
			return nil, bad("counts")
		}
		if counts[2] == "" { // a rename: both names follow
			next()
			next()
		}
		var err1, err2 error
		f.Binary = counts[0] == "-"
		f.Added, err1 = parseCount(counts[0])
		f.Deleted, err2 = parseCount(counts[1])
		if err1 != nil || err2 != nil {
			return nil, bad("counts")
		}
	}
	return files, nil
}

// DiffDigest names what changed between two commits or trees: SHA-256 over the patch without
// line numbers, so that it stays the same when the commit moves onto another one that touches
// other places (as git patch-id; but spaces count, and so do modes and the object names of
// binary files). Renames are written out, so no heuristic takes part.
func (r *Repo) DiffDigest(ctx context.Context, from, to OID) (string, error) {
	const op = "git.DiffDigest"
	from = fromTree(from)
	if err := valid(op, from, to); err != nil {
		return "", err
	}
	d := &digester{sum: sha256.New()}
	lines := &byLine{take: d.take}
	_, err := r.git.run(ctx, child{
		args: digestArgs(from, to), env: r.env(), stdout: lines, max: maxDigestBytes,
	})
	if err != nil {
		return "", noCommit(op, err)
	}
	lines.end()
	return d.digest(), nil
}

// digester hashes a patch line by line, leaving out what depends on where a hunk stands.
type digester struct {
	sum    hash.Hash
	inHunk bool
	index  []byte // the index line of the current file, for binaries
}

// byLine hands what is written to it on, a line at a time, without its end.
type byLine struct {
	take func(line []byte)
	held []byte // a line whose end has not come
}

func (b *byLine) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		b.held = append(b.held, line...)
		if !ended {
			return n, nil
		}
		b.take(b.held)
		b.held = b.held[:0]
		p = rest
	}
}

// end hands on a last line without an end.
func (b *byLine) end() {
	if len(b.held) > 0 {
		b.take(b.held)
	}
}

// take hashes one line, each with its length before it so that no two patches run together.
func (d *digester) take(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte("diff --git ")):
		d.inHunk, d.index = false, nil
	case bytes.HasPrefix(line, []byte("@@ ")):
		d.inHunk = true
		line = []byte("@@")
	case d.inHunk:
	case bytes.HasPrefix(line, []byte("index ")):
		d.index = append([]byte(nil), line...)
		return
	case bytes.HasPrefix(line, []byte("Binary files ")):
		d.write(d.index)
	}
	d.write(line)
}

func (d *digester) write(line []byte) {
	// Writing to a hash never fails (package hash).
	_, _ = d.sum.Write(strconv.AppendInt(nil, int64(len(line)), 10))
	_, _ = d.sum.Write([]byte{':'})
	_, _ = d.sum.Write(line)
}

func (d *digester) digest() string { return hex.EncodeToString(d.sum.Sum(nil)) }
