package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"gatehouse/gatekeeper"
	"gatehouse/gitserver/account"
	"gatehouse/gitserver/event"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
	"gatehouse/web/words"
)

const (
	// storyOpen is how many entries of the conversation stand open; those before are folded.
	storyOpen = 8
	// anyone is whom a review gate without roles names.
	anyone = "anyone who may vote"
)

// changeView is the page of a change: first the parts that a stream renews, then the rest.
type changeView struct {
	Change   review.Change
	Repo     repo.Repository
	Owner    string
	SignedIn bool
	Why      gatekeeper.Explanation
	WhyTitle string
	Needs    []needView
	PlanURL  string
	WhatIf   *whatIfView // nil unless the address asks for it

	Way       *wayView // nil where the plan ends at the landing
	Run       *gatekeeper.Run
	OlderRuns []gatekeeper.Run
	VoteRows  []voteRow
	Acts      []actView
	Story     []storyView
	StoryFold []storyView
	StoryLast []storyView

	Turn       turnView
	MoreActs   bool
	MoreLinks  []actLink // acts that have a page of their own
	Hashtags   []string
	MayReview  bool
	MaySubmit  bool
	MayComment bool
	NoReview   string // why somebody who signed in may not review

	PS         review.PatchSet
	Old        bool // PS is not the current one
	PatchSets  []review.PatchSet
	Base       int
	WS         string
	Uploader   string
	Kind       string
	Fetch      string
	HoldingRef string
	Series     []seriesView
	Diff       *diffView
	Findings   findingsView
	Reports    gatekeeper.Checks // on the current patch set
	MayRerun   bool
	Rebased    string
	NoiseURL   string // the other position of the switch that leaves a rebase out, "" when there is none
	NoiseShown bool
	Since      int    // the patch set that the reader reviewed last, when the page begins there by itself
	WholeURL   string // everything that the patch set changes
	Labels     []labelView
	changeTalk

	names    map[int64]account.Account
	comments []review.Comment
	votes    []review.Vote
	messages []review.Message
	resource account.Resource
	checks   gatekeeper.Checks // on the patch set that is shown
}

// needView is one line of the box that says why a change cannot land yet.
type needView struct {
	Name, Word, Tone string
	Reason, Evidence string
	Source           string
	Left             string // time
	SourceURL        string
	Log              string
	Who, Next        string
	Named            bool // the reason begins with a name
	You              bool // the reader can do it
	MayApprove       bool // by approving here, or by taking that back when Given
	Given            bool // the reader has approved
}

type voteRow struct {
	Who, Label string
	Note       any // words, nil for none
	Value      int
	Tone       string
}

type actView struct {
	ID, Name, Action, Ask string
	Main, Danger          bool
	More                  bool // in the menu
}

type seriesView struct {
	ID         int64
	Subject    string
	Note       any // words, nil for none
	Current    bool
	Word, Tone string
}

type labelView struct {
	Name   string
	Values []valueView
	Note   any // words, nil for none
}

type valueView struct {
	Value int
	Mine  bool
}

// change is the page of a change.
func (w *Web) change(c *call) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	v, err := w.changeParts(c.ctx(), c, id)
	if err != nil {
		return err
	}
	if err := v.choose(c); err != nil {
		return err
	}
	if err := w.setSeries(c.ctx(), c, v); err != nil {
		return err
	}
	if err := w.setLabels(c, v); err != nil {
		return err
	}
	v.Uploader, v.Kind = nameOf(v.names, v.PS.Uploader), kindWords(v.PS)
	v.Fetch, v.HoldingRef = w.URL+"/"+escapePath(v.Repo.Name)+".git", review.HoldingRef(id, v.PS.Number)
	q, err := w.diffOf(c, v)
	if err != nil {
		return err
	}
	if v.Diff, err = w.diff(c.ctx(), q); err != nil {
		return err
	}
	v.setFindings(q)
	v.Whole, v.Elsewhere = q.talk.whole(), q.talk.elsewhere(v.Diff.lists)
	parts, err := w.renderPart(c, "change", "live", v)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s (%d)", v.Change.Subject, id)
	return w.render(c, http.StatusOK, "change", title, v, wide, asMade,
		withLive(v.live(c), parts), withUp(repoURL(v.Repo.Name, "changes")))
}

