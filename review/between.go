package review

import (
	"context"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
)

// Between is how two patch sets are compared without what landed between their parents.
type Between struct {
	From git.OID // the older side
	// Own are the paths that one of them touches itself, for where the older one cannot be put
	// onto the newer one's parent: what else differs is the rebase's. Nil leaves nothing out.
	Own map[string]bool
}

// Between puts the older patch set onto the newer one's parent where they stand on different
// commits, as git cherry-pick does: what then differs is the author's work.
func (s *Service) Between(ctx context.Context, g *git.Repo, older, newer PatchSet) (Between, error) {
	b := Between{From: older.Commit}
	if older.Parent == newer.Parent || older.Parents > 1 || newer.Parents > 1 || older.Parent.IsZero() || newer.Parent.IsZero() {
		return b, nil
	}
	tree, conflicts, err := g.PickTree(ctx, newer.Parent, older.Commit)
	if err != nil && !fault.Is(err, fault.Refused) {
		return b, err
	}
	if err == nil && len(conflicts) == 0 {
		b.From = tree
		return b, nil
	}
	b.Own = map[string]bool{}
	for _, ps := range []PatchSet{older, newer} {
		files, err := g.ChangedFiles(ctx, ps.Parent, ps.Commit)
		if err != nil {
			return b, err
		}
		for _, f := range files {
			b.Own[f.Path], b.Own[f.OldPath] = true, true
		}
	}
	delete(b.Own, "")
	return b, nil
}
