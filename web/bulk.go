package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
)

// bulkView is what became of an act on several changes.
type bulkView struct {
	Act  string
	Good int
	Bad  int
	Rows []bulkRow
	Back string
}

type bulkRow struct {
	ID            int64
	Subject       string
	Word, Tone    string
	Said, AndThen string
}

// bulk acts on the changes that a list's boxes chose, one after the other, and says what
// became of each: one that is refused does not hold up the others.
func (w *Web) bulk(c *call) error {
	form := c.r.PostForm
	v := bulkView{Back: safeNext(form.Get("back"))}
	var ids []int64
	for _, text := range form["change"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id <= 0 {
			return fault.New(fault.Invalid, "web.bulk", "the form names what is no change", "reload the list")
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) == 0:
		return fault.New(fault.Invalid, "web.bulk", "no change is chosen", "tick the boxes of some changes first")
	case len(ids) > maxBulk:
		return fault.New(fault.TooLarge, "web.bulk", fmt.Sprintf("these are more than %d changes", maxBulk), "choose fewer at a time")
	}
	do, err := w.bulkAct(c, &v)
	if err != nil {
		return err
	}
	for _, id := range ids {
		row := bulkRow{ID: id, Word: "done", Tone: "good"}
		ch, err := w.Review.Get(c.ctx(), c.actor, id)
		if err == nil {
			row.Subject = ch.Subject
			err = do(id)
		}
		switch kind := fault.KindOf(err); {
		case err == nil:
			v.Good++
		case kind == fault.Internal:
			return err
		default:
			row.Word, row.Tone = "refused", "bad"
			row.Said, row.AndThen = fault.Public(err)
			v.Bad++
		}
		v.Rows = append(v.Rows, row)
	}
	return w.render(c, http.StatusOK, "bulk", v.Act, v, withUp(v.Back))
}

// bulkAct is what the form asks to do with each change.
func (w *Web) bulkAct(c *call, v *bulkView) (func(id int64) error, error) {
	with := strings.TrimSpace(c.r.PostForm.Get("with"))
	ctx, actor := c.ctx(), c.actor
	switch c.r.PostForm.Get("act") {
	case "read":
		v.Act = "Marked as read"
		return func(id int64) error { return w.Review.TakeTurn(ctx, actor, id, actor.ID, "") }, nil
	case "submit":
		v.Act = "Asked to land"
		return func(id int64) error { return doSubmit(w, ctx, actor, id) }, nil
	case "abandon":
		v.Act = "Abandoned"
		return func(id int64) error { return w.Review.Abandon(ctx, actor, id, with) }, nil
	case "reviewer":
		whom, err := w.people(c, with)
		v.Act = "Asked to review"
		return func(id int64) error { return w.Review.AddReviewers(ctx, actor, id, whom, false) }, err
	case "topic":
		v.Act = "Topic set"
		return func(id int64) error { return w.Review.SetTopic(ctx, actor, id, with) }, nil
	case "hashtag":
		v.Act = "Hashtags added"
		tags := strings.FieldsFunc(with, func(r rune) bool { return r == ',' || r == ' ' })
		if len(tags) == 0 {
			return nil, fault.New(fault.Invalid, "web.bulk", "no hashtag is named", "write one behind the act")
		}
		return func(id int64) error { return w.Review.SetHashtags(ctx, actor, id, tags, nil) }, nil
	case "star":
		v.Act = "Starred"
		return func(id int64) error { return w.Review.Star(ctx, actor, id, true) }, nil
	}
	return nil, fault.New(fault.Invalid, "web.bulk", "the form does not say what to do", "choose one of the acts below the list")
}
