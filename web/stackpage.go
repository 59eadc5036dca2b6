package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/git"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/words"
)

// stackPage is a whole stack of changes as one difference: what the branch would gain when
// all of it landed.
type stackPage struct {
	Repo    repo.Repository
	Branch  string
	Change  int64 // from which it was opened
	Members []memberView
	Said    string
	Diff    *diffView

	Whole     []*threadView // none: what is said of a change as a whole is apart too
	WholeForm *writeView
	Elsewhere []*threadView // that the difference has no place for
}

// memberView is one change of the stack, the last to land first.
type memberView struct {
	seriesView
	PS             int
	Message        string
	Files          int
	Added, Deleted int
	saidOn
}

// member is a change of a stack with the patch set that takes part in it.
type member struct {
	change review.Change
	ps     review.PatchSet
	old    bool // the patch set is not the current one
}

// stack shows the stack that a change is part of.
func (w *Web) stack(c *call) error {
	ch, err := w.changeOf(c)
	if err != nil {
		return err
	}
	v := stackPage{Change: ch.ID, Branch: ch.Branch}
	if v.Repo, err = w.Repos.ByID(c.ctx(), w.DB.Read(), ch.Repo); err != nil {
		return err
	}
	members, said, err := w.members(c, ch)
	if err != nil {
		return err
	}
	v.Said = said
	g, err := w.Repos.Open(v.Repo)
	if err != nil {
		return err
	}
	q := diffRequest{
		lang: w.speech(c).lang,
		repo: v.Repo.Name, git: g, from: treeOrEmpty(members[0].ps.Parent), to: members[len(members)-1].ps.Commit, unified: w.wantsUnified(c),
		ws: c.query("ws"), only: c.query("file"), filter: c.query("filter"), self: c.r.URL, context: rangesOf(c.query("context")), at: atOf(c.query("at")),
		within: map[string][]int64{},
	}
	q.landed = q.from
	for _, m := range members {
		view, err := w.memberOf(c.ctx(), g, m, q.within)
		if err != nil {
			return err
		}
		view.Current = m.change.ID == ch.ID
		v.Members = append(v.Members, view)
	}
	if q.talk, err = w.stackTalk(c, q, members, v.Members); err != nil {
		return err
	}
	slices.Reverse(v.Members)
	if v.Diff, err = w.diff(c.ctx(), q); err != nil {
		return err
	}
	v.Elsewhere = q.talk.apart(v.Diff.lists)
	title := fmt.Sprintf("Stack of %s", plural(len(members), "change", "changes"))
	return w.render(c, http.StatusOK, "stack", title, v, wide, asMade, withUp(fmt.Sprintf("/c/%d", ch.ID)))
}

// members follows a stack from a change down to the branch and up to its end or to where it
// parts: the first to land first. said is where it stops before the end.
func (w *Web) members(c *call, ch review.Change) (all []member, said string, err error) {
	add := func(ch review.Change, number int) error {
		ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), ch.ID, number)
		all = append(all, member{ch, ps, number != ch.Current})
		return err
	}
	if err := add(ch, ch.Current); err != nil {
		return nil, "", err
	}
	for at := all[0]; ; at = all[len(all)-1] {
		next, ok, err := w.below(c, at)
		if err != nil {
			return nil, "", err
		}
		if !ok || len(all) >= maxStack {
			break
		}
		all = append(all, next)
	}
	slices.Reverse(all)
	seen := map[int64]bool{ch.ID: true}
	for at := ch; len(all) < 2*maxStack; {
		st, err := w.Review.Stack(c.ctx(), w.DB.Read(), at)
		if err != nil {
			return nil, "", err
		}
		next := slices.DeleteFunc(st.Children, func(r review.Related) bool { return r.Outdated || seen[r.Change.ID] || !w.sees(c, r.Change.ID) })
		if len(next) > 1 {
			said = fmt.Sprintf("%s stand on change %d: the stack is shown up to there.", plural(len(next), "change", "changes"), at.ID)
		}
		if len(next) != 1 {
			break
		}
		at = next[0].Change
		seen[at.ID] = true
		if err := add(at, at.Current); err != nil {
			return nil, "", err
		}
	}
	return all, said, nil
}

// below is the change that a patch set stands on; none when that has landed.
func (w *Web) below(c *call, m member) (member, bool, error) {
	at := m.change
	at.Current = m.ps.Number
	st, err := w.Review.Stack(c.ctx(), w.DB.Read(), at)
	if err != nil {
		return member{}, false, err
	}
	for _, r := range st.Parents {
		if r.Change.Status == review.Landed || !w.sees(c, r.Change.ID) {
			continue
		}
		ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), r.Change.ID, r.PS)
		if err != nil {
			return member{}, false, err
		}
		if ps.Commit == m.ps.Parent {
			return member{r.Change, ps, r.Outdated}, true, nil
		}
	}
	return member{}, false, nil
}

// sees reports whether whoever asks may see a change.
func (w *Web) sees(c *call, change int64) bool {
	_, err := w.Review.Get(c.ctx(), c.actor, change)
	return err == nil || !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied)
}

// memberOf describes a change of the stack and notes in within which files it touches.
func (w *Web) memberOf(ctx context.Context, g *git.Repo, m member, within map[string][]int64) (memberView, error) {
	view := memberView{PS: m.ps.Number, Message: m.ps.Message}
	view.seriesView = seriesOf(review.Related{Change: m.change, PS: m.ps.Number, Outdated: m.old}, words.Say("patch set {1}, not the current one", m.ps.Number))
	files, err := w.changedFiles(ctx, g, treeOrEmpty(m.ps.Parent), m.ps.Commit)
	for _, f := range files {
		view.Files++
		view.Added += f.Added
		view.Deleted += f.Deleted
		within[f.Path] = append(within[f.Path], m.change.ID)
		if f.OldPath != f.Path {
			within[f.OldPath] = append(within[f.OldPath], m.change.ID)
		}
	}
	return view, err
}
