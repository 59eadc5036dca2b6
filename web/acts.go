package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// faultSentence is a refusal in one sentence for a page.
func faultSentence(err error) string {
	return sentence(fault.Sentence(err)) + "."
}

// vote publishes a review: votes and a message together.
func (w *Web) vote(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	form := c.r.PostForm
	ps, err := strconv.Atoi(form.Get("ps"))
	if err != nil {
		return fault.New(fault.Invalid, "web.vote", "the form does not say which patch set it is about", "reload the page")
	}
	before, err := w.voted(c, id)
	if err != nil {
		return err
	}
	votes := map[string]int{}
	for field, values := range form {
		label, ok := strings.CutPrefix(field, "label.")
		if !ok {
			continue
		}
		value, err := strconv.Atoi(values[0])
		if err != nil {
			return fault.New(fault.Invalid, "web.vote", "a vote is a number", "")
		}
		if value != before[label] { // a vote that stays as it was says nothing new
			votes[label] = value
		}
	}
	message := newlines(form.Get("message"))
	drafts := form.Get("drafts") != ""
	if len(votes) == 0 && message == "" && !drafts {
		return fault.New(fault.Invalid, "web.vote", "this review says nothing new", "give a vote or a message")
	}
	if err := w.Review.Publish(c.ctx(), c.actor, id, review.Review{PS: ps, Votes: votes, Message: message, Drafts: drafts}); err != nil {
		return err
	}
	c.seeOther(fmt.Sprintf("/c/%d", id), "voted")
	return nil
}

// voted are the actor's present votes.
func (w *Web) voted(c *call, id int64) (map[string]int, error) {
	ch, err := w.Review.Get(c.ctx(), c.actor, id)
	if err != nil {
		return nil, err
	}
	ps, err := w.Review.PatchSet(c.ctx(), w.DB.Read(), id, ch.Current)
	if err != nil {
		return nil, err
	}
	votes, err := w.Review.Votes(c.ctx(), w.DB.Read(), id)
	if err != nil {
		return nil, err
	}
	mine := map[string]int{}
	for _, v := range review.Bound(ch, ps, votes) {
		if v.Account == c.actor.ID {
			mine[v.Label] = v.Value
		}
	}
	return mine, nil
}

// newlines undoes what forms do to line ends.
func newlines(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
}

// act makes a handler for a form that has nothing but its button.
func act(done string, do func(w *Web, ctx context.Context, a account.Actor, id int64) error) func(*Web, *call) error {
	return func(w *Web, c *call) error {
		id, err := c.number("n")
		if err != nil {
			return err
		}
		if err := do(w, c.ctx(), c.actor, id); err != nil {
			return err
		}
		c.seeOther(fmt.Sprintf("/c/%d", id), done)
		return nil
	}
}

func doSubmit(w *Web, ctx context.Context, a account.Actor, id int64) error {
	_, err := w.Gate.Submit(ctx, a, id)
	return err
}

func doWithdraw(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.WithdrawSubmit(ctx, a, id)
}

func doAbandon(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.Abandon(ctx, a, id, "")
}

func doRestore(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.Restore(ctx, a, id, "")
}

func doWIP(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.SetWIP(ctx, a, id, true)
}

func doReady(w *Web, ctx context.Context, a account.Actor, id int64) error {
	return w.Review.SetWIP(ctx, a, id, false)
}
