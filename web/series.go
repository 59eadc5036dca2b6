package web

import (
	"context"
	"slices"

	"gatehouse/review"
	"gatehouse/web/words"
)

// maxStack is how far a stack is followed in each direction.
const maxStack = 20

// setSeries lists the stack that the change is part of, the last to land first.
func (w *Web) setSeries(ctx context.Context, c *call, v *changeView) error {
	q := w.DB.Read()
	stack, err := w.stackOf(ctx, q, c, v.Change)
	if err != nil || len(stack.Parents)+len(stack.Children) == 0 {
		return err
	}
	var above, below []seriesView
	seen := map[int64]bool{v.Change.ID: true}
	for next := stack.Children; len(next) > 0 && len(above) < maxStack; {
		var further []review.Related
		for _, r := range next {
			if seen[r.Change.ID] {
				continue
			}
			seen[r.Change.ID] = true
			above = append(above, seriesOf(r, "stands on an older patch set"))
			up, err := w.stackOf(ctx, q, c, r.Change)
			if err != nil {
				return err
			}
			further = append(further, up.Children...)
		}
		next = further
	}
	for next := stack.Parents; len(next) > 0 && len(below) < maxStack; {
		r := next[0]
		if seen[r.Change.ID] || r.Change.Status == review.Landed { // what has landed is the branch
			break
		}
		seen[r.Change.ID] = true
		below = append(below, seriesOf(r, words.Say("patch set {1}, not the current one", r.PS)))
		down, err := w.stackOf(ctx, q, c, r.Change)
		if err != nil {
			return err
		}
		next = down.Parents
	}
	if len(above)+len(below) == 0 {
		return nil
	}
	slices.Reverse(above)
	self := seriesView{ID: v.Change.ID, Subject: v.Change.Subject, Current: true, Word: word(v.Why.State), Tone: tone("change", v.Why.State)}
	v.Series = append(append(above, self), below...)
	return nil
}

func seriesOf(r review.Related, outdated any) seriesView {
	s := seriesView{ID: r.Change.ID, Subject: r.Change.Subject, Word: string(r.Change.Status), Tone: tone("change", r.Change.Status)}
	if r.Change.WIP {
		s.Word, s.Tone = "work in progress", "calm"
	}
	if r.Outdated {
		s.Note = outdated
	}
	return s
}
