package git

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// maxBlame bounds what one blame prints: a few thousand lines with their headers.
	maxBlame = 8 << 20
	// blameWall bounds how long one may take; what is old and large is not worth more.
	blameWall = 5 * time.Second
)

// Blame counts, by e-mail address in small letters, who wrote the lines of a file as it is in
// a commit. ranges are first and last lines, from 1; none is the whole file.
func (r *Repo) Blame(ctx context.Context, commit OID, path string, ranges [][2]int) (map[string]int, error) {
	const op = "git.Blame"
	if err := valid(op, commit); err != nil {
		return nil, err
	}
	clean, err := cleanPath(op, path)
	if err != nil {
		return nil, err
	}
	args := []string{"blame", "--line-porcelain", "-w"}
	for _, lines := range ranges {
		args = append(args, fmt.Sprintf("-L%d,%d", max(lines[0], 1), max(lines[1], lines[0], 1)))
	}
	out, err := r.git.run(ctx, child{args: append(args, string(commit), "--", clean), env: r.env(), max: maxBlame, wall: blameWall})
	if err != nil {
		return nil, noCommit(op, err)
	}
	count := map[string]int{}
	for line := range bytes.Lines(out) { // what stands in the file begins with a tab
		if mail, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "author-mail <"); ok && line[0] != '\t' {
			count[strings.ToLower(strings.TrimSuffix(mail, ">"))]++
		}
	}
	return count, nil
}
