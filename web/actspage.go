package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// maxBranches is how many branches a form suggests.
const maxBranches = 200

// actsView is the page of the acts that ask for something: a branch, a reason, words.
type actsView struct {
	Change     review.Change
	Open       bool
	Landed     bool
	MayEdit    bool
	MayPropose bool
	Branches   []string // gated ones beside the change's own
	Hashtags   string
	Below      []review.Related // what it could be moved onto, or stands on
}

func (w *Web) actsPage(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	v := &actsView{}
	if v.Change, err = w.Review.Get(c.ctx(), c.actor, id); err != nil {
		return err
	}
	r, err := w.Repos.ByID(c.ctx(), w.DB.Read(), v.Change.Repo)
	if err != nil {
		return err
	}
	resource := r.Resource(v.Change.Branch)
	resource.ChangeOwner = v.Change.Owner
	v.MayEdit = w.may(c, account.Edit, resource) == nil
	v.MayPropose = w.may(c, account.Propose, resource) == nil
	if !v.MayEdit && !v.MayPropose {
		return w.may(c, account.Propose, resource)
	}
	v.Open, v.Landed = v.Change.Status == review.Open, v.Change.Status == review.Landed
	if v.Branches, err = w.otherBranches(c.ctx(), r, v.Change.Branch); err != nil {
		return err
	}
	tags, err := w.Review.Hashtags(c.ctx(), w.DB.Read(), id)
	if err != nil {
		return err
	}
	v.Hashtags = strings.Join(tags, ", ")
	st, err := w.stackOf(c.ctx(), w.DB.Read(), c, v.Change)
	if err != nil {
		return err
	}
	v.Below = st.Parents
	return w.render(c, http.StatusOK, "acts", fmt.Sprintf("Change %d: more", id), v, withUp(fmt.Sprintf("/c/%d", id)))
}

// otherBranches are the gated branches beside one.
func (w *Web) otherBranches(ctx context.Context, r repo.Repository, own string) ([]string, error) {
	g, err := w.Repos.Open(r)
	if err != nil {
		return nil, err
	}
	refs, err := g.Refs(ctx, "refs/heads")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, ref := range refs {
		if name := strings.TrimPrefix(ref.Name, "refs/heads/"); name != own && r.Gates(name) && len(all) < maxBranches {
			all = append(all, name)
		}
	}
	return all, nil
}

func (w *Web) rebase(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	var onto int64
	if text := strings.TrimSpace(c.r.PostForm.Get("onto")); text != "" {
		if onto, err = strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64); err != nil || onto <= 0 {
			return fault.New(fault.Invalid, "web.rebase", "what it is to stand on is the number of a change", "leave it empty for the branch")
		}
	}
	if _, err := w.Review.Rebase(c.ctx(), c.actor, id, 0, onto); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "rebased")
	return nil
}

func (w *Web) pick(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	h, err := w.Review.CherryPick(c.ctx(), c.actor, id, 0, strings.TrimSpace(c.r.PostForm.Get("branch")), "")
	if err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", h.Change.ID), "picked")
	return nil
}

func (w *Web) revert(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	h, err := w.Review.Revert(c.ctx(), c.actor, id, newlines(c.r.PostForm.Get("reason")))
	if err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", h.Change.ID), "reverted")
	return nil
}

func (w *Web) move(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if err := w.Review.Retarget(c.ctx(), c.actor, id, strings.TrimSpace(c.r.PostForm.Get("branch"))); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "moved")
	return nil
}

func (w *Web) topic(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if err := w.Review.SetTopic(c.ctx(), c.actor, id, c.r.PostForm.Get("topic")); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "topic")
	return nil
}

// hashtags takes the whole list as it is to be: words apart from each other by commas.
func (w *Web) hashtags(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if _, err := w.Review.Get(c.ctx(), c.actor, id); err != nil {
		return err
	}
	before, err := w.Review.Hashtags(c.ctx(), w.DB.Read(), id)
	if err != nil {
		return err
	}
	var want, gone []string
	for _, tag := range strings.Split(c.r.PostForm.Get("hashtags"), ",") {
		if tag = strings.TrimLeft(strings.TrimSpace(tag), "#"); tag != "" {
			want = append(want, tag)
		}
	}
	for _, tag := range before {
		if !slices.Contains(want, tag) {
			gone = append(gone, tag)
		}
	}
	if err := w.Review.SetHashtags(c.ctx(), c.actor, id, want, gone); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "hashtags")
	return nil
}

func doPrivate(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.SetPrivate(ctx, a, id, true)
}

func doPublic(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.SetPrivate(ctx, a, id, false)
}

// actNotices are what the page says after one of these acts: see notices.
func init() {
	for name, text := range map[string]string{
		"edited": "Your edit is a new patch set.", "rebased": "It stands on what you named: this is the new patch set.",
		"picked": "This is the change that was made for this branch.", "reverted": "This is the change that takes it back. It lands like any other.",
		"moved": "It is for another branch now. Votes given before do not count.", "hashtags": "The hashtags are changed.",
		"private": "Only you, its reviewers and administrators see it now.", "public": "Whoever may read the repository sees it now.",
	} {
		notices[name] = text
	}
}

// setActs reads what the head of the page shows beside the change's own fields.
func (w *Web) setActs(ctx context.Context, v *changeView) error {
	var err error
	v.Hashtags, err = w.Review.Hashtags(ctx, w.DB.Read(), v.Change.ID)
	return err
}

// actLink is an act that has a page of its own.
type actLink struct{ Name, URL string }

// setLinks offers the acts that have pages.
func (v *changeView) setLinks(edit, propose bool) {
	at := fmt.Sprintf("/c/%d", v.Change.ID)
	if edit && v.Change.Status == review.Open {
		v.MoreLinks = append(v.MoreLinks, actLink{"Edit message and files", at + "/edit"})
	}
	switch {
	case edit && v.Change.Status == review.Open:
		v.MoreLinks = append(v.MoreLinks, actLink{"Rebase, pick, move, tag…", at + "/acts"})
	case propose && v.Change.Status == review.Landed:
		v.MoreLinks = append(v.MoreLinks, actLink{"Revert, pick…", at + "/acts"})
	case propose && v.Change.Status == review.Open:
		v.MoreLinks = append(v.MoreLinks, actLink{"Pick for another branch…", at + "/acts"})
	}
	v.MoreActs = v.MoreActs || len(v.MoreLinks) > 0
}
