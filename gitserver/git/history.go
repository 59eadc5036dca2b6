package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// maxLogPage bounds one page of history.
const maxLogPage = 1000

// Commits lists the commits that tips reach and not do not, oldest first, parents before
// children. More than limit is TooLarge.
func (r *Repo) Commits(ctx context.Context, tips []OID, not []OID, limit int) ([]Commit, error) {
	const op = "git.Commits"
	if err := valid(op, tips...); err != nil {
		return nil, err
	}
	if err := valid(op, not...); err != nil {
		return nil, err
	}
	if len(tips) == 0 || limit <= 0 {
		return nil, nil
	}
	var in strings.Builder
	for _, t := range tips {
		in.WriteString(string(t) + "\n")
	}
	for _, n := range not {
		in.WriteString("^" + string(n) + "\n")
	}
	out, err := r.runIn(ctx, in.String(), "rev-list", "--topo-order", "--reverse",
		"--max-count="+strconv.Itoa(limit+1), "--stdin")
	if err != nil {
		return nil, noCommit(op, err)
	}
	oids, err := parseOIDs(out)
	if err != nil {
		return nil, err
	}
	if len(oids) > limit {
		return nil, fault.New(fault.TooLarge, op, fmt.Sprintf("more than %d new commits", limit), "send them in smaller parts")
	}
	return r.commits(ctx, oids)
}

// noCommit turns "bad object" into NotFound.
func noCommit(op string, err error) error {
	said := strings.ToLower(stderrOf(err))
	if exitCode(err) == 128 && (strings.Contains(said, "bad object") || strings.Contains(said, "bad revision") || strings.Contains(said, "not a valid")) {
		return fault.Wrap(err, fault.NotFound, op, "there is no such commit")
	}
	return fmt.Errorf("%s: %w", op, err)
}

// parseOIDs reads one object name a line.
func parseOIDs(out []byte) ([]OID, error) {
	var oids []OID
	for _, line := range strings.Fields(string(out)) {
		oid, err := ParseOID(line)
		if err != nil {
			return nil, err
		}
		oids = append(oids, oid)
	}
	return oids, nil
}

// Log lists the commits behind tip, newest first, for pages: only those that touch path when
// it is not "". limit is at most a thousand.
func (r *Repo) Log(ctx context.Context, tip OID, path string, skip, limit int) ([]Commit, error) {
	if err := valid("git.Log", tip); err != nil {
		return nil, err
	}
	limit = min(max(limit, 0), maxLogPage)
	if limit == 0 {
		return nil, nil
	}
	args := []string{"rev-list", "--max-count=" + strconv.Itoa(limit), "--skip=" + strconv.Itoa(max(skip, 0)),
		"--end-of-options", string(tip), "--"}
	if path != "" {
		clean, err := cleanPath("git.Log", path)
		if err != nil {
			return nil, err
		}
		args = append(args, clean)
	}
	out, err := r.run(ctx, args...)
	if err != nil {
		return nil, noCommit("git.Log", err)
	}
	oids, err := parseOIDs(out)
	if err != nil {
		return nil, err
	}
	return r.commits(ctx, oids)
}

// IsAncestor reports whether b reaches a; a commit is its own ancestor.
func (r *Repo) IsAncestor(ctx context.Context, a, b OID) (bool, error) {
	if err := valid("git.IsAncestor", a, b); err != nil {
		return false, err
	}
	_, err := r.run(ctx, "merge-base", "--is-ancestor", string(a), string(b))
	switch {
	case err == nil:
		return true, nil
	case exitCode(err) == 1:
		return false, nil
	}
	return false, noCommit("git.IsAncestor", err)
}

// MergeBase is a best common ancestor of a and b, false when there is none.
func (r *Repo) MergeBase(ctx context.Context, a, b OID) (OID, bool, error) {
	if err := valid("git.MergeBase", a, b); err != nil {
		return "", false, err
	}
	out, err := r.run(ctx, "merge-base", string(a), string(b))
	switch {
	case exitCode(err) == 1:
		return "", false, nil
	case err != nil:
		return "", false, noCommit("git.MergeBase", err)
	}
	oid, err := ParseOID(strings.TrimSpace(string(out)))
	return oid, err == nil, err
}
