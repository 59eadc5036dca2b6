package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// maxBulk is how many changes one form acts on: as many as a page lists.
const maxBulk = 100

// turnView is whose turn it is on a change, and who reviews it.
type turnView struct {
	Change    int64
	Open      bool
	Turn      []turnRow
	Reviewers []reviewerRow
	CC        []reviewerRow
	Starred   bool
	Mine      bool // it is the reader's turn
	MayAsk    bool
	SignedIn  bool
}

type turnRow struct {
	Account   int64
	Who       string
	Why       string
	Since     any
	You       bool
	MayRemove bool
}

type reviewerRow struct {
	Account   int64
	Who       string
	Votes     []voteRow
	MayRemove bool
}

// setTurn reads whose turn it is and who reviews.
func (w *Web) setTurn(ctx context.Context, c *call, v *changeView) error {
	q := w.DB.Read()
	t := turnView{Change: v.Change.ID, Open: v.Change.Status == review.Open, SignedIn: c.signedIn(), MayAsk: v.MayComment && v.Change.Status == review.Open}
	turn, err := w.Review.Attention(ctx, q, v.Change.ID)
	if err != nil {
		return err
	}
	reviewers, err := w.Review.Reviewers(ctx, q, v.Change.ID)
	if err != nil {
		return err
	}
	var ids []int64
	for _, a := range turn {
		ids = append(ids, a.Account, a.By)
	}
	for _, r := range reviewers {
		ids = append(ids, r.Account)
	}
	names, err := w.Accounts.Names(ctx, q, ids)
	if err != nil {
		return err
	}
	mayEdit := c.signedIn() && w.may(c, account.Edit, v.resource) == nil
	for _, a := range turn {
		you := c.signedIn() && a.Account == c.actor.ID
		t.Mine = t.Mine || you
		t.Turn = append(t.Turn, turnRow{Account: a.Account, Who: nameOf(names, a.Account), Why: reasonWords(names, a), Since: a.Since, You: you, MayRemove: you || t.MayAsk})
	}
	for _, r := range reviewers {
		row := reviewerRow{Account: r.Account, Who: nameOf(names, r.Account), MayRemove: t.Open && (mayEdit || c.signedIn() && r.Account == c.actor.ID)}
		for _, vote := range v.VoteRows {
			if vote.Who == row.Who {
				row.Votes = append(row.Votes, vote)
			}
		}
		if r.CC {
			t.CC = append(t.CC, row)
		} else {
			t.Reviewers = append(t.Reviewers, row)
		}
	}
	starred, err := w.Review.Starred(ctx, c.actor, []int64{v.Change.ID})
	t.Starred = starred[v.Change.ID]
	v.Turn = t
	return err
}

// people looks up the accounts that a form names, by names and addresses with commas or spaces
// between them.
func (w *Web) people(c *call, text string) ([]int64, error) {
	const op = "web.people"
	var ids []int64
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\r' || r == '\t' }) {
		name = strings.ToLower(strings.TrimPrefix(name, "@"))
		find := w.Accounts.ByName
		if strings.Contains(name, "@") {
			find = w.Accounts.ByEmail
		}
		a, err := find(c.ctx(), w.DB.Read(), name)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.New(fault.Invalid, op, fmt.Sprintf("there is no account %q", plain(name)), "use an account's name or e-mail address")
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, a.ID) {
			ids = append(ids, a.ID)
		}
		if len(ids) > maxBulk {
			return nil, fault.New(fault.TooLarge, op, "these are too many people", "name fewer at a time")
		}
	}
	if len(ids) == 0 {
		return nil, fault.New(fault.Invalid, op, "nobody is named", "write an account's name")
	}
	return ids, nil
}

// addReviewers takes the form that asks people to review.
func (w *Web) addReviewers(c *call) error {
	return w.ofChange(c, "asked", func(id int64) error {
		whom, err := w.people(c, c.r.PostForm.Get("who"))
		if err != nil {
			return err
		}
		return w.Review.AddReviewers(c.ctx(), c.actor, id, whom, c.r.PostForm.Get("as") == "cc")
	})
}

func (w *Web) removeReviewer(c *call) error {
	return w.ofChange(c, "unasked", func(id int64) error {
		who, err := c.account()
		if err != nil {
			return err
		}
		return w.Review.RemoveReviewer(c.ctx(), c.actor, id, who)
	})
}

