package web

import (
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// comment takes the form of a comment or of an answer: it is published at once, or kept as a
// draft. "Done" and "Ack" are answers that resolve.
func (w *Web) comment(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	form := c.r.PostForm
	n := review.NewComment{
		PS: int(c.field("ps")), Path: form.Get("path"), Side: form.Get("side"), Line: int(c.field("line")), StartLine: int(c.field("start")),
		StartChar: int(c.field("from_char")), EndChar: int(c.field("to_char")),
		ReplyTo: c.field("reply_to"), Body: newlines(form.Get("body")), Unresolved: form.Get("unresolved") != "",
	}
	if n.ReplyTo != 0 {
		n.Path, n.Side, n.Line, n.StartLine, n.StartChar, n.EndChar = "", "", 0, 0, 0, 0 // an answer goes where its thread is
	}
	done := "drafted"
	switch form.Get("do") {
	case "draft":
	case "done", "ack":
		n.Body, n.Unresolved = map[string]string{"done": "Done", "ack": "Acknowledged"}[form.Get("do")], false
	default:
		done = "commented"
	}
	var made review.Draft
	if done == "commented" {
		err = w.Review.Publish(c.ctx(), c.actor, id, review.Review{PS: n.PS, Comments: []review.NewComment{n}})
	} else {
		made, err = w.Review.SaveDraft(c.ctx(), c.actor, id, n)
	}
	if err != nil {
		return err
	}
	hash := ""
	if made.ID != 0 {
		hash = fmt.Sprintf("#draft-%d", made.ID)
	}
	c.backTo(id, done, hash)
	return nil
}

// draft takes the form that edits a draft, throws it away, or publishes it.
func (w *Web) draft(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	number := c.field("draft")
	if c.r.PostForm.Get("do") == "drop" {
		if err := w.Review.DropDraft(c.ctx(), c.actor, id, number); err != nil {
			return err
		}
		c.backTo(id, "dropped", "")
		return nil
	}
	if _, err := w.Review.EditDraft(c.ctx(), c.actor, id, number, newlines(c.r.PostForm.Get("body")), c.r.PostForm.Get("unresolved") != ""); err != nil {
		return err
	}
	c.backTo(id, "drafted", fmt.Sprintf("#draft-%d", number))
	return nil
}

// apply makes a patch set of the suggestions that were picked: the one whose button was
// pressed, or all whose boxes are ticked.
func (w *Web) apply(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	values := c.r.PostForm["pick"]
	if only := c.r.PostForm.Get("only"); only != "" {
		values = []string{only}
	}
	var picks []review.Pick
	for _, v := range values {
		comment, index, _ := strings.Cut(v, ".")
		a, err1 := strconv.ParseInt(comment, 10, 64)
		b, err2 := strconv.Atoi(index)
		if err1 != nil || err2 != nil {
			return fault.New(fault.Invalid, "web.apply", "the form names a suggestion that cannot be", "reload the page")
		}
		picks = append(picks, review.Pick{Comment: a, Index: b})
	}
	if _, err := w.Review.Apply(c.ctx(), c.actor, id, int(c.field("ps")), picks); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "applied")
	return nil
}

// field is a number of the posted form. What is no number is 0, which the review refuses or
// takes as "none".
func (c *call) field(name string) int64 {
	n, _ := strconv.ParseInt(c.r.PostForm.Get(name), 10, 64)
	return n
}

// backTo leads back to the page that a form was on.
func (c *call) backTo(change int64, done, hash string) {
	back := safeNext(c.r.PostForm.Get("back"))
	if back == "/" {
		back = fmt.Sprintf("/c/%d", change)
	}
	c.seeOther(back+hash, done)
}
