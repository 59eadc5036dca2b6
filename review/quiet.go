package review

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"gatehouse/gitserver/fault"
)

// Who gets mail of what a push does. It bounds mail alone: what happened stands under the bell
// and on the dashboard of everybody whom it concerns, so nothing can be slipped past somebody.
const (
	NotifyNone      = "none"
	NotifyOwner     = "owner"
	NotifyReviewers = "reviewers" // the owner too
)

// notifyWords are ours and Gerrit's (its Documentation/user-upload.txt, "notify").
var notifyWords = map[string]string{
	"none": NotifyNone, "owner": NotifyOwner, "reviewers": NotifyReviewers, "owner_reviewers": NotifyReviewers, "all": "",
}

func (o *PushOptions) setNotify(value string) error {
	whom, ok := notifyWords[strings.ToLower(value)]
	if !ok {
		return fault.New(fault.Invalid, "review.ParseOptions", fmt.Sprintf("push option notify is %q", clip(value)), "write none, owner, reviewers or all")
	}
	o.Notify = whom
	return nil
}

type quietKey struct{}

// quietly has every event that is written with the context say who gets mail of it.
func quietly(ctx context.Context, whom string) context.Context {
	if whom == "" {
		return ctx
	}
	return context.WithValue(ctx, quietKey{}, whom)
}

// loudness adds to an event's data who gets mail of it.
func loudness(ctx context.Context, data map[string]string) map[string]string {
	whom, ok := ctx.Value(quietKey{}).(string)
	if !ok {
		return data
	}
	all := map[string]string{"notify": whom}
	maps.Copy(all, data)
	return all
}

// quiet is who gets mail of what the push does to a change. Only its owner, and those who may
// edit it, can keep mail about it from its owner.
func (w *writer) quiet(ctx context.Context, h Held) (string, error) {
	p := w.prep.proposal
	if p.Options.Notify != NotifyNone || h.New || h.Change.Owner == p.Actor.ID {
		return p.Options.Notify, nil
	}
	switch _, err := w.mayEdit(ctx, w.tx, p, h.Change); {
	case err == nil:
		return NotifyNone, nil
	case fault.Is(err, fault.Denied):
		return NotifyOwner, nil
	default:
		return "", err
	}
}
