package api

import (
	"context"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// ViewedFile is a mark on a file of a change: whoever asks has looked at it. It holds for
// every patch set that does the same to the file.
type ViewedFile struct {
	Path     string `json:"path" minLength:"1" maxLength:"4096" doc:"One of the files that the patch set changes, or /COMMIT_MSG."`
	PatchSet int    `json:"patch_set,omitempty" minimum:"0" doc:"The one that you looked at; 0 is the current one."`
	Viewed   bool   `json:"viewed" doc:"false takes the mark back."`
}

type viewedIn struct {
	ChangePath
	body[ViewedFile]
}

func (s *Server) viewedRoutes() {
	add(s, route{id: "set-viewed", at: "PUT /changes/{number}/viewed", summary: "Mark a file as viewed, or take the mark back"}, s.setViewed)
}

func (s *Server) setViewed(ctx context.Context, who account.Actor, in *viewedIn) (*nothing, error) {
	if err := person(who); err != nil {
		return nil, err
	}
	if _, err := s.Review.Get(ctx, who, in.Number); err != nil {
		return nil, err
	}
	return nil, s.Review.SetViewed(ctx, who, in.Number, in.Body.PatchSet, in.Body.Path, in.Body.Viewed)
}

// seen is which files of a patch set whoever asks has viewed.
func (s *Server) seen(ctx context.Context, who account.Actor, g *git.Repo, change int64, number int) (map[string]bool, error) {
	if who.ID == 0 {
		return nil, nil
	}
	marks, err := s.Review.ViewedBy(ctx, s.DB.Read(), who.ID, change)
	if err != nil || len(marks) == 0 {
		return nil, err
	}
	ps, err := s.patchSet(ctx, change, number)
	if err != nil {
		return nil, err
	}
	digests, err := s.Review.FileDigests(ctx, g, ps)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for path, m := range marks {
		all[path] = m.Digest == digests[path]
	}
	return all, nil
}

// patchSet is a patch set of a change; 0 is the current one.
func (s *Server) patchSet(ctx context.Context, change int64, number int) (review.PatchSet, error) {
	if number == 0 {
		c, err := s.Review.Load(ctx, s.DB.Read(), change)
		if err != nil {
			return review.PatchSet{}, err
		}
		number = c.Current
	}
	return s.Review.PatchSet(ctx, s.DB.Read(), change, number)
}
