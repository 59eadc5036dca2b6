package api

import (
	"context"
	"maps"
	"slices"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// sides finds the two commits of a diff, for those who may see the change.
func (s *Server) sides(ctx context.Context, who account.Actor, in *diffIn) (g *git.Repo, from review.Between, to git.OID, err error) {
	c, err := s.Review.Get(ctx, who, in.Number)
	if err != nil {
		return nil, from, "", err
	}
	r, err := s.Repos.ByID(ctx, s.DB.Read(), c.Repo)
	if err != nil {
		return nil, from, "", err
	}
	if g, err = s.Repos.Open(r); err != nil {
		return nil, from, "", err
	}
	number := in.PatchSet
	if number == 0 {
		number = c.Current
	}
	ps, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, number)
	if err != nil {
		return nil, from, "", err
	}
	from.From = ps.Parent
	if in.Base != 0 {
		base, err := s.Review.PatchSet(ctx, s.DB.Read(), c.ID, in.Base)
		if err != nil {
			return nil, from, "", err
		}
		if from.From = base.Commit; !in.Rebase {
			if from, err = s.Review.Between(ctx, g, base, ps); err != nil {
				return nil, from, "", err
			}
		}
	}
	if from.From == "" || from.From.IsZero() {
		from.From = git.EmptyTree
	}
	return g, from, ps.Commit, nil
}

func (s *Server) listFiles(ctx context.Context, who account.Actor, in *diffIn) (*answer[list[File]], error) {
	g, from, to, err := s.sides(ctx, who, in)
	if err != nil {
		return nil, err
	}
	found, err := g.ChangedFiles(ctx, from.From, to)
	if err != nil {
		return nil, err
	}
	viewed, err := s.seen(ctx, who, g, in.Number, in.PatchSet)
	if err != nil {
		return nil, err
	}
	var all []File
	for _, f := range found {
		if from.Own != nil && !from.Own[f.Path] && !from.Own[f.OldPath] {
			continue
		}
		all = append(all, File{
			Path: f.Path, OldPath: f.OldPath, Status: string(rune(f.Status)), Added: f.Added, Deleted: f.Deleted, Binary: f.Binary, Viewed: viewed[f.Path],
		})
	}
	return listed(all), nil
}

// maxOwnPaths bounds the paths that git takes on its command line; of more the rebase is left in.
const maxOwnPaths = 1000

// text is an answer that is not JSON.
type text struct {
	Type string `header:"Content-Type"`
	Body []byte
}

func (s *Server) getDiff(ctx context.Context, who account.Actor, in *diffIn) (*text, error) {
	g, from, to, err := s.sides(ctx, who, in)
	if err != nil {
		return nil, err
	}
	options := git.DiffOptions{MaxBytes: maxDiff}
	if own := len(from.Own); own > 0 && own <= maxOwnPaths {
		options.Paths = slices.Sorted(maps.Keys(from.Own))
	}
	patch, err := g.DiffPatch(ctx, from.From, to, options)
	if err != nil {
		return nil, err
	}
	return &text{Type: "text/x-diff; charset=utf-8", Body: patch}, nil
}
