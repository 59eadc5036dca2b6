package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/review"
)

// changesPage is how many changes a page lists.
const changesPage = 50

// changeRow is a change in a list.
type changeRow struct {
	ID                  int64
	Subject, Topic      string
	Repo, Branch, Owner string
	Why                 string // why it is the reader's turn
	Since               time.Time
	WaitsFor            string
	Word, Tone          string
	Updated             time.Time
	Starred             bool
	Place               review.StackPlace
	Level               string // where it stands in its stack: "first", "mid" or "last"
}

// listView is a table of changes, with what can be done with several of them.
type listView struct {
	Caption  string
	Rows     []changeRow
	ShowRepo bool
	Bulk     bool   // the reader may choose some and act on them
	ID       string // of the table, for the labels of its boxes
	Back     string // where an act on several leads back
}

// known is what rows of changes say beside the changes themselves.
type knownRows struct {
	names   map[int64]account.Account
	refused map[int64]bool
	waitFor map[int64][]review.Attention
	starred map[int64]bool
	places  map[int64]review.StackPlace
}

// rowsOf makes the rows of a list. why says why it is the reader's turn, by change number.
func (w *Web) rowsOf(c *call, changes []review.Change, why map[int64]review.Attention) ([]changeRow, error) {
	changes, places, err := w.Review.Stacked(c.ctx(), w.DB.Read(), changes)
	if err != nil {
		return nil, err
	}
	k := knownRows{places: places}
	var ids, people []int64
	for _, ch := range changes {
		ids, people = append(ids, ch.ID), append(people, ch.Owner)
	}
	if k.waitFor, err = w.Review.AttentionOf(c.ctx(), w.DB.Read(), ids); err != nil {
		return nil, err
	}
	for _, all := range k.waitFor {
		for _, a := range all {
			people = append(people, a.Account, a.By)
		}
	}
	for _, a := range why {
		people = append(people, a.By)
	}
	if k.names, err = w.Accounts.Names(c.ctx(), w.DB.Read(), people); err != nil {
		return nil, err
	}
	if k.refused, err = w.refused(c.ctx(), changes); err != nil {
		return nil, err
	}
	if k.starred, err = w.Review.Starred(c.ctx(), c.actor, ids); err != nil {
		return nil, err
	}
	rows := make([]changeRow, 0, len(changes))
	for _, ch := range changes {
		row := k.row(ch, c.actor.ID)
		if a, mine := why[ch.ID]; mine {
			row.Why, row.Since = reasonWords(k.names, a), a.Since
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (k knownRows) row(ch review.Change, reader int64) changeRow {
	row := changeRow{
		ID: ch.ID, Subject: ch.Subject, Topic: ch.Topic, Repo: ch.RepoName, Branch: ch.Branch, Owner: nameOf(k.names, ch.Owner),
		Word: string(ch.Status), Tone: tone("change", ch.Status), Updated: ch.UpdatedAt, Starred: k.starred[ch.ID], Place: k.places[ch.ID],
	}
	switch {
	case k.refused[ch.ID]:
		row.Word, row.Tone = "refused", "bad"
	case ch.Status == review.Open && ch.WIP:
		row.Word, row.Tone = "work in progress", "calm"
	case ch.Status == review.Open && ch.SubmitBy != 0:
		row.Word, row.Tone = "asked to land", "busy"
	}
	switch p := row.Place; {
	case p.Size == 0:
	case p.Place == p.Size:
		row.Level = "first"
	case p.Place == 1:
		row.Level = "last"
	default:
		row.Level = "mid"
	}
	var waits []string
	for _, a := range k.waitFor[ch.ID] {
		name := nameOf(k.names, a.Account)
		if a.Account == reader {
			name = "you"
		}
		waits = append(waits, name)
	}
	row.WaitsFor = strings.Join(waits, ", ")
	return row
}

// reasonWords say why it is somebody's turn: "bob replied".
func reasonWords(names map[int64]account.Account, a review.Attention) string {
	if a.By == 0 {
		return a.Reason
	}
	return nameOf(names, a.By) + " " + a.Reason
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
	Count             int
	List              listView
	More              string // the search that shows all of it
	Icon, Empty, Hint string
	Rest              bool // left out when it is empty
}

type dashboardView struct {
	Sections []section
	Searches []review.SavedSearch
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
	if v.Searches, err = w.Review.SavedSearches(c.ctx(), c.actor); err != nil {
		return err
	}
	if len(d.Turn)+len(d.Mine)+len(d.Waiting)+len(d.Landed) == 0 { // only then can there be nothing at all
		seen, err := w.readable(c)
		if err != nil {
			return err
		}
		v.Start = len(seen) == 0
	}
	watchHint := "Press \"What you watch\" above, and name a repository, a branch, a path or a search."
	if d.Watches {
		watchHint = "Nothing of what you watch is open and waits for others."
	}
	for _, s := range []struct {
		section
		changes []review.Change
	}{
		{section{ID: "turn", Title: "My turn", Note: "waits for you", Icon: "good", More: review.TurnQuery, Empty: "Nothing waits for you",
			Hint: "Changes come here when you are asked to review one, when one of yours is answered or refused, and when somebody names you with @."}, d.Turn},
		{section{ID: "waiting", Title: "Waiting on others", Icon: "wait", More: review.WaitingQuery, Empty: "You wait for nobody",
			Hint: "Your changes that others look at, and those that you have reviewed, stand here until it is your turn again."}, d.Waiting},
		{section{ID: "unasked", Title: "Nobody is asked", Note: "to review these of others", Icon: "people", More: review.UnaskedQuery, Rest: true}, d.Unasked},
		{section{ID: "mine", Title: "Mine", Icon: "branch", More: review.MineQuery, Empty: "You have no open change", Hint: "Push one to refs/for/ and the name of a branch."}, d.Mine},
		{section{ID: "watched", Title: "Watched", Icon: "eye", More: review.WatchedQuery, Empty: "Nothing to see of what you watch", Hint: watchHint}, d.Watched},
		{section{ID: "landed", Title: "Recently landed", Note: "of yours, reviewed or watched", Icon: "done", More: review.LandedQuery, Empty: "Nothing landed in the last two weeks",
			Hint: "What you wrote, reviewed or watch comes here when it lands."}, d.Landed},
	} {
		var why map[int64]review.Attention
		if s.ID == "turn" {
			why = d.Why
		}
		rows, err := w.rowsOf(c, s.changes, why)
		if err != nil {
			return err
		}
		if s.Count = len(rows); s.Count == 0 && s.Rest {
			continue
		}
		s.List = listView{Caption: s.Title, Rows: rows, ShowRepo: true, Bulk: s.ID != "landed", ID: s.ID, Back: "/"}
		s.More = "/changes?q=" + url.QueryEscape(s.More)
		v.Sections = append(v.Sections, s.section)
	}
	return w.render(c, http.StatusOK, "dashboard", "Dashboard", v)
}

type filterView struct {
	Name, URL string
	Current   bool
}

// searchView is the page of all changes, or of those of a repository.
type searchView struct {
	repoPage
	InRepo    bool
	Here      string // the address of the page itself
	Query     string
	Filters   []filterView
	Searches  []review.SavedSearch
	Saved     string // the name under which this search is saved
	List      listView
	Older     string
	Wrong     string // what cannot be understood
	WrongNext string
	Empty     string
	Operators [][2]string
	SignedIn  bool
	MayWatch  bool
}

// filters are the searches that one press makes.
var filters = [][2]string{{"open", "is:open"}, {"landed", "is:landed"}, {"abandoned", "is:abandoned"}}

// search is the page of all changes.
func (w *Web) search(c *call) error {
	v := searchView{Here: "/changes"}
	return w.listChanges(c, v, "Changes")
}

// changes lists the changes of a repository.
func (w *Web) changes(c *call) error {
	p, err := w.repoOf(c, "changes")
	if err != nil {
		return err
	}
	v := searchView{repoPage: p, InRepo: true, Here: repoURL(p.Repo.Name, "changes")}
	return w.listChanges(c, v, "Changes of "+p.Repo.Name)
}

func (w *Web) listChanges(c *call, v searchView, title string) error {
	v.SignedIn, v.Query, v.Operators = c.signedIn(), strings.TrimSpace(c.query("q")), review.Operators()
	if !c.r.URL.Query().Has("q") {
		v.Query = filters[0][1]
		for _, f := range filters { // addresses from before searches had operators
			if c.query("status") == f[0] {
				v.Query = f[1]
			}
		}
	}
	for _, f := range filters {
		v.Filters = append(v.Filters, filterView{Name: f[0], URL: v.at(f[1], ""), Current: v.Query == f[1]})
	}
	var err error
	if v.SignedIn {
		if v.Searches, err = w.Review.SavedSearches(c.ctx(), c.actor); err != nil {
			return err
		}
	}
	for _, s := range v.Searches {
		if s.Query == v.Query {
			v.Saved = s.Name
		}
	}
	status, found := http.StatusOK, review.Page{}
	found, err = w.Review.Search(c.ctx(), c.actor, review.Search{Query: v.whole(), Limit: changesPage, After: c.query("after")})
	if kind := fault.KindOf(err); err != nil && (kind == fault.Invalid || kind == fault.TooLarge) && v.Query != "" {
		// Said of what the reader wrote, at the place where they wrote it.
		_, err = w.Review.Search(c.ctx(), c.actor, review.Search{Query: v.Query, Limit: 1, After: c.query("after")})
		if err == nil {
			return fault.New(fault.Invalid, "web.search", "this search is too long for one repository", "search on the page of all changes")
		}
		status = statusOf(kind)
		v.Wrong, v.WrongNext = fault.Public(err)
		err = nil
	}
	if err != nil {
		return err
	}
	if found.Next != "" {
		v.Older = v.at(v.Query, found.Next)
	}
	rows, err := w.rowsOf(c, found.Changes, nil)
	if err != nil {
		return err
	}
	v.List = listView{Caption: "Changes", Rows: rows, ShowRepo: !v.InRepo, Bulk: v.SignedIn, ID: "found", Back: v.at(v.Query, c.query("after"))}
	v.Empty = "No change matches"
	for _, f := range filters {
		if v.Query == f[1] {
			v.Empty = "No change is " + f[0]
		}
	}
	up := "/"
	if v.InRepo {
		up = repoURL(v.Repo.Name, "")
	}
	return w.render(c, status, "changes", title, v, withUp(up))
}

// whole is the search with the repository that the page is of.
func (v searchView) whole() string {
	if !v.InRepo {
		return v.Query
	}
	whole := "repo:" + v.Repo.Name
	if v.Query != "" {
		whole += " (" + v.Query + ")"
	}
	return whole
}

// at is the address of a search on this page.
func (v searchView) at(query, after string) string {
	values := url.Values{"q": {query}}
	if after != "" {
		values.Set("after", after)
	}
	return v.Here + "?" + values.Encode()
}
