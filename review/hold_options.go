package review

import (
	"context"

	"gatehouse/gitserver/event"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// note writes an event about a change.
func (s *Service) note(ctx context.Context, tx *db.Tx, c Change, kind string, account int64, data map[string]string) error {
	_, err := event.Append(ctx, tx, event.Event{At: s.Now(), Kind: kind, Repo: c.Repo, Change: c.ID, Account: account, Data: loudness(ctx, data)})
	return err
}

// options applies the options of a push to one of its changes. On a change whose patch set
// was there already, below the tip, they apply as far as the pusher may.
func (w *writer) options(ctx context.Context, h *Held, isTip bool) error {
	p := w.prep.proposal
	o := p.Options
	apply := !h.New
	if h.Unchanged && edits(h.Change, o) {
		ok, err := w.mayEdit(ctx, w.tx, p, h.Change)
		if err != nil && (isTip || !fault.Is(err, fault.Denied)) {
			return err
		}
		apply, h.Theirs = ok, !ok
	}
	if apply && edits(h.Change, o) {
		if err := w.edit(ctx, h, o); err != nil {
			return err
		}
	}
	if h.New && len(o.Hashtags) > 0 {
		if err := w.setHashtags(ctx, w.tx, h.Change, p.Actor.ID, o.Hashtags, nil); err != nil {
			return err
		}
	}
	if o.Submit && h.Change.SubmitBy == 0 && !h.Change.WIP && !h.Change.Private {
		if err := w.AskToLand(ctx, w.tx, h.Change, p.Actor.ID); err != nil {
			return err
		}
	}
	if err := w.askAll(ctx, h); err != nil {
		return err
	}
	b := ballot{change: h.Change, ps: h.PatchSet, voter: p.Actor.ID, now: w.now}
	if !h.Unchanged || isTip {
		b.votes = w.prep.votes
	}
	if o.Drafts {
		if err := w.takeDrafts(ctx, w.tx, &b); err != nil {
			return err
		}
		if err := w.publish(ctx, w.tx, &b, p.Repo); err != nil {
			return err
		}
	}
	if len(b.votes) == 0 && len(b.comments) == 0 {
		return nil
	}
	return w.cast(ctx, w.tx, b)
}

// edit writes topic and work-in-progress.
func (w *writer) edit(ctx context.Context, h *Held, o PushOptions) error {
	if o.explicitTop && o.Topic != h.Change.Topic {
		if err := w.setTopic(ctx, w.tx, h.Change, w.prep.proposal.Actor.ID, o.Topic); err != nil {
			return err
		}
		h.Change.Topic = o.Topic
	}
	if wip := o.WIP; wip != h.Change.WIP && (o.WIP || o.Ready) {
		if err := w.setWIP(ctx, w.tx, h.Change, w.prep.proposal.Actor.ID, wip); err != nil {
			return err
		}
		h.Change.WIP = wip
	}
	if private := o.Private; private != h.Change.Private && (o.Private || o.RemovePrivate) {
		if err := w.setPrivate(ctx, w.tx, h.Change, w.prep.proposal.Actor.ID, private); err != nil {
			return err
		}
		h.Change.Private = private
	}
	if len(o.Hashtags) > 0 {
		return w.setHashtags(ctx, w.tx, h.Change, w.prep.proposal.Actor.ID, o.Hashtags, nil)
	}
	return nil
}

// askAll asks those whom the push names.
func (w *writer) askAll(ctx context.Context, h *Held) error {
	whom := map[bool][]int64{}
	for _, r := range w.prep.asked {
		if r.Account != h.Change.Owner {
			whom[r.CC] = append(whom[r.CC], r.Account)
		}
	}
	for _, cc := range []bool{false, true} {
		if err := w.ask(ctx, w.tx, h.Change, w.prep.proposal.Actor.ID, distinct(whom[cc]), cc); err != nil {
			return err
		}
	}
	return nil
}