// choose reads which patch set the reader wants to see, and against what.
func (v *changeView) choose(c *call) error {
	number := v.Change.Current
	if text := c.query("ps"); text != "" {
		number, _ = strconv.Atoi(text) // 0 is no patch set
	}
	v.Base, _ = strconv.Atoi(c.query("base")) // anything that is no number is the parent
	if asked := c.r.URL.Query(); !asked.Has("base") && !asked.Has("ps") && !asked.Has("at") && c.signedIn() && c.actor.ID != v.Change.Owner {
		v.Since = v.reviewed(c.actor.ID)
		v.Base = v.Since
	}
	for _, p := range v.PatchSets {
		if p.Number == number {
			v.PS = p
		}
	}
	if v.PS.Number == 0 || v.Base < 0 || v.Base >= v.PS.Number {
		return notFound("web.change", fmt.Sprintf("change %d has no such patch set", v.Change.ID))
	}
	v.Old = v.PS.Number != v.Change.Current
	if _, known := whiteSpace[c.query("ws")]; known {
		v.WS = c.query("ws")
	}
	return nil
}

func kindWords(p review.PatchSet) string {
	switch fmt.Sprint(p.Kind) {
	case "trivial-rebase":
		return "rebased without changes"
	case "message-edit":
		return "only the message changed"
	case "no-change":
		return "the same, on a new commit"
	}
	return ""
}

// setLabels makes the voting form from the labels of the branch's plan.
func (w *Web) setLabels(c *call, v *changeView) error {
	if !v.MayReview {
		return nil
	}
	labels, err := w.labelsOf(c.ctx(), v)
	if err != nil {
		return err
	}
	for _, l := range labels {
		view := labelView{Name: l.Name}
		mine := v.mine(c.actor.ID, l.Name)
		for value := l.Min; value <= l.Max; value++ {
			view.Values = append(view.Values, valueView{Value: value, Mine: value == mine})
		}
		if l.Veto {
			view.Note = words.Say("{1} blocks the change until it is taken back or a new patch set comes.", fmt.Sprintf("%+d", l.Min))
		}
		v.Labels = append(v.Labels, view)
	}
	return nil
}

func (w *Web) labelsOf(ctx context.Context, v *changeView) ([]review.Label, error) {
	if w.Review.Labels == nil {
		return []review.Label{review.DefaultLabel()}, nil
	}
	return w.Review.Labels(ctx, v.Repo, v.Change.Branch)
}

// mine is the reader's present vote on a label.
func (v *changeView) mine(account int64, label string) int {
	for _, vote := range review.Bound(v.Change, v.current(), v.votes) {
		if vote.Account == account && vote.Label == label {
			return vote.Value
		}
	}
	return 0
}

// changeOf is the change of the address.
func (w *Web) changeOf(c *call) (review.Change, error) {
	id, err := c.number("n")
	if err != nil {
		return review.Change{}, err
	}
	return w.Review.Get(c.ctx(), c.actor, id)
}

// changeEvents streams the parts of the page that change.
func (w *Web) changeEvents(c *call) error {
	ch, err := w.changeOf(c)
	if err != nil {
		return err
	}
	return w.live(c, func(ctx context.Context) ([]byte, error) {
		v, err := w.changeParts(ctx, c, ch.ID)
		if err != nil {
			return nil, err
		}
		return w.renderPart(c, "change", "live", v)
	}, event.ChangeTopic(ch.ID), event.RepoTopic(ch.Repo))
}

// live is the address of the page's stream: the parts depend on what the page was asked for.
func (v *changeView) live(c *call) string {
	u := url.URL{Path: fmt.Sprintf("/c/%d/events", v.Change.ID)}
	keep := url.Values{}
	for _, name := range []string{"threads", "if"} {
		if values := c.r.URL.Query()[name]; len(values) > 0 {
			keep[name] = values
		}
	}
	u.RawQuery = keep.Encode()
	return u.String()
}

// changeNumber is the address of the change that a bare number means.
func changeNumber(text string) (address string, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return "", false
	}
	return fmt.Sprintf("/c/%d", n), true
}

// changeAlias leads the addresses that Gerrit's users know to the page: /c/REPO/+/12/3.
func (w *Web) changeAlias(c *call) error {
	n, err := c.number("n")
	if err != nil {
		return err
	}
	u := url.URL{Path: fmt.Sprintf("/c/%d", n)}
	if ps := c.variable("ps"); ps != "" {
		u.RawQuery = "ps=" + ps
	}
	c.seeOther(u.String(), "")
	return nil
}
