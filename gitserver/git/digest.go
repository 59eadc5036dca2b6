package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// DigestFiles is the SHA-256, in hex, of the part of a commit's or tree's files that match
// selects by their paths: of their paths, modes and contents. Two trees have the same digest
// exactly when the same files are selected in both and are the same. A gitlink counts as the
// commit that it names.
func (r *Repo) DigestFiles(ctx context.Context, treeish OID, match func(path string) bool) (string, error) {
	const op = "git.DigestFiles"
	e, err := r.entryAt(ctx, treeish, "")
	if err != nil {
		return "", err
	}
	entries, err := r.files(ctx, op, e.OID)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, f := range entries {
		if match(f.Name) {
			// A path holds no NUL, so no two lists are written the same.
			_, _ = fmt.Fprintf(sum, "%s %s %s\x00", f.Mode, f.OID, f.Name)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
