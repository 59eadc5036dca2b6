package review

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/gitserver/account"
	"gatehouse/gitserver/fault"
	"gatehouse/migrations/db"
)

// Search says what to look for, and which page of the answer.
type Search struct {
	Query string
	Limit int    // 0 is 50, at most 500
	After string // Page.Next of the page before
}

// Page is a part of what a search found, last touched first.
type Page struct {
	Changes []Change
	Next    string // what [Search.After] is for the next page, "" when there is none
}

// Search finds the changes that match a query and that actor may see. What the query means is
// told by [Operators]. A query that cannot be understood is Invalid, with the place.
func (s *Service) Search(ctx context.Context, actor account.Actor, q Search) (Page, error) {
	n, err := parseQuery(q.Query)
	if err != nil {
		return Page{}, err
	}
	if q.Limit <= 0 {
		q.Limit = usualList
	}
	q.Limit = min(q.Limit, maxList)
	c := &compiler{Service: s, q: s.DB.Read(), actor: actor, now: s.Now(), opens: map[string]bool{}}
	where := "1 = 1"
	if n != nil {
		if where, err = c.compile(ctx, n, true); err != nil {
			return Page{}, err
		}
	}
	at, err := parsePlace(q.After)
	if err != nil {
		return Page{}, err
	}
	return c.pages(ctx, where, at, q.Limit)
}

// place is a change's in a list: its last touch and its number.
type place struct {
	updated, id int64
}

// pages reads until a page is full of changes that the searcher may see.
func (c *compiler) pages(ctx context.Context, where string, at place, limit int) (Page, error) {
	v := c.sight(c.q, c.actor)
	var page Page
	judged := 0
	for range maxBatches {
		// One more than the page tells whether there is another.
		batch, err := c.batch(ctx, where, at, limit+1)
		if err != nil {
			return Page{}, err
		}
		for _, ch := range batch {
			if len(page.Changes) == limit || judged == maxJudged {
				page.Next = at.text()
				return page, nil
			}
			ok, err := v.allows(ctx, account.Read, ch.Change)
			if err != nil {
				return Page{}, err
			}
			if ok {
				var asked bool
				if ok, asked, err = c.judge(ctx, ch); err != nil {
					return Page{}, err
				}
				if asked {
					judged++
				}
			}
			if at = (place{db.Micros(ch.UpdatedAt), ch.ID}); ok {
				page.Changes = append(page.Changes, ch.Change)
			}
		}
		if len(batch) <= limit {
			return page, nil
		}
	}
	page.Next = at.text()
	return page, nil
}

func (c *compiler) batch(ctx context.Context, where string, at place, limit int) ([]found, error) {
	here := *c // the place and the limit are this batch's own
	here.args = slices.Clone(c.args)
	from, variants, flags := changeTables, c.variants(where), ""
	if len(variants) > 1 {
		for _, v := range variants {
			flags += ", CASE WHEN " + v + " THEN 1 ELSE 0 END"
		}
		where = "(" + strings.Join(variants, ") OR (") + ")"
	}
	if c.drive != "" {
		// A cross join is made from left to right by SQLite, so that it begins with the few.
		from = ` FROM (SELECT DISTINCT change_id AS few_id FROM (` + c.drive + `) d) few CROSS JOIN changes c JOIN repositories r ON r.id = c.repo_id `
		where = "c.id = few.few_id AND (" + where + ")"
	}
	if at.id != 0 {
		where = fmt.Sprintf("(%s) AND (c.updated_at, c.id) < (%s, %s)", where, here.arg(at.updated), here.arg(at.id))
	}
	query, args := here.bind(`SELECT ` + changeColumns + flags + from + `WHERE ` + where + ` ORDER BY c.updated_at DESC, c.id DESC LIMIT ` + here.arg(limit))
	var all []found
	err := each(ctx, c.q, "search", query, args, func(row scanner) error {
		f, err := c.found(row, len(variants))
		all = append(all, f)
		return err
	})
	return all, err
}

func (p place) text() string { return fmt.Sprintf("%d.%d", p.updated, p.id) }

func parsePlace(text string) (place, error) {
	if text == "" {
		return place{}, nil
	}
	updated, id, ok := strings.Cut(text, ".")
	u, err1 := strconv.ParseInt(updated, 10, 64)
	i, err2 := strconv.ParseInt(id, 10, 64)
	if !ok || err1 != nil || err2 != nil || u < 0 || i <= 0 {
		return place{}, fault.New(fault.Invalid, "review.Search", "there is no such page", "begin with the first page")
	}
	return place{u, i}, nil
}
