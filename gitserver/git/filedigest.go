package git

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strconv"
	"strings"
)

// maxFileDigests bounds the patch whose files are digested one by one, for somebody who waits.
const maxFileDigests = 64 << 20

// FileDigests names what changed in each file between two commits or trees, by path: for one
// file what [Repo.DiffDigest] is for all of them, so that it stays the same when the change
// moves onto another commit that touches other places. A renamed file is one that was added,
// under its new path, and one that was deleted. A patch beyond 64 MiB is TooLarge.
func (r *Repo) FileDigests(ctx context.Context, from, to OID) (map[string]string, error) {
	const op = "git.FileDigests"
	from = fromTree(from)
	if err := valid(op, from, to); err != nil {
		return nil, err
	}
	d := &fileDigester{sums: map[string]string{}}
	lines := &byLine{take: d.take}
	_, err := r.git.run(ctx, child{args: digestArgs(from, to), env: r.env(), stdout: lines, max: maxFileDigests})
	if err != nil {
		return nil, noCommit(op, err)
	}
	lines.end()
	d.close()
	return d.sums, nil
}

// digestArgs is the command whose patch is digested.
func digestArgs(from, to OID) []string {
	return diffArgs("-p", "--diff-algorithm=myers", "--no-indent-heuristic", "--no-renames", "--full-index",
		"--src-prefix=a/", "--dst-prefix=b/", "-U3", "--end-of-options", string(from), string(to))
}

// fileDigester cuts a patch at its files.
type fileDigester struct {
	sums map[string]string
	path string
	file *digester // nil before the first file
}

// take hands a line to its file. No line of a hunk begins with "diff": they begin with a
// space, a sign or a backslash.
func (d *fileDigester) take(line []byte) {
	if names, ok := bytes.CutPrefix(line, []byte("diff --git ")); ok {
		path := pathOfBoth(string(names))
		if d.file == nil || path != d.path { // a file that became a link comes as two parts
			d.close()
			d.path, d.file = path, &digester{sum: sha256.New()}
		}
	}
	if d.file != nil {
		d.file.take(line)
	}
}

func (d *fileDigester) close() {
	if d.file != nil {
		d.sums[d.path] = d.file.digest()
	}
}

// pathOfBoth reads the path of "a/PATH b/PATH", which git quotes as in C when it must.
func pathOfBoth(names string) string {
	first := names[:len(names)/2]
	if text, err := strconv.Unquote(first); err == nil {
		first = text
	}
	return strings.TrimPrefix(first, "a/")
}
