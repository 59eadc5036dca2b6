package web

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/gitserver/repo"
	"gatehouse/review"
)

// changesPage is how many changes a page lists.
const changesPage = 50

// maxOpenCount is where counting the open changes of a repository stops.
const maxOpenCount = 100

// changeRow is a change in a list.
type changeRow struct {
	ID                  int64
	Subject, Topic      string
	Repo, Branch, Owner string
	Why                 string // why it is the reader's turn
	Word, Tone          string
	Updated             time.Time
}

func (w *Web) rowsOf(ctx context.Context, changes []review.Change, why map[int64]string) ([]changeRow, error) {
	var ids []int64
	for _, ch := range changes {
		ids = append(ids, ch.Owner)
	}
	names, err := w.Accounts.Names(ctx, w.DB.Read(), ids)
	if err != nil {
		return nil, err
	}
	refused, err := w.refused(ctx, changes)
	if err != nil {
		return nil, err
	}
	rows := make([]changeRow, 0, len(changes))
	for _, ch := range changes {
		row := changeRow{
			ID: ch.ID, Subject: ch.Subject, Topic: ch.Topic, Repo: ch.RepoName, Branch: ch.Branch, Owner: nameOf(names, ch.Owner),
			Why: why[ch.ID], Word: string(ch.Status), Tone: tone("change", ch.Status), Updated: ch.UpdatedAt,
		}
		switch {
		case refused[ch.ID]:
			row.Word, row.Tone = "refused", "bad"
		case ch.Status == review.Open && ch.WIP:
			row.Word, row.Tone = "work in progress", "calm"
		case ch.Status == review.Open && ch.SubmitBy != 0:
			row.Word, row.Tone = "asked to land", "busy"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// refused tells which of the open changes a gate has refused, as far as anybody knows.
func (w *Web) refused(ctx context.Context, changes []review.Change) (map[int64]bool, error) {
	var open []int64
	for _, ch := range changes {
		if ch.Status == review.Open {
			open = append(open, ch.ID)
		}
	}
	if w.Review.Refused == nil || len(open) == 0 {
		return nil, nil
	}
	return w.Review.Refused(ctx, open)
}

// section is one list of the dashboard.
type section struct {
	ID, Title, Note   string
	Rows              []changeRow
	Icon, Empty, Hint string
}

type dashboardView struct {
	Sections []section
	Start    bool // there is nothing to see yet: say how to begin
	Admin    bool
	Clone    string
}

// dashboard is what waits for the reader; a visitor gets the list of repositories.
func (w *Web) dashboard(c *call) error {
	if !c.signedIn() {
		c.seeOther("/repositories", "")
		return nil
	}
	d, err := w.Review.Dashboard(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	v := dashboardView{Admin: c.actor.Admin, Clone: w.URL + "/hello.git"}
	seen, err := w.readable(c)
	if err != nil {
		return err
	}
	v.Start = len(seen) == 0
	for _, s := range []struct {
		section
		changes []review.Change
		why     map[int64]string
	}{
		{section{ID: "turn", Title: "Your turn", Note: "waits for you", Icon: "good", Empty: "Nothing waits for you", Hint: "Changes come here when you are asked to review one, or when one of yours needs work."}, d.MyTurn, d.Why},
		{section{ID: "mine", Title: "Your open changes", Icon: "branch", Empty: "You have no open change", Hint: "Push one to refs/for/ and the name of a branch."}, d.Mine, nil},
		{section{ID: "recent", Title: "Recently active", Icon: "wait", Empty: "Nothing has happened yet", Hint: "Changes that you may see come here as they move."}, d.Recent, nil},
	} {
		if s.Rows, err = w.rowsOf(c.ctx(), s.changes, s.why); err != nil {
			return err
		}
		v.Sections = append(v.Sections, s.section)
	}
	return w.render(c, http.StatusOK, "dashboard", "Dashboard", v)
}

// readable lists the repositories that the reader may see.
func (w *Web) readable(c *call) ([]repo.Repository, error) {
	all, err := w.Repos.List(c.ctx(), w.DB.Read())
	if err != nil {
		return nil, err
	}
	var seen []repo.Repository
	for _, r := range all {
		switch err := w.may(c, account.Read, r.Resource("")); fault.KindOf(err) {
		case fault.NotFound, fault.Denied, fault.Unauthenticated:
		default:
			if err != nil {
				return nil, err
			}
			seen = append(seen, r)
		}
	}
	return seen, nil
}

type repoRow struct {
	repo.Repository
	Open string
}

func (w *Web) repositories(c *call) error {
	seen, err := w.readable(c)
	if err != nil {
		return err
	}
	var v struct{ Rows []repoRow }
	for _, r := range seen {
		open, err := w.Review.List(c.ctx(), c.actor, review.Filter{Repo: r.ID, Status: review.Open, Limit: maxOpenCount})
		if err != nil {
			return err
		}
		row := repoRow{Repository: r, Open: fmt.Sprint(len(open))}
		if len(open) == maxOpenCount {
			row.Open += "+"
		}
		v.Rows = append(v.Rows, row)
	}
	return w.render(c, http.StatusOK, "repositories", "Repositories", v, withUp("/"))
}

type filterView struct {
	Name, URL string
	Current   bool
}

type changesView struct {
	repoPage
	Filters []filterView
	Rows    []changeRow
	Empty   string
	Older   string
}

// changes lists the changes of a repository.
func (w *Web) changes(c *call) error {
	p, err := w.repoOf(c, "changes")
	if err != nil {
		return err
	}
	v := changesView{repoPage: p}
	status := review.Open
	here := repoURL(p.Repo.Name, "changes")
	for _, f := range []review.Status{review.Open, review.Landed, review.Abandoned} {
		if c.query("status") == string(f) {
			status = f
		}
	}
	for _, f := range []review.Status{review.Open, review.Landed, review.Abandoned} {
		v.Filters = append(v.Filters, filterView{Name: string(f), URL: here + "?status=" + string(f), Current: f == status})
	}
	filter := review.Filter{Repo: p.Repo.ID, Status: status, Limit: changesPage + 1}
	if text := c.query("before"); text != "" {
		if _, err := fmt.Sscan(text, &filter.Before); err != nil || filter.Before < 0 {
			return notFound("web.changes", "there is no such page")
		}
	}
	list, err := w.Review.List(c.ctx(), c.actor, filter)
	if err != nil {
		return err
	}
	if len(list) > changesPage {
		list = list[:changesPage]
		v.Older = fmt.Sprintf("%s?status=%s&before=%d", here, status, list[len(list)-1].ID)
	}
	v.Empty = "No change is " + string(status)
	if v.Rows, err = w.rowsOf(c.ctx(), list, nil); err != nil {
		return err
	}
	return w.render(c, http.StatusOK, "changes", "Changes of "+p.Repo.Name, v, withUp(repoURL(p.Repo.Name, "")))
}
