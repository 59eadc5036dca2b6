package web

import (
	"context"
	"fmt"

	"gatehouse/review"
	"gatehouse/review/diff"
	"gatehouse/web/words"
)

// saidOn is how much is said on a change of a stack.
type saidOn struct {
	Comments int
	Open     int // threads that need an answer
}

// stackTalk reads what is said on the changes of a stack, and puts it where it is in the
// difference that all of them make. Nothing is written there: each thread leads to its change.
func (w *Web) stackTalk(c *call, q diffRequest, members []member, views []memberView) (*talk, error) {
	texts, cancel := context.WithTimeout(c.ctx(), textBudget)
	defer cancel()
	t := &talk{render: w.talkRender(c)}
	whole := review.PatchSet{Number: 2, Commit: q.to, Parent: members[0].ps.Parent}
	for i, m := range members {
		threads, err := w.memberTalk(c, texts, q, m)
		if err != nil {
			return nil, err
		}
		for _, th := range threads {
			views[i].Comments += len(th.Notes)
			views[i].Open += one(th.Open)
			th.Origin = fmt.Sprintf("change %d · patch set %d · %s", m.change.ID, th.ps, th.Where)
			th.OriginURL = fmt.Sprintf("/c/%d?ps=%d#comment-%d", m.change.ID, th.ps, th.Root)
		}
		if err := w.carryUp(c.ctx(), q, m.ps, whole, threads); err != nil {
			return nil, err
		}
		t.threads = append(t.threads, threads...)
	}
	return t, nil
}

// memberTalk is the threads of one change, where they are in its patch set of the stack.
func (w *Web) memberTalk(c *call, texts context.Context, q diffRequest, m member) ([]*threadView, error) {
	read, ctx := w.DB.Read(), c.ctx()
	v := &changeView{Change: m.change, PS: m.ps}
	var err error
	if v.comments, err = w.Review.Comments(ctx, read, m.change.ID); err != nil || len(v.comments) == 0 {
		return nil, err
	}
	if v.PatchSets, err = w.Review.PatchSets(ctx, read, m.change.ID); err != nil {
		return nil, err
	}
	var bodies []string
	for _, one := range v.comments {
		bodies = append(bodies, one.Body)
	}
	if v.names, err = w.Accounts.Names(ctx, read, v.people(nil)); err != nil {
		return nil, err
	}
	if v.called, err = w.calledIn(ctx, bodies); err != nil {
		return nil, err
	}
	wv := &weaver{w: w, c: c, v: v, q: q, texts: map[string][]string{}, back: q.with()}
	return wv.threads(ctx, texts)
}

// carryUp moves the threads of one change to where their lines are when the whole stack has
// landed. What was said about the message of a commit, or about a patch set as a whole, has no
// place there.
func (w *Web) carryUp(ctx context.Context, q diffRequest, from, to review.PatchSet, threads []*threadView) error {
	from.Number = 1
	at := map[*threadView]review.Spot{}
	var spots []review.Spot
	for _, th := range threads {
		if th.side == 0 || th.Path == "" || th.Path == review.CommitMessage {
			th.side = 0
			continue
		}
		spot := review.Spot{PS: from.Number, Path: th.Path, Side: th.Side, Line: th.Line, StartChar: th.chars.from, EndChar: th.chars.to}
		if th.chars.first != th.Line {
			spot.StartLine = th.chars.first
		}
		at[th] = spot
		spots = append(spots, spot)
	}
	if len(spots) == 0 {
		return nil
	}
	placed, err := w.Review.Place(ctx, q.git, []review.PatchSet{from}, to, spots)
	if err != nil {
		return err
	}
	for th, spot := range at {
		p, ok := placed[spot]
		if !ok {
			th.side = 0
			continue
		}
		fate, lost := th.Fate, th.Lost
		if th.put(p, spot); p.Fate == diff.Kept {
			th.Fate, th.Lost = fate, lost
		}
	}
	return nil
}

// apart are the threads that the difference has no place for.
func (t *talk) apart(lists func(path string) bool) []*threadView {
	return append(t.whole(), t.elsewhere(lists)...)
}

// Said is how much is said on a change, in words.
func (s saidOn) Said() any {
	if s.Comments == 0 {
		return nil
	}
	return words.Plural(s.Comments, "comment", "comments")
}
