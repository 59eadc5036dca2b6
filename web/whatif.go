package web

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gatehouse/gatekeeper"
	"gatehouse/gatekeeper/plan"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
	"gatehouse/web/words"
)

const (
	// maxOffers is how many suppositions the form offers by themselves; others can be written.
	maxOffers = 12
	// maxSupposed is the longest text that is supposed.
	maxSupposed = 300
)

// whatIfView is the form that asks what would become of a change if something were so. It is
// made when the address asks for it (?if), because it looks for whose votes would count.
type whatIfView struct {
	Change int64
	Offers []offerView
	Text   string // what was written besides
	Answer string
	Queues bool
	Wrong  string // why there is no answer
}

// offerView is one thing that can be supposed with a tick.
type offerView struct {
	Value string
	Note  any // words, nil for none
	On    bool
}

// accountName is what an account's name looks like: others of those who can act are roles, or
// words such as "anyone who may vote".
var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// setWhatIf answers the form.
func (w *Web) setWhatIf(ctx context.Context, c *call, v *changeView) error {
	asked, there := c.r.URL.Query()["if"]
	if !there || v.Change.Status != review.Open {
		return nil
	}
	view := &whatIfView{Change: v.Change.ID}
	v.WhatIf = view
	if err := w.offers(ctx, c, v); err != nil {
		return err
	}
	var texts []string
	for _, text := range asked {
		if text = strings.TrimSpace(text); text == "" || len(text) > maxSupposed {
			continue
		}
		texts = append(texts, text)
		if at := slices.IndexFunc(view.Offers, func(o offerView) bool { return o.Value == text }); at >= 0 {
			view.Offers[at].On = true
			continue
		}
		view.Text = text
	}
	if len(texts) == 0 {
		return nil
	}
	all, err := gatekeeper.ParseSuppositions(texts)
	if err == nil {
		var then gatekeeper.WhatIf
		then, err = w.Gate.WhatIf(ctx, c.actor, v.Change.ID, all)
		view.Answer, view.Queues = then.Sentence(), then.Queues
	}
	if err != nil && fault.KindOf(err) == fault.Internal {
		return err
	}
	if err != nil {
		view.Answer, view.Wrong = "", faultSentence(err)
	}
	return nil
}

// offers are what is missing, each as if it were there.
func (w *Web) offers(ctx context.Context, c *call, v *changeView) error {
	add := func(value string, note any) {
		known := slices.ContainsFunc(v.WhatIf.Offers, func(o offerView) bool { return o.Value == value })
		if len(v.WhatIf.Offers) < maxOffers && !known {
			v.WhatIf.Offers = append(v.WhatIf.Offers, offerView{Value: value, Note: note})
		}
	}
	owners, err := w.ownersOf(ctx, c, v)
	if err != nil {
		return err
	}
	for _, r := range v.Why.Requirements {
		if r.State == string(plan.Open) || plan.StageState(r.State) == plan.Passed {
			continue
		}
		switch r.Kind {
		case "gate":
			for _, o := range owners {
				add(o.Account.Name+" approves", words.Word(o.Why[0]))
			}
			for _, who := range r.Who {
				if !accountName.MatchString(who) {
					continue
				}
				if _, err := w.Accounts.ByName(ctx, w.DB.Read(), who); err == nil {
					add(who+" approves", nil)
				} else if !fault.Is(err, fault.NotFound) {
					return err
				}
			}
		case "stage":
			add(r.Name+" passes", nil)
		case "parent":
			add(r.Name+" lands", nil)
		case "wip":
			add("it is ready", nil)
		case "private":
			add("it is public", nil)
		case "submit":
			add("it is submitted", nil)
		}
	}
	return nil
}

// ownersOf are those who own what the change touches, the most of it first.
func (w *Web) ownersOf(ctx context.Context, c *call, v *changeView) ([]review.Suggestion, error) {
	found, err := w.Review.SuggestReviewers(ctx, c.actor, v.Change.ID)
	return slices.DeleteFunc(found, func(s review.Suggestion) bool {
		return len(s.Why) == 0 || !strings.HasPrefix(s.Why[0], "owns ")
	}), err
}

// WhatIfURL opens the form.
func (v *changeView) WhatIfURL() string { return fmt.Sprintf("/c/%d?if=#why", v.Change.ID) }

// MayAskWhatIf reports whether something can still become of the change.
func (v *changeView) MayAskWhatIf() bool { return v.Change.Status == review.Open && v.WhatIf == nil }
