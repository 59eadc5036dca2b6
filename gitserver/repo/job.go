package repo

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/migrations/db"
)

// JobBranch is the kind of the job "look at this branch": the controller's tick.
const JobBranch = "branch"

// BranchJob asks the controller to look at a branch.
func BranchJob(repoID int64, branch string) db.Job {
	return db.Job{Kind: JobBranch, Key: strconv.FormatInt(repoID, 10) + ":" + branch}
}

// ParseBranchKey reads the key of a [BranchJob].
func ParseBranchKey(key string) (int64, string, error) {
	id, branch, ok := strings.Cut(key, ":")
	n, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil || n <= 0 || branch == "" {
		return 0, "", fmt.Errorf("repo: %q is no key of a branch job", key)
	}
	return n, branch, nil
}