func (w *Web) giveTurn(c *call) error {
	return w.ofChange(c, "turn", func(id int64) error {
		whom, err := w.people(c, c.r.PostForm.Get("who"))
		if err != nil {
			return err
		}
		for _, who := range whom {
			if err := w.Review.GiveTurn(c.ctx(), c.actor, id, who, c.r.PostForm.Get("reason")); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Web) takeTurn(c *call) error {
	return w.ofChange(c, "turned", func(id int64) error {
		who, err := c.account()
		if err != nil {
			return err
		}
		return w.Review.TakeTurn(c.ctx(), c.actor, id, who, c.r.PostForm.Get("reason"))
	})
}

func (w *Web) star(c *call) error {
	return w.ofChange(c, "", func(id int64) error {
		return w.Review.Star(c.ctx(), c.actor, id, c.r.PostForm.Get("on") == "1")
	})
}

// ofChange does something to the change of the address and leads back to where the form was.
func (w *Web) ofChange(c *call, done string, do func(id int64) error) error {
	id, err := c.number("n")
	if err != nil {
		return err
	}
	if err := do(id); err != nil {
		return err
	}
	back := safeNext(c.r.PostForm.Get("back"))
	if back == "/" && c.r.PostForm.Get("back") != "/" {
		back = fmt.Sprintf("/c/%d", id)
	}
	c.seeOther(back, done)
	return nil
}

// account is the account that a button of a form is about.
func (c *call) account() (int64, error) {
	id, err := strconv.ParseInt(c.r.PostForm.Get("account"), 10, 64)
	if err != nil || id <= 0 {
		return 0, fault.New(fault.Invalid, "web.account", "the form does not say whom it is about", "reload the page")
	}
	return id, nil
}

// suggestView is the page that says whom to ask.
type suggestView struct {
	Change review.Change
	Repo   string
	Rows   []suggestRow
	May    bool
}

type suggestRow struct {
	Name, FullName string
	Why            []string
}

// suggestReviewers is the page that says whom to ask. It reads history, so it is a page of its
// own that is made when somebody asks for it.
func (w *Web) suggestReviewers(c *call) error {
	ch, err := w.changeOf(c)
	if err != nil {
		return err
	}
	found, err := w.Review.SuggestReviewers(c.ctx(), c.actor, ch.ID)
	if err != nil {
		return err
	}
	v := suggestView{Change: ch, Repo: ch.RepoName, May: c.signedIn() && ch.Status == review.Open}
	for _, s := range found {
		v.Rows = append(v.Rows, suggestRow{Name: s.Account.Name, FullName: s.Account.FullName, Why: s.Why})
	}
	return w.render(c, http.StatusOK, "reviewers", fmt.Sprintf("Reviewers for %d", ch.ID), v, withUp(fmt.Sprintf("/c/%d", ch.ID)))
}

// saveSearch keeps a search under a name.
func (w *Web) saveSearch(c *call) error {
	form := c.r.PostForm
	if err := w.Review.SaveSearch(c.ctx(), c.actor, form.Get("name"), form.Get("query")); err != nil {
		return err
	}
	c.seeOther("/changes?q="+url.QueryEscape(strings.TrimSpace(form.Get("query"))), "saved")
	return nil
}

func (w *Web) forgetSearch(c *call) error {
	if err := w.Review.ForgetSearch(c.ctx(), c.actor, c.r.PostForm.Get("name")); err != nil {
		return err
	}
	c.seeOther("/changes", "forgotten")
	return nil
}

// watchesView is the page of what somebody watches.
type watchesView struct {
	Rows []review.Watch
	Repo string // to begin the form with
	Back string
}

func (w *Web) watches(c *call) error {
	all, err := w.Review.Watches(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return w.render(c, http.StatusOK, "watches", "What you watch", watchesView{Rows: all, Repo: c.query("repo")}, withUp("/"))
}

func (w *Web) addWatch(c *call) error {
	form := c.r.PostForm
	watch := review.Watch{Branch: form.Get("branch"), Path: form.Get("path"), Query: form.Get("query")}
	if name := strings.TrimSpace(form.Get("repo")); name != "" {
		r, err := w.Repos.ByName(c.ctx(), w.DB.Read(), name)
		if fault.Is(err, fault.NotFound) {
			err = account.Missing("web.watch")
		}
		if err != nil {
			return err
		}
		watch.Repo = r.ID
	}
	if _, err := w.Review.AddWatch(c.ctx(), c.actor, watch); err != nil {
		return err
	}
	c.seeOther("/settings/watches", "watched")
	return nil
}

func (w *Web) removeWatch(c *call) error {
	id, err := strconv.ParseInt(c.r.PostForm.Get("watch"), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "web.watch", "the form does not say which watch it is about", "reload the page")
	}
	if err := w.Review.RemoveWatch(c.ctx(), c.actor, id); err != nil {
		return err
	}
	c.seeOther("/settings/watches", "unwatched")
	return nil
}
