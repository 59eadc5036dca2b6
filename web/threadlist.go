package web

import (
	"fmt"
	"net/url"
	"slices"

	"gatehouse/review"
)

// threadList is the list of the threads of a change, with a filter.
type threadList struct {
	Rows    []threadRow
	Filters []threadFilter
	Shown   string // the filter
	Open    int    // threads that ask for something
	All     int
	Drafts  int // of the reader's
}

type threadRow struct {
	URL, Where, Gist, Who string
	PS, Notes             int
	Open, Draft           bool
}

type threadFilter struct {
	Name, URL string
	Count     int
	On        bool
}

// The filters of the list of threads: ?threads=.
const (
	threadsOpen  = "open"
	threadsAll   = "all"
	threadsMine  = "mine" // that the reader took part in
	threadsDraft = "drafts"
)

// setThreads lists the threads that the address asks for.
func (v *changeView) setThreads(c *call) {
	l := &v.Threads
	l.Drafts = len(v.drafts)
	filter := c.query("threads")
	if !slices.Contains([]string{threadsAll, threadsMine, threadsDraft}, filter) {
		filter = threadsOpen
	}
	l.Shown = filter
	mine := 0
	for _, t := range review.Threads(v.comments) {
		root, last := t.Root(), t.Comments[len(t.Comments)-1]
		part := c.signedIn() && slices.ContainsFunc(t.Comments, func(one review.Comment) bool { return one.Author == c.actor.ID })
		l.All++
		if t.Unresolved() {
			l.Open++
		}
		if part {
			mine++
		}
		if filter == threadsAll || filter == threadsOpen && t.Unresolved() || filter == threadsMine && part {
			l.Rows = append(l.Rows, threadRow{
				URL: fmt.Sprintf("#comment-%d", root.ID), Where: placeWords(root.Path, root.StartLine, root.Line), Who: nameOf(v.names, last.Author),
				Gist: gist(nameOf(v.names, root.Author), root.Body), PS: root.PS, Notes: len(t.Comments), Open: t.Unresolved(),
			})
		}
	}
	if filter == threadsDraft {
		for _, d := range v.drafts {
			l.Rows = append(l.Rows, threadRow{
				URL: fmt.Sprintf("#draft-%d", d.ID), Where: placeWords(d.Path, d.StartLine, d.Line), Gist: gist(c.actor.Name, d.Body), PS: d.PS, Notes: 1, Draft: true,
			})
		}
	}
	add := func(name, filter string, count int) {
		q := url.Values{}
		for _, keep := range []string{"ps", "base", "diff", "ws"} {
			if value := c.query(keep); value != "" {
				q.Set(keep, value)
			}
		}
		if filter != threadsOpen {
			q.Set("threads", filter)
		}
		u := url.URL{Path: fmt.Sprintf("/c/%d", v.Change.ID), RawQuery: q.Encode(), Fragment: "threads"}
		l.Filters = append(l.Filters, threadFilter{Name: name, URL: u.String(), Count: count, On: filter == l.Shown})
	}
	add("Open", threadsOpen, l.Open)
	add("All", threadsAll, l.All)
	if c.signedIn() {
		add("Mine", threadsMine, mine)
		add("Drafts", threadsDraft, l.Drafts)
	}
}
