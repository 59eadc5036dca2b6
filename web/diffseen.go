package web

import (
	"context"
	"fmt"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/review"
)

// seenFiles are the reader's marks on the files of a patch set.
type seenFiles struct {
	change int64
	ps     int
	own    map[string]bool // the files that the patch set changes: only they can be marked
	marks  map[string]review.Viewed
	now    map[string]string // what the patch set does to each file
}

// mark says on a file whether the reader has viewed it.
func (s *seenFiles) mark(f *fileDiff) {
	if s == nil || !s.own[f.Path] {
		return
	}
	f.MayView = true
	if m, ok := s.marks[f.Path]; ok {
		f.Viewed = m.Digest != "" && m.Digest == s.now[f.Path]
		f.Stale = !f.Viewed && m.PS != s.ps
	}
}

// seenOf reads the marks of whoever asks on the patch set that is shown.
func (w *Web) seenOf(c *call, g *git.Repo, change int64, ps review.PatchSet) (*seenFiles, error) {
	if !c.signedIn() {
		return nil, nil
	}
	s := &seenFiles{change: change, ps: ps.Number, own: map[string]bool{review.CommitMessage: true}}
	var err error
	if s.marks, err = w.Review.ViewedBy(c.ctx(), w.DB.Read(), c.actor.ID, change); err != nil {
		return nil, err
	}
	files, err := w.changedFiles(c.ctx(), g, treeOrEmpty(ps.Parent), ps.Commit)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		s.own[f.Path] = true
	}
	if len(s.marks) > 0 {
		s.now, err = w.digestsOf(c.ctx(), g, ps)
	}
	return s, err
}

// digestsOf is what a patch set does to each file. Of one that is too large to tell nothing
// is known, and no mark holds.
func (w *Web) digestsOf(ctx context.Context, g *git.Repo, ps review.PatchSet) (map[string]string, error) {
	key := pairKey(g, ps.Parent, ps.Commit)
	if known, ok := w.diffs.digests.get(key); ok {
		return known, nil
	}
	digests, err := w.Review.FileDigests(ctx, g, ps)
	if fault.Is(err, fault.TooLarge) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w.diffs.digests.put(key, len(digests), digests)
	return digests, nil
}

// treeOrEmpty lets a root commit be compared with nothing.
func treeOrEmpty(parent git.OID) git.OID {
	if parent.IsZero() {
		return git.EmptyTree
	}
	return parent
}

// viewed marks a file as viewed, or takes the mark back.
func (w *Web) viewed(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	form := c.r.PostForm
	var ps int
	if _, err := fmt.Sscan(form.Get("ps"), &ps); err != nil || ps < 1 {
		return fault.New(fault.Invalid, "web.viewed", "the form does not say which patch set it is about", "reload the page")
	}
	path, on := form.Get("view"), true
	if path == "" {
		path, on = form.Get("unview"), false
	}
	if err := w.Review.SetViewed(c.ctx(), c.actor, id, ps, path, on); err != nil {
		return err
	}
	back := safeNext(form.Get("back"))
	if back == "/" {
		back = fmt.Sprintf("/c/%d", id)
	}
	c.seeOther(back+"#files", "")
	return nil
}
