package gatekeeper

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gatekeeper/queue"
	"gatehouse/gitserver/git"
)

// keptRefused is how many refused candidates of a repository stay to be fetched by name.
const keptRefused = 500

// testedRef is where a refused candidate can be fetched from, to try the very same tree.
func testedRef(candidate int64) string { return testedPrefix + strconv.FormatInt(candidate, 10) }

const testedPrefix = "refs/gate/tested/"

// fetchTested is the command that fetches the tree of a refused candidate.
func (c *Controller) fetchTested(repository string, candidate int64) string {
	return fmt.Sprintf("git fetch %s/%s %s && git checkout FETCH_HEAD", c.URL, repository, testedRef(candidate))
}

// refused shows the candidate that decided an ejection to whoever may fetch, and forgets the
// oldest of those shown. It gives the candidate's newest run.
func (t *tick) refused(ctx context.Context, s queue.State, a queue.Eject) (shown bool, run int64, err error) {
	i := slices.IndexFunc(s.Candidates, func(k queue.Candidate) bool { return k.ID == a.Candidate })
	if a.Candidate == 0 || i < 0 {
		return false, 0, nil
	}
	k := s.Candidates[i]
	if k.Commit == "" {
		return false, k.Run.ID, nil
	}
	return true, k.Run.ID, t.showTested(ctx, k)
}

// showTested puts a refused candidate where it can be fetched by its number, and drops the
// oldest of those that are there.
func (t *tick) showTested(ctx context.Context, k queue.Candidate) error {
	refs, err := t.git.Refs(ctx, strings.TrimSuffix(testedPrefix, "/"))
	if err != nil {
		return err
	}
	name := testedRef(k.ID)
	if slices.ContainsFunc(refs, func(r git.Ref) bool { return r.Name == name }) {
		return nil
	}
	updates := []git.RefUpdate{{Ref: name, Old: git.Zero, New: git.OID(k.Commit)}}
	slices.SortFunc(refs, func(a, b git.Ref) int { return cmp.Compare(testedNumber(a), testedNumber(b)) })
	for _, old := range refs[:max(0, len(refs)-keptRefused+1)] {
		updates = append(updates, git.RefUpdate{Ref: old.Name, Old: old.OID, New: git.Zero})
	}
	return t.git.UpdateRefs(ctx, updates, "refused candidate")
}

func testedNumber(r git.Ref) int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(r.Name, testedPrefix), 10, 64)
	return n
}
