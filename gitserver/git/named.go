package git

import (
	"context"
	"path"
)

// Named lists the paths in a commit or tree whose last part is base, sorted.
func (r *Repo) Named(ctx context.Context, treeish OID, base string) ([]string, error) {
	const op = "git.Named"
	e, err := r.entryAt(ctx, treeish, "")
	if err != nil {
		return nil, err
	}
	entries, err := r.files(ctx, op, e.OID)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range entries {
		if path.Base(f.Name) == base {
			all = append(all, f.Name)
		}
	}
	return all, nil
}
